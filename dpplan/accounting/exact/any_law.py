"""Epsilon and delta of laws of any kind, both directions composed on their own and the larger taken at the end."""

from collections.abc import Sequence

from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.exact.lattice import Composition, Interval
from dpplan.accounting.pairs import DominatingPair
from dpplan.errors import NotCertified

METHOD = "lattice of any law"
Known = Sequence[tuple[DominatingPair, int]]


def epsilon_ends(known: Known, delta: float) -> Ends:
    """The least ε of the run at this delta in (0, 1): lower <= truth <= upper; infinite where none suffices."""
    return _larger([direction.epsilon(delta) for direction in _directions(known)])


def delta_ends(known: Known, epsilon: float) -> Ends:
    """The delta of the run at this ε >= 0."""
    return _larger([direction.delta(epsilon) for direction in _directions(known)])


def _directions(known: Known) -> list[Composition]:
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    remove = Composition.of((pair.remove, steps) for pair, steps in known)
    add = Composition.of((pair.add, steps) for pair, steps in known)
    return [remove] if remove == add else [remove, add]


def _larger(found: Sequence[Interval]) -> Ends:
    return Ends(max(each.lower for each in found), max(each.upper for each in found), METHOD)
