"""The open phases of a plan file, fitted to a target: as a table, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.plan import Delta, Plan
from dpplan.quantities import quantity
from dpplan.render import bound_text, plan_rows, to_json
from dpplan.render.number_format import up, up_within
from dpplan.render.table import WIDTH, Column, Table, TableCell

if TYPE_CHECKING:
    from dpplan.solve.allocation import Allocation

_LEGENDS = {
    "shares": "Shares of the budget, as zCDP counts it, are in proportion to the weights.",
    "error": "The sum of weighted squared errors over all releases is the least that was found.",
    "scale": "All noise was changed by one factor.",
}


def headline(made: "Allocation", target: tuple[float, Delta], paint: bound_text.Paint) -> Iterator[str]:
    """What was fitted, and what it spends of the target."""
    most, spent = target[0], made.spent
    count = len(made.openings)
    stated = f"{count} open phase{'s' if count > 1 else ''}, by {made.rule}"
    if made.alone is not None:
        stated = f"{made.rule} = {show(made.alone.value)}"
    within = f"ε {bound_text.relation(spent)} {up_within(spent.value, most)} of {show(most)}"
    gap = " " * min(max(35 - len(stated), 2), max(WIDTH - len(stated) - len(within) - 20, 2))
    yield f"{stated}{gap}spends {within} ({bound_text.guarantee(spent, paint)})"
    yield ""


def table(names: Sequence[str], made: "Allocation") -> Table:
    """A row for each open phase."""
    weighed = made.rule != "scale"  # one factor for all asks for no weights
    columns = (
        Column("phase"),
        *((Column("weight", True),) if weighed else ()),
        Column("found", True),
        Column("with ε + 1", True),
    )
    rows = []
    for at, opening in sorted(made.openings.items()):
        symbol, then = quantity(opening.setting).symbol, made.buys.get(at)
        then_words = "any" if then is None else f"{symbol} = {then:.4g}"
        weight = (f"{opening.weight:g}",) if weighed else ()
        cells = (names[at], *weight, f"{symbol} = {show(made.value(at))}", then_words)
        rows.append(tuple(map(TableCell, cells)))
    total = () if made.error is None else (f"Sum of weighted squared errors: {made.error:.6g}.",)
    more = "with ε + 1 is what a phase could have if the target were one more and all of it went there."
    legend = "" if len(rows) == 1 and made.rule != "error" else _LEGENDS.get(made.rule, "")  # one has nothing to share
    return Table(columns, tuple(rows), (*((legend,) if legend else ()), *total, more))


def rows(names: Sequence[str], plan: Plan, target: tuple[float, Delta]) -> Iterator[str]:
    """What the figure rests on."""
    said = target[1] if target[1].reason else Delta(target[1].value, "given")
    yield from plan_rows.plan_rows(plan, [said], names=names)


def beyond(made: "Allocation") -> Iterator[str]:
    """Of one setting, what the next value the other way would spend, and what was not established."""
    alone = made.alone
    if alone is None or (alone.beyond is None and not alone.remark):
        return
    yield ""
    if alone.beyond is not None:
        spends = "nothing is proven" if alone.spends is None else f"would spend {_figure(alone.spends)}"
        yield plan_rows.row("next", f"{made.rule} = {show(alone.beyond)}: {spends}")
    if alone.remark:
        yield from plan_rows.sentence("note", f"{alone.remark}.")


def _figure(spent: Bound) -> str:
    return f"ε {bound_text.relation(spent)} {up(spent.value)}"


def document(
    names: Sequence[str], made: "Allocation", target: tuple[float, Delta], warnings: Sequence[str]
) -> to_json.Object:
    """The plan that was found, what it spends, and each open phase."""
    alone = made.alone
    found: dict[str, Any] = {
        "unknown": "plan" if alone is None else alone.name,
        "rule": made.rule if made.openings else None,
        "target_epsilon": target[0],
        "phases": [
            {
                "phase": names[at],
                "setting": opening.setting,
                "weight": opening.weight,
                "value": made.value(at),
                "with_one_more": made.buys.get(at),
            }
            for at, opening in sorted(made.openings.items())
        ],
        "squared_error": made.error,
        "setting": None
        if alone is None
        else {
            "phase": names[alone.place],
            "setting": alone.name,
            "value": alone.value,
            "next": alone.beyond,
            "next_spends": None if alone.spends is None else to_json.figure(alone.spends),
            "remark": alone.remark or None,
        },
        **to_json.spent_epsilon(target[1], made.spent),
    }
    return to_json.document("solve", made.plan, [found], warnings, names=list(names))
