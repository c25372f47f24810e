"""Curves as a table with bars, as JSON and as CSV, and what their plans have in common."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.plan import Delta, Phase, Plan
from dpplan.quantities import by_word, quantity
from dpplan.render.bound_text import SYMBOLS, figure
from dpplan.render.number_format import ends
from dpplan.render.plan_rows import grounds, phase_rows, plan_rows, row, sentence
from dpplan.render.table import Column, Table, TableCell
from dpplan.render.to_json import figure as figure_data

if TYPE_CHECKING:
    from dpplan.curve import Curves

BLOCKS = " ▏▎▍▌▋▊▉█"
BAR = 24  # columns
MOST_IN_FULL = 5  # accountants that fit in 80 columns at six digits
LOGARITHMIC = 50.0  # a bar measures factors from here on: the largest figure over the smallest


def title(drawn: "Curves") -> str:
    """What is shown, and what is proven about it."""
    guarantees = {
        name: "/".join(sorted({str(bound.guarantee) for bound in bounds if bound is not None})) or "refuses"
        for name, bounds in drawn.series.items()
    }
    at = "" if drawn.at is None else f" at δ = {show(drawn.at)}"
    who = ", ".join(f"{name} {guarantee}" for name, guarantee in guarantees.items())
    return f"{SYMBOLS[drawn.quantity]}{at} over {by_word(drawn.x_name).short}: {who}"


def table(drawn: "Curves") -> Table:
    """A row for each point: both proven ends and a bar for one accountant, a figure for each of several."""
    x, notes = Column(by_word(drawn.x_name).short), tuple(drawn.refusals.values())
    if len(drawn.series) == 1:
        (bounds,) = drawn.series.values()
        columns, cells = _in_detail(bounds, SYMBOLS[drawn.quantity])
    else:
        columns = tuple(Column(name) for name in drawn.series)
        digits = 6 if len(columns) <= MOST_IN_FULL else 4
        cells = [
            tuple(_figure(bound, digits) for bound in bounds) for bounds in zip(*drawn.series.values(), strict=True)
        ]
    rows = ((at, *each) for at, each in zip(_x(drawn), cells, strict=True))
    return Table((x, *columns), tuple(rows), notes)


def _in_detail(bounds: Sequence[Bound | None], symbol: str) -> tuple[tuple[Column, ...], list[tuple[TableCell, ...]]]:
    """One accountant: both ends where both are proven, and a bar."""
    certified = all(bound is None or bound.relative_width is not None for bound in bounds)
    logarithmic = _spans_decades(bounds)
    named = (Column(f"{symbol} ≥"), Column(f"{symbol} ≤")) if certified else (Column(symbol),)
    bars = _bars(bounds, logarithmic)
    cells = [
        (*(_ends(bound) if certified else [_figure(bound)]), length) for bound, length in zip(bounds, bars, strict=True)
    ]
    return (*named, Column("by factors" if logarithmic else "")), cells


def rows(drawn: "Curves", deltas: Sequence[Delta], earlier: int = 0, names: Sequence[str] = ()) -> Iterator[str]:
    """What the figures rest on: what is the same at every point, and from where to where the rest goes."""
    plan = drawn.plan
    if drawn.plans[0] == plan or len(plan.phases) > earlier + 1:
        yield from plan_rows(plan, deltas, earlier=earlier, names=names)
        return
    if earlier:
        yield from phase_rows(plan, "earlier runs", range(earlier))
    phases = [point.phases[-1] for point in drawn.plans]
    for name in (*phases[0].settings, "steps"):
        values = [_setting(phase, name) for phase in phases]
        if any(isinstance(value, str) for value in values):
            yield row(quantity(name).words, " to ".join(dict.fromkeys(map(str, values))))
            continue
        low, high = min(values), max(values)
        yield row(quantity(name).words, f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}")
    yield from grounds(plan, deltas, _reach(str(drawn.plans[0].assumptions), str(plan.assumptions)))


def stand_in(drawn: "Curves") -> Iterator[str]:
    """At how many places the figure is the lesser upper bound of another accountant, in place of exact's."""
    bounds = [bound for bounds in drawn.series.values() for bound in bounds if bound is not None]
    others = [bound for bound in bounds if bound.stands_in]
    if others:
        how = "an upper bound, the least that is proven, as for `dpplan epsilon`"
        yield from sentence("accountant", f"{others[0].accountant} at {len(others)} of {len(bounds)} points: {how}.")


def _reach(first: str, last: str) -> str:
    """Two sentences that differ in numbers, as one: from where to where they go."""
    words = list(zip(first.split(" "), last.split(" "), strict=False))
    alike = all(one == other or (one[:1].isdigit() and other[:1].isdigit()) for one, other in words)
    if not alike or len(first.split(" ")) != len(last.split(" ")):
        return f"{first}, to {last}"
    return " ".join(one if one == other else f"{one.rstrip(',')} to {other}" for one, other in words)


def results(drawn: "Curves") -> list[dict[str, Any]]:
    """JSON: for each accountant its points, with what differs between their plans if that is the last phase alone."""
    varied = drawn.plans[0] != drawn.plan and len({len(plan.phases) for plan in drawn.plans}) == 1
    facts = [_quantities(plan, drawn.x_name) if varied else {} for plan in drawn.plans]
    return [
        {
            "accountant": name,
            "refusal": drawn.refusals.get(name),
            "points": [
                {drawn.x_name: x, **fact, drawn.quantity: None if bound is None else figure_data(bound)}
                for x, fact, bound in zip(drawn.x, facts, bounds, strict=True)
            ],
        }
        for name, bounds in drawn.series.items()
    ]


def as_csv(drawn: "Curves") -> str:
    """A line for each point and accountant; figures unrounded, and empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([drawn.x_name, "accountant", "quantity", "guarantee", "lower", "upper", "estimate"])
    for name, bounds in drawn.series.items():
        for x, bound in zip(drawn.x, bounds, strict=True):
            if bound is None:
                writer.writerow([show(x), name, drawn.quantity, "", "", "", ""])
            else:
                figures = (bound.lower, bound.upper, bound.estimate)
                writer.writerow([show(x), name, drawn.quantity, str(bound.guarantee), *figures])
    return text.getvalue()


def bar(share: float) -> str:
    """A bar of that share of BAR columns, to an eighth of a column; what is there at all is seen."""
    eighths = max(round(8 * BAR * min(share, 1.0)), 1 if share > 0 else 0)
    return BLOCKS[-1] * (eighths // 8) + BLOCKS[eighths % 8].strip()


def _quantities(plan: Plan, x_name: str) -> dict[str, object]:
    """What the last phase is, but for what the point is at."""
    phase = plan.phases[-1]
    return {name: _setting(phase, name) for name in (*phase.settings, "steps") if name != x_name}


def _setting(phase: Phase, name: str) -> Any:
    return phase.steps if name == "steps" else phase.settings[name]


def _x(drawn: "Curves") -> Iterator[TableCell]:
    return (TableCell(show(x)) for x in drawn.x)


def _figure(bound: Bound | None, digits: int = 6) -> TableCell:
    return TableCell("-" if bound is None else figure(bound, digits))


def _ends(bound: Bound | None) -> tuple[TableCell, TableCell]:
    """Both ends, rounded outward, with the digits it takes to tell them apart."""
    if bound is None or bound.lower is None or bound.upper is None:
        return TableCell("-"), TableCell("-")
    lower, upper = ends(bound.lower, bound.upper)
    return TableCell(lower), TableCell(upper)


def _bars(bounds: Sequence[Bound | None], logarithmic: bool) -> Iterator[TableCell]:
    """From 0 to the largest figure; by factors, from the smallest above 0."""
    values = [math.nan if bound is None else bound.value for bound in bounds]
    proper = [value for value in values if 0 < value < math.inf]
    top, bottom = max(proper, default=1.0), min(proper, default=1.0)
    for value in values:
        if not 0 < value < math.inf:
            yield TableCell("")
        elif logarithmic:
            yield TableCell(bar((math.log(value / bottom) + 1.0) / (math.log(top / bottom) + 1.0)))
        else:
            yield TableCell(bar(value / top))


def _spans_decades(bounds: Sequence[Bound | None]) -> bool:
    values = [bound.value for bound in bounds if bound is not None and 0 < bound.value < math.inf]
    return bool(values) and max(values) > LOGARITHMIC * min(values)
