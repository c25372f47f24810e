"""What there is a theorem for. Every accountant reads a plan through here, and is refused what it cannot account for.

An accountant is made for laws, not for schemes: whatever has a dominating pair of a kind that it knows, it answers, and
all else it refuses with the reason.
"""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from dpplan import groups
from dpplan.accounting import pairs
from dpplan.accounting.pairs import DominatingPair, GaussianLoss, Law, Subsampled
from dpplan.adjacency import ADD_REMOVE, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import BestOfTrials, kind_of
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

SEARCHES = "dpplan.accounting.exact.search_winner"
NO_THEOREM = ": no theorem is known here for this plan: "
# What to do where Gaussians under Poisson sampling are asked for, by who asks.
REMEDIES = {
    "prove": "Leave out --prove: the exact accountant answers without.",
    "opacus": "Opacus's history holds nothing else: try --to dp-accounting.",
}


class SampledGaussian(NamedTuple):
    """`steps` steps, each dominated by (1 - q)·N(0, σ²) + q·N(1, σ²) against N(0, σ²), in either order.

    noise_multiplier: σ > 0. sample_rate: q in (0, 1].
    Source: Mironov, Talwar and Zhang 2019 (arXiv:1908.10530), Thm 4; Zhu, Dong and Wang 2022 (arXiv:2106.08567),
    Thm 11, for add/remove neighbours under Poisson sampling.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int


def dominating_pairs(plan: Plan, accountant: str) -> tuple[tuple[DominatingPair, int], ...]:
    """The pairs of each phase, each with how often it counts. Raises NotApplicable with all reasons where none is.

    accountant: who asks, for the message.
    """
    found, reasons = list[pairs.Terms](), dict[str, None]()
    for phase in plan.phases:
        try:
            found.append(_terms(phase, plan))
        except NotApplicable as refusal:
            whole = str(refusal)
            of_trial = whole.partition(NO_THEOREM)[2].removesuffix(".")  # refused as a plan of its own
            reasons |= dict.fromkeys((of_trial or whole).split("; "))
    if reasons:
        raise NotApplicable(f"{accountant}{NO_THEOREM}{'; '.join(reasons)}.")
    return tuple(term for terms in pairs.together(plan.phases, found, plan.adjacency) for term in terms)


def _terms(phase: Phase, plan: Plan) -> pairs.Terms:
    """The pairs of a phase of a plan that follows one record: of one that leaves a group or enters it, as if it were
    removed or added there."""
    if phase.groups and not groups.of_one_record(phase.groups):
        raise NotApplicable(
            "its records are split into groups, and of such a plan ε, δ, curves and risk are known, and not this"
        )
    if phase.groups not in (groups.LEAVES, groups.ENTERS):
        return _of_phase(phase, plan, plan.adjacency)
    if type(phase.sampling) is not Poisson:
        raise NotApplicable(
            f"a record that is replaced may leave one group and enter another, which is known under poisson sampling "
            f"and full-batch, and this is {phase.sampling.kind}. Try --adjacency zero-out"
        )
    found = _of_phase(phase, plan, ADD_REMOVE)
    if phase.groups == groups.LEAVES:
        return found
    return tuple((_reversed(pair), steps) for pair, steps in found)


def _of_phase(phase: Phase, plan: Plan, adjacency: Adjacency) -> pairs.Terms:
    if type(phase) is not Phase or type(phase.mechanism) is not BestOfTrials:
        return pairs.terms(phase, adjacency, plan.privacy_unit, plan.max_per_user or 1)
    if type(phase.sampling) is not Poisson or phase.sampling.sample_rate != 1.0:
        raise NotApplicable("a search samples inside its trials, and not around them")
    kinds = (tuple(replace(each, adjacency=None) for each in pairs.told(kind)) for kind in phase.mechanism.kinds)
    trial = tuple(replace(plan, phases=it, adjacency=adjacency, derivation=(), batch_size=None) for it in kinds)
    # A trial is a plan itself: its profile is found by what reads plans through here.
    searches = importlib.import_module(SEARCHES)
    return ((searches.winner(trial, phase.mechanism.trials), phase.steps),)


def _reversed(pair: DominatingPair) -> DominatingPair:
    """The pair with its directions exchanged."""
    realised = tuple(_reversed(each) for each in pair.realised)
    resolved = pair.resolved
    finer = None if resolved is None else lambda resolution: _reversed(resolved(resolution))
    return replace(pair, remove=pair.add, add=pair.remove, realised=realised, resolved=finer)


def sampled_gaussians(plan: Plan, accountant: str) -> tuple[SampledGaussian, ...]:
    """The plan as sampled Gaussians, phase by phase. Raises NotApplicable where it is anything else."""
    known = as_sampled_gaussians(dominating_pairs(plan, accountant))
    if known is None:
        raise NotApplicable(
            f"{accountant}: no theorem is known here for this plan: this accountant is made for Gaussian noise under "
            f"Poisson sampling, or none, with add-remove or zero-out, and this is {_described(plan)}. "
            f"{REMEDIES.get(accountant, 'Use the exact accountant.')}"
        )
    return known


def _described(plan: Plan) -> str:
    """Its mechanisms and samplings, and what a reader who knows them does not expect."""
    phases = dict.fromkeys(f"{kind_of(phase.mechanism)} with {pairs.drawn_as(phase)}" for phase in plan.phases)
    several = "" if plan.max_per_user is None else f", {plan.max_per_user} examples of a user"
    return f"{' and '.join(phases)} under {plan.adjacency.name.replace('_', '-')}{several}"


def as_sampled_gaussians(known: tuple[tuple[DominatingPair, int], ...]) -> tuple[SampledGaussian, ...] | None:
    """The pairs as sampled Gaussians, None where one of them is something else."""
    found = tuple(_sampled_gaussians(known))
    return found if len(found) == len(known) else None


def _sampled_gaussians(known: tuple[tuple[DominatingPair, int], ...]) -> Iterator[SampledGaussian]:
    for pair, steps in known:
        sigma, q = _of_law(pair.remove)
        known_law = q and pairs.sampled_gaussian(sigma, q)
        if known_law and (pair.remove, pair.add) == (known_law.remove, known_law.add) and pair.exact:
            yield SampledGaussian(sigma, q, steps)


def _of_law(law: Law) -> tuple[float, float]:
    """σ and q of the law of removal; q = 0 for any other law."""
    if type(law) is Subsampled and type(law.law) is GaussianLoss:
        return law.law.noise_multiplier, law.sample_rate
    return (law.noise_multiplier, 1.0) if type(law) is GaussianLoss else (1.0, 0.0)
