"""Stage 3, another way: delta(ε) by composing lattice laws, exact but for what the lattice itself costs.

On a lattice the contour sum is finite: with N points to a period Λ = N·h and φ the transform of the tilted step,

    (M/N)·Σ_k φ(u_k)^T · Σ_{Y > ε} e^{(iu_k - t)Y}·(1 - e^{ε-Y})  =  Σ_m e^{mΛt}·delta(ε + mΛ),      u_k = 2πk/Λ,

over Y in the composed lattice; the inner sum is two geometric series. Its aliases m ≠ 0 are positive and bounded by
Chernoff. Both laws of step_law.py go through it, the upper one for an upper end and the lower one for a lower end.

Slower and wider than a contour over the law itself, and independent of it: it neither samples a transform nor
needs it to decay, so it serves few steps and rare jumps, and as a check on the other.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour import chernoff
from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE
from dpplan.accounting.exact.contour.delta_interval import LOG_TINY, SAFE, Chernoff, DeltaInterval
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, grown_error, log_characteristic, log_ratio
from dpplan.accounting.exact.contour.saddle_point import PlanSaddles
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.exact.gaussian_lattice import step_law
from dpplan.accounting.exact.gaussian_lattice.step_law import GaussianLatticeLaw
from dpplan.accounting.exact.gaussian_lattice.tabulated_sums import TabulatedSums
from dpplan.accounting.numerics import Array, ComplexArray, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import normal_tail
from dpplan.quick_dataclass import dataclass

# How much of delta may be cut away as absurd losses; cutting less makes the tilted law reach further, until its
# moments are those of losses that never happen. Tilts are tried below the saddle's for the same reason.
LEVELS = (1e-10, 1e-7, 1e-4)
FACTORS = (1.0, 0.75, 0.55)
# What rounding may be magnified by before it counts against a place: 2e-16·e^18 = 1e-8.
CANCELLED = 18.0
LOG_ALIASES = math.log(1e-9)
MOST_PERIOD = 1e5
# Where moments are taken to bound the aliases: in units of 8 / (standard deviation of the tilted loss), and of t.
ALIAS_STEPS = (-0.25, 0.25, 0.5, 1.0)
ALIAS_FACTORS = (0.3, 0.7, 1.2, 1.5, 2.0)
# Lattice points on either side of the lump that may be summed directly, if all but FAR_MOST is there.
NEAR = 24
FARTHEST = 2.0**40  # lattice points from the origin, beyond which their places are not exact
LEAST_NOISE = 0.02
LEAST, ROUGH, COARSE, FINE = 2**12, 2**13, 2**15, 2**18
MOST_CELLS = 2**18  # of one step's law; a longer period than needed keeps to it
FAR_MOST = 0.02


@dataclass(frozen=True)
class LatticePlacement:
    """Where to put a grid: the x range kept of each phase [phase] and the probability outside it, the tilt, other
    tilts to bound aliases with, and the period. Any place is valid."""

    start: Array
    end: Array
    removed: float
    tilt: float
    others: Array
    period: float


@dataclass(frozen=True)
class ComposedTransform:
    """φ(-u_k)^T in units of e^log_unit, [frequency]; a bound on the error of each, and on that of log_unit."""

    values: ComplexArray
    error: Array
    log_unit: float
    unit_error: float


class LatticeComposition:
    """delta(ε) near one ε, with `points` lattice points to a period. Serves as a Contour."""

    method = "grid"

    def __init__(
        self, steps: Steps, direction: Direction, epsilon: float, place: LatticePlacement, points: int
    ) -> None:
        self.epsilon, self.place, self.points = epsilon, place, points
        self.tilt, self.h = place.tilt, place.period / points
        self.counts = [float(count) for count in steps.count[:, 0]]
        self.laws = [
            step_law.discretise(float(sigma), float(q), direction, self.tilt, self.h, (float(start), float(end)))
            for sigma, q, start, end in zip(steps.sigma[:, 0], steps.q[:, 0], place.start, place.end, strict=True)
        ]
        self._phases = list(zip(self.counts, self.laws, strict=True))
        self.origin = math.fsum(count * law.origin for count, law in self._phases)
        moved = math.fsum(count * abs(law.origin) for count, law in self._phases)
        self._moved = moved
        self._angles = 2.0 * math.pi / points * np.arange(points // 2 + 1)
        self._weights = np.full(len(self._angles), 2.0 / points)
        self._weights[[0, -1]] = 1.0 / points

    @property
    def u(self) -> Array:
        return np.asarray(self._angles / self.h)

    @cached_property
    def _upper(self) -> ComposedTransform:
        return self._compose([(law.up, 0.0) for law in self.laws])

    @cached_property
    def _lower(self) -> ComposedTransform:
        return self._compose([(law.down, law.added) for law in self.laws])

    def _compose(self, masses: list[tuple[Array, float]]) -> ComposedTransform:
        """Of one law each; with each, by how much its mass is too large."""
        log_values, off = np.zeros(len(self._angles), complex), np.zeros(len(self._angles))
        sizes = np.zeros(len(self._angles))
        log_unit = unit_error = 0.0
        for (count, law), (mass, added) in zip(self._phases, masses, strict=True):
            total = math.fsum(mass)  # a rounding per lattice point, T times over, would be seen
            if total <= 0.0:
                return ComposedTransform(np.zeros_like(log_values), off, 0.0, 0.0)
            drop, turn, error = self._characteristic(law, mass / total)
            log_phi, lost = log_characteristic(drop, turn)
            log_values += count * log_phi
            sizes += count * np.abs(log_phi)
            off += count * np.log1p((error + lost + 2.0 * added / total) / np.maximum(np.exp(log_phi.real), 1e-300))
            log_unit += count * (math.log(total) + law.shift)
            unit_error += count * _mean(mass, law.relative + (1.0 + self.tilt) * law.moved + 4.0 * EPS)
        rounding = EPS * (16.0 + 8.0 * sizes)
        error = grown_error(log_values.real, off + rounding)
        return ComposedTransform(np.exp(log_values), error, log_unit, unit_error + EPS * abs(log_unit))

    def _characteristic(self, law: GaussianLatticeLaw, share: Array) -> tuple[Array, Array, Array]:
        """1 - Re φ, Im φ and a bound on the error of φ, [frequency].

        The lump adds nothing to 1 - φ, and its neighbours, where most of the rest is when jumps are rare, are summed
        as they stand: a transform would round them to units of their sum.
        """
        at = law.losses
        near = np.abs(at) <= NEAR
        far = np.where(near, 0.0, share)
        if far.sum() > FAR_MOST:
            near = at == 0.0
            far = np.where(near, 0.0, share)
        folded = np.bincount(at.astype(np.int64) % self.points, far, self.points)
        turned = np.fft.rfft(folded)
        drop, turn = turned[0].real - turned.real, turned.imag
        size, weight = np.zeros_like(drop), 0.0
        for j in np.nonzero(near & (share > 0.0) & (at != 0.0))[0]:
            half = np.sin(0.5 * at[j] * self._angles)
            drop += 2.0 * share[j] * half * half
            turn -= share[j] * np.sin(at[j] * self._angles)
            size += 2.0 * share[j] * np.abs(half)
            weight += share[j] * abs(at[j])
        # Every output of a transform is a tree of log2(N) levels over all inputs, each level four roundings or less.
        transform = 5.0 * math.log2(self.points) * EPS * float(far.sum())
        # The sines and what is made of them, 10; up to 2·NEAR sums each, 30; and three roundings of each angle.
        error = size * (float(np.max(law.relative[near])) + 64.0 * EPS) + 4.0 * EPS * weight * self._angles
        error += transform + 2.0 * float((far * law.relative).sum())
        return drop, turn, error + (1.0 + self.tilt + self.u) * float((share * law.moved).sum())

    @cached_property
    def _chernoff(self) -> Chernoff:
        """Upper bounds on the upper law's moments, from t and tilts around it."""
        tilts = np.append(self.place.others, self.tilt)
        logs = np.zeros(len(tilts))
        for count, law in self._phases:
            y = law.origin + self.h * law.losses
            log_up = np.log(law.up)
            for k, s in enumerate(tilts):
                exponents = log_up + (s - self.tilt) * y
                top = float(np.max(exponents))
                weights = np.exp(exponents - top)
                moment = top + math.log(float(weights.sum())) + law.shift
                logs[k] += count * (moment + _mean(weights, 2.0 * law.relative + 2.0 * (1.0 + s) * law.moved))
        return Chernoff.of(np.append(tilts, 0.0), np.append(logs, 0.0))

    @cached_property
    def _step(self) -> ComplexArray:
        return np.asarray(np.exp(1j * self._angles - self.tilt * self.h), dtype=np.complex128)

    @cached_property
    def _series(self) -> tuple[ComplexArray, ComplexArray]:
        """What the two geometric series make together, and the second alone."""
        near, far = 1j * self._angles - self.tilt * self.h, 1j * self._angles - (1.0 + self.tilt) * self.h
        second = -1.0 / np.expm1(far)
        return -second / np.expm1(near), second

    def log_chernoff(self, epsilon: float) -> float:
        """log of the best Chernoff bound in the table on delta, all that was left out included."""
        removed = chernoff.log_above(max(self.place.removed, 1e-300))
        return float(chernoff.log_sum_above(self._chernoff.log_delta(epsilon), removed))

    def at(self, epsilon: float) -> DeltaInterval:
        """The interval for delta at this ε."""
        spot = self._spot(epsilon)
        if spot is None:
            return DeltaInterval(0.0, chernoff.probability(self.log_chernoff(epsilon)), 0.0, 0.0, ())
        first, gap, base, place = spot
        near, far = self._series
        turns = np.exp(2j * math.pi / self.points * ((np.arange(len(near)) * (first % self.points)) % self.points))
        turns *= self._weights
        beyond = self._step * (math.exp(-gap) * -math.expm1(min(gap - self.h, 0.0)))
        kernel = turns * (-math.expm1(-gap) + beyond) * near
        fall = turns * (-math.exp(-gap) * far)
        high, high_slope, high_error = self._summed(self._upper, kernel, fall, base, place)
        low, low_slope, low_error = self._summed(self._lower, kernel, fall, base, place)
        aliases = self._aliases(epsilon)
        both = low > 0.0
        return DeltaInterval(
            lower=low - low_error - aliases,
            upper=high + high_error + self.place.removed,
            estimate=0.5 * (high + low) if both else high,
            slope=0.5 * (high_slope + low_slope) if both else high_slope,
            terms=(
                ("lattice", max(high - low, 0.0)),
                ("aliases", aliases),
                ("transform and rounding", max(high_error, low_error)),
                ("losses cut away", self.place.removed),
            ),
        )

    def ends(self, epsilon: float) -> tuple[float, float]:
        """What `at` proves, but for a little more rounding: by one transform for all ε."""
        spot = self._spot(epsilon)
        if spot is None:
            return 0.0, chernoff.probability(self.log_chernoff(epsilon))
        first, gap, base, place = spot
        rows = []
        for composed, sums in zip((self._upper, self._lower), self._tables, strict=True):
            found = sums.at(first, gap, self.h, self.tilt, place)
            rows.append(self._scaled(composed, base, *found))
        (high, high_error), (low, low_error) = rows
        return low - low_error - self._aliases(epsilon), high + high_error + self.place.removed

    @cached_property
    def _tables(self) -> tuple[TabulatedSums, TabulatedSums]:
        """Of the upper and of the lower law."""
        upper, lower = (
            TabulatedSums.of(each.values, each.error, self._weights, *self._series)
            for each in (self._upper, self._lower)
        )
        return upper, lower

    def _aliases(self, epsilon: float) -> float:
        log_aliases = self._chernoff.log_aliases(self.tilt, self.place.period, epsilon)
        return outward.up(math.exp(min(log_aliases, LOG_HUGE)), SAFE)

    def _spot(self, epsilon: float) -> tuple[int, float, float, float] | None:
        """The first lattice point beyond ε, how far beyond, log of the sum's unit but for the laws', and the error of ε
        against the points; None outside the range of floats, or without digits."""
        if abs(epsilon - self.origin) > FARTHEST * self.h:
            return None
        first = math.floor((epsilon - self.origin) / self.h) + 1
        gap = self.origin + first * self.h - epsilon
        if gap <= 0.0:
            first, gap = first + 1, gap + self.h
        elif gap > self.h:  # by rounding, at a point: the sums would leave out what that one adds
            first, gap = first - 1, gap - self.h
        base = -self.tilt * (epsilon + gap)
        if not LOG_TINY < self._upper.log_unit + base < LOG_HUGE:
            return None
        # How far ε may lie from where the composed lattice's points say: the same for every term.
        place = 4.0 * EPS * (self._moved + abs(epsilon) + abs(self.origin) + abs(first) * self.h)
        return first, gap, base, place

    def _summed(
        self, composed: ComposedTransform, kernel: ComplexArray, fall: ComplexArray, base: float, place: float
    ) -> tuple[float, float, float]:
        """The sum, its derivative in ε, and a bound on the sum's error; place: of the error of ε."""
        value = float((composed.values * kernel).sum().real)
        slope = float((composed.values * fall).sum().real)
        error = float(((composed.error + 64.0 * EPS * np.abs(composed.values)) * np.abs(kernel)).sum())
        error += place * float((np.abs(composed.values) * (np.abs(fall) + (1.0 + self.tilt) * np.abs(kernel))).sum())
        scaled, scaled_error = self._scaled(composed, base, value, error)
        return scaled, self._scaled(composed, base, slope, 0.0)[0], scaled_error

    @staticmethod
    def _scaled(composed: ComposedTransform, base: float, value: float, error: float) -> tuple[float, float]:
        """A sum and its error, from those in units of the transform."""
        if not LOG_TINY < composed.log_unit + base < LOG_HUGE:
            return 0.0, 0.0  # of the lower law: the trivial bound
        scale = math.exp(composed.log_unit + base)
        units = composed.unit_error + EPS * (8.0 + 2.0 * abs(base))
        return scale * value, scale * (error + abs(value) * units)


def _mean(weights: Array, values: Array) -> float:
    return float((weights * values).sum() / weights.sum())


def near(steps: Steps, direction: Direction, epsilon: float, log_delta: float, points: int) -> LatticeComposition:
    """A grid for delta near this ε; fewer points where many phases share them."""
    points = max(points >> max(len(steps.sigma) - 1, 0).bit_length(), LEAST)
    where = place(steps, direction, epsilon, log_delta)
    widest = max(float(np.ptp(losses)) for losses in _losses_at_ends(steps, where))
    if widest * points > MOST_CELLS * where.period:
        where = replace(where, period=widest * points / MOST_CELLS)
    # A cell is to weigh at most e^20 more at one end than at the other.
    where = replace(where, tilt=min(where.tilt, 20.0 * points / where.period))
    return LatticeComposition(steps, direction, epsilon, where, points)


def affordable(steps: Steps) -> bool:
    """Whether the laws can be integrated in reasonable time: that takes intervals of σ² in x."""
    return float(np.min(steps.sigma)) >= LEAST_NOISE


def points_for(width: float, goal: float) -> int:
    """How many points should narrow an interval of a coarse grid to the goal: its width falls as their square."""
    if not math.isfinite(width):
        return FINE
    wanted = COARSE * math.sqrt(max(width / goal, 4.0))
    return int(min(2 ** math.ceil(math.log2(wanted)), FINE))


def place(steps: Steps, direction: Direction, epsilon: float, log_delta: float) -> LatticePlacement:
    """Where to put a grid for delta near this ε: of a few cuts and tilts, those with the shortest period that do not
    magnify rounding too much."""
    best, best_cost = None, math.inf
    for level in LEVELS:
        start, end, removed = _kept(steps, log_delta + math.log(level))
        saddles = PlanSaddles(steps, direction, end[:, None])
        top = saddles.for_epsilon(epsilon)
        for factor in FACTORS:
            saddle = saddles.at(factor * top.tilt)
            steps_of_tilt = np.array(ALIAS_STEPS) * 8.0 / math.sqrt(saddle.spread)
            others = np.append(saddle.tilt + steps_of_tilt, saddle.tilt * np.array(ALIAS_FACTORS))
            others = others[others > 0.0]
            logs = [saddles.at(float(s)).log_moment for s in others]
            table = Chernoff.of(np.append(others, [saddle.tilt, 0.0]), np.append(logs, [saddle.log_moment, 0.0]))
            period = min(4.0 * math.sqrt(saddle.spread), MOST_PERIOD)
            while table.log_aliases(saddle.tilt, period, epsilon) > log_delta + LOG_ALIASES and period < MOST_PERIOD:
                period *= 1.1
            cancelled = saddle.log_moment - saddle.tilt * epsilon - log_delta
            cost = 2.0 * math.log(period) + max(cancelled - CANCELLED, 0.0) + 0.1 * math.log(level / LEVELS[0])
            if cost < best_cost or best is None:
                best, best_cost = LatticePlacement(start, end, removed, saddle.tilt, others, period), cost
    assert best is not None  # there are levels to try
    return best


def _kept(steps: Steps, log_goal: float) -> tuple[Array, Array, float]:
    """x from and to which all steps are kept, [phase] each, and either neighbour's probability of leaving that range
    in any step, at most e^log_goal."""
    sigma, q = steps.sigma[:, 0], steps.q[:, 0]
    goal = math.exp(max(log_goal, -700.0)) / steps.total
    start, end = np.empty_like(sigma), np.empty_like(sigma)
    removed = 0.0
    for row in range(len(sigma)):
        s, rate = float(sigma[row]), float(q[row])
        start[row] = -s * _first(normal_tail, 0.5 * goal, 40.0)
        end[row] = _first(functools.partial(_mixed_tail, sigma=s, q=rate), 0.5 * goal, 1.0 + 40.0 * s)
        left_out = _mixed_tail(end[row], s, rate) + normal_tail(-start[row] / s)
        removed += float(steps.count[row, 0]) * left_out
    return start, end, outward.up(removed, outward.SERIES)


def _losses_at_ends(steps: Steps, where: LatticePlacement) -> Array:
    """[phase, 2]"""
    x = np.stack((where.start, where.end), axis=1)
    return log_ratio((2.0 * x - 1.0) / (2.0 * steps.sigma**2), steps.q)


def _mixed_tail(x: float, sigma: float, q: float) -> float:
    return (1.0 - q) * normal_tail(x / sigma) + q * normal_tail((x - 1.0) / sigma)


def _first(tail: Callable[[float], float], goal: float, most: float) -> float:
    """About the least x > 0 where a falling function is at most `goal`."""
    return first_true(lambda x: tail(x) <= goal, 0.0, most, most=50).true
