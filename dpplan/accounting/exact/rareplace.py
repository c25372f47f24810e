"""Where to cut a law of rare jumps, and where to put contours over what is left (remove direction).

Nothing here is certified and nothing needs to be: a contour placed badly is wide, not wrong.

When delta is far below what ordinary paths can do, one step (or a few) brings nearly all of the loss, and the tail
falls more slowly than any exponential: at the tilt that suits the whole law, losses that never happen outweigh the
rest, and at any lower one the paths on which nothing happens do. So the paths are taken apart by their largest step,
and the choices made together:

far    the loss, a multiple of ε, beyond which a step decides alone (beyond.py): the least at which what is not known
       exactly of such paths is small;
bulk   the loss, a share of ε, below which a step is no jump: the largest for which the paths without one, bounded by
       Chernoff at tilts of their own, stay small. Where they do not, they get a contour of their own, over the jumps
       between a second share and the first;
tilt   where Chernoff is best for the paths with one. What that bound is above delta, the sum has to cancel.

Symbols: L = log r; a = 1 + t; all sums are over plain nodes and sharp cuts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from dpplan.accounting.exact.beyond import Beyond, Falling
from dpplan.accounting.exact.bulk import Bulk
from dpplan.accounting.exact.contour import Accuracy, Aim, Chernoff, Contour
from dpplan.accounting.exact.law import Array, Steps, log_normal_tails, log_ratio
from dpplan.accounting.exact.measure import Moments, far_limit
from dpplan.accounting.exact.rare import Rare
from dpplan.accounting.exact.tilt import log_chernoff_factor

NODES = 800
SHARES = np.array(
    (0.985, 0.97, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.64, 0.58, 0.5, 0.42, 0.34, 0.27, 0.2, 0.14, 0.1, 0.06, 0.03)
)
INNER_SHARES = np.geomspace(0.9, 1e-3, 24)
SPLITS = (0.97, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # where a bulk with a contour of its own may end, in ε
FARS = (1.05, 1.1, 1.16, 1.23, 1.32, 1.43, 1.56, 1.75, 2.0, 2.4, 3.0, 4.0, 6.0, 10.0)
FAR_TILTS = np.geomspace(2.0, 1200.0, 16)  # in units of 1/ε, at which paths that fall short are bounded
LEVELS = (1e-10, 1e-6, 1e-5)
STEEPEST, BULK_STEPS = 3.0, 64  # in units of log(1/delta)/ε: the bulk's tilts
HOPELESS = math.log(0.05)  # an error, relative to delta, beyond which it is not worth a try
ROUNDING = math.log(2e-13)  # of what the contour sums, about
# A cut's power is at least the place where it lies and ROOM·σ more: then 1 - c falls towards the left as Q does.
ROOM, ROOM_AT_LEAST = 8.0, 30.0
LEAN = 12.0  # how steep the bulk's tilted law may be at the cut, in units of the cut's own
APART = 4.0  # the least distance between two cuts, likewise
# Tilts that are tried, as multiples of the one where Chernoff is best: beyond it the moments may rise like a cliff.
TILTS = np.concatenate((np.geomspace(0.02, 0.85, 18), np.linspace(0.87, 1.13, 27), np.geomspace(1.16, 8.0, 14)))
AROUND = np.array((0.97, 1.0, 1.02))  # of the two tilts that bound the aliases
GOAL = math.log(3e-7)  # an error below which a short period is worth more
BULK_AROUND = np.array((0.75, 0.85, 0.92, 0.97, 1.0, 1.03, 1.08, 1.15, 1.25))
MOST_FREQUENCIES = 12_000
GUESS_LEVEL, STRIDE, CLOSE, ROUNDS, FARTHEST = 1e-6, 1.35, 0.3, 12, 12.0
LARGEST_LOSS = 500.0  # losses whose exponential can be handled with room to spare


@dataclass(frozen=True)
class Place:
    """One choice of the three. share: of ε; bulk_tilt: where Chernoff is best for the bulk; log_error: what accuracy
    to hope for, relative to delta; alias_tilts: one on either side of the tilt, which allow this period in ε."""

    level: float
    share: float
    bulk_tilt: float
    tilt: float
    alias_tilts: tuple[float, float]
    period: float
    log_error: float


class Survey:
    """Real moments of a plan's losses below and above any threshold, all below an end; level: of errors to aim for."""

    def __init__(self, steps: Steps, log_delta: float, level: float, end: Array) -> None:
        """end: in x, [phase, 1]."""
        self.steps, self.log_delta, self.level = steps, log_delta, level
        self.limit = end
        low = -8.0 * steps.sigma
        self.x = low + (self.limit - low) * np.linspace(0.0, 1.0, NODES)
        self.loss = log_ratio((2.0 * self.x - 1.0) / (2.0 * steps.sigma**2), steps.q)
        h = (self.limit - low) / (NODES - 1)
        self.log_base = -0.5 * (self.x / steps.sigma) ** 2 + np.log(h / (steps.sigma * math.sqrt(2.0 * math.pi)))

        base = np.exp(self.log_base)
        # Q and P right of each node.
        tails = log_normal_tails(self.limit / steps.sigma), log_normal_tails((self.limit - 1.0) / steps.sigma)
        centred, shifted = (np.exp(tail) for tail in tails)
        beyond = (centred, centred + steps.q * (shifted - centred))
        self.right = [
            np.cumsum(mass[:, ::-1], axis=1)[:, ::-1] - mass + rest
            for mass, rest in zip((base, base * np.exp(np.minimum(self.loss, 600.0))), beyond, strict=True)
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

    def bulk_bounds(self, epsilon: float, shares: Array) -> tuple[Array, Array]:
        """log of what paths without a jump add to delta at ε, by Chernoff, and the tilts of those bounds, [share]."""
        tilts = np.geomspace(2.0, STEEPEST * (20.0 - self.log_delta), BULK_STEPS) / epsilon
        factors = np.array([log_chernoff_factor(float(s)) for s in tilts]) - tilts * epsilon
        bounds = factors[:, None] + sum(
            count * self._log_bulk(row, tilts, shares * epsilon) for row, count in enumerate(self.steps.count[:, 0])
        )
        return np.min(bounds, axis=0), tilts[np.argmin(bounds, axis=0)]

    def place(self, epsilon: float, shares: Array = SHARES) -> Place | None:
        """The best threshold and tilt at this level; None where even the smallest jumps are too common."""
        bounds, tilts = self.bulk_bounds(epsilon, shares)
        good = np.nonzero(bounds <= self.log_delta + math.log(self.level) - 1.0)[0]
        if not len(good):
            return None
        return self.over_jumps(epsilon, float(shares[good[0]]), float(tilts[good[0]]))

    def over_jumps(self, epsilon: float, share: float, bulk_tilt: float) -> Place:
        """A place for paths with a jump above a share of ε."""
        loss = share * epsilon
        return self._best_place(lambda tilts: self._log_moments(tilts, loss), epsilon, share, bulk_tilt)

    def over_bulk(self, epsilon: float, share: float) -> Place:
        """A place for paths without one."""

        def logs(tilts: Array) -> Array:
            total, losses = np.zeros(len(tilts)), np.array([share * epsilon])
            for row, count in enumerate(self.steps.count[:, 0]):
                total += count * self._log_bulk(row, tilts, losses)[:, 0]
            return total

        return self._best_place(logs, epsilon, share, math.nan)

    def _best_place(self, log_moments: Callable[[Array], Array], epsilon: float, share: float, bulk: float) -> Place:
        """The tilt with the shortest period whose aliases stay below the level, of those that do not cancel too much.

        An alias bounded at the tilt s fades like e^(-|s - t|·period); the best s on either side decides.
        """
        tilts = np.geomspace(0.003, 4.0 * (10.0 - self.log_delta), 40) / epsilon
        best = float(tilts[np.argmin(log_moments(tilts) - tilts * epsilon)])
        tilts = best * TILTS
        logs = log_moments(tilts) - tilts * epsilon - self.log_delta
        bounds = logs + np.array([log_chernoff_factor(float(s)) for s in tilts])
        excess = np.maximum(bounds - math.log(self.level) + 1.0, 1.0)
        # The sum's terms fall like 1/|z(z + 1)|; what is rounded grows with the logarithm of the moment.
        rounding = logs - np.log1p(tilts) + np.log(10.0 + tilts * epsilon) + ROUNDING
        errors = np.logaddexp(math.log(self.level), rounding)
        gap = np.abs(tilts[:, None] - tilts) + np.where(np.eye(len(tilts)) > 0.0, np.inf, 0.0)
        periods = excess / gap  # [tilt, alias tilt]
        side = np.arange(len(tilts))[:, None] > np.arange(len(tilts))
        left, right = np.where(side, periods, np.inf), np.where(side.T, periods, np.inf)
        period = np.maximum(left.min(axis=1), right.min(axis=1))
        chosen = int(np.argmin(np.log(period) + np.maximum(errors - max(GOAL, float(errors.min())), 0.0)))
        sides = float(tilts[left[chosen].argmin()]), float(tilts[right[chosen].argmin()])
        return Place(
            level=self.level,
            share=share,
            bulk_tilt=bulk,
            tilt=float(tilts[chosen]),
            alias_tilts=sides,
            period=float(period[chosen]),
            log_error=float(errors[chosen]),
        )

    def log_delta_at(self, epsilon: float) -> float:
        """About log delta at ε: the probability that one step decides alone, or Chernoff for the others taken apart
        where that is best."""
        at = places_of(self.steps, epsilon)[:, None] / self.steps.sigma
        centred, shifted = np.exp(log_normal_tails(at)), np.exp(log_normal_tails(at - 1.0 / self.steps.sigma))
        gains = self.steps.q * (shifted - centred) - math.expm1(epsilon) * centred
        alone = math.log(max(float((self.steps.count * gains).sum()), 1e-300))
        tilts = np.geomspace(2.0, STEEPEST * (20.0 - self.log_delta), BULK_STEPS) / epsilon
        # Chernoff exceeds delta by about the tilt times the standard deviation: some share of tilt·ε.
        factors = np.array([log_chernoff_factor(float(s)) for s in tilts]) - tilts * epsilon
        factors -= np.log1p(0.25 * tilts * epsilon)
        bulk, rise = np.zeros((len(tilts), len(SHARES))), np.zeros((len(tilts), len(SHARES)))
        for row, count in enumerate(self.steps.count[:, 0]):
            below = self._log_bulk(row, tilts, SHARES * epsilon)
            bulk += count * below
            rise += count * np.log1p(self._jumps_up_to(row, tilts, SHARES * epsilon, epsilon) * np.exp(-below))
        jumps = bulk + np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0)) + 1e-300))
        apart = np.maximum(*(np.min(factors[:, None] + logs, axis=0) for logs in (bulk, jumps)))
        return max(alone, float(np.min(apart)))

    def _jumps_up_to(self, row: int, tilts: Array, losses: Array, most: float) -> Array:
        """One step's moments between thresholds and `most`, [tilt, threshold]."""
        terms = (1.0 + tilts[:, None]) * self.loss[row] + self.log_base[row]
        terms = np.where(self.loss[row] <= most, np.exp(np.minimum(terms, 600.0)), 0.0)
        beyond = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
        return np.asarray(beyond[:, np.minimum(np.searchsorted(self.loss[row], losses), NODES - 1)])


@dataclass(frozen=True)
class Far:
    """Where steps are large enough to decide alone: the cut, [phase], and what is known of paths beyond it."""

    end: Array
    power: Array
    beyond: Beyond


def places_of(steps: Steps, loss: float) -> Array:
    """x where each kind of step loses so much, [phase]."""
    e = np.log((math.expm1(loss) + steps.q[:, 0]) / steps.q[:, 0])
    return np.asarray(0.5 + steps.sigma[:, 0] ** 2 * e)


def far(falling: Falling, aim: Aim, level: float, steep: Array | float = 0.0) -> Far:
    """The nearest cut beyond which what is not known exactly of the paths stays below the level."""
    steps, epsilon, log_delta = falling.steps, aim.epsilon, aim.log_delta
    sigma = steps.sigma[:, 0]
    limit = far_limit(steps, log_delta + math.log(level), 0.0)[:, 0]
    for factor in FARS:
        end = np.minimum(places_of(steps, factor * epsilon), limit)
        power = np.maximum(end + np.maximum(ROOM * sigma, ROOM_AT_LEAST), steep)
        found = Far(end, power, Beyond(steps, power, end, falling))
        if found.beyond.short(epsilon) <= log_delta + math.log(level) or np.all(end >= limit):
            break
    return found


@dataclass(frozen=True)
class Choice:
    """Places of contours over jumps, from the largest ones down, and of one over what they leave out; None where that
    is negligible. log_error: what accuracy to hope for, relative to delta."""

    log_error: float
    cut: Far
    places: tuple[Place, ...]
    bulk: Place | None


def contour(steps: Steps, epsilon: float, log_delta: float) -> Contour | None:
    """A contour good near this ε > 0, where there is one to hope for."""
    if not 0.0 < epsilon < LARGEST_LOSS or np.any(steps.q > 0.5):
        return None
    aim, falling = Aim(epsilon, log_delta), Falling(steps, FAR_TILTS / epsilon)
    choices: list[Choice] = []
    for level in LEVELS:
        cut = far(falling, aim, level)
        survey = Survey(steps, log_delta, level, cut.end[:, None])
        place = survey.place(epsilon)
        if place is not None:
            choices.append(Choice(place.log_error, cut, (place,), None))
        if place is None or place.log_error > GOAL:
            choices += _split(survey, epsilon, cut)
        found = _reached(steps, aim, [choice for choice in choices if choice.log_error <= GOAL])
        if found is not None:
            return found
        choices = [choice for choice in choices if GOAL < choice.log_error <= HOPELESS]
    return _reached(steps, aim, choices)


def _reached(steps: Steps, aim: Aim, choices: list[Choice]) -> Contour | None:
    """The first contour as accurate as was asked for: of choices that are good enough, one contour before two."""
    for choice in sorted(choices, key=lambda choice: (max(choice.log_error, GOAL), len(choice.places))):
        made = build(steps, aim, choice)
        if made.reached and not (isinstance(made.bulk, Contour) and not made.bulk.reached):
            return made
    return None


def _split(survey: Survey, epsilon: float, cut: Far) -> list[Choice]:
    """Choices with two contours: over the jumps above a share of ε, and over what that leaves out; and with the second
    alone."""
    whole = survey.over_bulk(epsilon, 2.0 * FARS[-1])
    found = [Choice(whole.log_error, cut, (), whole)]
    if whole.log_error <= GOAL:
        return found
    _, tilts = survey.bulk_bounds(epsilon, np.array(SPLITS))
    # The smaller the share, the harder the first contour and the easier the second.
    low, high = 0, len(SPLITS)
    while low < high:
        middle = (low + high) // 2
        share = SPLITS[middle]
        outer, bulk = survey.over_jumps(epsilon, share, float(tilts[middle])), survey.over_bulk(epsilon, share)
        low, high = (middle + 1, high) if outer.log_error < bulk.log_error else (low, middle)
        error = max(outer.log_error, bulk.log_error)
        if error < HOPELESS:
            found.append(Choice(error, cut, (outer,), bulk))
            end = places_of(survey.steps, share * epsilon)[:, None]
            inner = Survey(survey.steps, survey.log_delta, survey.level, end).place(epsilon, share * INNER_SHARES)
            if inner is not None:
                found.append(Choice(max(outer.log_error, inner.log_error), cut, (outer, inner), None))
        if error <= GOAL:
            break
    return found


def build(steps: Steps, aim: Aim, choice: Choice) -> Contour:
    """The contour at the first of these places; the next is one for what it leaves out below."""
    epsilon, cut, places = aim.epsilon, choice.cut, choice.places
    sigma = steps.sigma[:, 0]
    steep, starts = cut.power, []
    for one in places:
        loss = one.share * epsilon
        lean = (1.0 + one.bulk_tilt) * -math.expm1(-loss)  # how fast the bulk's tilted law rises there, times σ²
        steep = np.maximum(steep, lean / LEAN)
        starts.append((places_of(steps, loss), lean))
    if np.any(steep > cut.power):
        cut = far(cut.beyond.falling, aim, places[0].level, steep)
    power, end = cut.power, cut.end
    beyond: Beyond | None = cut.beyond
    measures = []
    for at, lean in starts:
        # The bulk's tilted law is largest where its rise equals the cut's fall.
        start = at - sigma**2 / power * np.maximum(np.log(lean / power), 0.0)
        start = np.minimum(start, end - APART * sigma**2 / power)
        measures.append(Rare(steps, power, start, end, beyond))
        end, beyond = start, None
    left_out: Chernoff | Contour
    if choice.bulk is None:
        left_out = measures[-1].without_jumps(places[-1].bulk_tilt * BULK_AROUND)
    else:
        left_out = _at(choice.bulk, Bulk(steps, power, end, beyond), aim, None)
    for one, measure in zip(reversed(places), reversed(measures), strict=True):
        left_out = _at(one, measure, aim, left_out)
    assert isinstance(left_out, Contour)
    return left_out


def _at(place: Place, measure: Rare | Bulk, aim: Aim, left_out: Chernoff | Contour | None) -> Contour:
    """A contour over one measure, with tilts for its aliases around those chosen."""
    below, above = (side * AROUND for side in place.alias_tilts)
    tilts = np.concatenate((below[below < place.tilt], [place.tilt], above[above > place.tilt]))
    moments = measure.moments(tilts)
    accuracy = Accuracy(math.log(place.level), math.log(place.level), MOST_FREQUENCIES)
    spread = (0.9 * place.period / 8.0) ** 2  # a contour starts from eight standard deviations
    # It serves a contour as a Measure's Moments do.
    index = int(np.searchsorted(tilts, place.tilt))
    return Contour(cast(Moments, moments), index, spread, aim, accuracy, left_out)


def guess_epsilon(steps: Steps, log_delta: float) -> float:
    """An ε near the one at which delta is e^log_delta; 0 where there is nothing to go by.

    By Chernoff for steps that lose less than ε, and by the probability of one that loses more.
    """
    limit = far_limit(steps, log_delta + math.log(GUESS_LEVEL), 0.0)
    survey = Survey(steps, log_delta, GUESS_LEVEL, limit)
    place = far_limit(steps, log_delta, 0.0)
    most = float(np.max(log_ratio((2.0 * place - 1.0) / (2.0 * steps.sigma**2), steps.q)))
    if not 0.0 < most < LARGEST_LOSS:
        return 0.0

    def gap(at: float) -> float:
        return survey.log_delta_at(math.exp(at)) - log_delta

    # Illinois' rule in log ε.
    here = math.log(most)
    f = gap(here)
    there, f_there, step = here, f, math.copysign(math.log(STRIDE), f)
    while f * f_there > 0.0 and abs(f) > CLOSE:
        there, f_there = here, f
        here, step = here + step, 1.6 * step
        if not math.log(most) - FARTHEST < here < math.log(LARGEST_LOSS):
            return 0.0
        f = gap(here)
    for _ in range(ROUNDS):
        if abs(f) <= CLOSE:
            break
        middle = (there * f - here * f_there) / (f - f_there)
        f_new = gap(middle)
        there, f_there = (here, f) if f_new * f < 0.0 else (there, 0.5 * f_there)
        here, f = middle, f_new
    return math.exp(here)


def guess_log_delta(steps: Steps, epsilon: float, log_floor: float) -> float:
    """log delta at ε, likewise; log_floor: a lower bound on it, to start from."""
    limit = far_limit(steps, log_floor + math.log(GUESS_LEVEL), 0.0)
    return max(min(Survey(steps, log_floor, GUESS_LEVEL, limit).log_delta_at(epsilon), 0.0), log_floor)
