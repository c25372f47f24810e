"""A law on lattice points below another in convex order: a polygon that lies nowhere above H(a) = E[(R - a)₊].

The outcomes of each half of a cell are merged at their mean, which lowers H (Jensen). In a cell the polygon through H
at its corners then exceeds H by D at most, which is largest at one of the two means; a corner where it falls by the
larger D of its two cells leaves both chords below H. At the ends, where H meets its asymptotes E[R] - a·(mass) and 0,
the polygon reaches each of them at a corner where H is further from it than D, and follows it from there on: what lies
beyond is merged there too. So mass and mean are kept, and the polygon's second differences, if none is negative, are
the masses of a law below. A corner with a negative mass falls further, to the chord of its neighbours or below it, at
their expense.

Rounding: let e bound what the masses m are off. Then m - 2e is below the exact m by e at least. Further falls are
what they are in floats, whatever they were meant to be: with them the exact masses become at least those in floats,
plus e, less the roundings of these falls, which are held to be less than e. So the exact polygon is convex, and its law
is one below whose masses are no smaller than those returned.

Heights and falls at a corner are in widths of the cell that follows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpplan.accounting.pairs.law import EPS, Array

Corners = npt.NDArray[np.int64]

SWEEPS, FURTHER = 200, 1.5  # a negative mass is overpaid, so that an end is reached
NARROWINGS = 4  # ends of the polygon that are tried
LEAST_MASS = 1e-290  # smaller masses have lost digits


@dataclass(frozen=True, slots=True)
class Stuck:
    """No polygon was found: corners before `left` and from `right` on lie too close for what is between them."""

    left: int
    right: int


@dataclass(frozen=True, eq=False)
class CornerCells:
    """Between successive corners. low, high: what the corners on the left and on the right get, keeping mass and mean;
    gap: D; wider: [corner], the width that follows over the one before; rounding: of masses, relative."""

    low: Array
    high: Array
    gap: Array
    wider: Array
    rounding: Array

    @classmethod
    def between(cls, corners: Corners, landed: tuple[Array, Array, Array], rounding: Array, g: float) -> "CornerCells":
        """landed: mass and mass times place of the halves of the lattice's cells, and what is on points. All of it
        lies between the first corner and the last."""
        mass, right, points = landed
        spans = np.diff(corners)
        every = np.arange(len(points))
        cell = np.clip(np.searchsorted(corners, every, side="right") - 1, 0, len(spans) - 1)
        offset, span = every - corners[cell], spans[cell]
        loose = np.where((offset > 0) & (offset < span), points, 0.0)
        begin, whole = np.expm1(g * offset) / np.expm1(g * span), np.exp(g * offset) * np.expm1(g) / np.expm1(g * span)
        sums = np.zeros((2, 2 * len(spans)))
        inner = slice(0, len(points) - 1)
        for part in range(2):
            where = 2 * cell[inner] + (2 * offset[inner] + part >= span[inner])
            placed = mass[part] * begin[inner] + right[part] * whole[inner]
            sums += [np.bincount(where, values, 2 * len(spans)) for values in (mass[part], placed)]
        where = 2 * cell + (2 * offset >= span)
        sums += [np.bincount(where, values, 2 * len(spans)) for values in (loose, loose * begin)]
        (near, far), (near_right, far_right) = (side.reshape(-1, 2).T for side in sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.clip(np.where(near > 0.0, near_right / near, 0.0), 0.0, 1.0)
            z = np.clip(np.where(far > 0.0, far_right / far, 1.0), 0.0, 1.0)
        low, high = near * (1.0 - x) + far * (1.0 - z), near * x + far * z
        apart = g * spans
        wider = np.exp(np.append(apart, apart[-1]))
        wider[1:-1] = np.expm1(apart[1:]) / -np.expm1(-apart[:-1])
        most = np.maximum.reduceat(rounding, corners[:-1]) + 16.0 * EPS
        gap = np.maximum(x * low, (1.0 - z) * high) + 4.0 * most * (near + far)
        return cls(low, high, gap, wider, most)


def polygon(cells: CornerCells, points: Array) -> Array | Stuck:
    """The masses at the corners, none negative. points: what is there already, [corner]."""
    lefts, depths = _from_left(cells, points)
    rights, heights = _from_right(cells, points)
    begins = np.flatnonzero((depths[:-1] >= cells.gap) & (lefts[:-1] > 0.0))
    ends = np.flatnonzero((heights[1:] >= cells.gap / cells.wider[1:]) & (rights[1:] > 0.0))[::-1] + 1
    heaviest, skipped = int(np.argmax(cells.low + cells.high)), [0, 0]
    stuck = Stuck(heaviest, heaviest + 1)
    for attempt in range(NARROWINGS):
        if skipped[0] >= len(begins) or skipped[1] >= len(ends):
            break
        begin, end = int(begins[skipped[0]]), int(ends[skipped[1]])
        if begin >= end:
            break
        own, owed = _masses(cells, points, (begin, float(depths[begin])), (end, float(heights[end])))
        own[begin] += lefts[begin]
        own[end] += rights[end]
        masses, error = own - owed, _error(cells, own + owed, begin, end)
        found = _mended((masses - 2.0 * error)[begin : end + 1], cells.wider[begin : end + 1], error[begin : end + 1])
        if not isinstance(found, int):
            result = np.zeros(len(points))
            result[begin : end + 1] = found
            return result
        if attempt == 0:
            stuck = _around(masses[begin : end + 1] < 0.0, begin, heaviest)
        skipped[found] = 2 * skipped[found] + 1
    return stuck


def _around(negative: npt.NDArray[np.bool_], begin: int, heaviest: int) -> Stuck:
    """The corners around the heaviest cell up to the first negative masses on either side."""
    where = np.flatnonzero(negative) + begin
    left, right = where[where <= heaviest], where[where > heaviest]
    return Stuck(int(left[-1]) if len(left) else 0, int(right[0]) if len(right) else begin + len(negative))


def _masses(
    cells: CornerCells, points: Array, left: tuple[int, float], right: tuple[int, float]
) -> tuple[Array, Array]:
    """What each corner has between the ends, with what its own fall adds; and what its neighbours' falls take."""
    (begin, depth), (end, height), wider = left, right, cells.wider
    fall = np.maximum(np.append(0.0, cells.gap) / wider, np.append(cells.gap, 0.0))
    fall[:begin], fall[end + 1 :] = 0.0, 0.0
    fall[begin], fall[end] = depth, height
    own = (1.0 + wider) * fall
    own[begin], own[end] = depth, wider[end] * height
    own[begin : end + 1] += points[begin : end + 1]
    own[begin:end] += cells.low[begin:end]
    own[begin + 1 : end + 1] += cells.high[begin:end]
    owed = np.zeros(len(points))
    owed[begin:end] += wider[begin + 1 : end + 1] * fall[begin + 1 : end + 1]
    owed[begin + 1 : end + 1] += fall[begin:end]
    return own, owed


def _error(cells: CornerCells, size: Array, begin: int, end: int) -> Array:
    """Of the masses; size: what they are made of."""
    landed = 3.0 * cells.rounding * (cells.low + cells.high)
    error = 16.0 * EPS * size
    error[1:] += landed
    error[:-1] += landed
    # The ends' masses and heights are sums over all cells beyond.
    error[begin : begin + 2] += 8.0 * EPS * (begin + 1) * size[begin]
    error[end - 1 : end + 1] += 8.0 * EPS * (len(size) - end) * size[end]
    return error


def _from_left(cells: CornerCells, points: Array) -> tuple[Array, Array]:
    """The mass in the cells and corners left of each corner, and how far H lies above E[R] - a·(mass) there."""
    mass = depth = 0.0
    masses, depths = [0.0], [0.0]
    rows = (points[:-1], cells.low, cells.high, cells.wider[1:])
    for point, low, high, wider in zip(*(row.tolist() for row in rows), strict=True):
        mass += point
        depth = (depth + mass + low) / wider
        mass += low + high
        masses.append(mass)
        depths.append(depth)
    return np.array(masses), np.array(depths)


def _from_right(cells: CornerCells, points: Array) -> tuple[Array, Array]:
    """The mass right of each corner, and H there."""
    mass = height = 0.0
    masses, heights = [0.0], [0.0]
    rows = (points[:0:-1], cells.low[::-1], cells.high[::-1], cells.wider[:0:-1])
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
