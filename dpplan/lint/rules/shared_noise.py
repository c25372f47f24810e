"""What DP008 says of noise that steps share: whether the named loader keeps the steps that a record's figure is for."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.errors import PlanError
from dpplan.lint.context import LOADERS, LintContext, proven
from dpplan.lint.finding import Remark, Severity, at_most
from dpplan.lint.loader_draws import DRAWS, FIXED_ORDER, by_chance, changed, declares
from dpplan.loader_run import upper_end_holds
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan
from dpplan.plan_assumptions import of_batches
from dpplan.quantities import MEANINGLESS_EPSILON
from dpplan.sampling import Shuffle

_CHANCE = (
    "Chance decides anew who is in which step, so that an example may be in more steps than that, or in two that "
    "follow each other, and noise that those share hides less of it"
)
_ANEW = (
    "It has a new order for each epoch, so that an example may be in the last step of one and in the first of the "
    "next, and noise that those share hides less of it"
)
_TWICE = "It may show an example more than once an epoch"
_MOVED = "Batches that are cut from a list all move where an example is removed"


def refused(run: LintContext, plan: Plan, phases: Sequence[Phase]) -> Remark:
    """That the loader does not keep the steps of these phases, and which loaders do."""
    loader, reasons = run.loop.loader, []
    cut = DRAWS[loader] is Shuffle
    if cut and plan.adjacency == ADD_REMOVE:
        reasons.append(_MOVED)
    if loader != FIXED_ORDER and not (cut and all(map(_may_follow, phases))):
        reasons.append(_ANEW if cut else _CHANCE)
    if cut and not upper_end_holds(loader):
        reasons.append(_TWICE)
    pattern = " and ".join(sorted({_pattern(each, plan) for each in phases}))
    reason = f"the figure is for {pattern}, and the loader {LOADERS[loader]}. {'. '.join(reasons)}."
    kept = f"a loader of one fixed order (--loader {FIXED_ORDER})"
    if plan.adjacency == ADD_REMOVE:
        fix = (
            "Let an example's steps follow from nothing but itself, whoever else is there, such as its date or a hash "
            f"of its name; or claim zero-out or replace-one, and use {kept}."
        )
    else:
        fix = f"Use {kept}, the data shuffled once before it if at all."
    return Remark(Severity.ERROR, "--loader", reason, f"{fix}{_own_figure(run, plan, phases)}")


def conditions(run: LintContext, plan: Plan) -> Iterator[Remark]:
    """Of a loader that takes each example once an epoch: how long epochs have to be for the steps that are declared."""
    for phase in filter(declares, by_chance(plan)):
        times, apart = _steps_of_one(phase)
        least = max(apart, math.ceil(phase.steps / times))
        reason = (
            f"the figure is for {_pattern(phase, plan)}, and the loader {LOADERS[run.loop.loader]}. It keeps that "
            f"where an epoch has {least} steps or more."
        )
        yield Remark(Severity.WARNING, "--loader", reason, f"See that n / batch is at least {least}.")


def _pattern(phase: Phase, plan: Plan) -> str:
    return of_batches(phase.mechanism, phase.sampling.assumption, phase.steps, plan.privacy_unit)


def _steps_of_one(phase: Phase) -> tuple[int, int]:
    assert isinstance(phase.mechanism, Correlated)
    return phase.mechanism.participations, phase.mechanism.separation


def _may_follow(phase: Phase) -> bool:
    """Whether it is declared that two steps of a record may follow each other."""
    return declares(phase) and _steps_of_one(phase)[1] == 1


def _own_figure(run: LintContext, plan: Plan, phases: Sequence[Phase]) -> str:
    """What is proven of an order that is drawn anew for each epoch, where the steps are declared and that is known."""
    sums = all(type(each.mechanism) is Gaussian or isinstance(each.mechanism, Correlated) for each in plan.phases)
    loader = run.loop.loader
    if not sums or DRAWS[loader] is not Shuffle or not upper_end_holds(loader) or not all(map(declares, phases)):
        return ""
    neighbours = ZERO_OUT if plan.adjacency == ADD_REMOVE else plan.adjacency
    bare = tuple(dataclasses.replace(changed(each, _following), adjacency=None) for each in plan.phases)
    try:
        anew = dataclasses.replace(plan, phases=bare, adjacency=neighbours, derivation=())
        bound = proven(anew, run.delta.value)
    except PlanError:
        return ""
    if bound is None or bound.upper is None or bound.upper > MEANINGLESS_EPSILON:
        return ""
    kept = f"separation: 1 under {neighbours}, which a new order for each epoch keeps"
    return f" Or declare {kept}: ε ≤ {at_most(bound.upper)}."


def _following(phase: Phase) -> Phase:
    if not isinstance(phase.mechanism, Correlated) or not declares(phase):
        return phase
    return dataclasses.replace(phase, mechanism=dataclasses.replace(phase.mechanism, separation=1))
