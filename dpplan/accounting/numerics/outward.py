"""Outward rounding: how far a figure is moved to the safe side, and by how much for what.

One operation of double arithmetic is off by UNIT at most, relative, in the range of normal floats; an elementary
function of math or numpy by 4 UNIT. A figure made with a few of them is proven once it is moved by the sum of what they
may be off. The sizes below are such sums, rounded up: whoever uses one says by it how much arithmetic stands behind a
figure. Where terms cancel, what they are off is relative to the terms and not to the sum: see sum_up.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

import numpy as np

from dpplan.accounting.numerics import Array

Number = TypeVar("Number", float, Array)

UNIT = 2.0**-53
FUNCTION = 4 * UNIT  # one elementary function
FEW = 8 * UNIT  # one elementary function and four operations; or eight operations
ARITHMETIC = 1e-15  # nine units: two elementary functions and an operation
SUM = 1e-14  # up to ninety units: fsum of products that elementary functions went into, and what is done to the sum
SERIES = 1e-12  # thousands: sums over nodes or terms; e^x, off by x units when x is, for |x| up to 1000
MANY = 1e-9  # millions: sums over cells of a million terms of one sign, and products of as many factors


def up(x: Number, relative: float) -> Number:
    """At least every number that x, off by `relative` of itself, may stand for: of negative numbers the nearer to 0."""
    if isinstance(x, float):
        return x * (1.0 + math.copysign(relative, x))
    return np.asarray(x * (1.0 + np.copysign(relative, x)))


def down(x: Number, relative: float) -> Number:
    """At most every such number."""
    if isinstance(x, float):
        return x * (1.0 - math.copysign(relative, x))
    return np.asarray(x * (1.0 - np.copysign(relative, x)))


def sum_up(terms: Sequence[Number], relative: float) -> Number:
    """At least every sum of terms each off by `relative` of itself, however much they cancel."""
    return sum(terms[1:], terms[0]) + relative * _sizes(terms)


def sum_down(terms: Sequence[Number], relative: float) -> Number:
    """At most every such sum."""
    return sum(terms[1:], terms[0]) - relative * _sizes(terms)


def _sizes(terms: Sequence[Number]) -> Number:
    sizes = [abs(term) for term in terms]
    return sum(sizes[1:], sizes[0])


def float_above(value: Fraction) -> float:
    """The least float that is not below."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def float_below(value: Fraction) -> float:
    """The largest float that is not above."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)
