"""The steps of a phase over more than one run, or beyond what was planned, and the phases of several plans.

in_a_row([plan, other])     # the phases of both, as those of one plan
times(plan.phases, 3)       # three runs of these phases
taken(phase, steps)         # as many steps of a phase as were really taken
"""

import dataclasses
from collections.abc import Sequence

from dpplan.errors import NotCertified
from dpplan.groups import apart
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson, TruncatedPoisson

MOST_COPIES = 1000  # of a phase in one plan


def in_a_row(plans: Sequence[Plan]) -> tuple[Phase, ...]:
    """The phases of one plan after those of another. Their groups are not the same."""
    found = apart([[phase.groups for phase in plan.phases] for plan in plans])
    pairs = ((phase, path) for plan, paths in zip(plans, found, strict=True)
             for phase, path in zip(plan.phases, paths, strict=True))  # fmt: skip
    return tuple(dataclasses.replace(phase, groups=path) for phase, path in pairs)


def alone(phase: Phase) -> bool:
    """Whether each step is a release by itself, so that the steps of two runs are those of a longer one.

    They are not where batches are dealt for several steps at once, or where steps share noise.
    """
    return type(phase.sampling) in (Poisson, TruncatedPoisson, FixedSize) and not isinstance(
        phase.mechanism, Correlated
    )


def times(phases: Sequence[Phase], count: int) -> tuple[Phase, ...]:
    """What so many runs of these phases release. Raises NotCertified for more phases than a plan can hold."""
    if count > MOST_COPIES and not all(map(alone, phases)):
        raise NotCertified(f"{count} runs whose steps hang together are more phases than {MOST_COPIES}.")
    longer = [dataclasses.replace(each, steps=count * each.steps) for each in phases if alone(each)]
    return (*longer, *(count * [each for each in phases if not alone(each)]))


def taken(phase: Phase, steps: int) -> Phase:
    """The first `steps` steps, or more than there are. Whoever takes part in every step does so in further ones too."""
    mechanism = phase.mechanism
    declared = isinstance(phase.sampling, Poisson)  # other schemes say by themselves in which steps a record is
    if declared and isinstance(mechanism, Correlated) and mechanism.participations >= phase.steps < steps:
        mechanism = dataclasses.replace(mechanism, participations=steps)
    return dataclasses.replace(phase, mechanism=mechanism, steps=steps)
