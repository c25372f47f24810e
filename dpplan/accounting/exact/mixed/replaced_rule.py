"""Stage 1: the trapezoid rule for the loss of one record replaced by another, with what it leaves out.

With φ the density of N(0, σ²), r(x) = 1 - q + q·e^((2x - 1)/2σ²) and a cut c (contour/privacy_loss), or 1,

    M(z) = ∫ c·φ(x)·r(x)^(1 + z)·r(-x)^-z dx.

The integrand f is analytic in |Im x| < πσ². The rule of step h over the whole line errs by at most
2·max_±∫|f(x ± iy)|dx / (e^(2πy/h) - 1) (Trefethen, Weideman 2014, SIAM Review 56, Thm 5.1), y any below πσ²/2, where

    cos(y/σ²)·r(x) <= |r(x + iy)| <= r(x),   |c(x + iy)| <= e^(y²/2w²)·c(x),   |φ(x + iy)| = e^(y²/2σ²)·φ(x),

and |r^iu| <= e^(u·arg), the argument rising with x. So the integral is bounded cell by cell, each factor taken at the
end of the cell where it is largest. Outside the nodes' range, x <= -1/2: r(x) <= 1 <= r(-x); x >= b >= 1/2: r(x) is at
most q·e^((2x - 1)/2σ²)/s(b) with s(b) the probability of having been sampled, and 1 - q <= r(-x) <= 1: where cells end,
Gaussian tails bound all of it.

Symbols: s = Re z, u >= |Im z|; arrays are [cell edge] or [node].
"""

import math
from dataclasses import replace
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Cut, log_ratio, loss_rounding
from dpplan.accounting.exact.contour.transform_integrand_bounds import angle
from dpplan.accounting.exact.contour.transform_quadrature import TAIL_UNITS
from dpplan.accounting.exact.mixed.law_as_points import LARGEST, Points, Uncomposable
from dpplan.accounting.exact.mixed.points_transform import Missing
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail, normal_tail
from dpplan.accounting.pairs.law import EPS
from dpplan.quick_dataclass import dataclass

CELLS = 400
HEIGHTS = np.array((0.1, 0.2, 0.3, 0.42, 0.55, 0.68, 0.8, 0.9, 0.97))  # of the highest that is allowed
DEPTH = 45.0  # the rule is asked to leave e^-DEPTH of M - 1
LEAST_LOG = -600.0  # of a mass: smaller ones lose digits
SAFE = 1e-9  # for the rounding of bounds, in a logarithm, and as much for each unit of it
MOST_TURNED = 200.0  # of u·arg, for which the range makes room
LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Replacement:
    """One step: noise multiplier σ, sample rate q in (0, 1); cut: of losses that are absurd, [1, 1] each, or None."""

    sigma: float
    q: float
    cut: Cut | None = None

    @cached_property
    def _rate(self) -> Array:
        return np.array(self.q)

    def log_r(self, x: Array) -> Array:
        return log_ratio((2.0 * x - 1.0) / (2.0 * self.sigma**2), self._rate)

    def sampled(self, x: Array) -> Array:
        """q·e^((2x - 1)/2σ²)/r(x), which rises with x."""
        e = (2.0 * x - 1.0) / (2.0 * self.sigma**2)
        return np.exp(np.minimum(math.log(self.q) + e - self.log_r(x), 0.0))

    def loss(self, x: Array) -> Array:
        return self.log_r(x) - self.log_r(-x)

    def log_cut(self, x: Array) -> Array:
        return np.zeros_like(x) if self.cut is None else self.cut.log_weight(x[None])[0]

    def log_normal(self, x: Array) -> Array:
        return -0.5 * (x / self.sigma) ** 2 - math.log(self.sigma) - 0.5 * LOG_2PI

    def removed(self, mean: float) -> float:
        """What the cut takes of N(mean, σ²)."""
        if self.cut is None:
            return 0.0
        at, width = float(self.cut.at[0, 0]), float(self.cut.width[0, 0])
        return normal_tail((at - mean) / math.hypot(self.sigma, width))

    @property
    def missing(self) -> Missing:
        rest = (1.0 - self.q) * self.removed(0.0)
        return Missing(rest + self.q * self.removed(1.0), rest + self.q * self.removed(-1.0), True, TAIL_UNITS)

    @property
    def depth(self) -> float:
        """M - 1 is about q²/σ² where these are small."""
        return DEPTH - 2.0 * math.log(self.q) + 2.0 * math.log(max(self.sigma, 1.0))

    def right_end(self, tilt: float) -> tuple[float, float]:
        """Where beyond the end of the range what is left is a Gaussian: its mean and variance."""
        mean, variance = 1.0 + tilt, self.sigma**2
        if self.cut is not None:
            at, narrow = float(self.cut.at[0, 0]), float(self.cut.width[0, 0]) ** 2
            together = 1.0 / (1.0 / narrow + 1.0 / variance)
            mean, variance = together * (at / narrow + mean / variance), together
        return mean, variance

    def log_right_tail(self, s: float, high: float, h: float = 0.0) -> float:
        """log of a bound on the integral of f over x >= high, Im x = 0; high is at least 1/2, and the cut's place.

        Cell by cell, each factor taken where it is largest, to where a Gaussian bounds the rest. h: of h times the sum
        over nodes that far apart instead, of which a cell holds its width/h + 1 at most, and a falling rest less than
        its integral.
        """
        mean, variance = self.right_end(s)
        beyond = math.sqrt(2.0 * (max(self._log_beyond(s, high), 0.0) + self.depth + MOST_TURNED) * variance)
        x = high + max(mean + beyond - high, 1e-3 * self.sigma) * np.linspace(0.0, 1.0, CELLS + 1) ** 2
        power = (1.0 + s) * self.log_r(x)[1:] - max(s, 0.0) * self.log_r(-x)[1:]
        cells = power + self.log_normal(x)[:-1] + self.log_cut(x)[:-1] + np.log(np.diff(x) + h)
        near = float(np.logaddexp.reduce(cells))
        return float(np.logaddexp(near, self._log_beyond(s, float(x[-1])))) + SAFE * (1.0 + 1e-3 * abs(near))

    def _log_beyond(self, s: float, high: float) -> float:
        """log of a bound on the same integral by a Gaussian's tail.

        c(x) <= e^(-(x - at)²/2w²)/2, and with it and r(x) <= q·e^((2x - 1)/2σ²)/s(high) f is below a Gaussian.
        """
        a, variance = 1.0 + s, self.sigma**2
        mean, narrowed = self.right_end(s)
        share = a * (math.log(self.q) - math.log(float(self.sampled(np.array([high]))[0])))
        peak = 0.5 * mean * mean / narrowed - 0.5 * a / variance + share - max(s, 0.0) * math.log1p(-self.q)
        if self.cut is not None:
            at, width = float(self.cut.at[0, 0]), float(self.cut.width[0, 0])
            peak -= 0.5 * (at / width) ** 2 + math.log(2.0)
        scaled = (high - mean) / math.sqrt(narrowed)
        size = mean * mean / narrowed + abs(a) / variance + abs(peak)
        return peak + 0.5 * math.log(narrowed / variance) + log_normal_tail(scaled) + SAFE + 64.0 * EPS * size

    def log_left_tail(self, s: float, low: float) -> float:
        """Likewise over x <= low, at most -1/2 (-1 for s = -1, where f = φ(x)·r(-x))."""
        if s >= 0.0:
            return log_normal_tail(-low / self.sigma) + SAFE
        return log_normal_tail((-low - 1.0) / self.sigma) + SAFE


@dataclass(frozen=True)
class Trapezoid:
    """Nodes from low to high, h apart; height: y of the line on which the error is bounded."""

    step: Replacement
    low: float
    high: float
    h: float
    height: float

    @classmethod
    def good_to(cls, step: Replacement, tilt: float, u: float) -> "Trapezoid":
        """A rule for transforms on Re z = tilt >= 0 up to |Im z| = u, and for all lesser tilts."""
        goal = step.depth + 10.0 + min(1.5 * u, MOST_TURNED)
        reach = math.sqrt(2.0 * goal)
        low, nearest = min(-reach * step.sigma - 1.0, -2.0), 2.0
        if step.cut is not None:
            nearest = max(nearest, float(step.cut.at[0, 0]) + float(step.cut.width[0, 0]))
        mean, variance = step.right_end(tilt)
        farthest = max(mean + reach * math.sqrt(variance), 1.0 + reach * step.sigma, nearest)
        enough = first_true(
            lambda x: max(step.log_right_tail(s, x) for s in (tilt, 0.0)) <= -goal, nearest, farthest, most=12
        )
        high = enough.true
        most = min(0.48 * math.pi * step.sigma**2, 10.0 * step.sigma)
        if step.cut is not None:
            most = min(most, 10.0 * float(step.cut.width[0, 0]))
        rule = cls(step, low, high, 1.0, 0.0)
        still, heights = rule.log_edge(tilt, 0.0, 0.0), most * HEIGHTS
        excess = np.array([max(rule.log_edge(tilt, u, y) - still, 0.0) for y in heights.tolist()])
        steps = 2.0 * math.pi * heights / (step.depth + excess)
        best = int(np.argmax(steps))
        count = math.ceil((high - low) / float(steps[best])) + 1
        return replace(rule, h=(high - low) / (count - 1), height=float(heights[best]))

    @property
    def nodes(self) -> int:
        return round((self.high - self.low) / self.h) + 1

    @cached_property
    def _edges(self) -> Array:
        return self.low + (self.high - self.low) * np.linspace(0.0, 1.0, CELLS + 1)

    @cached_property
    def _on_edges(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        """log r and the probability of having been sampled, at x and at -x; log c; the least |x| of each cell."""
        x, step = self._edges, self.step
        near = np.where(x[:-1] * x[1:] <= 0.0, 0.0, np.minimum(np.abs(x[:-1]), np.abs(x[1:])))
        return step.log_r(x), step.log_r(-x), step.sampled(x), step.sampled(-x), step.log_cut(x), near

    @cached_property
    def _right_tails(self) -> dict[float, float]:
        return {}

    def _right_tail(self, s: float) -> float:
        if s not in self._right_tails:
            self._right_tails[s] = self.step.log_right_tail(s, self.high)
        return self._right_tails[s]

    def log_edge(self, s: float, u: float, y: float) -> float:
        """log of a bound on ∫|f(x ± iy)|dx for Re z = s, that is t >= 0 or -1, and |Im z| <= u."""
        step, variance = self.step, self.step.sigma**2
        right, left, sampled, other, log_cut, near = self._on_edges
        turn = np.array(y / variance)
        power = (1.0 + s) * right[1:] - (s * left[1:] if s >= 0.0 else s * left[:-1])
        turned = u * (angle(sampled[1:], turn) + angle(other[:-1], turn)) if u > 0.0 else 0.0
        cells = power + turned + step.log_normal(near) + log_cut[:-1]
        lift = 0.5 * y * y / variance - max(s, 0.0) * math.log(math.cos(y / variance))
        if step.cut is not None:
            lift += 0.5 * (y / float(step.cut.width[0, 0])) ** 2
        inside = float(np.logaddexp.reduce(cells)) + math.log((self.high - self.low) / CELLS)
        # One of the two angles is at most that of r = e^((2x - 1)/2σ²) itself, the other is that at the range's end.
        beyond = np.logaddexp(
            self._right_tail(s) + u * float(turn + angle(other[-1:], turn)[0]),
            step.log_left_tail(s, self.low) + u * float(turn + angle(sampled[:1], turn)[0]),
        )
        total = float(np.logaddexp(inside, beyond)) + lift
        return total + SAFE * (1.0 + 1e-3 * (abs(total) + u))

    def log_remainder(self, s: float, u: float) -> float:
        """log of a bound on what the rule leaves out of M at Re z = s and |Im z| <= u."""
        tail = 2.0 * math.pi * self.height / self.h
        rule = self.log_edge(s, u, self.height) + math.log(2.0) - tail - math.log(-math.expm1(-tail))
        ends = np.logaddexp(self.step.log_right_tail(s, self.high, self.h), self.step.log_left_tail(s, self.low))
        return float(np.logaddexp(rule, ends + math.log(2.0)))  # of the integral, and of the sum, which has more

    def points(self) -> Points:
        """Masses at the nodes. x is known to a unit of the range's ends, which moves masses and losses."""
        step, sigma = self.step, self.step.sigma
        x = self.low + self.h * np.arange(self.nodes, dtype=np.float64)
        ends, q = max(abs(self.low), abs(self.high)), np.array(step.q)
        log_r, log_l, log_cut = step.log_r(x), step.log_r(-x), step.log_cut(x)
        base = step.log_normal(x) + log_cut + math.log(self.h)
        e, f = ((2.0 * place - 1.0) / (2.0 * sigma**2) for place in (x, -x))
        off = [loss_rounding(x, each, r, sigma, q, np.array(ends)) for each, r in ((e, log_r), (f, log_l))]
        place = (np.abs(x) + ends) * (np.abs(x) + 2.0) / sigma**2
        if step.cut is not None:
            at, width = float(step.cut.at[0, 0]), float(step.cut.width[0, 0])
            place = place + (np.abs(x) + ends) * (2.0 + np.abs(x - at) / width) / width + 16.0 * np.abs(log_cut)
        units = EPS * (48.0 + 4.0 * (np.abs(base) + np.abs(log_r) + np.abs(log_l)) + 2.0 * place + off[0] + off[1])
        loss = log_r - log_l
        if not (np.all(base > LEAST_LOG) and float(np.max(np.abs(loss))) <= LARGEST):
            raise Uncomposable("masses or losses beyond floats")
        return Points(loss, np.exp(base + log_r), np.exp(base + log_l), units, EPS * (off[0] + off[1]))
