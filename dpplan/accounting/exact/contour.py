"""Stage 3, invert: delta(ε) of a composed loss as a contour sum with every error bounded.

    delta(ε) = 1/(2πi) ∫ M(z)·e^(-εz) / (z(z + 1)) dz   on Re z = t > 0.

The trapezoid sum with step h over that line is exactly Σ_k e^(2πkt/h)·delta(ε + 2πk/h) (Poisson summation; every
term is positive), so the whole sum is an upper bound, and its aliases k ≠ 0, bounded by Chernoff at tilts above and
below t, give the lower one. The sum's far end is bounded by the measure's decay, the transform by its quadrature.

Symbols: t, u, h as above; Λ = 2π/h, the period of the aliases in ε.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from dpplan.accounting.exact.law import Array, ComplexArray
from dpplan.accounting.exact.measure import LOG_HUGE, Measure
from dpplan.accounting.exact.quadrature import EPS
from dpplan.accounting.exact.tilt import log_chernoff_factor

# Frequencies are bounded on a geometric net that starts at NET_START standard deviations of the characteristic
# function and ends NET_RATIO^NET_SIZE = 5e4 times higher.
NET_START, NET_RATIO, NET_SIZE = 6.0, 1.2, 60
# The most products of a frequency and a node that one sum may need: about 0.1 s.
MOST_WORK = 2e7


@dataclass(frozen=True, slots=True)
class DeltaInterval:
    """lower <= delta(ε) <= upper for one direction; terms: what each error contributes, in units of delta."""

    lower: float
    upper: float
    estimate: float
    slope: float  # d estimate / dε
    terms: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a contour is asked to keep below, as logs relative to delta, and the most frequencies it may use."""

    aliases: float
    rest: float
    most: int


@dataclass(frozen=True, slots=True)
class Chernoff:
    """Upper bounds on log delta from a table of tilts: min over s of log M(s) + log factor(s) - s·ε."""

    tilts: Array
    log_tops: Array

    @classmethod
    def of(cls, tilts: Array, log_moments: Array) -> "Chernoff":
        return cls(tilts, log_moments + [log_chernoff_factor(float(s)) for s in tilts])

    def log_delta(self, epsilon: float) -> float:
        return float(np.min(self.log_tops - self.tilts * epsilon))


@dataclass(frozen=True, slots=True)
class _Sum:
    """The contour sum without its dependence on ε; the errors are in units of e^log_unit."""

    z: ComplexArray
    weighted: ComplexArray
    error: float
    error_slope: float
    log_unit: float


class Contour:
    """delta(ε) of a measure near one ε. Build once, evaluate at every ε nearby; valid, if wide, at any other.

    tilts, log_moments: a table of upper bounds on log M at real tilts around `tilt` (0 with M <= 1 is added).
    spread: the variance of the tilted loss, for scale. bulk: a bound on the delta of what the measure leaves out.
    """

    def __init__(
        self, measure: Measure, tilt: float, tilts: Array, log_moments: Array, spread: float,
        epsilon: float, log_delta: float, accuracy: Accuracy, bulk: "Chernoff | None" = None,
    ) -> None:  # fmt: skip
        self.bulk = bulk
        self.measure, self.tilt, self.epsilon, self.log_delta = measure, tilt, epsilon, log_delta
        self.tilts = np.append(tilts, 0.0)
        self.log_tops = np.append(np.nan_to_num(log_moments, nan=math.inf), 0.0) + [
            log_chernoff_factor(float(s)) for s in self.tilts
        ]
        self.period = 8.0 * math.sqrt(spread)
        for _ in range(60):
            if self._log_aliases(epsilon) <= log_delta + accuracy.aliases:
                break
            self.period *= 1.1
        self.h = 2.0 * math.pi / self.period
        edges = NET_START / math.sqrt(spread) * np.power(NET_RATIO, np.arange(NET_SIZE, dtype=np.float64))
        top = self._choose_top(edges, accuracy)
        self.u = self.h * np.arange(int(top / self.h) + 2, dtype=np.float64)

    def _log_aliases(self, epsilon: float) -> float:
        """log of a bound on the sum over k ≠ 0 of e^(kΛt)·delta(ε + kΛ), from the best tilt on either side of t."""
        fade = np.minimum(-np.abs(self.tilts - self.tilt) * self.period, -1e-12)
        bound = self.log_tops - self.tilts * epsilon + fade - np.log(-np.expm1(fade))
        above = self.tilts > self.tilt
        below = self.tilts < self.tilt
        return float(np.logaddexp(np.min(bound[above]), np.min(bound[below])))

    def _choose_top(self, edges: Array, accuracy: Accuracy) -> float:
        """The frequency to stop at: where the rest is small enough, or the highest that can be afforded."""
        width = np.append(np.diff(edges), edges[-1])
        each = self.measure.log_decay(self.tilt, edges) + np.log((width + self.h) / (math.pi * edges**2))
        rest = np.logaddexp.accumulate(each[::-1])[::-1]
        goal = self.log_delta + accuracy.rest - (self.measure.log_whole(self.tilt) - self.tilt * self.epsilon)
        good = np.nonzero(rest <= goal)[0]
        affordable = max(int(np.searchsorted(edges, accuracy.most * self.h)) - 1, 0)
        chosen = min(int(good[0]) if len(good) else len(edges) - 1, affordable)
        while chosen > 0 and edges[chosen] / self.h * self.measure.nodes_for(self.tilt, edges[chosen]) > MOST_WORK:
            chosen = max(chosen - 2, 0)
        self.log_rest = float(rest[chosen])
        self.reached = len(good) > 0 and chosen == int(good[0])
        return float(edges[chosen])

    @cached_property
    def _sum(self) -> "_Sum":
        """Everything in the sum that does not depend on ε. The dear part: made when first asked for."""
        u = self.u
        values, error, log_unit, mean = self.measure.line(self.tilt, u)
        z = self.tilt + 1j * u
        weight = cast(ComplexArray, self.h / math.pi / (z * (z + 1.0)))
        weight[0] *= 0.5
        weighted = cast(ComplexArray, weight * values)
        size = np.abs(weighted)
        rounding = np.abs(weight) * error + EPS * (len(u) + 16.0 + u * abs(mean)) * size
        return _Sum(z, weighted, float(rounding.sum()), EPS * float((size * u).sum()), log_unit)

    def log_excess(self, epsilon: float) -> float:
        """log of how far the contour's largest term lies above delta: what cancellation costs at this ε."""
        return self._sum.log_unit - self.tilt * epsilon - self.log_delta

    def log_chernoff(self, epsilon: float) -> float:
        """log of the best Chernoff bound in the table on delta, all that the measure leaves out included."""
        rest = self.measure.removed + (math.exp(self.bulk.log_delta(epsilon)) if self.bulk else 0.0)
        best = float(np.min(self.log_tops - self.tilts * epsilon))
        return best if rest == 0.0 else float(np.logaddexp(best, math.log(rest)))

    def at(self, epsilon: float) -> DeltaInterval:
        """The interval for delta at this ε >= 0."""
        terms = self._sum
        turned = terms.weighted * np.exp(-1j * self.u * epsilon)
        base = terms.log_unit - self.tilt * epsilon
        scale = math.exp(min(base, LOG_HUGE))
        estimate = scale * float(turned.sum().real)
        slope = -scale * float((turned * terms.z).sum().real)
        units = EPS * (abs(terms.log_unit) + 2.0 * self.tilt * epsilon + 8.0)
        rounding = scale * (terms.error + terms.error_slope * epsilon) + abs(estimate) * units
        rest = math.exp(min(base + self.log_rest, LOG_HUGE))
        aliases = math.exp(min(self._log_aliases(epsilon), LOG_HUGE))
        removed = self.measure.removed
        bulk = math.exp(min(self.bulk.log_delta(epsilon), 0.0)) if self.bulk else 0.0
        return DeltaInterval(
            lower=estimate - rest - rounding - aliases,
            upper=estimate + rest + rounding + removed + bulk,
            estimate=estimate,
            slope=slope,
            terms=(
                ("aliases", aliases),
                ("frequencies left out", rest),
                ("transform and rounding", rounding),
                ("losses cut away", removed),
                ("paths without a jump", bulk),
            ),
        )
