"""Schemes in which the steps of an epoch depend on each other: the pairs of a phase, and how often each counts."""

import dataclasses
import math

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.dominating import DominatingPair, gaussian, mixed, replaced, stated, subsampled
from dpplan.accounting.pairs.sliced_outputs import largest_of_epoch
from dpplan.adjacency import REPLACE_ONE, Adjacency
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Shuffle

Terms = tuple[tuple[DominatingPair, int], ...]
# Means of a record's step under the two neighbours, with the others' sums at 0: over a background of opposite
# gradients, and of zeros.
SHIFTS = {"zero_out": ((2.0, 1.0), (1.0, 0.0)), "replace_one": ((2.0, 0.0),)}


def shuffled(phase: Phase, adjacency: Adjacency) -> Terms:
    """Batches cut from shuffled data. n is the same for both neighbours, or the batches would be cut anew.

    From above: told the order, an observer faces one step in each epoch that holds the record, and in it Gaussian noise
    without sampling: E epochs of N(1, σ²) against N(0, σ²), of N(2, σ²) where the record is replaced. No theorem is
    known that lets the order help. From below: the largest output of an epoch; where the order is drawn once, of the
    epochs' mean, in which every record has its one step and the noise is σ/√E.
    """
    assert isinstance(phase.sampling, Shuffle)
    scheme, sigma = phase.sampling, Gaussian.of(phase.mechanism).noise_multiplier
    reach = adjacency.sensitivity
    per_epoch, (whole, further) = scheme.steps_per_epoch, divmod(phase.steps, scheme.steps_per_epoch)
    if per_epoch == 1:
        return ((gaussian(sigma / reach), phase.steps),)
    if scheme.order == "once" and whole > 0:
        epochs = whole + (further > 0)
        above = gaussian(outward.down(sigma / reach / math.sqrt(epochs), outward.ARITHMETIC))
        below = (outward.up(sigma / math.sqrt(whole), outward.ARITHMETIC), per_epoch, per_epoch)
        return ((_between(above, below, adjacency), 1),)
    parts = [(per_epoch, whole)] if whole else []
    parts += [(further, 1)] if further else []
    return tuple(
        (_between(gaussian(sigma / reach), (sigma, per_epoch, taken), adjacency), count) for taken, count in parts
    )


def _between(above: DominatingPair, below: tuple[float, int, int], adjacency: Adjacency) -> DominatingPair:
    realised = tuple(largest_of_epoch(*below, shift, other) for shift, other in SHIFTS[adjacency.name])
    return dataclasses.replace(above, theorem="shuffled batches: from above without amplification", realised=realised)


def cyclic(phase: Phase, adjacency: Adjacency) -> Terms:
    """Groups that take turns: a record is drawn by Poisson sampling at the steps of its group and at no others.

    By place the group is known and, at worst, the first, which has ⌈steps / groups⌉ turns. By a draw of its own, which
    the others' groups say nothing about and which is then no secret, it has one turn more than ⌊steps / groups⌋ with
    chance (steps mod groups) / groups: a public coin for the last of them.
    """
    assert isinstance(phase.sampling, CyclicPoisson)
    scheme, one = phase.sampling, in_group(phase, adjacency)
    turns, further = divmod(phase.steps, scheme.groups)
    if scheme.assignment == "place" or further == 0:
        return ((one, turns + (further > 0)),)
    last = mixed(((further / scheme.groups, one), (1.0 - further / scheme.groups, stated(0.0, 0.0))))
    return ((one, turns), (last, 1)) if turns else ((last, 1),)


def in_group(phase: Phase, adjacency: Adjacency) -> DominatingPair:
    """A step of the record's own group."""
    assert isinstance(phase.sampling, CyclicPoisson)
    sigma, sample_rate = Gaussian.of(phase.mechanism).noise_multiplier, phase.sampling.sample_rate
    if adjacency == REPLACE_ONE:
        return replaced(sigma, sample_rate)
    return subsampled(gaussian(sigma), sample_rate)


def most_participations(phase: Phase) -> int:
    """In how many steps of the phase one record can be."""
    scheme = phase.sampling
    apart = {Shuffle: "steps_per_epoch", CyclicPoisson: "groups"}.get(type(scheme))
    return math.ceil(phase.steps / int(getattr(scheme, apart))) if apart else phase.steps
