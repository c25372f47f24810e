"""A law on lattice points below another in convex order: a polygon that lies nowhere above H(a) = E[(R - a)₊].

The outcomes of each half of a cell are merged at their mean, which lowers H (Jensen). In a cell the polygon through H
at its corners then exceeds H by D at most, which is largest at one of the two means; a corner where it falls by the
larger D of its two cells leaves both chords below H; so does one corner of a cell that falls alone, by more (falls).
At the ends, where H meets its asymptotes E[R] - a·(mass) and 0, the polygon reaches each of them at a corner and
follows it from there on: what lies beyond is merged there too. So mass and mean are kept, and the polygon's second
differences, if none is negative, are the masses of a law below. A corner with a negative mass falls further, to the
chord of its neighbours, at their expense.

Rounding: let e bound what the masses m are off. Then m - 2e is below the exact m by e at least. Further falls are
what they are in floats, whatever they were meant to be: with them the exact masses become at least those in floats,
plus e, less the roundings of these falls, which are held to be less than e. So the exact polygon is convex, and its law
is one below whose masses are no smaller than those returned.

Heights and falls at a corner are in widths of the cell that follows.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpplan.accounting.pairs.law import EPS, Array

Corners = npt.NDArray[np.int64]

SHARE = 0.5  # of how far H is from an asymptote at a corner, that D may be at most
CLEAR = 1.0 + 1e-6  # of what a corner falls, by which it stays off the asymptotes: roundings of all masses are less
ATTEMPTS = 5
UNEVEN = 16  # of so many widths that follow one another, one differs at most from the one before, or sums go one by one
LEAST_MASS = 1e-290  # smaller masses have lost digits


@dataclass(frozen=True, slots=True)
class GeometricScale:
    """Points e^(j·step)."""

    step: float

    def places(self, left: Corners, offset: Corners, span: Corners) -> tuple[Array, Array]:
        """Of points `offset` right of a corner whose next is `span` away: where in that cell each lies, from 0 to 1,
        and how much of it the lattice's cell right of the point is."""
        whole = np.expm1(self.step * span)
        return np.expm1(self.step * offset) / whole, np.exp(self.step * offset) * np.expm1(self.step) / whole

    def wider(self, corners: Corners) -> Array:
        """The width that follows a corner over the one before, [corner]; at either end as if the same went on."""
        apart = self.step * np.diff(corners)
        found = np.exp(np.append(apart, apart[-1]))
        found[1:-1] = np.expm1(apart[1:]) / -np.expm1(-apart[:-1])
        return np.asarray(found)


@dataclass(frozen=True, slots=True, eq=False)
class PointScale:
    """Points anywhere, rising, whose differences are exact."""

    values: Array

    def places(self, left: Corners, offset: Corners, span: Corners) -> tuple[Array, Array]:
        """As of GeometricScale."""
        at, last = left + offset, len(self.values) - 1
        whole = self.values[left + span] - self.values[left]
        after = self.values[np.minimum(at + 1, last)] - self.values[at]
        return (self.values[at] - self.values[left]) / whole, after / whole

    def wider(self, corners: Corners) -> Array:
        apart = np.diff(self.values[corners])
        found = np.ones(len(corners))
        found[1:-1] = apart[1:] / apart[:-1]
        return found


@dataclass(frozen=True, eq=False)
class CornerCells:
    """Between successive corners. low, high: what the corners on the left and on the right get, keeping mass and mean;
    falls: D, and what the left or the right corner falls instead where the other one does not; wider: [corner], the
    width that follows over the one before; rounding: of masses, and of those on the points beside, relative."""

    low: Array
    high: Array
    falls: tuple[Array, Array, Array]
    wider: Array
    rounding: Array

    @classmethod
    def between(
        cls, corners: Corners, landed: tuple[Array, Array, Array], rounding: Array, scale: "GeometricScale | PointScale"
    ) -> "CornerCells":
        """landed: mass and mass times place of the halves of the lattice's cells, and what is on points. All of it
        lies between the first corner and the last."""
        mass, right, points = landed
        spans = np.diff(corners)
        every = np.arange(len(points))
        cell = np.clip(np.searchsorted(corners, every, side="right") - 1, 0, len(spans) - 1)
        offset, span = every - corners[cell], spans[cell]
        loose = np.where((offset > 0) & (offset < span), points, 0.0)
        begin, whole = scale.places(corners[cell], offset, span)
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
        most = np.maximum.reduceat(rounding, corners[:-1]) + 16.0 * EPS
        slack = 4.0 * most * (near + far)
        with np.errstate(divide="ignore", invalid="ignore"):
            left = np.maximum(high, np.where(x < 1.0, x * low / (1.0 - x), 0.0)) + slack
            right = np.maximum(low, np.where(z > 0.0, (1.0 - z) * high / z, 0.0)) + slack
        gap = np.maximum(x * low, (1.0 - z) * high) + slack
        return cls(low, high, (gap, left, right), scale.wider(corners), most)


def polygon(cells: CornerCells, points: Array) -> Array | None:
    """The masses at the corners, none negative; None where there is no such polygon. points: what is there already,
    [corner]."""
    lefts, depths = _from_left(cells, points)
    rights, heights = _from_right(cells, points)
    middle = int(np.argmax(np.minimum(depths, heights)))
    fall = _falls(cells, middle, depths, heights)
    if min(depths[middle], heights[middle]) < CLEAR * fall[middle]:
        return None
    low = np.flatnonzero(depths[:middle] < CLEAR * fall[:middle])
    high = np.flatnonzero(heights[middle + 1 :] < CLEAR * fall[middle + 1 :])
    begin = int(low[-1]) if len(low) else 0
    end = int(high[0]) + middle + 1 if len(high) else len(points) - 1
    fall[begin], fall[end] = depths[begin], heights[end]
    own, owed = _masses(cells, points, fall, (begin, end))
    own[begin] += lefts[begin]
    own[end] += rights[end]
    masses, error = own - owed, _error(cells, own + owed, begin, end)
    inner = slice(begin, end + 1)
    found = _convex((masses - 2.0 * error)[inner], cells.wider[inner], error[inner])
    if found is None:
        return None
    result = np.zeros(len(points))
    result[inner] = found
    return result


def _falls(cells: CornerCells, middle: int, depths: Array, heights: Array) -> Array:
    """Of the corners. In a tail, where D would bring an outer corner near an asymptote, the inner one falls alone: by
    no more than what its own cell adds to how far it is from that."""
    gap, left, right = cells.falls
    cell = np.arange(len(gap))
    outer_left = (cell < middle) & (SHARE * depths[:-1] < gap)
    outer_right = (cell >= middle) & (SHARE * heights[1:] * cells.wider[1:] < gap)
    of_left = np.where(outer_left, 0.0, np.where(outer_right, left, gap))
    of_right = np.where(outer_right, 0.0, np.where(outer_left, right, gap))
    return np.maximum(np.append(0.0, of_right) / cells.wider, np.append(of_left, 0.0))


def _masses(cells: CornerCells, points: Array, falls: Array, ends: tuple[int, int]) -> tuple[Array, Array]:
    """What each corner has between the ends, with what its own fall adds; and what its neighbours' falls take."""
    (begin, end), wider = ends, cells.wider
    fall = np.where((np.arange(len(points)) >= begin) & (np.arange(len(points)) <= end), falls, 0.0)
    depth, height = float(fall[begin]), float(fall[end])
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
    landed, beside = 3.0 * cells.rounding * (cells.low + cells.high), np.zeros(len(size))
    beside[1:] = cells.rounding
    beside[:-1] = np.maximum(beside[:-1], cells.rounding)
    error = (16.0 * EPS + 2.0 * beside) * size
    error[1:] += landed
    error[:-1] += landed
    # The ends' masses and heights are sums over all cells beyond.
    worst = 2.0 * float(cells.rounding.max())
    error[begin : begin + 2] += (8.0 * EPS * (begin + 1) + worst) * size[begin]
    error[end - 1 : end + 1] += (8.0 * EPS * (len(size) - end) + worst) * size[end]
    return error


def _from_left(cells: CornerCells, points: Array) -> tuple[Array, Array]:
    """The mass in the cells and corners left of each corner, and how far H lies above E[R] - a·(mass) there."""
    sums = _by_turns(points[:-1], cells.low + cells.high)
    np.add.accumulate(sums, out=sums)
    mass, low, wider = sums[1::2], cells.low, cells.wider[1:]
    uneven = np.flatnonzero(wider != 1.0).tolist()
    if UNEVEN * len(uneven) <= len(wider):
        return sums[::2], np.append(0.0, _carried(_by_turns(mass, low), wider, uneven, operator.truediv) / wider)
    depth, rows = 0.0, zip(mass.tolist(), low.tolist(), wider.tolist(), strict=True)
    return sums[::2], np.array([0.0, *[depth := (depth + one + other) / ratio for one, other, ratio in rows]])


def _from_right(cells: CornerCells, points: Array) -> tuple[Array, Array]:
    """The mass right of each corner, and H there."""
    sums = _by_turns(points[:0:-1], (cells.low + cells.high)[::-1])
    np.add.accumulate(sums, out=sums)
    mass, high, wider = sums[1::2], cells.high[::-1], cells.wider[:0:-1]
    uneven = np.flatnonzero(wider[1:] != 1.0).tolist()
    if UNEVEN * len(uneven) <= len(wider):
        return sums[::-2], np.append(_carried(_by_turns(mass, high), wider[1:], uneven, operator.mul)[::-1], 0.0)
    height, rows = 0.0, zip(mass.tolist(), high.tolist(), wider.tolist(), strict=True)
    return sums[::-2], np.array([0.0, *[height := height * ratio + one + other for one, other, ratio in rows]])[::-1]


def _by_turns(first: Array, second: Array) -> Array:
    """0, and one of each."""
    found = np.zeros(2 * len(first) + 1)
    found[1::2], found[2::2] = first, second
    return found


def _carried(terms: Array, factors: Array, uneven: list[int], by: Callable[[float, float], float]) -> Array:
    """x[i] = carried + terms[2i + 1] + terms[2i + 2], where by(x[i], factors[i]) is carried on. uneven: the factors
    that are not 1, between which these are sums; terms are overwritten."""
    begin, before = 0, 0.0
    for place in uneven:
        end = 2 * place + 3
        np.add.accumulate(terms[begin:end], out=terms[begin:end])
        terms[begin] = before
        begin = end - 1
        before = float(terms[begin])
        terms[begin] = by(before, float(factors[place]))
    np.add.accumulate(terms[begin:], out=terms[begin:])
    terms[begin] = before
    return terms[2::2]


def _convex(masses: Array, wider: Array, error: Array) -> Array | None:
    """The masses of the greatest polygon below that is convex; None if none was found. error: e."""
    for _ in range(ATTEMPTS):
        found, rounding = _without_negative(masses - 2.0 * error, wider)
        if found is None:
            return None
        if (rounding <= error).all():
            return found
        error = np.maximum(error, 2.0 * rounding)
    return None


def _without_negative(masses: Array, wider: Array) -> tuple[Array | None, Array]:
    """Corners with a negative mass are left out one by one, each by a fall to the chord of its neighbours, at their
    expense. None if an end is left without mass. Then what these falls are off by."""
    mass, ratio, last = masses.tolist(), wider.tolist(), len(masses) - 1
    off, roundings = [0.0] * len(mass), [0] * len(mass)  # roundings: of each ratio
    before, after = list(range(-1, last)), list(range(1, last + 2))
    wanting = np.flatnonzero(masses < 0.0).tolist()
    while wanting:
        corner = wanting.pop()
        owed, left, right, width, count = -mass[corner], before[corner], after[corner], ratio[corner], roundings[corner]
        if owed <= 0.0:
            continue
        if corner in (0, last):
            return None, np.array(off)
        mass[corner] = 0.0
        off[corner] += 8.0 * owed
        for neighbour, share in ((left, width / (1.0 + width)), (right, 1.0 / (1.0 + width))):
            mass[neighbour] -= owed * share
            off[neighbour] += (8.0 + count) * owed * share
            roundings[neighbour] += count + 4
            if mass[neighbour] < 0.0:
                wanting.append(neighbour)
        ratio[left] *= 1.0 + width
        ratio[right] *= width / (1.0 + width)
        after[left], before[right] = right, left
    return np.array(mass), EPS * np.array(off)
