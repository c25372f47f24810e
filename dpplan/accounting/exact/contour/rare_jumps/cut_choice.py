"""Where to cut a law of rare jumps, and where to put contours over what is left (remove direction).

Nothing here is certified and nothing needs to be: a contour placed badly is wide, not wrong.

When delta is far below what ordinary paths can do, one step (or a few) brings nearly all of the loss, and the tail
falls more slowly than any exponential: at the tilt that suits the whole law, losses that never happen outweigh the
rest, and at any lower one the paths on which nothing happens do. So the paths are taken apart by their largest step,
and the choices made together:

far    the loss, a multiple of ε, beyond which a step decides alone (beyond_cut.py): the least at which what is not
       known exactly of such paths is small;
bulk   the loss, a share of ε, below which a step is no jump: the largest for which the paths without one, bounded by
       Chernoff at tilts of their own, stay small. Where they do not, they get a contour of their own, over the jumps
       between a second share and the first;
tilt   where Chernoff is best for the paths with one. What that bound is above delta, the sum has to cancel.
"""

import math
from typing import cast

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Moments, far_limit
from dpplan.accounting.exact.contour.delta_interval import Aim, Chernoff, Contour, ContourTolerance
from dpplan.accounting.exact.contour.privacy_loss import Steps, log_ratio
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Beyond, Falling
from dpplan.accounting.exact.contour.rare_jumps.jump_free_paths import Bulk
from dpplan.accounting.exact.contour.rare_jumps.runs_with_a_jump import Rare
from dpplan.accounting.exact.contour.rare_jumps.uncertified_moments import GOAL, CutPlacement, SplitMoments, places_of
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.quick_dataclass import dataclass

SPLITS = (0.97, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)  # where a bulk with a contour of its own may end, in ε
INNER_SHARES = np.geomspace(0.9, 1e-3, 24)  # of that, where smaller jumps may begin
# Where steps may decide alone, in ε: the nearer, the less there is to cancel.
FARS = (1.05, 1.1, 1.16, 1.23, 1.32, 1.43, 1.56, 1.75, 2.0, 2.4, 3.0, 4.0, 6.0, 10.0)
FAR_TILTS = np.geomspace(2.0, 1200.0, 16)  # in units of 1/ε, at which paths that fall short are bounded
LEVELS = (1e-10, 1e-8, 1e-6, 1e-5)  # of errors to aim for, relative to delta
HOPELESS = math.log(0.05)  # an error, relative to delta, beyond which it is not worth a try
# A cut's power is at least the place where it lies and ROOM·σ more: then 1 - c falls towards the left as Q does, and as
# r^ROOM_AT_LEAST besides.
ROOM, ROOM_AT_LEAST = 8.0, 30.0
LEAN = 12.0  # how steep the bulk's tilted law may be at the cut, in units of the cut's own
APART = 4.0  # the least distance between two cuts, likewise
AROUND = np.array((0.97, 1.0, 1.02))  # of the two tilts that bound the aliases
BULK_AROUND = np.array((0.75, 0.85, 0.92, 0.97, 1.0, 1.03, 1.08, 1.15, 1.25))
MOST_FREQUENCIES = 12_000
TRIES = 4  # contours that may be built before one is short enough
# Of the guess: the survey's level, the first stride, how near in log delta, how many steps, how far in log ε.
GUESS_LEVEL, STRIDE, CLOSE, ROUNDS, FARTHEST = 1e-6, 1.35, 0.3, 12, 12.0
LARGEST_LOSS = 500.0  # losses whose exponential can be handled with room to spare


@dataclass(frozen=True)
class Far:
    """Where steps are large enough to decide alone: the cut, [phase], and what is known of paths beyond it."""

    end: Array
    power: Array
    beyond: Beyond


def far(falling: Falling, aim: Aim, level: float, steep: Array | float = 0.0) -> Far:
    """The nearest cut beyond which what is not known exactly of the paths stays below the level."""
    steps, epsilon, log_delta = falling.steps, aim.epsilon, aim.log_delta
    sigma = steps.sigma[:, 0]
    limit = far_limit(steps, log_delta + math.log(level), 0.0)[:, 0]

    def cut(number: int) -> Far:
        end = np.minimum(places_of(steps, FARS[number] * epsilon), limit)
        power = np.maximum(end + np.maximum(ROOM * sigma, ROOM_AT_LEAST), steep)
        return Far(end, power, Beyond(steps, power, end, falling))

    last = len(FARS) - 1
    cuts = {last: cut(last)}

    def far_enough(number: int) -> bool:
        cuts[number] = cut(number)
        short = cuts[number].beyond.short(epsilon)
        return bool(short <= log_delta + math.log(level) or np.all(cuts[number].end >= limit))

    # The farther a cut, the fewer paths beyond it fall short.
    return cuts[first_true_whole(far_enough, -1, last)]


@dataclass(frozen=True)
class CutChoice:
    """Places of contours over jumps, from the largest ones down, and of one over what they leave out; None where that
    is negligible. log_error: what accuracy to hope for, relative to delta."""

    log_error: float
    cut: Far
    places: tuple[CutPlacement, ...]
    bulk: CutPlacement | None


def contour(steps: Steps, epsilon: float, log_delta: float) -> Contour | None:
    """A contour good near this ε > 0, where there is one to hope for: the first that is as accurate as it was asked to
    be, or the most accurate of those that would need more frequencies."""
    if not 0.0 < epsilon < LARGEST_LOSS or np.any(steps.q > 0.5):
        return None
    aim, falling = Aim(epsilon, log_delta), Falling(steps, FAR_TILTS / epsilon)
    choices: list[CutChoice] = []
    best, tries = None, TRIES
    for level in LEVELS:
        cut = far(falling, aim, level)
        survey = SplitMoments(steps, log_delta, level, cut.end[:, None])
        place = survey.place(epsilon)
        if place is not None:
            choices.append(CutChoice(place.log_error, cut, (place,), None))
        if place is None or place.log_error > GOAL:
            choices += _split(survey, epsilon, cut)
        good = _ranked([choice for choice in choices if choice.log_error <= GOAL])[:tries]
        tries -= len(good)
        best = _most_accurate(steps, aim, good, best)
        if best is not None and reached(best):
            return best
        choices = [choice for choice in choices if GOAL < choice.log_error <= HOPELESS]
    best = _most_accurate(steps, aim, _ranked(choices)[:tries], best)
    return best if best is not None and log_left_out(best) <= HOPELESS else None


def _ranked(choices: list[CutChoice]) -> list[CutChoice]:
    """The best first; of those that are good enough, one contour before two."""
    return sorted(choices, key=lambda choice: (max(choice.log_error, GOAL), len(choice.places)))


def _most_accurate(steps: Steps, aim: Aim, choices: list[CutChoice], best: Contour | None) -> Contour | None:
    """Of these choices the first contour that is as accurate as it was asked to be; else the one, of theirs and the
    best so far, that leaves out least."""
    for choice in choices:
        made = build(steps, aim, choice)
        if reached(made):
            return made
        if best is None or log_left_out(made) < log_left_out(best):
            best = made
    return best


def reached(contour: Contour) -> bool:
    """Whether it is as accurate as it was asked to be, and so are those for what it leaves out."""
    return contour.reached and (not isinstance(contour.bulk, Contour) or reached(contour.bulk))


def log_left_out(contour: Contour) -> float:
    """log of the largest share of delta that the frequencies left out may be, of it and of those for what it leaves
    out."""
    inner = log_left_out(contour.bulk) if isinstance(contour.bulk, Contour) else -math.inf
    return max(contour.log_left_out, inner)


def _split(survey: SplitMoments, epsilon: float, cut: Far) -> list[CutChoice]:
    """Choices with two contours: over the jumps above a share of ε, and over what that leaves out; and with the second
    alone."""
    whole = survey.over_bulk(epsilon, 2.0 * FARS[-1])
    found = [CutChoice(whole.log_error, cut, (), whole)]
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
            found.append(CutChoice(error, cut, (outer,), bulk))
            end = places_of(survey.steps, share * epsilon)[:, None]
            inner = SplitMoments(survey.steps, survey.log_delta, survey.level, end).place(epsilon, share * INNER_SHARES)
            if inner is not None:
                found.append(CutChoice(max(outer.log_error, inner.log_error), cut, (outer, inner), None))
        if error <= GOAL:
            break
    return found


def build(steps: Steps, aim: Aim, choice: CutChoice) -> Contour:
    """The contour at the first of these places, the next for what it leaves out below."""
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


def _at(place: CutPlacement, measure: Rare | Bulk, aim: Aim, left_out: Chernoff | Contour | None) -> Contour:
    """A contour over one measure, with tilts for its aliases around those chosen."""
    below, above = (side * AROUND for side in place.alias_tilts)
    tilts = np.concatenate((below[below < place.tilt], [place.tilt], above[above > place.tilt]))
    moments = measure.moments(tilts)
    accuracy = ContourTolerance(math.log(place.level), math.log(place.level), MOST_FREQUENCIES)
    spread = (0.9 * place.period / 8.0) ** 2  # a contour starts from eight standard deviations
    # It serves a contour as a Measure's Moments do.
    index = int(np.searchsorted(tilts, place.tilt))
    return Contour(cast(Moments, moments), index, spread, aim, accuracy, left_out)


def guess_epsilon(steps: Steps, log_delta: float) -> float:
    """An ε near the one at which delta is e^log_delta; 0 where there is nothing to go by.

    By Chernoff for steps that lose less than ε, and by the probability of one that loses more.
    """
    limit = far_limit(steps, log_delta + math.log(GUESS_LEVEL), 0.0)
    survey = SplitMoments(steps, log_delta, GUESS_LEVEL, limit)
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
    return max(min(SplitMoments(steps, log_floor, GUESS_LEVEL, limit).log_delta_at(epsilon), 0.0), log_floor)
