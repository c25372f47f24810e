"""Back to the lattice: from what landed in cells to a law on the points, one above in convex order and one below.

above   each outcome goes to the two ends of its cell, keeping mass and mean.
below   the outcomes of each half of a cell are merged at their mean. The polygon through H(a) = E[(R - a)₊] at the
        points then exceeds H in a cell by D at most, which is largest at one of the two; a point where it falls by the
        larger D of the two cells leaves both chords below H. At the ends, where H meets its asymptotes E[R] - a·(mass)
        and 0, the polygon reaches each of them at a point where H is still further from it than D, and follows it from
        there on: what lies beyond is merged there too. So mass and mean are kept, and the polygon's second differences,
        if none is negative, are the masses of a law below.

A point where that leaves a negative mass falls further, to the chord of its neighbours or below it, at their expense.

Rounding, below: let e bound what the masses m are off. m - 2e is at most the exact m by at least e. Further falls are
what they are in floats, whatever they were meant to be; so they turn the exact masses into masses that are at least
those in floats plus e minus the roundings of these falls, which are at most e: the exact polygon is still convex, and
its law is one below.
"""

from dataclasses import dataclass

import numpy as np

from dpplan.accounting.pairs.allocation.averaging import Landed
from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, kept, step
from dpplan.accounting.pairs.law import EPS, Array

SWEEPS, FURTHER = 400, 1.5  # a negative mass is overpaid, so that an end is reached
NARROWINGS = 48  # ends of the polygon that are tried
LEAST_MASS = 1e-290  # smaller masses have lost digits


def above(landed: Landed, least: float) -> LatticeMeasure:
    """A law above what landed; least: the mass that may be spread to the ends 0 and +inf."""
    right = np.clip(landed.right, 0.0, landed.mass).sum(axis=0)
    total = landed.mass.sum(axis=0)
    off = 2.0 * landed.rounding * total
    masses = landed.points * (1.0 + 4.0 * EPS)
    masses[:-1] += np.maximum(total - right, 0.0) + off
    masses[1:] += right + off
    masses *= 1.0 + 8.0 * EPS
    found = LatticeMeasure(landed.level, landed.first, masses, landed.moved, landed.zero, landed.beyond)
    return found.without_ends(least)


def below(landed: Landed, least: float) -> LatticeMeasure:
    """A law below what landed; least: the mass that may be left out at either end."""
    start, end = kept(landed.mass.sum(axis=0) + landed.points[:-1], landed.losses, least)
    mass, right, points = landed.mass[:, start:end], landed.right[:, start:end], landed.points[start : end + 1]
    filled = mass.sum(axis=0) > LEAST_MASS
    corner = points > LEAST_MASS
    corner[:-1] |= filled
    corner[1:] |= filled
    at = np.flatnonzero(corner)
    masses = np.zeros(len(points))
    if len(at) > 1:
        cells = _Cells.between(at, np.where(filled, mass, 0.0), right, (landed.rounding[start:end], step(landed.level)))
        masses[at] = cells.polygon(points[at])
    else:
        masses[at] = points[at] * (1.0 - 4.0 * EPS)
    return LatticeMeasure(landed.level, landed.first + start, masses, landed.moved).within(least)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cells between successive corners, which are the lattice points that have outcomes in a cell beside them, or on
    them; a cell wider than the lattice's is empty. Heights and falls at a corner are in widths of the cell that
    follows; wider: [corner], that width over the one of the cell before.

    low, high: what the corner on the left and on the right get of a cell, keeping mass and mean. gap: D. [cell]
    """

    low: Array
    high: Array
    gap: Array
    wider: Array
    rounding: Array

    @classmethod
    def between(cls, at: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]", mass: Array, right: Array, cell: tuple[Array, float]) -> "_Cells":
        """at: the corners. mass, right: of the lattice's cells, as they landed. cell: their rounding and their step."""
        rounding, step_ = cell
        inner, apart = at[:-1], step_ * np.diff(at)
        (near, far), (near_right, far_right) = mass[:, inner], right[:, inner]
        empty = np.diff(at) > 1
        near, far = np.where(empty, 0.0, near), np.where(empty, 0.0, far)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.clip(np.where(near > 0.0, near_right / near, 0.0), 0.0, 1.0)
            z = np.clip(np.where(far > 0.0, far_right / far, 1.0), 0.0, 1.0)
        low, high = near * (1.0 - x) + far * (1.0 - z), near * x + far * z
        wider = np.exp(np.append(apart, apart[-1]))
        wider[1:-1] = np.expm1(apart[1:]) / -np.expm1(-apart[:-1])
        gap = np.maximum(x * low, (1.0 - z) * high) + (4.0 * rounding[inner] + 16.0 * EPS) * (near + far)
        return cls(low, high, gap, wider, np.append(rounding[inner], rounding[inner[-1]]))

    def polygon(self, points: Array) -> Array:
        """The masses at the corners, none negative; points: what is there already. All 0 where there is no polygon."""
        lefts, depths = self._from_left(points)
        rights, heights = self._from_right(points)
        begins = np.flatnonzero((depths[:-1] >= self.gap) & (lefts[:-1] > 0.0))
        ends = np.flatnonzero((heights[1:] >= self.gap / self.wider[1:]) & (rights[1:] > 0.0))[::-1] + 1
        skipped = [0, 0]
        for _ in range(NARROWINGS):
            if skipped[0] >= len(begins) or skipped[1] >= len(ends):
                break
            begin, end = int(begins[skipped[0]]), int(ends[skipped[1]])
            if begin >= end:
                break
            own, owed = self._masses(points, (begin, float(depths[begin])), (end, float(heights[end])))
            own[begin] += lefts[begin]
            own[end] += rights[end]
            found = self._rounded(own, owed, begin, end)
            if isinstance(found, int):
                skipped[found] = 2 * skipped[found] + 1
                continue
            return found
        return np.zeros(len(points))

    def _masses(self, points: Array, left: tuple[int, float], right: tuple[int, float]) -> tuple[Array, Array]:
        """What each corner has between the ends, with what its own fall adds; and what its neighbours' falls take."""
        (begin, depth), (end, height) = left, right
        fall = np.maximum(np.append(0.0, self.gap) / self.wider, np.append(self.gap, 0.0))
        fall[:begin], fall[end + 1 :] = 0.0, 0.0
        fall[begin], fall[end] = depth, height
        own = (1.0 + self.wider) * fall
        own[begin], own[end] = depth, self.wider[end] * height
        own[begin : end + 1] += points[begin : end + 1]
        own[begin:end] += self.low[begin:end]
        own[begin + 1 : end + 1] += self.high[begin:end]
        owed = np.zeros(len(points))
        owed[begin:end] += self.wider[begin + 1 : end + 1] * fall[begin + 1 : end + 1]
        owed[begin + 1 : end + 1] += fall[begin:end]
        return own, owed

    def _rounded(self, own: Array, owed: Array, begin: int, end: int) -> Array | int:
        """The masses, rounded down; or which end, 0 or 1, has too little."""
        count, size = len(own), own + owed
        around = size.copy()
        around[1:] += size[:-1]
        around[:-1] += size[1:]
        error = (4.0 * self.rounding + 32.0 * EPS) * around
        # The ends' masses and heights are sums over all cells beyond.
        error[begin : begin + 2] += 8.0 * EPS * (begin + 1) * size[begin]
        error[end - 1 : end + 1] += 8.0 * EPS * (count - end) * size[end]
        part = slice(begin, end + 1)
        found = _mended((own - owed - 2.0 * error)[part], self.wider[part], error[part])
        if isinstance(found, int):
            return found
        masses = np.zeros(count)
        masses[part] = found
        return masses

    def _from_left(self, points: Array) -> tuple[Array, Array]:
        """The mass in the cells and corners left of each corner, and how far H lies above E[R] - a·(mass) there."""
        mass = depth = 0.0
        masses, depths = [0.0], [0.0]
        rows = (points[:-1], self.low, self.high, self.wider[1:])
        for point, low, high, wider in zip(*(row.tolist() for row in rows), strict=True):
            mass += point
            depth = (depth + mass + low) / wider
            mass += low + high
            masses.append(mass)
            depths.append(depth)
        return np.array(masses), np.array(depths)

    def _from_right(self, points: Array) -> tuple[Array, Array]:
        """The mass right of each corner, and H there."""
        mass = height = 0.0
        masses, heights = [0.0], [0.0]
        rows = (points[:0:-1], self.low[::-1], self.high[::-1], self.wider[:0:-1])
        for point, low, high, wider in zip(*(row.tolist() for row in rows), strict=True):
            mass += point
            height = height * wider + mass + high
            mass += low + high
            masses.append(mass)
            heights.append(height)
        return np.array(masses[::-1]), np.array(heights[::-1])


def _mended(masses: Array, wider: Array, error: Array) -> Array | int:
    """The masses with no negative one among them, less the roundings of that; or which end, 0 or 1, became negative, or
    else the right one, if that never ends."""
    paid = np.zeros(len(masses))
    for _ in range(SWEEPS):
        owed = FURTHER * np.maximum(-masses, 0.0)
        if not owed.any():
            rounding = 8.0 * EPS * paid
            return np.maximum(masses - rounding, 0.0) if (rounding <= error).all() else 1
        if owed[0] > 0.0 or owed[-1] > 0.0:
            return 0 if owed[0] > 0.0 else 1
        fall = owed / (1.0 + wider)
        masses = masses + owed
        masses[:-1] -= (wider * fall)[1:]
        masses[1:] -= fall[:-1]
        paid += owed
        paid[:-1] += (wider * fall)[1:]
        paid[1:] += fall[:-1]
    return 1
