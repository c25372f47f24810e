"""The pairs of mechanisms that are known by the epsilon of a release, or by what is stated of them.

Their epsilon is for the neighbours of the plan, so one pair serves every relation. Where a mechanism is only known to
be private, no neighbours need realise its pair: then the truth lies between nothing and the pair's figure.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.combined_laws import Reversed
from dpplan.accounting.pairs.dominating import DominatingPair, gaussian, laplace, stated, subsampled
from dpplan.accounting.pairs.finite import AnswerLoss, DiscreteLaplaceLoss, ZeroedAnswerLoss
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import (
    AboveThreshold,
    DiscreteLaplace,
    Exponential,
    Laplace,
    Mechanism,
    NoisyMax,
    PermuteAndFlip,
    RandomizedResponse,
    Stated,
    StatedGdp,
    StatedRenyi,
    StatedZcdp,
    kind_of,
)
from dpplan.plan import Phase
from dpplan.plan_assumptions import AS_GOOD_AS_NONE
from dpplan.sampling import Poisson


def discrete_laplace(epsilon: float, sensitivity: int) -> DominatingPair:
    """Two-sided geometric noise on a whole number.

    It dominates: for neighbours u <= Δ apart, dP/dQ rises along the line, so the best events are half-lines, whose
    P-mass rises with u while their Q-mass stays; u = Δ is worst, and realised. Reflection exchanges the directions.
    """
    law = DiscreteLaplaceLoss(epsilon, sensitivity)
    return DominatingPair(
        law, law, "two-sided geometric noise: half-lines are optimal, and the whole sensitivity worst"
    )


def answer(epsilon: float, categories: int) -> DominatingPair:
    """k-ary randomized response, one answer replaced: all pairs of answers have this very law."""
    law = AnswerLoss(epsilon, categories)
    return DominatingPair(law, law, "the outputs' laws under two different answers, the same for every two")


def zeroed_answer(epsilon: float, categories: int) -> DominatingPair:
    """k-ary randomized response of an answer, or, of a record that is zeroed out, a uniform one, which tells nothing.
    The law is the same for every answer. That a zeroed record answers so is an assumption of the figure, and told with
    it (plan_assumptions).

    One that answers as some category would, by whatever law w over them, has the pair `answer` at most: its law is
    Σ w_j·P_j, with P_j that of category j, and H_a being convex in each of its arguments, H_a(P_i||Σ w_j·P_j) <=
    Σ w_j·H_a(P_i||P_j) <= H_a(P_1||P_2), and so with the two exchanged (of j = i it is the least there is). With
    uniform w it is the answer of here: this pair never costs more than that one. Where a zeroed record answers in an
    unknown way, replace-one is the claim.
    """
    law = ZeroedAnswerLoss(epsilon, categories)
    return DominatingPair(law, Reversed(law), "the outputs' law under an answer against uniform, the same for each")


def at_most(pair: DominatingPair, theorem: str) -> DominatingPair:
    """The pair, of a mechanism that need not realise it, and may tell nothing at all."""
    return dataclasses.replace(pair, theorem=theorem, realised=(stated(0.0, 0.0),))


def _laplace(mechanism: Laplace) -> DominatingPair:
    return laplace(1.0 / mechanism.epsilon)


def _discrete_laplace(mechanism: DiscreteLaplace) -> DominatingPair:
    return discrete_laplace(mechanism.epsilon, mechanism.sensitivity)


def _stated(mechanism: Stated) -> DominatingPair:
    return stated(mechanism.epsilon, mechanism.delta)


def _stated_gdp(mechanism: StatedGdp) -> DominatingPair:
    theorem = "what is mu-GDP is dominated by N(mu, 1) against N(0, 1): Dong, Roth, Su 2022 (arXiv:1905.02383), Def 2.6"
    return at_most(gaussian(1.0 / mechanism.mu), theorem)


def _pure(mechanism: Exponential | NoisyMax | PermuteAndFlip) -> DominatingPair:
    theorem = f"{mechanism.kind}: (ε, 0)-private, and dominated as all that is: {stated(0.0, 0.0).theorem}"
    return at_most(stated(mechanism.epsilon, 0.0), theorem)


def _above_threshold(mechanism: AboveThreshold) -> DominatingPair:
    theorem = "above-threshold: (1/b1 + 2c/b2, 0)-private, or c/b2 if monotone: Lyu, Su, Li 2017 (arXiv:1603.01699)"
    return at_most(stated(outward.up(mechanism.epsilon, outward.FEW), 0.0), theorem)


# The pair of one release in which every record takes part, by exact type.
WHOLE: Mapping[type[Mechanism], Callable[..., DominatingPair]] = MappingProxyType(
    {
        Laplace: _laplace,
        DiscreteLaplace: _discrete_laplace,
        Stated: _stated,
        StatedGdp: _stated_gdp,
        Exponential: _pure,
        NoisyMax: _pure,
        PermuteAndFlip: _pure,
        AboveThreshold: _above_threshold,
    }
)


def _sampled(phase: Phase) -> DominatingPair:
    pair = WHOLE[type(phase.mechanism)](phase.mechanism)
    return subsampled(pair, Poisson.of(phase.sampling).sample_rate)


def _zeroed(phase: Phase) -> DominatingPair:
    """Steps differ where the record is drawn, by a pair that is private for such neighbours. What amplifies that is
    that a step without the record is one of them: of a mechanism that told a zeroed record from none, sampling would
    leave ε what it is."""
    pair = _sampled(phase)
    if Poisson.of(phase.sampling).sample_rate == 1.0:
        return pair
    return dataclasses.replace(pair, theorem=f"{pair.theorem}, {AS_GOOD_AS_NONE}")


def _replaced(phase: Phase) -> DominatingPair:
    if Poisson.of(phase.sampling).sample_rate != 1.0:
        raise NotApplicable(
            f"{kind_of(phase.mechanism)} under Poisson sampling is known where a record is added or removed or zeroed "
            "out, and here it is replaced. Try --adjacency add-remove or zero-out, or no sampling"
        )
    if isinstance(phase.mechanism, AboveThreshold) and phase.mechanism.queries == "monotone":
        raise NotApplicable(
            "queries=monotone is no property of a record that is replaced: the one that leaves moves some queries one "
            "way, and the one that comes others the other way. Try queries: any, or adjacency zero-out or add-remove"
        )
    return _sampled(phase)


def _answered(pair: Callable[[float, int], DominatingPair]) -> Callable[[Phase], DominatingPair]:
    def of_phase(phase: Phase) -> DominatingPair:
        mechanism = phase.mechanism
        assert isinstance(mechanism, RandomizedResponse)  # PAIRS goes by exact type
        if Poisson.of(phase.sampling).sample_rate != 1.0:
            raise NotApplicable("randomized-response is answered by every record, and here records are sampled")
        return pair(mechanism.epsilon, mechanism.categories)

    return of_phase


PAIRS: Mapping[tuple[type, type, Adjacency], Callable[[Phase], DominatingPair]] = MappingProxyType(
    {
        **{(kind, Poisson, ADD_REMOVE): _sampled for kind in WHOLE},
        **{(kind, Poisson, ZERO_OUT): _zeroed for kind in WHOLE},
        **{(kind, Poisson, REPLACE_ONE): _replaced for kind in WHOLE},
        (RandomizedResponse, Poisson, REPLACE_ONE): _answered(answer),
        (RandomizedResponse, Poisson, ZERO_OUT): _answered(zeroed_answer),
    }
)
# Known by moments alone: why there is no pair, and who answers.
_MOMENTS = "bounds moments of the privacy loss only, and no pair of laws dominates all that has it"
MOMENTS_ONLY: Mapping[type[Mechanism], str] = MappingProxyType(
    {
        StatedZcdp: f"a stated rho-zCDP {_MOMENTS} (the Gaussian of the same rho is no upper bound). Ask --accountant "
        "rdp of dpplan epsilon or delta",
        StatedRenyi: f"a stated Rényi curve {_MOMENTS}. Ask --accountant rdp of dpplan epsilon or delta",
    }
)
WITHOUT: Mapping[tuple[type, Adjacency], str] = MappingProxyType(
    {
        (RandomizedResponse, ADD_REMOVE): "how many answers there are is seen, so neighbours have equally many. Try "
        "replace-one or zero-out",
    }
)
