"""Stage 1, transform: how large the integrand can be beside the real line and beyond the nodes, as proven bounds.

The integrand is Q·c·(r^w - 1 - w(r - 1)), or Q·c·r^w alone. Two bounds on its modulus at x + iy, with θ = y/σ² in
[0, π), and L, s, e those of the real point x:

taylor  |w(w - 1)|/2 · Q·c·|r - 1|²·|m|^(a-2)·e^(u·arg r), by Taylor's formula with the remainder as an integral: m
        is the point of the segment from 1 to r that is worst, the far end for a >= 2, the one nearest to 0 for a < 2.
plain   Q·c·(|r|^a·e^(u·arg r) + 1 + |w|·(1 + |r|)), term by term; of r^w alone, the first term.

Facts used, with E = e^e:
- |r|² = (1-q)² + 2q(1-q)·E·cos θ + q²E² = r(x)²·(1 - 2s(1-s)(1 - cos θ)), and |1 + v(r - 1)| is at least
  cos(θ/2)·(1 + v(r(x) - 1)), because |A + B·e^{iθ}| >= cos(θ/2)·(A + B) for A, B >= 0; also at least its real part.
- arg r lies in [0, θ), rises with s, and s rises with x.
- |E·e^{iθ} - 1|² = E² - 2E·cos θ + 1 is convex in E, so over a cell it is largest at one of its ends.
- (log r)'' = s(1-s)/σ⁴ on the real line; (log c)'' is in [-1/width², 0] for a cut and for a band, since either weight
  is an indicator of an interval convolved with a Gaussian of that width.
- off the real line Q grows by e^(y²/2σ²) at most and c by e^(y²/2·width²): shift the integration of the Gaussian.

A function with φ'' >= -K lies below its chord plus K·(cell)²/8: this bounds each cell by its two ends, so sums over
cells bound integrals whatever the shape between the nodes is. Beyond the nodes a net of cells takes each factor at its
largest, and beyond the net the integrand falls like a Gaussian, whose integral is known.

Symbols: as in transform_quadrature.py; a = Re w, u = |Im w|. Arrays are [row, node], [row, cell] or [row, height].
"""

import copy
import math
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour.privacy_loss import Band, Cut, Steps, log_ratio
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.numerics.normal import log_normal_density, log_normal_tails
from dpplan.quick_dataclass import dataclass

# Net cells right of 0 on which the integrand is bounded: three in a σ, within these limits; then coarse ones.
NET_CELLS = (48, 600)
NET_LINEAR = np.linspace(1.0 / 64, 1.0, 64)
NET_GEOMETRIC = np.geomspace(1e-2, 1.0, 32)
# At the net's end a Gaussian has fallen by e^-FALLEN, the growth e^(u·θ) off the line made up for.
FALLEN = 120.0


@dataclass(frozen=True, slots=True)
class Nodes:
    """Equally spaced nodes, [row, node] but h [row, 1]: x, h, e, the loss, and log of density times weight times h.

    probes: each node speaks for itself and not for the cell up to the next. Then sums are estimates and no bounds.
    """

    x: Array
    h: Array
    e: Array
    loss: Array
    log_base: Array
    probes: bool = False

    @classmethod
    def at(cls, x: Array, h: Array, steps: Steps, cut: Cut | None, probes: bool = False) -> "Nodes":
        """At x, [row, node], a distance of h apart."""
        e = (2.0 * x - 1.0) / (2.0 * steps.sigma**2)
        log_base = log_normal_density(x, steps.sigma) + np.log(h)
        log_base = log_base if cut is None else log_base + cut.log_weight(x)
        return cls(x, h, e, log_ratio(e, steps.q), log_base, probes)

    def ends(self, values: Array) -> tuple[Array, Array]:
        """Those at the left and at the right end of each cell."""
        return (values, values) if self.probes else (values[..., :-1], values[..., 1:])


class Strip:
    """Bounds on the integrand for the exponents `a` [row, 1], up to |Im w| = u_max and Im x = highest [row, 1]."""

    def __init__(self, steps: Steps, a: Array, u_max: float | Array, highest: Array, cut: Cut | None) -> None:
        self.steps, self.a, self.cut = steps, a, cut
        self.partial = isinstance(cut, Band)  # then G is far below 1, and r^w is integrated as it stands
        self._cast_net(u_max * highest / steps.sigma**2 + FALLEN)

    def _cast_net(self, fallen: Array) -> None:
        """Bound the integrand on cells right of 0, each factor at its largest, to where it has fallen by e^-fallen.

        Fine cells to where it has surely fallen, coarse ones to where a Gaussian with the largest possible slope has.
        Right of `top` = max(a, 2), log(r^a·Q) and log(|r - 1|²·r^(a-2)·Q) have a slope of (top - x)/σ² at most, and
        right of a cut log c has one of (at - x)/width² at most (the hazard rate of a Gaussian exceeds its argument),
        so from the net's end on, both fall like a Gaussian around `peak` whose value there is known.
        """
        sigma, q, a, cut = self.steps.sigma, self.steps.q, self.a, self.cut
        peak, spread = np.maximum(a, 2.0) + np.zeros_like(sigma), sigma
        end = fine_end = peak + sigma * np.sqrt(2.0 * fallen)
        if cut is not None:
            narrow = sigma * cut.width / np.hypot(sigma, cut.width)
            middle = np.maximum(cut.at + (peak - cut.at) * (narrow / sigma) ** 2, cut.at)
            cut_end = middle + narrow * np.sqrt(2.0 * fallen)
            nearer = cut_end < end
            end, peak, spread = (
                np.where(nearer, ours, theirs) for ours, theirs in ((cut_end, end), (middle, peak), (narrow, spread))
            )
            fine_end = np.minimum(end, cut.at + cut.width * np.sqrt(2.0 * fallen))
        self.fine = int(np.clip(3.0 * np.max(fine_end / sigma), *NET_CELLS))
        fine = fine_end * np.linspace(0.0, 1.0, self.fine + 1)
        saturated = np.clip(sigma**2 * (2.0 - np.log(q)), fine_end, end)  # r rises like e^{x/σ²} up to about here
        coarse = fine_end + (saturated - fine_end) * NET_LINEAR
        rest = saturated + (end - saturated) * NET_GEOMETRIC
        self.edges = np.concatenate((fine, coarse, rest), axis=1)
        self.width = np.diff(self.edges, axis=1)
        self.e = (2.0 * self.edges[:, 1:] - 1.0) / (2.0 * sigma * sigma)
        loss = log_ratio(self.e, q)
        self.sampled = np.exp(np.log(q) + self.e - loss)
        left = self.edges[:, :-1]
        fall, risen = log_normal_density(left, sigma), self._risen(loss)
        self.whole = self.plain = risen + fall
        if cut is not None:
            fall = fall + cut.log_fall(left)
            self.plain = risen + fall
        self.taylor = self._risen_square(self.e, loss) + fall
        fall = log_normal_density(peak, sigma) + (0.0 if cut is None else cut.log_fall(peak))
        e_peak = (2.0 * peak - 1.0) / (2.0 * sigma * sigma)
        loss_peak = log_ratio(e_peak, q)
        # The integral of a Gaussian from its centre on, e^-fallen of it and more; plus one node's worth of its value.
        beyond = np.log(spread) + 0.5 * math.log(0.5 * math.pi) + fall - FALLEN
        self.beyond_taylor = self._risen_square(e_peak, loss_peak) + beyond
        self.beyond_plain = self._risen(loss_peak) + beyond
        self.spread = spread

    def of_rows(self, rows: npt.NDArray[np.integer]) -> "Strip":
        """The same bounds for some of the rows."""
        part = copy.copy(self)
        part.steps = Steps(self.steps.sigma[rows], self.steps.q[rows], self.steps.count[rows])
        if self.cut is not None:
            part.cut = type(self.cut)(*(getattr(self.cut, field.name)[rows] for field in fields(self.cut)))
        by_row = ("a", "edges", "width", "e", "sampled", "whole", "taylor", "plain", "spread")
        for name in (*by_row, "beyond_taylor", "beyond_plain"):
            setattr(part, name, getattr(self, name)[rows])
        return part

    def _risen(self, loss: Array) -> Array:
        """log of r^max(a, 1), at least 0."""
        return np.asarray(np.maximum(self.a, 1.0) * np.maximum(loss, 0.0))

    def _risen_square(self, e: Array, loss: Array) -> Array:
        """log of a bound on |r - 1|²·r^(a-2), rising with x; of r, its part above 1."""
        power = np.maximum(self.a, 2.0) - 2.0
        return np.asarray(2.0 * (np.log(self.steps.q) + np.logaddexp(0.0, e)) + power * np.maximum(loss, 0.0))

    def first_beyond(self, goal: Array) -> Array:
        """The lowest edge's number [row, 1] right of which the net holds no more than e^goal on the real line."""
        left_out = [
            np.logaddexp(np.logaddexp.accumulate((bound + log_width(self.width))[:, ::-1], axis=1)[:, ::-1], beyond)
            for bound, beyond in ((self.taylor, self.beyond_taylor), (self.plain, self.beyond_plain))
        ]
        least = left_out[1]
        if not self.partial:
            curve = np.log(np.abs(self.a * (self.a - 1.0)) / 2.0)
            least = np.minimum(left_out[0] + curve, least + np.log(2.0 + 2.0 * np.abs(self.a)))
        good = least <= goal
        return np.where(good.any(axis=1), np.argmax(good, axis=1), self.fine)[:, None]

    def lift(self, height: Array) -> Array:
        """log of how much the Gaussian and the cut can grow off the real line."""
        lift = 0.5 * (height / self.steps.sigma) ** 2
        return lift if self.cut is None else lift + 0.5 * (height / self.cut.width) ** 2

    def log_variation(self, within: "Range") -> Array:
        """log of a bound on the total variation of c·g right of the range, [row, 1], where g = r^a·Q·σ²/s, the density
        of the loss but for G.

        In a cell it is at most sup(c·g)·(width·sup|(log g)'| + 1), the 1 for c, which falls; σ²·(log g)' is
        (a + 1)·s - 1 - x. Beyond the net c·r^a·Q falls (see _cast_net), and so does 1/s.
        """
        sigma, q, a = self.steps.sigma, self.steps.q, self.a
        e = (2.0 * self.edges[:, :-1] - 1.0) / (2.0 * sigma * sigma)
        least = np.minimum(log_ratio((2.0 * within.high - 1.0) / (2.0 * sigma * sigma), q), 0.0)
        density = self.plain + np.minimum(a, 0.0) * least + 2.0 * np.log(sigma) - (np.log(q) + e - log_ratio(e, q))
        pulled, pushed = np.abs(a + 1.0) * self.sampled, 1.0 + self.edges[:, 1:]
        steepest = np.where(a + 1.0 >= 0.0, np.maximum(pulled, pushed), pulled + pushed) / sigma**2
        cells = density + np.log(steepest * self.width + 1.0)
        inside = np.arange(self.width.shape[1]) < within.first_cell
        return np.logaddexp(log_sum(np.where(inside, -np.inf, cells), keepdims=True), density[:, -1:])

    def log_cells(self, nodes: Nodes, height: Array, u: Array, sign: float = 1.0) -> tuple[Array, Array, Array]:
        """Logs of bounds on the integral along Im x = sign·height over the nodes' range, each [row, height].

        taylor without its factor |w(w - 1)|/2; plain; and of r^w alone. height: [row, height]; u: so, or [height].
        """
        sigma, a, h = (value[:, :, None] for value in (self.steps.sigma, self.a, nodes.h))
        log_q, u = np.log(self.steps.q)[:, :, None], u[..., None]
        turn = height[:, :, None] / sigma**2
        cosine, log_cos = np.cos(turn), np.log(np.cos(0.5 * turn))
        e, loss, base = nodes.e[:, None], nodes.loss[:, None], nodes.log_base[:, None]
        sampled = np.exp(np.minimum(log_q + e - loss, 0.0))
        s_left, s_right = nodes.ends(sampled)
        spread = nodes.ends(sampled * (1.0 - sampled))
        most = np.where((s_left <= 0.5) & (s_right >= 0.5), 0.25, np.maximum(*spread))
        bend = 1.0 / sigma**2 + (0.0 if self.cut is None else 1.0 / self.cut.width[:, :, None] ** 2)
        eighth = 0.0 if nodes.probes else h * h / 8.0
        room = bend * eighth
        # log|r| less its real counterpart: where it is largest and, for negative powers, where it is least.
        near, far = (0.5 * np.log1p(-2.0 * s * (1.0 - cosine)) for s in (np.minimum(*spread), most))
        turned = sign * u * angle(s_right if sign > 0.0 else s_left, turn)
        own_room = room + np.maximum(-a, 0.0) * np.minimum(s_right, most) / sigma**4 * eighth
        own = np.maximum(*nodes.ends(a * loss + base)) + own_room + a * np.where(a >= 0.0, near, far) + turned
        alone = log_sum(own) + self.lift(height)
        if self.partial:
            return alone, alone, alone
        log_w = np.log(np.hypot(a, u))
        ones = np.maximum(*nodes.ends(base)) + room + np.logaddexp(0.0, log_w)
        ratios = np.maximum(*nodes.ends(loss + base)) + room + near + log_w
        plain = log_sum(np.logaddexp(own, np.logaddexp(ones, ratios))) + self.lift(height)
        # |E·e^{iθ} - 1|², and the segment's point nearest to 0; beside e^300, 1 does not show.
        raised = np.minimum(e, 300.0)
        square = np.where(e > 300.0, 2.0 * e, np.log(np.expm1(raised) ** 2 + 2.0 * np.exp(raised) * (1.0 - cosine)))
        real_part = np.log1p(np.clip(np.exp(log_q) * (np.exp(raised) * cosine - 1.0), -1.0, 0.0))
        nearest = np.maximum(np.minimum(nodes.ends(loss)[0], 0.0) + log_cos, np.minimum(*nodes.ends(real_part)))
        power = [
            (a - 2.0) * np.maximum(one + near, 0.0) + weight
            for one, weight in zip(nodes.ends(loss), nodes.ends(base), strict=True)
        ]
        raised_to = np.where(a >= 2.0, np.maximum(*power), (a - 2.0) * nearest + np.maximum(*nodes.ends(base)))
        cells = 2.0 * log_q + np.maximum(*nodes.ends(square)) + raised_to + room + turned
        return log_sum(cells) + self.lift(height), plain, alone

    def log_tails(self, within: "Range", height: Array, u: Array, as_sum: bool = False) -> tuple[Array, Array, Array]:
        """The same three bounds over everything outside the nodes' range, [row, height].

        as_sum: of the sum of h times the modulus over the nodes beyond, and not of the integral: a cell holds at most
        width/h + 1 of them, and left of the range the modulus falls.
        """
        sigma, q, a = self.steps.sigma, self.steps.q, self.a
        turn, lift = height / sigma**2, self.lift(height)
        log_rest = np.log(1.0 - q)  # -inf without sampling: then nothing keeps r away from 0 but its place
        log_cos = np.log(np.cos(0.5 * turn))
        sharp = turn > 0.5 * math.pi
        log_w = np.log(2.0 + 2.0 * np.hypot(a, u))
        # How near to 0 the segment from 1 to r can come: see the first fact above; the losses rise with x.
        first_loss = np.minimum(log_ratio((2.0 * within.high - 1.0) / (2.0 * sigma * sigma), q), 0.0)
        log_least = np.maximum(first_loss + log_cos, np.where(sharp, -np.inf, log_rest))
        turned = u[..., None] * angle(self.sampled[:, None], turn[:, :, None])
        inside = np.arange(self.width.shape[1]) < within.first_cell
        width = log_width(self.width + (within.h if as_sum else 0.0))
        more = np.log1p(within.h / self.spread) if as_sum else 0.0
        swept = []
        for bound, beyond in ((self.taylor, self.beyond_taylor), (self.plain, self.beyond_plain)):
            cells = np.where(inside, -np.inf, bound + width)[:, None] + turned
            swept.append(np.logaddexp(log_sum(cells), beyond + more))
        right_taylor = swept[0] + np.minimum(a - 2.0, 0.0) * log_least
        right_alone = swept[1] + np.minimum(a, 0.0) * log_least
        fall = (2.0 * within.low - 1.0) / (2.0 * sigma * sigma)
        left_loss = log_ratio(fall, q)
        turned = u * angle(np.exp(np.log(q) + fall - left_loss), turn)
        log_mass = log_normal_tails(-within.low / sigma)
        if isinstance(self.cut, Band):  # its weight rises with x: at its largest in each cell, and at 0 for all x < 0
            weight = log_normal_tails((self.cut.start - np.minimum(self.edges, within.low)) / self.cut.width)
            left: Array = np.where(self.edges[:, :-1] < within.low, self.whole + width + weight[:, 1:], -np.inf)
            left_alone = np.logaddexp(log_sum(left, keepdims=True), np.log1p(within.h / sigma) + weight[:, :1]) + turned
        else:
            slope = (within.mode - within.low) / sigma**2
            left_alone = a * left_loss + log_normal_density(within.low, sigma) - np.log(slope)
            left_alone = left_alone + np.minimum(a, 0.0) * log_cos + turned
        alone = np.logaddexp(right_alone, left_alone) + lift
        if self.partial:
            return alone, alone, alone
        log_left = log_rest + np.where(sharp, log_cos, 0.0)
        power = np.minimum(a - 2.0, 0.0)
        by_rest = log_mass + np.where(power < 0.0, power * np.minimum(log_left, -1e-300), 0.0)
        # Or by r >= q·e^e: the integral of e^{power·e}·Q is a Gaussian's tail around `power`.
        shifted = power * np.log(q) + 0.5 * power * (power - 1.0) / sigma**2 + power * log_cos
        by_place = shifted + log_normal_tails((power - within.low) / sigma)
        by_place = np.where(within.low <= power, by_place, np.inf)
        left_taylor = np.minimum(by_rest, by_place) + 2.0 * np.log(2.0 * q) + turned
        taylor = np.logaddexp(right_taylor, left_taylor) + lift
        return taylor, np.logaddexp(alone, np.logaddexp(right_alone, log_mass) + log_w + lift), alone


@dataclass(frozen=True, slots=True)
class Range:
    """Where the nodes lie, [row, 1] each: from `low`, left of `mode`, to `high`, the edge of the net that begins cell
    number `first_cell`; h: their distance."""

    low: Array
    high: Array
    first_cell: Array
    mode: Array
    h: Array


def angle(sampled: Array, turn: Array) -> Array:
    """arg(1 - s + s·e^{i·turn}), the argument of r(x + iy) for turn = y/σ² in [0, π); rises with s."""
    return np.arctan2(sampled * np.sin(turn), 1.0 - sampled + sampled * np.cos(turn))


def log_width(width: Array) -> Array:
    """log of cell widths, -inf where a cell is empty."""
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(width, 0.0))
