"""Outward rounding moves to the safe side, by what it says, for either sign, and covers the arithmetic it names."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from dpplan.accounting.numerics import outward

VALUES = [1.0, -1.0, 1e-300, -3.7e-11, 123456.789, -1e300, math.pi, 2.0**-1000]


@pytest.mark.parametrize("relative", [outward.UNIT * 4, outward.ARITHMETIC, outward.SUM, outward.SERIES, outward.MANY])
@pytest.mark.parametrize("x", VALUES)
def test_up_and_down_hold_every_value_that_far_away(x, relative):
    # Half a unit is lost in the factor, and one in the product.
    moved = abs(Fraction(x)) * (Fraction(relative) - 2 * Fraction(outward.UNIT))
    assert Fraction(x) + moved <= Fraction(outward.up(x, relative))
    assert Fraction(x) - moved >= Fraction(outward.down(x, relative))
    assert outward.up(x, relative) - x <= 2 * relative * abs(x)
    assert x - outward.down(x, relative) <= 2 * relative * abs(x)


def test_arrays_are_moved_as_their_elements_are():
    values = np.array(VALUES)
    assert outward.up(values, 1e-12).tolist() == [outward.up(x, 1e-12) for x in VALUES]
    assert outward.down(values, 1e-12).tolist() == [outward.down(x, 1e-12) for x in VALUES]


def test_nothing_and_infinity_stay():
    for move in (outward.up, outward.down):
        assert move(0.0, 1e-9) == 0.0
        assert move(math.inf, 1e-9) == math.inf
        assert move(-math.inf, 1e-9) == -math.inf


@pytest.mark.parametrize("seed", range(5))
def test_a_sum_that_cancels_holds_for_terms_that_were_off(seed):
    rng = random.Random(seed)
    terms = [rng.uniform(-1, 1) * 10.0 ** rng.uniform(-8, 3) for _ in range(4)]
    terms.append(-sum(terms))
    off = Fraction(outward.FEW) - 6 * Fraction(outward.UNIT)  # the rest is for the rounding of the sum itself
    worst = sum(abs(Fraction(term)) for term in terms) * off
    exact = sum(map(Fraction, terms))
    assert exact + worst <= Fraction(outward.sum_up(terms, outward.FEW))
    assert exact - worst >= Fraction(outward.sum_down(terms, outward.FEW))


def test_a_sum_of_arrays_is_the_sum_of_their_elements():
    rows = [[1.0, -2.0], [1e-9, 2.0], [-1.0, 5.0]]
    arrays = [np.array(row) for row in rows]
    assert outward.sum_up(arrays, 1e-10).tolist() == [outward.sum_up(pair, 1e-10) for pair in zip(*rows, strict=True)]
    assert outward.sum_down(arrays, 1e-10)[0] < 1e-9 < outward.sum_up(arrays, 1e-10)[0]


def test_sizes_cover_the_roundings_they_name():
    unit = Fraction(outward.UNIT)
    assert Fraction(outward.ARITHMETIC) >= (1 + unit) ** 9 - 1
    assert Fraction(outward.FEW) >= 4 * unit + 4 * unit
    assert Fraction(outward.SUM) >= (1 + unit) ** 90 - 1
    assert Fraction(outward.SERIES) >= 1000 * 9 * unit
    assert Fraction(outward.MANY) >= 10**6 * 9 * unit


@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(-2, 7), Fraction(10**40, 3), Fraction(1), Fraction(0)])
def test_fractions_lie_between_their_floats(value):
    below, above = outward.float_below(value), outward.float_above(value)
    assert Fraction(below) <= value <= Fraction(above)
    assert above == below or above == math.nextafter(below, math.inf)
    assert (above == below) == (Fraction(float(value)) == value)
