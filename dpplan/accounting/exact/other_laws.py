"""Epsilon and delta of laws of any kind, both directions composed on their own and the larger taken at the end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from dpplan.accounting.exact.general_lattice import Accuracy, Composition, Interval
from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.pairs import DominatingPair, Finite, Resolution
from dpplan.errors import InternalError, NotCertified

SLICED = Accuracy(1e-3, 2**15)
METHOD = "lattice of any law"
Known = Sequence[tuple[DominatingPair, int]]
Figure = Callable[[Composition, Accuracy | None], Interval]


WIDTH = 2e-4  # where a pair is known on a lattice, which is made finer until the figure is known to this, relative
ATTEMPTS, MOST_HALVINGS = 4, 3
SPARE = 18.0  # of log delta: what is cut off a law is less than that by such a factor
REACH_STEP = 10


def epsilon_ends(known: Known, delta: float) -> Ends:
    """The least ε of the run at this delta in (0, 1): lower <= truth <= upper; infinite where none suffices."""

    def figure(composed: Composition, accuracy: Accuracy | None) -> Interval:
        return composed.epsilon(delta, accuracy)

    return _refined(known, figure, lambda ends: math.log(delta), math.log(delta))


def delta_ends(known: Known, epsilon: float) -> Ends:
    """The delta of the run at this ε >= 0."""

    def figure(composed: Composition, accuracy: Accuracy | None) -> Interval:
        return composed.delta(epsilon, accuracy)

    def log_delta(ends: Ends) -> float:
        return math.log(max(ends.lower, ends.upper * 1e-9, 1e-300))

    return _refined(known, figure, log_delta, 0.0)


def _refined(known: Known, figure: Figure, log_delta: Callable[[Ends], float], least: float) -> Ends:
    """Laws that are known on a lattice are taken on finer ones until that no longer pays. log_delta: of what was found;
    least: as far as it is known before."""
    if not any(pair.resolved for pair, _ in known):
        return _ends(known, figure)
    spare = SPARE + math.log(sum(count for _, count in known))
    best, resolution, halvings = Ends(0.0, math.inf, METHOD), _reaching(Resolution(), spare - least), 0
    for _ in range(ATTEMPTS):
        laws = resolved(known, resolution)
        try:
            found = _ends(laws, figure, Accuracy(0.25 * WIDTH))
        except NotCertified:  # beyond floats; what is proven without a lattice stands
            break
        before, best = best, _narrowed(best, found)
        further = _reaching(resolution, spare - log_delta(found))
        # Errors fall to a quarter with each halving: what is left of them is this share of what the last ones removed.
        moved = max(before.upper - best.upper, best.lower - before.lower)
        left = moved / (4.0**halvings - 1.0) if halvings else math.inf
        if further == resolution and min(best.relative_width * best.upper, left) <= WIDTH * best.upper:
            break
        excess = min(best.relative_width / (0.8 * WIDTH), 4.0**MOST_HALVINGS)
        halvings = math.ceil(0.5 * math.log2(max(excess, 1.0)))
        resolution = replace(further, halvings=further.halvings + halvings)
        if resolved(known, resolution) == laws:  # as fine as is tried
            break
    return replace(best, method=f"{METHOD}, allocations on a lattice {_finest(laws)}")


def _reaching(resolution: Resolution, least: float) -> Resolution:
    """Cutting off e^-least or less."""
    return replace(resolution, reach=max(REACH_STEP * math.ceil(least / REACH_STEP), resolution.reach))


def _finest(laws: Known) -> str:
    spacings = [law.spacing for pair, _ in laws for law in pair.directions]
    return f"of step {min(spacing for spacing in spacings if spacing is not None):.3g}"


def resolved(known: Known, resolution: Resolution) -> Known:
    """The pairs that are known on a lattice, as accurate as that."""
    return [(pair.resolved(resolution) if pair.resolved else pair, count) for pair, count in known]


def _narrowed(one: Ends, other: Ends) -> Ends:
    """One figure between the ends of two proofs."""
    lower, upper = max(one.lower, other.lower), min(one.upper, other.upper)
    if lower > upper:
        raise InternalError(
            f"the proven lower end {lower!r} exceeds the proven upper end {upper!r}. This is a bug in dpplan; please "
            "report the plan."
        )
    return Ends(lower, upper, other.method)


def _ends(known: Known, figure: Figure, accuracy: Accuracy | None = None) -> Ends:
    """From above by the pairs that dominate; from below by those that are realised, whichever choice tells most."""
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    try:
        return _composed(known, lambda composed, own: figure(composed, own or accuracy))
    except ArithmeticError as error:
        raise NotCertified("the plan's numbers are too large or too small for floats: nothing is proven.") from error


def _composed(known: Known, figure: Figure) -> Ends:
    dominating, realised = compositions(known)
    above = [figure(each, None) for each in dominating]
    below = [figure(each, _worth(each)) for choice in realised for each in choice]
    lowers, uppers = [each.lower for each in below or above], [each.upper for each in above]
    upper = math.inf if any(map(math.isnan, uppers)) else max(uppers)
    return Ends(max((value for value in lowers if not math.isnan(value)), default=0.0), upper, METHOD)


def _worth(composed: Composition) -> Accuracy | None:
    """How exactly a bound from below is computed: one that was cut into slices has lost more than this already."""
    return SLICED if any(type(law) is Finite for law, _ in composed.terms) else None


def compositions(known: Known) -> tuple[list[Composition], list[list[Composition]]]:
    """What bounds delta from above, in each direction (one, where both are the same), and for each choice among the
    pairs that are realised what bounds it from below; no choice where the dominating pairs are realised themselves."""
    choices = max(len(pair.realised) for pair, _ in known)
    realised = ([(pair.realisation(choice), steps) for pair, steps in known] for choice in range(choices))
    return _directions(known), [_directions(each) for each in realised]


def _directions(known: Known) -> list[Composition]:
    """What is composed in each direction; one, where both are the same."""
    remove = Composition.of((pair.remove, steps) for pair, steps in known)
    add = Composition.of((pair.add, steps) for pair, steps in known)
    return [remove] if remove == add else [remove, add]
