"""How the composition theorems grow: as a table, and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render.compare_plans import listed
from dpplan.render.number_format import ratio, up
from dpplan.render.table import Column, Table, TableCell
from dpplan.render.to_json import Object, figure

if TYPE_CHECKING:
    from dpplan.compare.theorems import TheoremComparison, TheoremRow

LOOSEST, TIGHTEST = "^", "*"
DIGITS = 4
_LEGEND = (
    f"{LOOSEST} loosest, {TIGHTEST} tightest besides exact; × exact: the loosest divided by the exact ε. Figures are "
    "upper bounds, rounded up."
)


def table(found: "TheoremComparison") -> Table:
    """A row for each number of steps, a column for each theorem; below it, who is loosest and tightest where."""
    names = tuple(found.rows[0].bounds)
    columns = (Column("steps", True), *(Column(name, True) for name in names), Column("× exact", True))
    reigns = (_reigned(found, side) for side in ("tightest", "loosest"))
    return Table(columns, tuple(_cells(row) for row in found.rows), (_LEGEND, *reigns))


def results(found: "TheoremComparison") -> list[Object]:
    """An object for each number of steps."""
    return [
        {
            "steps": row.steps,
            "delta": found.delta,
            "epsilon": {name: None if bound is None else figure(bound) for name, bound in row.bounds.items()},
            "loosest": list(row.loosest),
            "tightest": list(row.tightest),
            "loosest_to_exact": row.excess,
        }
        for row in found.rows
    ]


def _cells(row: "TheoremRow") -> tuple[TableCell, ...]:
    figures = (_figure(row, name, bound) for name, bound in row.bounds.items())
    return (TableCell(show(row.steps)), *figures, TableCell("-" if row.excess is None else ratio(row.excess)))


def _figure(row: "TheoremRow", name: str, bound: Bound | None) -> TableCell:
    if bound is None:
        return TableCell("- ")
    mark = LOOSEST if name in row.loosest else TIGHTEST if name in row.tightest else " "
    return TableCell(f"{up(bound.value, DIGITS)}{mark}", "certified" if str(bound.guarantee) == "certified" else "")


def _reigned(found: "TheoremComparison", side: str) -> str:
    return f"{side}: {'; '.join(_spans(found, side))}."


def _spans(found: "TheoremComparison", side: str) -> Iterator[str]:
    for names, first, last in found.reigns(side):
        where = f"at {first}" if first == last else f"from {first} to {last}"
        yield f"{listed(names)} {where} step{'' if last == 1 else 's'}"
