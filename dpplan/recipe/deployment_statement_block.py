"""The block of a recipe that says what no tool can know: one key for each field of a statement."""

from dataclasses import field
from typing import Any, ClassVar

from dpplan.checks import Problems
from dpplan.deployment_statement import FIELDS, refused
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import values
from dpplan.recipe.schema import Block


def _offered(problems: Problems, name: str, value: str) -> None:
    wrong = refused(next(each for each in FIELDS if each.key == name), value)
    problems.require(not wrong, f"{name}={value} {wrong}")


def _stated() -> Any:
    return field(metadata={"read": values.words, "rule": _offered}, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementBlock(Block):
    """What a page about the run is to say and no tool can know; deployment_statement.FIELDS has what each key asks.

    Nothing here changes what runs, nor what it costs. What is left out is shown as not stated.
    """

    title: ClassVar[str] = "statement"

    name: str | None = _stated()
    description: str | None = _stated()
    curator: str | None = _stated()
    product: str | None = _stated()
    intended_use: str | None = _stated()
    region: str | None = _stated()
    sector: str | None = _stated()
    publication_date: str | None = _stated()
    data: str | None = _stated()
    data_source: str | None = _stated()
    people: str | None = _stated()
    model: str | None = _stated()
    trust: str | None = _stated()
    released: str | None = _stated()
    releases: str | None = _stated()
    queries: str | None = _stated()
    post_processing: str | None = _stated()
    refresh: str | None = _stated()
    other_accesses: str | None = _stated()
    unprotected: str | None = _stated()
    tuning: str | None = _stated()
    justification: str | None = _stated()
    bias: str | None = _stated()
    access: str | None = _stated()
    side_channels: str | None = _stated()
    sources: str | None = _stated()
    authors: str | None = _stated()
    contact: str | None = _stated()
