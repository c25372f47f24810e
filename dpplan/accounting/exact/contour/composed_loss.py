"""Stage 2, compose: the law of the whole run's loss, or the part of it that matters, as one object.

A measure is Π_phases (cut law)^T, minus, in the jump regime, the measure of the paths on which every step stays in
a bulk (composed_jumps.py). Both are positive measures of total at most 1, known through their transforms:

    log_moments   log M(s) at real tilts, rounded up: Chernoff bounds at any tilt
    line          M(t + iu) / M(t) on a contour, with a bound on its error
    log_decay     a bound on |M(t + iu) / M(t)| for all u beyond given edges

Cuts. A step's loss that lies beyond `far` with total probability far below delta is cut away and its probability
(`removed`) added to delta's upper end: without that, M(t) is dominated by losses that never happen.
"""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour import decay_lifted_line
from dpplan.accounting.exact.contour.composed_jumps import Jumps
from dpplan.accounting.exact.contour.privacy_loss import (
    Band,
    Cut,
    Direction,
    Steps,
    grown_error,
    log_characteristic,
    log_ratio,
)
from dpplan.accounting.exact.contour.tail_decay import ENOUGH, Decay, Known
from dpplan.accounting.exact.contour.transform_quadrature import EPS, MOST_VALUES, Quadrature
from dpplan.accounting.numerics import Array, ComplexArray, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.complex_log import complex_expm1, complex_log, complex_log1p
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.quick_dataclass import dataclass

LOG_HUGE = 700.0
LINE_WORK = 400_000_000  # nodes times frequencies of one line: about a second
HALVINGS = 40  # of a place up to 50: to 5e-11
LIFTED_RATE = 0.02
MANY = 48  # phases, above which they are taken together and not one by one
LEAST_WIDTH = 2e-4  # of σ, of a cut: below it the quadrature would need too many nodes


def far_limit(steps: Steps, log_probability: float, width: float) -> Array:
    """x beyond which all steps together fall with at most this probability, [phase, 1]; width: of a cut, in σ."""
    goal = log_probability - math.log(steps.total)
    most = math.sqrt(2.0 * max(-goal, 0.0)) + 1.0
    beyond = first_true(lambda x: log_normal_tail(x) <= goal, 0.0, most, most=HALVINGS).true
    return 1.0 + beyond * math.hypot(1.0, width) * steps.sigma


def cut_at(steps: Steps, at: Array, tilt: float, widest: float) -> Cut:
    """A cut at `at` sharp enough to hold at tilts up to this; widest: in σ.

    r^a·Q may rise again far right of the cut, where r saturates. The cut is made so narrow that from 0.3 σ right of it
    on the product stays below its largest value left of the cut. A choice: what is proven takes the product as it is.
    """
    sigma, a = steps.sigma, 1.0 + tilt

    def log_weight(x: Array) -> Array:
        return a * log_ratio((2.0 * x - 1.0) / (2.0 * sigma**2), steps.q) - 0.5 * (x / sigma) ** 2

    peak = np.max(log_weight(at * np.linspace(0.0, 1.0, 65)), axis=1, keepdims=True)
    saturated = sigma**2 * np.log(1.0 / steps.q)
    reach = np.maximum(np.maximum(saturated, a) + 10.0 * sigma - at, sigma)
    offset = 0.3 * sigma * (reach / (0.3 * sigma)) ** np.linspace(0.0, 1.0, 257)
    excess = np.maximum(log_weight(at + offset) - peak, 1e-300)
    narrowest = np.min(offset / np.sqrt(4.0 * excess), axis=1, keepdims=True) / sigma
    return Cut(at=at, width=np.clip(narrowest, LEAST_WIDTH, widest) * sigma)


@dataclass(frozen=True)
class Measure:
    """far: the cut of absurd losses, or None. bulk: in the jump regime, the cut below which nothing has happened;
    of the same width as `far`, so that their difference is a positive weight. most: values a quadrature may hold."""

    steps: Steps
    direction: Direction
    far: Cut | None = None
    bulk: Cut | None = None
    most: int = MOST_VALUES

    @cached_property
    def removed(self) -> float:
        """Probability, under the loss's own law, that any step is cut away by `far`. Rounded up."""
        if self.far is None:
            return 0.0
        sigma, q = self.steps.sigma, self.steps.q
        each = self.far.removed(sigma, 0.0)
        if self.direction is Direction.REMOVE:
            each = (1.0 - q) * each + q * self.far.removed(sigma, 1.0)
        return outward.up(float((self.steps.count * each).sum()), outward.SERIES)

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what the paths beyond `far` add to delta(ε), and about its slope."""
        return 0.0, self.removed, 0.0

    def laws(self, tilts: Array, u_max: float = 0.0) -> tuple[Quadrature, Quadrature | None]:
        """Quadratures with a block of rows, the phases, for each tilt: of the whole (cut) law and None, or of the
        bulk and of the jumps, which add up to it."""
        if self.bulk is None or self.far is None:
            return self._quadrature(tilts, self.far, u_max), None
        band = Band(self.far.at, self.far.width, self.bulk.at)
        return self._quadrature(tilts, self.bulk, u_max), self._quadrature(tilts, band, u_max)

    def _quadrature(self, tilts: Array, cut: Cut | None, u_max: float) -> Quadrature:
        blocks, phases = len(tilts), len(self.steps.sigma)
        exponents = np.array([self.direction.exponent(float(tilt)) for tilt in tilts])
        tiled = Steps(*(np.tile(v, (blocks, 1)) for v in (self.steps.sigma, self.steps.q, self.steps.count)))
        if cut is not None:
            values = (np.tile(getattr(cut, field.name), (blocks, 1)) for field in fields(cut))
            cut = type(cut)(*values)
        return Quadrature(tiled, np.repeat(exponents, phases)[:, None], u_max=u_max, cut=cut, most=self.most)

    def moments(self, tilts: Array) -> "Moments":
        """The real moments at each s > 0 in `tilts`."""
        return Moments(self, tilts, *self.laws(tilts))

    def line(self, tilt: float, u: Array) -> "Line":
        """M on Re z = tilt at equally spaced u from 0."""
        affordable = replace(self, most=min(self.most, LINE_WORK // len(u)))
        first, jumps = affordable.laws(np.array([tilt]), float(u[-1]))
        unit, unit_error = unit_of(self.steps.count * first.log_g)
        mean = abs(float((self.steps.count * first.slope).sum()))
        errors = first.relative_error(u)
        bulk, off, units = np.zeros(len(u), complex), np.zeros(len(u)), EPS * (32.0 + u * mean)
        for log_phi, lost, rows in self._characteristics(first, u):
            count = self.steps.count[rows]
            bulk += (count * log_phi).sum(axis=0)
            off += (count * (np.log1p((errors[rows] + lost) / _size(log_phi)) + errors[rows, :1])).sum(axis=0)
            # Each phase adds a rounding to the sum.
            units += max(8.0, len(errors)) * EPS * (count * np.abs(log_phi)).sum(axis=0)
        off = off + units
        if jumps is None:
            return Line(np.exp(bulk), grown_error(bulk.real, off), unit, mean, unit_error)
        return self._with_jumps(first, jumps, u, Line(bulk, off, unit, mean, unit_error))

    def _with_jumps(self, first: Quadrature, jumps: Quadrature, u: Array, bulk: "Line") -> "Line":
        """Π(φ + J)^T - Πφ^T from log Πφ^T and the error of that: as Πφ^T·(Π(1 + J/φ)^T - 1), which cancels nothing,
        or as it stands where φ is lost in its own error; whichever is proven better, frequency by frequency."""
        errors, jump_errors = first.relative_error(u), jumps.relative_error(u)
        rise, rise_off = np.zeros(len(u), complex), np.zeros(len(u))
        both, both_off = np.zeros(len(u), complex), np.zeros(len(u))
        for row, count in enumerate(self.steps.count[:, 0]):
            share = math.exp(float(jumps.log_g[row, 0] - first.log_g[row, 0]))
            phi, log_phi, lost = self._characteristic(first, row, u)
            error = errors[row] + lost
            jump = share * self._characteristic(jumps, row, u)[0]
            ratio = jump / _size(log_phi) * np.exp(-1j * log_phi.imag)
            step_rise = complex_log1p(ratio)
            rise += count * step_rise
            rise_off += 8.0 * EPS * count * np.abs(step_rise)
            moved = share * (jump_errors[row] + jump_errors[row, 0])
            off = (moved + 2.0 * np.abs(jump) * (error / _size(log_phi) + errors[row, 0])) / _size(log_phi)
            rise_off += count * off / np.maximum(np.abs(1.0 + ratio) - off, 1e-300)
            log_both = complex_log(phi + jump)
            both += count * log_both
            both_off += count * (np.log1p((error + moved) / _size(log_both)) + errors[row, 0])
            # 1 - drop is rounded to units of 1, and that many times over when the phase has many steps.
            both_off += 8.0 * EPS * count * (np.abs(log_both) + 1.0 / _size(log_both))
        size = np.exp(bulk.values.real)
        product = np.exp(bulk.values) * complex_expm1(rise)
        bulk_error = np.expm1(np.minimum(bulk.error, LOG_HUGE))
        rise_error = size * grown_error(rise.real, rise_off)
        # An error of e^700 and more makes the product useless, and is said to be infinite.
        bulk_error = np.where(bulk.error < LOG_HUGE, bulk_error, np.inf)
        product_error = np.abs(product) * bulk_error + rise_error * (1.0 + bulk_error) + 1e-305
        gap = np.exp(both) - np.exp(bulk.values)
        gap_error = grown_error(both.real, both_off + EPS * (32.0 + u * bulk.mean))
        gap_error += grown_error(bulk.values.real, bulk.error)
        product_error = np.nan_to_num(product_error, nan=math.inf, posinf=math.inf)
        better = product_error <= gap_error
        values, error = np.where(better, product, gap), np.where(better, product_error, gap_error)
        return replace(bulk, values=values, error=error)

    def _characteristics(self, law: Quadrature, u: Array) -> Iterator[tuple[ComplexArray, Array, slice]]:
        """log φ(u) and what rounding adds to the error, [row, frequency], for one row at a time, or all if many."""
        if len(law.a) <= MANY:
            for row in range(len(law.a)):
                _, log_phi, lost = self._characteristic(law, row, u)
                yield log_phi[None], lost[None], slice(row, row + 1)
            return
        drop, lag = law.lines(u)
        turn = self.direction.value * (u * law.slope - lag)
        log_phi, lost = log_characteristic(drop.ravel(), turn.ravel())
        yield log_phi.reshape(drop.shape), lost.reshape(drop.shape), slice(None)

    def _characteristic(self, law: Quadrature, row: int, u: Array) -> tuple[ComplexArray, ComplexArray, Array]:
        """φ(u) of one row, its logarithm, and what rounding adds to the error of either.

        Not by numpy's complex log1p, which rounds to units of 1 where the argument is 1e-9 and T is 1e9.
        """
        drop, lag = law.row_line(row, u)
        turn = self.direction.value * (u * law.slope[row, 0] - lag)
        phi = np.empty(len(u), complex)
        phi.real, phi.imag = 1.0 - drop, turn
        return phi, *log_characteristic(drop, turn)


@dataclass(frozen=True)
class Line:
    """M(t + iu) in units of e^log_unit, [frequency]; a bound on the error of each; |mean| of the tilted loss.

    unit_error: how far log_unit may be off, beyond eight units of it in the last place.
    """

    values: ComplexArray
    error: Array
    log_unit: float
    mean: float
    unit_error: float = 0.0


def unit_of(logs: Array) -> tuple[float, float]:
    """The sum of the phases' logarithms, which makes a line's unit, and how far it may be off beyond 8u of itself.

    u = 2^-53. Each term is off by 5u of it (a logarithm, a product), their sum by u of their sizes for each term after
    the first, and by u when it is used. 8u of the sum are enough for three terms of one sign: here is what more takes.
    """
    total, size = float(logs.sum()), float(np.abs(logs).sum())
    more = max(logs.size - 3.0, 0.0)
    return total, 0.5 * EPS * (8.0 * max(size - abs(total), 0.0) + more * size)


@dataclass(frozen=True)
class Moments:
    """A measure's moments at a table of real tilts; `first` and `jumps` as from `Measure.laws`."""

    measure: Measure
    tilts: Array
    first: Quadrature
    jumps: Quadrature | None

    @cached_property
    def _error(self) -> Array:
        """Of each row's G, relative: that of the whole law, or of the bulk; [row, 1]."""
        return self.first.relative_error(np.zeros(1))

    @cached_property
    def logs(self) -> Array:
        """Upper bounds on log M(s), [tilt]; inf where nothing could be bounded."""
        count, phases = self.first.steps.count, len(self.measure.steps.sigma)
        error = self._error
        total = self._summed(count * self.first.log_g)
        size = self._summed(count * (np.abs(self.first.log_g) + error))
        total = total + self._summed(count * error)
        if self.jumps is not None:
            off = np.log1p(error + self.jumps.relative_error(np.zeros(1))) + error
            log_share = self.jumps.log_g - self.first.log_g + off
            rise = self._log_rise(count, log_share)
            total = total + rise
            # A rise is off, absolutely, by what a share's logarithm is made of, and by what is done to it.
            made_of = np.abs(self.jumps.log_g) + np.abs(self.first.log_g) + np.log(count)
            size = size + 2.0 * self._largest(made_of) + np.abs(rise) + 2.0
        # 5u of each term and u for each sum, u = EPS / 2.
        total = total + EPS * (8.0 + phases) * size
        return np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf)

    @cached_property
    def rough(self) -> Array:
        """log M(s) without bounding its error, [tilt]: for choosing, not for claiming."""
        count = self.first.steps.count
        total = self._summed(count * self.first.log_g)
        if self.jumps is not None:
            total = total + self._log_rise(count, self.jumps.log_g - self.first.log_g)
        return np.nan_to_num(total, nan=math.inf, posinf=math.inf, neginf=math.inf)

    def _log_rise(self, count: Array, log_share: Array) -> Array:
        """log(Π(1 + share)^count - 1), [tilt]; where a share is too small for 1 + share, log(share) from above."""
        small = log_share < -30.0
        each = np.where(small, log_share, np.log(np.log1p(np.exp(np.maximum(log_share, -30.0)))))
        log_sum = np.logaddexp.reduce((np.log(count) + each).reshape(len(self.tilts), -1), axis=1)
        # expm1(x) <= x·(1 + x) for x <= 1.
        return np.where(
            log_sum < -30.0, log_sum + math.exp(-30.0), _log_expm1_above(np.exp(np.minimum(log_sum, LOG_HUGE)))
        )

    def _summed(self, values: Array) -> Array:
        """The sum over phases, [tilt]."""
        return values.reshape(len(self.tilts), -1).sum(axis=1)

    def _largest(self, values: Array) -> Array:
        """The largest over phases, [tilt]."""
        return np.asarray(values.reshape(len(self.tilts), -1).max(axis=1))

    def log_unit(self, index: int) -> float:
        """The unit of `log_decay` and of `Measure.line`: log M of the whole law, or of the bulk."""
        return float((self.measure.steps.count * self.first.log_g[self._rows(index)]).sum())

    def log_decay(self, index: int, edges: Array) -> Array:
        """log of a bound on |M(s + iu)| in that unit for u in [edges_k, edges_k+1], the last for all u beyond."""
        rows, measure = self._rows(index), self.measure
        a = measure.direction.exponent(float(self.tilts[index]))
        if self.jumps is None:
            law = self.first
            beyond = law.strip.log_variation(law.range)[rows]
            known = Known(law.log_g[rows], self._error[rows], law.low[rows], law.high[rows], beyond)
            found = Decay(measure.steps, a, known, measure.far).log_bounds(edges)
            # Few steps never fall below it. With a cut, rare jumps have a contour of their own that is narrower.
            if found[-1] > ENOUGH and (measure.far is None or float(np.min(measure.steps.q)) >= LIFTED_RATE):
                found = np.minimum(found, _of_few(measure, a, known, edges))
            return found + self._unit_error(index)
        share = self.jumps.log_g[rows] - self.first.log_g[rows] + np.log1p(self._error[rows])
        return Jumps(measure.steps, self.jumps, rows).log_decay(share, edges) + self._unit_error(index)

    def _unit_error(self, index: int) -> float:
        """By how much `log_unit` may be below the logarithm of the true moment, which bounds refer to."""
        return float((self.measure.steps.count * np.log1p(self._error[self._rows(index)])).sum())

    def _rows(self, index: int) -> slice:
        phases = len(self.measure.steps.sigma)
        return slice(index * phases, (index + 1) * phases)


def _of_few(measure: Measure, a: float, known: Known, edges: Array) -> Array:
    """As Decay.log_bounds, each step on a line above the real one."""
    steps, far, total = measure.steps, measure.far, np.zeros(len(edges))
    columns = [steps.sigma, steps.q, np.full_like(steps.q, a), known.log_g, known.error, known.low, known.high]
    columns += [] if far is None else [far.at, far.width]
    for count, *row in np.concatenate((steps.count, *columns), axis=1).tolist():
        total += count * decay_lifted_line.log_bounds(decay_lifted_line.TiltedStep(*row), edges)
    return total


def _size(log_phi: ComplexArray) -> Array:
    return np.maximum(np.exp(log_phi.real), 1e-300)


def _log_expm1_above(x: Array) -> Array:
    """log(e^x - 1), and x beyond 30, which is above it, as `numerics.logspace.log_expm1` need not be."""
    with np.errstate(divide="ignore"):
        return np.where(x > 30.0, x, np.log(np.expm1(np.minimum(x, 30.0))))
