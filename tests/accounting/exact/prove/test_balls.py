"""The way from balls to digits: everything is rounded outward."""

from decimal import Decimal
from fractions import Fraction

import pytest
from flint import arb, ctx

from dpplan.accounting.exact.prove.balls import (
    agreed_digits,
    ball_of,
    decimal_above,
    decimal_below,
    ends,
    exact_middle,
    within,
    working_precision,
)


@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(22, 7), Fraction(1, 10**50 + 1), Fraction(5, 4)])
@pytest.mark.parametrize("digits", [1, 3, 17, 40])
def test_decimals_lie_on_their_side_and_next_to_each_other(value, digits):
    below, above = (Decimal(text) for text in (decimal_below(value, digits), decimal_above(value, digits)))
    assert Fraction(below) <= value <= Fraction(above)
    last = Fraction(10) ** (below.adjusted() - digits + 1)
    assert Fraction(above) - Fraction(below) in (0, last)


def test_ends_hold_the_ball_and_its_middle_is_exact():
    with working_precision(80):
        ball = arb(2).sqrt() + arb(0, 1e-9)
        lower, upper = ends(ball)
        middle = exact_middle(ball)
    assert lower < middle < upper
    assert lower**2 < 2 < upper**2
    assert upper - lower >= Fraction(2e-9)
    assert exact_middle(arb(0.1)) == Fraction(0.1)


def test_a_ball_of_a_fraction_holds_it():
    with working_precision(60):
        ball = ball_of(Fraction(1, 3))
        lower, upper = ends(ball)
        assert lower <= Fraction(1, 3) <= upper
        assert ball * 3 == 1 or (ball * 3).contains(1)
        assert within(arb(-2)).contains(2)
        assert within(arb(-2)).contains(-2)


@pytest.mark.parametrize(
    ("lower", "upper", "digits"),
    [
        (Fraction(999, 1000), Fraction(1), 3),
        (Fraction(9989, 10000), Fraction(1), 2),
        (Fraction(0), Fraction(1), 0),
        (1 - Fraction(1, 10**40), Fraction(1), 40),
        (Fraction(3, 10**60), Fraction(4, 10**60), 0),
    ],
)
def test_agreed_digits_round_down(lower, upper, digits):
    assert agreed_digits(lower, upper) == digits


def test_precision_comes_back_also_after_an_error():
    before = ctx.prec
    with pytest.raises(ZeroDivisionError), working_precision(before + 77):
        assert ctx.prec == before + 77
        raise ZeroDivisionError
    assert ctx.prec == before
