"""What a record may keep from one phase of a plan to the next, or from one trial of a search: its group.

Whoever accounts for each phase on its own takes such draws to be made anew in each, and a record that keeps a group
which has one turn more than others pays more than that. Bins are drawn anew in each phase and in each trial: that is
what `same` promises, and what the assumptions of such a plan say.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from dpplan.accounting.pairs.dominating import stated
from dpplan.accounting.pairs.epochs import Terms, in_group
from dpplan.adjacency import Adjacency
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Poisson


def together(phases: Sequence[Phase], found: Sequence[Terms], adjacency: Adjacency) -> list[Terms]:
    """The pairs of each phase, found for each on its own, with what they are where a record keeps its place."""
    result = list(found)
    cut = [at for at, phase in enumerate(phases) if _cut_round(phase)]
    if len(cut) > 1 or any(_searches_with_cut_rounds(phase) for phase in phases):
        for at in cut:
            result[at] = _told_group(phases[at], adjacency)
    return result


def told(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Those of a trial, or beside a search whose trials have such rounds: a group may be the same in all of them. From
    above that of the first group, told to everybody: steps of Poisson sampling."""
    return tuple(_first_group(phase) if _cut_round(phase) else phase for phase in phases)


def told_beside(phases: Sequence[Phase], searches: Iterable[Phase]) -> tuple[Phase, ...]:
    """Phases, where these searches are parts of the same plan."""
    return told(phases) if any(_searches_with_cut_rounds(each) for each in searches) else tuple(phases)


def _first_group(phase: Phase) -> Phase:
    assert isinstance(phase.sampling, CyclicPoisson)
    turns = math.ceil(phase.steps / phase.sampling.groups)
    return dataclasses.replace(phase, sampling=Poisson(phase.sampling.sample_rate), steps=turns)


def _searches_with_cut_rounds(phase: Phase) -> bool:
    return any(_cut_round(each) for each in getattr(phase.mechanism, "inside", ()))


def _cut_round(phase: Phase) -> bool:
    scheme = phase.sampling
    return isinstance(scheme, CyclicPoisson) and scheme.assignment == "own" and phase.steps % scheme.groups > 0


def _told_group(phase: Phase, adjacency: Adjacency) -> Terms:
    """From above a group of the first, which has its turn in every round that is cut short; from below, one that has
    not: so it holds whether groups are kept or drawn anew."""
    assert isinstance(phase.sampling, CyclicPoisson)
    one, turns = in_group(phase, adjacency), phase.steps // phase.sampling.groups
    last = dataclasses.replace(one, realised=(stated(0.0, 0.0),))
    return ((one, turns), (last, 1)) if turns else ((last, 1),)
