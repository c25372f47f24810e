"""Back to the lattice: from what landed in cells to a law on the points, one above in convex order and one below.

above   each outcome goes to the two ends of its cell, keeping mass and mean.
below   a polygon with corners on the lattice that lies nowhere above E[(R - a)₊], as a function of a (lower_polygon).
"""

import numpy as np

from dpplan.accounting.pairs.allocation.averaging import Landed
from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, kept, step
from dpplan.accounting.pairs.allocation.lower_polygon import (
    LEAST_MASS,
    CornerCells,
    GeometricScale,
    PointScale,
    polygon,
)
from dpplan.accounting.pairs.law import EPS, Array


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
    masses = lowered((mass, right, points), landed.rounding[start:end], GeometricScale(step(landed.level)))
    return LatticeMeasure(landed.level, landed.first + start, masses, landed.moved).within(least)


def lowered(landed: tuple[Array, Array, Array], rounding: Array, scale: GeometricScale | PointScale) -> Array:
    """Masses on points of a law below what landed: mass and mass times place, [half, cell], and what is on points.
    rounding: [cell]. None at all where none are found."""
    mass, right, points = landed
    filled = mass.sum(axis=0) > LEAST_MASS
    mass, right = np.where(filled, mass, 0.0), np.where(filled, right, 0.0)
    corner = points > LEAST_MASS
    corner[:-1] |= filled
    corner[1:] |= filled
    corners = np.flatnonzero(corner)
    masses = np.zeros(len(points))
    if len(corners) > 1:
        found = polygon(CornerCells.between(corners, (mass, right, points), rounding, scale), points[corners])
        if found is not None:
            masses[corners] = found
    elif len(corners) == 1:
        masses[corners] = points[corners] * (1.0 - 4.0 * EPS)
    return masses
