"""Stage 2, compose: Gaussians and laws of other kinds in one measure, as contour/composed_loss for sampled Gaussians.

    M(z) = Π_j M_j(z),   |M_j(t + iu)| <= M_j(t),

so that the decay of those parts that have any bounds the far end of the frequency integral. Losses at +inf are no part
of M: they add their probability P∞ = 1 - Π_j (1 - p_j) to delta, at any ε, and what is left has total 1 - P∞.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Line
from dpplan.accounting.exact.contour.delta_interval import LossMeasure, LossMoments
from dpplan.accounting.exact.contour.privacy_loss import grown_error
from dpplan.accounting.exact.contour.saddle_point import Saddle, Saddles
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array
from dpplan.quick_dataclass import dataclass

NORMAL_UNITS = 16.0 * EPS  # of exponents that a few operations make, relative


class Part(LossMeasure, Protocol):
    """Some of the steps: a measure of total at most 1, as contour/composed_loss.Measure is one."""

    def moments(self, tilts: Array) -> LossMoments:
        """Its moments at tilts above 0."""
        ...


class Picture(Protocol):
    """log M, its slope and its curvature at a real tilt, to choose by."""

    def at(self, tilt: float) -> Saddle: ...


@dataclass(frozen=True)
class MixedMeasure:
    """The product of its parts. infinite: ends for the probability of a loss at +inf."""

    parts: tuple[Part, ...]
    infinite: tuple[float, float]

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what losses at +inf and those cut away add to delta(ε), and about its slope."""
        rows = [part.beyond(epsilon) for part in self.parts]
        low, high, slope = (math.fsum(row[column] for row in rows) for column in range(3))
        return low + self.infinite[0], (high + self.infinite[1]) * (1.0 + 8.0 * EPS), slope

    def moments(self, tilts: Array) -> "MixedMoments":
        return MixedMoments(self, tilts, [part.moments(tilts) for part in self.parts])

    def line(self, tilt: float, u: Array) -> Line:
        """M on Re z = tilt at equally spaced u from 0."""
        lines = [part.line(tilt, u) for part in self.parts]
        first, *others = lines
        values, error, unit, mean, sizes = first.values, first.error, first.log_unit, first.mean, abs(first.log_unit)
        for other in others:
            size, own = np.abs(other.values), other.error
            error = error * (size + own) + np.abs(values) * (own + 8.0 * EPS * size)
            values = values * other.values
            unit, mean, sizes = unit + other.log_unit, mean + other.mean, sizes + abs(other.log_unit)
        error = error + 8.0 * EPS * sizes * np.abs(values) + 1e-305
        return Line(values, error, unit, mean, math.fsum(line.unit_error for line in lines))


@dataclass(frozen=True)
class MixedMoments:
    """A mixed measure's moments at a table of tilts."""

    measure: MixedMeasure
    tilts: Array
    parts: list[LossMoments]

    @cached_property
    def logs(self) -> Array:
        """Upper bounds on log M(s), [tilt]; inf where nothing could be bounded."""
        logs = np.stack([part.logs for part in self.parts])
        total = logs.sum(axis=0) + EPS * (4.0 + len(logs)) * np.abs(logs).sum(axis=0)
        return np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf)

    def log_unit(self, index: int) -> float:
        return math.fsum(part.log_unit(index) for part in self.parts)

    def log_decay(self, index: int, edges: Array) -> Array:
        """log of a bound on |M(s + iu)| in that unit for u in [edges_k, edges_k+1], the last for all u beyond."""
        return np.asarray(np.sum([part.log_decay(index, edges) for part in self.parts], axis=0))


@dataclass(frozen=True)
class Normal:
    """Gaussians without sampling: M(z) = e^(squared_mean·z(z + 1)/2), squared_mean = Σ count/σ², to NORMAL_UNITS."""

    squared_mean: float

    def at(self, tilt: float) -> Saddle:
        m = self.squared_mean
        return Saddle(tilt, 0.5 * m * tilt * (tilt + 1.0), m * (tilt + 0.5), m)

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        return 0.0, 0.0, 0.0

    def moments(self, tilts: Array) -> "NormalMoments":
        return NormalMoments(self, tilts)

    def line(self, tilt: float, u: Array) -> Line:
        saddle, m = self.at(tilt), self.squared_mean
        exponent = np.empty(len(u), complex)
        exponent.real, exponent.imag = -0.5 * m * u * u, u * saddle.slope
        # What the squared mean, products and functions are off, of the exponent's whole size, and of its unit.
        off = NORMAL_UNITS * (1.0 + 0.5 * m * np.hypot(tilt, u) * np.hypot(1.0 + tilt, u))
        return Line(np.exp(exponent), grown_error(exponent.real, off), saddle.log_moment, abs(saddle.slope))


@dataclass(frozen=True)
class NormalMoments:
    """`Normal` at a table of tilts."""

    measure: Normal
    tilts: Array

    @property
    def logs(self) -> Array:
        units = np.array([self.log_unit(index) for index in range(len(self.tilts))])
        return np.asarray(units * (1.0 + NORMAL_UNITS))

    def log_unit(self, index: int) -> float:
        return self.measure.at(float(self.tilts[index])).log_moment

    def log_decay(self, index: int, edges: Array) -> Array:
        spare = NORMAL_UNITS * self.log_unit(index)
        return np.asarray(-0.5 * self.measure.squared_mean * edges**2 * (1.0 - NORMAL_UNITS) + spare)


class MixedSaddles(Saddles):
    """Saddles of the product of the parts that these are pictures of."""

    def __init__(self, pictures: Sequence[Picture], total: float) -> None:
        self.pictures, self.total = pictures, total

    def at(self, tilt: float) -> Saddle:
        rows = [picture.at(tilt) for picture in self.pictures]
        return Saddle(
            tilt,
            sum(row.log_moment for row in rows),
            sum(row.slope for row in rows),
            sum(row.curvature for row in rows),
        )
