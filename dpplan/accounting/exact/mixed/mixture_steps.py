"""Stage 2, compose: steps between two normal mixtures on a line, with the decay of their transform.

The decay is bounded as in contour/tail_decay. With m and V the mean and the variance of m_j given x in A or B, the
loss has the slope (m_A - m_B)/σ², the tilted density p = c·φ·A^α·B^β, and g, p over the slope, is the density of the
loss:

    σ²·(log p)' = α·m_A + β·m_B - x,   σ²·(log g)' = σ²·(log p)' - (V_A - V_B)/(m_A - m_B).

m rises with x; where B is 1 the quotient is n - m, n being the mean of m_j with shares in proportion to m_j·s_j, which
rises as well; else V lies between the ends that E[m_j²], which rises, and m leave it. So the ends of all of them over a
cell are known from the cell's edges. Where the loss falls first, cells begin where it rises.
"""

import math
from dataclasses import replace

import numpy as np

from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.privacy_loss import Cut, Steps
from dpplan.accounting.exact.contour.tail_decay import CELLS, SAFE, Decay
from dpplan.accounting.exact.mixed.law_as_points import Points, Uncomposable
from dpplan.accounting.exact.mixed.mixture_rule import MixturePanels, MixtureStep
from dpplan.accounting.exact.mixed.normal_mixture_ratio import ExponentialSum
from dpplan.accounting.exact.mixed.points_transform import Remainder, Tilted
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.accounting.pairs.gaussian_mixtures import MixtureLoss
from dpplan.quick_dataclass import dataclass

PICTURE, IN_SIGHT = 8.0, 33.0  # tilt, and place in σ, up to which the points serve by which a place is chosen
LEAST_STILL = 1e-6  # weight at mean 0, which enters bounds to the power of the tilt
LEAST_CUT = 2e-4  # of σ, of a cut's width
NEXT_TO_NOTHING = 37.0  # of log p below its largest
LOOKS = 1500
LARGEST = 200.0  # of the logarithm of a density, which proves nothing then


@dataclass(frozen=True, eq=False)
class MixtureSteps:
    """`count` such steps. turn: where the loss begins to rise; limit: the x beyond which they are too unlikely to
    matter, for the picture; log_removed: log of the share of delta that a step beyond it may have in all."""

    step: MixtureStep
    count: float
    turn: float
    limit: float = math.inf
    log_removed: float = placement.LOG_REMOVED

    @classmethod
    def of(cls, law: MixtureLoss, reverse: bool, count: int) -> "MixtureSteps | None":
        """None where the law leaves bounds too loose."""
        means, p, q = law.components
        order = np.argsort(means)
        a, b = (ExponentialSum.of(law.noise_multiplier, means[order], each[order], law.weight_off) for each in (p, q))
        if min(a.still, b.still) < LEAST_STILL:
            return None
        return cls(MixtureStep(a, b, reverse), float(count), law.turn)

    @property
    def sigma(self) -> float:
        return self.step.sigma

    def seen_at(self, log_delta: float) -> "MixtureSteps":
        """With losses that are absurd at this delta left out of the picture."""
        goal = log_delta + self.log_removed - math.log(self.count)
        wider = self.sigma * math.hypot(1.0, placement.FAR_WIDTH)
        sides = (self.step.a, self.step.b)
        rows = [(mean, math.log(w)) for side in sides for mean, w in zip(side.means, side.weights, strict=True)]

        def beyond(x: float) -> bool:
            logs = [log_weight + log_normal_tail(max((x - mean) / wider, -30.0)) for mean, log_weight in rows]
            return float(np.logaddexp.reduce(logs)) <= goal

        most = self.step.top + wider * (math.sqrt(2.0 * max(-goal, 0.0)) + 2.0)
        return replace(self, limit=first_true(beyond, 0.0, most, most=30).true)

    def cut_for(self, tilt: float, largest_tilt: float) -> "MixtureSteps":
        """With those cut away, where the tilt would reach for them."""
        if self.step.slope(tilt) + 3.0 * self.sigma <= self.limit:
            return self
        return replace(self, step=replace(self.step, cut=self._cut(largest_tilt)))

    def _cut(self, tilt: float) -> Cut:
        """As contour.composed_loss.cut_at: so sharp that the integrand does not rise again right of it."""
        step, at, sigma = self.step, self.limit, self.sigma
        powers = step.exponents(tilt)

        def log_weight(x: Array) -> Array:
            values = [power * side.log_value(x) for power, side in zip(powers, (step.a, step.b), strict=True)]
            return np.asarray(sum(values) - 0.5 * (x / sigma) ** 2)

        peak = float(np.max(log_weight(at * np.linspace(0.0, 1.0, 65))))
        saturated = 0.5 * step.top + sigma**2 * max(-math.log(max(float(step.a.weights[-1]), 1e-300)), 0.0)
        reach = max(max(saturated, step.slope(tilt)) + 10.0 * sigma - at, sigma)
        offset = 0.3 * sigma * (reach / (0.3 * sigma)) ** np.linspace(0.0, 1.0, 257)
        excess = np.maximum(log_weight(at + offset) - peak, 1e-300)
        narrowest = float(np.min(offset / np.sqrt(4.0 * excess))) / sigma
        width = min(max(narrowest, LEAST_CUT), placement.FAR_WIDTH) * sigma
        return Cut(np.array([[at]]), np.array([[width]]))

    @property
    def removed(self) -> float:
        """The probability that any of the steps is cut away. Rounded up."""
        missing = self.step.missing
        return outward.up(self.count * missing.p * (1.0 + missing.relative), outward.SERIES)

    def at(self, tilts: Array, u: float = 0.0) -> list[Tilted]:
        """The law under each tilt, with points good for |Im z| up to u."""
        rule = MixturePanels.good_to(self.step, float(np.max(tilts)), u)
        held, zero, minus_one = rule.points(), rule.log_remainder(0.0, 0.0), rule.log_remainder(-1.0, 0.0)
        return [
            Tilted(held, self.step.missing, tilt, Remainder.of(rule.log_remainder(tilt, u), zero, minus_one))
            for tilt in tilts.tolist()
        ]

    def picture(self) -> Points:
        """Points good enough to choose by, up to the limit."""
        sigma, top = self.sigma, self.step.top
        high = min(min(self.limit, top * (1.0 + PICTURE) + 12.0 * sigma) + 3.0 * sigma, IN_SIGHT * sigma)
        half = min(sigma, 2.0 * sigma**2 / top)
        return MixturePanels(self.step, -10.0 * sigma, high, half, 0.0, half).points()

    def log_decay(self, tilted: Tilted, edges: Array) -> Array:
        """As `contour.composed_loss.Moments.log_decay`."""
        own = self.count * math.log1p(tilted.error)
        return MixtureDecay(self, tilted).log_bounds(edges) + own


class MixtureDecay(Decay):
    """Bounds on |φ|^count under the tilt, from cells over what is heavy and right of where the loss begins to rise."""

    def __init__(self, steps: MixtureSteps, tilted: Tilted) -> None:
        step, t = steps.step, tilted.tilt
        self.steps = Steps(*(np.array([[value]]) for value in (step.sigma, 1.0, steps.count)))
        self.known = tilted.error < 0.5
        alpha, beta = step.exponents(t)
        x = self._cells(steps, t)
        width, variance = float(x[1] - x[0]), step.sigma**2
        log_a, log_b, log_cut = step.a.log_value(x), step.b.log_value(x), step.log_cut(x)
        slope = _Slopes.of(step, x)
        self.loss, self.width = (log_a - log_b)[None], np.array([[width]])
        log_p = alpha * log_a + beta * log_b + step.log_normal(x) - tilted.log_g
        # Mass, from below: log c is concave, and log p bends upwards by at most as much.
        bends = sum(max(power, 0.0) * most for power, most in zip((alpha, beta), slope.variances, strict=True))
        bend = np.maximum(bends / variance**2 - 1.0 / variance, 0.0)
        below = log_p + log_cut - math.log1p(min(tilted.error, 1.0))
        floor = np.minimum(below[1:], below[:-1]) - bend * width**2 / 8.0
        self.mass = (np.exp(floor) * width * SAFE)[None]
        self.mass_above = np.cumsum(self.mass[:, ::-1], axis=1)[:, ::-1]
        # Variation of g, from above, of [b, the last edge] for every b.
        log_g = log_p + math.log(variance) - np.log(np.maximum(slope.rise, 1e-300))
        log_g = log_g - math.log1p(-min(tilted.error, 0.5))
        low, high = (each - slope.quotient[1 - k] for k, each in enumerate(slope.of_density(alpha, beta, x)))
        steepest = np.maximum(np.abs(high), np.abs(low)) / variance
        dropped = -np.expm1(log_cut[1:] - log_cut[:-1])
        top = np.maximum(log_g[1:], log_g[:-1]) + 0.5 * steepest * width + log_cut[:-1]
        each = (np.exp(np.minimum(top, LARGEST)) * (steepest * width + dropped))[None]
        edge = np.exp(np.minimum(log_g + log_cut, LARGEST))
        self.variation = (edge[:-1] + np.cumsum(each[:, ::-1], axis=1)[:, ::-1] + edge[-1]) / SAFE

    @staticmethod
    def _cells(steps: MixtureSteps, tilt: float) -> Array:
        """Cell edges in x over all but what weighs next to nothing."""
        step = steps.step
        mean, variance = step.right_end(step.slope(tilt))
        x = np.linspace(-9.0 * step.sigma, max(mean + 9.0 * math.sqrt(variance), 9.0 * step.sigma), LOOKS)
        powers = zip(step.exponents(tilt), (step.a, step.b), strict=True)
        log_p = sum(power * side.log_value(x) for power, side in powers) + step.log_normal(x) + step.log_cut(x)
        heavy = x[log_p > np.max(log_p) - NEXT_TO_NOTHING]
        low, high = max(float(heavy[0]), steps.turn + 1e-6 * step.sigma), float(heavy[-1])
        if not low < high:
            raise Uncomposable("all that is heavy lies where the loss falls")
        return np.asarray(low + (high - low) * np.linspace(0.0, 1.0, CELLS + 1))


@dataclass(frozen=True, eq=False)
class _Slopes:
    """means: of A and B at the edges; variances: upper bounds over each cell; rise: m_A - m_B at the edges;
    quotient: ends of (V_A - V_B)/(m_A - m_B) over each cell."""

    means: tuple[Array, Array]
    variances: tuple[Array, Array]
    rise: Array
    quotient: tuple[Array, Array]

    @classmethod
    def of(cls, step: MixtureStep, x: Array) -> "_Slopes":
        (m_a, n_a), (m_b, n_b) = step.a.tilted_means(x), step.b.tilted_means(x)
        (low_a, high_a), (low_b, high_b) = _variance(m_a, n_a), _variance(m_b, n_b)
        if step.b.top == 0.0:
            quotient = (np.maximum(n_a[:-1] - m_a[1:], 0.0), n_a[1:] - m_a[:-1])
        else:
            least, most = (np.maximum(each, 1e-200) for each in (m_a[:-1] - m_b[1:], m_a[1:] - m_b[:-1]))
            under, over = low_a - high_b, high_a - low_b
            quotient = (
                np.where(under < 0.0, under / least, under / most),
                np.where(over < 0.0, over / most, over / least),
            )
        return cls((m_a, m_b), (high_a, high_b), m_a - m_b, quotient)

    def of_density(self, alpha: float, beta: float, x: Array) -> tuple[Array, Array]:
        """Ends of σ²·(log p)' over each cell."""
        low, high = -x[1:], -x[:-1]
        for power, mean in zip((alpha, beta), self.means, strict=True):
            least, most = (mean[:-1], mean[1:]) if power >= 0.0 else (mean[1:], mean[:-1])
            low, high = low + power * least, high + power * most
        return low, high


def _variance(mean: Array, biased: Array) -> tuple[Array, Array]:
    """Ends of E[m_j²] - m² over each cell."""
    square = mean * biased
    return np.maximum(square[:-1] - mean[1:] ** 2, 0.0), square[1:] - mean[:-1] ** 2
