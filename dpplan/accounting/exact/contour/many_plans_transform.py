"""Stage 1, transform, for many plans at once: E_Q[r^w] by the trapezoid rule with errors bounded in closed form.

transform_quadrature.py bounds the integrand beside the real line by sums over the nodes, which gives the last digits of
G - 1 where q = 1e-9, and costs ten times what the sum itself does. Relative to G, and no better, a line does:

rule    For w = a + iu and x + iy with θ = y/σ² in (-π, π): |Q(x + iy)| is Q(x)·e^(y²/2σ²), and r(x + iy), which is
        1 - q + q·E·e^(iθ) with E = e^e, has an argument between 0 and θ and a modulus between r(x)·cos(θ/2) and r(x),
        because |A + B·e^(iθ)| >= (A + B)·cos(θ/2) for A, B >= 0. So on |Im x| = d the integrand's modulus integrates to
        at most e^B·G(a), B = d²/2σ² + |u|·d/σ² + max(-a, 0)·(-log cos(d/2σ²)); and, as |r(x + iy)| >= 1 - q for
        θ <= π/2 and G >= 1, also with -log(1 - q) in place of -log cos(d/2σ²). The trapezoid rule of step h errs by at
        most 2·e^B / (e^(2πd/h) - 1) of G(a) (Trefethen, Weideman 2014, SIAM Review 56, Thm 5.1), for any 0 < d < πσ².
left    For x < 1/2, r lies between 1 - q and 1: what is left of the nodes is at most Φ(low/σ), times (1 - q)^a for
        a < 0. Q rises there, so that a sum over nodes is below the integral. G >= 1 at every exponent used here,
        by Jensen's inequality and E_Q[r] = 1.
right   For a < 0 the same with 1 <= r. For a > 0 a net of cells: log(r^a·Q) has a second derivative of at least -1/σ²,
        so in a cell it is at most its larger end plus width²/8σ²; a cell holds at most width/h + 1 nodes; and beyond
        the net's end, right of a, the slope is at most (a - x)/σ².

waves   E[e^{iuL}] - 1 is a mean of c = e^{iuL} - 1: where nearly all losses are near 0, as where steps that count are
        rare, little is rounded, and what is is felt as many times as there are steps. c of a giant and a baby step is
        g·(1 + b) + b of theirs, and |g·b| + |g| + |b| is at most m(u) = min(8, 2u|L|). By m counts what a node's mass
        is off by (itself, and the sum that it is divided by, relatively), a sum's rounding, and a turn's, which is such
        a sum log2(count) times over. What a loss is off by counts u times over. The sum G is off by the same factor at
        every u, and so is the contour's.

Symbols: as in transform_quadrature.py. Arrays are [row, node], [row, tilt], [row, cell], or [row, tilt, node or cell].
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, log_ratio, loss_rounding
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.accounting.numerics.normal import LOG_SQRT_2PI, log_normal_tails

# Heights in the strip that are tried, as fractions of its edge πσ².
HEIGHTS = np.array((0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.97))
NET_FINE, NET_COARSE = 40, 72  # cells right of 0, three in a σ, and from there on
COARSER = 20.0  # moments that only bound aliases: their tails may come to e^COARSER times as much
LARGEST = 0.01  # errors above this are said to be infinite, for no row with one is of use
AT_ONCE = 1024  # nodes, of one row or several, whose turns are held: more would leave a processor's memory
SAFE = 1e-9  # for the rounding of bounds, whose logarithms are below 1e5
MOST_NODES = 2**22  # of a row: a rule that would need more bounds nothing
SPARE = 128.0  # units in the last place for a term's elementary functions
TURNS = 192.0  # and for its turns: two of seven products, by sines that are good to four


class PlainRule:
    """G at exponents [row, tilt], the first of which is the contour's, and on the line through that.

    u_max: [row, 1], how far the line is asked for. depth: [row, 1], the rule and what it leaves out are to err by about
    e^-depth of G. log_g, error: [row, tilt], the latter of G, relative, and for the first on its whole line. mass: the
    first's law.
    """

    def __init__(self, steps: Steps, direction: Direction, tilts: Array, u_max: Array, depth: Array) -> None:
        self.steps, self.u_max = steps, u_max
        self.a = 1.0 + tilts if direction is Direction.REMOVE else -tilts
        sigma = steps.sigma
        heights = HEIGHTS * math.pi * sigma**2
        largest = np.max(np.maximum(-self.a, 0.0), axis=1, keepdims=True)
        growth = self._log_growth(heights, largest, u_max)
        wanted = 2.0 * math.pi * heights / (depth + growth)
        best = np.argmax(wanted, axis=1)[:, None]
        self.height = np.take_along_axis(heights, best, axis=1)
        h = np.take_along_axis(wanted, best, axis=1)
        self._cast_net(depth)
        sunk = depth - np.minimum(np.min(self.a, axis=1, keepdims=True), 0.0) * -np.log1p(-steps.q)
        self.low = -sigma * np.sqrt(2.0 * sunk)
        self.high, self.first = self._end(depth, h)
        count = float(np.max((self.high - self.low) / h)) + 2.0
        self.affordable = count <= MOST_NODES
        self.count = int(count) if self.affordable else 2
        self.h = (self.high - self.low) / (self.count - 1)
        self._sum(depth)

    def _log_growth(self, height: Array, pulled: Array, u: Array) -> Array:
        """B, of heights, of how far below 0 the exponent is, and of frequencies."""
        turn = height / self.steps.sigma**2
        by_turn = -np.log(np.cos(0.5 * turn))
        by_rate = np.where(turn <= 0.5 * math.pi, -np.log1p(-self.steps.q), np.inf)
        shrunk = np.where(pulled > 0.0, pulled * np.minimum(by_turn, by_rate), 0.0)
        return np.asarray(0.5 * height * turn + u * turn + shrunk)

    def _cast_net(self, depth: Array) -> None:
        """Cells right of 0 and log(r^a·Q) at their edges."""
        sigma, q = self.steps.sigma, self.steps.q
        top = np.maximum(np.max(self.a, axis=1, keepdims=True), 0.0)
        end = top + sigma * (np.sqrt(2.0 * depth) + 3.0)
        fine = np.minimum(end, sigma * (NET_FINE / 3.0)) * np.linspace(0.0, 1.0, NET_FINE + 1)
        coarse = fine[:, -1:] + (end - fine[:, -1:]) * np.linspace(0.0, 1.0, NET_COARSE + 1)[1:]
        self.edges = np.concatenate((fine, coarse), axis=1)
        self.width = np.diff(self.edges, axis=1)
        self.edge_e = (2.0 * self.edges - 1.0) / (2.0 * sigma**2)
        self.edge_loss = log_ratio(self.edge_e, q)
        self.edge_density = -0.5 * (self.edges / sigma) ** 2 - np.log(sigma) - LOG_SQRT_2PI

    def _end(self, depth: Array, h: Array) -> tuple[Array, Array]:
        """Where the nodes may end, the net's edge there, and [row, tilt, edge] what lies beyond each edge."""
        sigma, a = self.steps.sigma, self.a
        if np.all(a < 0.0):
            self.log_beyond_edges = None
            high = sigma * np.sqrt(2.0 * depth) + 0.5
            return high, np.zeros_like(high, dtype=np.int64)
        logs = a[:, :, None] * self.edge_loss[:, None] + self.edge_density[:, None]
        bend = self.width**2 / (8.0 * sigma**2)
        cells = np.maximum(logs[..., 1:], logs[..., :-1]) + bend[:, None]
        top = np.max(cells, axis=2, keepdims=True)
        sizes = np.exp(cells - top) * (self.width + h)[:, None]
        last = np.exp(logs[..., -1:] - top) * (sigma**2 / (self.edges[:, -1:] - a) + h)[..., None]
        beyond = np.cumsum(np.concatenate((last, sizes[..., ::-1]), axis=2), axis=2)[..., ::-1]
        whole = np.maximum(beyond[..., :1], np.exp(-top))  # about G, which is at least 1
        goal = np.full((len(a), a.shape[1], 1), COARSER)
        goal[:, 0] = 0.0
        good = np.all(beyond <= np.exp(goal - depth[:, None]) * whole, axis=1)
        first = np.where(good.any(axis=1), np.argmax(good, axis=1), good.shape[1] - 1)[:, None]
        self.log_beyond_edges = top[..., 0] + np.log(np.take_along_axis(beyond, first[:, None], axis=2))[..., 0]
        return np.take_along_axis(self.edges, first, axis=1), first

    def _sum(self, depth: Array) -> None:
        """log G, the law's mass at the nodes, and the bound on the error."""
        sigma, q, a = self.steps.sigma, self.steps.q, self.a
        x = self.low + self.h * np.arange(self.count)
        e = (2.0 * x - 1.0) / (2.0 * sigma**2)
        self.loss = loss = log_ratio(e, q)
        log_base = np.log(self.h) - np.log(sigma) - LOG_SQRT_2PI - 0.5 * (x / sigma) ** 2
        log_g = []
        for tilt in range(a.shape[1]):
            terms = a[:, tilt : tilt + 1] * loss + log_base
            shift = np.max(terms, axis=1, keepdims=True)
            weight = np.exp(terms - shift)
            total = weight.sum(axis=1, keepdims=True)
            log_g.append(shift + np.log(total))
            if tilt == 0:
                self.mass = weight / total
        self.log_g = np.concatenate(log_g, axis=1)
        self.slope = (self.mass * loss).sum(axis=1, keepdims=True)
        self.left_out = self._left_out()
        error = self.left_out + self._rounding(x, e, loss, log_base)
        # Tails and rounding are relative to G as computed, which is off by as much; and then as much in its logarithm.
        self.error = _of_use(error) if self.affordable else np.full_like(error, np.inf)

    def _left_out(self) -> Array:
        """Of the rule and of the tails, relative to G, [row, tilt]."""
        a = self.a
        u = np.concatenate((self.u_max, np.zeros((len(a), a.shape[1] - 1))), axis=1)
        growth = self._log_growth(self.height, np.maximum(-a, 0.0), u)
        fall = 2.0 * math.pi * self.height / self.h
        log_rule = math.log(2.0) + growth - fall - np.log(-np.expm1(-fall))
        log_left, log_right = self.log_tails()
        total = np.exp(log_rule) + np.exp(log_left - self.log_g) + np.exp(log_right - self.log_g)
        return np.asarray(total * (1.0 + SAFE))

    def log_tails(self) -> tuple[Array, Array]:
        """log of bounds on the sums over the nodes left and right of those that are summed, [row, tilt]."""
        sigma, a = self.steps.sigma, self.a
        log_left = log_normal_tails(-self.low / sigma) + np.minimum(a, 0.0) * np.log1p(-self.steps.q)
        if self.log_beyond_edges is None:
            return log_left, log_normal_tails(self.high / sigma) - np.zeros_like(a)
        return log_left, self.log_beyond_edges

    def _rounding(self, x: Array, e: Array, loss: Array, log_base: Array) -> Array:
        """Floating point, as Quadrature._rounding has it: relative to each term, and the loss absolutely."""
        sigma = self.steps.sigma
        ends = np.maximum(np.abs(self.low), np.abs(self.high))
        place = (np.abs(x) + ends) / sigma**2
        moved = loss_rounding(x, e, loss, sigma, self.steps.q, ends)
        # n complex products are off by √8·n units of 2^-53, and the sum that the masses are divided by, by n.
        units = 2.0 * self.count + SPARE + 4.0 * np.abs(log_base) + np.abs(x) * place
        self.moved = moved + 4.0 * np.abs(loss)
        self.weighed = units + np.abs(self.a[:, :1]) * self.moved
        first = (self.mass * (self.weighed + self.u_max * self.moved)).sum(axis=1)
        # Other exponents weigh the nodes otherwise: each at its largest.
        most = np.max(units, axis=1, keepdims=True) + np.abs(self.a[:, 1:]) * np.max(self.moved, axis=1, keepdims=True)
        return np.asarray(EPS * np.concatenate((first[:, None], most), axis=1))

    @property
    def own(self) -> tuple[Array, Array, Array]:
        """The first exponent, log G there, and the error of G, [row, 1] each."""
        return self.a[:, :1], self.log_g[:, :1], self.error[:, :1]

    @property
    def unit_error(self) -> Array:
        """Of the first exponent's G as a sum over the nodes, relative, [row]: the same on all of its line."""
        return _of_use(EPS * (self.mass * self.weighed).sum(axis=1))

    def waves(self, u: Array) -> tuple[ComplexArray, Array]:
        """E[e^{iuL}] - 1 under the law of the first exponent, and its error relative to the sum over the nodes that G
        is, both at [row, frequency] equally spaced from 0."""
        most = 2.0 * np.abs(self.loss)
        far = self.u_max * most >= 8.0
        off = self.mass * (self.weighed + (self.mass * self.weighed).sum(axis=1, keepdims=True) + TURNS)
        level = np.where(far, 8.0 * off, 0.0).sum(axis=1, keepdims=True)
        slope = (np.where(far, 0.0, most * off) + self.mass * self.moved).sum(axis=1, keepdims=True)
        return _waves_less_one(self.loss, self.mass, u), _of_use(self.left_out[:, :1] + EPS * (level + slope * u))


def _of_use(error: Array) -> Array:
    """An error with the square of it, or inf where that is of no use."""
    return np.asarray(np.where(error <= LARGEST, error * (1.0 + 4.0 * LARGEST), np.inf))


def _waves_less_one(loss: Array, mass: Array, u: Array) -> ComplexArray:
    """Σ mass·(e^{iuL} - 1), [row, frequency], as transform_quadrature.waves_of_all: giant steps and baby steps."""
    many = u.shape[-1]
    block = max(int(math.sqrt(many)), 1)
    step = u[:, 1:2] if many > 1 else 1.0
    angle, weight = loss * step, mass.astype(complex)
    waves = np.zeros((len(loss), many // block + 1, block), complex)
    at_once = max(AT_ONCE // loss.shape[1], 1)
    for first in range(0, len(loss), at_once):
        rows = slice(first, first + at_once)
        for begin in range(0, loss.shape[1], AT_ONCE):
            part = rows, slice(begin, begin + AT_ONCE)
            giant = _turns_less_one(angle[part] * block, many // block + 1)
            giant *= weight[part]
            baby = _turns_less_one(angle[part], block)
            # g·b + g + b as g·(1 + b) + b: [row, giant, node] times [row, node, baby], and [row, 1, node] times that.
            right = baby.transpose(1, 2, 0)
            waves[rows] += np.matmul(weight[part][:, None], right)
            baby += 1.0
            waves[rows] += np.matmul(giant.transpose(1, 0, 2), right)
    return waves.reshape(len(loss), -1)[:, :many]


def _turns_less_one(angle: Array, count: int) -> ComplexArray:
    """e^{ik·angle} - 1 for k from 0, [k, row, node]."""
    turns, turn = np.empty((count, *angle.shape), complex), np.empty(angle.shape, complex)
    turns[0] = 0.0
    filled, sine = 1, np.sin(0.5 * angle)
    while filled < count:
        more = min(filled, count - filled)
        turn.real = -2.0 * sine * sine
        turn.imag = sine = np.sin(filled * angle)
        part = turns[filled : filled + more]
        np.multiply(turns[:more], 1.0 + turn, out=part)
        part += turn
        filled += more
    return turns
