"""Plans side by side: as a table, in sentences, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dpplan.checks import show
from dpplan.plan import Setting
from dpplan.quantities import Quantity, quantity
from dpplan.render.data import Object, described, figure
from dpplan.render.numbers import down, ratio, up
from dpplan.render.table import Cell, Column, Table
from dpplan.render.text import figure as stated
from dpplan.render.text import meaning, relation

if TYPE_CHECKING:
    from dpplan.contest import Contest, Entry

WON = " *"
_WORDS = {"epsilon": "privacy", "compute": "compute", "noise": "noise"}


def table(result: "Contest") -> Table:
    """A column for each plan: its cost, what it does, and below that every key of the recipes that differs."""
    names = [entry.contender.name for entry in result.entries]
    return Table((Column(""), *map(Column, names)), tuple(_rows(result)), tuple(sentences(result)))


def sentences(result: "Contest") -> Iterator[str]:
    """Who wins what and by how much; one sentence for each criterion."""
    yield f"* wins: the least ε at δ = {show(result.delta)}, the fewest examples processed, the least σ / batch."
    for criterion, winners in result.winners.items():
        yield f"{_WORDS[criterion]}: {_verdict(result, criterion, winners)}."


def document(result: "Contest") -> Object:
    """The object that `dpplan compare plans --json` prints."""
    return {
        "schema": "dpplan.compare-plans/1",
        "delta": result.delta,
        "plans": [_plan(entry) for entry in result.entries],
        "differences": [{"key": one.key, "values": list(one.values)} for one in result.differences],
        "winners": {criterion: list(names) for criterion, names in result.winners.items()},
    }


def _plan(entry: "Entry") -> Object:
    one = entry.contender
    return {
        "name": one.name,
        "plan": described(one.plan),
        "delta": one.delta.value,
        "delta_reason": one.delta.reason,
        "epsilon": figure(entry.epsilon),
        "epsilon_compared": figure(entry.compared),
        "examples_processed": entry.compute,
        "noise_batch_ratio": entry.noise,
        "noise_batch_ratio_averaged": entry.averaged_noise,
    }


def _rows(result: "Contest") -> Iterator[tuple[Cell, ...]]:
    entries = result.entries
    if len({entry.contender.delta.value for entry in entries}) > 1:
        yield _row("ε at its own δ", [Cell(f"{relation(e.epsilon)} {stated(e.epsilon)}") for e in entries])
        yield _row("δ", [Cell(show(e.contender.delta.value)) for e in entries])
    yield _row(f"ε at δ = {show(result.delta)}", [_epsilon(result, entry) for entry in entries])
    yield _row("examples processed", [_figure(result, "compute", entry, entry.compute) for entry in entries])
    yield _row("σ / batch", [_figure(result, "noise", entry, entry.noise) for entry in entries])
    yield _row("σ / (batch √steps)", [Cell(_number("noise", entry.averaged_noise)) for entry in entries])
    plans = [entry.contender.plan for entry in entries]
    for name in dict.fromkeys(name for plan in plans for phase in plan.phases for name in phase.settings):
        known = quantity(name)
        shown = [[_setting(known, phase.settings.get(name)) for phase in plan.phases] for plan in plans]
        yield _row(known.words, [Cell(", ".join(each)) for each in shown])
    yield _row("steps", [Cell(show(plan.steps)) for plan in plans])
    yield _row("examples", [Cell("-" if plan.examples is None else show(plan.examples)) for plan in plans])
    for one in result.differences:
        yield _row(one.key, [Cell(_value(value)) for value in one.values])


def _row(name: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return (Cell(name), *cells)


def _epsilon(result: "Contest", entry: "Entry") -> Cell:
    bound = entry.compared
    return Cell(f"{relation(bound)} {stated(bound)}{_mark(result, 'epsilon', entry)}", meaning(bound))


def _figure(result: "Contest", criterion: str, entry: "Entry", value: float | None) -> Cell:
    return Cell(_number(criterion, value) + _mark(result, criterion, entry))


def _mark(result: "Contest", criterion: str, entry: "Entry") -> str:
    """Nothing where all win, because then nobody does."""
    winners = result.winners[criterion]
    return WON if entry.contender.name in winners and len(winners) < len(result.entries) else ""


def _number(criterion: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if criterion == "compute" else f"{value:.4g}"


def _setting(known: Quantity, value: Setting) -> str:
    """A noise multiplier at the digits that prove what stands above it; other settings as tables print them."""
    return down(value, 8) if known.digits is None and isinstance(value, float) else known.show(value)


def _verdict(result: "Contest", criterion: str, winners: Sequence[str]) -> str:
    values = {entry.contender.name: _value_of(entry, criterion) for entry in result.entries}
    if not winners:
        return "not every plan says how many examples it has"
    best, worst = min(values.values()), max(values.values())
    shown = up(best, 4) if criterion == "epsilon" else _number(criterion, best)
    if len(winners) == len(values):
        return f"nothing sets them apart, {shown}"
    by = f", the most is {ratio(worst / best)} times as much" if best > 0 else ""
    return f"{listed(winners)} with {shown}{by}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _value_of(entry: "Entry", criterion: str) -> float:
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
