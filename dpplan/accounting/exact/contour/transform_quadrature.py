"""Stage 1, transform: G(w) = E_Q[c·r^w] at given Re w, with a bound on every error made.

The trapezoid rule on an integrand that is analytic in the strip |Im x| <= d errs by at most
2·max_±(integral of its modulus on the strip's edge) / (e^(2πd/h) - 1) (Trefethen, Weideman 2014, SIAM Review 56,
Thm 5.1; such integrals are log-convex in Im x, so the edges hold the largest). r(x)^w is analytic for |Im x| < πσ².
How large the integrand is on the edge and beyond the nodes is bounded in quadrature_error.py.

E_Q[r] = 1, so G(w) - 1 = E_Q[r^w - 1 - w(r - 1)] is a sum of non-negative terms for real w outside (0, 1):
it keeps full relative accuracy where q = 1e-9 makes G - 1 as small as 1e-18. Where G is large, in a row that is
called direct, r^w is summed as it stands.

Symbols: L = log r; e = (2x - 1)/(2σ²); s = q·e^e/r, the posterior probability of having been sampled; a = Re w;
u = |Im w|; h = the step in x; ψ(y) = e^y - 1 - y. Arrays are [row, node], a row being one phase at one exponent.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour.privacy_loss import Band, Cut, Steps, loss_rounding, lowest_mode
from dpplan.accounting.exact.contour.transform_integrand_bounds import Nodes, Range, Strip
from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.accounting.numerics.exp_remainder import exp_remainder
from dpplan.accounting.numerics.logspace import log_sum

EPS = float(np.finfo(float).eps)
# |u·L| up to here is summed as a Taylor series with SERIES_TERMS terms: 0.4^16 / 16! = 2e-20 is left out.
SERIES_BELOW = 0.4
SERIES_TERMS = 7
# Heights in the strip that are tried, as fractions of its edge πσ², or of the 10σ (12 widths of a cut) beyond which
# a Gaussian has nothing left to gain; and the number of places where the integrand is looked at to choose one.
HEIGHTS = (0.15, 0.3, 0.45, 0.6, 0.75, 0.88, 0.97)
PROBES = 49
# The most values (rows times nodes) held at once. A step coarser than wanted is no error: the bounds say what it
# costs, and the interval is wide.
MOST_VALUES = 1_000_000
AT_ONCE = 64  # waves that are added up before their sums are: as many as their turns have rounding, about
# Of more rows than this, about as many are looked at to choose by, and all others do as the one most like them.
MANY_ROWS, ROWS_AT_ONCE = 96, 64
# The trapezoid rule is asked to leave e^-DEPTH of G - 1.
DEPTH = 40.0
BAND_ROOM = 120.0  # a band's nodes begin where its weight is e^-120: off the real line it grows by up to e^72
# exp() of more than this is kept as a logarithm. LOG_DIRECT: above e² there is no cancellation in G - 1 to avoid.
LOG_HUGE = 650.0
TAIL_UNITS = 6000.0 * EPS  # of a Gaussian tail out to 37σ: its argument's rounding, times 37² and more
LOG_DIRECT = 2.0


class Quadrature:
    """log G and its derivatives at the real exponents `a` [row, 1], good for lines up to |Im w| = u_max.

    u_max: one for all rows, or [row, 1].
    """

    def __init__(
        self,
        steps: Steps,
        a: Array,
        u_max: float | Array = 0.0,
        cut: Cut | None = None,
        most: int = MOST_VALUES,
    ) -> None:
        self.steps, self.a, self.u_max, self.cut, self.most = steps, a, u_max, cut, most
        self.partial = isinstance(cut, Band)  # then G is far below 1, and r^w is integrated as it stands
        sigma = steps.sigma
        # Tails are left out beyond `reach` standard deviations: e^(-reach²/2). The logarithm makes room for large
        # σ, where r - 1 is of size q/σ over the bulk and the tail must be small against its square.
        self.reach = np.sqrt(2.0 * (DEPTH + 5.0 + np.log1p(4.0 * sigma * sigma)))
        highest = np.minimum(math.pi * sigma * sigma, 10.0 * sigma)
        if cut is not None:
            highest = np.minimum(highest, 12.0 * cut.width)
        heights = np.array([0.0, *HEIGHTS]) * highest
        self.strip = Strip(steps, a, u_max, heights[:, -1:], cut)
        self._lay_out(heights)
        x = self.low + self.h * np.arange(self.count)
        self.nodes = Nodes.at(x, self.h, steps, cut)
        self.loss, self.log_base = self.nodes.loss, self.nodes.log_base
        self._moments()

    @property
    def low(self) -> Array:
        return self.range.low

    @property
    def high(self) -> Array:
        return self.range.high

    @property
    def h(self) -> Array:
        return self.range.h

    def _lay_out(self, heights: Array) -> None:
        """Choose the range, and the largest step that leaves e^-DEPTH of G - 1. Nothing here has to be exact."""
        sigma, a, strip = self.steps.sigma, self.a, self.strip
        mode = lowest_mode(a, sigma, self.steps.q)
        low = mode - self.reach * sigma
        if isinstance(self.cut, Band):
            room = BAND_ROOM + self.u_max * heights[:, -1:] / sigma**2  # its weight has to beat e^{u·arg r} too
            low = np.maximum(low, self.cut.start - self.cut.width * np.sqrt(2.0 * room))
        if len(sigma) <= MANY_ROWS:
            first, best, h = self._chosen(strip, heights, low, mode, self.u_max)
        else:
            looked_at, nearest = _representatives(self.steps, a, MANY_ROWS)
            u_max = self.u_max[looked_at] if isinstance(self.u_max, np.ndarray) else self.u_max
            chosen = self._chosen(strip.of_rows(looked_at), heights[looked_at], low[looked_at], mode[looked_at], u_max)
            first, best, h = (value[nearest] for value in chosen)
        high = np.take_along_axis(strip.edges, first, axis=1)
        self.height = np.take_along_axis(heights[:, 1:], best, axis=1)
        wanted = float(np.max((high - low) / h)) + 2.0
        self.count = int(np.clip(wanted, PROBES, max(self.most // len(sigma), PROBES)))
        self.range = Range(low, high, first, mode, (high - low) / (self.count - 1))

    def _chosen(
        self, strip: Strip, heights: Array, low: Array, mode: Array, u_max: float | Array
    ) -> tuple[Any, Any, Array]:
        """For each row of the strip: the net's cell where the range may end, the height's number, and its step."""
        a = strip.a
        log_curve = np.log(np.abs(a * (a - 1.0)) / 2.0)
        span = strip.edges[:, strip.fine : strip.fine + 1] - low
        x = low + span * np.linspace(0.0, 1.0, PROBES)
        probes = Nodes.at(x, span / (PROBES - 1), strip.steps, strip.cut, probes=True)
        u = np.array([0.0] + [1.0] * len(HEIGHTS)) * u_max
        sums = strip.log_cells(probes, heights, u)
        # G - 1 is about |a(a - 1)|/2 times Taylor's sum; where that exceeds G, G itself is the scale.
        still = sums[0][:, :1]
        size = whole = log_sum(a * probes.loss + probes.log_base, keepdims=True)
        if not self.partial:
            size = np.minimum(size, still + log_curve)
        first: Any = strip.first_beyond(size - DEPTH - 4.0)
        high = np.take_along_axis(strip.edges, first, axis=1)
        tails = strip.log_tails(Range(low, high, first, mode, probes.h), heights, u)
        taylor, plain, alone = (np.logaddexp(s, t) for s, t in zip(sums, tails, strict=True))
        if self.partial:
            excess = np.maximum(alone - size, 0.0)
        else:
            excess = np.minimum(np.maximum(plain - size, 0.0), taylor - still)
            excess = np.where(whole > LOG_DIRECT, np.maximum(alone - size, 0.0), excess)
        excess = np.nan_to_num(excess, nan=1e300, posinf=1e300)
        h = 2.0 * math.pi * heights[:, 1:] / (DEPTH + excess[:, 1:])
        best = np.argmax(h, axis=1)[:, None]
        return first, best, np.take_along_axis(h, best, axis=1)

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
        self.direct = direct
        self.tilted = np.exp(terms - self.shift)
        total = self.tilted.sum(axis=1, keepdims=True)
        mean = (self.tilted * loss).sum(axis=1, keepdims=True) / total
        square = (self.tilted * loss * loss).sum(axis=1, keepdims=True) / total
        raised = np.exp(np.minimum(terms, LOG_HUGE))  # terms are at most LOG_DIRECT wherever this is used
        near = a * loss < 1.0
        capped = np.where(near, a * loss, 0.0)
        remainder = np.where(near, base * exp_remainder(capped), raised - base * (1.0 + a * loss))
        gain = np.where(near, base * np.expm1(capped), raised - base)
        # r·base is the density of the other neighbour: nothing overflows, however large the loss.
        shifted, small_loss = np.exp(loss + self.log_base), np.minimum(loss, 1.0)
        loss_remainder = np.where(loss < 1.0, base * exp_remainder(small_loss), shifted - base * (1.0 + loss))
        rise = np.where(loss < 1.0, base * np.expm1(small_loss), shifted - base)
        self._cut_sizes: tuple[Array, Array] = (np.zeros_like(a), np.zeros_like(a))
        small = (remainder - a * loss_remainder).sum(axis=1, keepdims=True)
        slope = (loss * gain - loss_remainder).sum(axis=1, keepdims=True)
        if self.cut is not None:
            missing = self.cut.removed(self.steps.sigma, 0.0)
            missing_slope = self.steps.q * (self.cut.removed(self.steps.sigma, 1.0) - missing)
            small, slope = small - missing - a * missing_slope, slope - missing_slope
            shrink = np.where(direct, 0.0, np.exp(-np.log1p(np.where(direct, 0.0, small))))
            self._cut_sizes = missing * shrink, np.abs(missing_slope) * shrink
        self.log_g = np.where(direct, self.shift + np.log(total), np.log1p(np.where(direct, 0.0, small)))
        self.slope = np.where(direct, mean, slope * np.exp(-np.where(direct, 0.0, self.log_g)))
        self.curvature = np.maximum(square - self.slope**2, 0.0)
        # The law's mass at the nodes, summing to 1, and what _rounding needs: sizes of all that was added up, and how
        # the sums move with the losses.
        self.mass = self.tilted * np.exp(self.shift - self.log_g)
        scale = np.exp(-np.where(direct, 0.0, self.log_g))
        gained = np.where(near, np.abs(gain), raised + base)
        added = np.where(near, remainder, raised + base * (1.0 + np.abs(a * loss)))
        other = np.where(loss < 1.0, loss_remainder, shifted + base * (1.0 + np.abs(loss)))
        self._added = np.where(direct, self.mass, (np.abs(a) * other + added) * scale)
        self._added_slope = np.where(direct, self.mass * np.abs(loss), (np.abs(loss) * gained + other) * scale)
        steeper = np.abs(a * loss) * (gained + base)
        self._moved = np.abs(a) * np.where(direct, self.mass, (gained + np.abs(rise)) * scale)
        bent = np.where(direct, self.mass * (1.0 + np.abs(a * loss)), (gained + steeper + np.abs(rise)) * scale)
        self._moved_slope = bent

    def row_line(self, row: int, u: Array) -> tuple[Array, Array]:
        """E[1 - cos uL] and E[uL - sin uL] under the tilted law of one row; u ascending, each [frequency].

        G(a ± iu)/G(a) = 1 - E[1 - cos uL] ± i·(u·slope - E[uL - sin uL]): nothing here cancels.
        """
        return drop_and_lag(self.loss[row], self.mass[row], u, AT_ONCE)

    def lines(self, u: Array) -> tuple[Array, Array]:
        """`row_line` of every row at once, [row, frequency] each; u: of all rows, or [row, frequency] too."""
        u_top = np.maximum(u[..., -1:], 1e-300)
        small = np.abs(self.loss) * u_top < SERIES_BELOW
        scaled, square = np.where(small, self.loss, 0.0) * u_top, (u / u_top) ** 2
        power, ratio = np.where(small, self.mass, 0.0) * scaled * scaled, np.ones_like(u)
        modulus, lag = (np.zeros((len(self.a), u.shape[-1])) for _ in range(2))
        for k in range(1, SERIES_TERMS + 1):
            ratio = ratio * square
            sign = 1.0 if k % 2 else -1.0
            modulus += sign / math.factorial(2 * k) * power.sum(axis=1, keepdims=True) * ratio
            lag += sign / math.factorial(2 * k + 1) * (power * scaled).sum(axis=1, keepdims=True) * ratio
            power = power * scaled * scaled
        lag *= u / u_top
        heavy = np.where(small, 0.0, self.mass)
        parts = _parts(heavy.shape[1], AT_ONCE)
        wave = waves_of_all(self.loss, heavy, u, parts)
        modulus += sum(heavy[:, part].sum(axis=1, keepdims=True) for part in parts) - wave.real
        lag += u * (heavy * self.loss).sum(axis=1, keepdims=True) - wave.imag
        return np.where(u == 0.0, 0.0, modulus), lag

    def relative_error(self, u: Array) -> Array:
        """A bound on |computed G(a ± iu) - G(a ± iu)| / G(a), shape [row, frequency]; u up to u_max.

        At u = 0 it is that of log_g, for which no wave is summed.
        """
        u_max = np.atleast_1d(self.u_max)
        outside = self.strip.log_tails(self.range, np.zeros_like(self.h), u_max, as_sum=True)
        truncation = self._least(outside, u)
        tail = 2.0 * math.pi * self.height / self.h
        log_rule = math.log(2.0) - tail - np.log(-np.expm1(-tail))
        cells = self.strip.log_cells(self.nodes, self.height, u_max)
        tails = self.strip.log_tails(self.range, self.height, u_max)
        edge = [np.logaddexp(inside, beyond) for inside, beyond in zip(cells, tails, strict=True)]
        total = np.logaddexp(log_rule + self._least(edge, u), truncation) - self.log_g
        error = np.exp(np.minimum(total, LOG_HUGE)) + self._rounding(u)
        return np.asarray(np.nan_to_num(error, nan=math.inf, posinf=math.inf))

    def _least(self, bounds: Sequence[Array], u: Array) -> Array:
        """The best bound that holds at each frequency, [row, frequency]: on r^w alone in the rows that sum it."""
        taylor, plain, alone = bounds
        curved = taylor + np.log(np.hypot(self.a, u) * np.hypot(self.a - 1.0, u) / 2.0)
        return np.asarray(np.where(self.direct, alone, np.minimum(curved, plain)))

    def _rounding(self, u: Array) -> Array:
        """Floating point: elementary functions to 4 units in the last place, sums at their worst case.

        Relative to each term: the sum and its functions, and the density, whose x is known to a unit of the
        range's own ends. And the loss, absolutely.
        """
        x, loss, sigma = self.nodes.x, self.loss, self.steps.sigma
        ends = np.maximum(np.abs(self.low), np.abs(self.high))
        place = (np.abs(x) + ends) / sigma**2
        moved = EPS * loss_rounding(x, self.nodes.e, loss, sigma, self.steps.q, ends)
        each = EPS * (64.0 + 4.0 * (np.abs(self.a * loss) + np.abs(self.log_base)) + np.abs(x) * place)
        units = each + EPS * self.count
        weight = self.mass * (units + np.abs(self.a) * moved)
        # Losses too large for the series are summed as waves, each with rounding of its own size, u·L included. In
        # units of 2^-53 n complex products and the n masses they are taken from are off by √(3² + 2²)·n, and k such
        # sums, added up, by √(2² + 1²)·k: 4(n + k) are counted, and 128 for the turns.
        small = np.abs(loss) * self.u_max < SERIES_BELOW
        large = np.where(small, 0.0, weight)
        together = min(float(self.count), AT_ONCE + math.ceil(self.count / AT_ONCE))
        waves = np.where(small, 0.0, self.mass * (each + EPS * together + np.abs(self.a) * moved))
        level = (self._added * units + self._moved * moved).sum(axis=1, keepdims=True)
        level = level + TAIL_UNITS * (self._cut_sizes[0] + np.abs(self.a) * self._cut_sizes[1])
        slope = self._added_slope * units + self._moved_slope * moved + large * np.abs(loss) + self.mass * moved
        bend = (weight * loss * loss).sum(axis=1, keepdims=True)
        slope = slope.sum(axis=1, keepdims=True) + TAIL_UNITS * self._cut_sizes[1]
        # At u = 0 every wave is its mass: G(a)/G(a) is 1 as `drop_and_lag` has it, and G(a) is summed without waves.
        level = level + np.where(u == 0.0, 0.0, 2.0 * waves.sum(axis=1, keepdims=True))
        return level + u * slope + 0.5 * u * u * bend


def _representatives(steps: Steps, a: Array, looks: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`looks` rows, spread over all, and for each row the number among them of the one most like it."""
    traits = np.concatenate((np.log(steps.sigma), np.log(steps.q), np.sign(a) * np.log1p(np.abs(a))), axis=1)
    traits = (traits - traits.min(axis=0)) / np.maximum(np.ptp(traits, axis=0), 1e-9)
    spread = [0]
    distance = ((traits - traits[0]) ** 2).sum(axis=1)
    nearest = np.zeros(len(a), np.int64)
    while len(spread) < looks:  # each as far as can be from those before it
        spread.append(int(np.argmax(distance)))
        closer = ((traits - traits[spread[-1]]) ** 2).sum(axis=1)
        nearest = np.where(closer < distance, len(spread) - 1, nearest)
        distance = np.minimum(distance, closer)
    return np.array(spread), nearest


def drop_and_lag(loss: Array, mass: Array, u: Array, at_once: int = MOST_VALUES) -> tuple[Array, Array]:
    """Σ mass·(1 - cos uL) and Σ mass·(uL - sin uL) for equally spaced u from 0, [frequency] each.

    at_once: how many waves are added up before their sums are. The rounding is then that of so many terms, and of as
    many as there are such sums.
    """
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
        parts = _parts(len(heavy), at_once)
        wave = _waves(large, heavy, u, parts)
        modulus += sum(heavy[part].sum() for part in parts) - wave.real
        lag += u * float((heavy * large).sum()) - wave.imag  # pairwise, which a product need not be
        modulus[u == 0.0] = 0.0  # whatever the order of its two sums
    return modulus, lag


def _waves(loss: Array, mass: Array, u: Array, parts: Sequence[slice]) -> ComplexArray:
    """Σ mass·e^{iuL} for equally spaced u from 0, by baby steps and giant steps: a matrix product for each part."""
    block = max(int(math.sqrt(len(u))), 1)
    angle = loss * float(u[1]) if len(u) > 1 else loss
    if len(loss) * block > MOST_VALUES:  # the tables of a part at a time: those of all may be hundreds of megabytes
        waves = _waves_of(angle[parts[0]], mass[parts[0]], block, len(u))
        for part in parts[1:]:
            waves += _waves_of(angle[part], mass[part], block, len(u))
        return waves.ravel()[: len(u)]
    giant = _turns(angle * block, len(u) // block + 1)
    giant *= mass  # in place, as below: a table of some megabytes costs more to make than to fill
    baby = _turns(angle, block).T
    waves = giant[:, parts[0]] @ baby[parts[0]]
    one = np.empty_like(waves)
    for part in parts[1:]:
        waves += np.matmul(giant[:, part], baby[part], out=one)
    return waves.ravel()[: len(u)]


def _waves_of(angle: Array, mass: Array, block: int, count: int) -> ComplexArray:
    """What some of them add, [giant step, baby step]."""
    giant = _turns(angle * block, count // block + 1)
    giant *= mass
    waves: ComplexArray = giant @ _turns(angle, block).T
    return waves


def _parts(count: int, at_once: int) -> list[slice]:
    return [slice(first, first + at_once) for first in range(0, count, at_once)]


def waves_of_all(loss: Array, mass: Array, u: Array, parts: Sequence[slice] = (slice(None),)) -> ComplexArray:
    """`_waves` of many rows, [row, frequency], a few at a time to stay within a processor's memory."""
    many = u.shape[-1]
    block = max(int(math.sqrt(many)), 1)
    step = np.broadcast_to(u[..., 1:2] if many > 1 else 1.0, (len(loss), 1))
    waves = np.empty((len(loss), (many // block + 1) * block), complex)
    for first in range(0, len(loss), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        angle = loss[rows] * step[rows]
        shape = (-1, *angle.shape)
        giant = _turns((angle * block).ravel(), many // block + 1).reshape(shape)
        giant *= mass[rows]
        baby = _turns(angle.ravel(), block).reshape(shape)
        # [row, giant, node] times [row, node, baby]
        left, right = giant.transpose(1, 0, 2), baby.transpose(1, 2, 0)
        product = np.matmul(left[:, :, parts[0]], right[:, parts[0]])
        for part in parts[1:]:
            product += np.matmul(left[:, :, part], right[:, part])
        waves[rows] = product.reshape(len(angle), -1)
    return waves[:, :many]


def _turns(angle: Array, count: int) -> ComplexArray:
    """e^{ik·angle} for k from 0, [k, node]. Products of at most log2(count) + 1 sines, each good to a few units: there
    is room for 64 of them, besides one for every node."""
    turns = np.empty((count, len(angle)), complex)
    turns[0] = 1.0
    filled = 1
    while filled < count:
        more = min(filled, count - filled)
        turn = np.empty(len(angle), complex)
        turn.real, turn.imag = np.cos(filled * angle), np.sin(filled * angle)
        np.multiply(turns[:more], turn, out=turns[filled : filled + more])
        filled += more
    return turns
