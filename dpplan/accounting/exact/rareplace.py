"""Where to cut a law of rare jumps, and where to put a contour over what is left (remove direction).

Nothing here is certified and nothing needs to be: a contour placed badly is wide, not wrong.

When delta is far below what ordinary paths can do, one step (or a few) brings nearly all of the loss, and the tail
falls more slowly than any exponential: at the tilt that suits the whole law, losses that never happen outweigh the
rest, and at any lower one the paths on which nothing happens do. So the three choices are made together:

far    the level, relative to delta, at which absurd losses are cut away;
bulk   the loss, a share of ε, below which a step is no jump: the largest for which the paths without one, bounded by
       Chernoff at tilts of their own, stay below that level;
tilt   where Chernoff is best for the paths with one. What that bound is above delta, the sum has to cancel.

Symbols: L = log r; a = 1 + t; all sums are over plain nodes and sharp cuts.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np

from dpplan.accounting.exact.contour import Accuracy, Aim, Contour
from dpplan.accounting.exact.law import Steps, log_ratio
from dpplan.accounting.exact.measure import Moments, far_limit
from dpplan.accounting.exact.rare import Rare
from dpplan.accounting.exact.tilt import log_chernoff_factor
from dpplan.accounting.numerics import Array

NODES = 1200
SHARES = np.array(
    (0.985, 0.97, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.64, 0.58, 0.5, 0.42, 0.34, 0.27, 0.2, 0.14, 0.1, 0.06, 0.03)
)
LEVELS = (1e-10, 1e-8, 1e-6, 1e-5)
STEEPEST = 3.0  # in units of log(1/delta)/ε: the bulk's tilts
HOPELESS = math.log(0.05)  # an error, relative to delta, beyond which it is not worth a try
ROUNDING = math.log(1e-12)  # of what the contour sums, about
# A cut's power is at least the place where it lies and ROOM·σ more: then 1 - c falls towards the left as Q does.
ROOM = 8.0
LEAN = 12.0  # how steep the bulk's tilted law may be at the cut, in units of the cut's own
APART = 4.0  # the least distance between two cuts, likewise
# Tilts that are tried, as multiples of the one where Chernoff is best: beyond it the moments may rise like a cliff.
TILTS = np.concatenate((np.geomspace(0.02, 0.85, 18), np.linspace(0.87, 1.13, 27), np.geomspace(1.16, 8.0, 14)))
AROUND = np.array((0.97, 1.0, 1.02))  # of the two tilts that bound the aliases
GOAL = math.log(3e-7)  # an error below which a short period is worth more
BULK_AROUND = np.array((0.75, 0.85, 0.92, 0.97, 1.0, 1.03, 1.08, 1.15, 1.25))
MOST_FREQUENCIES = 12_000
GUESS_LEVEL, STRIDE, CLOSE, ROUNDS = 1e-6, 1.35, 1.01, 6
LARGEST_LOSS = 500.0  # losses whose exponential can be handled with room to spare


@dataclass(frozen=True)
class Place:
    """One choice of the three. share: of ε; bulk_tilt: where Chernoff is best for the bulk; log_error: what accuracy
    to hope for, relative to delta; log_delta: a first-order estimate of delta at this ε; alias_tilts: one on either
    side of the tilt, which allow this period in ε."""

    level: float
    share: float
    bulk_tilt: float
    tilt: float
    alias_tilts: tuple[float, float]
    period: float
    log_error: float
    log_delta: float


class Survey:
    """Real moments of a plan's losses below and above any threshold, for one level of the far cut."""

    def __init__(self, steps: Steps, log_delta: float, level: float) -> None:
        self.steps, self.log_delta, self.level = steps, log_delta, level
        self.limit = far_limit(steps, log_delta + math.log(level), 0.0)
        low = -8.0 * steps.sigma
        self.x = low + (self.limit - low) * np.linspace(0.0, 1.0, NODES)
        self.loss = log_ratio((2.0 * self.x - 1.0) / (2.0 * steps.sigma**2), steps.q)
        h = (self.limit - low) / (NODES - 1)
        self.log_base = -0.5 * (self.x / steps.sigma) ** 2 + np.log(h / (steps.sigma * math.sqrt(2.0 * math.pi)))

        base = np.exp(self.log_base)
        # Q and P right of each node.
        self.right = [
            np.cumsum(mass[:, ::-1], axis=1)[:, ::-1] - mass
            for mass in (base, base * np.exp(np.minimum(self.loss, 600.0)))
        ]

    def _log_bulk(self, row: int, tilts: Array, losses: Array) -> Array:
        """log of one step's moments below thresholds on the loss, [tilt, threshold]."""
        a, loss, base = 1.0 + tilts[:, None], self.loss[row], np.exp(self.log_base[row])
        raised = a * loss
        curve = np.expm1(np.minimum(raised, 690.0)) - a * np.expm1(np.minimum(loss, 600.0))
        curve = np.where(np.abs(raised) < 1e-3, 0.5 * a * (a - 1.0) * loss * loss, curve)
        last = np.maximum(np.searchsorted(loss, losses), 1) - 1
        excess = np.cumsum(base * curve, axis=1)[:, last]
        excess -= (1.0 - a) * self.right[0][row, last] + a * self.right[1][row, last]
        return np.asarray(np.log1p(np.maximum(excess, -0.9)))

    def _log_jumps(self, row: int, tilts: Array, loss: float) -> Array:
        """log of one step's moments above a threshold, [tilt]."""
        first = min(int(np.searchsorted(self.loss[row], loss)), NODES - 2)
        terms = (1.0 + tilts[:, None]) * self.loss[row, first:] + self.log_base[row, first:]
        top = terms.max(axis=1)
        return np.asarray(top + np.log(np.exp(terms - top[:, None]).sum(axis=1)))

    def _log_moments(self, tilts: Array, loss: float) -> Array:
        """log of the composed moments of paths with a jump, [tilt]."""
        total, rise = np.zeros(len(tilts)), np.zeros(len(tilts))
        for row, count in enumerate(self.steps.count[:, 0]):
            bulk = self._log_bulk(row, tilts, np.array([loss]))[:, 0]
            total += count * bulk
            rise += count * np.log1p(np.exp(np.minimum(self._log_jumps(row, tilts, loss) - bulk, 600.0)))
        return np.asarray(total + np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0)) + 1e-300)))

    def place(self, epsilon: float) -> Place | None:
        """The best threshold and tilt at this level; None where even the smallest jumps are too common."""
        tilts = np.geomspace(2.0, STEEPEST * (20.0 - self.log_delta), 40) / epsilon
        factors = np.array([log_chernoff_factor(float(s)) for s in tilts]) - tilts * epsilon
        bounds = factors[:, None] + sum(
            count * self._log_bulk(row, tilts, SHARES * epsilon) for row, count in enumerate(self.steps.count[:, 0])
        )
        goal = self.log_delta + math.log(self.level) - 1.0
        good = np.nonzero(np.min(bounds, axis=0) <= goal)[0]
        if not len(good):
            return None
        share, bulk_tilt = float(SHARES[good[0]]), float(tilts[np.argmin(bounds[:, good[0]])])
        return self._with_tilt(epsilon, share, bulk_tilt)

    def _with_tilt(self, epsilon: float, share: float, bulk_tilt: float) -> Place:
        """The tilt with the shortest period whose aliases stay below the level, of those that do not cancel too much.

        An alias bounded at the tilt s fades like e^(-|s - t|·period); the best s on either side decides.
        """
        loss = share * epsilon
        tilts = np.geomspace(0.003, 4.0 * (10.0 - self.log_delta), 40) / epsilon
        best = float(tilts[np.argmin(self._log_moments(tilts, loss) - tilts * epsilon)])
        tilts = best * TILTS
        logs = self._log_moments(tilts, loss) - tilts * epsilon - self.log_delta
        bounds = logs + np.array([log_chernoff_factor(float(s)) for s in tilts])
        excess = np.maximum(bounds - math.log(self.level) + 1.0, 1.0)
        errors = np.logaddexp(math.log(self.level), logs + ROUNDING)
        gap = np.abs(tilts[:, None] - tilts) + np.where(np.eye(len(tilts)) > 0.0, np.inf, 0.0)
        periods = excess / gap  # [tilt, alias tilt]
        side = np.arange(len(tilts))[:, None] > np.arange(len(tilts))
        left, right = np.where(side, periods, np.inf), np.where(side.T, periods, np.inf)
        period = np.maximum(left.min(axis=1), right.min(axis=1))
        chosen = int(np.argmin(np.log(period) + np.maximum(errors - max(GOAL, float(errors.min())), 0.0)))
        sides = float(tilts[left[chosen].argmin()]), float(tilts[right[chosen].argmin()])
        tilt = float(tilts[chosen])
        return Place(
            level=self.level,
            share=share,
            bulk_tilt=bulk_tilt,
            tilt=tilt,
            alias_tilts=sides,
            period=float(period[chosen]),
            log_error=float(errors[chosen]),
            log_delta=self._log_estimate(best, float(logs.min()), loss),
        )

    def _log_estimate(self, tilt: float, log_excess: float, loss: float) -> float:
        """First-order estimate of log delta at the tilt where Chernoff is best."""
        spread = self._variance(tilt, loss)
        factor = math.log(tilt) + math.log1p(tilt) + 0.5 * math.log(2.0 * math.pi * spread)
        return self.log_delta + log_excess - factor

    def _variance(self, tilt: float, loss: float) -> float:
        """Of the composed loss of paths with a jump, tilted: that of a compound Poisson law that is not 0, and of the
        bulk's."""
        expected = first = second = rest = 0.0
        for row, count in enumerate(self.steps.count[:, 0]):
            terms = (1.0 + tilt) * self.loss[row] + self.log_base[row]
            above = self.loss[row] >= loss
            bulk, jumps = np.exp(np.minimum(terms, 600.0)[~above]), np.exp(np.minimum(terms, 600.0)[above])
            whole, losses = max(float(bulk.sum()), 1e-300), self.loss[row][above]
            expected += count * float(jumps.sum()) / whole
            first += count * float(jumps @ losses) / whole
            second += count * float(jumps @ losses**2) / whole
            mean = float(bulk @ self.loss[row][~above]) / whole
            rest += count * float(bulk @ (self.loss[row][~above] - mean) ** 2) / whole
        some = -math.expm1(-min(expected, 600.0)) if expected > 0.0 else 1e-300
        return max(second / some - math.exp(-min(expected, 600.0)) * (first / some) ** 2, 0.0) + rest + tilt**-2


def contour(steps: Steps, epsilon: float, log_delta: float) -> Contour | None:
    """A contour over paths with a jump, good near this ε > 0, where there is one to hope for."""
    if not 0.0 < epsilon < LARGEST_LOSS or np.any(steps.q > 0.5):
        return None
    surveys = [Survey(steps, log_delta, level) for level in LEVELS]
    places = [(place.log_error, n, place) for n, s in enumerate(surveys) if (place := s.place(epsilon)) is not None]
    for error, _, place in sorted(places):
        if error > HOPELESS:
            break
        found = build(steps, epsilon, log_delta, place)
        if found.reached:
            return found
    return None


def build(steps: Steps, epsilon: float, log_delta: float, place: Place) -> Contour:
    """The contour at this place."""
    sigma = steps.sigma[:, 0]
    end = far_limit(steps, log_delta + math.log(place.level), 0.0)[:, 0]
    loss = place.share * epsilon
    place_of_loss = 0.5 + sigma**2 * np.log((math.expm1(loss) + steps.q[:, 0]) / steps.q[:, 0])
    lean = (1.0 + place.bulk_tilt) * -math.expm1(-loss)  # how fast the bulk's tilted law rises there, times σ²
    power = np.maximum(end + ROOM * sigma, lean / LEAN)
    # The bulk's tilted law is largest where its rise equals the cut's fall.
    start = place_of_loss - sigma**2 / power * np.maximum(np.log(lean / power), 0.0)
    start = np.minimum(start, end - APART * sigma**2 / power)
    measure = Rare(steps, power, start, end)
    left_out = measure.without_jumps(place.bulk_tilt * BULK_AROUND)
    below, above = (side * AROUND for side in place.alias_tilts)
    tilts = np.concatenate((below[below < place.tilt], [place.tilt], above[above > place.tilt]))
    index = int(np.searchsorted(tilts, place.tilt))
    moments = measure.moments(tilts)
    accuracy = Accuracy(math.log(place.level), math.log(place.level), MOST_FREQUENCIES)
    spread = (0.9 * place.period / 8.0) ** 2  # a contour starts from eight standard deviations
    # It serves a contour as a Measure's Moments do.
    return Contour(cast(Moments, moments), index, spread, Aim(epsilon, log_delta), accuracy, left_out)


def guess_epsilon(steps: Steps, log_delta: float) -> float:
    """An ε near the one at which delta is e^log_delta, to first order; 0 where there is nothing to go by."""
    survey = Survey(steps, log_delta, GUESS_LEVEL)
    # The loss of the largest step that is as likely as delta.
    place = far_limit(steps, log_delta, 0.0)
    low = high = float(np.max(log_ratio((2.0 * place - 1.0) / (2.0 * steps.sigma**2), steps.q)))
    place_loss = low
    if not 0.0 < low < LARGEST_LOSS:
        return 0.0

    def above(epsilon: float) -> bool:
        place = survey.place(epsilon)
        return place is None or place.log_delta > log_delta

    while above(high) and high < LARGEST_LOSS:
        low, high = high, STRIDE * high
    while low == high or not above(low):
        low, high = low / STRIDE, low
        if low < 1e-3 * place_loss:
            return 0.0
    while high > CLOSE * low:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if above(middle) else (low, middle)
    return math.sqrt(low * high)


def guess_log_delta(steps: Steps, epsilon: float, log_floor: float) -> float:
    """log delta at ε, likewise; log_floor: a lower bound on it, to start from."""
    log_delta = log_floor
    for _ in range(ROUNDS):
        place = Survey(steps, log_delta, GUESS_LEVEL).place(epsilon)
        if place is None or abs(place.log_delta - log_delta) < 0.1:
            break
        log_delta = max(min(place.log_delta, 0.0), log_floor)
    return log_delta
