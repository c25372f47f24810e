"""Stage 1, transform, for rare jumps: one kind of step, remove direction, cut into a bulk and jumps.

    c_i(x) = exp(-e^{g_i}),  g_i = p·(x - x_i)/σ²   a cut at x_i: e^{g_i} is e^{p·e} but for a factor, so that it falls
                                                  like exp(-loss^p) while losses are small
    bulk   G(w) = 1 + E_Q[c₀·(r^w - 1 - w(r - 1))] - (1 - w)·E_Q[1 - c₀] - w·E_Q[(1 - c₀)·r]
    jumps  J(w) = E_Q[(c₁ - c₀)·r^w],  x₀ < x₁

The first is E_Q[c₀·r^w], because E_Q[r] = 1; its last two terms are -E_Q[1 - c₀] - w·E_Q[(1 - c₀)·(r - 1)]. No loss
is too absurd for such a cut: it falls faster than any power of r grows. Left of the cut 1 - c₀ is about e^{g₀}, and
e^{g₀}·Q falls towards the left because p > x₀. All expectations are trapezoid sums, with bounds that hold wherever the
nodes lie and however large p, q, σ and w make things.

Let Im x = y with 0 <= y <= σ², η = p·y/σ² < π/2, k = cos η, θ(x) = arg r(x + iy) and s(x) = q·e^e/r(x). Then, for
a = Re w >= 0 and u = |Im w|:

 1  |r(x + iy)| <= r(x), and θ is arctan of s·sin(y/σ²)/(1 - s + s·cos(y/σ²)): it rises with x, from 0 to y/σ² <= 1.
 2  |Q(x + iy)| = Q(x)·e^{y²/2σ²}. |c₀| = exp(-k·e^{g₀}), since e^{g₀} turns by η. A difference of cuts is the integral
    over the place of e^g·exp(-e^g), whose modulus is e^g·exp(-k·e^g): |c₁ - c₀| <= (exp(-k·e^{g₁}) - exp(-k·e^{g₀}))/k.
    Neither needs more than exp(-k·e^{g₁})·(1 - exp(-k·e^{g₀}))/k, a falling factor and a rising one.
 3  |r^w| <= r^a·e^{u·θ}. By Taylor's formula r^w - 1 - w(r - 1) = w(w - 1)·(r - 1)²·∫₀¹ (1 - v)·m^{w - 2} dv with
    m = 1 + v(r - 1); |arg m| <= θ, and Re r >= 1 - q + q·e^e·cos 1 > 1 - q, so 1 - q <= |m| <= max(1, r(x)), and
    |r - 1| <= q·(1 + e^e). For a >= 1 its modulus is at most
    |w(w - 1)|/2·q²(1 + e^e)²·max(1, r)^{(a - 2)₊}/(1 - q)·e^{u·θ}.
 4  Each factor of these majorants is monotone in x, but Q at 0: so over a cell the majorant is at most the product of
    the factors' larger ends, and its integral over the line at most the sum over cells, plus what lies beyond them.
    Right of the last: r^a grows by at most e^{a·Δx/σ²}, (1 + e^e)² by e^{2Δx/σ²}, exp(-k·e^{g₁}) falls at least by
    e^{-k·e^{g₁}·p·Δx/σ²} and Q by e^{-x·Δx/σ²}. Left of the first, jumps: r^a at its end, times ∫ e^{g₀}·Q, which is
    e^{(p² - 2p·x₀)/2σ²} times a Gaussian's tail around p; bulk: 4q²/(1 - q) times Q's mass.
 5  The trapezoid rule with step h on a function analytic for |Im x| <= y errs by at most 2N/(e^{2πy/h} - 1), N the
    larger of its moduli's integrals over the two lines Im x = ±y (Trefethen, Weideman 2014, SIAM Review 56, Thm 5.1).
    Any y will do. r^w is analytic for |Im x| < πσ², c and Q everywhere.
 6  Nodes beyond the range that is summed: right of it at most (width + h)·majorant of each cell; left of it the
    majorant rises, so that a sum over nodes is at most the integral.
 7  |J(a + iu)| for every u >= U: the same integral on Im x = y with e^{-U·θ} for e^{u·θ}, θ at the cells' left ends.

Symbols: as above; L = log r; e = (2x - 1)/(2σ²); Q = N(0, σ²). A row is one exponent a. Arrays are [row], [cell],
[row, cell], [node], [row, node] or [row, frequency].
"""

import functools
import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import log_ratio, loss_rounding
from dpplan.accounting.exact.contour.transform_quadrature import SERIES_BELOW, drop_and_lag
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.exp_remainder import exp_remainder
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.quick_dataclass import dataclass

EPS = float(np.finfo(float).eps)
DEPTH = 44.0  # the rule and what is left out are asked for e^-DEPTH of what is summed
TURNS = np.array((0.2, 0.45, 0.7, 0.95, 1.15, 1.3, 1.42))  # heights tried, as η
CELLS, EDGE_CELLS = 500, 160
MOST_NODES = 30_000
AT_ONCE = 1024  # waves that are added up before their sums are
HUGE = 690.0
SAFE = 1e-9  # in logarithms: above the rounding of sums of numbers of one sign


@dataclass(frozen=True)
class Window:
    """The cuts of one phase: c₁ - c₀ between `start` = x₀ and `end` = x₁, or c₁ alone where start is None."""

    power: float
    end: float
    start: float | None = None


class RareLaw:
    """log G or log J at the exponents a, [row], good for |Im w| <= u_max; a >= 1 for a bulk, >= 0 for jumps."""

    def __init__(self, sigma: float, q: float, window: Window, a: Array, u_max: float = 0.0) -> None:
        self.sigma, self.q, self.window, self.a, self.u_max = sigma, q, window, a, u_max
        self.steep = window.power / sigma**2  # dg/dx
        self.heights = [float(eta) / self.steep for eta in TURNS if eta / self.steep <= sigma * sigma]
        self._cut_into_cells()
        self._lay_out()
        x: Array = self.low + self.h * np.arange(self.nodes, dtype=np.float64)
        self.x, self.e = x, self._exponent(x)
        self.loss = log_ratio(self.e, np.array(q))
        self.log_c = self._log_weight(x, x, 1.0)
        self.log_base = self.log_c + self._log_density(x) + math.log(self.h)
        if window.start is None:
            self._sum_bulk()
        else:
            self._sum_jumps()

    # -- majorants

    def _exponent(self, x: Array) -> Array:
        return np.asarray((2.0 * x - 1.0) / (2.0 * self.sigma**2))

    def _sampled(self, x: Array) -> Array:
        e = self._exponent(x)
        return np.exp(np.minimum(math.log(self.q) + e - log_ratio(e, np.array(self.q)), 0.0))

    def _log_density(self, x: Array) -> Array:
        return np.asarray(-0.5 * (x / self.sigma) ** 2 - math.log(self.sigma * math.sqrt(2.0 * math.pi)))

    def _log_weight(self, left: Array, right: Array, k: float) -> Array:
        """log of the cut at left = right and k = 1; else of its bound in point 2, over a cell."""
        with np.errstate(divide="ignore", over="ignore"):
            falling = -k * np.exp(self.steep * (left - self.window.end))
            if self.window.start is None:
                return np.asarray(falling)
            rising = k * np.exp(self.steep * (right - self.window.start))
            if left is right:
                rising = rising + falling  # the difference itself, and not a bound on it
            return np.asarray(falling + np.log(-np.expm1(-rising)) - math.log(k))

    def _cut_into_cells(self) -> None:
        sigma, start, end = self.sigma, self.window.start, self.window.end
        power = self.window.power
        if start is None:
            self.low = -sigma * math.sqrt(2.0 * (DEPTH + 6.0 + math.log1p(4.0 * sigma * sigma)))
        else:
            self.low = power - sigma * math.sqrt(120.0 + ((power - start) / sigma) ** 2)
        if math.isinf(end):
            assert start is not None  # there is a weight
            top = 3.0 + math.hypot(start, 15.0 * sigma)
        else:
            # Where exp(-k·e^g) has made up for all that grows, and falls faster than r^a can rise.
            most, gap = float(np.max(self.a)), 0.0
            least = 200.0 + self.u_max * self.heights[-1] / sigma**2 + 2.0 * max(most, 2.0) / power
            for _ in range(4):
                largest = float(log_ratio(self._exponent(np.array(end + gap)), np.array(self.q)))
                gap = math.log(10.0 * (least + most * max(largest, 0.0))) / self.steep
            top = end + gap
        pieces = [np.linspace(self.low, top, CELLS)]
        pieces += [
            at + np.linspace(-10.0, 8.0, EDGE_CELLS) / self.steep for at in (start, end) if at is not None and at < top
        ]
        edges = np.unique(np.concatenate(pieces))
        self.edges = edges[(edges >= self.low) & (edges <= top)]
        self.left, self.right = self.edges[:-1], self.edges[1:]
        self.log_width = np.log(self.right - self.left)
        log_q = self._log_density(np.clip(0.0, self.left, self.right))
        exponent = self._exponent(self.edges)
        losses = log_ratio(exponent, np.array(self.q))
        self._edge_sampled = np.exp(np.minimum(math.log(self.q) + exponent - losses, 0.0))
        e, loss = exponent[1:], losses[1:]
        a = self.a[:, None]
        self._strips = dict[float, Array]()
        if start is not None:
            self._log_rest = a * loss + log_q
        else:
            square = 2.0 * (math.log(self.q) + np.logaddexp(0.0, e)) - math.log1p(-self.q)
            self._log_rest = np.maximum(a - 2.0, 0.0) * np.maximum(loss, 0.0) + log_q + square

    def _log_major(self, k: float = 1.0) -> Array:
        """log of the majorant's largest value in each cell, [row, cell]; of the bulk without |w(w - 1)|/2."""
        return np.asarray(self._log_rest + self._log_weight(self.left, self.right, k))

    def _log_beyond(self, k: float, added: float) -> Array:
        """log of the majorant's integral right of the last cell, plus `added` times its value there, [row]."""
        fall = k * math.exp(self.steep * (self.right[-1] - self.window.end)) * self.steep
        rate = fall + self.right[-1] / self.sigma**2 - np.maximum(self.a, 2.0) / self.sigma**2
        at_end = self._log_rest[:, -1] - fall / self.steep - math.log(k)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rate > 0.0, at_end + np.log(1.0 / rate + added), np.inf)

    def _log_before(self) -> Array:
        """log of the majorant's integral left of the first cell, [row]; of the bulk without |w(w - 1)|/2."""
        if self.window.start is None:
            mass = log_normal_tail(-self.low / self.sigma)
            return 2.0 * math.log(2.0 * self.q) - math.log1p(-self.q) + mass + 0.0 * self.a
        power, start = self.window.power, self.window.start
        square = 0.5 * power * (power - 2.0 * start) / self.sigma**2
        tail = log_normal_tail((power - self.low) / self.sigma)
        return square + tail + self.a * float(log_ratio(self._exponent(np.array(self.low)), np.array(self.q)))

    def _turn(self, sampled: Array, height: float) -> Array:
        angle = height / self.sigma**2
        return np.arctan2(sampled * math.sin(angle), 1.0 - sampled + sampled * math.cos(angle))

    def _log_strip(self, height: float) -> Array:
        """log N of point 5 at this height for |Im w| <= u_max, [row]; of the bulk without |w(w - 1)|/2."""
        if height not in self._strips:
            k, u = math.cos(self.steep * height), self.u_max
            turned = u * self._turn(self._edge_sampled, height)
            inside = log_sum(self._log_major(k) + self.log_width + turned[1:])
            beyond = self._log_beyond(k, 0.0) + u * height / self.sigma**2
            total = np.logaddexp(np.logaddexp(inside, self._log_before() + turned[0]), beyond)
            self._strips[height] = total + 0.5 * (height / self.sigma) ** 2
        return self._strips[height]

    def _log_left_out(self) -> Array:
        """log of a bound on the nodes of the infinite trapezoid sum beyond those summed, [row]."""
        outside = np.arange(len(self.left)) > self._last
        major = np.where(outside, self._log_major() + np.log(np.exp(self.log_width) + self.h), -np.inf)
        return np.logaddexp(np.logaddexp(log_sum(major), self._log_beyond(1.0, self.h)), self._log_before())

    # -- nodes

    def _lay_out(self) -> None:
        """The range, and the largest step that leaves e^-DEPTH at some height."""
        size = self._log_size()
        major = self._log_major() + self.log_width
        beyond = np.logaddexp.accumulate(major[:, ::-1], axis=1)[:, ::-1]
        good = np.all(beyond <= (size - DEPTH)[:, None], axis=0)
        self._last = max(int(np.argmax(good)), 1) - 1 if good.any() else len(self.left) - 1
        high = float(self.right[self._last])
        steps = []
        for height in self.heights:
            depth = DEPTH + np.maximum(self._log_strip(height) - size, 0.0)
            steps.append(2.0 * math.pi * height / float(np.nan_to_num(np.max(depth), nan=1e300)))
        wanted = (high - self.low) / max(max(steps, default=0.0), 1e-300) + 2.0
        self.nodes = int(min(wanted, MOST_NODES))
        self.h = (high - self.low) / (self.nodes - 1)

    def _log_size(self) -> Array:
        """About what the sums will come to, [row]; of the bulk without |w(w - 1)|/2."""
        middle = 0.5 * (self.left + self.right)
        loss, a = log_ratio(self._exponent(middle), np.array(self.q)), self.a[:, None]
        weight = self._log_weight(middle, middle, 1.0) + self._log_density(middle) + self.log_width
        if self.window.start is not None:
            return log_sum(a * loss + weight)
        near = np.minimum(a * loss, 30.0)
        curve = exp_remainder(near) - a * exp_remainder(np.minimum(loss, 30.0))
        terms = np.where(a * loss < 30.0, np.log(np.maximum(curve, 1e-300)), a * loss)
        return log_sum(terms + weight) - np.log(np.maximum(np.abs(self.a * (self.a - 1.0)) / 2.0, 1e-300))

    def _sum_jumps(self) -> None:
        terms = self.a[:, None] * self.loss + self.log_base
        self.log_g = log_sum(terms)
        self.mass = np.exp(terms - self.log_g[:, None])
        self.slope = (self.mass * self.loss).sum(axis=1)
        self._added, self._added_slope = self.mass, self.mass * np.abs(self.loss)
        self._moves = np.abs(self.a[:, None]) * self.mass
        self._moves_slope = self.mass * (1.0 + np.abs(self.a[:, None] * self.loss))
        self._missing = np.zeros((2, len(self.a)))

    def _sum_bulk(self) -> None:
        """Nothing here subtracts numbers much larger than their difference; as in transform_quadrature.py."""
        a, loss, base = self.a[:, None], self.loss, np.exp(self.log_base)
        raised = a * loss
        near = np.abs(raised) < 1.0
        small = np.where(near, raised, 0.0)
        terms = raised + self.log_base
        large = np.exp(np.minimum(terms, HUGE))
        remainder = np.where(near, base * exp_remainder(small), large - base * (1.0 + raised))
        # r·base is a density of the other neighbour: it overflows at no loss.
        shifted_base = np.exp(loss + self.log_base)
        few = np.minimum(loss, 1.0)
        plain_remainder = np.where(loss < 1.0, base * exp_remainder(few), shifted_base - base * (1.0 + loss))
        rise = np.where(loss < 1.0, base * np.expm1(few), shifted_base - base)
        gain = np.where(near, base * np.expm1(small), large - base)
        # What the cut takes from Q, and how much less than from N(1, σ²): r - 1 is q times the difference of the two
        # densities, and a, which may be as large as 1/q, multiplies that alone.
        centred, shifted, off = _cut_away(self.sigma, Window(self.window.power, math.inf, self.window.end))
        risen = self.q * (shifted - centred)
        excess = (remainder - a * plain_remainder).sum(axis=1) - centred - self.a * risen
        slope = (loss * gain - plain_remainder).sum(axis=1) - risen
        # Of a bulk that leaves out half of the law or more, nothing is claimed.
        excess = np.where((terms.max(axis=1) < HUGE) & (excess > -0.5), excess, np.inf)
        self.log_g = np.log1p(excess)
        scale = np.exp(-self.log_g)[:, None]
        self.slope = slope * scale[:, 0]
        self.mass = large * scale
        whole = np.where(near, np.abs(remainder), large + base * (1.0 + np.abs(raised)))
        self._added = (np.abs(a * plain_remainder) + whole) * scale
        gained = np.where(near, np.abs(gain), large + base)
        self._added_slope = (np.abs(loss) * gained + np.where(loss < 1.0, plain_remainder, shifted_base + base)) * scale
        # How the sums move with the losses.
        self._moves = np.abs(a) * (gained + np.abs(rise)) * scale
        self._moves_slope = (gained + np.abs(raised) * (gained + base) + np.abs(rise)) * scale
        off = off + 8.0 * EPS * np.array([centred, shifted])
        off_risen = self.q * float(off.sum())
        self._missing = np.array([off[0] + self.a * off_risen, off_risen + 0.0 * self.a]) * scale[:, 0]

    # -- what is asked for

    def relative_error(self, u: Array) -> Array:
        """A bound on |computed - true|/the value at u = 0, of G(a ± iu) or J(a ± iu), u <= u_max; [row, frequency]."""
        best = np.full(len(self.a), np.inf)
        for height in self.heights:
            tail = 2.0 * math.pi * height / self.h
            rule = math.log(2.0) - tail - math.log(-math.expm1(-tail))
            best = np.fmin(best, self._log_strip(height) + rule)
        total = (np.logaddexp(best, self._log_left_out()) - self.log_g)[:, None] + np.zeros_like(u)
        if self.window.start is None:
            a = self.a[:, None]
            total = total + np.log(np.maximum(np.hypot(a, u) * np.hypot(a - 1.0, u) / 2.0, 1e-300))
        return np.exp(np.minimum(np.nan_to_num(total, nan=HUGE), HUGE)) + self._rounding(u)

    def _rounding(self, u: Array) -> Array:
        """Elementary functions to 4 units in the last place, sums at their worst case; and the loss, absolutely.

        In units of u = 2^-53: a sum of n complex products is off by 2n of their sizes in either part, one of n masses
        by n. So n waves at once cost √(3² + 2²)·n, and k such sums, added up, √(2² + 1²)·k: 4(n + k) are counted.
        """
        a, x = self.a[:, None], self.x
        reach = np.array(max(abs(float(x[0])), abs(float(x[-1]))))
        moved = EPS * loss_rounding(x, self.e, self.loss, self.sigma, np.array(self.q), reach)
        place = np.abs(x) * (np.abs(x) + reach) / self.sigma**2
        size = np.abs(a * self.loss) + np.abs(self.log_base) + np.abs(self.log_c)
        each = EPS * (64.0 + 4.0 * size + place + self._moved(reach))
        units = each + EPS * self.nodes
        weight = self.mass * (units + np.abs(a) * moved)
        # Losses small enough are summed as series, whose terms are (uL)²/2 or less; the others as waves, of size 1.
        small = np.abs(self.loss) * self.u_max < SERIES_BELOW
        large = np.where(small, 0.0, weight)
        together = min(float(self.nodes), AT_ONCE + math.ceil(self.nodes / AT_ONCE))
        waves = np.where(small, 0.0, self.mass * (each + EPS * together + np.abs(a) * moved))
        level = (self._added * units + self._moves * moved).sum(axis=1) + self._missing[0]
        slope = self._added_slope * units + self._moves_slope * moved + large * np.abs(self.loss) + self.mass * moved
        bend = np.where(small, weight * self.loss**2, 0.0).sum(axis=1)
        # At u = 0 no wave is summed: J(a)/J(a) is 1 as `drop_and_lag` has it, and its own sum is counted in `level`.
        level = level[:, None] + np.where(u == 0.0, 0.0, 2.0 * waves.sum(axis=1)[:, None])
        return level + u * (slope.sum(axis=1) + self._missing[1])[:, None] + 0.5 * u * u * bend[:, None]

    def _moved(self, reach: Array) -> Array:
        """How far log c moves when its arguments g do by two units of their terms, in units of EPS, [node]."""
        x, start, end = self.x, self.window.start, self.window.end
        moved = np.zeros_like(x)
        with np.errstate(over="ignore"):
            if math.isfinite(end):
                moved += 2.0 * self.steep * (reach + abs(end)) * np.exp(self.steep * (x - end))
            if start is not None:
                grown = np.minimum(np.exp(np.minimum(self.steep * (x - start), HUGE)), HUGE)
                moved += 2.0 * self.steep * (reach + abs(start)) * grown / np.maximum(np.expm1(grown), grown)
        return moved

    @property
    def high(self) -> float:
        """The right end of the nodes."""
        return float(self.right[self._last])

    def log_variation(self, a: float) -> float:
        """log of a bound on the total variation right of the nodes of c·g, of a bulk, a >= 1, g = r^a·Q·σ²/s: the
        density of the loss but for G.

        In a cell it is at most sup(c·g)·(width·sup|(log g)'| + 1), the 1 for c, which falls; σ²·(log g)' is
        (a + 1)·s - 1 - x; r rises, and Q, c and 1/s fall. Beyond the cells c·g falls: σ²·(log c·g)' is
        (a + 1)·s - 1 - x - p·e^{g₁}, negative at their end and so from there on if p·e^{g₁} + x >= a there.
        """
        end = float(self.edges[-1])
        fall = self.window.power * math.exp(min(self.steep * (end - self.window.end), HUGE))
        if not (fall + end >= a and self.high > 0.0):
            return math.inf
        edges = self.edges[max(self._last, 0) :]
        left, right = edges[:-1], edges[1:]
        sampled = self._sampled(edges)
        log_g = a * log_ratio(self._exponent(right), np.array(self.q)) + self._log_density(np.maximum(left, 0.0))
        log_g = log_g + self._log_weight(left, right, 1.0) + 2.0 * math.log(self.sigma) - np.log(sampled[:-1])
        steepest = np.maximum(np.abs((a + 1.0) * sampled[1:]), 1.0 + right) / self.sigma**2
        cells = log_g + np.log(steepest * (right - left) + 1.0)
        return float(np.logaddexp(log_sum(cells), log_g[-1])) + SAFE

    def line(self, u: Array) -> tuple[Array, Array]:
        """E[1 - cos uL] and E[uL - sin uL] of the first row's tilted law, [frequency]; u from 0, equally spaced.

        The transform over its value at 0 is 1 - E[1 - cos uL] + i·(u·slope - E[uL - sin uL]): nothing cancels.
        """
        return drop_and_lag(self.loss, self.mass[0], u, AT_ONCE)

    def log_modulus(self, u: Array) -> Array:
        """log of a bound on |J(a + iv)|/J(a) of the first row for every v >= u, [frequency]."""
        sampled, best = self._edge_sampled[:-1], np.zeros(len(u))
        for height in self.heights:
            k = math.cos(self.steep * height)
            inside = self._log_major(k)[0] + self.log_width - u[:, None] * self._turn(sampled, height)
            outside = float(np.logaddexp(self._log_before()[0], self._log_beyond(k, 0.0)[0]))
            total = np.logaddexp(log_sum(inside), outside) + 0.5 * (height / self.sigma) ** 2
            best = np.fmin(best, total - self.log_g[0])
        return best


@functools.lru_cache(maxsize=64)
def _cut_away(sigma: float, window: Window) -> tuple[float, float, Array]:
    """What a cut takes from Q and N(1, σ²), and how far either may be off: one bulk is asked for at several tilts."""
    cut = RareLaw(sigma, 1.0, window, np.array([0.0, 1.0]))
    centred, shifted = (float(v) for v in np.exp(cut.log_g))
    return centred, shifted, cut.relative_error(np.zeros(1))[:, 0] * np.exp(cut.log_g)
