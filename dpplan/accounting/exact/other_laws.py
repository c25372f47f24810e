"""Epsilon and delta of laws of any kind, both directions composed on their own and the larger taken at the end.

Where the transform of one of them decays, the fast engine first (mixed/); the lattice where that does not serve, or
proves less than NARROW. What both prove holds.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

from dpplan.accounting.exact import mixed
from dpplan.accounting.exact.general_lattice import Composition, Interval
from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.pairs import DominatingPair
from dpplan.errors import InternalError, NotCertified

METHOD = "lattice of any law"
NARROW = 1e-6  # the relative width beyond which the lattice is asked too
Known = Sequence[tuple[DominatingPair, int]]
Figure = Callable[[Composition], Ends]


def epsilon_ends(known: Known, delta: float) -> Ends:
    """The least ε of the run at this delta in (0, 1): lower <= truth <= upper; infinite where none suffices."""
    return _ends(
        known,
        lambda run: _narrowest(mixed.epsilon_ends(run, delta), lambda: run.epsilon(delta)),
        lambda run, best: mixed.epsilon_below(run, best, delta),
    )


def delta_ends(known: Known, epsilon: float) -> Ends:
    """The delta of the run at this ε >= 0."""
    return _ends(
        known,
        lambda run: _narrowest(mixed.delta_ends(run, epsilon), lambda: run.delta(epsilon)),
        lambda run, best: mixed.epsilon_below(run, epsilon, best),
    )


def _narrowest(fast: Ends | None, lattice: Callable[[], Interval]) -> Ends:
    if fast is not None and fast.relative_width <= NARROW:
        return fast
    found = lattice()
    ends = Ends(found.lower, found.upper, METHOD)
    if fast is None:
        return ends
    if fast.lower > found.upper or found.lower > fast.upper:
        raise InternalError(
            f"the lattice proves [{found.lower!r}, {found.upper!r}] and the contour [{fast.lower!r}, {fast.upper!r}], "
            "which do not meet. This is a bug in dpplan; please report the plan."
        )
    return ends.narrowed(fast)


def _ends(known: Known, figure: Figure, negligible: Callable[[Composition, float], bool]) -> Ends:
    """From above by the pairs that dominate; from below by those that are realised, whichever choice tells most.

    negligible: whether a direction's figure provably is no more than this, at little cost.
    """
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    figure = cache(figure)  # a plan that is realised is its own lower bound
    try:
        return _composed(known, figure, negligible)
    except ArithmeticError as error:
        raise NotCertified("the plan's numbers are too large or too small for floats: nothing is proven.") from error


def _composed(known: Known, figure: Figure, negligible: Callable[[Composition, float], bool]) -> Ends:
    dominating, realised = compositions(known)
    above = _larger(dominating, figure, negligible)
    below = [_larger(each, figure, negligible) for each in realised] or [above]
    return Ends(max(each.lower for each in below), above.upper, above.method, above.terms, above.contour)


def _larger(directions: list[Composition], figure: Figure, negligible: Callable[[Composition, float], bool]) -> Ends:
    """The larger of the directions' figures."""
    first, *others = directions
    ends = _sane(figure(first))
    for other in others:
        if not negligible(other, ends.lower):
            ends = ends.joined(_sane(figure(other)))
    return ends


def _sane(ends: Ends) -> Ends:
    """Without NaN, which proves nothing."""
    lower = 0.0 if math.isnan(ends.lower) else ends.lower
    upper = math.inf if math.isnan(ends.upper) else ends.upper
    return Ends(lower, upper, ends.method, ends.terms, ends.contour)


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
