"""Stage 1: the transform of a law that is known through points, at a real tilt and on the line through it.

Where E_P[1] and E_P[e^-L] are known, as 1 less what P and Q have at infinity,

    M(t) = 1 - P∞ + t·(Q∞ - P∞) + E_P[ψ(tL) + t·ψ(-L)],   ψ(y) = e^y - 1 - y,

whose terms are non-negative: nothing cancels, however near 1 it is. Where it is large, or those are not known exactly,
e^(tL) is summed as it stands (`direct`). On the line M(t + iu) = M(t)·(1 - drop + i·turn), as in
contour/transform_quadrature.

Every error is bounded: of masses and losses as the points say, of elementary functions (4 units in the last place),
of sums at their worst case, and of the rule, whose remainder at Re z = t, 0 and -1 is given.

Symbols: t the tilt, u the frequency; arrays are [point] or [frequency].
"""

import math
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import log_characteristic
from dpplan.accounting.exact.contour.transform_quadrature import LOG_DIRECT, SERIES_BELOW, drop_and_lag
from dpplan.accounting.exact.mixed.law_as_points import Points
from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.accounting.numerics.exp_remainder import exp_remainder
from dpplan.accounting.pairs.law import EPS, ROUNDING
from dpplan.quick_dataclass import dataclass

LOG_HUGE = 650.0
SECOND_ORDER = 1e-6  # errors of relative size 1e-9 and below are multiplied and not compounded
AT_ONCE = 32  # the fewest waves that are added up before their sums are
SPLIT = 30.0  # of tL: beyond it e^(tL) is taken with its mass, and 1 + tL beside it cancels nothing


@dataclass(frozen=True, slots=True)
class Remainder:
    """What a rule leaves out of E_P[e^(zL)]: its logarithm at Re z = t and |Im z| up to the line's end, and itself at
    z = 0 and z = -1."""

    log_at_tilt: float = -math.inf
    at_zero: float = 0.0
    at_minus_one: float = 0.0

    @classmethod
    def of(cls, at_tilt: float, at_zero: float, at_minus_one: float) -> "Remainder":
        """From logarithms."""
        zero, minus_one = (math.exp(log) if log < LOG_HUGE else math.inf for log in (at_zero, at_minus_one))
        return cls(at_tilt, zero, minus_one)


@dataclass(frozen=True, slots=True)
class Missing:
    """P- and Q-mass that no point has, to `relative` of each. exact: whether all else is at the points, but for the
    rule."""

    p: float
    q: float
    exact: bool
    relative: float = ROUNDING


@dataclass(frozen=True, eq=False)
class Tilted:
    """A law under a tilt t >= 0."""

    points: Points
    missing: Missing
    tilt: float
    remainder: Remainder = Remainder()

    @cached_property
    def _terms(self) -> Array:
        """log of p·e^(tL)."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.tilt * self.points.loss + np.log(self.points.p))

    @cached_property
    def direct(self) -> bool:
        return not self.missing.exact or float(np.max(self._terms)) > LOG_DIRECT

    @cached_property
    def _grown(self) -> Array:
        """p·ψ(tL)."""
        raised, p = self.tilt * self.points.loss, self.points.p
        large = np.exp(np.minimum(self._terms, LOG_HUGE)) - p * (1.0 + raised)
        return np.where(raised < SPLIT, p * exp_remainder(np.minimum(raised, SPLIT)), large)

    @cached_property
    def _fallen(self) -> Array:
        """p·ψ(-L)."""
        loss, p, q = self.points.loss, self.points.p, self.points.q
        near = np.abs(loss) < 1.0
        return np.where(near, p * exp_remainder(np.where(near, -loss, 0.0)), q - p + p * loss)

    @cached_property
    def _gain(self) -> Array:
        """p·(e^(tL) - 1)."""
        raised, p = self.tilt * self.points.loss, self.points.p
        return np.where(
            raised < SPLIT, p * np.expm1(np.minimum(raised, SPLIT)), np.exp(np.minimum(self._terms, LOG_HUGE)) - p
        )

    @cached_property
    def _fallen_size(self) -> Array:
        """The size of what `_fallen` adds up."""
        loss, p, q = self.points.loss, self.points.p, self.points.q
        return np.where(np.abs(loss) < 1.0, self._fallen, q + p * (1.0 + np.abs(loss)))

    @cached_property
    def _lost(self) -> Array:
        """|p - q|, the size of p·(1 - e^-L)."""
        loss, p, q = self.points.loss, self.points.p, self.points.q
        return np.where(np.abs(loss) < 1.0, p * np.abs(np.expm1(np.clip(-loss, -1.0, 1.0))), p + q)

    @cached_property
    def _excess(self) -> float:
        """M(t) - 1, where it is summed so."""
        p, q, t = self.missing.p, self.missing.q, self.tilt
        return math.fsum((-p, t * q, -t * p, float((self._grown + t * self._fallen).sum())))

    @cached_property
    def log_g(self) -> float:
        """log M(t), a float that is off by log(1 + `error`) at most."""
        if self.direct:
            top = float(np.max(self._terms))
            return top + math.log(float(np.exp(self._terms - top).sum()))
        return math.log1p(max(self._excess, -1.0 + 1e-300))

    @cached_property
    def mass(self) -> Array:
        """The law's mass at the points, in units of e^log_g."""
        return np.exp(self._terms - self.log_g)

    @cached_property
    def slope(self) -> float:
        """M'(t)/M(t), the mean of the tilted loss."""
        if self.direct:
            return float(self.mass @ self.points.loss)
        gained = float((self.points.loss * self._gain + self._fallen).sum())
        return math.fsum((self.missing.q, -self.missing.p, gained)) * self._scale

    @property
    def curvature(self) -> float:
        """About the variance of the tilted loss."""
        off = self.points.loss - self.slope
        return float(self.mass @ (off * off))

    @property
    def _scale(self) -> float:
        return math.exp(-self.log_g)

    @cached_property
    def _units(self) -> Array:
        """Of each p·e^(tL), and of what is made of it, relative, with the sum of all."""
        return self._each + EPS * len(self.points.loss)

    @cached_property
    def _each(self) -> Array:
        """Likewise without the sum."""
        loss, t = self.points.loss, self.tilt
        units = EPS * (64.0 + 8.0 * np.abs(t * loss) + 4.0 * (np.abs(self._terms) + abs(self.log_g)))
        return np.asarray(units + self.points.relative + t * self.points.moved)

    @property
    def _rule(self) -> float:
        """What the rule leaves out at the tilt, in units of M(t); more than e^LOG_HUGE is as useless as that."""
        return math.exp(min(self.remainder.log_at_tilt - self.log_g, LOG_HUGE))

    @cached_property
    def _known(self) -> float:
        """What missing masses are off by in M(t)."""
        return 4.0 * self.missing.relative * ((1.0 + self.tilt) * self.missing.p + self.tilt * self.missing.q)

    @cached_property
    def error(self) -> float:
        """A bound on |M(t)/e^log_g - 1|."""
        rule = self.remainder
        if self.direct:
            rounding = float((self.mass * self._units).sum()) + EPS * (16.0 + 8.0 * abs(self.log_g))
            return (rounding + self._rule) * (1.0 + SECOND_ORDER)
        t = self.tilt
        moved = self.points.moved * t * (np.abs(self._gain) + self._lost)
        summed = float((self._units * (self._grown + t * self._fallen_size) + moved).sum()) + self._known
        left_out = (1.0 + t) * rule.at_zero + t * rule.at_minus_one
        rounding = 16.0 * EPS * (abs(self._excess) * self._scale + abs(self.log_g))
        return ((summed + left_out) * self._scale + self._rule + rounding) * (1.0 + SECOND_ORDER)

    @property
    def log_top(self) -> float:
        """An upper bound on log M(t)."""
        return self.log_g + math.log1p(self.error) + 4.0 * EPS * abs(self.log_g)

    def line(self, u: Array) -> tuple[Array, Array, Array]:
        """drop and turn at equally spaced u from 0, and a bound on the error of e^-log_g·M(t + iu), [frequency]."""
        drop, lag = drop_and_lag(self.points.loss, self.mass, u, self._at_once)
        return drop, u * self.slope - lag, self._line_error(u)

    @property
    def _at_once(self) -> int:
        """How many waves are added up before their sums are: as many as there are sums."""
        return max(math.isqrt(len(self.points.loss)), AT_ONCE)

    def log_line(self, u: Array) -> tuple[ComplexArray, Array]:
        """log of e^-log_g·M(t + iu), and a bound on the error of that, [frequency]: for a power of it,
        |(φ + e)^n - φ^n| <= |φ|^n·((1 + e/|φ|)^n - 1)."""
        drop, turn, error = self.line(u)
        log_phi, lost = log_characteristic(drop, turn)
        return log_phi, np.log1p((error + lost) / np.maximum(np.exp(log_phi.real), 1e-300))

    def _line_error(self, u: Array) -> Array:
        """Terms below SERIES_BELOW are bounded through their series, the others through their size. Waves are summed
        part by part (as in contour/transform_quadrature), and all else pairwise, whose depth is less."""
        size, moved, scale, rule = np.abs(self.points.loss), self.points.moved, self._scale, self.remainder
        count = len(size)
        together = min(count, self._at_once + math.ceil(count / self._at_once))
        weight = self.mass * (self._each + EPS * (together + 8.0 * abs(self.log_g)))
        small = size * float(u[-1]) < SERIES_BELOW
        large = np.where(small, 0.0, weight)
        if self.direct:
            slope = float((self.mass * (size * self._units + moved * (1.0 + self.tilt * size))).sum())
        else:
            terms = self._units * (size * np.abs(self._gain) + self._fallen_size)
            shift = moved * (np.abs(self._gain) + self._lost)
            slope = float((terms + shift).sum()) * scale + float((moved * self.tilt * size * self.mass).sum())
            slope += 4.0 * self.missing.relative * (self.missing.p + self.missing.q) * scale
        slope += 16.0 * EPS * (1.0 + abs(self.log_g)) * abs(self.slope)
        slope += float((large * size + 3.0 * self.mass * moved).sum())
        bend = float((np.where(small, weight, 0.0) * size * size).sum())
        level = self.error + 2.0 * float(large.sum())
        level += ((1.0 + self.tilt) * rule.at_zero + self.tilt * rule.at_minus_one) * scale + 2.0 * self._rule
        slope += (rule.at_zero + rule.at_minus_one) * scale
        return np.asarray((level + u * slope + u * u * bend) * (1.0 + SECOND_ORDER))
