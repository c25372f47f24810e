"""A law of a sum of likelihood ratios, less its mean, on a lattice whose steps double outward; and sums of two.

The points are i·u for |i| <= N, the body, and i·2^k·u for N/2 < i <= N: octave k = 1, 2, ... Both u and N are powers of
two. Two points that lie in the body add up to a point of the lattice exactly. Where one of them lies in an octave, the
sum is known by the cell that it lands in: what is added is seen in cells as coarse as the octave's first, whose halves
keep their mass and mean. So what is put back on the lattice (convex_order) is only what is rare, and what becomes
coarser as a sum grows.

Every sum here is one of positive terms: convolutions are direct, and no digit is lost where masses are small.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from dpplan.accounting.pairs.allocation.lattice_measure import Side
from dpplan.accounting.pairs.law import EPS, Array

BLOCK = 128  # products that are summed at once
PARTS = 4  # of cells: mass of the near half, mass times place of it, and both of the far half


@dataclass(frozen=True, slots=True)
class GradedLattice:
    """exponent: of the step u = 2^exponent of the body. left, right: how many steps the body reaches. Each octave has
    half as many points as are on its right."""

    exponent: int
    left: int
    right: int
    octaves: int = 0

    @property
    def size(self) -> int:
        """How many points."""
        return self.left + self.right + 1 + self.octaves * (self.right // 2)

    @property
    def values(self) -> Array:
        """The points, exactly."""
        pieces = [np.arange(-self.left, self.right + 1, dtype=np.float64)]
        octave = np.arange(self.right // 2 + 1, self.right + 1, dtype=np.float64)
        pieces += [np.ldexp(octave, k) for k in range(1, self.octaves + 1)]
        return np.asarray(np.ldexp(np.concatenate(pieces), self.exponent))

    def up_to(self, largest: float) -> "GradedLattice":
        """With as many octaves as it takes to hold this value."""
        octaves = 0
        while math.ldexp(self.right, self.exponent + octaves) < largest:
            octaves += 1
        return replace(self, octaves=octaves)

    def cells(self, octave: int) -> tuple[int, int, int]:
        """Of an octave (0: of the body): the number of its first cell, which multiple of its step that begins at, and
        how many cells it has."""
        if octave == 0:
            return 0, -self.left, self.left + self.right
        half = self.right // 2
        return self.left + self.right + (octave - 1) * half, half, half

    def piece(self, masses: Array, octave: int) -> "MassRun":
        """The masses of an octave, or of the body, without zeros at its ends."""
        if octave > self.octaves:
            return MassRun.none(self.exponent + octave)
        cell, first, count = self.cells(octave)
        begin = cell + (octave > 0)  # a point between two belongs to the inner one
        filled = np.flatnonzero(masses[begin : cell + count + 1])
        if not len(filled):
            return MassRun.none(self.exponent + octave)
        start, stop = begin + int(filled[0]), begin + int(filled[-1]) + 1
        return MassRun(self.exponent + octave, first + start - cell, masses[start:stop])


@dataclass(frozen=True, eq=False)
class MassRun:
    """Masses at successive multiples of 2^exponent, from `start` on, and in the cells that follow them, [part, cell];
    no cells: all of it is on points."""

    exponent: int
    start: int
    points: Array
    cells: Array | None = None

    @classmethod
    def none(cls, exponent: int) -> "MassRun":
        return cls(exponent, 0, np.zeros(0))

    @property
    def end(self) -> int:
        """After the last point."""
        return self.start + len(self.points)

    def within(self, low: int, high: int) -> "MassRun":
        """Of the points and cells from one multiple to before another."""
        begin, end = max(low, self.start), min(high, self.end)
        if begin >= end:
            return MassRun.none(self.exponent)
        where = slice(begin - self.start, end - self.start)
        return MassRun(self.exponent, begin, self.points[where], None if self.cells is None else self.cells[:, where])

    def shifted(self, by: "MassRun") -> "MassRun":
        """The law of the sum with what has points only, on the same multiples."""
        if not len(self.points) or not len(by.points):
            return MassRun.none(self.exponent)
        cells = None
        if self.cells is not None:
            cells = np.array([_convolved(part, by.points) for part in self.cells])
        return MassRun(self.exponent, self.start + by.start, _convolved(self.points, by.points), cells)

    def times(self, factor: float) -> "MassRun":
        return replace(self, points=factor * self.points, cells=None if self.cells is None else factor * self.cells)

    def with_points(self, more: "MassRun") -> "MassRun":
        """And these points, at the same multiples."""
        if not len(more.points):
            return self
        if not len(self.points):
            return more
        start = min(self.start, more.start)
        end = max(self.start + len(self.points), more.start + len(more.points))
        points = np.zeros(end - start)
        points[self.start - start :][: len(self.points)] += self.points
        points[more.start - start :][: len(more.points)] += more.points
        if self.cells is None:
            return MassRun(self.exponent, start, points)
        cells = np.zeros((PARTS, end - start))
        cells[:, self.start - start :][:, : len(self.points)] += self.cells
        return MassRun(self.exponent, start, points, cells)

    def coarser(self) -> "MassRun":
        """In cells twice as wide: a half of each is what was a cell. What lies in the middle belongs to both halves."""
        if not len(self.points):
            return MassRun.none(self.exponent + 1)
        first, odd = divmod(self.start, 2)
        count = (odd + len(self.points) + 1) // 2
        points = np.zeros(2 * count)
        points[odd : odd + len(self.points)] = self.points
        middle = points[1::2]
        cells = np.zeros((PARTS, count))
        cells[0], cells[1], cells[2], cells[3] = 0.5 * middle, 0.25 * middle, 0.5 * middle, 0.25 * middle
        if self.cells is not None:
            inner = np.zeros((PARTS, 2 * count))
            inner[:, odd : odd + len(self.points)] = self.cells
            mass, right = inner[0] + inner[2], inner[1] + inner[3]
            cells[0] += mass[::2]
            cells[1] += 0.5 * right[::2]
            cells[2] += mass[1::2]
            cells[3] += 0.5 * (mass[1::2] + right[1::2])
        return MassRun(self.exponent + 1, first, points[::2], cells)


@dataclass(eq=False)
class GradedLanding:
    """What landed on the points of a lattice and in its cells, [part, cell]; below: left of all of them; rounding: of
    the masses of a cell, and on the points beside it, relative, [cell].

    side: where a cell that something is known by is wider than those that it lands in, what is in a half of it goes to
    its two ends for a law above, and is merged at its mean for one below.
    """

    lattice: GradedLattice
    side: Side
    points: Array
    cells: Array
    rounding: Array
    below: float = 0.0

    @classmethod
    def empty(cls, lattice: GradedLattice, side: Side, rounding: float = 16.0 * EPS) -> "GradedLanding":
        cells = lattice.size - 1
        return cls(lattice, side, np.zeros(lattice.size), np.zeros((PARTS, cells)), np.full(cells, rounding))

    def add(self, run: MassRun) -> None:
        """A run no part of which is right of the lattice."""
        finer = run.exponent - self.lattice.exponent
        first = -(self.lattice.left << max(-finer, 0)) if finer < 0 else _ceil(-self.lattice.left, finer)
        outside = run.within(run.start, first)
        self.below += float(outside.points.sum())
        if outside.cells is not None:
            self.below += float(outside.cells[::2].sum())
        run = run.within(first, run.end)
        for octave in range(self.lattice.octaves + 1):
            _, start, _ = self.lattice.cells(octave)
            if run.end * 2.0 ** (run.exponent - self.lattice.exponent - octave) < start:
                break
            while run.exponent < self.lattice.exponent + octave:
                run = run.coarser()
            self._land(run, octave)

    def _land(self, run: MassRun, octave: int) -> None:
        """What of the run lies in this octave."""
        cell, first, count = self.lattice.cells(octave)
        finer = run.exponent - self.lattice.exponent - octave
        low, high = _ceil(first, finer), (first + count) >> finer
        if low > run.end or high < run.start:
            return
        inner = octave > 0 and low << finer == first  # the point between two belongs to the one within
        part = run.within(low + inner, high + 1)
        at = (np.arange(part.start, part.end) << finer) - first + cell
        self.points[at] += part.points
        if run.cells is None:
            return
        part = run.within(low, high)
        if not len(part.points):
            return
        if finer == 0:
            assert part.cells is not None
            begin = part.start - first + cell
            self.cells[:, begin : begin + len(part.points)] += part.cells
        else:
            self._land_finer(part, finer, cell - first)

    def _land_finer(self, run: MassRun, finer: int, offset: int) -> None:
        """Cells that are 2^finer times as wide as those that they land in."""
        assert run.cells is not None
        width = 2 ** (finer - 1)  # of a half
        for half in range(2):
            mass, place = run.cells[2 * half], 2.0 * run.cells[2 * half + 1]
            right = np.clip(place - mass if half else place, 0.0, mass)
            at = (np.arange(run.start, run.end) << finer) + half * width + offset
            if self.side == "above":
                self.points[at] += mass - right
                self.points[at + width] += right
                continue
            filled = mass > 0.0
            mean = np.where(filled, right / np.where(filled, mass, 1.0), 0.0) * width
            cell = np.minimum(mean.astype(np.int64), width - 1)
            inside = np.clip(mean - cell, 0.0, 1.0)
            far = 2 * (inside > 0.5)
            np.add.at(self.cells, (far, at + cell), mass)
            np.add.at(self.cells, (far + 1, at + cell), mass * inside)


def _convolved(one: Array, other: Array) -> Array:
    """By blocks, so that a sum of thousands of products is off by less."""
    short, long = sorted((one, other), key=len)
    if len(short) <= 2 * BLOCK:
        return np.convolve(long, short)
    found = np.zeros(len(long) + len(short) - 1)
    for start in range(0, len(short), BLOCK):
        block = short[start : start + BLOCK]
        found[start : start + len(long) + len(block) - 1] += np.convolve(long, block)
    return found


def _ceil(index: int, shift: int) -> int:
    return -((-index) >> shift)


def added(
    one: tuple[GradedLattice, Array], other: tuple[GradedLattice, Array], lattice: GradedLattice, side: Side
) -> GradedLanding:
    """Where the sum of two independent ones lands, whose lattices have the same body; on one with no finer body, which
    holds all of it."""
    found = GradedLanding.empty(lattice, side)
    (grid, masses), (others_grid, others) = one, other
    low, others_low, terms = MassRun.none(grid.exponent), MassRun.none(grid.exponent), 0
    for octave in range(max(grid.octaves, others_grid.octaves) + 1):
        here = grid.piece(masses, octave)
        if masses is others:
            found.add(low.shifted(here).times(2.0))
            found.add(here.shifted(here))
        else:
            there = others_grid.piece(others, octave)
            found.add(others_low.shifted(here))
            found.add(low.shifted(there))
            found.add(here.shifted(there))
            others_low = others_low.with_points(there).coarser()
        low = low.with_points(here).coarser()
        terms = max(terms, len(here.points) // BLOCK)
    found.rounding += EPS * (2.0 * BLOCK + terms + 16.0 * (lattice.octaves + 4))
    return found
