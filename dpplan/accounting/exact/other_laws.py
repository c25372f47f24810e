"""Epsilon and delta of laws of any kind, both directions composed on their own and the larger taken at the end.

A few Laplace releases have a closed form (few_laplace). Else each direction goes along a contour (mixed), where the
transforms of its laws are known and one of them decays, and to the lattice of any law where none does, or where the
contour proves less than NARROW. What both prove is intersected. Allocations go to the lattice and, where that leaves
more than it was to, to one of jumps.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from dpplan.accounting.exact import drawn_counts, few_laplace, lattice_jumps, mixed
from dpplan.accounting.exact.general_lattice import Accuracy, Composition, Interval
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.gdp import gaussian_epsilon
from dpplan.accounting.pairs import DominatingPair, Finite, Resolution
from dpplan.accounting.pairs.allocation import AllocationLoss
from dpplan.accounting.pairs.law import EPS
from dpplan.accounting.pairs.profile_points import ProfileLoss
from dpplan.accounting.pairs.replace_one import ReplacedGaussianLoss
from dpplan.errors import InternalError, NotCertified
from dpplan.quick_dataclass import dataclass

SLICED = Accuracy(1e-3, 2**15)
METHOD = "lattice of any law"
BEYOND_FLOATS = (
    "the plan's numbers are too large or too small for floats: nothing is proven. Look for noise or steps far from the "
    "usual, or try --accountant rdp."
)
NARROW = 1e-6  # the relative width beyond which the lattice is asked too
RARE = 1e-4  # likewise, beyond a lattice of jumps
MOST_ROUNDING = 1.5e-3  # of a standard deviation: the lattice's relative width was 500 times as much
COUNTS_TOLD = 1e-2  # likewise, beyond which it is asked what a user's examples cost where their counts are told
NOTHING = 1e-100  # smaller figures are not narrowed
Known = Sequence[tuple[DominatingPair, int]]
Asked = Callable[[Composition, Accuracy | None], Ends]
WIDTH = 2e-4  # where a pair is known on a lattice, which is made finer until the figure is known to this, relative
COARSE_WIDTH = 2e-3  # what the coarsest of such lattices nearly always knows it to; what it does not is made finer
# Where R is about normal, they leave more: so much for each doubling of the steps, of 2^5 times as many; as much again
# where ε is so many standard deviations of one epoch; and half, where single large ratios have so many times delta. Of
# many epochs they hide less: half, where they have so many times delta and the epochs' square (a grid of 90 plans).
CENTRAL_WIDTH, FIRST_DOUBLINGS, AT_DEVIATIONS, ALONE, ALONE_OF_MANY = 2.1e-4, 5.0, 12.0, 5.0, 0.2
GAP = 0.05  # wider than the two ends of the coarsest one ever are
ATTEMPTS, MOST_HALVINGS, FINEST = 6, 3, 7
SETTLED = 0.125  # of that: where a finer lattice would move an end by less, what lies between them is no lattice's
SPARE = 18.0  # of log delta: what is cut off a law is less than that by such a factor
REACH_STEP = 10
# A delta that is no more than so many times what is cut off says nothing of the plan: more is kept, up to this reach.
CUT_OFF, FARTHEST_REACH = 100.0, 320
TINY = 1e-40  # a delta that one finer lattice is laid for at most, whatever width that leaves
SHARE = 0.25  # of the width that is aimed at, for what is composed on a lattice
LEFT_BY_ROUNDING = 1.0 / SHARE  # times that share: beyond it the aim is missed, however fine the law's lattice is


@dataclass(frozen=True)
class RunQuestion:
    """One figure that is asked of a direction. lattice, contour, jumps: by these engines, the last two where they can.

    negligible: whether the figure provably is no more than this, at little cost. jumps_near: by jumps, given about
    what it is, where the lattice of an allocation left more than it was to (None: they are not asked).
    """

    lattice: Callable[[Composition, Accuracy | None], Interval]
    contour: Callable[[Composition], Ends | None]
    jumps: Callable[[Composition], Ends | None]
    negligible: Callable[[Composition, float], bool]
    jumps_near: Callable[[Composition, float], Ends | None] | None = None

    def ends(self, run: Composition, accuracy: Accuracy | None) -> Ends:
        """accuracy: of the lattice alone, where one is given."""
        fast = self.contour(run) if accuracy is None else None
        if fast is not None and fast.relative_width <= NARROW:
            return _sane(fast)
        rare = self._by_jumps(lambda: self.jumps(run)) if accuracy is None else None
        if rare is not None:
            fast = _sane(rare) if fast is None else _narrowed(_sane(rare), _sane(fast))
            if fast.relative_width <= RARE or fast.upper <= NOTHING:
                return fast
        if _lost_in_rounding(run):
            return Ends(0.0, math.inf, METHOD) if fast is None else fast
        found = self.lattice(run, accuracy)
        slow = _sane(Ends(found.lower, found.upper, METHOD))
        if accuracy is not None and slow.relative_width > LEFT_BY_ROUNDING * accuracy.width:
            fast = self._by_jumps(lambda: self._near(run, slow))
        return slow if fast is None else _narrowed(slow, _sane(fast))

    def _near(self, run: Composition, found: Ends) -> Ends | None:
        """By jumps, what the lattice of allocations knows less well than was asked: no finer one knows it better where
        one large loss decides, which leaves no tilt that suits it, so that roundings of the rest are a share of
        delta."""
        allocations = all(law.spacing is not None for law, _ in run.terms)
        if self.jumps_near is None or not (allocations and found.lower > 0.0 and math.isfinite(found.upper)):
            return None
        return self.jumps_near(run, 0.5 * (found.lower + found.upper))

    @staticmethod
    def _by_jumps(asked: Callable[[], Ends | None]) -> Ends | None:
        """None where they ask for a lattice that floats do not hold, as at an ε that is next to nothing."""
        try:
            return asked()
        except ArithmeticError:
            return None


def _lost_in_rounding(run: Composition) -> bool:
    """Whether all steps are replacements at rates so small that what roundings of their losses add up to is a share of
    a standard deviation of the run's. A lattice, which takes seconds to say so, then leaves most of the figure open."""
    rows = [(count, law) for law, count in run.terms if isinstance(law, ReplacedGaussianLoss)]
    if len(rows) < len(run.terms):
        return False
    # A loss is about q·(r - r'), of two ratios of variance e^(1/σ²) - 1 and covariance e^(-1/σ²) - 1.
    variances = (n * 4.0 * law.sample_rate**2 * math.sinh(min(law.noise_multiplier**-2, 600.0)) for n, law in rows)
    return EPS * run.steps > MOST_ROUNDING * math.sqrt(math.fsum(variances))


def epsilon_ends(known: Known, delta: float, width: float = WIDTH) -> Ends:
    """The least ε of the run at this delta in (0, 1): lower <= truth <= upper; infinite where none suffices.

    width: the relative one that is aimed at where pairs are known on lattices; others have their own.
    """
    question = RunQuestion(
        lambda run, accuracy: run.epsilon(delta, accuracy),
        lambda run: few_laplace.epsilon_ends(run, delta) or mixed.epsilon_ends(run, delta),
        lambda run: lattice_jumps.epsilon_ends(run, delta),
        lambda run, best: mixed.epsilon_below(run, best, delta),
        lambda run, near: lattice_jumps.epsilon_ends(run, delta, near),
    )
    found = _refined(known, question, lambda ends: math.log(delta), _Goal(width, math.log(delta)))
    return _below(found, lambda: drawn_counts.epsilon_above(known, delta))


def delta_ends(known: Known, epsilon: float, width: float = WIDTH) -> Ends:
    """The delta of the run at this ε >= 0. width: as of `epsilon_ends`.

    An upper end below the smallest normal float is raised to it, unless ε is no smaller than any loss: elsewhere delta
    is positive, however little of it a float holds. A lower end below it is 0: such floats round by more than their
    share.
    """
    question = RunQuestion(
        lambda run, accuracy: run.delta(epsilon, accuracy),
        lambda run: few_laplace.delta_ends(run, epsilon) or mixed.delta_ends(run, epsilon),
        lambda run: lattice_jumps.delta_ends(run, epsilon),
        lambda run, best: mixed.epsilon_below(run, epsilon, best),
    )

    def log_delta(ends: Ends) -> float:
        return math.log(max(ends.lower, ends.upper * 1e-9, 1e-300))

    found = _refined(known, question, log_delta, _Goal(width, None))
    found = _below(found, lambda: drawn_counts.delta_above(known, epsilon))
    if found.lower < sys.float_info.min:
        found = replace(found, lower=0.0)
    if found.upper >= sys.float_info.min or _beyond_all_losses(known, epsilon):
        return found
    return replace(found, upper=sys.float_info.min)


def _below(ends: Ends, told: Callable[[], float]) -> Ends:
    """No more than it costs where counts are told; asked where no lattice holds the losses that decide."""
    if ends.relative_width <= COUNTS_TOLD or not (upper := told()) < ends.upper:
        return ends
    return replace(ends, upper=upper, method=f"{ends.method}; {drawn_counts.TOLD}")


def _beyond_all_losses(known: Known, epsilon: float) -> bool:
    """Whether no finite loss of the run exceeds ε. Of laws that are known on a lattice that is not asked."""
    return not any(pair.resolved for pair, _ in known) and all(epsilon >= run.largest for run in directions(known))


@dataclass(frozen=True, slots=True)
class _Goal:
    """The relative width that is aimed at, and log delta where it is known before."""

    width: float
    log_delta: float | None

    def start(self, known: Known) -> Resolution:
        """Where delta is not known, what has to be cut off is not either, and the first lattice may not be the last."""
        if self.log_delta is None:
            return Resolution(0)
        halvings = math.ceil(0.5 * math.log2(max(_coarse_width(known, self.log_delta) / self.width, 1.0)))
        return Resolution(min(halvings, MOST_HALVINGS))


def _refined(known: Known, question: RunQuestion, log_delta: Callable[[Ends], float], goal: _Goal) -> Ends:
    """Laws that are known on a lattice are taken on finer ones until that no longer pays. log_delta: of what was
    found."""
    if not any(pair.resolved for pair, _ in known):
        return _ends(known, question)
    spare = SPARE + math.log(sum(count for _, count in known))
    width, halvings, asked = goal.width, 0, cache(question.ends)
    best, resolution = Ends(0.0, math.inf, METHOD), _reaching(goal.start(known), spare - (goal.log_delta or 0.0))
    if goal.log_delta is None:
        resolution = _far_enough(known, resolution, lambda run: asked(run, Accuracy(SHARE * width)))
    for _ in range(ATTEMPTS):
        laws = resolved(known, resolution)
        try:
            found = _ends(laws, question, Accuracy(SHARE * width), asked)
        except NotCertified:  # beyond floats; what is proven without a lattice stands
            break
        before, best = best, _narrowed(best, found)
        if goal.log_delta is None and best.upper <= (TINY if halvings or best.lower <= 0.0 else NOTHING):
            break
        further = _reaching(resolution, spare - log_delta(found))
        # Errors fall to a quarter with each halving: what is left of them is this share of what the last ones removed.
        moved = max(before.upper - best.upper, best.lower - before.lower)
        left = moved / (4.0**halvings - 1.0) if halvings else math.inf
        settled = math.isfinite(best.upper) and left <= SETTLED * width * best.upper  # none knows an upper end of inf
        if further == resolution and (best.relative_width <= width or settled):
            break
        if halvings and math.isinf(best.upper):  # finer, and still no upper end: a delta that no lattice here resolves
            break
        excess = best.relative_width / (0.8 * width)
        if best.lower <= 0.0 or best.relative_width > GAP:  # the lower end is of another law: no lattice closes that
            excess = left / (SETTLED * width * best.upper) if halvings else 4.0
        excess = min(excess, 4.0**MOST_HALVINGS)
        halvings = min(math.ceil(0.5 * math.log2(max(excess, 1.0))), FINEST - further.halvings)
        resolution = replace(further, halvings=further.halvings + halvings)
        if resolved(known, resolution) == laws:  # as fine as is tried
            break
    aim = f", for a relative width of {width:g}"
    allocated = any(pair.resolved and not isinstance(pair.remove, ProfileLoss) for pair, _ in laws)
    return replace(best, method=f"{METHOD}, allocations on a lattice {_finest(laws)}{aim}" if allocated else METHOD)


def _far_enough(known: Known, resolution: Resolution, ends: Callable[[Composition], Ends]) -> Resolution:
    """One as coarse, at which what is cut off is no large share of a delta that nothing is known of before: a finer
    lattice takes far longer, and would be made of the same cut."""
    steps = sum(count for _, count in known)
    while resolution.reach < FARTHEST_REACH:
        try:
            found = ends(directions(resolved(known, resolution))[0])
        except (NotCertified, ArithmeticError):
            break
        if found.upper > CUT_OFF * steps * math.exp(-resolution.reach):
            break
        resolution = replace(resolution, reach=min(2 * resolution.reach, FARTHEST_REACH))
    return resolution


def _coarse_width(known: Known, log_delta: float) -> float:
    """About the relative width that the coarsest lattices leave; what is more is found by trying."""
    laws = [(pair.remove.mean, count) for pair, count in known if isinstance(pair.remove, AllocationLoss)]
    if len(laws) < len(known) or not all(mean.by_sums for mean, _ in laws):
        return COARSE_WIDTH
    deviation = math.sqrt(math.fsum(count * mean.variance for mean, count in laws))
    epsilon = gaussian_epsilon(deviation, math.exp(log_delta)) if deviation > 0.0 else 0.0
    if not epsilon > 0.0:
        return COARSE_WIDTH
    alone = math.fsum(count * math.exp(mean.log_one_beyond(epsilon)) for mean, count in laws)
    epochs = sum(count for _, count in laws)
    deviations = (epsilon / deviation / AT_DEVIATIONS) ** 2 / epochs
    doublings = FIRST_DOUBLINGS + math.log2(max(mean.drawn for mean, _ in laws))
    hidden = alone / (max(ALONE, ALONE_OF_MANY * epochs**2) * math.exp(log_delta))
    return max(CENTRAL_WIDTH * doublings * (1.0 + deviations) / (1.0 + hidden), COARSE_WIDTH)


def _reaching(resolution: Resolution, least: float) -> Resolution:
    """Cutting off e^-least or less."""
    return replace(resolution, reach=max(REACH_STEP * math.ceil(least / REACH_STEP), resolution.reach))


def _finest(laws: Known) -> str:
    spacings = [law.spacing for pair, _ in laws for law in pair.directions]
    laid = [spacing for spacing in spacings if spacing is not None]
    return f"of step {min(laid):.3g}" if laid else "and then sampled"


def resolved(known: Known, resolution: Resolution) -> Known:
    """The pairs that are known on a lattice, as accurate as that."""
    return [(pair.resolved(resolution) if pair.resolved else pair, count) for pair, count in known]


def _narrowed(one: Ends, other: Ends) -> Ends:
    """One figure between the ends of two proofs. Raises InternalError where they contradict each other."""
    if one.lower > other.upper or other.lower > one.upper:
        said = (f"{each.method} proves [{each.lower!r}, {each.upper!r}]" for each in (one, other))
        raise InternalError(f"{' and '.join(said)}. They do not meet: a bug in dpplan; please report the plan.")
    return one.narrowed(other)


def _ends(known: Known, question: RunQuestion, accuracy: Accuracy | None = None, asked: Asked | None = None) -> Ends:
    """From above by the pairs that dominate; from below by those that are realised, whichever choice tells most.

    asked: the question, remembering what it answered: a law that is the same on all lattices is asked once.
    """
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    asked = asked or cache(question.ends)  # a plan that is realised is its own lower bound
    dominating, realised = compositions(known)

    def larger(directions: list[Composition], own: Callable[[Composition], Accuracy | None]) -> Ends:
        first, *others = directions
        ends = asked(first, own(first) or accuracy)
        for other in others:
            if not question.negligible(other, ends.lower):
                ends = ends.joined(asked(other, own(other) or accuracy))
        return ends

    try:
        above = larger(dominating, lambda run: None)
        below = [larger(each, worth) for each in realised] or [above]
    except ArithmeticError as error:
        raise NotCertified(BEYOND_FLOATS) from error
    return replace(above, lower=max(each.lower for each in below))


def worth(composed: Composition) -> Accuracy | None:
    """How exactly a bound from below is computed: one that was cut into slices has lost more than this already."""
    return SLICED if any(type(law) is Finite for law, _ in composed.terms) else None


def _sane(ends: Ends) -> Ends:
    """Without NaN, which proves nothing."""
    lower = 0.0 if math.isnan(ends.lower) else ends.lower
    upper = math.inf if math.isnan(ends.upper) else ends.upper
    return replace(ends, lower=lower, upper=upper)


def compositions(known: Known) -> tuple[list[Composition], list[list[Composition]]]:
    """What bounds delta from above, in each direction (one, where both are the same), and for each choice among the
    pairs that are realised what bounds it from below; no choice where the dominating pairs are realised themselves."""
    choices = max(len(pair.realised) for pair, _ in known)
    realised = ([(pair.realisation(choice), steps) for pair, steps in known] for choice in range(choices))
    return directions(known), [directions(each) for each in realised]


def directions(known: Known) -> list[Composition]:
    """What is composed in each direction; one, where both are the same."""
    remove = Composition.of((pair.remove, steps) for pair, steps in known)
    add = Composition.of((pair.add, steps) for pair, steps in known)
    return [remove] if remove == add else [remove, add]
