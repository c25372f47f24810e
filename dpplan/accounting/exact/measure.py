"""Stage 2, compose: the law of the whole run's loss, or the part of it that matters, as one object.

A measure is Π_phases (cut law)^T, minus, in the jump regime, the measure of the paths on which every step stays in
a bulk (jump.py). Both are positive measures of total at most 1, known through their transforms:

    log_moments   log M(s) at real tilts, rounded up: Chernoff bounds at any tilt
    line          M(t + iu) / M(t) on a contour, with a bound on its error
    log_decay     a bound on |M(t + iu) / M(t)| for all u beyond given edges

Cuts. A step's loss that lies beyond `far` with total probability far below delta is cut away and its probability
(`removed`) added to delta's upper end: without that, M(t) is dominated by losses that never happen.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dpplan.accounting.exact import jump
from dpplan.accounting.exact.decay import Decay
from dpplan.accounting.exact.law import Array, ComplexArray, Cut, Direction, Steps, log_normal_tail, log_ratio
from dpplan.accounting.exact.quadrature import EPS, Quadrature

LOG_HUGE = 700.0
LEAST_WIDTH = 2e-4  # of σ, of a cut: below it the quadrature would need too many nodes


def far_limit(steps: Steps, log_probability: float, width: float) -> Array:
    """x beyond which all steps together fall with at most this probability, [phase, 1]; width: of a cut, in σ."""
    goal = log_probability - math.log(steps.total)
    low, high = 0.0, math.sqrt(2.0 * max(-goal, 0.0)) + 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if log_normal_tail(middle) > goal else (low, middle)
    return 1.0 + high * math.hypot(1.0, width) * steps.sigma


def cut_at(steps: Steps, at: Array, tilt: float, widest: float) -> Cut:
    """A cut at `at` sharp enough to hold at tilts up to this; widest: in σ.

    r^a·Q may rise again far right of the cut, where r saturates. The cut is made so narrow that it never rises
    above its largest value left of it.
    """
    sigma, a = steps.sigma, 1.0 + tilt

    def log_weight(x: Array) -> Array:
        return a * log_ratio((2.0 * x - 1.0) / (2.0 * sigma**2), steps.q) - 0.5 * (x / sigma) ** 2

    peak = np.max(log_weight(at * np.linspace(0.0, 1.0, 65)), axis=1, keepdims=True)
    saturated = sigma**2 * np.log(1.0 / steps.q)
    reach = np.maximum(np.maximum(saturated, a) + 10.0 * sigma - at, sigma)
    offset = 0.3 * sigma * (reach / (0.3 * sigma)) ** np.linspace(0.0, 1.0, 257)
    excess = np.maximum(log_weight(at + offset) - peak, 1e-300)
    narrowest = np.min(offset / np.sqrt(4.0 * excess), axis=1, keepdims=True) / sigma
    return Cut(at=at, width=np.clip(narrowest, LEAST_WIDTH, widest) * sigma)


@dataclass(frozen=True)
class Measure:
    """far: the cut of absurd losses, or None. bulk: the cut below which nothing has happened, or None."""

    steps: Steps
    direction: Direction
    far: Cut | None = None
    bulk: Cut | None = None

    @cached_property
    def removed(self) -> float:
        """Probability, under the loss's own law, that any step is cut away by `far`. Rounded up."""
        if self.far is None:
            return 0.0
        sigma, q = self.steps.sigma, self.steps.q
        each = self.far.removed(sigma, 0.0)
        if self.direction is Direction.REMOVE:
            each = (1.0 - q) * each + q * self.far.removed(sigma, 1.0)
        return float((self.steps.count * each).sum()) * (1.0 + 1e-12)

    def log_moments(self, tilts: Array) -> Array:
        """Upper bounds on log M(s) for each s > 0 in `tilts`."""
        whole, error = self._power_at(tilts, self.far)
        if self.bulk is None:
            return whole + error
        inside, inside_error = self._power_at(tilts, self.bulk)
        gap = np.maximum(whole - inside, 0.0) + error + inside_error
        return np.where(gap > LOG_HUGE, whole + error, inside + inside_error + _log_expm1(gap))

    def _power_at(self, tilts: Array, cut: Cut | None) -> tuple[Array, Array]:
        """Σ T·log G of one cut at real tilts and a bound on its error, each [tilt]."""
        blocks, phases = len(tilts), len(self.steps.sigma)
        exponents = np.array([self.direction.exponent(float(tilt)) for tilt in tilts])
        tiled = Steps(*(np.tile(v, (blocks, 1)) for v in (self.steps.sigma, self.steps.q, self.steps.count)))
        wide = cut and Cut(np.tile(cut.at, (blocks, 1)), np.tile(cut.width, (blocks, 1)))
        quadrature = Quadrature(tiled, np.repeat(exponents, phases)[:, None], cut=wide)
        error = tiled.count * quadrature.relative_error(np.zeros(1))
        total = (tiled.count * quadrature.log_g).reshape(blocks, phases).sum(axis=1)
        return total, error.reshape(blocks, phases).sum(axis=1) + EPS * phases * np.abs(total)

    def log_decay(self, tilt: float, edges: Array) -> Array:
        """log of a bound on |M(t + iu)| / (the whole law's M(t)) for u in [edges_k, edges_k+1], the last for all
        u beyond."""
        a = self.direction.exponent(tilt)
        whole = self._at(tilt, self.far)
        if self.bulk is None:
            return Decay(self.steps, a, whole.log_g, whole.low, whole.high, self.far).log_bounds(edges)
        inside = self._at(tilt, self.bulk)
        return jump.log_decay(self.steps, a, whole, inside.log_g, self.bulk, edges)

    def nodes_for(self, tilt: float, u_max: float) -> int:
        """Nodes a line up to u_max needs: with the number of frequencies, its cost."""
        return self._at(tilt, self.far, u_max).nodes

    def log_whole(self, tilt: float) -> float:
        """log M(t) of the whole (cut) law, to rounding: the unit of `log_decay` and `line`."""
        return float((self.steps.count * self._at(tilt, self.far).log_g).sum())

    def _at(self, tilt: float, cut: Cut | None, u_max: float = 0.0) -> Quadrature:
        exponent = np.full_like(self.steps.sigma, self.direction.exponent(tilt))
        return Quadrature(self.steps, exponent, u_max=u_max, cut=cut)

    def line(self, tilt: float, u: Array) -> tuple[ComplexArray, Array, float, float]:
        """On Re z = tilt at equally spaced u from 0: M(t + iu) in units of the whole law's M(t); a bound on the
        error of each; log of that unit; the tilted mean of the whole law's loss."""
        whole = self._at(tilt, self.far, float(u[-1]))
        values, error = self._powers(whole, u)
        unit = float((self.steps.count * whole.log_g).sum())
        mean = self.direction.value * float((self.steps.count * whole.slope).sum())
        if self.bulk is not None:
            inside = self._at(tilt, self.bulk, float(u[-1]))
            share = math.exp(float((self.steps.count * (inside.log_g - whole.log_g)).sum()))
            subtracted, more = self._powers(inside, u)
            values, error = values - share * subtracted, error + share * more
        return values, error, unit, mean

    def _powers(self, quadrature: Quadrature, u: Array) -> tuple[ComplexArray, Array]:
        """Πφ^T at every u and a bound on its error, that of G(a)^T included."""
        log_power = np.zeros(len(u), complex)
        log_error = np.zeros(len(u))
        errors = quadrature.relative_error(u)
        for row, count in enumerate(self.steps.count[:, 0]):
            drop, lag = quadrature.row_line(row, u)
            turn = u * quadrature.slope[row, 0] - lag
            # Not numpy's complex log1p, which rounds to units of 1 where the argument is 1e-9 and T is 1e9.
            with np.errstate(divide="ignore", invalid="ignore"):
                log_modulus = 0.5 * np.log1p(drop * (drop - 2.0) + turn * turn)
            log_modulus = np.where(np.isfinite(log_modulus), np.minimum(log_modulus, 0.0), -LOG_HUGE)
            log_power += count * (log_modulus + 1j * self.direction.value * np.arctan2(turn, 1.0 - drop))
            log_error += count * np.log1p(errors[row] / np.maximum(np.exp(log_modulus), 1e-300))
            log_error += count * errors[row, 0]
        mean = abs(float((self.steps.count * quadrature.slope).sum()))
        size = np.exp(log_power.real)
        return np.exp(log_power), size * (np.expm1(np.minimum(log_error, LOG_HUGE)) + EPS * (16.0 + u * mean))


def _log_expm1(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.where(x > 30.0, x, np.log(np.expm1(np.minimum(x, 30.0))))
