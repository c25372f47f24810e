"""The lower law of a step: a polygon with corners on the lattice that lies nowhere above H(α) = ∫(dP - α·dQ)₊.

Each half of a cell is merged into one outcome first, which can only lower H (post-processing). In a cell the polygon
through H's values at the corners then exceeds H by at most its excess over the merged outcomes, D, which is largest
at one of them. A corner that falls by the larger D of its two cells leaves both chords below H. Second order: for a
smooth density D is an eighth of the cell's mass times its width.

At the ends H meets its asymptotes 0 and P - α·Q. The polygon reaches each of them at a corner where H is still further
from it than D, and follows it from there on, so that both measures are kept: what lies beyond is merged as well.

Units: masses of Q, tilted: a mass at corner i is multiplied by lift^i, a fall is in widths of the cell that follows,
with the corner's tilt; `wider` is a cell's width over that of the one before, in α.
"""

import numpy as np

from dpplan.accounting.pairs.law import EPS, Array
from dpplan.quick_dataclass import dataclass

MENDS = 60  # sweeps; what takes more is a lattice too coarse for its law


@dataclass(frozen=True)
class Cells:
    """Q-masses of the halves of each cell, with the tilt of its left corner, and where in the cell the likelihood ratio
    of each half has its mean, from 0 to 1; [cell, 2]."""

    mass: Array
    place: Array

    @property
    def ends(self) -> tuple[Array, Array]:
        """What the corner on the left and on the right get, keeping both measures; in the left one's tilt. [cell]"""
        right = self.mass * self.place
        return (self.mass - right).sum(axis=1), right.sum(axis=1)

    @property
    def gap(self) -> Array:
        """D of each cell in units of mass times width: by how much the chord lies above the merged halves. [cell]"""
        (near, far), (x, z) = self.mass.T, self.place.T
        most = np.maximum(x * (near * (1.0 - x) + far * (1.0 - z)), (1.0 - z) * (near * x + far * z))
        return np.asarray(most * (1.0 + 16.0 * EPS))


def spread(cells: Cells, lift: float) -> Array:
    """Connect the dots: the masses of the polygon through H at the corners, an upper law; [corner]."""
    left, right = cells.ends
    masses = np.append(left, 0.0)
    masses[1:] += lift * right
    return masses


def lowered(cells: Cells, wider: float, lift: float) -> tuple[Array, float, bool]:
    """The lower law's masses, [corner], and how much of them rounding may have added; block by block, a block being a
    run of cells that are not empty. And whether a block of more than one cell has no polygon."""
    total = cells.mass.sum(axis=1)
    masses, added, failed = np.zeros(len(total) + 1), 0.0, False
    filled = np.concatenate(([False], total > 0.0, [False]))
    edges = np.flatnonzero(filled[1:] != filled[:-1])
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        block = Cells(cells.mass[start:end], cells.place[start:end])
        smooth, more = _block(block, wider, lift)
        # Or every loss falls to the lattice point below. Both bound the truth; that of the larger moment is better.
        snapped = np.append(total[start:end], 0.0) * (1.0 - 4.0 * EPS)
        if smooth.sum() >= snapped.sum():
            masses[start : end + 1] += smooth
            added += more
        else:
            masses[start : end + 1] += snapped
            failed |= end - start > 1 and not smooth.any()
    return masses, added, failed


def _block(cells: Cells, wider: float, lift: float) -> tuple[Array, float]:
    """The polygon's masses, all zero where there is none with corners on this lattice; and what rounding may add."""
    gap = cells.gap
    (left, right), count = cells.ends, len(gap)
    begin, first, depth = _left_end(cells, gap, wider, lift)
    end, last, height = _right_end(cells, gap, wider, lift)
    if begin >= end:
        return np.zeros(count + 1), 0.0
    fall = np.maximum(np.append(0.0, gap) * (lift / wider), np.append(gap, 0.0))
    fall[: begin + 1], fall[end:] = 0.0, 0.0
    fall[begin], fall[end] = depth, height
    own = (1.0 + wider) * fall
    own[begin], own[end] = first + depth, last + wider * height
    inside = (np.arange(count) >= begin) & (np.arange(count) < end)
    own[:-1] += np.where(inside, left, 0.0)
    own[1:] += np.where(inside, lift * right, 0.0)
    owed = np.zeros(count + 1)
    owed[:-1] += wider / lift * fall[1:]
    owed[1:] += lift * fall[:-1]
    owed[:begin], owed[end + 1 :] = 0.0, 0.0
    rounding = 16.0 * EPS * (own + owed)
    rounding[begin : begin + 2] += 4.0 * EPS * begin * (first + depth) * lift
    rounding[end - 1 : end + 1] += 4.0 * EPS * (count - end) * (last + height) * wider
    masses = own - owed - rounding
    masses[:begin], masses[end + 1 :] = 0.0, 0.0
    return _mended(masses, (begin, end), wider, lift)


def _mended(masses: Array, ends: tuple[int, int], wider: float, lift: float) -> tuple[Array, float]:
    """A corner with a negative mass is lowered onto the chord of its neighbours, until there is none."""
    paid = 0.0
    for _ in range(MENDS):
        owed = np.maximum(-masses, 0.0)
        if not owed.any():
            return (masses, 8.0 * EPS * paid) if np.isfinite(masses).all() else (np.zeros_like(masses), 0.0)
        if owed[ends[0]] > 0.0 or owed[ends[1]] > 0.0:
            break
        paid += float(owed.sum())
        masses = np.maximum(masses, 0.0)
        masses[:-1] -= owed[1:] / lift * (wider / (1.0 + wider))
        masses[1:] -= owed[:-1] * lift / (1.0 + wider)
    return np.zeros_like(masses), 0.0


def _left_end(cells: Cells, gap: Array, wider: float, lift: float) -> tuple[int, float, float]:
    """The first corner where H lies above P - α·Q by D or more, the mass left of it, and that height."""
    mass, high = cells.mass.sum(axis=1).tolist(), (cells.mass * (1.0 - cells.place)).sum(axis=1).tolist()
    gaps = gap.tolist()
    left = depth = 0.0
    for corner in range(len(gaps)):
        if depth >= gaps[corner] and left > 0.0:
            return corner, left, depth
        depth = (depth + left + high[corner]) * lift / wider
        left = (left + mass[corner]) * lift
    return len(gaps), left, depth


def _right_end(cells: Cells, gap: Array, wider: float, lift: float) -> tuple[int, float, float]:
    """The last corner where H is D or more, the mass right of it, and that height."""
    mass, low = cells.mass.sum(axis=1).tolist(), (cells.mass * cells.place).sum(axis=1).tolist()
    gaps = gap.tolist()
    right = height = 0.0
    for corner in range(len(gaps), 0, -1):
        if height >= gaps[corner - 1] * lift / wider and right > 0.0:
            return corner, right, height
        height = height * wider / lift + right / lift + low[corner - 1]
        right = right / lift + mass[corner - 1]
    return 0, right, height
