"""How the composition theorems grow: as a table, and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render.contest import listed
from dpplan.render.data import Object, figure
from dpplan.render.numbers import ratio, up
from dpplan.render.table import Cell, Column, Table

if TYPE_CHECKING:
    from dpplan.growth import Growth, Row

LOOSEST, TIGHTEST = "^", "*"
DIGITS = 4
_LEGEND = (
    f"{LOOSEST} loosest, {TIGHTEST} tightest besides exact; × exact: the loosest divided by the exact ε. Figures are "
    "upper bounds, rounded up."
)


def table(growth: "Growth") -> Table:
    """A row for each number of steps, a column for each theorem; below it, who is loosest and tightest where."""
    names = tuple(growth.rows[0].bounds)
    columns = (Column("steps", True), *(Column(name, True) for name in names), Column("× exact", True))
    reigns = (_reigned(growth, side) for side in ("tightest", "loosest"))
    return Table(columns, tuple(_cells(row) for row in growth.rows), (_LEGEND, *reigns))


def results(growth: "Growth") -> list[Object]:
    """An object for each number of steps."""
    return [
        {
            "steps": row.steps,
            "delta": growth.delta,
            "epsilon": {name: None if bound is None else figure(bound) for name, bound in row.bounds.items()},
            "loosest": list(row.loosest),
            "tightest": list(row.tightest),
            "loosest_to_exact": row.excess,
        }
        for row in growth.rows
    ]


def _cells(row: "Row") -> tuple[Cell, ...]:
    figures = (_figure(row, name, bound) for name, bound in row.bounds.items())
    return (Cell(show(row.steps)), *figures, Cell("-" if row.excess is None else ratio(row.excess)))


def _figure(row: "Row", name: str, bound: Bound | None) -> Cell:
    if bound is None:
        return Cell("- ")
    mark = LOOSEST if name in row.loosest else TIGHTEST if name in row.tightest else " "
    return Cell(f"{up(bound.value, DIGITS)}{mark}", "certified" if str(bound.guarantee) == "certified" else "")


def _reigned(growth: "Growth", side: str) -> str:
    return f"{side}: {'; '.join(_spans(growth, side))}."


def _spans(growth: "Growth", side: str) -> Iterator[str]:
    for names, first, last in growth.reigns(side):
        where = f"at {first}" if first == last else f"from {first} to {last}"
        yield f"{listed(names)} {where} step{'' if last == 1 else 's'}"
