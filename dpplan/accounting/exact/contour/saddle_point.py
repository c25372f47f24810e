"""Stage 3, invert: where to put the contour. A good tilt makes errors relative to delta instead of absolute.

The saddle point of T·K(t) - ε·t - log t(1 + t). Nothing here is certified and nothing needs to be: any tilt gives
a valid bound, a good one a narrow bound.

Symbols: t = Re z, the tilt; K(t) = log M(t).
"""

import abc
import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, log_ratio, lowest_mode
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.exp_remainder import exp_remainder
from dpplan.quick_dataclass import dataclass

# How well a saddle is placed: in units of log delta, or of standard deviations of the tilted loss.
TOLERANCE = 0.05
LOG_TILT_MAX = 45.0
MOST_NODES = 200_000  # of a picture that only has to be good enough to choose by


@dataclass(frozen=True, slots=True)
class Saddle:
    """A tilt, and the saddle-point picture of the composed loss there."""

    tilt: float
    log_moment: float  # T·K(t)
    slope: float  # T·K'(t), the mean of the tilted composed loss
    curvature: float  # T·K''(t), its variance

    @property
    def epsilon(self) -> float:
        """The epsilon of which this tilt is the saddle point."""
        return self.slope - 1.0 / self.tilt - 1.0 / (1.0 + self.tilt)

    @property
    def spread(self) -> float:
        """Curvature of the exponent that the contour integral crosses."""
        return self.curvature + self.tilt**-2 + (1.0 + self.tilt) ** -2

    @property
    def log_delta(self) -> float:
        """First-order saddle-point estimate of log delta at `epsilon`."""
        peak = self.log_moment - self.tilt * self.epsilon - math.log(self.tilt) - math.log1p(self.tilt)
        return peak - 0.5 * math.log(2.0 * math.pi * self.spread)

    def log_chernoff(self, epsilon: float) -> float:
        """log of the best constant c with (1 - e^-y)+ <= c·e^(t·y), times the moment: an upper bound on delta."""
        return self.log_moment - self.tilt * epsilon + log_chernoff_factor(self.tilt)


def log_chernoff_factor(tilt: float) -> float:
    """log of t^t / (1 + t)^(1 + t), the maximum over y of (1 - e^-y)·e^(-t·y)."""
    return -tilt * math.log1p(1.0 / tilt) - math.log1p(tilt) if tilt > 0.0 else 0.0


class Saddles(abc.ABC):
    """Saddles of one composed loss, and the search among them. total: how many steps it is of."""

    total: float

    @abc.abstractmethod
    def at(self, tilt: float) -> Saddle:
        """The picture at this tilt."""

    def for_log_delta(self, log_delta: float) -> Saddle:
        """The saddle whose estimated delta is the given one, to a few percent."""
        return self._search(lambda saddle: saddle.log_delta - log_delta, lambda saddle: False)

    def for_epsilon(self, epsilon: float, log_floor: float = -math.inf) -> Saddle:
        """The saddle of this epsilon, or any tilt whose Chernoff bound is already below `log_floor`."""
        return self._search(
            lambda saddle: (epsilon - saddle.epsilon) / math.sqrt(saddle.spread),
            lambda saddle: saddle.log_chernoff(epsilon) < log_floor,
        )

    def _search(self, gap: Callable[[Saddle], float], enough: Callable[[Saddle], bool]) -> Saddle:
        """Illinois' rule in log t, for a gap that falls as the tilt rises; stops at |gap| < TOLERANCE."""
        x = self._first_guess()
        saddle = self.at(math.exp(x))
        f = gap(saddle)
        towards, step = math.copysign(1.0, f), 0.7
        x_old, f_old = x, f
        while abs(f) > TOLERANCE and f * towards > 0.0 and not enough(saddle):
            x_old, f_old = x, f
            x += towards * step
            step *= 1.7
            if abs(x) > LOG_TILT_MAX:
                return saddle
            saddle = self.at(math.exp(x))
            f = gap(saddle)
        for _ in range(40):
            if abs(f) <= TOLERANCE or enough(saddle):
                break
            middle = (x_old * f - x * f_old) / (f - f_old)
            saddle = self.at(math.exp(middle))
            f_new = gap(saddle)
            if f_new * f < 0.0:
                x_old, f_old = x, f
            else:
                f_old *= 0.5
            x, f = middle, f_new
        return saddle

    def _first_guess(self) -> float:
        """log of the tilt a Gaussian with the variance of the untilted loss would have at delta = 1e-6."""
        variance = self.at(1e-2 / (1.0 + self.total)).curvature
        return math.log(min(max(3.0 / math.sqrt(max(variance, 1e-280)), 1e-6), 1e9))


class PlanSaddles(Saddles):
    """Saddles of one plan in one direction, over plain quadrature nodes that end where losses become absurd."""

    def __init__(self, steps: Steps, direction: Direction, limit: Array) -> None:
        """limit: [phase, 1], the x beyond which steps are too unlikely to matter (see composed_loss.far_limit)."""
        self.steps, self.direction, self.limit = steps, direction, limit
        self.depth, self.total = 0.0, steps.total
        self._build(0.0)

    def _build(self, depth: float) -> None:
        """depth: how far left of zero the tilted law may sit (only the add direction at q near 1 needs it)."""
        sigma, q = self.steps.sigma, self.steps.q
        self.depth = depth
        height = np.minimum(0.9 * math.pi * sigma**2, 7.0 * sigma)
        h = 2.0 * math.pi * height / (25.0 + 0.5 * (height / sigma) ** 2)
        # The add direction loses towards the left, and far left where delta is small.
        low, high = -9.0 * sigma - depth, self.limit
        if self.direction is Direction.ADD:
            low, high = np.minimum(low, -self.limit - depth), 1.0 + 9.0 * sigma
        count = int(min(np.max((high - low) / h), MOST_NODES)) + 2
        h = (high - low) / (count - 1)
        x = low + h * np.arange(count)
        self.loss = log_ratio((2.0 * x - 1.0) / (2.0 * sigma * sigma), q)
        self.log_base = np.log(h / (sigma * math.sqrt(2.0 * math.pi))) - x * x / (2.0 * sigma * sigma)
        self.base = np.exp(self.log_base)
        few = np.minimum(self.loss, 1.0)
        many = np.exp(np.minimum(self.loss + self.log_base, 650.0)) - self.base * (1.0 + self.loss)
        self.loss_remainder = np.where(self.loss < 1.0, self.base * exp_remainder(few), many)

    def at(self, tilt: float) -> Saddle:
        a = self.direction.exponent(tilt)
        if a < 0.0 and np.any(self.steps.q > 0.5):
            needed = -float(np.min(lowest_mode(np.full_like(self.steps.sigma, a), self.steps.sigma, self.steps.q)))
            if needed > self.depth:
                self._build(2.0 * needed)
        log_g, mean, variance = self.pictures(a)
        count = self.steps.count
        return Saddle(
            tilt=tilt,
            log_moment=float((count * log_g).sum()),
            slope=self.direction.value * float((count * mean).sum()),
            curvature=float((count * variance).sum()),
        )

    def pictures(self, a: float | Array) -> tuple[Array, Array, Array]:
        """log G, and mean and variance of log r under the tilted law, of one step of each phase, [phase, 1] each;
        a: the exponent, of all phases or [phase, 1]."""
        loss, base = self.loss, self.base
        raised = a * loss
        terms = raised + self.log_base
        shift = np.max(terms, axis=1, keepdims=True)
        weight = np.exp(terms - shift)
        total = weight.sum(axis=1, keepdims=True)
        mean = (weight * loss).sum(axis=1, keepdims=True) / total
        square = (weight * loss * loss).sum(axis=1, keepdims=True) / total
        near = np.abs(raised) < 1.0
        capped = np.where(near, raised, 0.0)
        large = np.exp(np.minimum(terms, 650.0))
        gain = np.where(near, base * np.expm1(capped), large - base)
        excess = np.where(near, base * exp_remainder(capped), large - base * (1.0 + raised))
        small = np.maximum((excess - a * self.loss_remainder).sum(axis=1, keepdims=True), -0.999)
        slope = (loss * gain - self.loss_remainder).sum(axis=1, keepdims=True)
        direct = shift > 2.0
        log_g = np.where(direct, shift + np.log(total), np.log1p(np.where(direct, 0.0, small)))
        mean = np.where(direct, mean, slope / (1.0 + np.where(direct, 0.0, small)))
        return log_g, mean, np.maximum(square - mean * mean, 0.0)
