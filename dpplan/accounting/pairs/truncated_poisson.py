"""Poisson batches with a limit: how often one is cut, and the pair of such a step."""

import math

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.binomial import binomial_tails
from dpplan.accounting.pairs.combined_laws import Mixture
from dpplan.accounting.pairs.dominating import DominatingPair, gaussian, replaced, subsampled
from dpplan.adjacency import REPLACE_ONE, Adjacency
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import TruncatedPoisson

LEAST_WEIGHT = 1e-290  # of a law in a mixture; what is rarer is taken to be this frequent, from above


@dataclass(frozen=True, slots=True)
class CutChance:
    """What a limit does to a record's step. Chances with a bound on their relative error.

    full: the chance τ that the others alone fill the batch, P[Bin(n - 1, q) >= cap]. not_full: 1 - τ. displaced: from
    above, the chance q' of a record to be in a batch that the others fill. present: from below, its chance to be in a
    batch, whatever the others do.
    """

    full: float
    not_full: float
    displaced: float
    present: float
    off: float

    @classmethod
    def of(cls, scheme: TruncatedPoisson) -> "CutChance":
        """q' = P[Bin(n, q) >= cap + 1]·cap / (n·τ): of k >= cap others and the record, when its coin says yes, cap are
        kept, so it stays with cap / (k + 1); the sum over k of q·cap / (k + 1)·P[Bin(n - 1, q) = k] is this."""
        q, cap, n = scheme.sample_rate, scheme.cap, scheme.examples
        if cap >= n:
            return cls(0.0, 1.0, 0.0, q, 0.0)
        if q == 1.0:  # n - 1 others fill every batch
            kept = cap / n
            return cls(1.0, 0.0, outward.up(kept, outward.ARITHMETIC), outward.down(kept, outward.ARITHMETIC), 0.0)
        others, everyone = binomial_tails(cap, n - 1, q), binomial_tails(cap + 1, n, q)
        off = others.off + everyone.off + 1e-13
        displaced = math.exp(everyone.log_from - others.log_from) * cap / n
        full, not_full = math.exp(others.log_from), math.exp(others.log_below)
        present = not_full * q + math.exp(everyone.log_from) * cap / n
        return cls(full, not_full, min(displaced * (1.0 + 2.0 * off), q), present * (1.0 - 2.0 * off), off)


def truncated(noise_multiplier: float, scheme: TruncatedPoisson, adjacency: Adjacency) -> DominatingPair:
    """Gaussian noise on Poisson batches of at most `cap` of n examples, n being public.

    It dominates. Let O be the others whose coins say yes, which has one law under both neighbours. With |O| < cap the
    record joins by its own coin: given O, a step of Poisson sampling. With |O| >= cap, an event of chance τ under both,
    whether the record is kept says nothing about which others are: without it the batch is a uniform subset of cap
    others whatever |O| is, and with it one of cap - 1. So given that event the step is (1 - q')·U + q'·V with q' the
    chance to be kept (`CutChance`). Drawing U's subset first, and for V an element of it that the record displaces, the
    pair given both is (1 - q')·N(0) + q'·N(u) against (1 - q')·N(0) + q'·N(v), where u and v are differences of two
    clipped gradients, at most 2 long: by `replaced` the worst is ±2. H_a is jointly convex, so the mixture over the
    event, seen by everybody, dominates: the mixture law that Google's dp_accounting has for this mechanism.

    From below: over a background of zeros the record is in the batch with chance `present`, and nothing else moves.
    """
    cut = CutChance.of(scheme)
    plain = _poisson(noise_multiplier, scheme.sample_rate, adjacency)
    if cut.full == 0.0 and cut.off == 0.0:
        return plain
    displacing = replaced(noise_multiplier / 2.0, cut.displaced)
    weights = (max(cut.not_full, LEAST_WEIGHT), max(cut.full, LEAST_WEIGHT))
    remove, add = (
        Mixture(tuple(zip(weights, laws, strict=True)), cut.off)
        for laws in ((plain.remove, displacing.remove), (plain.add, displacing.add))
    )
    theorem = "Poisson batches that are cut: a mixture over whether the others fill them (derived at pairs.truncated)"
    return DominatingPair(remove, add, theorem, realised=(_poisson(noise_multiplier, cut.present, adjacency),))


def _poisson(noise_multiplier: float, sample_rate: float, adjacency: Adjacency) -> DominatingPair:
    if adjacency == REPLACE_ONE:
        return replaced(noise_multiplier, sample_rate)
    return subsampled(gaussian(noise_multiplier), sample_rate)
