"""What a plan costs at several places, as a table."""

from collections.abc import Sequence

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render.bound_text import figure, meaning, proven
from dpplan.render.table import Column, Table, TableCell


def answers(given: Sequence[tuple[float, Bound]]) -> Table:
    """One plan at several deltas, each with its epsilon; or the reverse."""
    epsilon = given[0][1].quantity == "epsilon"
    names = (Column("δ" if epsilon else "ε"), Column("ε" if epsilon else "δ"), Column("guarantee"), Column("proven"))
    return Table(names, tuple(_answer(at, bound) for at, bound in given))


def _answer(at: float, bound: Bound) -> tuple[TableCell, ...]:
    return (
        TableCell(show(at)),
        TableCell(figure(bound)),
        TableCell(str(bound.guarantee), meaning(bound)),
        TableCell(proven(bound)),
    )
