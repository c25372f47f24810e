"""Epsilon and delta of laws of any kind, both directions composed on their own and the larger taken at the end."""

import math
from collections.abc import Callable, Sequence

from dpplan.accounting.exact.general_lattice import Composition, Interval
from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.pairs import DominatingPair
from dpplan.errors import NotCertified

METHOD = "lattice of any law"
Known = Sequence[tuple[DominatingPair, int]]


def epsilon_ends(known: Known, delta: float) -> Ends:
    """The least ε of the run at this delta in (0, 1): lower <= truth <= upper; infinite where none suffices."""
    return _ends(known, lambda composed: composed.epsilon(delta))


def delta_ends(known: Known, epsilon: float) -> Ends:
    """The delta of the run at this ε >= 0."""
    return _ends(known, lambda composed: composed.delta(epsilon))


def _ends(known: Known, figure: Callable[[Composition], Interval]) -> Ends:
    """From above by the pairs that dominate; from below by those that are realised, whichever choice tells most."""
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    try:
        return _composed(known, figure)
    except ArithmeticError as error:
        raise NotCertified("the plan's numbers are too large or too small for floats: nothing is proven.") from error


def _composed(known: Known, figure: Callable[[Composition], Interval]) -> Ends:
    dominating, realised = compositions(known)
    above = [figure(each) for each in dominating]
    below = [figure(each) for choice in realised for each in choice]
    lowers, uppers = [each.lower for each in below or above], [each.upper for each in above]
    upper = math.inf if any(map(math.isnan, uppers)) else max(uppers)
    return Ends(max((value for value in lowers if not math.isnan(value)), default=0.0), upper, METHOD)


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
