"""Stage 2, compose: how fast the composed characteristic function falls, as a proven bound.

The contour sum stops at a finite frequency; what it leaves out is bounded here, not sampled. For one step under
the tilted law p(x) = c·r^a·Q / G(a), with loss L(x), two bounds on |φ(u)| = |E[e^{iuL}]|:

near  1 - |φ(u)|² = E[1 - cos u(L - L')] >= κ·u²·E[(L - L')²; both in one window of losses of width y/u], with
      κ = (1 - cos y)/y², because 1 - cos is at least κ times the square on [-y, y]. Any window will do.
far   Integrating by parts over {x >= b}: |φ(u)| <= 1 - P(x >= b) + V(b)/u, V(b) = g(b) + TV(g; x >= b), where
      g = p / L' is the density of the loss: only a part that is smooth at scale 1/u has to fall. Any b will do.

Each phase takes the better one; they multiply over steps and phases. Everything is a Riemann sum over cells
rounded to the safe side by bounds on second derivatives, so the number of cells decides how sharp the result is
and not whether it holds.

Symbols: s = q·e^e/r; σ²·(log g)' = (a + 1)·s - 1 - x before the cut. Arrays are [phase, cell edge] or [phase, cell].
"""

import math
from typing import Protocol

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps, log_ratio
from dpplan.accounting.numerics import Array
from dpplan.quick_dataclass import dataclass

CELLS = 320
# Share of a pair's squared distance given up to absorb the width of the cells the pair lies in.
BLUR = 0.1
WINDOWS = (1.0, math.pi)
ENOUGH = -60.0
# With more phases than this each gets fewer places to begin at, and one window: together they fall fast.
MANY, FEWER = 48, 8
CELLS_ROUNDING = 2.0 * CELLS * 2.0**-52
SAFE = 1.0 - 1e-9  # for the rounding of sums of numbers of one sign


class Weight(Protocol):
    """A cut: a weight on every step that falls with x and whose logarithm is concave."""

    def log_weight(self, x: Array) -> Array:
        """log c at nodes [phase, node]."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the transform says of the tilted law, [phase, 1] each.

    log_g: log G(a); error: of G, relative, taken to the safe side; low, high: what the cells span; log_beyond: log of
    the variation right of `high` (Strip.log_variation, RareLaw.log_variation).
    """

    log_g: Array
    error: Array
    low: Array
    high: Array
    log_beyond: Array


class Decay:
    """Bounds on Π|φ|^count at the real exponent `a`, one for all phases or [phase, 1]."""

    def __init__(self, steps: Steps, a: float | Array, known: Known, cut: Weight | None) -> None:
        log_g, error, low, high = known.log_g, known.error, known.low, known.high
        self.steps, self.a = steps, a
        sigma, q = steps.sigma, steps.q
        x = low + (high - low) * np.linspace(0.0, 1.0, CELLS + 1)
        self.width = (high - low) / CELLS
        e = (2.0 * x - 1.0) / (2.0 * sigma * sigma)
        self.loss = log_ratio(e, q)
        log_p = a * self.loss - x * x / (2.0 * sigma**2) - np.log(sigma * math.sqrt(2.0 * math.pi)) - log_g
        log_sampled = np.log(q) + e - self.loss
        log_weight = np.zeros_like(x) if cut is None else cut.log_weight(x)
        sampled = np.exp(log_sampled)
        self.bend = np.minimum(sampled[:, 1:], 0.25) / sigma**4  # s(1 - s)/σ⁴ at most, in each cell; s rises
        self._bound_masses(log_p + log_weight - np.log1p(error))
        spare = -np.log1p(-np.minimum(error, 0.5))
        self._beyond = np.exp(known.log_beyond - log_g + spare)
        self._bound_variations(x, log_p + 2.0 * np.log(sigma) - log_sampled + spare, sampled, log_weight)
        self.known = bool(np.all(error < 0.5))

    def _bound_masses(self, log_p: Array) -> None:
        """Lower bounds: log p lies above its chord less (its largest curvature)·width²/8; log c is concave."""
        bend = np.maximum(np.maximum(self.a, 0.0) * self.bend - 1.0 / self.steps.sigma**2, 0.0)
        floor = np.minimum(log_p[:, 1:], log_p[:, :-1]) - bend * self.width**2 / 8.0
        self.mass = np.exp(floor) * self.width * SAFE
        self.mass_above = np.cumsum(self.mass[:, ::-1], axis=1)[:, ::-1]

    def _bound_variations(self, x: Array, log_g: Array, sampled: Array, log_weight: Array) -> None:
        """Upper bounds on V(b) at every left cell edge, for g times the cut's weight c, which falls.

        In a cell ∫|(c·g)'| <= max c · sup g · sup|(log g)'| · width + sup g · (fall of c).
        """
        sigma, a = self.steps.sigma, self.a
        bend = 1.0 / sigma**2 + np.maximum(-(a + 1.0), 0.0) * self.bend
        log_top = np.maximum(log_g[:, 1:], log_g[:, :-1]) + bend * self.width**2 / 8.0
        rise, fall = (a + 1.0) * sampled, 1.0 + x  # σ²·(log g)' is their difference; both monotone
        most, least = np.maximum(rise[:, 1:], rise[:, :-1]), np.minimum(rise[:, 1:], rise[:, :-1])
        steepest = np.maximum(np.abs(most - fall[:, :-1]), np.abs(fall[:, 1:] - least)) / sigma**2
        dropped = -np.expm1(log_weight[:, 1:] - log_weight[:, :-1])
        variation = np.exp(log_top + log_weight[:, :-1]) * (steepest * self.width + dropped)
        edge = np.exp(log_g + log_weight)
        beyond = np.cumsum(variation[:, ::-1], axis=1)[:, ::-1]
        self.variation = (edge[:, :-1] + beyond + self._beyond) / SAFE

    def log_bounds(self, edges: Array) -> Array:
        """log of a bound on Π|φ(u)|^count for u in [edges_k, edges_k+1]; the last entry holds for all u beyond."""
        counts = self.steps.count[:, 0]
        if not self.known:
            return np.zeros(len(edges))
        if len(counts) > MANY:
            far = self._far_of_all(edges)
            weak = np.nonzero(counts @ far[:, :-1] > ENOUGH)[0]
            far[:, weak] = np.minimum(far[:, weak], self._near_of_all(edges[weak], edges[weak + 1]))
            return np.asarray(counts @ far)
        far = np.array([self._far(row, edges) for row in range(len(counts))])
        # Where far alone says enough, near is not asked: it is the dear one.
        weak = np.nonzero(counts @ far[:, :-1] > ENOUGH)[0]
        for row in range(len(counts)):
            far[row, weak] = np.minimum(far[row, weak], self._near(row, edges[weak], edges[weak + 1]))
        return np.asarray(counts @ far)

    def _far_of_all(self, low: Array) -> Array:
        """`far` at every FEWER-th place to begin, [phase, edge]; low: [edge], or [edge, phase, 1]."""
        above, variation = (np.ascontiguousarray(v[:, ::FEWER]) for v in (self.mass_above, self.variation))
        kept = [np.max(above - np.minimum(above, variation / edge), axis=1) for edge in low]
        return np.log1p(-np.minimum(np.stack(kept, axis=1), 1.0 - 1e-15))

    def _near_of_all(self, low: Array, high: Array) -> Array:
        """`near` with the one window around the mean loss, [phase, edge]; low, high: [edge], or [phase, edge]."""
        loss, mass = self.loss, self.mass
        middle, half = 0.5 * (loss[:, 1:] + loss[:, :-1]), 0.5 * np.diff(loss, axis=1)
        whole = mass.sum(axis=1, keepdims=True)
        mean = (mass * middle).sum(axis=1, keepdims=True) / np.maximum(whole, 1e-300)
        offset = middle - mean
        columns = (mass, mass * offset, mass * offset**2, mass * half**2)
        sums = [np.concatenate((np.zeros_like(whole), np.cumsum(column, axis=1)), axis=1) for column in columns]
        second = sums[2][:, -1:]
        best = np.zeros((len(loss), low.shape[-1]))
        for span in WINDOWS:
            reach = 0.5 * span / high
            starts = np.stack([np.searchsorted(*each) for each in zip(loss, mean - reach, strict=True)])
            ends = [np.searchsorted(*each, side="right") for each in zip(loss, mean + reach, strict=True)]
            ends = np.maximum(np.stack(ends) - 1, starts)
            m0, m1, m2, blur = (
                np.take_along_axis(s, ends, axis=1) - np.take_along_axis(s, starts, axis=1) for s in sums
            )
            best = np.maximum(best, _spread(span, low, (m0, m1, m2, blur), (whole, second, sums[3][:, -1:])))
        return np.asarray(0.5 * np.log1p(-np.minimum(best, 1.0 - 1e-15)))

    def _far(self, row: int, low: Array) -> Array:
        above, variation = self.mass_above[row], self.variation[row]
        kept = above - np.minimum(above, variation / low[:, None])
        return np.log1p(-np.minimum(np.max(kept, axis=1), 1.0 - 1e-15))

    def _near(self, row: int, low: Array, high: Array) -> Array:
        loss, mass = self.loss[row], self.mass[row]
        middle, half = 0.5 * (loss[1:] + loss[:-1]), 0.5 * np.diff(loss)
        offset = middle - float((mass * middle).sum() / max(float(mass.sum()), 1e-300))
        columns = (mass, mass * offset, mass * offset**2, mass * half**2)
        sums = [np.concatenate(([0.0], np.cumsum(column))) for column in columns]
        starts = np.arange(len(mass))[None, :]
        best = np.zeros(len(low))
        for span in WINDOWS:
            ends = np.searchsorted(loss, loss[None, :-1] + span / high[:, None], side="right") - 1
            m0, m1, m2, blur = (s[np.maximum(ends, starts)] - s[starts] for s in sums)
            pairs = _spread(span, low[:, None], (m0, m1, m2, blur), (sums[0][-1], sums[2][-1], sums[3][-1]))
            best = np.maximum(best, np.max(pairs, axis=1))
        return 0.5 * np.log1p(-np.minimum(best, 1.0 - 1e-15))


def _spread(
    span: float,
    low: Array,
    moments: tuple[Array, Array, Array, Array],
    whole: tuple[Array | float, Array | float, Array | float],
) -> Array:
    """A lower bound on 1 - |φ|² from one window of width span / high; whole: of the running sums that the moments are
    differences of, all but that of `m1`. They are off by a rounding per cell of them, and so is that of the blur, which
    counts many times over."""
    (m0, m1, m2, blur), (mass, second, blurred) = moments, whole
    off = CELLS_ROUNDING * (mass * m2 + m0 * second + 2.0 * np.sqrt(mass * second) * np.abs(m1))
    pairs = 2.0 * (m0 * m2 - m1 * m1 - off)
    pairs = (1.0 - BLUR) * pairs - (1.0 / BLUR - 1.0) * 4.0 * m0 * (blur + CELLS_ROUNDING * blurred)
    return np.asarray((1.0 - math.cos(span)) / span**2 * low**2 * pairs)
