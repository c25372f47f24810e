"""Where the budget of a plan file goes: what each phase costs alone, and what it adds to all the others."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dpplan.accounting.bound import Bound
from dpplan.groups import group_called
from dpplan.mechanism import BestOfTrials
from dpplan.plan import Plan
from dpplan.query_sensitivity import MISSED, AnswerAccuracy
from dpplan.render import to_json
from dpplan.render.bound_text import SYMBOLS, figure
from dpplan.render.number_format import up
from dpplan.render.plan_rows import row
from dpplan.render.table import Column, Table, TableCell

_BETWEEN_BOUNDS = "≈ by how much the phase raises the bound: how far the others are below theirs is not known."
MOST_PHASES = 40  # each is asked twice
LONGEST = 10.0  # seconds, after which what a phase adds is asked no more: each takes as long as the whole plan
_TOO_LONG = (
    f"not asked: what each phase adds takes as long as the whole plan, and {LONGEST:g} s had gone by. Searches come "
    "first, then what costs most alone."
)


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """group: whose phase it is, "" where it is for all. alone: of the phase by itself. without: of all the others,
    None where they were not asked. whole: of everything, at the same place."""

    name: str
    group: str
    at: float
    alone: Bound
    without: Bound | None
    whole: Bound

    @property
    def about(self) -> float | None:
        """By how much the phase raises the bound, where at most what it adds is not proven."""
        if self.without is None or self.whole.upper is None:
            return None
        if not (math.isnan(self.marginal[1]) or self.without.stands_in):  # exact's lower end lies far below another's
            return None
        return self.whole.value - self.without.value

    @property
    def unknown(self) -> str:
        """Why no figure is known of what it adds, "" where there is one."""
        if self.without is None:
            return "not asked"
        return "not proven" if math.isnan(self.marginal[1]) and self.about is None else ""

    @property
    def marginal(self) -> tuple[float, float]:
        """At least and at most what the phase adds, from what is proven of the whole and of the others."""
        if self.without is None:
            return math.nan, math.nan
        return _end(self.whole.lower) - _end(self.without.upper), _end(self.whole.upper) - _end(self.without.lower)


def _end(end: float | None) -> float:
    return float("nan") if end is None else end


def is_asked(plan: Plan, names: Sequence[str]) -> bool:
    return 1 < len(plan.phases) <= MOST_PHASES and len(names) == len(plan.phases)


def of(plan: Plan, names: Sequence[str], wholes: Sequence[tuple[float, Bound]],
       ask: Callable[[Plan, float], Bound], progress: Callable[[str], None]) -> tuple[PhaseCost, ...]:  # fmt: skip
    """For each place and phase; none for a single phase, whose cost is that of the plan, or for very many. progress:
    told which phase is asked about. What a phase adds takes as long as the whole plan, so after LONGEST seconds of that
    the rest is left out: what is large is asked first, and so is a search, without which the others are quick."""
    if not is_asked(plan, names):
        return ()
    found = []
    for at, whole in wholes:
        alone = [ask(_of(plan, slice(number, number + 1)), at) for number in _told(names, "costs alone", progress)]
        first = sorted(range(len(names)), key=lambda at: (not _is_search(plan, at), -alone[at].value))
        began, without = time.monotonic(), dict[int, Bound]()
        for number in _told(names, "adds", progress, first):
            others = replace(plan, phases=plan.phases[:number] + plan.phases[number + 1 :], derivation=())
            if time.monotonic() - began < LONGEST:
                without[number] = ask(others, at)
        for number, name in enumerate(names):
            group = group_called(name, plan.phases[number].groups)
            found.append(PhaseCost(name, group, at, alone[number], without.get(number), whole))
    return tuple(found)


def _told(names: Sequence[str], what: str, progress: Callable[[str], None], order: Sequence[int] = ()) -> Iterator[int]:
    """The places of the phases in this order, each told as it is come to."""
    for count, number in enumerate(order or range(len(names)), 1):
        progress(f"what {names[number]} {what}, phase {count} of {len(names)}")
        yield number


def _is_search(plan: Plan, number: int) -> bool:
    return isinstance(plan.phases[number].mechanism, BestOfTrials)


def _of(plan: Plan, places: slice) -> Plan:
    return replace(plan, phases=plan.phases[places], derivation=())


def table(costs: Sequence[PhaseCost]) -> Table:
    symbol = SYMBOLS[costs[0].whole.quantity]
    grouped = any(each.group for each in costs)
    columns = [Column("phase"), Column("group"), Column(f"{symbol} alone", True), Column("adds ≤", True)]
    rows = [[each.name, each.group or "all", figure(each.alone), _most(each)] for each in costs]
    rows.append(["all together", "", figure(costs[0].whole), ""])
    kept = [at for at in range(len(columns)) if grouped or at != 1]
    cells = (tuple(TableCell(row[at]) for at in kept) for row in rows)
    told = [_BETWEEN_BOUNDS] if any(row[3].startswith("≈") for row in rows) else []
    told += [_TOO_LONG] if any(each.without is None for each in costs) else []
    return Table(tuple(columns[at] for at in kept), tuple(cells), tuple(told))


def _most(cost: PhaseCost) -> str:
    """At most what the phase adds; where no lower end of the others is proven, by how much an upper bound rises."""
    if cost.about is not None:
        return f"≈ {cost.about:.3g}"
    return cost.unknown or up(max(cost.marginal[1], 0.0))


def public_rows(public: Sequence[str]) -> Iterator[str]:
    for line in public:
        yield row("public", line, "costs nothing")


def accuracy_rows(names: Sequence[str], accuracies: Sequence[AnswerAccuracy | None]) -> Iterator[str]:
    """How near the answers to queries are, in units of the data."""
    for name, each in zip(names, accuracies, strict=False):
        if each is not None:
            error = "" if each.standard_error is None else f", standard error {up(each.standard_error, 3)}"
            each_bin = " each bin" if each.kind == "histogram" else ""
            near = f"±{up(each.within, 3)} at {100 * (1 - MISSED):g} %{each_bin}"
            yield row(name, near, f"{each.kind}: {each.noise}{error}, sensitivity {up(each.sensitivity, 3)}")
            if each.rests_on:
                yield row("", "", each.rests_on)


def accuracies_content(names: Sequence[str], accuracies: Sequence[AnswerAccuracy | None]) -> list[dict[str, Any]]:
    told = [(name, each) for name, each in zip(names, accuracies, strict=False) if each is not None]
    fields = [(name, dataclasses.asdict(each)) for name, each in told]
    return [
        {"phase": name, **{key: value for key, value in said.items() if value or key != "rests_on"}, "missed": MISSED}
        for name, said in fields
    ]


def content(costs: Sequence[PhaseCost]) -> list[dict[str, Any]]:
    """adds: what the phase adds to all the others, at least and at most."""
    if not costs:
        return []
    quantity = costs[0].whole.quantity
    other = "delta" if quantity == "epsilon" else "epsilon"
    return [
        {
            "phase": each.name,
            **({"group": each.group} if each.group else {}),
            other: each.at,
            "alone": to_json.figure(each.alone),
            "adds": {"lower": _number(each.marginal[0]), "upper": _number(each.marginal[1])},
        }
        for each in costs
    ]


def _number(value: float) -> float | None:
    return None if value != value else value
