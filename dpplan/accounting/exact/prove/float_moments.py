"""A plan's real moments in ordinary floating point: what a proof is planned with.

Nothing here is proven and nothing needs to be: every plan of a proof gives a valid proof, a good one a short one.

Symbols, as everywhere in this package: t = Re z; a = Re w, w = 1 + z (remove) or -z (add); Q = N(0, σ²);
r = 1 - q + q·e^((2x - 1)/2σ²); L = log r; s(x) = the posterior probability of having been sampled, 1 - (1 - q)/r;
G(w) = E_Q[r^w]; M(z) = Π G(w)^count.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.plan_pairs import sampled_gaussians
from dpplan.plan import Plan

# Moments over more nodes than this are not asked for: in balls they would be out of reach.
MOST_NODES = 20_000


@dataclass(frozen=True, slots=True)
class ComposedSteps:
    """One kind of step: noise multiplier, sample rate and number of steps. The floats are the exact values."""

    sigma: float
    q: float
    count: int


def phases_of(plan: Plan) -> tuple[ComposedSteps, ...]:
    """The distinct steps of a plan; equal ones are merged, since composition multiplies transforms."""
    merged: dict[tuple[float, float], int] = {}
    for sigma, q, count in sampled_gaussians(plan, "prove"):
        merged[sigma, q] = merged.get((sigma, q), 0) + count
    return tuple(ComposedSteps(sigma, q, count) for (sigma, q), count in merged.items())


def total_steps(phases: tuple[ComposedSteps, ...]) -> int:
    return sum(phase.count for phase in phases)


def log_ratio(phase: ComposedSteps, x: Array) -> Array:
    """log r(x), for q < 1."""
    e = (2.0 * x - 1.0) / (2.0 * phase.sigma**2)
    return np.logaddexp(math.log1p(-phase.q), math.log(phase.q) + e)


def span(phase: ComposedSteps, a: float, reach: float) -> tuple[float, float]:
    """The range outside which r^a·Q, q < 1, is at most about e^(-reach²/2) of the whole."""
    return _lowest_mode(phase, a) - reach * phase.sigma, max(a, 0.0) + reach * phase.sigma


def _lowest_mode(phase: ComposedSteps, a: float) -> float:
    """The root of x = a·s(x) for a < 0, else 0: left of it r^a·Q falls at least like Q does left of 0."""
    if a >= 0.0:
        return 0.0
    logit = math.log(phase.q) - math.log1p(-phase.q)

    def right_of_root(x: float) -> bool:
        sampled = math.exp(-np.logaddexp(0.0, -logit - (2.0 * x - 1.0) / (2.0 * phase.sigma**2)))
        return a * sampled <= x

    return first_true(right_of_root, a, 0.0, most=60).false


@dataclass(frozen=True, slots=True)
class Moment:
    """log M(t), and the mean and variance of the composed loss under the law tilted by t."""

    log_m: float
    mean: float
    variance: float


class FloatMoments:
    """Real moments of a plan's composed loss in one direction."""

    def __init__(self, phases: tuple[ComposedSteps, ...], direction: Direction) -> None:
        self.phases, self.direction = phases, direction
        self.at = lru_cache(maxsize=None)(self._at)

    def _at(self, tilt: float) -> Moment:
        a, sign = self.direction.exponent(tilt), self.direction.value
        log_m = mean = variance = 0.0
        for phase in self.phases:
            log_g, centre, spread = _moments(phase, a)
            log_m += phase.count * log_g
            mean += sign * phase.count * centre
            variance += phase.count * spread
        if not math.isfinite(log_m):  # too far out to be looked at, in either direction
            return Moment(math.inf, math.inf, math.inf)
        return Moment(log_m, mean, variance)

    def saddle(self, epsilon: float) -> float:
        """The tilt at which log M(t) - t·ε - log t(1 + t) is least: where its derivative, which rises, is 0."""

        def too_far(log_tilt: float) -> bool:
            tilt = math.exp(log_tilt)
            return self.at(tilt).mean - epsilon - 1.0 / tilt - 1.0 / (1.0 + tilt) > 0.0

        return math.exp(first_true(too_far, -60.0, 40.0, absolute=1e-3).false)

    def log_peak(self, tilt: float, epsilon: float) -> float:
        """log of the contour's integrand where it crosses the real line."""
        return self.at(tilt).log_m - tilt * epsilon - math.log(tilt) - math.log1p(tilt)

    def log_chernoff(self, tilt: float, epsilon: float) -> float:
        """log of Chernoff's bound on delta at this tilt >= 0; see aliasing.py."""
        if tilt == 0.0:
            return 0.0
        return self.at(tilt).log_m - tilt * epsilon - tilt * math.log1p(1.0 / tilt) - math.log1p(tilt)

    def log_estimate(self, epsilon: float) -> float:
        """First-order saddle-point estimate of log delta."""
        tilt = self.saddle(epsilon)
        spread = self.at(tilt).variance + tilt**-2 + (1.0 + tilt) ** -2
        return min(self.log_peak(tilt, epsilon) - 0.5 * math.log(2.0 * math.pi * spread), 0.0)


def _moments(phase: ComposedSteps, a: float) -> tuple[float, float, float]:
    """log G(a), and the mean and variance of L under r^a·Q / G(a)."""
    sigma = phase.sigma
    if phase.q == 1.0:
        return a * (a - 1.0) / (2.0 * sigma**2), (2.0 * a - 1.0) / (2.0 * sigma**2), sigma**-2
    low, high = span(phase, a, 10.0)
    nodes = (high - low) / (0.5 * min(sigma, sigma**2))
    if nodes > MOST_NODES:
        return math.inf, math.inf, math.inf
    x = np.linspace(low, high, int(nodes) + 2)
    loss = log_ratio(phase, x)
    terms = a * loss - 0.5 * (x / sigma) ** 2
    top = float(terms.max())
    weight = np.exp(terms - top)
    total = float(weight.sum())
    mean = float(weight @ loss) / total
    log_g = top + math.log(total * (x[1] - x[0]) / (sigma * math.sqrt(2.0 * math.pi)))
    return log_g, mean, float(weight @ (loss - mean) ** 2) / total
