"""Ball arithmetic: the one place that imports flint, and the way from balls to digits.

A ball is a midpoint and a radius; every operation encloses the true result, rounding included (Johansson 2017, Arb,
IEEE Trans. Computers 66). Comparisons are true only where they hold for every point of the balls.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any

from dpplan.errors import MissingExtra

try:
    import flint
except ImportError as missing:
    raise MissingExtra("--prove", "prove") from missing

Ball = Any  # flint.arb: a real number known to lie in an interval
ComplexBall = Any  # flint.acb
arb, acb, acb_mat = flint.arb, flint.acb, flint.acb_mat


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Ball arithmetic with this many bits inside the block; restored on the way out, errors included."""
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def zero() -> Ball:
    return arb(0)


def exact_middle(ball: Ball) -> Fraction:
    """The midpoint of a ball, which is a dyadic number, as it is."""
    mantissa, exponent = ball.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def ends(ball: Ball) -> tuple[Fraction, Fraction]:
    """Fractions that the ball lies between."""
    return exact_middle(ball.lower()), exact_middle(ball.upper())


def ball_of(value: Fraction) -> Ball:
    return arb(value.numerator) / arb(value.denominator)


def within(size: Ball) -> Ball:
    """A ball that holds [-size, size]."""
    return arb(0, size.abs_upper())


def decimal_below(value: Fraction, digits: int) -> str:
    return _decimal(value, digits, ROUND_FLOOR)


def decimal_above(value: Fraction, digits: int) -> str:
    return _decimal(value, digits, ROUND_CEILING)


def _decimal(value: Fraction, digits: int, rounding: str) -> str:
    context = Context(prec=digits, rounding=rounding)
    return str(context.divide(Decimal(value.numerator), Decimal(value.denominator)))


def agreed_digits(lower: Fraction, upper: Fraction) -> int:
    """The significant digits that 0 <= lower < upper leave certain: -log10 of the relative width, rounded down."""
    width = (upper - lower) / upper
    return max(math.floor(math.log10(width.denominator) - math.log10(width.numerator)), 0)
