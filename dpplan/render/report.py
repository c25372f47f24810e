"""What a statement may hold, listed."""

from collections.abc import Iterator

from dpplan.deployment_statement import FIELDS
from dpplan.render.plan_rows import sentence


def fields() -> Iterator[str]:
    """Every key of a statement, and what it asks."""
    for each in FIELDS:
        offered = f" One of: {', '.join(each.choices)}." if each.choices else ""
        yield from sentence(each.key, each.question + offered)
