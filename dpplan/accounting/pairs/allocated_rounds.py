"""The pairs of schemes that allocate: a record joins so many of the steps of a round, and which, is drawn for all at
once. It is a round that has a pair, not a step."""

import dataclasses
import functools
import math

from dpplan.accounting.pairs.allocation import AllocationLoss, Mean, Side, UnknownLoss
from dpplan.accounting.pairs.combined_laws import Reversed
from dpplan.accounting.pairs.dominating import DominatingPair, Resolution, gaussian, stated, subsampled

Terms = tuple[tuple[DominatingPair, int], ...]
DEFAULT = Resolution()
RARE = 10  # of so many times as many steps, few are taken
BINS = "one step of each epoch: Chua et al. 2024 (arXiv:2412.16802); its law by convex order (pairs.allocation)"
BLOCKS = (
    "some steps of each round, from above a step of each of as many blocks: Feldman, Shenfeld 2025 (arXiv:2502.08202)"
)


def allocated(mean: Mean, resolution: Resolution = DEFAULT) -> DominatingPair:
    """An epoch in which a record joins one of the steps, chosen uniformly: P/Q is such a mean under Q = N(0, σ²I).

    It dominates. Given the bins of all others, which do not depend on this record's, and the outputs so far, a step
    releases what it would without the record, plus v where the record's bin is this one, |v| <= 1, plus noise. From
    x ~ N(0, σ²) or N(1, σ²) that output is made by adding x·v and independent noise of covariance σ²(I - v·v^T): the
    run is post-processing of x_1, x_2, ..., whose two laws are the pair, in either order. It is realised by gradients
    that stay as they are. Bins that are kept for E epochs give x_t the sum of E steps: σ/√E.
    """
    ((noise, count), *rest) = mean.parts
    if count == 1 and not rest:  # one step, in which the record is with the chance 1 / total
        return subsampled(gaussian(noise), 1.0 / mean.total)
    if not mean.within_reach:
        return _beyond_floats()
    if RARE * mean.drawn < mean.total:
        return _rarely(mean, resolution)
    if not (mean.by_sums or mean.fits):
        return _beyond_floats()
    above, below = _between(mean, "above", resolution), _between(mean, "below", resolution)
    return dataclasses.replace(above, realised=(below,), resolved=functools.partial(allocated, mean))


def _rarely(mean: Mean, resolution: Resolution) -> DominatingPair:
    """Few of very many steps are taken: in one of them with the chance drawn / total, and then as if there were no
    others, P = (1 - w)·Q + w·P', which is what sampling makes of a pair. No lattice is as fine as the whole is narrow.
    """
    inner = allocated(Mean(mean.parts, mean.drawn), resolution)
    found = subsampled(inner, mean.drawn / mean.total)
    resolved = functools.partial(_rarely, mean) if inner.resolved is not None else None
    return dataclasses.replace(found, theorem=BINS, resolved=resolved)


def _between(mean: Mean, side: Side, resolution: Resolution) -> DominatingPair:
    remove = AllocationLoss(mean, side, "remove", resolution.halvings, resolution.reach)
    return DominatingPair(remove, Reversed(dataclasses.replace(remove, direction="add")), BINS)


def _beyond_floats() -> DominatingPair:
    """Where there is so little noise that losses leave the range of floats, or a lattice would have too many points,
    the laws say nothing; what is proven without them (exact.allocation_floor, and the cost without sampling) stands."""
    return DominatingPair(UnknownLoss(), UnknownLoss(), BINS, realised=(stated(0.0, 0.0),))


def balls_in_bins(noise: float, per_epoch: int, steps: int) -> Terms:
    """Fresh bins each epoch, which is a product; of a last epoch that is cut short only the bins that were reached."""
    whole, rest = divmod(steps, per_epoch)
    found = [(allocated(Mean(((noise, per_epoch),), per_epoch)), whole)] if whole else []
    return (*found, (allocated(Mean(((noise, rest),), per_epoch)), 1)) if rest else tuple(found)


def same_bins(noise: float, per_epoch: int, steps: int) -> Terms:
    """One assignment for all epochs: a bin that is reached k times tells as much as once with the noise σ/√k."""
    whole, rest = divmod(steps, per_epoch)
    counted = ((whole + 1, rest), (whole, per_epoch - rest))
    parts = tuple((noise / math.sqrt(times), bins) for times, bins in counted if times and bins)
    return ((allocated(Mean(parts, per_epoch)), 1),)


def random_allocation(noise: float, times: int, per_round: int, steps: int) -> Terms:
    """So many of the steps of each round, all choices alike.

    From above: the same as first to split the round into `times` blocks at random, of ⌊t/k⌋ steps or one more, and
    then to join a step of each; to know the split can only tell more (joint convexity), and leaves allocations of one
    step. A round that is cut short is one of which something is not seen (post-processing). From below: the sum of a
    whole round's outputs is N(k, tσ²) against N(0, tσ²). One step of each round is what balls in bins draw too, whose
    pair is realised.
    """
    if times == 1:
        return balls_in_bins(noise, per_round, steps)
    rounds, whole = -(-steps // per_round), steps // per_round
    length, longer = divmod(per_round, times)
    blocks = [(length, (times - longer) * rounds), (length + 1, longer * rounds)]
    terms: list[tuple[DominatingPair, int]] = []
    for size, count in blocks:
        if count:
            # The sums of all rounds are one Gaussian, which is counted with the first block alone.
            told = stated(0.0, 0.0)
            if whole and not terms:
                told = gaussian(noise * math.sqrt(per_round * count / whole) / times)
            terms.append((_from_above(Mean(((noise, size),), size), told), count))
    return tuple(terms)


def _from_above(mean: Mean, below: DominatingPair, resolution: Resolution = DEFAULT) -> DominatingPair:
    pair = allocated(mean, resolution)
    resolved = functools.partial(_from_above, mean, below) if pair.resolved is not None else None
    return dataclasses.replace(pair, theorem=BLOCKS, realised=(below,), resolved=resolved)
