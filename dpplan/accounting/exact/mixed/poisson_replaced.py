"""Stage 2, compose: steps in which one record is replaced by another, with the decay of their transform.

The decay is bounded as in contour/tail_decay, with the density of this loss: with s(x) the probability of having been
sampled, L' = (s(x) + s(-x))/σ², and g = p/L' the density of the loss under the tilt,

    σ²·(log g)' = (1 + t)·s(x) + t·s(-x) - x - (s(x) - s(-x))·(1 - s(x) - s(-x))/(s(x) + s(-x)),

whose terms are monotone or products of monotone ones, so that its ends over a cell are known from the cell's edges.
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.tail_decay import CELLS, SAFE, Decay
from dpplan.accounting.exact.mixed.law_as_points import Points, Uncomposable
from dpplan.accounting.exact.mixed.points_transform import Remainder, Tilted
from dpplan.accounting.exact.mixed.replaced_rule import Replacement, Trapezoid
from dpplan.accounting.exact.mixed.truncated_steps import CutSteps
from dpplan.accounting.numerics import Array, outward
from dpplan.quick_dataclass import dataclass

PICTURE = 8.0
MOST_NODES = 20_000
MOST_RATE = 0.999  # 1 - q enters bounds to the power of the tilt
NEXT_TO_NOTHING = 1e-16  # of the heaviest node


@dataclass(frozen=True)
class ReplacedSteps(CutSteps):
    """`count` such steps."""

    @property
    def removed(self) -> float:
        """The probability that any of the steps is cut away. Rounded up."""
        return outward.up(self.count * self.step.missing.p, outward.SERIES)

    def at(self, tilts: Array, u: float = 0.0) -> list[Tilted]:
        """The law under each tilt, with points good for |Im z| up to u."""
        rule = Trapezoid.good_to(self.step, float(np.max(tilts)), u)
        if rule.nodes > MOST_NODES:
            raise Uncomposable("more nodes than this engine takes")
        held, missing, zero, minus_one = (
            rule.points(),
            self.step.missing,
            rule.log_remainder(0.0, 0.0),
            rule.log_remainder(-1.0, 0.0),
        )
        return [
            Tilted(held, missing, tilt, Remainder.of(rule.log_remainder(tilt, u), zero, minus_one))
            for tilt in tilts.tolist()
        ]

    def picture(self) -> Points:
        """Points good enough to choose by, up to the limit."""
        sigma = self.step.sigma
        high = min(self.limit, 1.0 + PICTURE + 12.0 * sigma) + 3.0 * sigma
        span = high + 12.0 * sigma + 1.0
        count = math.ceil(span / min(0.2 * sigma, 0.5 * sigma**2)) + 1
        if count > MOST_NODES:
            raise Uncomposable("more nodes than this engine takes")
        return Trapezoid(self.step, high - span, high, span / (count - 1), 0.0).points()

    def log_decay(self, tilted: Tilted, edges: Array) -> Array:
        """As `contour.composed_loss.Moments.log_decay`."""
        own = self.count * math.log1p(tilted.error)
        return ReplacedDecay(self.steps, self.step, tilted).log_bounds(edges) + own


class ReplacedDecay(Decay):
    """Bounds on |φ|^count under the tilt, from cells between the first and the last of the law's nodes."""

    def __init__(self, steps: Steps, step: Replacement, tilted: Tilted) -> None:
        self.steps, self.a, t = steps, 1.0 + tilted.tilt, tilted.tilt
        self.known = tilted.error < 0.5
        x = self._cells(step, tilted)
        width, variance = float(x[1] - x[0]), step.sigma**2
        log_r, log_l, log_cut = step.log_r(x), step.log_r(-x), step.log_cut(x)
        sampled, other = step.sampled(x), step.sampled(-x)
        self.loss, self.width = (log_r - log_l)[None], np.array([[width]])
        log_p = (1.0 + t) * log_r - t * log_l + step.log_normal(x) - tilted.log_g
        # Mass, from below: log p bends upwards by (1 + t)·s(1 - s)/σ⁴ - 1/σ² at most, and log c is concave.
        bend = np.maximum((1.0 + t) * np.minimum(sampled[1:], 0.25) / variance**2 - 1.0 / variance, 0.0)
        below = log_p + log_cut - math.log1p(min(tilted.error, 1.0))
        floor = np.minimum(below[1:], below[:-1]) - bend * width**2 / 8.0
        self.mass = (np.exp(floor) * width * SAFE)[None]
        self.mass_above = np.cumsum(self.mass[:, ::-1], axis=1)[:, ::-1]
        # Variation of g, from above, of [b, the last edge] for every b.
        both = sampled + other
        log_g = log_p + math.log(variance) - np.log(both) - math.log1p(-min(tilted.error, 0.5))
        ratio = (sampled - other) / both
        least, most = sampled[:-1] + other[1:], sampled[1:] + other[:-1]
        products = [r * c for r in (ratio[:-1], ratio[1:]) for c in (1.0 - least, 1.0 - most)]
        high = (1.0 + t) * sampled[1:] + t * other[:-1] - x[:-1] - np.min(products, axis=0)
        low = (1.0 + t) * sampled[:-1] + t * other[1:] - x[1:] - np.max(products, axis=0)
        steepest = np.maximum(np.abs(high), np.abs(low)) / variance
        dropped = -np.expm1(log_cut[1:] - log_cut[:-1])
        top = np.maximum(log_g[1:], log_g[:-1]) + 0.5 * steepest * width + log_cut[:-1]
        each = (np.exp(top) * (steepest * width + dropped))[None]
        edge = np.exp(log_g + log_cut)
        self.variation = (edge[:-1] + np.cumsum(each[:, ::-1], axis=1)[:, ::-1] + edge[-1]) / SAFE

    @staticmethod
    def _cells(step: Replacement, tilted: Tilted) -> Array:
        """Cell edges in x over all but what weighs next to nothing."""
        heavy = np.nonzero(tilted.mass > NEXT_TO_NOTHING * float(np.max(tilted.mass)))[0]
        ends = [float(tilted.points.loss[k]) for k in (heavy[0], heavy[-1])]
        low, high = (_place(step, end) for end in ends)
        return low + (high - low) * np.linspace(0.0, 1.0, CELLS + 1)


def _place(step: Replacement, loss: float) -> float:
    """About the x of a loss: x = σ²·(asinh(α·sinh(L/2)) + L/2), α = e^(1/2σ²)·(1 - q)/q."""
    half = 0.5 * abs(loss)
    log_sinh = half + math.log(max(-math.expm1(-2.0 * half), 1e-300)) - math.log(2.0)
    log_argument = 0.5 / step.sigma**2 + math.log1p(-step.q) - math.log(step.q) + log_sinh
    rise = math.asinh(math.exp(log_argument)) if log_argument < 20.0 else log_argument + math.log(2.0)
    return math.copysign(step.sigma**2 * (rise + half), loss)
