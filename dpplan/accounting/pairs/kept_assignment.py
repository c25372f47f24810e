"""What a record may keep from one phase of a plan to the next: its group, or its bin. Phases then are no product.

Whoever accounts for each phase on its own takes such draws to be made anew in each, and a record that keeps a place
which is reached more often pays more than that.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from dpplan.accounting.pairs.dominating import stated
from dpplan.accounting.pairs.epochs import Terms, in_group
from dpplan.adjacency import Adjacency
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import BallsInBins, CyclicPoisson
from dpplan.sampling.balls_in_bins import SAME


def together(phases: Sequence[Phase], found: Sequence[Terms], adjacency: Adjacency) -> list[Terms]:
    """The pairs of each phase, found for each on its own, with what they are where a record keeps its place."""
    result = list(found)
    cut = [at for at, phase in enumerate(phases) if _cut_round(phase)]
    if len(cut) > 1:
        for at in cut:
            result[at] = _told_group(phases[at], adjacency)
    by_length: dict[int, list[int]] = {}
    for at, phase in enumerate(phases):
        if isinstance(phase.sampling, BallsInBins) and phase.sampling.bins == SAME:
            by_length.setdefault(phase.sampling.steps_per_epoch, []).append(at)
    for length, numbers in by_length.items():
        if len(numbers) > 1 and length > 1:
            for at in numbers:
                result[at] = ()
            result[numbers[0]] = _one_bin(length, [phases[at] for at in numbers])
    return result


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


def _one_bin(length: int, phases: Iterable[Phase]) -> Terms:
    """One bin for all phases. It dominates bins that are drawn anew in each, which are as good as a draw of how the
    bins of one phase are numbered in the next, and then one bin for all: not to be told that draw tells less (joint
    convexity)."""
    from dpplan.accounting.pairs.allocated_rounds import kept_bins
    from dpplan.accounting.pairs.allocation.lognormal_mean import check_noise

    squares = [0.0] * length  # Σ 1/σ² of the steps at which a bin is reached
    for phase in phases:
        noise = Gaussian.of(phase.mechanism).noise_multiplier
        check_noise(noise)
        whole, rest = divmod(phase.steps, length)
        squares = [each + (whole + (at < rest)) / noise**2 for at, each in enumerate(squares)]
    counted: dict[float, int] = {}
    for each in squares:
        counted[each] = counted.get(each, 0) + 1
    parts = tuple((1.0 / math.sqrt(each), bins) for each, bins in counted.items() if each > 0.0)
    return kept_bins(parts, length)
