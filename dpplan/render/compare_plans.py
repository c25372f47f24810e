"""Plans side by side: as a table, in sentences, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dpplan.checks import show
from dpplan.compare.plans import comparable
from dpplan.mechanism import BestOfTrials, Gaussian, kind_of
from dpplan.plan import Phase, Plan, Setting
from dpplan.quantities import Quantity, quantity
from dpplan.render.bound_text import figure as stated
from dpplan.render.bound_text import meaning, relation
from dpplan.render.number_format import down, ratio, up
from dpplan.render.plan_rows import settings_shown
from dpplan.render.table import Column, Table, TableCell
from dpplan.render.to_json import Object, described, figure
from dpplan.units import unit_words

if TYPE_CHECKING:
    from dpplan.compare.plans import PlanComparison, PlanCosts

WON = " *"
MOST_PHASES = 12  # that are listed by name
RECIPE_PHASE = "training"  # what the one phase of a recipe is called, beside plan files
APART = 1e-6  # relative; figures that differ by more are told apart
_WORDS = {"epsilon": "privacy", "compute": "compute", "noise": "noise"}


def table(result: "PlanComparison") -> Table:
    """A column for each plan: its cost, what it does, and below that every key of the recipes that differs."""
    names = [entry.entry.name for entry in result.plans]
    return Table((Column(""), *map(Column, names)), tuple(_rows(result)), tuple(sentences(result)))


def sentences(result: "PlanComparison") -> Iterator[str]:
    """Who wins what and by how much; one sentence for each criterion."""
    if any(_stands_out(result, winners) for winners in result.winners.values()):
        yield f"* wins: the least ε at δ = {show(result.delta)}, the fewest examples processed, the least σ / batch."
    for criterion, winners in result.winners.items():
        yield f"{_WORDS[criterion]}: {_verdict(result, criterion, winners)}."


def document(result: "PlanComparison") -> Object:
    """The object that `dpplan compare plans --json` prints."""
    return {
        "schema": "dpplan.compare-plans/1",
        "delta": result.delta,
        "plans": [_plan(entry) for entry in result.plans],
        "differences": [{"key": one.key, "values": list(one.values)} for one in result.differences],
        "comparable": comparable([one.entry.plan for one in result.plans]),
        "winners": {criterion: list(names) for criterion, names in result.winners.items()},
    }


def _plan(entry: "PlanCosts") -> Object:
    one = entry.entry
    return {
        "name": one.name,
        "phases": list(one.phases) or None,
        "plan": described(one.plan),
        "delta": one.delta.value,
        "delta_reason": one.delta.reason,
        "epsilon": figure(entry.epsilon),
        "epsilon_compared": figure(entry.compared),
        "examples_processed": entry.compute,
        "noise_batch_ratio": entry.noise,
        "noise_batch_ratio_averaged": entry.averaged_noise,
    }


def _rows(result: "PlanComparison") -> Iterator[tuple[TableCell, ...]]:
    costs = result.plans
    if len({one.entry.delta.value for one in costs}) > 1:
        yield _row("ε at its own δ", [TableCell(f"{relation(one.epsilon)} {stated(one.epsilon)}") for one in costs])
        yield _row("δ", [TableCell(show(one.entry.delta.value)) for one in costs])
    yield _row(f"ε at δ = {show(result.delta)}", [_epsilon(result, one) for one in costs])
    yield _row("examples processed", [_figure(result, "compute", one, one.compute) for one in costs])
    yield _row("σ / batch", [_figure(result, "noise", one, one.noise) for one in costs])
    yield _row("σ / (batch √steps)", [TableCell(_number("noise", one.averaged_noise)) for one in costs])
    plans = [one.entry.plan for one in costs]
    if not comparable(plans):
        yield _row("protects", [TableCell(_protected(plan)) for plan in plans])
    if any(one.entry.phases for one in costs):
        yield from _named_phases(result)
    else:
        for name in dict.fromkeys(name for plan in plans for phase in plan.phases for name in phase.settings):
            known = quantity(name)
            shown = [[_setting(known, phase.settings.get(name)) for phase in plan.phases] for plan in plans]
            yield _row(known.words, [TableCell(", ".join(each)) for each in shown])
    yield _row("steps", [TableCell(_steps(plan)) for plan in plans])
    yield _row("examples", [TableCell("-" if plan.examples is None else show(plan.examples)) for plan in plans])
    for one in result.differences:
        yield _row(one.key, [TableCell(_value(value)) for value in one.values])


def _protected(plan: Plan) -> str:
    """Whom its figure is for: the neighbours and the unit."""
    return f"{plan.adjacency.words} {unit_words(plan.privacy_unit, plan.max_per_user)}"


def _steps(plan: Plan) -> str:
    """Of a search, trials are drawn: there is no number."""
    searched = any(isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases)
    return "-" if searched else show(plan.steps)


def _named_phases(result: "PlanComparison") -> Iterator[tuple[TableCell, ...]]:
    """A row for each name of a phase, with what each plan has under it; of many the first."""
    by_name = [
        dict(zip(one.entry.phases or (RECIPE_PHASE,), one.entry.plan.phases, strict=True)) for one in result.plans
    ]
    names = list(dict.fromkeys(name for phases in by_name for name in phases))
    for name in names[:MOST_PHASES]:
        yield _row(name, [TableCell(_phase(phases.get(name))) for phases in by_name])
    if len(names) > MOST_PHASES:
        left = [sum(name in phases for name in names[MOST_PHASES:]) for phases in by_name]
        yield _row("more phases", [TableCell(str(count)) for count in left])


def _phase(phase: Phase | None) -> str:
    """Its settings and steps in a few words; a dash where a plan has none of that name."""
    if phase is None:
        return "-"
    if isinstance(phase.mechanism, BestOfTrials):
        return f"best of trials: {phase.mechanism.words}"
    kind = "" if type(phase.mechanism) is Gaussian else f"{kind_of(phase.mechanism)} "
    given = [each for each in settings_shown(phase) if each != "q = 1"]
    return f"{kind}{' '.join(given)}{f' ×{phase.steps}' if phase.steps > 1 else ''}"


def _row(name: str, cells: Sequence[TableCell]) -> tuple[TableCell, ...]:
    return (TableCell(name), *cells)


def _epsilon(result: "PlanComparison", entry: "PlanCosts") -> TableCell:
    bound = entry.compared
    return TableCell(f"{relation(bound)} {stated(bound)}{_mark(result, 'epsilon', entry)}", meaning(bound))


def _figure(result: "PlanComparison", criterion: str, entry: "PlanCosts", value: float | None) -> TableCell:
    return TableCell(_number(criterion, value) + _mark(result, criterion, entry))


def _mark(result: "PlanComparison", criterion: str, entry: "PlanCosts") -> str:
    """Nothing where all win, because then nobody does."""
    winners = result.winners[criterion]
    return WON if entry.entry.name in winners and _stands_out(result, winners) else ""


def _stands_out(result: "PlanComparison", winners: Sequence[str]) -> bool:
    return 0 < len(winners) < len(result.plans)


def _number(criterion: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if criterion == "compute" else f"{value:.4g}"


def _setting(known: Quantity, value: Setting | None) -> str:
    """A noise multiplier at the digits that prove what stands above it; other settings as tables print them; a dash for
    what the phase has none of, such as the rate of a batch that is counted."""
    if value is None:
        return "-"
    return down(value, 8) if known.digits is None and isinstance(value, float) else known.show(value)


def _verdict(result: "PlanComparison", criterion: str, winners: Sequence[str]) -> str:
    values = {entry.entry.name: _value_of(entry, criterion) for entry in result.plans}
    if not winners and criterion == "epsilon":
        return "nobody wins: figures for different neighbours or units promise different things, see assumes"
    if not winners and any(entry.entry.plan.examples is None for entry in result.plans):
        return "not every plan says how many examples it has"
    if not winners:
        return {"noise": "not every plan is one phase of Gaussian noise"}.get(
            criterion, "not every plan draws from all examples, a known number of times"
        )
    best, worst = min(values.values()), max(values.values())
    shown = up(best, 4) if criterion == "epsilon" else _number(criterion, best)
    first = [name for name in winners if values[name] <= best * (1.0 + APART)]
    if len(first) == len(values):
        return f"nothing sets them apart, {shown}"
    by = f", the most is {ratio(worst / best)} times as much" if best > 0 else ""
    doubtful = [name for name in winners if name not in first]
    if not doubtful:
        return f"{listed(first)} with {shown}{by}"
    spend = "spend" if len(doubtful) > 1 else "spends"
    return f"{listed(first)} with {shown}{by}; that {listed(doubtful)} {spend} more is not proven"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _value_of(entry: "PlanCosts", criterion: str) -> float:
    if criterion == "epsilon":
        return entry.compared.value
    value = entry.compute if criterion == "compute" else entry.noise
    return 0.0 if value is None else value


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return show(value)
