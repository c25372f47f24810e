"""A claim that was written down: which figure, of which plan; and what a file of them says besides."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from dpplan.accounting.bound import Quantity
from dpplan.checks import show
from dpplan.errors import ReportError
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.verify.early_end import EarlyEnd

FOUND = "an audit of this recipe found what its plan does not allow"  # why a claim of such a run is not certified


@dataclass(frozen=True, slots=True)
class RecordedClaim:
    """One figure somebody relies on: a plan spends no more than `value`.

    name: where it stands in the file. at: the delta of an epsilon, or the reverse. plan: None where no step was taken.
    lower: the lower end that was claimed beside it, None without one. guarantee, accountant: as the file has them.
    broken: why no figure at all can be claimed, "" otherwise. doubts: why the plan may not be what ran.
    condition: what it holds under that no file shows, "" where there is nothing of the kind. earlier: whether it is of
    what ran before alone, the first phases of the plan that the other claims of its file are of.
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
    earlier: bool = False

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
    same as the report tells it, also of a run that took no step. violations: what audits of that recipe found that its
    plan does not allow, a sentence for each, where they were looked at. over_budget: that a run spent more than its
    recipe allows, or that its plan would, in a sentence; "" where it is not so. unsure: the doubts of its claims
    by what lies beside the report: a recipe that is another, or audits that cannot be told.
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
    violations: tuple[str, ...] = ()
    over_budget: str = ""
    unsure: tuple[str, ...] = ()

    def named(self, name: str) -> RecordedClaim | None:
        """The ε of that name which a run's report claims: of what it spent, or of what was planned."""
        return next((each for each in self.claims if each.name == name and each.quantity == "epsilon"), None)

    @property
    def safe(self) -> tuple[RecordedClaim, ...]:
        """The claims of what is counted beside other runs, and judged: of a run that ended early its planned steps."""
        name = "planned" if self.early is not None else "spent"
        return tuple(each for each in self.claims if each.name == name) or self.whole

    @property
    def whole(self) -> tuple[RecordedClaim, ...]:
        """The claims of all that the file tells of, and not of its first part alone."""
        return tuple(each for each in self.claims if not each.earlier)

    def only_one(self, among: tuple[RecordedClaim, ...], delta: object = None) -> RecordedClaim | None:
        """The claim that stands for all of the file, an ε where one is told; None where none of these is of a plan.

        delta: where it is asked for at one that the file need not tell. Raises ReportError where these claims are of
        several plans, or of one at several δ or ε: a choice between them would be nobody's.
        """
        usable = [each for each in among if each.plan is not None]
        if len({each.plan for each in usable}) > 1:
            raise ReportError(
                f"{self.name}: holds figures of several plans, and nobody said which is meant. Name a file of one: "
                "what `dpplan epsilon --json` prints of it."
            )
        figures = [each for each in usable if each.quantity == "epsilon"] or usable
        places = list(dict.fromkeys(each.at for each in figures))
        if len(places) > 1 and delta is None:
            first, listed = figures[0], ", ".join(map(show, places))
            symbol, one = ("δ", first.at) if first.quantity == "epsilon" else ("ε", first.value)
            raise ReportError(
                f"{self.name}: holds figures at several {symbol}: {listed}. Say at which δ, by --delta {show(one)}."
            )
        asked = [each for each in figures if each.quantity == "epsilon" and each.at == delta]
        return next(iter(asked or figures), None)
