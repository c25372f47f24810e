"""Results in words: the answer first, then what it rests on. Lines only; what they are printed on is not known here."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import show
from dpplan.plan import Delta, Plan
from dpplan.render.numbers import brief, down, interval, up, up_within
from dpplan.render.table import WIDTH, Meaning, wrapped

if TYPE_CHECKING:
    from dpplan.solve import Solution

Paint = Callable[[str, Meaning], str]
SYMBOLS = {"epsilon": "ε", "delta": "δ"}
QUANTITIES = {
    "noise_multiplier": "noise multiplier",
    "sample_rate": "sample rate",
    "steps": "steps",
    "epochs": "epochs",
    "batch_size": "batch",
}
# Below this relative width an interval settles the six digits of a headline, and "=" is the truth.
_SETTLED = 1e-5
_DETAILS = {
    "log_delta": "log δ",
    "lambda": "λ",
    "max_lambda": "largest λ tried",
    "mu": "μ",
    "rho": "ρ",
    "step_epsilon": "ε₀ per step",
    "step_delta": "δ₀ per step",
    "slack_delta": "slack",
    "terms": "errors in δ, below",
    "frequencies": "nodes of the sum",
}


def unpainted(text: str, meaning: Meaning) -> str:
    return text


def headline(bound: Bound, at: float, paint: Paint = unpainted) -> str:
    """The figure, where it holds, and what is proven about it. `at`: the delta of an epsilon, or the reverse."""
    symbol = SYMBOLS[bound.quantity]
    other = "δ" if bound.quantity == "epsilon" else "ε"
    stated = f"{symbol} {relation(bound)} {figure(bound)} at {other} = {show(at)}"
    proof = f": {proven(bound)}"
    gap = " " * min(max(35 - len(stated), 2), max(WIDTH - len(stated) - len(bound.guarantee) - len(proof), 2))
    return f"{stated}{gap}{paint(str(bound.guarantee), meaning(bound))}{proof}"


def figure(bound: Bound) -> str:
    """The figure to state at six digits: rounded up, unless all that is proven is a lower bound."""
    return down(bound.lower) if bound.guarantee is Guarantee.LOWER else up(bound.value)


def relation(bound: Bound) -> str:
    if bound.guarantee is Guarantee.CERTIFIED:
        return "=" if bound.relative_width is not None and bound.relative_width <= _SETTLED else "≤"
    return {Guarantee.UPPER: "≤", Guarantee.LOWER: "≥", Guarantee.ESTIMATE: "≈"}[bound.guarantee]


def proven(bound: Bound) -> str:
    """What is proven about the true value, in a few words."""
    symbol = SYMBOLS[bound.quantity]
    if bound.lower is not None and bound.upper is not None:
        return interval(bound.lower, symbol, bound.upper)
    if bound.upper is not None:
        return f"the true {symbol} is no larger, and may be smaller"
    if bound.lower is not None:
        return f"the true {symbol} is no smaller, and may be larger"
    return f"nothing is proven, the true {symbol} may be larger"


def meaning(bound: Bound) -> Meaning:
    meanings: dict[str, Meaning] = {
        "certified": "certified",
        "upper": "upper",
        "lower": "lower",
        "estimate": "estimate",
    }
    return meanings[bound.guarantee]


def row(name: str, value: str, note: str = "") -> str:
    """One fact: its name, its value, and where it comes from."""
    return f"  {name:<19}{value:<15}  {note}".rstrip()


def plan_rows(plan: Plan, deltas: Sequence[Delta] = (), found: str | None = None) -> Iterator[str]:
    """What the figures rest on. A delta is shown where it was derived. found: the quantity that was solved for."""
    for number, phase in enumerate(plan.phases, start=1):
        if len(plan.phases) > 1:
            yield f"  phase {number}"
        yield row("noise multiplier", show(phase.noise_multiplier), _origin(plan, "noise_multiplier", found))
        yield row("sample rate", f"{phase.sample_rate:.6g}", _origin(plan, "sample_rate", found))
        yield row("steps", show(phase.steps), _origin(plan, "steps", found))
    for delta in deltas:
        if delta.reason:
            yield row("delta", show(delta.value), delta.reason)
    yield f"  {'assumes':<19}{plan.assumptions}"


def explanation(bound: Bound, at: float | None = None, named: bool = False) -> Iterator[str]:
    """How a figure came about, and what its accountant chose on the way. at, named: where several are explained."""
    if at is not None:
        other = "δ" if bound.quantity == "epsilon" else "ε"
        yield f"  at {other} = {show(at)}" + (f", {bound.accountant}" if named else "")
    if bound.why != bound.details.get("method"):
        yield from _named("why", bound.why)
    for key, value in bound.details.items():
        name = _DETAILS.get(key, key.replace("_", " "))
        if isinstance(value, Mapping):
            for label, part in value.items():
                yield f"  {name:<19}{label:<24}{brief(part)}".rstrip()
                name = ""
        else:
            yield f"  {name:<19}{brief(value)}"


def solution(found: "Solution", delta: Delta, paint: Paint = unpainted) -> Iterator[str]:
    """The value, what it spends of the target, what it rests on, and what the next value would cost."""
    spent = found.spent
    stated = f"{QUANTITIES[found.unknown]} = {show(found.value)}"
    within = f"ε {relation(spent)} {up_within(spent.value, found.target)} of {show(found.target)}"
    yield f"{stated:<33}  spends {within} ({paint(str(spent.guarantee), meaning(spent))})"
    yield ""
    yield from plan_rows(found.plan, [Delta(delta.value, delta.reason or "given")], found.unknown)
    yield ""
    if found.other_way is not None:
        other, spends = found.other_way.value, found.other_way.spent
        over = f"ε {relation(spends)} {up(spends.value)}"
        yield from _named("next", f"{QUANTITIES[found.unknown]} {show(other)} would spend {over}")
    for remark in found.remarks:
        yield from wrapped(remark, indent=2)


def exceeded(bound: Bound, at: float, most: float) -> str:
    """Why a claim is not within --max-eps."""
    over = f"ε {relation(bound)} {up(bound.value)} at δ = {show(at)} exceeds --max-eps {show(most)}."
    if bound.guarantee is Guarantee.CERTIFIED and bound.lower is not None and bound.lower <= most:
        return f"{over} It is not proven to be within it, nor to exceed it."
    if bound.guarantee is Guarantee.UPPER:
        return f"{over}\n  This is an upper bound by {bound.accountant}; --accountant exact may prove less."
    return over


def _named(name: str, sentence: str) -> Iterator[str]:
    """A sentence beside its name, wrapped under itself."""
    yield from textwrap.wrap(
        sentence, WIDTH, initial_indent=f"  {name:<19}", subsequent_indent=" " * 21, break_on_hyphens=False
    )


def _origin(plan: Plan, quantity: str, found: str | None) -> str:
    origin = plan.origin(quantity)
    if quantity == found:
        return "solved for"
    return f"= {origin}" if origin else ""
