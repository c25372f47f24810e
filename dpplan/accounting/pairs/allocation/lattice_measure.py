"""A law of a likelihood ratio R on a geometric lattice, seen under Q: masses on the points e^(j·h), j whole.

The steps are h = log 2 / 2^level, so that lattices of different levels lie in one another and a factor of 2 is a whole
number of steps.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.law import Array

Side = Literal["above", "below"]
LOG_2 = math.log(2.0)
LARGEST = 700.0  # of an exponent


def step(level: int) -> float:
    """h of this level: of the next, exactly half of it."""
    return math.ldexp(LOG_2, -level)


@dataclass(frozen=True, eq=False)
class LatticeMeasure:
    """masses: under Q, of R = e^(j·h) for j = first, first + 1, ... zero: of R = 0. beyond: P-mass at R = +inf.

    Of an upper law, each mass is at least that of a law above R·(1 + θ) in convex order, for some |θ| <= moved; of a
    lower law, at most that of a law below, and zero and beyond are 0.
    """

    level: int
    first: int
    masses: Array
    moved: float
    zero: float = 0.0
    beyond: float = 0.0

    @property
    def last(self) -> int:
        return self.first + len(self.masses) - 1

    @property
    def losses(self) -> Array:
        """log R at each point."""
        return step(self.level) * np.arange(self.first, self.last + 1, dtype=np.float64)

    @property
    def total(self) -> float:
        """All mass under Q."""
        return float(self.masses.sum()) + self.zero

    def at_level(self, level: int) -> "LatticeMeasure":
        """The same law on the lattice of a level that is no coarser."""
        factor = 2 ** (level - self.level)
        if factor == 1:
            return self
        masses = np.zeros((len(self.masses) - 1) * factor + 1)
        masses[::factor] = self.masses
        return LatticeMeasure(level, self.first * factor, masses, self.moved, self.zero, self.beyond)

    def without_ends(self, least: float) -> "LatticeMeasure":
        """An upper law whose ends, of Q-mass and P-mass `least` at most, are spread: what lies below goes to 0 and to
        the first point that is kept, what lies above to the last one and to +inf."""
        losses = self.losses
        start, end = kept(self.masses, losses, least)
        below, above, inner = self.masses[:start], self.masses[end:], self.masses[start:end].copy()
        inner[0] += outward.up(float((below * np.exp(losses[:start] - losses[start])).sum()), outward.SERIES)
        inner[-1] += outward.up(float(above.sum()), outward.SERIES)
        zero = self.zero + outward.up(float(below.sum()), outward.SERIES)
        beyond = self.beyond + outward.up(float((above * np.exp(losses[end:])).sum()), outward.SERIES)
        return LatticeMeasure(self.level, self.first + start, inner, self.moved, zero, beyond)

    def within(self, least: float) -> "LatticeMeasure":
        """A lower law without such ends."""
        start, end = kept(self.masses, self.losses, least)
        return LatticeMeasure(self.level, self.first + start, self.masses[start:end], self.moved)


def kept(masses: Array, losses: Array, least: float) -> tuple[int, int]:
    """Where to begin and to end, so that the Q-mass before and the P-mass after are at most `least`."""
    low = np.cumsum(masses)
    high = np.cumsum((masses * np.exp(np.minimum(losses, LARGEST)))[::-1])
    start = int(np.searchsorted(low, least, side="right"))
    end = len(masses) - int(np.searchsorted(high, least, side="right"))
    if start < end:
        return start, end
    heaviest = int(np.argmax(masses))
    return heaviest, heaviest + 1
