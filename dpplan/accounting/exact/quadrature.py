"""Stage 1, transform: G(w) = E_Q[c·r^w] at given Re w, with a bound on every error made.

The trapezoid rule on an integrand that is analytic in the strip |Im x| < d errs by at most
2·max_±(integral of its modulus on the strip's edge) / (e^(2πd/h) - 1) (Trefethen, Weideman 2014, SIAM Review 56,
Thm 5.1). r(x)^w is analytic for |Im x| < πσ².

E_Q[r] = 1, so G(w) - 1 = E_Q[r^w - 1 - w(r - 1)] is a sum of non-negative terms for real w outside (0, 1):
it keeps full relative accuracy where q = 1e-9 makes G - 1 as small as 1e-18.

Symbols: L = log r; e = (2x - 1)/(2σ²); s = q·e^e/r, the posterior probability of having been sampled; a = Re w;
u = |Im w|; h = the step in x; ψ(y) = e^y - 1 - y. Arrays are [row, node], a row being one phase at one exponent.
"""

import math

import numpy as np

from dpplan.accounting.exact.law import (
    Array,
    Band,
    ComplexArray,
    Cut,
    Steps,
    exp_remainder,
    log_normal_tails,
    log_ratio,
)

EPS = float(np.finfo(float).eps)
# |u·L| up to here is summed as a Taylor series with SERIES_TERMS terms: 0.4^16 / 16! = 2e-20 is left out.
SERIES_BELOW = 0.4
SERIES_TERMS = 7
# Heights in the strip that are tried, as fractions of its edge πσ², or of the 10σ (12 widths of a cut) beyond which
# a Gaussian has nothing left to gain; and the number of places where the integrand is looked at to choose one.
HEIGHTS = (0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 0.97)
PROBES = 49
# Cells right of 0 on which the integrand is bounded: three in a σ, within these limits; then coarse ones.
NET_CELLS = (48, 600)
NET_LINEAR = np.linspace(1.0 / 64, 1.0, 64)
NET_GEOMETRIC = np.geomspace(1e-2, 1.0, 32)
# The integral of a modulus along a line is at most this many times its trapezoid sum: it has at most three peaks,
# each as wide as a few nodes.
SLACK = 4.0
# The most values (rows times nodes) held at once. A step coarser than wanted is no error: the bounds say what it
# costs, and the interval is wide.
MOST_VALUES = 1_000_000
# The trapezoid rule is asked to leave e^-DEPTH of G - 1.
DEPTH = 40.0
BAND_ROOM = 120.0  # a band's nodes begin where its weight is e^-120: off the real line it grows by up to e^72
# exp() of more than this is kept as a logarithm. LOG_DIRECT: above e² there is no cancellation in G - 1 to avoid.
LOG_HUGE = 650.0
LOG_DIRECT = 2.0


class Quadrature:
    """log G and its derivatives at the real exponents `a` [row, 1], good for lines up to |Im w| = u_max."""

    def __init__(
        self, steps: Steps, a: Array, u_max: float = 0.0, cut: Cut | None = None, most: int = MOST_VALUES
    ) -> None:
        self.steps, self.a, self.u_max, self.cut, self.most = steps, a, u_max, cut, most
        self.partial = isinstance(cut, Band)  # then G is far below 1, and r^w is integrated as it stands
        sigma, q = steps.sigma, steps.q
        # Tails are left out beyond `reach` standard deviations: e^(-reach²/2). The logarithm makes room for large
        # σ, where r - 1 is of size q/σ over the bulk and the tail must be small against its square.
        self.reach = np.sqrt(2.0 * (45.0 + np.log1p(4.0 * sigma * sigma)))
        self._lay_out()
        x = self.low + self.h * np.arange(self.nodes)
        self.high = x[:, -1:]
        self.e = (2.0 * x - 1.0) / (2.0 * sigma * sigma)
        self.loss = log_ratio(self.e, q)
        self.log_base = _log_normal_density(x, sigma) + np.log(self.h)
        if cut is not None:
            self.log_base = self.log_base + cut.log_weight(x)
        self._moments()

    def _lay_out(self) -> None:
        """Choose the range, and the largest step that leaves e^-DEPTH of G - 1."""
        sigma, a = self.steps.sigma, self.a
        highest = np.minimum(math.pi * sigma * sigma, 10.0 * sigma)
        if self.cut is not None:
            highest = np.minimum(highest, 12.0 * self.cut.width)
        heights = np.array([0.0, *HEIGHTS]) * highest
        self.mode = _lowest_mode(a, sigma, self.steps.q)
        self.low = self.mode - self.reach * sigma
        if isinstance(self.cut, Band):
            room = BAND_ROOM + self.u_max * highest / sigma**2  # left of it the weight has to beat e^{u·arg r} too
            self.low = np.maximum(self.low, self.cut.start - self.cut.width * np.sqrt(2.0 * room))
        log_curve = np.log(np.abs(a * (a - 1.0)) / 2.0)
        self._cast_net(heights[:, -1:])
        span = self.net[:, self.fine : self.fine + 1] - self.low
        x = self.low + span * np.linspace(0.0, 1.0, PROBES)
        e = (2.0 * x - 1.0) / (2.0 * sigma * sigma)
        loss = log_ratio(e, self.steps.q)
        log_base = _log_normal_density(x, sigma) + np.log(span / (PROBES - 1))
        if self.cut is not None:
            log_base = log_base + self.cut.log_weight(x)
        u = np.array([0.0] + [self.u_max] * len(HEIGHTS))
        sums = self._log_sums(e[:, None], loss[:, None], log_base[:, None], heights, u)
        # G - 1 is about |a(a - 1)|/2 times Taylor's sum; where that exceeds G, G itself is the scale.
        still = sums[0][:, :1]
        size = _log_sum(a * loss + log_base)
        if not self.partial:
            size = np.minimum(size, still + log_curve)
        high = self._end_nodes(size - DEPTH - 4.0, log_curve)
        tails = self._log_tails(heights, u)
        taylor, plain = np.logaddexp(sums[0], tails[0]), np.logaddexp(sums[1], tails[1])
        excess = np.maximum(plain - size, 0.0)
        if not self.partial:
            excess = np.minimum(excess, taylor - still)
        excess = np.nan_to_num(excess, nan=1e300, posinf=1e300)
        h = 2.0 * math.pi * heights[:, 1:] / (DEPTH + excess[:, 1:])
        best = np.argmax(h, axis=1)[:, None]
        self.height = np.take_along_axis(heights[:, 1:], best, axis=1)
        wanted = float(np.max((high - self.low) / np.take_along_axis(h, best, axis=1))) + 2.0
        self.nodes = int(min(wanted, max(self.most // len(sigma), PROBES)))
        self.h = (high - self.low) / (self.nodes - 1)

    def _cast_net(self, height: Array) -> None:
        """Bound the integrand on cells right of 0, each at its worst, as far as it can matter at heights up to this.

        Fine cells to where it has surely fallen, coarse ones to where a Gaussian with the largest possible slope
        has fallen too. Sets net (cell edges), fine (how many cells are fine) and the two bounds per cell.
        """
        sigma, q, a, cut = self.steps.sigma, self.steps.q, self.a, self.cut
        top, narrow = np.maximum(a, 2.0), sigma
        fallen = 2.0 * (self.u_max * height / sigma**2 + 120.0)
        fine_end = end = top + sigma * np.sqrt(fallen)
        if cut is not None:
            narrow = sigma * cut.width / np.hypot(sigma, cut.width)
            middle = np.maximum(cut.at + (top - cut.at) * (narrow / sigma) ** 2, cut.at)
            end = np.minimum(end, middle + narrow * np.sqrt(fallen))
            fine_end = np.minimum(end, cut.at + cut.width * np.sqrt(fallen))
        self.fine = int(np.clip(3.0 * np.max(fine_end / sigma), *NET_CELLS))
        fine = fine_end * np.linspace(0.0, 1.0, self.fine + 1)
        saturated = np.clip(sigma**2 * (2.0 - np.log(q)), fine_end, end)  # r rises like e^{x/σ²} up to about here
        coarse = fine_end + (saturated - fine_end) * NET_LINEAR
        rest = saturated + (end - saturated) * NET_GEOMETRIC
        self.net = np.concatenate((fine, coarse, rest), axis=1)
        e = (2.0 * self.net - 1.0) / (2.0 * sigma * sigma)
        loss = np.maximum(log_ratio(e, q), 0.0)
        with np.errstate(divide="ignore"):
            fall = _log_normal_density(self.net, sigma)[:, :-1] + np.log(np.diff(self.net, axis=1))
        self.net_whole = np.maximum(a, 1.0) * loss[:, 1:] + fall
        if cut is not None:
            fall = fall + cut.log_fall(self.net[:, :-1])
        self.net_taylor = 2.0 * (np.log(q) + np.logaddexp(0.0, e[:, 1:])) + (top - 2.0) * loss[:, 1:] + fall
        self.net_plain = np.maximum(a, 1.0) * loss[:, 1:] + fall

    def _end_nodes(self, goal: Array, log_curve: Array) -> Array:
        """The lowest edge of the net that leaves no more than e^goal to its right; sets first_cell."""
        beyond = [np.logaddexp.accumulate(net[:, ::-1], axis=1)[:, ::-1] for net in (self.net_taylor, self.net_plain)]
        left_out = beyond[1]
        if not self.partial:
            left_out = np.minimum(beyond[0] + log_curve, left_out + np.log(2.0 + 2.0 * np.abs(self.a)))
        good = left_out <= goal
        self.first_cell = np.where(good.any(axis=1), np.argmax(good, axis=1), self.fine)[:, None]
        return np.take_along_axis(self.net, self.first_cell, axis=1)

    def _log_sums(self, e: Array, loss: Array, log_base: Array, height: Array, u: Array) -> tuple[Array, Array]:
        """Logs of two bounds on the integral of |r^w - 1 - w(r - 1)| along Im x = height, over the nodes.

        taylor: base·|r - 1|²·|r|^(a-2)·e^(u·|arg r|), which times |w(w - 1)|/2 is Taylor's formula; the power of
            1 + s(r - 1) is largest at the segment's end for a >= 2 and at its point nearest to 0 for a < 2.
        plain: base·(|r|^a·e^(u·|arg r|) + 1 + |w|·(1 + |r|)), term by term; better where r is far from 1. Of a
            partial law the first term alone.
        e, loss, log_base: [row, 1, node]; height: [row, height]; u: [height]. Returns [row, height] each.
        """
        sigma, q, a = (value[:, :, None] for value in (self.steps.sigma, self.steps.q, self.a))
        turn, u = (height[:, :, None] / sigma**2), u[:, None]
        sampled = np.exp(np.log(q) + e - loss)
        squeeze = 2.0 * sampled * (1.0 - sampled) * (1.0 - np.cos(turn))  # 1 - |r(x+iy)|² / r(x)²
        log_modulus = loss + 0.5 * np.log1p(-np.minimum(squeeze, 1.0 - 1e-12))
        turned = u * _angle(sampled, turn)
        raised = np.minimum(e, 300.0)
        square = np.expm1(raised) ** 2 + 2.0 * np.exp(raised) * (1.0 - np.cos(turn)) + 1e-300
        log_square = 2.0 * np.log(q) + np.where(e > 300.0, 2.0 * e, np.log(square))
        # The segment's point nearest to 0: at least cos(turn/2) times its nearest real counterpart, and at least
        # as far as its real part, which ends in 1 - q + q·e^e·cos(turn).
        real_part = np.log1p(np.clip(q * (np.exp(raised) * np.cos(turn) - 1.0), -1.0 + 1e-300, 0.0))
        nearest = np.maximum(np.minimum(loss, 0.0) + np.log(np.cos(0.5 * turn)), real_part)
        power = (a - 2.0) * np.where(a >= 2.0, np.maximum(log_modulus, 0.0), nearest)
        taylor = _log_sum(log_base + log_square + power + turned)[:, :, 0]
        terms = a * log_modulus + turned
        if not self.partial:
            terms = np.logaddexp(terms, np.log1p(np.hypot(a, u) * (1.0 + np.exp(np.minimum(loss, LOG_HUGE)))))
        plain = _log_sum(log_base + terms)[:, :, 0]
        lift = self._lift(height)
        return taylor + lift, plain + lift

    def _lift(self, height: Array) -> Array:
        """log of how much the Gaussian and the cut can grow off the real line."""
        lift = 0.5 * (height / self.steps.sigma) ** 2
        return lift if self.cut is None else lift + 0.5 * (height / self.cut.width) ** 2

    def _log_tails(self, height: Array, u: Array) -> tuple[Array, Array]:
        """The same two bounds over everything outside [low, high], [row, height]; at height 0, what is left out.

        Right of `high` by the cells of the net; left of `low` the Gaussian falls and arg r only shrinks.
        """
        sigma, q, a = self.steps.sigma, self.steps.q, self.a
        turn, lift = height / sigma**2, self._lift(height)
        log_rest = np.log(np.maximum(1.0 - q, 1e-300))
        log_cos = np.log(np.cos(0.5 * turn))
        # How far |r| and the segment to it can fall below their real counterparts: see _log_sums.
        log_least = np.where(turn <= 0.5 * math.pi, np.maximum(log_cos, log_rest), log_cos)
        log_w = 0.0 if self.partial else np.log(2.0 + 2.0 * np.hypot(a, u))
        e = (2.0 * self.net[:, None, 1:] - 1.0) / (2.0 * sigma[:, :, None] ** 2)
        sampled = np.exp(np.log(q[:, :, None]) + e - log_ratio(e, q[:, :, None]))
        turned = u[:, None] * _angle(sampled, turn[:, :, None])
        inside = np.arange(self.net_taylor.shape[1]) < self.first_cell
        swept = []
        for net in (self.net_taylor, self.net_plain):
            beyond = np.max(net, axis=1, keepdims=True) - 100.0  # right of the net; see `end` in _cast_net
            swept.append(np.logaddexp(_log_sum(np.where(inside, -np.inf, net)[:, None] + turned)[:, :, 0], beyond))
        right_taylor = swept[0] + np.minimum(a - 2.0, 0.0) * log_least
        right_plain = swept[1] + np.minimum(a, 0.0) * log_least + log_w
        fall = (2.0 * self.low - 1.0) / (2.0 * sigma * sigma)
        left_loss = log_ratio(fall, q)
        turned = u * _angle(np.exp(np.log(q) + fall - left_loss), turn)
        log_mass = log_normal_tails(-self.low / sigma)
        log_left = log_rest + np.where(turn <= 0.5 * math.pi, 0.0, log_cos)
        left_taylor = log_mass + 2.0 * np.log(2.0 * q) + np.minimum(a - 2.0, 0.0) * log_left + turned
        if isinstance(self.cut, Band):  # its weight rises with x: at its largest, times all of r^a left of there
            left: Array = np.where(self.net[:, :-1] < self.low, self.net_whole, -np.inf)
            left_plain = log_normal_tails((self.cut.start - self.low) / self.cut.width) + turned
            left_plain = left_plain + np.logaddexp(_log_sum(left), 0.0)
        else:
            power = a * left_loss + _log_normal_density(self.low, sigma) - np.log((self.mode - self.low) / sigma**2)
            left_plain = np.logaddexp(power, log_mass + log_w) + np.minimum(a, 0.0) * log_cos + turned
        taylor, plain = np.logaddexp(right_taylor, left_taylor), np.logaddexp(right_plain, left_plain)
        return taylor + lift, plain + lift

    def _moments(self) -> None:
        """log G, G'/G and the tilted variance of L at the real exponents, each [row, 1]."""
        a, loss, base = self.a, self.loss, np.exp(self.log_base)
        terms = a * loss + self.log_base
        self.shift = np.max(terms, axis=1, keepdims=True)
        if self.partial:
            direct = np.ones_like(self.shift, bool)
        else:
            self.shift = np.maximum(self.shift, 0.0)
            direct = self.shift > LOG_DIRECT
        self.tilted = np.exp(terms - self.shift)
        total = self.tilted.sum(axis=1, keepdims=True)
        mean = (self.tilted * loss).sum(axis=1, keepdims=True) / total
        square = (self.tilted * loss * loss).sum(axis=1, keepdims=True) / total
        near = a * loss < 1.0
        capped = np.where(near, a * loss, 0.0)
        raised = np.exp(np.minimum(terms, LOG_HUGE))
        remainder = np.where(near, base * exp_remainder(capped), raised - base * (1.0 + a * loss))
        loss_remainder = base * exp_remainder(np.minimum(loss, LOG_HUGE))
        gain = np.where(near, base * np.expm1(capped), raised - base)
        small = (remainder - a * loss_remainder).sum(axis=1, keepdims=True)
        slope = (loss * gain - loss_remainder).sum(axis=1, keepdims=True)
        if self.cut is not None:
            missing = self.cut.removed(self.steps.sigma, 0.0)
            missing_slope = self.steps.q * (self.cut.removed(self.steps.sigma, 1.0) - missing)
            small, slope = small - missing - a * missing_slope, slope - missing_slope
        self.log_g = np.where(direct, self.shift + np.log(total), np.log1p(np.where(direct, 0.0, small)))
        self.slope = np.where(direct, mean, slope * np.exp(-np.where(direct, 0.0, self.log_g)))
        self.curvature = np.maximum(square - self.slope**2, 0.0)
        # The law's mass at the nodes, summing to 1, and what _rounding needs: sizes of all that was added up.
        self.mass = self.tilted * np.exp(self.shift - self.log_g)
        magnitude = np.abs(a * loss_remainder) + np.abs(remainder)
        tilt = np.abs(loss * gain) + np.abs(loss_remainder)
        scale = np.exp(-np.where(direct, 0.0, self.log_g))
        self._added = np.where(direct, self.mass, magnitude * scale)
        self._added_slope = np.where(direct, self.mass * np.abs(loss), tilt * scale)

    def row_line(self, row: int, u: Array) -> tuple[Array, Array]:
        """E[1 - cos uL] and E[uL - sin uL] under the tilted law of one row; u ascending, each [frequency].

        G(a ± iu)/G(a) = 1 - E[1 - cos uL] ± i·(u·slope - E[uL - sin uL]): nothing here cancels.
        """
        loss, mass = self.loss[row], self.mass[row]
        u_top = max(float(u[-1]), 1e-300)
        small = np.abs(loss) * u_top < SERIES_BELOW
        scaled, square = loss[small] * u_top, (u / u_top) ** 2
        power, ratio = mass[small] * scaled * scaled, np.ones_like(u)
        modulus, lag = np.zeros_like(u), np.zeros_like(u)
        for k in range(1, SERIES_TERMS + 1):
            ratio = ratio * square
            sign = 1.0 if k % 2 else -1.0
            modulus += sign / math.factorial(2 * k) * float(power.sum()) * ratio
            lag += sign / math.factorial(2 * k + 1) * float((power * scaled).sum()) * ratio
            power = power * scaled * scaled
        lag = lag * (u / u_top)
        if not small.all():
            large, heavy = loss[~small], mass[~small]
            wave = _waves(large, heavy, u)
            modulus += heavy.sum() - wave.real
            lag += u * float(heavy @ large) - wave.imag
        return modulus, lag

    def relative_error(self, u: Array) -> Array:
        """A bound on |computed G(a ± iu) - G(a ± iu)| / G(a), shape [row, frequency]; u up to u_max."""
        u_max = np.array([self.u_max])
        taylor, plain = self._log_tails(np.zeros_like(self.h), u_max)
        truncation = self._lesser(taylor, plain, u)
        tail = 2.0 * math.pi * self.height / self.h
        log_rule = math.log(2.0) - tail - np.log(-np.expm1(-tail))
        shape = (slice(None), None)
        sums = self._log_sums(self.e[shape], self.loss[shape], self.log_base[shape], self.height, u_max)
        tails = self._log_tails(self.height, u_max)
        taylor, plain = (np.logaddexp(math.log(SLACK) + s, t) for s, t in zip(sums, tails, strict=True))
        total = np.logaddexp(log_rule + self._lesser(taylor, plain, u), truncation) - self.log_g
        return np.exp(np.minimum(total, LOG_HUGE)) + self._rounding(u)

    def _lesser(self, taylor: Array, plain: Array, u: Array) -> Array:
        """The better of the two bounds at each frequency, [row, frequency]."""
        if self.partial:
            return plain + np.zeros_like(u)
        return np.minimum(taylor + np.log(np.hypot(self.a, u) * np.hypot(self.a - 1.0, u) / 2.0), plain)

    def _rounding(self, u: Array) -> Array:
        """Floating point: elementary functions to 4 units in the last place, sums at their worst case."""
        size = np.abs(self.a * self.loss) + np.abs(self.log_base) + np.abs(self.e)
        units = EPS * (self.nodes + 64.0 + 4.0 * size)
        weight = self.mass * units
        # Losses too large for the series are summed as waves, each with rounding of its own size, u·L included.
        large = np.where(np.abs(self.loss) * self.u_max < SERIES_BELOW, 0.0, weight)
        level = (self._added * units + large).sum(axis=1, keepdims=True)
        slope = (self._added_slope * units + large * np.abs(self.loss)).sum(axis=1, keepdims=True)
        bend = (weight * self.loss * self.loss).sum(axis=1, keepdims=True)
        return level + u * slope + 0.5 * u * u * bend


def _waves(loss: Array, mass: Array, u: Array) -> ComplexArray:
    """Σ mass·e^{iuL} for equally spaced u from 0, by baby steps and giant steps: one matrix product."""
    block = max(int(math.sqrt(len(u))), 1)
    angle = loss * float(u[1]) if len(u) > 1 else loss
    giant = _turns(angle * block, len(u) // block + 1) * mass
    waves: ComplexArray = giant @ _turns(angle, block).T
    return waves.ravel()[: len(u)]


def _turns(angle: Array, count: int) -> ComplexArray:
    """e^{ik·angle} for k from 0, [k, node]; by doubling, so that few products separate each from a sine."""
    turns = np.ones((count, len(angle)), complex)
    filled = 1
    while filled < count:
        more = min(filled, count - filled)
        turn = np.empty(len(angle), complex)
        turn.real, turn.imag = np.cos(filled * angle), np.sin(filled * angle)
        turns[filled : filled + more] = turns[:more] * turn
        filled += more
    return turns


def _angle(sampled: Array, turn: Array) -> Array:
    """arg(1 - s + s·e^{i·turn}), the argument of r(x + iy) for turn = y/σ² in [0, π); rises with s."""
    return np.arctan2(sampled * np.sin(turn), 1.0 - sampled + sampled * np.cos(turn))


def _log_normal_density(x: Array, sigma: Array) -> Array:
    return -x * x / (2.0 * sigma * sigma) - np.log(sigma * math.sqrt(2.0 * math.pi))


def _log_sum(terms: Array) -> Array:
    """log of the sum of e^terms over the last axis, which stays with length 1."""
    top = np.maximum(np.max(terms, axis=-1, keepdims=True), -1e300)
    with np.errstate(divide="ignore"):
        return top + np.log(np.exp(terms - top).sum(axis=-1, keepdims=True))


def _lowest_mode(a: Array, sigma: Array, q: Array) -> Array:
    """At most min(0, the root of x = a·s(x)); left of it r^a·Q falls at least like a Gaussian of variance σ². [row, 1]

    For a < 0 the right side falls with x, so it maps what lies above the root below it and the other way round.
    """
    below, above = np.minimum(a, 0.0) + np.zeros_like(sigma), np.zeros_like(sigma)
    if np.all(a >= 0.0):
        return above
    with np.errstate(divide="ignore"):
        logit = np.log(q) - np.log1p(-q)

    def pulled(x: Array) -> Array:
        return np.minimum(a, 0.0) * np.exp(-np.logaddexp(0.0, -((2.0 * x - 1.0) / (2.0 * sigma * sigma) + logit)))

    for _ in range(4):
        below = np.maximum(below, pulled(above))
        above = np.minimum(above, pulled(below))
    return below
