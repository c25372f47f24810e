"""Contours of many plans at once: plans of equal steps, near one ε, a row of every array for each plan.

One plan's contour spends most of its time between calls on small arrays; here a call serves all rows. What is proven is
what inversion.py proves, by the same quadratures and bounds and for each row on its own. It asks for less accuracy:
enough for a noise multiplier of a few digits, not for the last digits of ε.

Symbols: as in inversion.py. Arrays are [row], or [row, one of tilt, frequency, edge].
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE, cut_at
from dpplan.accounting.exact.contour.inversion import LOG_TINY, NET_RATIO, NET_SIZE, NET_START, SAFE
from dpplan.accounting.exact.contour.privacy_loss import Cut, Direction, Steps, grown_error, log_characteristic
from dpplan.accounting.exact.contour.quadrature import EPS, Choices, Quadrature
from dpplan.accounting.exact.contour.saddle_point import TOLERANCE, Landscape
from dpplan.accounting.exact.contour.strip_bound import Range
from dpplan.accounting.exact.contour.tail_decay import Decay, Known
from dpplan.accounting.numerics import Array, ComplexArray, outward

Rows = npt.NDArray[np.int64]
ALIAS_TILTS = (-0.5, 0.25, 1.0)  # in units of 8 / (standard deviation of the tilted loss), as for one plan
LEAST_TILT = 0.3  # of the contour's own: the lowest of those
CHOICES = Choices(looks=12, depth=26.0)  # e^-26 of a step's G - 1: 1e-10 of delta and less
PERIODS = 1.1 ** np.arange(48.0)  # times SHORTEST standard deviations: periods that are tried
SHORTEST = 5.0
MOST_FREQUENCIES = 8192
ALIKE = 1.5  # how many more frequencies than it needs a row may be given, to share a sum with others
NEWTON = 12  # steps towards a saddle
FAR_WIDTH = 1.0 / 3.0  # of a cut, in σ


def rows_of(steps: Steps, rows: Rows) -> Steps:
    return Steps(steps.sigma[rows], steps.q[rows], steps.count[rows])


def saddles(steps: Steps, direction: Direction, epsilon: Array, log_delta: float) -> tuple[Array, Array]:
    """Near the saddle of each row at its ε: the tilt and the spread. Nothing here has to be exact."""
    landscape = Landscape(steps, direction, _far(steps, log_delta - 28.0) + 3.0 * steps.sigma)
    sign, count = direction.value, steps.count[:, 0]
    tilt = np.full(len(count), 1.5 * max(-log_delta, 1.0)) / np.maximum(epsilon, 1e-3)
    for _ in range(NEWTON):
        _, mean, variance = landscape.pictures((1.0 + tilt if direction is Direction.REMOVE else -tilt)[:, None])
        # T·K'(t) = ε + 1/t + 1/(1 + t), in logarithms: where noise is small, the left side grows like e^{t²/σ²}.
        slope, aim = sign * count * mean[:, 0], epsilon + 1.0 / tilt + 1.0 / (1.0 + tilt)
        bend = tilt**-2 + (1.0 + tilt) ** -2
        spread = count * variance[:, 0] + bend
        gap = aim - slope
        if np.all(np.abs(gap) <= 4.0 * TOLERANCE * np.sqrt(spread)):
            break
        move = np.log(aim / slope) / (count * variance[:, 0] / slope + bend / aim)
        tilt = np.clip(tilt + np.where(slope > 0.0, move, gap / spread), 0.5 * tilt, 2.0 * tilt)
    return tilt, spread


def log_chernoff(steps: Steps, direction: Direction, tilt: Array, epsilon: Array) -> Array:
    """log of a proven bound on each row's delta at its ε."""
    table = ChernoffTable.of(steps, direction, tilt[:, None], None)
    return table.log_delta(epsilon)


@dataclass(frozen=True)
class ChernoffTable:
    """Moments at some tilts of each row, and what Chernoff makes of them; as inversion.Chernoff.

    tilts, log_tops: [row, tilt]. law: with a block of rows for each tilt; error: of its G, relative.
    """

    tilts: Array
    log_tops: Array
    law: Quadrature
    error: Array

    @classmethod
    def of(cls, steps: Steps, direction: Direction, tilts: Array, cut: Cut | None) -> "ChernoffTable":
        many, blocks = tilts.shape
        exponents = (1.0 + tilts if direction is Direction.REMOVE else -tilts).T.reshape(-1, 1)
        rows = np.tile(np.arange(many), blocks)
        law = Quadrature(rows_of(steps, rows), exponents, cut=_cut_of(cut, rows), choices=CHOICES)
        error = law.relative_error(np.zeros(1))
        total = law.steps.count * law.log_g
        total = total + law.steps.count * error + EPS * np.abs(total)
        logs = np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf).reshape(blocks, many).T
        return cls(tilts, logs + log_chernoff_factors(tilts), law, error)

    def log_delta(self, epsilon: Array) -> Array:
        """log of the best bound on each row's delta."""
        tilted = self.tilts * epsilon[:, None]
        rounding = 8.0 * EPS * (1.0 + np.abs(self.log_tops) + np.abs(tilted))
        return np.asarray(np.min(self.log_tops - tilted + rounding, axis=1))

    def log_aliases(self, tilt: Array, period: Array, epsilon: Array) -> Array:
        """As inversion.Chernoff's, as period: [row, period]; 0, where M is at most 1, is among the tilts."""
        zero = np.zeros((len(tilt), 1))
        tilts, tops = (np.concatenate(both, axis=1)[:, :, None] for both in ((self.tilts, zero), (self.log_tops, zero)))
        at = tilt[:, None, None]
        fade = np.minimum(-np.abs(tilts - at) * period[:, None, :], -1e-12)
        bound = tops - tilts * epsilon[:, None, None] + fade - np.log(-np.expm1(fade))
        above = np.min(np.where(tilts > at, bound, np.inf), axis=1)
        below = np.min(np.where(tilts < at, bound, np.inf), axis=1)
        return np.asarray(np.logaddexp(above, below))


def log_chernoff_factors(tilts: Array) -> Array:
    """saddle_point.log_chernoff_factor of many, all above 0."""
    return np.asarray(-tilts * np.log1p(1.0 / tilts) - np.log1p(tilts))


@dataclass(frozen=True, slots=True)
class DeltaColumns:
    """lower <= delta <= upper for each row, the estimate between them, and its slope in ε."""

    lower: Array
    upper: Array
    estimate: Array
    slope: Array


@dataclass(frozen=True)
class Sums:
    """The contour sums of some rows, without their dependence on ε; as inversion.Contour.

    rows: their numbers. removed: what the cut may add to delta.
    """

    rows: Rows
    tilt: Array
    u: Array
    z: ComplexArray
    weighted: ComplexArray
    error: Array
    error_slope: Array
    log_unit: Array
    log_rest: Array
    period: Array
    removed: Array
    table: ChernoffTable

    def at(self, epsilon: Array) -> DeltaColumns:
        turned = self.weighted * np.exp(-1j * self.u * epsilon[:, None])
        base = self.log_unit - self.tilt * epsilon
        known = (base > LOG_TINY) & (base < LOG_HUGE)
        scale = np.exp(np.where(known, base, 0.0))
        estimate = scale * turned.sum(axis=1).real
        slope = -scale * (turned * self.z).sum(axis=1).real
        units = 4.0 * EPS * (np.abs(self.log_unit) + self.tilt * epsilon + 8.0)
        rounding = scale * (self.error + self.error_slope * epsilon) + np.abs(estimate) * units
        rest = outward.up(np.exp(np.minimum(base + self.log_rest, LOG_HUGE)), SAFE)
        log_aliases = self.table.log_aliases(self.tilt, self.period[:, None], epsilon)[:, 0]
        aliases = outward.up(np.exp(np.minimum(log_aliases, LOG_HUGE)), SAFE)
        lower, upper = estimate - rest - rounding - aliases, estimate + rest + rounding + self.removed
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
    cut = None
    if direction is Direction.ADD:
        far = _far(steps, log_delta + 2.0 * accuracy)
        cut = cut_at(steps, far, 12.0 / math.sqrt(float(spread.min())), FAR_WIDTH)
    table = ChernoffTable.of(steps, direction, np.stack([tilt, *others], axis=1), cut)
    periods = SHORTEST * np.sqrt(spread)[:, None] * PERIODS
    good = table.log_aliases(tilt, periods, epsilon) <= log_delta + accuracy
    period = np.take_along_axis(periods, np.where(good.any(axis=1), np.argmax(good, axis=1), -1)[:, None], axis=1)[:, 0]
    h = 2.0 * math.pi / period
    edges = NET_START / np.sqrt(spread)[:, None] * np.power(NET_RATIO, np.arange(NET_SIZE, dtype=np.float64))
    log_unit = (steps.count * table.law.log_g[: len(tilt)])[:, 0]
    width = np.concatenate((np.diff(edges, axis=1), edges[:, -1:]), axis=1)
    each = _log_decay(steps, table, cut, edges) + np.log((width + h[:, None]) / (math.pi * edges**2))
    rest = np.logaddexp.accumulate(each[:, ::-1], axis=1)[:, ::-1]
    small = rest <= (log_delta + accuracy - log_unit + tilt * epsilon)[:, None]
    chosen = np.argmax(small, axis=1)[:, None]
    end = np.take_along_axis(edges, chosen, axis=1)[:, 0] / h
    reached = small.any(axis=1) & (end < MOST_FREQUENCIES)
    log_rest = np.take_along_axis(rest, chosen, axis=1)[:, 0]
    for rows in _alike(end, np.nonzero(reached)[0]):
        u = h[rows][:, None] * np.arange(int(end[rows].max()) + 2, dtype=np.float64)
        made = _summed(rows_of(steps, rows), direction, tilt[rows], u, _cut_of(cut, rows))
        part = ChernoffTable(table.tilts[rows], table.log_tops[rows], table.law, table.error)
        removed = _removed(steps, cut, rows)
        yield Sums(rows, tilt[rows], u, *made, log_rest[rows], period[rows], removed, part)


def _summed(
    steps: Steps, direction: Direction, tilt: Array, u: Array, cut: Cut | None
) -> tuple[ComplexArray, ComplexArray, Array, Array, Array]:
    """z, the weighted values, their error and how it grows with ε, and their unit; see Measure.line, Contour._sum."""
    exponent = (1.0 + tilt if direction is Direction.REMOVE else -tilt)[:, None]
    law = Quadrature(steps, exponent, u_max=u[:, -1:], cut=cut, choices=CHOICES)
    errors = law.relative_error(u)
    drop, lag = law.lines(u)
    turn = direction.value * (u * law.slope - lag)
    log_phi, lost = (value.reshape(u.shape) for value in log_characteristic(drop.ravel(), turn.ravel()))
    count, mean = steps.count, np.abs(steps.count * law.slope)
    values = count * log_phi
    size_of_one = np.maximum(np.exp(log_phi.real), 1e-300)
    off = count * (np.log1p((errors + lost) / size_of_one) + errors[:, :1])
    off = off + EPS * (32.0 + u * mean) + 8.0 * EPS * count * np.abs(log_phi)
    z: ComplexArray = tilt[:, None] + 1j * u
    weight = u[:, 1:2] / math.pi / (z * (z + 1.0))
    weight[:, 0] *= 0.5
    weighted = weight * np.exp(values)
    size = np.abs(weighted)
    error = np.abs(weight) * grown_error(values.real, off) + EPS * (u.shape[1] + 16.0 + u * mean) * size
    steeper = np.asarray(EPS * (size * u).sum(axis=1))
    return z, weighted, np.asarray(error.sum(axis=1)), steeper, (count * law.log_g)[:, 0]


def _log_decay(steps: Steps, table: ChernoffTable, cut: Cut | None, edges: Array) -> Array:
    """As Moments.log_decay, [row, edge]."""
    rows = np.arange(len(edges))
    law, error = table.law, table.error[rows]
    within = Range(*(getattr(law.range, field.name)[rows] for field in fields(law.range)))
    beyond = law.strip.of_rows(rows).log_variation(within)
    known = Known(law.log_g[rows], error, within.low, within.high, beyond)
    return Decay(steps, law.a[rows], known, cut).log_bounds_of_each(edges) + steps.count * np.log1p(error)


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


def _cut_of(cut: Cut | None, rows: Rows) -> Cut | None:
    return None if cut is None else Cut(cut.at[rows], cut.width[rows])


def _removed(steps: Steps, cut: Cut | None, rows: Rows) -> Array:
    """As Measure.removed in the add direction, which alone is cut."""
    if cut is None:
        return np.zeros(len(rows))
    part = Cut(cut.at[rows], cut.width[rows])
    return np.asarray(outward.up(steps.count[rows] * part.removed(steps.sigma[rows], 0.0), outward.SERIES))[:, 0]
