"""Stage 3, invert: delta(ε) of a composed loss as a contour sum with every error bounded.

    delta(ε) = 1/(2πi) ∫ M(z)·e^(-εz) / (z(z + 1)) dz   on Re z = t > 0.

The trapezoid sum with step h over that line is exactly Σ_k e^(2πkt/h)·delta(ε + 2πk/h) (Poisson summation; every
term is positive), so the whole sum is an upper bound, and its aliases k ≠ 0, bounded by Chernoff at tilts above and
below t, give the lower one. The sum's far end is bounded by the measure's decay, the transform by its quadrature.

What a measure leaves out of the law adds a delta of its own, since delta(ε) = ∫(1 - e^(ε-S))₊ is linear in the law:
what lies below it by a bound or a second contour (`bulk`), what lies beyond it by what the measure knows (`beyond`).

Symbols: t, u, h as above; Λ = 2π/h, the period of the aliases in ε.
"""

import math
from functools import cached_property
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour import chernoff, sum_at_many_epsilons
from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE, Line
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, ComplexArray, outward
from dpplan.quick_dataclass import dataclass

# Frequencies are bounded on a geometric net that starts at NET_START standard deviations of the characteristic
# function and ends NET_RATIO^NET_SIZE = 5e4 times higher.
NET_START, NET_RATIO, NET_SIZE = 6.0, 1.2, 60
# For the rounding of bounds that only have to be small: their logarithms, up to 1e6 in size, are good to 1e-9. (Of the
# two that make up what is left out, the unit's is counted apart, and the other decides nothing below -1500.)
SAFE = 1e-6
LOG_TINY = -600.0  # below e^-700 floats lose digits; deltas of 1e-260 are for the bounds that keep logarithms


@dataclass(frozen=True, slots=True)
class DeltaInterval:
    """lower <= delta(ε) <= upper for one direction; terms: what each error contributes, in units of delta."""

    lower: float
    upper: float
    estimate: float
    slope: float  # d estimate / dε
    terms: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ContourTolerance:
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
        return cls(tilts, chernoff.log_tops(tilts, log_moments))

    def log_delta(self, epsilon: float) -> float:
        return float(np.min(chernoff.log_deltas(self.log_tops, self.tilts, epsilon)))

    def log_aliases(self, tilt: float, period: float, epsilon: float) -> float:
        """log of a bound on the sum over k ≠ 0 of e^(kΛt)·delta(ε + kΛ), from the best tilt on either side of t."""
        log_deltas = chernoff.log_deltas(self.log_tops, self.tilts, epsilon)
        bound = chernoff.log_aliases(log_deltas, np.abs(self.tilts - tilt) * period)
        above = np.min(bound[self.tilts > tilt], initial=math.inf)
        below = np.min(bound[self.tilts < tilt], initial=math.inf)
        return float(chernoff.log_sum_above(above, below))

    def at_many(self, tilt: float, period: float, epsilons: Array) -> tuple[Array, Array]:
        """`log_delta` and `log_aliases` at each of these ε."""
        log_deltas = chernoff.log_deltas(self.log_tops, self.tilts, epsilons[:, None])
        bound = chernoff.log_aliases(log_deltas, np.abs(self.tilts - tilt) * period)
        above = np.min(bound[:, self.tilts > tilt], axis=1, initial=math.inf)
        below = np.min(bound[:, self.tilts < tilt], axis=1, initial=math.inf)
        return np.asarray(np.min(log_deltas, axis=1)), chernoff.log_sum_above(above, below)


@dataclass(frozen=True, slots=True)
class _Sum:
    """The contour sum without its dependence on ε; the errors are in units of e^log_unit."""

    z: ComplexArray
    weighted: ComplexArray
    error: float
    error_slope: float
    size: float
    log_unit: float
    unit_error: float


@dataclass(frozen=True, slots=True)
class Aim:
    """The ε near which a contour is to be good, and log delta there, roughly."""

    epsilon: float
    log_delta: float


class LossMeasure(Protocol):
    """The law of the whole run's loss, or the part of it that is composed, as composed_loss.Measure has it."""

    def line(self, tilt: float, u: Array) -> Line:
        """Its transform on Re z = tilt."""
        ...

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what it leaves out of delta(ε), and about its slope."""
        ...


class LossMoments(Protocol):
    """Its moments at a table of tilts, as composed_loss.Moments has them."""

    @property
    def measure(self) -> LossMeasure: ...

    @property
    def tilts(self) -> Array: ...

    @property
    def logs(self) -> Array:
        """Upper bounds on log M(s), [tilt]."""
        ...

    def log_unit(self, index: int) -> float: ...

    def log_decay(self, index: int, edges: Array) -> Array: ...


class Contour:
    """delta(ε) of a measure near one ε. Build once, evaluate at every ε nearby; valid, if wide, at any other.

    moments: the measure's moments at tilts around the contour's, which is number `index` of them (0 with M <= 1 is
    added). spread: the variance of the tilted loss, for scale. bulk: a bound on the delta of what the measure
    leaves out below, or a contour of its own for that; what it leaves out beyond, the measure knows itself. reached:
    whether the accuracy asked for could be had. log_left_out: of the bound on the frequencies left out, over delta.
    """

    @property
    def method(self) -> str:
        return "contour over jumps" if self.bulk else "contour"

    def __init__(
        self,
        moments: LossMoments,
        index: int,
        spread: float,
        aim: Aim,
        accuracy: ContourTolerance,
        bulk: "Chernoff | Contour | None" = None,
    ) -> None:
        epsilon, log_delta = aim.epsilon, aim.log_delta
        self.measure, self.epsilon, self.log_delta, self.bulk = moments.measure, epsilon, log_delta, bulk
        self.tilt = float(moments.tilts[index])
        self.table = Chernoff.of(np.append(moments.tilts, 0.0), np.append(moments.logs, 0.0))
        self.period = 8.0 * math.sqrt(spread)
        for _ in range(60):
            if self._log_aliases(epsilon) <= log_delta + accuracy.aliases:
                break
            self.period *= 1.1
        self.h = 2.0 * math.pi / self.period
        edges = NET_START / math.sqrt(spread) * np.power(NET_RATIO, np.arange(NET_SIZE, dtype=np.float64))
        width = np.append(np.diff(edges), edges[-1])
        each = moments.log_decay(index, edges) + np.log((width + self.h) / (math.pi * edges**2))
        rest = np.logaddexp.accumulate(each[::-1])[::-1]
        goal = log_delta + accuracy.rest - (moments.log_unit(index) - self.tilt * epsilon)
        good = np.nonzero(rest <= goal)[0]
        affordable = max(int(np.searchsorted(edges, accuracy.most * self.h)) - 1, 0)
        chosen = min(int(good[0]) if len(good) else len(edges) - 1, affordable)
        self.log_rest = float(rest[chosen])
        self.reached = len(good) > 0 and chosen == int(good[0])
        self.log_left_out = self.log_rest - goal + accuracy.rest
        self._seen: dict[float, tuple[float, float, float]] = {}
        self.u = self.h * np.arange(int(edges[chosen] / self.h) + 2, dtype=np.float64)

    def _log_aliases(self, epsilon: float) -> float:
        return self.table.log_aliases(self.tilt, self.period, epsilon)

    @cached_property
    def _sum(self) -> "_Sum":
        """Everything in the sum that does not depend on ε. The dear part: made when first asked for."""
        u = self.u
        line = self.measure.line(self.tilt, u)
        z = cast(ComplexArray, self.tilt + 1j * u)
        weight = self.h / math.pi / (z * (z + 1.0))
        weight[0] *= 0.5
        weighted = weight * line.values
        size = np.abs(weighted)
        rounding = np.abs(weight) * line.error + EPS * (len(u) + 16.0 + u * line.mean) * size
        slope, whole = EPS * float((size * u).sum()), outward.up(float(size.sum()), outward.MANY)
        return _Sum(z, weighted, float(rounding.sum()), slope, whole, line.log_unit, line.unit_error)

    def log_chernoff(self, epsilon: float) -> float:
        """log of the best Chernoff bound in the table on delta and of all that the measure leaves out, rounded up."""
        best = self.table.log_delta(epsilon)
        for rest in (chernoff.log_above(self.measure.beyond(epsilon)[1]), min(self._log_bulk(epsilon), 0.0)):
            best = best if rest == -math.inf else float(chernoff.log_sum_above(best, rest))
        return best

    def _log_bulk(self, epsilon: float) -> float:
        """log of a Chernoff bound on what the bulk adds, rounded up."""
        if isinstance(self.bulk, Contour):
            return self.bulk.log_chernoff(epsilon)
        return self.bulk.log_delta(epsilon) if self.bulk else -math.inf

    def _bulk_at(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what the bulk adds, and its slope."""
        most = chernoff.probability(self._log_bulk(epsilon))
        if not isinstance(self.bulk, Contour):
            return 0.0, most, 0.0
        inner = self.bulk.at(epsilon)
        return max(inner.lower, 0.0), min(inner.upper, most), inner.slope

    def at(self, epsilon: float) -> DeltaInterval:
        """The interval for delta at this ε >= 0."""
        terms = self._sum
        turned = terms.weighted * np.exp(-1j * self.u * epsilon)
        base = terms.log_unit - self.tilt * epsilon
        if not LOG_TINY < base < LOG_HUGE:  # e^base would leave the range of floats, and the sum all of its digits
            return DeltaInterval(0.0, math.inf, 0.0, 0.0, ())
        scale = math.exp(base)
        estimate = scale * float(turned.sum().real)
        slope = -scale * float((turned * terms.z).sum().real)
        units = terms.unit_error + 4.0 * EPS * (abs(terms.log_unit) + self.tilt * epsilon + 8.0)
        rounding = scale * (terms.error + terms.error_slope * epsilon) + abs(estimate) * units
        rest = outward.up(math.exp(min(base + self.log_rest, LOG_HUGE)), SAFE + units)
        aliases = outward.up(math.exp(min(self._log_aliases(epsilon), LOG_HUGE)), SAFE)
        far_low, far_high, far_slope = self.measure.beyond(epsilon)
        bulk_low, bulk_high, bulk_slope = self._bulk_at(epsilon)
        return DeltaInterval(
            lower=estimate - rest - rounding - aliases + far_low + bulk_low,
            upper=estimate + rest + rounding + far_high + bulk_high,
            # Of what is only known to be below something, nothing is taken to be there.
            estimate=estimate + far_low + bulk_low,
            slope=slope + far_slope + bulk_slope,
            terms=(
                ("aliases", aliases),
                ("frequencies left out", rest),
                ("transform and rounding", rounding),
                ("losses cut away", far_high - far_low),
                ("paths without a jump", bulk_high - bulk_low),
            ),
        )

    def ends(self, epsilons: Array) -> tuple[Array, Array]:
        """What `at` proves, and Chernoff's bound where that is less, at each of these ε, which may be negative; but for
        a little more rounding, at many for the price of one."""
        terms, low, high = self._sum, np.zeros(len(epsilons)), np.full(len(epsilons), math.inf)
        log_deltas, log_aliases = self.table.at_many(self.tilt, self.period, epsilons)
        base = terms.log_unit - self.tilt * epsilons
        far_low, far_high, most = np.array([self._left_out(each) for each in epsilons.tolist()]).reshape(-1, 3).T
        bulk_low, bulk_high = np.zeros(len(epsilons)), most
        if isinstance(self.bulk, Contour):
            bulk_low, bulk_high = self.bulk.ends(epsilons)
        held = self._held(base)
        if held.any():
            low[held], high[held] = self._between(epsilons[held], base[held])
            low[held] -= outward.up(np.exp(np.minimum(log_aliases[held], LOG_HUGE)), SAFE)
        log_all = np.array([chernoff.log_above(float(each)) for each in far_high + bulk_high])
        ceiling = np.exp(np.clip(chernoff.log_sum_above(log_deltas, log_all), LOG_TINY, 0.0))
        low, high = low + far_low + bulk_low, high + far_high + bulk_high
        return np.where(low > 0.0, low, 0.0), np.where(high < ceiling, high, outward.up(ceiling, outward.FEW))

    def with_aliases(self, epsilons: Array) -> tuple[Array, Array]:
        """Ends of what is measured, and of its aliases with it, at each of these ε: of the whole sum over k above."""
        base = self._sum.log_unit - self.tilt * epsilons
        low, high, held = np.full(len(epsilons), -math.inf), np.full(len(epsilons), math.inf), self._held(base)
        if held.any():
            low[held], high[held] = self._between(epsilons[held], base[held])
        return low, high

    @staticmethod
    def _held(base: Array) -> npt.NDArray[np.bool_]:
        """Whether e^base is a float with all of its digits, as in `at`."""
        return np.asarray((base > LOG_TINY) & (base < LOG_HUGE))

    def _between(self, epsilons: Array, base: Array) -> tuple[Array, Array]:
        """Ends of what is measured with its aliases; base: log of the sum's unit at each of these ε."""
        sums, units = sum_at_many_epsilons.real_sums(self._sum.weighted, self.h, epsilons)
        terms, scale = self._sum, np.exp(base)
        relative = terms.unit_error + 4.0 * EPS * (abs(terms.log_unit) + self.tilt * np.abs(epsilons) + 8.0)
        off = terms.error + units * terms.size + terms.error_slope * np.abs(epsilons) + np.abs(sums) * relative
        rest = outward.up(np.exp(np.minimum(base + self.log_rest, LOG_HUGE)), SAFE + float(np.max(relative)))
        off = scale * off + rest
        return scale * sums - off, scale * sums + off

    def _left_out(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what the measure leaves out beyond, and the most that it leaves out below where no contour tells.
        Kept: whoever looks at a whole profile asks for the same ε after each new contour."""
        if epsilon not in self._seen:
            most = chernoff.probability(self._log_bulk(epsilon)) if isinstance(self.bulk, Chernoff) else 0.0
            self._seen[epsilon] = (*self.measure.beyond(epsilon)[:2], most)
        return self._seen[epsilon]
