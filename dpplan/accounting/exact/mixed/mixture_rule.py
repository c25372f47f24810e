"""Stage 1: Gauss's rule for the loss between two normal mixtures on a line, with what it leaves out.

With φ the density of N(0, σ²), A and B the mixtures' ratios to it (normal_mixture_ratio) and a cut c, or 1, the
transforms

    M(z) = ∫ c·φ·A^(1 + z)·B^-z dx   and, of the reverse,   ∫ c·φ·A^-z·B^(1 + z) dx

have an integrand that is analytic where A and B have no zeros (normal_mixture_ratio says where). On panels, as in
laplace_gauss_rule, with |φ(x + iy)| = e^(y²/2σ²)·φ(x), and of a cut of width w

    |c(x + iy)| <= e^(y²/2w²)·c(x),   |c(x + iy)| <= 1 + e^(y²/2w²)·(1 - c(x)).

Left of all panels A and B lie between their weight at 0 and their value at the first panel's edge. Right of them log A
rises by top/σ² for each unit of x at most, and by the mean at the last edge over σ² at least: where cells end, a
Gaussian's tail bounds the rest.

Symbols: s = Re z, u >= |Im z|; α, β the exponents of |A| and |B|; arrays are [place], [panel] or [panel, ellipse].
"""

import math
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Cut
from dpplan.accounting.exact.contour.transform_quadrature import TAIL_UNITS
from dpplan.accounting.exact.mixed.laplace_gauss_rule import NODES, RULE, gauss
from dpplan.accounting.exact.mixed.law_as_points import LARGEST, Points, Uncomposable
from dpplan.accounting.exact.mixed.normal_mixture_ratio import ExponentialSum
from dpplan.accounting.exact.mixed.points_transform import Missing
from dpplan.accounting.exact.mixed.replaced_rule import DEPTH, LEAST_LOG, LOG_2PI, SAFE
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail, log_normal_tails, normal_tail
from dpplan.accounting.pairs.law import EPS
from dpplan.quick_dataclass import dataclass

SPREAD = np.linspace(0.0, 1.0, 97) ** 2  # cells of a tail
RATIOS = np.geomspace(1.4, 60.0, 12)  # ρ of the ellipses that are tried
WIDER, REACHED, ROOM = np.geomspace(0.05, 0.9, 7), 1.3, 0.8  # halves that are tried, in σ; half an ellipse; of a half
# By how much the integrand may turn and grow over half a panel; how much more for each unit that its logarithm is less
# than that.
TURNS, MORE_TURNS, LIGHT = 15.0, 1.2, -15.0
MOST_SPARE = 400.0  # of a logarithm, for what a ratio below 1 may grow to
MOST_PANELS, MOST_TERMS, PLACES = 2000, 130_000, 400  # terms: panels times components
NEAR_CUT = 8.0  # widths of a cut around its place where panels are as narrow as it


@dataclass(frozen=True, eq=False)
class MixtureStep:
    """One step: P is the mixture a, Q the mixture b. reversed: the other way round. cut: of losses that are absurd,
    [1, 1] each, or None."""

    a: ExponentialSum
    b: ExponentialSum
    reversed: bool
    cut: Cut | None = None

    @property
    def sigma(self) -> float:
        return self.a.sigma

    @cached_property
    def top(self) -> float:
        return max(self.a.top, self.b.top)

    def exponents(self, s: float) -> tuple[float, float]:
        """α and β at Re z = s."""
        return (-s, 1.0 + s) if self.reversed else (1.0 + s, -s)

    def log_normal(self, x: Array) -> Array:
        return -0.5 * (x / self.sigma) ** 2 - math.log(self.sigma) - 0.5 * LOG_2PI

    def log_cut(self, x: Array) -> Array:
        return np.zeros_like(x) if self.cut is None else self.cut.log_weight(x.ravel()[None])[0].reshape(x.shape)

    @property
    def at(self) -> float:
        """The place of the cut; inf without one."""
        return math.inf if self.cut is None else float(self.cut.at[0, 0])

    @property
    def width(self) -> float:
        """Of the cut."""
        return math.inf if self.cut is None else float(self.cut.width[0, 0])

    def removed(self, side: ExponentialSum) -> float:
        """What the cut takes of a mixture."""
        if self.cut is None:
            return 0.0
        together = math.hypot(self.sigma, self.width)
        tails = [normal_tail((self.at - mean) / together) for mean in side.means.tolist()]
        return float(side.weights @ np.array(tails))

    @cached_property
    def missing(self) -> Missing:
        p, q = (self.removed(side) for side in ((self.b, self.a) if self.reversed else (self.a, self.b)))
        return Missing(p, q, True, TAIL_UNITS + self.a.off + self.b.off)

    @cached_property
    def depth(self) -> float:
        """M - 1 is about the square of what moves, over σ², where these are small."""
        moving = max(self.a.moving, self.b.moving)
        return DEPTH - 2.0 * math.log(moving) + 2.0 * math.log(max(self.sigma, 1.0))

    def slope(self, s: float) -> float:
        """σ² times the largest slope of |A|^α·|B|^β."""
        return sum(max(each, 0.0) * side.top for each, side in zip(self.exponents(s), (self.a, self.b), strict=True))

    def right_end(self, slope: float) -> tuple[float, float]:
        """Mean and variance of the Gaussian that e^(slope·x/σ²)·c·φ is below, right of the cut."""
        mean, variance = slope, self.sigma**2
        if self.cut is not None:
            together = 1.0 / (self.width**-2.0 + 1.0 / variance)
            mean, variance = together * (self.at / self.width**2 + mean / variance), together
        return mean, variance

    def log_right_tail(self, s: float, high: float) -> float:
        """log of a bound on the integral over x >= high, which is at least 0, and the cut's place."""
        mean, variance = self.right_end(self.slope(s))
        x = high + max(mean + math.sqrt(2.0 * self.depth * variance) - high, 1e-3 * self.sigma) * SPREAD
        cells = self.log_normal(x)[:-1] + self.log_cut(x)[:-1] + np.log(np.diff(x))
        for power, side in zip(self.exponents(s), (self.a, self.b), strict=True):
            if power != 0.0:
                value = side.log_value(x)
                cells = cells + power * (value[1:] if power > 0.0 else value[:-1])
        near = float(np.logaddexp.reduce(cells))
        return float(np.logaddexp(near, self._log_beyond(s, float(x[-1])))) + SAFE * (1.0 + 1e-3 * abs(near))

    def _log_beyond(self, s: float, high: float) -> float:
        """log of a bound on the same integral by a Gaussian's tail, each ratio rising from its value at `high`."""
        at, slope, level = np.array([high]), 0.0, 0.0
        for power, side in zip(self.exponents(s), (self.a, self.b), strict=True):
            slope += power * (side.top if power > 0.0 else float(side.mean(at)[0]))
            level += power * float(side.log_value(at)[0])
        mean, narrowed = self.right_end(slope)
        variance = self.sigma**2
        peak = level - slope * high / variance + 0.5 * mean * mean / narrowed
        if self.cut is not None:
            peak -= 0.5 * (self.at / self.width) ** 2 + math.log(2.0)
        size = mean * mean / narrowed + abs(slope * high) / variance + abs(level) + abs(peak)
        tail = log_normal_tail((high - mean) / math.sqrt(narrowed))
        return peak + 0.5 * math.log(narrowed / variance) + tail + SAFE + 64.0 * EPS * size

    def log_left_tail(self, s: float, low: float) -> float:
        """Likewise over x <= low <= 0."""
        at, level = np.array([low]), 0.0
        for power, side in zip(self.exponents(s), (self.a, self.b), strict=True):
            level += power * (float(side.log_value(at)[0]) if power > 0.0 else math.log(side.still))
        return level + log_normal_tail(-low / self.sigma) + SAFE * (1.0 + abs(level))


@dataclass(frozen=True)
class MixturePanels:
    """Panels from low to high: half of one's width is at most `half`, and what the integrand turns and grows by over it
    about TURNS, `turning` being that for each unit of the mean; `fine` from where the cut is near."""

    step: MixtureStep
    low: float
    high: float
    half: float
    turning: float
    fine: float
    tilt: float = 0.0

    @classmethod
    def good_to(cls, step: MixtureStep, tilt: float, u: float) -> "MixturePanels":
        """For transforms on Re z = tilt >= 0 up to |Im z| = u, and for all lesser tilts."""
        sigma, goal, nearest = step.sigma, step.depth + 10.0, 2.0
        top = step.top
        half, turning = min(0.9 * sigma, 1.2 * sigma**2 / top), (1.0 + tilt + u) / sigma**2
        if step.cut is not None:
            nearest = max(nearest, step.at + step.width)
        mean, variance = step.right_end(step.slope(tilt))
        reach = math.sqrt(2.0 * goal)
        farthest = max(mean + reach * math.sqrt(variance), top + reach * sigma, nearest)
        enough = first_true(
            lambda x: max(step.log_right_tail(s, x) for s in (tilt, 0.0, -1.0)) <= -goal, nearest, farthest, most=5
        )
        still = min(step.a.still, step.b.still)
        spare = -max(tilt, 1.0) * math.log(still)
        low = -math.sqrt(2.0 * (goal + min(spare, MOST_SPARE))) * sigma
        return cls(step, low, enough.true, half, turning, min(half, 0.6 * step.width), tilt)

    @cached_property
    def _edges(self) -> Array:
        x = np.linspace(self.low, self.high, PLACES)
        widest = self._widest(x)
        narrow = np.full(len(x), self.half)
        for _ in range(2):  # it turns by the mean over a panel, whose width that decides
            ahead = x + 0.5 * narrow
            mean = np.maximum(self.step.a.mean(ahead), self.step.b.mean(ahead))
            turns = TURNS + MORE_TURNS * np.maximum(LIGHT - self._log_density(ahead), 0.0)
            narrow = np.minimum(widest, turns / np.maximum(self.turning * mean, 1e-300))
        if self.step.cut is not None:
            near = x > self.step.at - np.maximum(NEAR_CUT * self.step.width, 2.0 * widest)
            narrow[near] = np.minimum(narrow[near], self.fine)
        per_unit = 0.5 / narrow
        passed = np.concatenate(([0.0], np.cumsum(0.5 * np.diff(x) * (per_unit[1:] + per_unit[:-1]))))
        count = max(math.ceil(float(passed[-1])), 1)
        components = max(len(self.step.a.means), len(self.step.b.means))
        if count > min(MOST_PANELS, MOST_TERMS / components):
            raise Uncomposable("more panels than this engine takes")
        return np.interp(np.linspace(0.0, float(passed[-1]), count + 1), passed, x)

    def _log_density(self, x: Array) -> Array:
        """log of the integrand's size on the line at the tilt."""
        powers = zip(self.step.exponents(self.tilt), (self.step.a, self.step.b), strict=True)
        log_values = sum(power * side.log_value(x) for power, side in powers)
        return np.asarray(log_values + self.step.log_normal(x) + self.step.log_cut(x))

    def _widest(self, x: Array) -> Array:
        """About the widest half of a panel there with room for ellipses: more than `half` where means hardly vary."""
        sigma, widest = self.step.sigma, np.full(len(x), self.half)
        for half in (sigma * WIDER).tolist():
            low, high = x - REACHED * half, x + REACHED * half
            variance = np.maximum(self.step.a.most_variance(low, high), self.step.b.most_variance(low, high))
            mean = np.maximum(self.step.a.mean(high), self.step.b.mean(high))
            turned = self.turning * half * (mean + 0.5 * half * variance / sigma**2)
            wide = (half * np.sqrt(variance) <= ROOM * sigma**2) & (turned <= TURNS)
            widest = np.where(wide, np.maximum(widest, half), widest)
        return widest

    def points(self) -> Points:
        """The nodes of all panels."""
        step, edges = self.step, self._edges
        centres, halves = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
        nodes, weights = gauss()
        x = (centres[:, None] + halves[:, None] * nodes).ravel()
        log_weight = np.log((halves[:, None] * weights).ravel())
        # A centre is off by half a unit of itself, a half width by a unit of itself, and what is made of them likewise.
        ends = np.repeat(4.0 * halves, len(nodes))
        log_a, log_b, log_cut = step.a.log_value(x), step.b.log_value(x), step.log_cut(x)
        base, loss = step.log_normal(x) + log_cut + log_weight, log_a - log_b
        if not (np.all(base > LEAST_LOG) and float(np.max(np.abs(loss))) <= LARGEST):
            raise Uncomposable("masses or losses beyond floats")
        off = step.a.rounding(x, ends) + step.b.rounding(x, ends)
        place = 2.0 * (np.abs(x) + ends) * (np.abs(x) + 2.0) / step.sigma**2
        if step.cut is not None:
            felt = 2.0 + np.abs(x - step.at) / step.width
            place = place + 2.0 * (np.abs(x) + ends) * felt / step.width + 16.0 * np.abs(log_cut)
        units = RULE + EPS * (48.0 + 4.0 * (np.abs(base) + np.abs(log_a) + np.abs(log_b)) + place + off)
        held = Points(loss, np.exp(base + log_a), np.exp(base + log_b), units, EPS * off)
        return held.reversed() if step.reversed else held

    @cached_property
    def _ellipses(self) -> "_Ellipses":
        return _Ellipses.around(self.step, self._edges)

    def log_remainder(self, s: float, u: float) -> float:
        """log of a bound on what is left out of M at Re z = s, that is t >= 0 or -1, and |Im z| <= u."""
        ends = np.logaddexp(self.step.log_right_tail(s, self.high), self.step.log_left_tail(s, self.low))
        return float(np.logaddexp(self._ellipses.log_error(self.step.exponents(s), u), ends))


@dataclass(frozen=True, eq=False)
class _Ellipses:
    """What is known of the integrand on ellipses around the panels, [panel, ellipse]: the ratios at their right ends,
    the least they can be, the largest argument, and log of what the rule makes of the rest."""

    log_most: tuple[Array, Array]
    log_least: tuple[Array, Array]
    angle: Array
    rest: Array

    @classmethod
    def around(cls, step: MixtureStep, edges: Array) -> "_Ellipses":
        centres, halves = 0.5 * (edges[1:] + edges[:-1])[:, None], 0.5 * np.diff(edges)[:, None]
        along, across = 0.5 * halves * (RATIOS + 1.0 / RATIOS), 0.5 * halves * (RATIOS - 1.0 / RATIOS)
        low, high = centres - along, centres + along
        sides = [side.beside(low, high, across / step.sigma**2) for side in (step.a, step.b)]
        nearest = np.where(low * high <= 0.0, 0.0, np.minimum(np.abs(low), np.abs(high)))
        size = step.log_normal(nearest) + 0.5 * (across / step.sigma) ** 2 + _log_cut_on(step, low, high, across)
        rule = np.log(halves * 64.0 / 15.0) - 2.0 * NODES * np.log(RATIOS) - np.log1p(-(RATIOS**-2.0))
        return cls(
            log_most=(step.a.log_value(high), step.b.log_value(high)),
            log_least=(sides[0].log_least, sides[1].log_least),
            angle=np.maximum(sides[0].angle, sides[1].angle) + np.maximum(sides[0].below, sides[1].below),
            rest=np.where(sides[0].within & sides[1].within, size + rule, math.inf),
        )

    def log_error(self, exponents: tuple[float, float], u: float) -> float:
        """log of what the rule leaves out of the panels."""
        size = self.rest + u * self.angle
        for power, most, least in zip(exponents, self.log_most, self.log_least, strict=True):
            if power != 0.0:
                size = size + power * (most if power > 0.0 else least)
        spare = 1e-9 * (1.0 + u + abs(exponents[0]) + abs(exponents[1]))
        return float(np.logaddexp.reduce(np.min(size, axis=1))) + spare


def _log_cut_on(step: MixtureStep, low: Array, high: Array, across: Array) -> Array:
    """log of a bound on a cut on ellipses from low to high."""
    if step.cut is None:
        return np.zeros_like(low)
    lift = 0.5 * (across / step.width) ** 2
    taken = log_normal_tails(((step.at - high) / step.width).ravel()).reshape(high.shape)
    return np.minimum(step.log_cut(low) + lift, np.logaddexp(0.0, taken + lift))
