"""A claim that was written down: which figure, of which plan; and what a file of them says besides."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from dpplan.accounting.bound import Quantity
from dpplan.checks import show
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.verify.early_end import EarlyEnd


@dataclass(frozen=True, slots=True)
class RecordedClaim:
    """One figure somebody relies on: a plan spends no more than `value`.

    name: where it stands in the file. at: the delta of an epsilon, or the reverse. plan: None where no step was taken.
    lower: the lower end that was claimed beside it, None without one. guarantee, accountant: as the file has them.
    broken: why no figure at all can be claimed, "" otherwise. doubts: why the plan may not be what ran.
    condition: what it holds under that no file shows, "" where there is nothing of the kind.
    """

    name: str
    quantity: Quantity
    at: float
    value: float
    plan: Plan | None
    lower: float | None = None
    guarantee: str = ""
    accountant: str = ""
    broken: str = ""
    doubts: tuple[str, ...] = ()
    condition: str = ""

    @property
    def contradiction(self) -> str:
        """Where the ends exclude each other: what is wrong with them, else ""."""
        if self.lower is None or self.lower <= self.value:
            return ""
        return f"{self.name} contradicts itself: lower={show(self.lower)} is above upper={show(self.value)}."


@dataclass(frozen=True, slots=True)
class Document:
    """All claims of a file. version: of the dpplan that wrote it, "" where it does not say. remarks: worth knowing.

    warnings: of what contradicts the file beside it, which the claims are judged by too. folder: of a run, None without
    one. recipe: as the run's report records it. recipe_ran: whether the recipe in the folder is that one, if it was
    held against it. early: how a run ended that took fewer steps than planned, None of all else. ending: the
    same as the report tells it, also of a run that took no step.
    """

    name: str
    schema: str
    version: str
    claims: tuple[RecordedClaim, ...]
    remarks: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = ()
    folder: Path | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    recipe_ran: bool = True
    early: EarlyEnd | None = None
    ending: str = ""

    def named(self, name: str) -> RecordedClaim | None:
        """The ε of that name which a run's report claims: of what it spent, or of what was planned."""
        return next((each for each in self.claims if each.name == name and each.quantity == "epsilon"), None)

    @property
    def safe(self) -> tuple[RecordedClaim, ...]:
        """The claims of what is counted beside other runs, and judged: of a run that ended early its planned steps."""
        name = "planned" if self.early is not None else "spent"
        return tuple(each for each in self.claims if each.name == name) or self.claims
