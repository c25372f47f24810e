"""Dominating pairs: what one step can tell about one record, for each direction, as a law that engines compose.

A pair (P, Q) dominates a step when H_a(M(D) || M(D')) <= H_a(P || Q) for all neighbours D, D' and all a >= 0, with
H_a(P || Q) = ∫(dP - a·dQ)₊. Dominating pairs compose, adaptively too: step by step, the product of the pairs dominates
the run (Zhu, Dong, Wang 2022, arXiv:2106.08567, Thm 10), each direction on its own. `of` says which pair that is for
a step of a phase of a plan, with the theorem, and `terms` which pairs a whole phase has: where the steps of an epoch
depend on each other, it is the epoch that has a pair. `dominating` holds the pairs that have no plan yet.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from dpplan.accounting.pairs import correlated, declared_epsilon
from dpplan.accounting.pairs.combined_laws import Mixture, Reversed, Subsampled
from dpplan.accounting.pairs.discrete_gaussian import discrete_gaussian_terms
from dpplan.accounting.pairs.dominating import (
    DominatingPair,
    Resolution,
    fixed_size,
    fixed_size_replaced,
    gaussian,
    laplace,
    mixed,
    randomized_response,
    replaced,
    sampled_gaussian,
    stated,
    subsampled,
)
from dpplan.accounting.pairs.epochs import Terms, cyclic, shuffled
from dpplan.accounting.pairs.finite import Finite, ResponseLoss, StatedLoss
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss, TwiceAgainstOnce
from dpplan.accounting.pairs.kept_assignment import together, told, told_beside
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.law import Array, Atoms, Law, Masses, nothing
from dpplan.accounting.pairs.replace_one import Mirrored, ReplacedGaussianLoss
from dpplan.accounting.pairs.thresholded_counts import thresholded_terms
from dpplan.accounting.pairs.truncated_poisson import truncated
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import (
    BufferedNoise,
    DiscreteGaussian,
    Gaussian,
    MatrixNoise,
    ThresholdedCounts,
    ToeplitzNoise,
    TreeAggregation,
    kind_of,
)
from dpplan.plan import Phase
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, RandomAllocation, Shuffle, TruncatedPoisson
from dpplan.sampling.balls_in_bins import SAME
from dpplan.sampling.poisson import FULL_BATCH
from dpplan.units import APART, WHOLE_ONLY

__all__ = [
    "Array",
    "Atoms",
    "DominatingPair",
    "Finite",
    "GaussianLoss",
    "LaplaceLoss",
    "Law",
    "Masses",
    "Mirrored",
    "Mixture",
    "ReplacedGaussianLoss",
    "Resolution",
    "ResponseLoss",
    "Reversed",
    "StatedLoss",
    "Subsampled",
    "Terms",
    "fixed_size",
    "fixed_size_replaced",
    "gaussian",
    "grouped",
    "laplace",
    "mixed",
    "no_group",
    "nothing",
    "of",
    "randomized_response",
    "replaced",
    "sampled_gaussian",
    "stated",
    "subsampled",
    "terms",
    "together",
    "told",
    "told_beside",
]

MOST_MEMBERS = 1024  # examples of a user that are drawn one by one: so many take some seconds, and 10^6 minutes
# Units whose removal moves a clipped sum by one clip norm, whatever they are called, as long as they are clipped whole.
UNITS = frozenset({"example", "user"})


def of(phase: Phase, adjacency: Adjacency, unit: str) -> DominatingPair:
    """The pair of one step of this phase. Raises NotApplicable, with the reason, for all that no theorem is known for.

    By exact type: a subclass may do something else to a record than its parent, and nothing here would notice.
    """
    kinds = (type(phase.mechanism), type(phase.sampling), adjacency)
    if type(phase) is not Phase or kinds not in PAIRS or unit not in UNITS:
        raise NotApplicable("; ".join(_refusals(phase, adjacency, unit)))
    return PAIRS[kinds](phase)


def terms(phase: Phase, adjacency: Adjacency, unit: str, members: int = 1) -> Terms:
    """The pairs that dominate the whole phase, each with how often it counts. Raises NotApplicable as `of` does.

    members: how many examples a unit has that are drawn one by one.
    """
    kinds = (type(phase.mechanism), type(phase.sampling), adjacency)
    if members > 1 and type(phase) is Phase and unit in UNITS:
        if kinds not in GROUPS:
            raise NotApplicable(no_group(phase, adjacency, members))
        rate = Poisson.of(phase.sampling).sample_rate
        return ((grouped(Gaussian.of(phase.mechanism).noise_multiplier, rate, members), phase.steps),)
    if type(phase) is Phase and kinds in PHASE_PAIRS and unit in UNITS:
        return PHASE_PAIRS[kinds](phase, adjacency)
    return ((of(phase, adjacency, unit), phase.steps),)


def no_group(phase: Phase, adjacency: Adjacency, members: int) -> str:
    """Why nothing is known of users whose examples are drawn one by one, and what not to do about it."""
    if (type(phase.mechanism), type(phase.sampling), ADD_REMOVE) in GROUPS:
        remedy = "Try --adjacency add-remove"
    elif drawn_as(phase) == FULL_BATCH.name and type(phase.mechanism) not in _CORRELATED:
        remedy = f"What a mechanism costs a whole user, and runs that draw users' examples one by one, {APART}"
    else:
        remedy = "Draw by Poisson sampling, if the run can" if type(phase.mechanism) is Gaussian else ""
    return (
        f"max_per_user={members} is known for Gaussian noise under Poisson sampling, or none, with add-remove or "
        f"zero-out, and this is {kind_of(phase.mechanism)} with {drawn_as(phase)} under {_word(adjacency)}. "
        f"{f'{remedy}. ' if remedy else ''}{WHOLE_ONLY}"
    )


def _sampled_gaussian(phase: Phase) -> DominatingPair:
    return sampled_gaussian(Gaussian.of(phase.mechanism).noise_multiplier, Poisson.of(phase.sampling).sample_rate)


def _replaced_gaussian(phase: Phase) -> DominatingPair:
    return replaced(Gaussian.of(phase.mechanism).noise_multiplier, Poisson.of(phase.sampling).sample_rate)


def _fixed_size_gaussian(phase: Phase) -> DominatingPair:
    sigma, share = Gaussian.of(phase.mechanism).noise_multiplier, _share(phase.sampling)
    if share == 1.0:
        # Of the smaller data set no such batch can be drawn. If all of it is taken instead, the sum moves by one norm.
        return dataclasses.replace(fixed_size(sigma, 1.0), realised=(gaussian(sigma),))
    return fixed_size(sigma, share)


def _fixed_size_zeroed_gaussian(phase: Phase) -> DominatingPair:
    """From above a record replaced by any other, one that adds nothing among them. From below, over opposite gradients
    the record takes the place of one of them, and over zeros it is seen as under Poisson sampling."""
    sigma, share = Gaussian.of(phase.mechanism).noise_multiplier, _share(phase.sampling)
    if share == 1.0:
        return gaussian(sigma)
    above = fixed_size_replaced(sigma, share)
    return dataclasses.replace(above, realised=(_twice_against_once(sigma, share), subsampled(gaussian(sigma), share)))


def _twice_against_once(noise_multiplier: float, sample_rate: float) -> DominatingPair:
    law = TwiceAgainstOnce(noise_multiplier, sample_rate)
    words = "sampling without replacement over opposite gradients, one record zeroed out"
    return DominatingPair(law, Reversed(law), words, dominates=False)


def _fixed_size_replaced_gaussian(phase: Phase) -> DominatingPair:
    return fixed_size_replaced(Gaussian.of(phase.mechanism).noise_multiplier, _share(phase.sampling))


def grouped(noise_multiplier: float, sample_rate: float, members: int) -> DominatingPair:
    """A user with at most so many examples, each drawn by a coin of its own and clipped by itself: a mixture over how
    many are drawn, all with the same gradient, which is realised by such a user (Charles et al. 2024,
    arXiv:2407.07737)."""
    if sample_rate == 1.0:
        return gaussian(noise_multiplier / members)
    if members > MOST_MEMBERS:
        raise NotApplicable(
            f"max_per_user={members} is more than {MOST_MEMBERS}, up to which a mixture of as many Gaussians answers. "
            f"Let a user keep fewer examples. {WHOLE_ONLY}"
        )
    law = GroupLoss(noise_multiplier, sample_rate, members)
    theorem = "a user's examples, drawn one by one: Charles et al. 2024 (arXiv:2407.07737)"
    return DominatingPair(law, Reversed(law), theorem)


def _cut_gaussian(adjacency: Adjacency) -> Callable[[Phase], DominatingPair]:
    def pair(phase: Phase) -> DominatingPair:
        assert isinstance(phase.sampling, TruncatedPoisson)  # PAIRS goes by exact type
        return truncated(Gaussian.of(phase.mechanism).noise_multiplier, phase.sampling, adjacency)

    return pair


def _cyclic_add_remove(phase: Phase, adjacency: Adjacency) -> Terms:
    if getattr(phase.sampling, "assignment", None) != "own":
        raise NotApplicable(
            "cyclic-poisson is known under add-remove where each record's group is drawn on its own, and here it "
            "goes by place: whoever is removed moves the others. Try --assignment own, or --adjacency zero-out"
        )
    return cyclic(phase, adjacency)


def _share(sampling: object) -> float:
    assert isinstance(sampling, FixedSize)  # PAIRS goes by exact type
    return sampling.sample_rate


def _balls_in_bins(phase: Phase, _: Adjacency) -> Terms:
    from dpplan.accounting.pairs import allocated_rounds  # laws on lattices, which other schemes need not load

    scheme, noise = phase.sampling, Gaussian.of(phase.mechanism).noise_multiplier
    assert isinstance(scheme, BallsInBins)  # PHASE_PAIRS goes by exact type
    ask = allocated_rounds.same_bins if scheme.bins == SAME else allocated_rounds.balls_in_bins
    return ask(noise, scheme.steps_per_epoch, phase.steps)


def _random_allocation(phase: Phase, _: Adjacency) -> Terms:
    from dpplan.accounting.pairs import allocated_rounds

    scheme, noise = phase.sampling, Gaussian.of(phase.mechanism).noise_multiplier
    assert isinstance(scheme, RandomAllocation)  # PHASE_PAIRS goes by exact type
    return allocated_rounds.random_allocation(noise, scheme.times, scheme.steps_per_round, phase.steps)


# (mechanism, sampling, adjacency) -> the pair of such a phase.
PAIRS: Mapping[tuple[type, type, Adjacency], Callable[[Phase], DominatingPair]] = MappingProxyType(
    {
        (Gaussian, Poisson, ADD_REMOVE): _sampled_gaussian,
        (Gaussian, Poisson, ZERO_OUT): _sampled_gaussian,
        (Gaussian, Poisson, REPLACE_ONE): _replaced_gaussian,
        (Gaussian, FixedSize, ADD_REMOVE): _fixed_size_gaussian,
        (Gaussian, FixedSize, ZERO_OUT): _fixed_size_zeroed_gaussian,
        (Gaussian, FixedSize, REPLACE_ONE): _fixed_size_replaced_gaussian,
        (Gaussian, TruncatedPoisson, ZERO_OUT): _cut_gaussian(ZERO_OUT),
        (Gaussian, TruncatedPoisson, REPLACE_ONE): _cut_gaussian(REPLACE_ONE),
        **declared_epsilon.PAIRS,
    }
)
_ALLOCATED = (
    "the two records join different steps, and which pair of gradients is worst is not known. Try --adjacency zero-out "
    "or add-remove"
)
# What is known of units whose examples are drawn one by one.
GROUPS = frozenset({(Gaussian, Poisson, ADD_REMOVE), (Gaussian, Poisson, ZERO_OUT)})
# Why there is no pair, where more can be said than that none is known: by mechanism or sampling.
WITHOUT: Mapping[tuple[type, Adjacency], str] = MappingProxyType(
    {
        **declared_epsilon.WITHOUT,
        (
            TruncatedPoisson,
            ADD_REMOVE,
        ): "how often a batch is cut depends on n, which such neighbours do not share. Try "
        "--adjacency zero-out or replace-one",
        (ThresholdedCounts, REPLACE_ONE): "one record leaves its counts and another comes to others. Try --adjacency "
        "zero-out or add-remove",
        (Shuffle, ADD_REMOVE): "whoever is removed moves the others to other batches. Try --adjacency zero-out or "
        "replace-one",
        (BallsInBins, REPLACE_ONE): _ALLOCATED,
        (RandomAllocation, REPLACE_ONE): _ALLOCATED,
    }
)
NO_PAIR = "nothing here bounds what it tells"
_CORRELATED = (TreeAggregation, ToeplitzNoise, BufferedNoise, MatrixNoise)
# The same for schemes whose steps have no pair of their own: (pair, how often) for each part of the phase.
PHASE_PAIRS: Mapping[tuple[type, type, Adjacency], Callable[[Phase, Adjacency], Terms]] = MappingProxyType(
    {
        (Gaussian, Shuffle, ZERO_OUT): shuffled,
        (Gaussian, Shuffle, REPLACE_ONE): shuffled,
        (Gaussian, CyclicPoisson, ZERO_OUT): cyclic,
        (Gaussian, CyclicPoisson, REPLACE_ONE): cyclic,
        (Gaussian, CyclicPoisson, ADD_REMOVE): _cyclic_add_remove,
        (Gaussian, BallsInBins, ADD_REMOVE): _balls_in_bins,
        (Gaussian, BallsInBins, ZERO_OUT): _balls_in_bins,
        (Gaussian, RandomAllocation, ADD_REMOVE): _random_allocation,
        (Gaussian, RandomAllocation, ZERO_OUT): _random_allocation,
        **{(DiscreteGaussian, Poisson, adjacency): discrete_gaussian_terms for adjacency in ADJACENCIES.values()},
        **{(ThresholdedCounts, Poisson, adjacency): thresholded_terms for adjacency in (ADD_REMOVE, ZERO_OUT)},
        **{
            (kind, Poisson, adjacency): correlated.declared_participation
            for kind in _CORRELATED
            for adjacency in ADJACENCIES.values()
        },
        **{
            (kind, scheme, adjacency): pairs
            for kind in _CORRELATED
            for scheme, pairs in ((Shuffle, correlated.fixed_order), (CyclicPoisson, correlated.by_turns))
            for adjacency in (ZERO_OUT, REPLACE_ONE)
        },
    }
)


def _refusals(phase: Phase, adjacency: Adjacency, unit: str) -> list[str]:
    """Each part of the phase that no theorem knows, and what is known."""
    if type(phase.mechanism) in declared_epsilon.MOMENTS_ONLY:
        return [declared_epsilon.MOMENTS_ONLY[type(phase.mechanism)]]
    keys = (*PAIRS, *PHASE_PAIRS)
    mechanisms, schemes, adjacencies = (list(dict.fromkeys(key[part] for key in keys)) for part in range(3))
    found = [
        f"{name}={said} is not {' or '.join(map(_word, known))}"
        for name, said, value, known in (
            ("mechanism", kind_of(phase.mechanism), type(phase.mechanism), mechanisms),
            ("sampling", kind_of(phase.sampling), type(phase.sampling), schemes),
            ("adjacency", _word(adjacency), adjacency, adjacencies),
            ("privacy_unit", unit, unit, sorted(UNITS)),
        )
        if value not in known
    ]
    if type(phase) is not Phase:
        found.append(f"{type(phase).__name__} is no plain phase")
    why = WITHOUT.get((type(phase.mechanism), adjacency)) or WITHOUT.get((type(phase.sampling), adjacency))
    said = f"{kind_of(phase.mechanism)} with {drawn_as(phase)}"
    return found or [f"{said} is not known under {_word(adjacency)}: {why or _known_instead(phase, adjacency, keys)}"]


def _known_instead(phase: Phase, adjacency: Adjacency, keys: Iterable[tuple[type, type, Adjacency]]) -> str:
    """Of parts that are each known, and not together: what is known of the mechanism."""
    mechanism, scheme = type(phase.mechanism), type(phase.sampling)
    others = [_word(known) for *kinds, known in keys if kinds == [mechanism, scheme]]
    schemes = [_word(known) for kind, known, neighbours in keys if (kind, neighbours) == (mechanism, adjacency)]
    if others:
        return f"it is known under {' or '.join(dict.fromkeys(others))}"
    name = kind_of(phase.mechanism)
    return f"{name} is known with {' or '.join(dict.fromkeys(schemes))}, or without sampling" if schemes else NO_PAIR


def drawn_as(phase: Phase) -> str:
    """The kind of its sampling, as options and plan files call it."""
    whole = type(phase.sampling) is Poisson and phase.sampling.sample_rate == 1.0
    return FULL_BATCH.name if whole else kind_of(phase.sampling)


def _word(known: object) -> str:
    """What options and plan files call it."""
    if isinstance(known, Adjacency):
        return known.name.replace("_", "-")
    return str(getattr(known, "kind", None) or known)
