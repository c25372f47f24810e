"""Of which phases it matters who is in which batch, and whether a loader draws them as their figure assumes."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

from dpplan import sampling
from dpplan.adjacency import ADD_REMOVE, Adjacency
from dpplan.loader_run import upper_end_holds
from dpplan.mechanism import BestOfTrials
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan
from dpplan.plan_assumptions import declares_steps
from dpplan.sampling import SCHEMES, FixedSize, Poisson, Shuffle

FIXED_ORDER = "sequential"  # the one loader here that goes through the data in the same order each epoch
# How each loader draws; one without a theorem, by nothing that a plan can name.
DRAWS: Mapping[str, type | None] = {
    "poisson": Poisson,
    "shuffle": Shuffle,
    "fixed": FixedSize,
    **{each.name: SCHEMES.get(each.scheme or "") for each in sampling.LOADERS.values()},
}


def by_chance(plan: Plan) -> Iterator[Phase]:
    """The phases of which it matters who is in which batch, as not everybody is in all; of a search, those of its
    trials. That is where chance decides, and where noise that steps share is for records in some of them."""
    for phase in plan.phases:
        search = phase.mechanism
        inside = search.inside if isinstance(search, BestOfTrials) else (phase,)
        yield from (each for each in inside if each.sampling != Poisson(1.0) or declares(each))


def declares(phase: Phase) -> bool:
    """Whether it is declared, and not said by the sampling, in how many steps a record is, and how far apart."""
    return phase.sampling == Poisson(1.0) and declares_steps(phase.mechanism, phase.steps)


def drawn_by(plan: Plan, loader: str) -> bool:
    """Whether every phase of which it matters who is in which batch is drawn as this loader draws."""
    return next(drawn_otherwise(plan, loader), None) is None


def drawn_otherwise(plan: Plan, loader: str) -> Iterator[Phase]:
    """The phases that this loader does not draw as their figure assumes."""
    for phase in by_chance(plan):
        if not (_keeps_steps(phase, loader, plan.adjacency) if rests_on_steps(phase) else _same_scheme(phase, loader)):
            yield phase


def rests_on_steps(phase: Phase) -> bool:
    """Whether noise that steps share is for a record whose steps no chance decides anew: declared, or one fixed order.
    Of groups that take turns the scheme says all."""
    return declares(phase) or (isinstance(phase.mechanism, Correlated) and isinstance(phase.sampling, Shuffle))


def _same_scheme(phase: Phase, loader: str) -> bool:
    return type(phase.sampling) is DRAWS[loader]


def _keeps_steps(phase: Phase, loader: str, adjacency: Adjacency) -> bool:
    """Whether a record's steps are as the figure takes them: at most so many, and so far apart.

    A loader that takes each example once an epoch keeps that where epochs are as long as the steps are apart and no
    more than a record's steps: in a fixed order the steps are an epoch apart; in a new order for each epoch the last
    step of one may be followed by the first of the next. Of batches that are cut from a list all move where a record is
    removed, so that nothing is kept under add-remove. Whatever draws records one by one may draw one in every step.
    """
    if adjacency == ADD_REMOVE or DRAWS[loader] is not Shuffle or not upper_end_holds(loader):
        return False
    return loader == FIXED_ORDER or (declares(phase) and getattr(phase.mechanism, "separation", 1) == 1)


def changed(phase: Phase, change: Callable[[Phase], Phase]) -> Phase:
    """The phase so changed; of a search, those of its trials."""
    search = phase.mechanism
    if not isinstance(search, BestOfTrials):
        return change(phase)
    first, *others = (tuple(map(change, kind)) for kind in search.kinds)
    return dataclasses.replace(phase, mechanism=dataclasses.replace(search, phases=first, others=tuple(others)))
