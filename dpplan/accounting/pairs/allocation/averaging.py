"""The mean of two independent likelihood ratios on lattices: where each pair of points lands, cell by cell.

The mean (1 - u)·e^(ih) + u·e^(jh) with i = j - d, d > 0, has the logarithm j·h + t(d), t(d) = log(u + (1 - u)·e^(-dh)),
which depends on d alone. So the distances that land in one cell of the lattice of the mean are one window of i's for
every j. Its mass, and the mean of its places in the cell, are sums kept for windows of every length: built by doubling
and from positive terms alone, so that no digit is lost where masses are small. The cost is (points) × (cells in log 2),
in vector operations, and not points squared.

Places in a cell are those of values: 0 at its lower end, 1 at its upper, and linear in e^loss.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.allocation.lattice_measure import LARGEST, LatticeMeasure, step
from dpplan.accounting.pairs.law import EPS, Array

UNDERFLOW = 1e-300  # more than a product of two masses can lose to it
WIDEST = 300.0  # of a window, in log R: e to that is a float, and so is what it is multiplied by
SUMMED = 32  # windows are summed in groups of so many, so that a sum of thousands is off by less


@dataclass(frozen=True, eq=False)
class Landed:
    """What landed between points and on them. mass, and mass times its place in the cell: [part, cell], a part being a
    half of a cell or all of it; cell c reaches from point first + c to the next. points: on points, [point].

    rounding: of each of these, as a share of the mass of the cell, [cell]. moved, zero, beyond: as in LatticeMeasure.
    """

    level: int
    first: int
    mass: Array
    right: Array
    points: Array
    rounding: Array
    moved: float
    zero: float = 0.0
    beyond: float = 0.0

    @property
    def losses(self) -> Array:
        """The lower end of each cell."""
        return step(self.level) * np.arange(self.first, self.first + len(self.points) - 1, dtype=np.float64)


def averaged(one: LatticeMeasure, other: LatticeMeasure, weight: Fraction, level: int, parts: int) -> Landed:
    """Where weight·R₁ + (1 - weight)·R₂ lies. level: of its lattice, no coarser than those of the two. parts: into how
    many a cell is divided, 1 or 2."""
    fine = max(one.level, other.level)
    same, shares = one is other and 2 * weight == 1, (float(weight), float(1 - weight))
    one, other = one.at_level(fine), other.at_level(fine)
    room = _Room.of(one, other, level, parts)
    windows = room.land(one, other, shares[1])
    if same:
        room.double()
    else:
        windows = max(windows, room.land(other, one, shares[0]))
    reach, apart = step(fine) * max(len(one.masses), len(other.masses)), -math.log(min(shares))
    # Sums of sums over at most 2^20 points; products, the exponentials of a window's width and of its parts' offsets,
    # the argument of each off by half a unit for each 1 in it; and these summed.
    rounding = EPS * (80.0 + 2.0 * reach + 0.5 * (SUMMED + windows / SUMMED))
    points, zero = room.points(one, other), one.zero * other.zero
    for lower, upper, share in ((one, other, shares[1]), (other, one, shares[0])):
        # share·R of a point with a 0 is spread to that point and 0.
        room.on_points(points, upper)[:] += share * lower.zero * upper.masses
        zero += (1.0 - share) * lower.zero * float(upper.masses.sum())
    lost = UNDERFLOW * len(one.masses) * len(other.masses)
    beyond = shares[0] * one.beyond * other.total + shares[1] * other.beyond * one.total
    top = min(step(level) * (room.first + room.mass.shape[1]), LARGEST)
    return Landed(
        level,
        room.first,
        room.mass,
        room.right,
        points,
        np.full(room.mass.shape[1], rounding),
        # t(d) is off by a few roundings and by that of log u; what is off in e^(-dh) is at most |log u| of it.
        max(one.moved, other.moved) + EPS * (32.0 + 8.0 * apart),
        outward.up(zero + lost, outward.SERIES),
        outward.up(beyond + lost * math.exp(top), outward.MANY),
    )


class _Windows:
    """Sums over windows of a law's points: Σ a[i + l] and Σ a[i + l]·(e^(lh) - 1) for l < length, from positive terms.

    [i], from 1 - length to the last point; what lies outside of the law is 0.
    """

    def __init__(self, masses: Array, h: float) -> None:
        self._h = h
        self._doubled = [(masses, np.zeros(len(masses)))]  # [k]: of length 2^k
        self._known: dict[int, tuple[Array, Array]] = {}

    def of(self, length: int) -> tuple[Array, Array]:
        if length not in self._known:
            powers = [power for power in reversed(range(length.bit_length())) if length >> power & 1]
            while len(self._doubled) <= powers[0]:
                last = len(self._doubled) - 1
                self._doubled.append(self._joined(2 ** (last + 1), [last, last]))
            self._known[length] = self._joined(length, powers)
        return self._known[length]

    def _joined(self, length: int, powers: list[int]) -> tuple[Array, Array]:
        """Windows one after the other, of the lengths 2^power."""
        if len(powers) == 1:
            return self._doubled[powers[0]]
        size = len(self._doubled[0][0]) + length - 1
        sums, rises, offset = np.zeros(size), np.zeros(size), 0
        for power in powers:
            inner, inner_rises = self._doubled[power]
            begin = length - 2**power - offset
            where = slice(begin, begin + len(inner))
            sums[where] += inner
            rises[where] += inner_rises * math.exp(offset * self._h)
            if offset:
                rises[where] += inner * math.expm1(offset * self._h)
            offset += 2**power
        return sums, rises


@dataclass(eq=False)
class _Room:
    """The cells of the mean's lattice from point `first` on, of which every `factor`-th is one of the lattice of both.

    summing: mass and right of the windows that were not added to them yet, and how many these are.
    """

    level: int
    first: int
    factor: int
    mass: Array
    right: Array
    summing: tuple[Array, Array]
    count: int = 0

    @classmethod
    def of(cls, one: LatticeMeasure, other: LatticeMeasure, level: int, parts: int) -> "_Room":
        factor = 2 ** (level - one.level)
        first = factor * min(one.first, other.first) - 1
        cells = factor * max(one.last, other.last) + 1 - first
        mass, right, more, further = (np.zeros((parts, cells)) for _ in range(4))
        return cls(level, first, factor, mass, right, (more, further))

    def land(self, lower: LatticeMeasure, upper: LatticeMeasure, share: float) -> int:
        """Adds the pairs whose point in `upper`, which has this share in the mean, is the higher one. Returns how many
        windows a cell may be made of."""
        g, parts, known = step(self.level), len(self.mass), _Windows(lower.masses, step(lower.level))
        distances = np.arange(1, upper.last - lower.first + 1, dtype=np.float64)
        place = np.log(share + (1.0 - share) * np.exp(-step(lower.level) * distances)) / g
        cells = np.floor(place * parts).astype(np.int64)
        ends = np.append(np.flatnonzero(np.diff(cells)) + 1, len(cells)) if len(cells) else np.zeros(0, dtype=np.int64)
        longest = max(int(WIDEST / step(lower.level)), 1)
        ends = np.union1d(ends, np.arange(longest, len(cells), longest))
        near = 1
        for far in ends.tolist():
            window = _Window(near, far, int(cells[far - 1]), float(place[far - 1]))
            self._add_window(window, known, lower, (upper, share))
            near = far + 1
        self._settle()
        return len(ends) + 1

    def double(self) -> None:
        self.mass *= 2.0
        self.right *= 2.0

    def points(self, one: LatticeMeasure, other: LatticeMeasure) -> Array:
        """What two equal points add: it stays on the point. [point]"""
        found = np.zeros(self.mass.shape[1] + 1)
        low, high = max(one.first, other.first), min(one.last, other.last)
        if low <= high:
            both = one.masses[low - one.first : high + 1 - one.first]
            both = both * other.masses[low - other.first : high + 1 - other.first]
            found[self.factor * low - self.first : self.factor * high - self.first + 1 : self.factor] = both
        return found

    def on_points(self, points: Array, law: LatticeMeasure) -> Array:
        """The part of `points` that a law's points are."""
        start = self.factor * law.first - self.first
        return points[start : start + self.factor * (len(law.masses) - 1) + 1 : self.factor]

    def _add_window(
        self, window: "_Window", known: _Windows, lower: LatticeMeasure, higher: tuple[LatticeMeasure, float]
    ) -> None:
        upper, share = higher
        begin = max(lower.first + window.near, upper.first)
        count = min(lower.last + window.far, upper.last) + 1 - begin
        if count <= 0:
            return
        sums, rises = known.of(window.far + 1 - window.near)
        start = begin - lower.first - window.near
        masses = upper.masses[begin - upper.first : begin - upper.first + count]
        g, cell = step(self.level), window.part // len(self.mass)
        slope = (1.0 - share) * math.exp(-cell * g - window.far * step(lower.level)) / math.expm1(g)
        mass = masses * sums[start : start + count]
        right = masses * (rises[start : start + count] * slope) + mass * _place(cell, window.farthest, g)
        self._add(mass, right, begin, window.part)

    def _add(self, mass: Array, right: Array, begin: int, which: int) -> None:
        """Of pairs with the upper points begin, begin + 1, ...; which: the part of a cell, counted from that point."""
        cell, part = divmod(which, len(self.mass))
        start = self.factor * begin + cell - self.first
        where = slice(start, start + self.factor * (len(mass) - 1) + 1, self.factor)
        self.summing[0][part, where] += mass
        self.summing[1][part, where] += right
        self.count += 1
        if self.count == SUMMED:
            self._settle()

    def _settle(self) -> None:
        for place, more in enumerate(self.summing):
            (self.mass, self.right)[place][:] += more
            more[:] = 0.0
        self.count = 0


@dataclass(frozen=True, slots=True)
class _Window:
    """Distances from near to far, all of which land in one part of a cell; both counted from the upper point. farthest:
    where that distance lands, in cells."""

    near: int
    far: int
    part: int
    farthest: float


def _place(cell: int, at: float, g: float) -> float:
    """Where in its cell a value lies whose logarithm is `at`, in cells."""
    return min(max(math.expm1((at - cell) * g) / math.expm1(g), 0.0), 1.0)
