"""Counts of which the large are released, names and all: what the noise tells, and what a name tells.

Let a record be in k partitions, in j of which it is alone. In the k - j others it moves a noisy count by 1, and keeping
small counts back is post-processing. Of the j, a neighbour without the record has nothing to release; they show nothing
at all with chance 1 - ψ_j, ψ_j = 1 - P[1 + noise < τ]^j, and else a name that gives the record away. So with removal

    P = ψ_j·(revealed) + (1 - ψ_j)·N_(k-j)   against   Q = N'_(k-j),

with N_i and N'_i the noise on i counts that are moved, and that are not: δ(ε) is the largest over j of
ψ_j + (1 - ψ_j)·δ_(k-j)(ε - log(1 - ψ_j)) (Wilkins et al. 2024, arXiv:2202.01100, for Gaussian noise).

From above one pair serves all j: revealed with chance ψ_k, in either order, and else N_k against N'_k. For removal,
H_a(P||Q) <= ψ_j + (1 - ψ_j)·H_a(N_k||N'_k), which rises with ψ; for adding, H_a(N'||(1 - ψ)N) <= ψ + (1 - ψ)·
H_a(N'||N), since N' = ψN' + (1 - ψ)N'. From below stand j = 0, approached where the other counts are large, and j = k.
"""

import dataclasses
import math

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.normal import normal_tail
from dpplan.accounting.pairs.dominating import DominatingPair, gaussian, laplace, stated
from dpplan.accounting.pairs.epochs import Terms
from dpplan.accounting.pairs.finite import Finite
from dpplan.adjacency import Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism.thresholds import ThresholdedCounts
from dpplan.plan import Phase
from dpplan.sampling import Poisson

THEOREM = (
    "counts above a threshold: a name tells all or the noise on each count (Wilkins et al. 2024, arXiv:2202.01100)"
)


def name_chance(mechanism: ThresholdedCounts) -> tuple[float, float]:
    """At least and at most the chance that a name is shown which only the record has."""
    beyond = (mechanism.threshold - 1.0) / mechanism.noise_scale
    one = 0.5 * math.exp(-beyond) if mechanism.noise == "laplace" else normal_tail(beyond)
    ends = (outward.down(one, outward.SERIES), outward.up(one, outward.SERIES))
    low, high = (-math.expm1(mechanism.partitions * math.log1p(-end)) for end in ends)
    return outward.down(low, outward.FEW), min(outward.up(high, outward.FEW), 1.0 - 1e-12)


def thresholded_terms(phase: Phase, _: Adjacency) -> Terms:
    """The pairs of a phase: the noise, and the name."""
    mechanism = phase.mechanism
    assert isinstance(mechanism, ThresholdedCounts)  # PHASE_PAIRS goes by exact type
    if Poisson.of(phase.sampling).sample_rate != 1.0:
        raise NotApplicable("thresholded-counts is known without sampling, and here records are sampled")
    low, high = name_chance(mechanism)
    nothing = stated(0.0, 0.0)
    if mechanism.noise == "laplace":
        noise, count = laplace(mechanism.noise_scale), phase.steps * mechanism.partitions
    else:
        noise, count = gaussian(mechanism.noise_scale / math.sqrt(mechanism.partitions)), phase.steps
    told = stated(0.0, high)
    return (
        (dataclasses.replace(noise, theorem=THEOREM, realised=(noise, nothing)), count),
        (dataclasses.replace(told, theorem=THEOREM, realised=(nothing, _alone(low))), phase.steps),
    )


def _alone(chance: float) -> DominatingPair:
    """A record that is alone in all its partitions."""
    if chance <= 0.0:
        return stated(0.0, 0.0)
    rows = ((chance, 0.0), (1.0 - chance, 1.0))
    return DominatingPair(Finite(rows), Finite(tuple((q, p) for p, q in rows)), THEOREM, dominates=False)
