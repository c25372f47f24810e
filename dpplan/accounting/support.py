"""What there is a theorem for. Every accountant reads a plan through here, and is refused what it cannot account for.

A plan is read as steps of a kind that theorems speak of. That is possible for exactly the classes named here: a
subclass may draw or add whatever it likes and is as foreign as any other class.
"""

from typing import NamedTuple

from dpplan.adjacency import ADD_REMOVE, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, kind_of
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

UNITS = ("example",)


class SampledGaussian(NamedTuple):
    """`steps` steps, each dominated by (1 - q)·N(0, σ²) + q·N(1, σ²) against N(0, σ²), in either order.

    noise_multiplier: σ > 0. sample_rate: q in (0, 1].
    Source: Mironov, Talwar and Zhang 2019 (arXiv:1908.10530), Thm 4; Zhu, Dong and Wang 2022 (arXiv:2106.08567),
    Thm 11, for add/remove neighbours under Poisson sampling.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int


def sampled_gaussians(plan: Plan, accountant: str) -> tuple[SampledGaussian, ...]:
    """The plan as sampled Gaussians, phase by phase. Raises NotApplicable, with all reasons, where it is anything else.

    accountant: who asks, for the message.
    """
    reasons = list(dict.fromkeys(reason for phase in plan.phases for reason in refusals(phase, plan)))
    if reasons:
        raise NotApplicable(f"{accountant}: no theorem is known here for this plan: {'; '.join(reasons)}.")
    return tuple(
        SampledGaussian(Gaussian.of(each.mechanism).noise_multiplier, Poisson.of(each.sampling).sample_rate, each.steps)
        for each in plan.phases
    )


def refusals(phase: Phase, plan: Plan) -> list[str]:
    """Why a phase of this plan is not a sampled Gaussian; empty where it is one."""
    wanted = (
        ("mechanism", kind_of(phase.mechanism), type(phase.mechanism) is Gaussian, Gaussian.kind),
        ("sampling", kind_of(phase.sampling), type(phase.sampling) is Poisson, Poisson.kind),
        ("adjacency", _name(plan.adjacency), plan.adjacency == ADD_REMOVE, ADD_REMOVE.name),
        ("privacy_unit", str(plan.privacy_unit), plan.privacy_unit in UNITS, " or ".join(UNITS)),
    )
    return [f"{name}={said} is not {known}" for name, said, good, known in wanted if not good]


def _name(adjacency: Adjacency) -> str:
    return str(getattr(adjacency, "name", adjacency))
