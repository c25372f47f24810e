"""Contours of many plans at once: plans of equal steps, near one ε, a row of every array for each plan.

One plan's contour spends most of its time between calls on small arrays; here a call serves all rows. What is proven is
what delta_interval.py proves, by the same quadratures and bounds and for each row on its own. It asks for less
accuracy: enough for a noise multiplier of a few digits, not for the last digits of ε.

Symbols: as in delta_interval.py. Arrays are [row], or [row, one of tilt, frequency, edge].
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour import chernoff, decay_bent_x_path, decay_lifted_line, decay_small_losses
from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE
from dpplan.accounting.exact.contour.delta_interval import LOG_TINY, NET_RATIO, NET_SIZE, NET_START, SAFE
from dpplan.accounting.exact.contour.many_plans_transform import PlainRule
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, grown_error, log_characteristic
from dpplan.accounting.exact.contour.saddle_point import TOLERANCE, PlanSaddles
from dpplan.accounting.exact.contour.tail_decay import ENOUGH
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, ComplexArray, outward
from dpplan.quick_dataclass import dataclass

Rows = npt.NDArray[np.int64]
ALIAS_TILTS = (
    -0.5,
    0.015,
    0.06,
    0.25,
    1.0,
)  # in units of 8 / (standard deviation of the tilted loss); near, where moments soar
LEAST_TILT = 0.3  # of the contour's own: the lowest of those
DEPTH = 26.0  # all steps together are good to e^-26 of delta: 5e-12
PERIODS = 1.1 ** np.arange(48.0)  # times SHORTEST standard deviations: periods that are tried
SHORTEST = 5.0
MOST_FREQUENCIES, MOST_NODES, MOST_PRODUCTS = 8192, 65536, 2**24  # of a row; others are for a plan by itself
ROUGH_ACCURACY = math.log(1e-4)  # of a direction that only has to be shown to be less
ALIKE = 2.5  # how many more frequencies than it needs a row may be given, to share a sum with others
NEWTON = 12  # steps towards a saddle
LARGEST_RATE = 0.5  # above it the tilted law may sit far to the left
FAR_WIDTH = 1.0 / 3.0  # of a cut, in σ
FEW_ROWS = 4  # up to which a decay is worth a closer look


def rows_of(steps: Steps, rows: Rows) -> Steps:
    return Steps(steps.sigma[rows], steps.q[rows], steps.count[rows])


def saddles(
    steps: Steps, direction: Direction, epsilon: Array, log_delta: float, begin: Array | None = None
) -> tuple[Array, Array]:
    """Near the saddle of each row at its ε: the tilt and the spread. Nothing here has to be exact.

    begin: tilts that may be near.
    """
    every_plan = PlanSaddles(steps, direction, _far(steps, log_delta - 28.0) + 3.0 * steps.sigma)
    sign, count = direction.value, steps.count[:, 0]
    tilt = np.full(len(count), 1.5 * max(-log_delta, 1.0)) / np.maximum(epsilon, 1e-3) if begin is None else begin
    least, most = np.zeros(len(count)), np.full(len(count), np.inf)
    for _ in range(NEWTON):
        _, mean, variance = every_plan.pictures((1.0 + tilt if direction is Direction.REMOVE else -tilt)[:, None])
        # T·K'(t) = ε + 1/t + 1/(1 + t), in logarithms: where noise is small, the left side grows like e^{t²/σ²}.
        slope, aim = sign * count * mean[:, 0], epsilon + 1.0 / tilt + 1.0 / (1.0 + tilt)
        bend = tilt**-2 + (1.0 + tilt) ** -2
        spread = count * variance[:, 0] + bend
        gap = aim - slope
        near = np.abs(gap) <= 4.0 * TOLERANCE * np.sqrt(spread)
        if np.all(near):
            break
        least, most = np.where(gap > 0.0, tilt, least), np.where(gap < 0.0, tilt, most)
        move = np.log(aim / slope) / (count * variance[:, 0] / slope + bend / aim)
        moved = np.clip(tilt + np.where(slope > 0.0, move, gap / spread), 0.5 * tilt, 2.0 * tilt)
        # The gap falls as the tilt rises. Where moments soar Newton's rule would jump to and fro over its zero.
        tilt = np.where(near | ((moved > least) & (moved < most)), moved, np.sqrt(least * most))
    return tilt, spread


def log_delta_estimates(steps: Steps, direction: Direction, epsilon: Array, log_delta: float) -> tuple[Array, Array]:
    """The tilt near each row's saddle at its ε, and log of about its delta there, as Saddle.log_delta has it."""
    tilt, spread = saddles(steps, direction, epsilon, log_delta)
    every_plan = PlanSaddles(steps, direction, _far(steps, log_delta - 28.0) + 3.0 * steps.sigma)
    log_g, _, _ = every_plan.pictures((1.0 + tilt if direction is Direction.REMOVE else -tilt)[:, None])
    peak = steps.count[:, 0] * log_g[:, 0] - tilt * epsilon - np.log(tilt) - np.log1p(tilt)
    return tilt, peak - 0.5 * np.log(2.0 * math.pi * spread)


def largest_added_losses(steps: Steps) -> Array:
    """placement.largest_added_loss of each row by itself, [row]; for rates below 1."""
    return np.asarray(outward.up(-(steps.count * np.log1p(-steps.q))[:, 0], outward.SUM))


def deltas_at_zero_above(steps: Steps) -> Array:
    """placement.delta_at_zero_above of each row by itself, [row]; inf where it says nothing."""
    shifts = np.array([math.erf(0.5 / (sigma * math.sqrt(2.0))) for sigma in steps.sigma[:, 0].tolist()])
    variation = outward.up(steps.count[:, 0] * steps.q[:, 0] * shifts, 10 * outward.SUM)
    grown = (steps.count * np.log1p(steps.q**2 * np.expm1(steps.sigma**-2.0)))[:, 0]
    half = outward.up(0.5 * np.sqrt(np.expm1(np.minimum(grown, 1.0))), outward.SERIES)
    return np.minimum(variation, np.where(grown < 1.0, half, np.inf))


def log_chernoff(steps: Steps, direction: Direction, tilt: Array, epsilon: Array) -> Array:
    """log of a proven bound on each row's delta at its ε."""
    table = ChernoffTable.of(steps, direction, tilt[:, None])
    return table.log_delta(epsilon)


def log_chernoff_together(steps: Steps, direction: Direction, tilt: float, epsilon: float) -> float:
    """The same for all rows as the steps of one plan, at one tilt; inf where nothing is shown."""
    if not (tilt > 0.0 and float(steps.q.max()) <= LARGEST_RATE):
        return math.inf
    total = log_moments_together(steps, direction, np.array([tilt]))
    top = chernoff.log_tops(np.array([tilt]), total)
    rounded = float(chernoff.log_deltas(top, np.array([tilt]), epsilon)[0])
    return rounded if math.isfinite(rounded) else math.inf


def log_moments_together(steps: Steps, direction: Direction, tilts: Array) -> Array:
    """Upper bounds on log M, [tilt], of all rows as the steps of one plan; inf where nothing is shown."""
    deep = np.full_like(steps.q, DEPTH + math.log(steps.total))
    law = PlainRule(steps, direction, tilts + np.zeros_like(steps.q), np.zeros_like(steps.q), deep)
    logs = steps.count * law.log_g
    total = (logs + steps.count * law.error).sum(axis=0) + EPS * (len(logs) + 16.0) * np.abs(logs).sum(axis=0)
    return np.asarray(np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf))


def below(steps: Steps, direction: Direction, place: tuple[float, float], epsilon: float, log_delta: float) -> bool:
    """Whether the sum of a plan of equal steps, at this tilt, shows delta to be at most e^log_delta at this ε.
    No is no answer: it may be for another contour to show."""
    if len(steps.q) > 1 or not (float(steps.q[0, 0]) <= LARGEST_RATE and place[1] > 0.0):
        return False
    at, (tilt, spread) = np.array([epsilon]), (np.array([each]) for each in place)
    made = next(sums(steps, direction, (tilt, spread), (at, log_delta), ROUGH_ACCURACY), None)
    return made is not None and math.log(max(float(made.at(at).upper[0]), 1e-300)) <= log_delta


@dataclass(frozen=True)
class ChernoffTable:
    """Moments at some tilts of each row, and what Chernoff makes of them; as delta_interval.Chernoff.

    tilts, log_tops: [row, tilt]. law: that made them, whose first tilt is the contour's.
    """

    tilts: Array
    log_tops: Array
    law: PlainRule

    @classmethod
    def of(cls, steps: Steps, direction: Direction, tilts: Array) -> "ChernoffTable":
        law = PlainRule(steps, direction, tilts, np.zeros_like(steps.sigma), _depth(steps))
        total = steps.count * law.log_g
        # A logarithm is off by four units of it, a product and a sum by one each.
        off = steps.count * law.error
        total = total + off + 4.0 * EPS * (np.abs(total) + off)
        logs = np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf)
        return cls(tilts, chernoff.log_tops(tilts, logs), law)

    def log_delta(self, epsilon: Array) -> Array:
        """log of the best bound on each row's delta."""
        return np.asarray(np.min(chernoff.log_deltas(self.log_tops, self.tilts, epsilon[:, None]), axis=1))

    def log_aliases(self, tilt: Array, period: Array, epsilon: Array) -> Array:
        """As delta_interval.Chernoff's, as period: [row, period]; 0, where M is at most 1, is among the tilts."""
        zero = np.zeros((len(tilt), 1))
        tilts, tops = (np.concatenate(both, axis=1)[:, :, None] for both in ((self.tilts, zero), (self.log_tops, zero)))
        at = tilt[:, None, None]
        log_deltas = chernoff.log_deltas(tops, tilts, epsilon[:, None, None])
        bound = chernoff.log_aliases(log_deltas, np.abs(tilts - at) * period[:, None, :])
        above = np.min(np.where(tilts > at, bound, np.inf), axis=1)
        below = np.min(np.where(tilts < at, bound, np.inf), axis=1)
        return chernoff.log_sum_above(above, below)


@dataclass(frozen=True, slots=True)
class DeltaColumns:
    """lower <= delta <= upper for each row, the estimate between them, and its slope in ε."""

    lower: Array
    upper: Array
    estimate: Array
    slope: Array


@dataclass(frozen=True)
class Sums:
    """The contour sums of some rows, without their dependence on ε; as delta_interval.Contour.

    rows: their numbers.
    """

    rows: Rows
    tilt: Array
    u: Array
    weighted: ComplexArray
    error: Array
    error_slope: Array
    log_unit: Array
    unit_error: Array
    log_rest: Array
    period: Array
    table: ChernoffTable

    def near(self, epsilon: Array) -> tuple[Array, Array, Array]:
        """Estimates and their slopes in ε, and log of the unit they are sums in; none where that leaves the floats."""
        angle = self.u * epsilon[:, None]
        turned = np.empty_like(self.weighted)
        turned.real, turned.imag = np.cos(angle), np.sin(-angle)
        turned *= self.weighted
        base = self.log_unit - self.tilt * epsilon
        scale = np.exp(np.where((base > LOG_TINY) & (base < LOG_HUGE), base, 0.0))
        # The real part of weighted·e^(-iuε), and of that times z = t + iu.
        real = turned.real.sum(axis=1)
        slope = self.tilt * real - np.einsum("ij,ij->i", turned.imag, self.u)
        return scale * real, -scale * slope, base

    def at(self, epsilon: Array) -> DeltaColumns:
        estimate, slope, base = self.near(epsilon)
        known = (base > LOG_TINY) & (base < LOG_HUGE)
        scale = np.exp(np.where(known, base, 0.0))
        units = 4.0 * EPS * (np.abs(self.log_unit) + self.tilt * epsilon + 8.0)
        units = units + self.unit_error * (1.0 + units)
        rounding = scale * (self.error + self.error_slope * epsilon) * (1.0 + units) + np.abs(estimate) * units
        rest = np.exp(np.minimum(base + self.log_rest, LOG_HUGE)) * (1.0 + SAFE + units)
        log_aliases = self.table.log_aliases(self.tilt, self.period[:, None], epsilon)[:, 0]
        aliases = outward.up(np.exp(np.minimum(log_aliases, LOG_HUGE)), SAFE)
        lower, upper = estimate - rest - rounding - aliases, estimate + rest + rounding
        known &= np.isfinite(upper) & np.isfinite(lower)
        return DeltaColumns(np.where(known, lower, 0.0), np.where(known, upper, np.inf), estimate, slope)


def sums(
    steps: Steps, direction: Direction, place: tuple[Array, Array], aim: tuple[Array, float], accuracy: float
) -> Iterator[Sums]:
    """The contour sums of all rows that can be had, those of about the same length together.

    place: tilt and spread of each. aim: each one's ε, and log delta there. accuracy: log of what aliases and the
    frequencies left out may come to, relative to delta, each.
    """
    (tilt, spread), (epsilon, log_delta) = place, aim
    gap = 8.0 / np.sqrt(spread)
    others = [np.maximum(tilt + factor * gap, LEAST_TILT * tilt) for factor in ALIAS_TILTS]
    table = ChernoffTable.of(steps, direction, np.stack([tilt, *others], axis=1))
    periods = SHORTEST * np.sqrt(spread)[:, None] * PERIODS
    good = table.log_aliases(tilt, periods, epsilon) <= log_delta + accuracy
    period = np.take_along_axis(periods, np.where(good.any(axis=1), np.argmax(good, axis=1), -1)[:, None], axis=1)[:, 0]
    h = 2.0 * math.pi / period
    edges = NET_START / np.sqrt(spread)[:, None] * np.power(NET_RATIO, np.arange(NET_SIZE, dtype=np.float64))
    log_unit = (steps.count * table.law.log_g[:, :1])[:, 0]
    width = np.concatenate((np.diff(edges, axis=1), edges[:, -1:]), axis=1)
    each = _log_decay(table.law, edges) + np.log((width + h[:, None]) / (math.pi * edges**2))
    rest = np.logaddexp.accumulate(each[:, ::-1], axis=1)[:, ::-1]
    small = rest <= (log_delta + accuracy - log_unit + tilt * epsilon)[:, None]
    chosen = np.argmax(small, axis=1)[:, None]
    end = np.take_along_axis(edges, chosen, axis=1)[:, 0] / h
    nodes = 3.0 * h * end / steps.sigma[:, 0]  # about 18 σ as finely as e^{iuL} may turn
    reached = small.any(axis=1) & (end < MOST_FREQUENCIES) & (nodes < MOST_NODES) & (nodes * end < MOST_PRODUCTS)
    reached &= np.isfinite(table.law.error[:, 0])
    log_rest = np.take_along_axis(rest, chosen, axis=1)[:, 0]
    for rows in _alike(end, np.nonzero(reached)[0]):
        u = h[rows][:, None] * np.arange(int(end[rows].max()) + 2, dtype=np.float64)
        made = _summed(rows_of(steps, rows), direction, tilt[rows], u)
        part = ChernoffTable(table.tilts[rows], table.log_tops[rows], table.law)
        yield Sums(rows, tilt[rows], u, *made, log_rest[rows], period[rows], part)


def _depth(steps: Steps) -> Array:
    """How good each step has to be for all of them to be good to e^-DEPTH."""
    return np.asarray(DEPTH + np.log(steps.count))


def _summed(
    steps: Steps, direction: Direction, tilt: Array, u: Array
) -> tuple[ComplexArray, Array, Array, Array, Array]:
    """The weighted values, their error and how it grows with ε, and their unit and its error; see Measure.line,
    Contour._sum."""
    law = PlainRule(steps, direction, tilt[:, None], u[:, -1:], _depth(steps))
    waves, errors = law.waves(u)
    drop, turn = -waves.real, direction.value * waves.imag
    log_phi, lost = (value.reshape(u.shape) for value in log_characteristic(drop.ravel(), turn.ravel()))
    count, mean = steps.count, np.abs(steps.count * law.slope)
    values = count * log_phi
    size_of_one = np.maximum(np.exp(log_phi.real), 1e-300)
    off = count * np.log1p((errors + lost) / size_of_one)
    off = off + EPS * (32.0 + u * mean) + 8.0 * EPS * count * np.abs(log_phi)
    z: ComplexArray = tilt[:, None] + 1j * u
    weight = u[:, 1:2] / math.pi / (z * (z + 1.0))
    weight[:, 0] *= 0.5
    weighted = weight * np.exp(values)
    size = np.abs(weighted)
    error = np.abs(weight) * grown_error(values.real, off) + EPS * (u.shape[1] + 16.0 + u * mean) * size
    steeper = np.asarray(EPS * (size * u).sum(axis=1))
    unit_error = np.expm1(count[:, 0] * law.unit_error)
    return weighted, np.asarray(error.sum(axis=1)), steeper, (count * law.log_g)[:, 0], unit_error


def _log_decay(law: PlainRule, edges: Array) -> Array:
    """As Moments.log_decay, [row, edge]; of no use where the law's error is not finite."""
    found = np.minimum(decay_small_losses.log_bounds(law, edges), decay_bent_x_path.log_bounds(law, edges))
    if len(found) <= FEW_ROWS:
        columns = (law.steps.sigma, law.steps.q, *law.own, law.low, law.high)
        for row in np.flatnonzero(found[:, -1] > ENOUGH):  # which few steps never fall below
            one = decay_lifted_line.TiltedStep(*(float(each[row, 0]) for each in columns))
            known = float(law.steps.count[row, 0]) * decay_lifted_line.log_bounds(one, edges[row])
            found[row] = np.minimum(found[row], known)
    return np.asarray(np.nan_to_num(found, nan=0.0))


def _alike(lengths: Array, rows: Rows) -> Iterator[Rows]:
    """The rows in groups of about the same length."""
    rows = rows[np.argsort(lengths[rows])]
    while len(rows):
        several = max(int(np.searchsorted(lengths[rows], ALIKE * lengths[rows[0]] + 8.0)), 1)
        yield rows[:several]
        rows = rows[several:]


def _far(steps: Steps, log_probability: float) -> Array:
    """As composed_loss.far_limit, for each row by itself and a little farther: log of a tail is at most -x²/2."""
    goal = log_probability - np.log(steps.count)
    return 1.0 + np.sqrt(2.0 * np.maximum(-goal, 0.0)) * math.hypot(1.0, FAR_WIDTH) * steps.sigma
