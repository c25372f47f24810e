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
        return MassRun.of_points(self.exponent + octave, first + start - cell, masses[start:stop])


@dataclass(frozen=True, eq=False, slots=True)
class MassRun:
    """Masses at successive multiples of 2^exponent, from `start` on, and in the cells that follow them: rows of points
    and of each part of a cell, or of points alone."""

    exponent: int
    start: int
    rows: Array

    @classmethod
    def none(cls, exponent: int) -> "MassRun":
        return cls(exponent, 0, np.zeros((1, 0)))

    @classmethod
    def of_points(cls, exponent: int, start: int, points: Array) -> "MassRun":
        """Without any in cells."""
        return cls(exponent, start, points[np.newaxis])

    @property
    def end(self) -> int:
        """After the last point."""
        return self.start + self.rows.shape[1]

    @property
    def points(self) -> Array:
        return self.rows[0]

    @property
    def cells(self) -> Array | None:
        """[part, cell]; None: all of it is on points."""
        return self.rows[1:] if len(self.rows) > 1 else None

    def within(self, low: int, high: int) -> "MassRun":
        """Of the points and cells from one multiple to before another."""
        start, end = self.start, self.end
        if low <= start and end <= high:
            return self
        begin, end = max(low, start), min(high, end)
        if begin >= end:
            return MassRun.none(self.exponent)
        return MassRun(self.exponent, begin, self.rows[:, begin - start : end - start])

    def shifted(self, by: "MassRun") -> "MassRun":
        """The law of the sum with what has points only, on the same multiples."""
        rows, points = self.rows, by.rows[0]
        if not rows.shape[1] or not len(points):
            return MassRun.none(self.exponent)
        return MassRun(self.exponent, self.start + by.start, _convolved(rows, points))

    def doubled(self) -> "MassRun":
        """All masses twice."""
        return MassRun(self.exponent, self.start, 2.0 * self.rows)

    def coarser(self, more: "MassRun | None" = None) -> "MassRun":
        """In cells twice as wide: a half of each is what was a cell. What lies in the middle belongs to both halves.

        more: points at the same multiples that are added before."""
        runs = [each for each in (self, more) if each is not None and each.rows.shape[1]]
        if not runs:
            return MassRun.none(self.exponent + 1)
        first = min(each.start for each in runs) // 2
        count = (max(each.end for each in runs) + 1) // 2 - first
        fine = np.zeros((max(len(each.rows) for each in runs), 2 * count))
        for each in runs:
            begin = each.start - 2 * first
            fine[: len(each.rows), begin : begin + each.rows.shape[1]] += each.rows
        return MassRun(self.exponent + 1, first, _in_pairs(fine))


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

    def add(self, run: MassRun, octaves: int | None = None) -> None:
        """A run no part of which is right of the lattice; octaves: up to which it is asked for."""
        if not run.rows.shape[1]:
            return
        lattice = self.lattice
        finer = run.exponent - lattice.exponent
        first = -(lattice.left << max(-finer, 0)) if finer < 0 else _ceil(-lattice.left, finer)
        if run.start < first:
            outside = run.within(run.start, first)
            self.below += float(outside.points.sum())
            if outside.cells is not None:
                self.below += float(outside.cells[::2].sum())
            run = run.within(first, run.end)
        if not run.rows.shape[1]:
            return
        # From the octave whose last point the run reaches to that whose first cell it does.
        begin, last = run.start, run.end - 1
        octave = max(_doublings(begin, lattice.right) + finer, 0) if begin > 0 else 0
        final = max(_doublings(last + 1, lattice.right) + finer, 0) if last > 0 else 0
        for here in range(octave, min(final, lattice.octaves if octaves is None else octaves) + 1):
            if run.exponent < lattice.exponent + here:
                if here:  # what lies left of this octave is not asked for any more
                    further = lattice.exponent + here - run.exponent
                    run = run.within(lattice.right // 2 << further, run.end)
                while run.exponent < lattice.exponent + here:
                    run = run.coarser()
            self._land(run, here)

    def add_sums(self, first: int, kinds: list[list[MassRun]]) -> None:
        """What adding these octave by octave adds up to, those of an octave in this order: [kind][octave], from the
        octave `first` > 0 on, in whose steps they are; it reaches as many of these here. Each is of sums of what lies
        in it and of what lies in it or within: all of them end in the next one."""
        stacks = [_Stack.of(runs, self.lattice.right) for runs in kinds]
        beyond, half = self.lattice.left + self.lattice.right, self.lattice.right // 2
        points = self.points[beyond + 1 :].reshape(-1, half)
        cells = self.cells[:, beyond:].reshape(PARTS, -1, half)
        left = len(points) - first  # octaves that the lattice has; no mass lies beyond them
        for stack in stacks:
            coarse = _in_pairs(stack.masses[: max(left, 0), :, self.lattice.right - stack.first :])
            where = slice(first, first + len(coarse))
            points[where, : coarse.shape[-1] - 1] += coarse[:, 0, 1:]
            cells[:, where, : coarse.shape[-1]] += coarse[:, 1:, :half].transpose(1, 0, 2)
        for stack in stacks:
            if stack.first == half:
                fine = stack.masses[: max(left + 1, 0)]
                where = slice(first - 1, first - 1 + len(fine))
                points[where] += fine[:, 0, 1 : half + 1]
                cells[:, where] += fine[:, 1:, :half].transpose(1, 0, 2)
        for octave, runs in enumerate(zip(*kinds, strict=True), first):
            for run in runs:
                if run.start < half or (run.start == half and run.rows.shape[1] and run.rows[0, 0]):
                    self.add(run.within(run.start, half + 1), octave - 1)

    def _land(self, run: MassRun, octave: int) -> None:
        """What of the run lies in this octave."""
        cell, first, count = self.lattice.cells(octave)
        finer, start, rows = run.exponent - self.lattice.exponent - octave, run.start, run.rows
        low, high = _ceil(first, finer), (first + count) >> finer
        inner = octave > 0 and low << finer == first  # the point between two belongs to the one within
        begin, end = max(low + inner, start), min(high + 1, run.end)
        if begin < end:
            at = (begin << finer) - first + cell
            self.points[at : at + (end - 1 - begin << finer) + 1 : 1 << finer] += rows[0, begin - start : end - start]
        if len(rows) == 1:
            return
        begin, end = max(low, start), min(high, run.end)
        if begin >= end:
            return
        if finer:
            self._land_finer(run.within(begin, end), finer, cell - first)
        else:
            at = begin - first + cell
            self.cells[:, at : at + end - begin] += rows[1:, begin - start : end - start]

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


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Runs of successive octaves at their own multiples from `first` on, the same in all: [octave, row, multiple]."""

    first: int
    masses: Array

    @classmethod
    def of(cls, runs: list[MassRun], right: int) -> "_Stack":
        """Sums of points of an octave alone are right of it; others have cells, and end half an octave before."""
        parts = max(len(run.rows) for run in runs)
        first = right // 2 if parts > 1 else right
        masses = np.zeros((len(runs), parts, right + 2))
        for place, run in enumerate(runs):
            skipped = max(first - run.start, 0)
            if skipped < run.rows.shape[1]:
                begin = run.start + skipped - first
                rows = run.rows[:, skipped:]
                masses[place, : len(rows), begin : begin + rows.shape[1]] = rows
        return cls(first, masses)


def _in_pairs(fine: Array) -> Array:
    """Of masses at points and, where there are any, in cells, [..., row, place], from an even multiple on: those in
    cells twice as wide."""
    middle = fine[..., 0, 1::2]
    found = np.empty((*fine.shape[:-2], 1 + PARTS, middle.shape[-1]))
    found[..., 0, :] = fine[..., 0, ::2]
    found[..., 1, :] = 0.5 * middle
    found[..., 2, :] = 0.25 * middle
    found[..., 3:, :] = found[..., 1:3, :]
    if fine.shape[-2] > 1:
        inner = fine[..., 1:3, :] + fine[..., 3:5, :]
        mass, right = inner[..., 0, :], inner[..., 1, :]
        right[..., 1::2] += mass[..., 1::2]
        right *= 0.5
        found[..., 1:3, :] += inner[..., ::2]
        found[..., 3:, :] += inner[..., 1::2]
    return found


def _convolved(rows: Array, points: Array) -> Array:
    """Each row with these points; by blocks, so that a sum of thousands of products is off by less."""
    length = rows.shape[1] + len(points) - 1
    found = np.zeros((len(rows), length))
    if min(rows.shape[1], len(points)) <= 2 * BLOCK:
        if len(points) < rows.shape[1]:
            points = points[::-1].copy()
            for place, row in enumerate(rows):
                found[place] = np.correlate(row, points, "full")
        else:
            for place, row in enumerate(rows):
                found[place] = np.correlate(points, row[::-1], "full")
        return found
    for place, row in enumerate(rows):
        short, long = (points, row) if len(points) < len(row) else (row, points)
        for start in range(0, len(short), BLOCK):
            block = short[start : start + BLOCK]
            found[place, start : start + len(long) + len(block) - 1] += np.correlate(long, block[::-1], "full")
    return found


def _doublings(index: int, right: int) -> int:
    """The least octave whose points reach that far, the first being 0 or less."""
    return (index - 1).bit_length() - (right.bit_length() - 1)


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
    octaves = max(grid.octaves, others_grid.octaves)
    alike = lattice.right == grid.right == others_grid.right
    first = max(lattice.exponent - grid.exponent, 0) + 1 if alike else octaves + 1  # octaves before land one by one
    sums: list[tuple[MassRun, ...]] = []
    for octave in range(octaves + 1):
        here = grid.piece(masses, octave)
        if masses is others:
            new: tuple[MassRun, ...] = (low.shifted(here).doubled(), here.shifted(here))
        else:
            there = others_grid.piece(others, octave)
            new = (others_low.shifted(here), low.shifted(there), here.shifted(there))
            others_low = others_low.coarser(there)
        low = low.coarser(here)
        terms = max(terms, len(here.points) // BLOCK)
        if octave < first:
            for run in new:
                found.add(run)
        else:
            sums.append(new)
    if sums:
        found.add_sums(first + grid.exponent - lattice.exponent, [list(runs) for runs in zip(*sums, strict=True)])
    found.rounding += EPS * (2.0 * BLOCK + terms + 16.0 * (lattice.octaves + 4))
    return found
