"""From balls around delta to ends for ε, on a curve whose inverse is known: delta(ε) = e^(-2ε)/2."""

import math
from dataclasses import dataclass
from fractions import Fraction

import pytest
from flint import arb
from mpmath import mp, mpf

from dpplan.accounting.exact.prove.balls import ball_of, working_precision
from dpplan.accounting.exact.prove.invert import bracket, sizes

BITS = 100


@dataclass
class Exponential:
    """radius: of each ball, relative; off: how far its middle lies from the truth, in radii."""

    radius: float
    off: float = 0.0
    good: float = math.inf  # from here on the balls are a hundred times as wide

    def delta(self, epsilon):
        value = (-2 * epsilon).exp() / 2
        radius = self.radius * (100 if epsilon > self.good else 1)
        return value * (1 + arb(self.off * self.radius)) + arb(0, (value * radius).abs_upper())

    def slope(self, epsilon):
        return -(-2 * epsilon).exp()

    def terms(self, epsilon):
        return (("aliases", ((-2 * epsilon).exp() / 2 * self.radius).abs_upper()),)


def inverse(delta):
    return -mp.log(2 * mpf(delta)) / 2


@pytest.mark.parametrize("off", [-0.9, 0.0, 0.9])
@pytest.mark.parametrize("radius", [1e-25, 1e-9, 1e-2])
@pytest.mark.parametrize(("delta", "start"), [(1e-5, 3.0), (0.1, 0.1), (1e-30, 40.0), (0.499, 0.5)])
def test_ends_hold_the_inverse_and_are_as_near_as_the_balls_allow(delta, start, radius, off):
    with working_precision(BITS), mp.workdps(40):
        found = bracket(Exponential(radius, off), arb(delta), start, BITS)
        truth = inverse(delta)
        assert mpf(found.lower.numerator) / found.lower.denominator <= truth
        assert found.upper is not None
        assert truth <= mpf(found.upper.numerator) / found.upper.denominator
        assert found.upper - found.lower <= 4 * Fraction(radius) + Fraction(1, 2**80)


def test_ends_are_tried_until_they_hold_as_computed():
    with working_precision(BITS), mp.workdps(40):
        curve = Exponential(1e-6, good=float(inverse(1e-3)) + 1e-8)
        found = bracket(curve, arb(1e-3), 3.0, BITS)
        assert found.upper is not None
        assert curve.delta(ball_of(found.upper)) <= arb(1e-3) <= curve.delta(ball_of(found.lower))


def test_a_delta_that_nothing_spends_costs_nothing():
    with working_precision(BITS):
        found = bracket(Exponential(1e-20), arb(0.6), 1.0, BITS)
    assert (found.lower, found.upper) == (0, 0)


def test_where_the_curve_is_lost_in_its_errors_no_end_is_made_up():
    with working_precision(BITS):
        found = bracket(Exponential(math.inf), arb(1e-3), 3.0, BITS)
    assert found.lower == 0
    assert found.upper is None


def test_sizes_split_the_radius_into_its_sources():
    with working_precision(BITS):
        curve, at = Exponential(1e-6), arb(1)
        value = curve.delta(at)
        shares = dict(sizes(curve, at, value, arb(1)))
    assert shares["aliases"] == pytest.approx(1e-6 * math.exp(-2) / 2, rel=1e-6)
    assert 0.0 <= shares["rounding"] <= 1e-12
