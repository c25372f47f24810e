"""Stage 2, compose: the laws that have no decay of their own, as one part of a mixed measure."""

import math
from functools import cached_property
from typing import Protocol

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Line
from dpplan.accounting.exact.contour.privacy_loss import grown_error
from dpplan.accounting.exact.contour.saddle_point import Saddle
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.exact.mixed import laplace_gauss_rule
from dpplan.accounting.exact.mixed.laplace_gauss_rule import Density, Panels
from dpplan.accounting.exact.mixed.law_as_points import LARGEST, Points, Uncomposable, normalised, points
from dpplan.accounting.exact.mixed.points_transform import Missing, Remainder, Tilted
from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs.law import Law
from dpplan.quick_dataclass import dataclass

PICTURE = 8.0  # tilt up to which the points serve by which a place is chosen
MOST_POINTS = 20_000
LINE_WORK = 3_000_000_000  # points times frequencies of one law: a second at most


class PointLaw(Protocol):
    """`count` steps of a law that points stand for; removed: the probability that a step of it is cut away."""

    @property
    def count(self) -> float: ...

    @property
    def removed(self) -> float: ...

    def at(self, tilts: Array, u: float = 0.0) -> list[Tilted]:
        """The law under each tilt, with points good for |Im z| up to u."""
        ...

    def picture(self) -> Points:
        """Points good enough to choose by."""
        ...

    def log_decay(self, tilted: Tilted, edges: Array) -> Array:
        """As LossMoments.log_decay, of all steps."""
        ...


@dataclass(frozen=True)
class Factor:
    """`count` steps of a law that points stand for. parts: what of it is no atom."""

    law: Law
    count: float
    parts: tuple[Density, ...]

    @classmethod
    def of(cls, law: Law, count: int) -> "Factor | None":
        """None where the law is not known here."""
        low, high = law.bounds
        parts = laplace_gauss_rule.densities(law)
        return None if parts is None or max(-low, high) > LARGEST else cls(law, float(count), parts)

    def at(self, tilts: Array, u: float = 0.0) -> list[Tilted]:
        """The law under each tilt, with points good for |Im z| up to u."""
        panels = Panels.good_to(float(np.max(tilts)), u)
        if sum(panels.count(part.e) for part in self.parts) * laplace_gauss_rule.NODES > MOST_POINTS:
            raise Uncomposable("more points than this engine takes")
        held, zero, minus_one = self._points(panels), self._left_out(panels, 0.0), self._left_out(panels, -1.0)
        return [
            Tilted(held, self._missing, tilt, Remainder.of(self._left_out(panels, tilt, u), zero, minus_one))
            for tilt in tilts.tolist()
        ]

    @property
    def removed(self) -> float:
        """Nothing finite is cut away."""
        return 0.0

    def log_decay(self, tilted: Tilted, edges: Array) -> Array:
        """The law does not exceed its own moment, which its unit may be below by its error."""
        return np.full(len(edges), self.count * math.log1p(tilted.error))

    def picture(self) -> Points:
        """Points good enough to choose by."""
        return self._points(Panels.good_to(PICTURE, 0.0))

    @cached_property
    def _missing(self) -> Missing:
        return Missing(self.law.infinite, self.law.vanishing, normalised(self.law))

    def _points(self, panels: Panels) -> Points:
        found = points(self.law, panels.rule)
        assert found is not None  # densities() knows the same kinds
        return found

    def _left_out(self, panels: Panels, s: float, u: float = 0.0) -> float:
        """log of what the rule leaves out of the moment at Re z = s and |Im z| <= u."""
        return float(np.logaddexp.reduce([panels.log_remainder(part, s, u) for part in self.parts], initial=-math.inf))


@dataclass(frozen=True)
class Factors:
    """All laws that points stand for."""

    laws: tuple[PointLaw, ...]

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what paths with a step that is cut away add to delta, and about its slope."""
        return 0.0, math.fsum(law.removed for law in self.laws) * (1.0 + 8.0 * EPS), 0.0

    def moments(self, tilts: Array) -> "FactorMoments":
        return FactorMoments(
            self, tilts, [list(row) for row in zip(*(law.at(tilts) for law in self.laws), strict=True)]
        )

    def line(self, tilt: float, u: Array) -> Line:
        log_values, off, unit, mean = np.zeros(len(u), complex), np.zeros(len(u)), 0.0, 0.0
        for law in self.laws:
            tilted = law.at(np.array([tilt]), float(u[-1]))[0]
            if len(tilted.points.loss) * len(u) > LINE_WORK:
                raise Uncomposable("more points times frequencies than this engine takes")
            log_phi, lost = tilted.log_line(u)
            log_values += law.count * log_phi
            off += law.count * (lost + max(8.0, len(self.laws)) * EPS * np.abs(log_phi))
            off += 8.0 * EPS * law.count * abs(tilted.log_g)
            unit += law.count * tilted.log_g
            mean += law.count * abs(tilted.slope)
        off += EPS * (32.0 + u * mean)
        return Line(np.exp(log_values), grown_error(log_values.real, off), unit, mean)


@dataclass(frozen=True)
class FactorMoments:
    """`Factors` at a table of tilts; rows: each law at each tilt."""

    measure: Factors
    tilts: Array
    rows: list[list[Tilted]]

    @cached_property
    def logs(self) -> Array:
        """Upper bounds on log M(s), [tilt]."""
        tops = [
            [law.count * each.log_top for law, each in zip(self.measure.laws, row, strict=True)] for row in self.rows
        ]
        return np.array([math.fsum(row) + 8.0 * EPS * math.fsum(map(abs, row)) for row in tops])

    def log_unit(self, index: int) -> float:
        return math.fsum(law.count * each.log_g for law, each in zip(self.measure.laws, self.rows[index], strict=True))

    def log_decay(self, index: int, edges: Array) -> Array:
        """The sum of all laws'."""
        pairs = zip(self.measure.laws, self.rows[index], strict=True)
        return np.asarray(np.sum([law.log_decay(each, edges) for law, each in pairs], axis=0))


class FactorPicture:
    """Saddles of all laws that points stand for, which are held in one row, law after law."""

    def __init__(self, laws: tuple[PointLaw, ...]) -> None:
        held = [law.picture() for law in laws]
        self.counts = np.array([law.count for law in laws])
        self.starts = np.cumsum([0, *(len(points.loss) for points in held)])[:-1]
        self.losses = np.concatenate([points.loss for points in held])
        self.log_p = np.log(np.concatenate([points.p for points in held]))
        self.law = np.repeat(np.arange(len(held)), [len(points.loss) for points in held])

    def at(self, tilt: float) -> Saddle:
        terms = tilt * self.losses + self.log_p
        top = np.maximum.reduceat(terms, self.starts)
        weight = np.exp(terms - top[self.law])
        total = np.add.reduceat(weight, self.starts)
        mean = np.add.reduceat(weight * self.losses, self.starts) / total
        spread = np.add.reduceat(weight * (self.losses - mean[self.law]) ** 2, self.starts) / total
        log_moment = float(self.counts @ (top + np.log(total)))
        return Saddle(tilt, log_moment, float(self.counts @ mean), float(self.counts @ spread))
