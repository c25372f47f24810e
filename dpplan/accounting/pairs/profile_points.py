"""The pair behind a privacy profile that is known at some ε, whoever has it: what dominates all that stay below it.

Let D(α) be the largest H_α of a mechanism over its neighbours, both orders among them, α = e^ε. As a supremum of convex
functions that fall it is convex and falls, with D(0) <= 1; D(α_i) <= δ_i is what is known, α_i >= 1. For α < 1,
H_α(P||Q) = 1 - α + α·H_{1/α}(Q||P), so that D(1/α_i) <= 1 - (1 - δ_i)/α_i. By convexity D lies below each chord between
these points, (0, 1) among them, and beyond the last it is no more than there: so below their lower convex hull. And
that polygon is the curve of one pair (Zhu, Dong, Wang 2022, arXiv:2106.08567, Prop 10: what is convex, falls from 1 and
is at least (1 - α)₊ is a curve): at each corner Q has as much mass as the slope rises there, P α times as much, at loss
log α; loss +inf has the P-mass that the polygon ends with, and loss -inf as much of Q. It dominates in both orders.
"""

import functools
import math
from fractions import Fraction

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.finite import OnAtoms
from dpplan.accounting.pairs.law import ROUNDING, Atoms
from dpplan.quick_dataclass import dataclass

Point = tuple[Fraction, Fraction]
MOST_LOSS = 600.0  # of a corner: beyond, masses of Q leave the range of floats
LEAST_MASS = Fraction(1, 10**280)  # a smaller one has lost digits, and counts as one that reveals all


@dataclass(frozen=True)
class ProfileLoss(OnAtoms):
    """epsilons: rising, at least 0. deltas: of each, from above. Either direction. Masses are rational numbers that are
    rounded once."""

    epsilons: tuple[float, ...]
    deltas: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.epsilons) != len(self.deltas) or any(not each >= 0.0 for each in (*self.epsilons, *self.deltas)):
            raise ValueError("a profile has one delta for each epsilon, and none of them is below 0")

    @functools.cached_property
    def _corners(self) -> list[Point]:
        """Of the polygon, from (0, 1) on."""
        known = [
            (Fraction(outward.up(math.exp(epsilon), outward.FEW)), Fraction(delta))
            for epsilon, delta in zip(self.epsilons, self.deltas, strict=True)
            if delta < 1.0 and epsilon < MOST_LOSS
        ]
        mirrored = [(1 / a, 1 - (1 - h) / a) for a, h in known]
        rising = sorted(dict([*mirrored, *known, (Fraction(0), Fraction(1))]).items())
        corners: list[Point] = []
        for point in rising:
            if corners and point[1] >= corners[-1][1]:
                continue  # D falls, and so far it is known to be no more
            while len(corners) > 1 and _slope(corners[-2], corners[-1]) >= _slope(corners[-1], point):
                corners.pop()
            corners.append(point)
        return corners

    @functools.cached_property
    def _rows(self) -> tuple[list[tuple[float, float, float]], float, float]:
        """(loss, p, q) of each corner that floats hold, and the masses of P and of Q at all others."""
        corners, rows = self._corners, []
        beyond, below = corners[-1][1], 1 + _slope(*corners[:2]) if len(corners) > 1 else Fraction(1)
        for at in range(1, len(corners)):
            before = _slope(corners[at - 1], corners[at])
            after = _slope(corners[at], corners[at + 1]) if at + 1 < len(corners) else Fraction(0)
            a, q = corners[at][0], after - before
            if min(q, a * q) > LEAST_MASS:
                rows.append((_log(a), float(a * q), float(q)))
            else:
                beyond, below = beyond + a * q, below + q  # which can only tell more
        return rows, float(beyond), float(below)

    @functools.cached_property
    def atoms(self) -> Atoms:
        rows = self._rows[0]
        return Atoms.of(rows, ROUNDING * (1.0 + max((abs(loss) for loss, _, _ in rows), default=0.0)))

    @property
    def infinite(self) -> float:
        return self._rows[1]

    @property
    def vanishing(self) -> float:
        return self._rows[2]


def _slope(left: Point, right: Point) -> Fraction:
    return (right[1] - left[1]) / (right[0] - left[0])


def _log(a: Fraction) -> float:
    """Of a float or of the inverse of one."""
    return math.log(a) if a >= 1 else -math.log(1 / a)
