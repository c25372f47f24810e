"""Several plans side by side: what differs, and who wins on privacy, compute and noise.

result = plans([PlanEntry("a", plan_a, delta_a), PlanEntry("b", plan_b, delta_b)])
result.winners["epsilon"]
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from dpplan import accounting, notebook
from dpplan.accounting.bound import Bound, cells
from dpplan.checks import show
from dpplan.errors import UsageError
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.plan import Delta, Plan
from dpplan.quick_dataclass import dataclass

Content = Mapping[str, Mapping[str, Any]]
_SAME = 1e-12  # relative; costs computed in another order of operations are the same


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A plan under a name. content: what else was said of it, block -> key -> value. views: of each example. phases:
    what its phases are called, where they have names."""

    name: str
    plan: Plan
    delta: Delta
    content: Content = field(default_factory=dict)
    views: int = 1
    phases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanCosts:
    """A plan that was entered, and its figures.

    epsilon: at its own delta. compared: at the delta that all are compared at. compute: examples processed, in
    expectation, every view of one counted; None where n is unknown, or a phase is of a group or repeated. noise: σ /
    batch, the noise on the mean gradient in clip norms, None where the batch is unknown, phases are several or noise is
    not Gaussian. averaged_noise: σ / (batch · sqrt(steps)).
    """

    entry: PlanEntry
    epsilon: Bound
    compared: Bound
    compute: float | None
    noise: float | None
    averaged_noise: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A key on which the plans differ ("training.batch_size"), with the value of each; None where it has none."""

    key: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """delta: where all are compared, the smallest of theirs. winners: criterion of CRITERIA -> the names of those that
    nobody beats; all who are known where nothing sets them apart, nobody where a figure is missing, or on epsilon where
    figures are for different neighbours or units."""

    plans: tuple[PlanCosts, ...]
    delta: float
    differences: tuple[Difference, ...]
    winners: Mapping[str, tuple[str, ...]]

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each plan, at its own delta and at the one of all; then who wins what."""
        rows: list[notebook.Row] = [
            (each.entry.name, each.epsilon.headline, *cells(each.compared), *map(_number, (each.compute, each.noise)))
            for each in self.plans
        ]
        rows += [(f"best {name}", ", ".join(names) or "-", "", "", "", "") for name, names in self.winners.items()]
        heads = ("plan", "at its own δ", f"at δ = {show(self.delta)}", "guarantee", "examples processed", "σ / batch")
        return notebook.table("Plans side by side", rows, heads)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def plans(
    given: Sequence[PlanEntry], ignored: Sequence[str] = (), ask: Callable[[Plan, float], Bound] = accounting.epsilon
) -> PlanComparison:
    """Every plan at its own delta and all at the smallest, because an epsilon at a larger delta promises less.

    ignored: blocks of the contents that are not compared. ask: who says what a plan spends at a delta.

    Raises UsageError for fewer than two plans or a name that two of them have, NotCertified where a plan's cost cannot
    be proven.
    """
    names = [one.name for one in given]
    if len(names) < 2:
        raise UsageError("there is one plan and nothing to compare it with. Give two or more.")
    if len(set(names)) < len(names):
        raise UsageError(f"names={', '.join(names)} are not all different. Give each plan a name of its own.")
    delta = min(one.delta.value for one in given)
    costs = tuple(_costs(one, delta, ask) for one in given)
    winners = {
        "epsilon": _most_private(costs) if comparable([one.plan for one in given]) else (),
        "compute": _least(names, [one.compute for one in costs]),
        "noise": _least(names, [one.noise for one in costs]),
    }
    return PlanComparison(costs, delta, tuple(_differences([one.content for one in given], ignored)), winners)


def comparable(plans: Sequence[Plan]) -> bool:
    """Whether their figures protect the same: the same neighbours, of the same unit. Else none promises more."""
    return len({(plan.adjacency, plan.privacy_unit, plan.max_per_user) for plan in plans}) <= 1


def _costs(entry: PlanEntry, delta: float, ask: Callable[[Plan, float], Bound]) -> PlanCosts:
    plan = entry.plan
    epsilon = ask(plan, entry.delta.value)
    compared = epsilon if entry.delta.value == delta else ask(plan, delta)
    n = plan.examples
    whole = not any(phase.groups or isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases)
    compute = n * plan.epochs * entry.views if n is not None and whole else None
    noise, first = None, plan.phases[0].mechanism
    if n is not None and whole and len(plan.phases) == 1 and type(first) is Gaussian:
        noise = first.noise_multiplier / plan.only_phase.sampling.expected_batch(n)
    averaged = None if noise is None else noise / math.sqrt(plan.steps)
    return PlanCosts(entry, epsilon, compared, compute, noise, averaged)


def _most_private(costs: Sequence[PlanCosts]) -> tuple[str, ...]:
    """Those whose certified interval is not wholly above that of another: what is not proven to be worse."""
    least = min(one.compared.value for one in costs)
    return tuple(one.entry.name for one in costs if _lower(one.compared) <= least)


def _lower(bound: Bound) -> float:
    return 0.0 if bound.lower is None else bound.lower


def _least(names: Sequence[str], values: Sequence[float | None]) -> tuple[str, ...]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return ()
    return tuple(
        name for name, value in zip(names, known, strict=True) if math.isclose(value, min(known), rel_tol=_SAME)
    )


def _differences(contents: Sequence[Content], ignored: Sequence[str]) -> list[Difference]:
    keys: dict[tuple[str, str], None] = {}
    for content in contents:
        keys |= dict.fromkeys((block, key) for block in content if block not in ignored for key in content[block])
    found = []
    for block, key in keys:
        values = tuple(content.get(block, {}).get(key) for content in contents)
        if any(value != values[0] for value in values):
            found.append(Difference(f"{block}.{key}", values))
    return found
