"""Stages 1 and 2: the mirrored law of a sampled Gaussian, which bounds fixed-size batches under replace-one.

With Q = N(0, σ²) and r(x) = 1 - q + q·e^((2x - 1)/2σ²), losses log r above 0, that is x > 1/2, are as they are, each
has its reflection below 0, and the rest, (1 - q)·erf(1/√8σ), is at 0:

    M(z) = (1 - q)·erf(1/√8σ) + ∫_(1/2)^∞ c·φ·(r^(1 + z) + r^-z) dx.

Gauss's rule on panels, as in laplace_gauss_rule, here with |φ(x + iy)| = e^(y²/2σ²)·φ(x), |arg r| taken at y/σ², and a
cut c that grows by e^(y²/2w²) at most. What lies beyond the last panel is bounded as in replaced_rule.
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps, loss_rounding
from dpplan.accounting.exact.contour.tail_decay import SAFE, Decay, Known
from dpplan.accounting.exact.contour.transform_integrand_bounds import angle
from dpplan.accounting.exact.mixed.laplace_gauss_rule import NODES, RULE, gauss
from dpplan.accounting.exact.mixed.law_as_points import LARGEST, Points, Uncomposable
from dpplan.accounting.exact.mixed.points_transform import Missing, Remainder, Tilted
from dpplan.accounting.exact.mixed.replaced_rule import LEAST_LOG, Replacement
from dpplan.accounting.exact.mixed.truncated_steps import CutSteps
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.pairs.law import EPS
from dpplan.quick_dataclass import dataclass

RATIOS = np.geomspace(1.4, 60.0, 16)  # ρ of the ellipses that are tried
HIGHEST = 1.45  # of them: the largest |Im x|/σ², below π/2
TURNS = 15.0  # by how much r^w may turn and grow over half a panel
MOST_PANELS = 300
PICTURE = 8.0


@dataclass(frozen=True)
class HalfLine:
    """Panels of half the width `half` from 1/2 to `high`, for one step of sampled Gaussian noise."""

    step: Replacement
    high: float
    half: float

    @classmethod
    def good_to(cls, step: Replacement, tilt: float, u: float) -> "HalfLine":
        """For transforms on Re z = tilt >= 0 up to |Im z| = u, and for all lesser tilts."""
        sigma, goal, nearest = step.sigma, step.depth + 10.0, 2.0
        widths = [0.6 * sigma, sigma**2, TURNS * sigma**2 / (1.0 + tilt + u)]
        if step.cut is not None:
            widths.append(0.6 * float(step.cut.width[0, 0]))
            nearest = max(nearest, float(step.cut.at[0, 0]) + float(step.cut.width[0, 0]))
        mean, variance = step.right_end(tilt)
        reach = math.sqrt(2.0 * goal)
        farthest = max(mean + reach * math.sqrt(variance), 1.0 + reach * sigma, nearest)
        enough = first_true(
            lambda x: max(step.log_right_tail(s, x) for s in (tilt, 0.0)) <= -goal, nearest, farthest, most=12
        )
        return cls(step, enough.true, min(widths))

    @property
    def count(self) -> int:
        return max(math.ceil((self.high - 0.5) / (2.0 * self.half)), 1)

    def _centres(self) -> tuple[Array, float]:
        half = 0.5 * (self.high - 0.5) / self.count
        return 0.5 + half * np.arange(1.0, 2.0 * self.count, 2.0), half

    def points(self) -> Points:
        """The nodes above 0, their reflections, and the atom."""
        step, sigma = self.step, self.step.sigma
        centres, half = self._centres()
        nodes, weights = gauss()
        x = (centres[:, None] + half * nodes).ravel()
        log_weight = np.log(np.tile(half * weights, len(centres)))
        loss, log_cut, ends = step.log_r(x), step.log_cut(x), np.array(self.high)
        base = step.log_normal(x) + log_cut + log_weight
        if not (np.all(base > LEAST_LOG) and float(loss[-1]) <= LARGEST):
            raise Uncomposable("masses or losses beyond floats")
        e = (2.0 * x - 1.0) / (2.0 * sigma**2)
        off = loss_rounding(x, e, loss, sigma, np.array(step.q), ends)
        place = 2.0 * (x + self.high) * (x + 2.0) / sigma**2
        if step.cut is not None:
            at, width = float(step.cut.at[0, 0]), float(step.cut.width[0, 0])
            place = place + 2.0 * (x + self.high) * (2.0 + np.abs(x - at) / width) / width + 16.0 * np.abs(log_cut)
        units = RULE + EPS * (48.0 + 4.0 * (np.abs(base) + loss) + place + off)
        above = Points(loss, np.exp(base + loss), np.exp(base), units, EPS * off)
        rest = np.array([at_zero(step)])
        atom = Points(np.zeros(1), rest, rest, np.array([16.0 * EPS]), np.zeros(1))
        return Points.joined([above, above.reversed(), atom])

    def log_remainder(self, s: float, u: float) -> float:
        """log of a bound on what is left out of M at Re z = s, that is t >= 0 or -1, and |Im z| <= u."""
        parts = [self._log_panels(a, u) for a in (1.0 + s, -s)]
        beyond = self.step.log_right_tail(max(s, 0.0), self.high) + math.log(2.0)  # r >= 1 there
        return float(np.logaddexp.reduce([*parts, beyond]))

    def _log_panels(self, a: float, u: float) -> float:
        """What Gauss's rule leaves out of ∫ c·φ·r^w, Re w = a."""
        step, variance = self.step, self.step.sigma**2
        centres, half = self._centres()
        ratios = RATIOS[half * (RATIOS - 1.0 / RATIOS) <= 2.0 * HIGHEST * variance]
        along, across = 0.5 * half * (ratios + 1.0 / ratios), 0.5 * half * (ratios - 1.0 / ratios)
        low, high = centres[:, None] - along, centres[:, None] + along
        turn = across / variance + np.zeros_like(low)
        power = a * step.log_r(high) if a >= 0.0 else a * (step.log_r(low) + np.log(np.cos(turn)))
        size = power + step.log_normal(np.maximum(low, 0.0)) + 0.5 * across**2 / variance
        size = size + u * angle(step.sampled(high), turn)
        if step.cut is not None:
            size = size + step.cut.log_weight(low) + 0.5 * (across / float(step.cut.width[0, 0])) ** 2
        error = size - 2.0 * NODES * np.log(ratios) - np.log1p(-(ratios**-2.0))
        best = np.min(error, axis=1) + math.log(half * 64.0 / 15.0)
        return float(np.logaddexp.reduce(best)) + 1e-9 * (1.0 + u + abs(a))


def at_zero(step: Replacement) -> float:
    """The mass at loss 0."""
    return (1.0 - step.q) * math.erf(0.5 / (step.sigma * math.sqrt(2.0)))


@dataclass(frozen=True)
class MirroredSteps(CutSteps):
    """`count` such steps; step: of the law that is mirrored. limit: as in CutSteps."""

    @property
    def _missing(self) -> Missing:
        """What the cut takes of all x, which is at least what it takes of those above 1/2: so it is known to itself."""
        step = self.step
        whole = (2.0 - step.q) * step.removed(0.0) + step.q * step.removed(1.0)
        return Missing(whole, whole, True, 1.0)

    @property
    def removed(self) -> float:
        """At least the probability that any of the steps is cut away."""
        return outward.up(self.count * self._missing.p, outward.SERIES)

    def at(self, tilts: Array, u: float = 0.0) -> list[Tilted]:
        """The law under each tilt, with points good for |Im z| up to u."""
        rule = HalfLine.good_to(self.step, float(np.max(tilts)), u)
        if rule.count > MOST_PANELS:
            raise Uncomposable("more panels than this engine takes")
        held, zero, minus_one = rule.points(), rule.log_remainder(0.0, 0.0), rule.log_remainder(-1.0, 0.0)
        return [
            Tilted(held, self._missing, tilt, Remainder.of(rule.log_remainder(tilt, u), zero, minus_one))
            for tilt in tilts.tolist()
        ]

    def picture(self) -> Points:
        """Points good enough to choose by, up to the limit."""
        sigma = self.step.sigma
        high = min(self.limit, 1.0 + PICTURE + 12.0 * sigma) + 3.0 * sigma
        rule = HalfLine(self.step, high, min(sigma, 2.0 * sigma**2))
        if rule.count > MOST_PANELS:
            raise Uncomposable("more panels than this engine takes")
        return rule.points()

    def log_decay(self, tilted: Tilted, edges: Array) -> Array:
        """As `contour.composed_loss.Moments.log_decay`."""
        own = self.count * math.log1p(tilted.error)
        return MirroredDecay(self.steps, self.step, tilted).log_bounds(edges) + own


class MirroredDecay(Decay):
    """Bounds on |φ|^count under the tilt. `far` knows the losses above 0 as those of a sampled Gaussian, up to the last
    cell's edge, where its density is counted as variation; `near` knows the atom and the reflections too."""

    def __init__(self, steps: Steps, step: Replacement, tilted: Tilted) -> None:
        t, loss = tilted.tilt, tilted.points.loss
        heavy = tilted.mass > 1e-16 * float(np.max(tilted.mass))
        high = _place(step, float(np.max(loss[heavy])))
        end = np.array([high])
        edge = (1.0 + t) * step.log_r(end) + step.log_normal(end) + step.log_cut(end)
        edge = edge + 2.0 * math.log(step.sigma) - np.log(step.sampled(end))
        known = Known(
            log_g=np.array([[tilted.log_g]]),
            error=np.array([[tilted.error]]),
            low=np.array([[0.5]]),
            high=np.array([[high]]),
            log_beyond=edge[None],
        )
        super().__init__(steps, 1.0 + t, known, step.cut)
        x = 0.5 + (high - 0.5) * np.linspace(0.0, 1.0, self.loss.shape[1])
        # Reflections: -t·log r, log φ and log c are concave, so that a cell holds at least what its ends say.
        log_p = -t * self.loss[0] + step.log_normal(x) + step.log_cut(x) - tilted.log_g - math.log1p(tilted.error)
        below = np.exp(np.minimum(log_p[1:], log_p[:-1])) * float(self.width[0, 0]) * SAFE
        atom = at_zero(step) * math.exp(-tilted.log_g) / (1.0 + tilted.error) * SAFE
        self.loss = np.concatenate((-self.loss[:, ::-1], self.loss), axis=1)
        self.mass = np.concatenate((below[::-1], [atom], self.mass[0]))[None]


def _place(step: Replacement, loss: float) -> float:
    """About the x of a loss above 0."""
    return max(0.5 + step.sigma**2 * math.log1p(math.expm1(loss) / step.q), 0.5 + 1e-6 * step.sigma)
