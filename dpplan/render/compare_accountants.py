"""One plan through every accountant, as a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE
from dpplan.render.bound_text import SYMBOLS, figure, meaning, proven
from dpplan.render.number_format import ratio, seconds
from dpplan.render.table import Column, Table, TableCell
from dpplan.rounding import apart

if TYPE_CHECKING:
    from dpplan.compare.accountants import AccountantRow


ELSEWHERE = (
    "elsewhere: Opacus's prv (its default) and dp_accounting's PLD compute what the exact row certifies and print "
    "more: prv adds its error (eps_error, 0.01), PLD rounds up. Opacus's rdp, dp_accounting's and TensorFlow Privacy's "
    "are the rdp row at orders of their own; Opacus's gdp is the gdp row."
)


def accountants(rows: Sequence["AccountantRow"], timed: bool, quantity: str = "epsilon") -> Table:
    """One plan, every accountant. timed: with the seconds each took."""
    names = [Column("accountant"), Column(SYMBOLS[quantity]), Column("vs exact", numeric=True), Column("guarantee")]
    if timed:
        names.append(Column("time", numeric=True))
    names.append(Column("note"))
    reference = next((row.bound for row in rows if row.accountant == "exact"), None)
    refusals = _refusals(rows)
    sentences = [refusals.get(row.accountant) or _sentence(row, reference) for row in rows]
    elsewhere = ELSEWHERE if timed and any(map(_opacus_answers, rows)) else ""
    return Table(
        tuple(names),
        tuple(_accountant(row, timed) for row in rows),
        tuple(sentence for sentence in [*sentences, elsewhere] if sentence),
    )


def _opacus_answers(row: "AccountantRow") -> bool:
    """Whether it is the plan of a row that Opacus, too, has a figure for."""
    bound = row.bound
    return row.accountant == "gdp" and bound is not None and bound.assumptions.adjacency == ADD_REMOVE.name


def _accountant(row: "AccountantRow", timed: bool) -> tuple[TableCell, ...]:
    bound = row.bound
    time = (TableCell("-" if bound is None else seconds(row.seconds)),) if timed else ()
    if bound is None:
        return (
            TableCell(row.accountant),
            TableCell("-"),
            TableCell("-"),
            TableCell("-"),
            *time,
            TableCell("refuses: see below"),
        )
    note = (
        TableCell("under-reports: see below", "bad")
        if row.under_reports
        else TableCell(_choice(row.accountant, bound.details))
    )
    return (
        TableCell(row.accountant),
        TableCell(figure(bound)),
        TableCell("-" if row.ratio is None else ratio(row.ratio)),
        TableCell(str(bound.guarantee), meaning(bound)),
        *time,
        note,
    )


def _choice(accountant: str, details: Mapping[str, object]) -> str:
    """What the accountant chose, in at most 25 columns; "" where the figure came about without it."""
    try:
        return accounting.describe(accountant).note.format_map({key: _short(value) for key, value in details.items()})
    except KeyError:
        return ""


def _refusals(rows: Sequence["AccountantRow"]) -> dict[str, str]:
    """Why some refuse, each reason once and after the names of all that give it: by the first of these names."""
    given: dict[str, list[str]] = {}
    for row in rows:
        if row.bound is None and row.refusal:
            given.setdefault(row.refusal.removeprefix(f"{row.accountant}: "), []).append(row.accountant)
    return {names[0]: f"{', '.join(names)}: {reason}" for reason, names in given.items()}


def _sentence(row: "AccountantRow", reference: Bound | None) -> str | None:
    """What is too long for the row's note."""
    if row.bound is None:
        return None  # told by _refusals
    if row.under_reports and reference is not None:
        symbol, certified = SYMBOLS[row.bound.quantity], proven(reference)
        said = figure(row.bound)
        if reference.lower is not None and not float(said) < float(certified.split()[0]):
            said, least = apart(row.bound.value, reference.lower)
            certified = f"{least} ≤ {symbol}"
        return f"{row.accountant}: its {symbol} ≈ {said} is below the certified {certified}."
    return f"{row.accountant}: {row.bound.why}." if "a tighter value may lie" in row.bound.why else None


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
