"""What was solved for, in words and as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import Bound
from dpplan.checks import reaches_one_in, show
from dpplan.plan import Delta
from dpplan.quantities import quantity
from dpplan.render import bound_text, plan_rows, to_json
from dpplan.render.number_format import up, up_within
from dpplan.render.table import WIDTH, wrapped

if TYPE_CHECKING:
    from dpplan.solve import Solution


_WHY_DELTA = (
    "The noise, the sample rate and the length are all given and --delta is not, so the least δ is solved for. To find "
    "one of them instead, leave it out; δ is then --delta, or follows from --n."
)


@dataclass(frozen=True, slots=True)
class KeptLimit:
    """A limit on attackers that stands in place of a target, in words, and what the plan spends beside it. delta: None
    where none was given nor follows from n. why: what there is in place of an ε at it."""

    said: str
    delta: Delta | None = None
    spent: Bound | None = None
    why: str = ""

    @property
    def row(self) -> Iterator[str]:
        """The ε that nobody asked for and everybody compares by, or how to see it."""
        if self.delta is None:
            yield from plan_rows.sentence("epsilon", "at a δ, and none is given: add --delta to see ε, too")
        elif self.spent is None:
            yield from plan_rows.sentence("epsilon", self.why)
        else:
            yield plan_rows.row(
                "epsilon", _spends(self.spent, bound_text.figure(self.spent)), str(self.spent.guarantee)
            )


def lines(
    found: "Solution", delta: Delta, paint: bound_text.Paint = bound_text.unpainted, kept: KeptLimit | None = None
) -> Iterator[str]:
    """The value, what it spends of the target, what it rests on, and what the next value would cost."""
    spent, name = found.spent, _name(found)
    stated = f"{name} = {show(found.value)}"
    within = (
        kept.said if kept else f"{_spends(spent, up_within(spent.value, _target(found)))} of {show(_target(found))}"
    )
    guarantee = str(spent.guarantee)
    gap = " " * min(max(35 - len(stated), 2), max(WIDTH - len(stated) - len(within) - len(guarantee) - 10, 2))
    verb = "keeps" if kept else "spends"
    yield f"{stated}{gap}{verb} {within} ({paint(guarantee, bound_text.meaning(spent))})"
    examples = found.plan.examples
    if found.unknown == "delta" and examples is not None and reaches_one_in(float(found.value), examples):
        why = f"this δ is not below 1/n = {1 / examples:.3g}, so whoever publishes whole records keeps it, too."
        first, *others = wrapped(f"NO PRIVACY: {why}")
        yield first.replace("NO PRIVACY", paint("NO PRIVACY", "bad"))
        yield from others
    yield ""
    if spent.quantity == "delta" and not kept:
        yield plan_rows.row("epsilon", show(found.target), "given, with the target δ")
    yield from plan_rows.whose((spent,))
    said = Delta(delta.value, "solved for" if found.unknown == "delta" else delta.reason or "given")
    yield from kept.row if kept else ()
    deltas = ([Delta(kept.delta.value, kept.delta.reason or "given")] if kept.delta else []) if kept else [said]
    yield from plan_rows.plan_rows(found.plan, deltas, found.unknown, earlier=len(found.plan.phases) - 1)
    yield ""
    if found.other_way is not None:
        other = found.other_way
        spends = _spends(other.spent, up(other.spent.value))
        told = f"would spend {spends}"
        if kept and found.target == 0.0:  # at ε = 0 δ is the advantage
            relation = bound_text.relation(other.spent).replace("=", "≤")
            told = f"would keep advantage {relation} {up(other.spent.value)}"
        elif kept:  # δ at this ε proves the limit on attackers; at another ε, it may of the next value, too
            told = f"is not proven to keep that: {spends} at ε = {show(found.target)}"
        yield from plan_rows.sentence("next", f"{name} {show(other.value)} {told}")
    if found.unknown == "delta":
        yield from wrapped(_WHY_DELTA, indent=2)
    for remark in found.remarks:
        yield from wrapped(remark, indent=2)


def unproven(found: "Solution") -> str:
    """Why an answer that rests on an estimate does not pass."""
    return (
        f"{_name(found)} = {show(found.value)} rests on an estimate by {found.spent.accountant}: nothing "
        f"proves that it spends no more than {show(_target(found))}.\n  "
        "Use --accountant exact, or say --accept-estimate."
    )


def described(found: "Solution", delta: Delta) -> to_json.Object:
    """The value found, what it spends, and what the next value the other way would spend."""
    quantity, other = found.spent.quantity, found.other_way
    spent: dict[str, Any] = (
        to_json.spent_epsilon(delta, found.spent)
        if quantity == "epsilon"
        else to_json.spent_delta(found.target, found.spent)
    )
    return {
        "unknown": found.unknown,
        "value": _number(found.value),
        "target_epsilon": found.target,
        "target_delta": None if found.unknown == "delta" else found.delta,
        "other_way": None if other is None else {"value": _number(other.value), quantity: to_json.figure(other.spent)},
        "remarks": list(found.remarks),
        **spent,
    }


def described_limit(kept: KeptLimit | None) -> to_json.Object:
    """What stands in place of a target, and the ε beside it; nothing where a target was given."""
    if kept is None:
        return {}
    spent = None if kept.delta is None or kept.spent is None else to_json.spent_epsilon(kept.delta, kept.spent)
    return {"kept": kept.said, "spent_at_delta": spent}


def _number(value: float | Fraction) -> float:
    """As JSON has it: a whole number stays one."""
    return float(value) if isinstance(value, Fraction) else value


def _name(found: "Solution") -> str:
    known = quantity(found.unknown)
    return known.answer or known.words


def _target(found: "Solution") -> float:
    return found.target if found.spent.quantity == "epsilon" else found.delta


def _spends(spent: Bound, figure: str) -> str:
    return f"{bound_text.SYMBOLS[spent.quantity]} {bound_text.relation(spent)} {figure}"
