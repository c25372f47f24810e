"""One run for users, protected in three ways: as a table, and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render import bound_text
from dpplan.render.number_format import percent, up
from dpplan.render.plan_rows import sentence
from dpplan.render.table import Column, Table, TableCell
from dpplan.render.to_json import Object, figure

if TYPE_CHECKING:
    from dpplan.compare.units import UnitComparison, UserCounts

DIGITS = 6
_LEGEND = (
    "group holds whatever the mechanism; one by one is exact for Poisson batches of examples; whole needs users to be "
    "drawn and clipped, and its q is the rate of users. The figure of one example promises a user nothing of the kind."
)
PRIVATE = "private: counted in the data. Publish none of it, and choose the bound on examples per user without it."


def table(found: "UnitComparison") -> Table:
    """A row for one example, and for a user in each of three ways."""
    rows: list[tuple[str, str, Bound | None]] = [("1 example", "for comparison", found.example)]
    rows += [(f"{found.max_per_user} of a user", row.name, row.bound) for row in found.rows]
    columns = (Column("protects"), Column("how"), Column("ε at most", True), Column("guarantee"))
    cells = tuple(
        (
            TableCell(unit),
            TableCell(name),
            TableCell("-" if bound is None else up(bound.value, DIGITS)),
            TableCell("") if bound is None else TableCell(str(bound.guarantee), bound_text.meaning(bound)),
        )
        for unit, name, bound in rows
    )
    refusals = tuple(f"{row.name}: {row.refusal}" for row in found.rows if row.bound is None)
    return Table(columns, cells, (_LEGEND, *refusals), keys=2)


def user_rows(counts: "UserCounts", most: int) -> Iterator[str]:
    """What the data say of users."""
    shares = ", ".join(f"{percent(share)} have {counts.quantile(share)} or fewer" for share in (0.5, 0.9, 0.99))
    yield ""
    yield from sentence(
        "users", f"{len(counts.counts)} with {sum(counts.counts)} examples; {shares}; most {counts.most}"
    )
    yield from sentence("kept", f"{percent(counts.kept(most))} of the examples, with at most {show(most)} of each user")
    yield from sentence("beware", PRIVATE)


def document(found: "UnitComparison", counts: "UserCounts | None") -> Object:
    users = None
    if counts is not None:
        users = {
            "users": len(counts.counts),
            "most": counts.most,
            "quantiles": {str(share): counts.quantile(share) for share in (0.5, 0.9, 0.99)},
            "kept": counts.kept(found.max_per_user),
            "private": PRIVATE,
        }
    return {
        "schema": "dpplan.compare-units/1",
        "delta": found.delta,
        "max_per_user": found.max_per_user,
        "example": figure(found.example),
        "results": [
            {
                "way": row.name,
                "words": row.words,
                "epsilon": None if row.bound is None else figure(row.bound),
                "refusal": row.refusal or None,
            }
            for row in found.rows
        ],
        "users": users,
    }
