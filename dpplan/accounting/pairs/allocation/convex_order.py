"""Back to the lattice: from what landed in cells to a law on the points, one above in convex order and one below.

above   each outcome goes to the two ends of its cell, keeping mass and mean.
below   a polygon with corners on the lattice that lies nowhere above E[(R - a)₊], as a function of a (lower_polygon).
"""

import numpy as np

from dpplan.accounting.pairs.allocation.averaging import Landed
from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, kept, step
from dpplan.accounting.pairs.allocation.lower_polygon import LEAST_MASS, CornerCells, Corners, Stuck, polygon
from dpplan.accounting.pairs.law import EPS

COARSENINGS = 12  # of the corners in a tail


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
    """A law below what landed; least: the mass that may be left out at either end. Without any mass where there is
    none to be found."""
    start, end = kept(landed.mass.sum(axis=0) + landed.points[:-1], landed.losses, least)
    mass, right, points = landed.mass[:, start:end], landed.right[:, start:end], landed.points[start : end + 1]
    filled = mass.sum(axis=0) > LEAST_MASS
    mass, right = np.where(filled, mass, 0.0), np.where(filled, right, 0.0)
    corner = points > LEAST_MASS
    corner[:-1] |= filled
    corner[1:] |= filled
    corners = np.flatnonzero(corner)
    masses = np.zeros(len(points))
    for _ in range(COARSENINGS if len(corners) > 1 else 0):
        cells = CornerCells.between(corners, (mass, right, points), landed.rounding[start:end], step(landed.level))
        found = polygon(cells, points[corners])
        if not isinstance(found, Stuck):
            masses[corners] = found
            break
        corners = _coarser(corners, found)
    if len(corners) == 1:
        masses[corners] = points[corners] * (1.0 - 4.0 * EPS)
    return LatticeMeasure(landed.level, landed.first + start, masses, landed.moved).within(least)


def _coarser(corners: Corners, stuck: Stuck) -> Corners:
    """Every other corner of a tail where masses alternate, because single large outcomes lie on a coarser lattice."""
    inner = corners[stuck.left : stuck.right]
    left, right = corners[: stuck.left][::2], corners[stuck.right :][::-1][::2][::-1]
    return np.concatenate((left, inner, right))
