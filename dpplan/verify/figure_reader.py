"""One figure of a file, and what it was computed under: what it claims, if it holds what its guarantee promises."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from dpplan.accounting.bound import Quantity
from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import Problems
from dpplan.plan import Plan
from dpplan.plan_assumptions import WHOEVER_ELSE
from dpplan.sampling import Poisson
from dpplan.units import unit_words
from dpplan.verify import allowed_report_values, json_fields
from dpplan.verify.json_fields import Object
from dpplan.verify.recorded_claim import RecordedClaim

# What the figures of every version assume. Words around them have changed; other words than these are another claim.
_UNIT, _BY_POISSON = "example", ("Poisson sampling", "full batch")
# Words by which figures for other schemes are told, each of which no figure for Poisson sampling has.
_OTHERWISE = ("batches of exactly", "cut at", "by turns", "shuffled", "bins", "allocation")
_KNOWN = (*_BY_POISSON, *_OTHERWISE)
_SAMPLED = (*_KNOWN, WHOEVER_ELSE)
# What later versions say beside the words of earlier ones, whose files say it not: a claim is none the less theirs.
_SAID_SINCE = (
    re.compile(", (each example by itself|all subsets alike, anew each step|the n of a group public)"),
    re.compile("(?<=, )(batches cut in that order|cut in that order into [0-9]+ batches)"),
    re.compile("(?<=own )fair "),
)
# The rule of accounting.bound.Bound: what a figure of each guarantee has to hold, and what it must not.
_HOLDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "certified": (("lower", "upper"), ("estimate",)),
        "upper": (("upper",), ("estimate",)),
        "lower": (("lower",), ("upper", "estimate")),
        "estimate": (("estimate",), ("lower", "upper")),
    }
)
_RELIED_ON = {"certified": "upper", "upper": "upper", "estimate": "estimate"}  # a lower bound claims nothing


def figure(
    problems: Problems, holder: Object, path: str, quantity: Quantity, at: float | None, plan: Plan | None
) -> Iterator[RecordedClaim]:
    """What a figure claims: its upper bound, or its estimate. A lower bound claims nothing."""
    found = json_fields.block(problems, holder, path)
    if not found:
        if isinstance(holder.get(path.rpartition(".")[2]), dict):
            problems.add(f"{path} holds nothing.")
        return
    guarantee = found.get("guarantee")
    if not isinstance(guarantee, str) or guarantee not in _HOLDS:
        problems.add(f"{path}.guarantee={json_fields.shown(guarantee)} is none that dpplan gives.")
        return
    said = found.get("assumptions")
    unit = _UNIT if plan is None else plan.assumptions.privacy_unit
    briefly = f"{ADD_REMOVE.words if plan is None else plan.adjacency.words} {unit}"
    drawn = _sampled(said) if plan is None else _drawn_so(plan, str(said))
    if said is not None and not (briefly in str(said) and drawn):
        expected = briefly if plan is None else plan.assumptions
        problems.add(f"{path}.assumptions={json_fields.shown(said)} is not what its plan has: {expected}.")
    allowed_report_values.check(problems, found, allowed_report_values.FIGURE, f"{path}.")
    _ends(problems, found, path, guarantee, 1.0 if quantity == "delta" else float("inf"))
    value = json_fields.finite(found.get(_RELIED_ON.get(guarantee, "")))
    if value is not None and at is not None:
        lower = json_fields.finite(found.get("lower"))
        yield RecordedClaim(path, quantity, at, value, plan, lower, guarantee, str(found.get("accountant") or ""))


def _ends(problems: Problems, found: Object, path: str, guarantee: str, most: float) -> None:
    """That the figure holds what it promises, that each value makes sense."""
    needed, excluded = _HOLDS[guarantee]
    for key in ("lower", "upper", "estimate"):
        there = found.get(key) is not None
        if key in needed and not there:
            if key in found or key == _RELIED_ON.get(guarantee, "lower"):
                problems.add(f"{path}.{key} is {_gone(found, key)}, and guarantee={guarantee} promises one.")
        elif there and key in excluded:
            problems.add(
                f"{path}.{key}={json_fields.shown(found[key])} beside guarantee={guarantee}, which holds none."
            )
        elif there:
            json_fields.number(problems, found, f"{path}.{key}", high=most)


def _gone(found: Object, key: str) -> str:
    return "null" if key in found else "missing"


def assumed(problems: Problems, content: Object) -> None:
    """That the figures are for the sampling and the neighbours that dpplan accounts for."""
    told = content.get("assumptions")
    if told is None:
        return
    if not isinstance(told, dict):
        problems.add(f"assumptions={json_fields.shown(told)} is not an object.")
        return
    plan = content.get("plan", content.get("planned"))
    described = plan if isinstance(plan, dict) else {}
    adjacency = described.get("adjacency", ADD_REMOVE.name)
    unit = unit_words(str(described.get("privacy_unit", _UNIT)), described.get("max_per_user"))
    for key, value in (("adjacency", adjacency), ("privacy_unit", unit)):
        if told.get(key, value) != value:
            problems.add(f"assumptions.{key}={json_fields.shown(told[key])} is not what dpplan accounts for: {value}.")
    if not _sampled(told.get("sampling", _SAMPLED[0])):
        said = json_fields.shown(told["sampling"])
        problems.add(f"assumptions.sampling={said} is not what dpplan accounts for: {' or '.join(_KNOWN)}.")


def _drawn_so(plan: Plan, said: str) -> bool:
    """Whether these words may be of this plan. A full batch is Poisson sampling at rate 1, and may be called either."""
    if plan.assumptions.sampling in said:
        return True
    within = (each for phase in plan.phases for each in getattr(phase.mechanism, "inside", (phase,)))
    if all(type(phase.sampling) is Poisson for phase in within):
        return any(words in said for words in _BY_POISSON) and not any(words in said for words in _OTHERWISE)
    return _as_before(plan.assumptions.sampling) in _as_before(said)


def _as_before(words: str) -> str:
    for later in _SAID_SINCE:
        words = later.sub("", words)
    return words


def _sampled(words: object) -> bool:
    return any(known in str(words) for known in _SAMPLED)
