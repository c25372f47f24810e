"""Claims that were accounted anew: in words, and as JSON."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dpplan
from dpplan.checks import reaches_one_in, show
from dpplan.plan import Plan
from dpplan.quantities import MEANINGLESS_EPSILON
from dpplan.render.bound_text import SYMBOLS, Paint, unpainted
from dpplan.render.explanation import explanation, premises
from dpplan.render.plan_rows import row, settings_shown
from dpplan.render.table import Meaning, screen_width
from dpplan.render.to_json import Object, described, figure
from dpplan.rounding import down, up
from dpplan.verify import Standing, both_figures

if TYPE_CHECKING:
    from dpplan.verify import Document, RecordedClaim, Verdict

MEANINGS: Mapping[Standing, Meaning] = {
    Standing.STANDS: "certified",
    Standing.REFUTED: "bad",
    Standing.UNCERTAIN: "estimate",
}

Beside = tuple[str, Mapping[str, object]]  # runs on the same data: in words, and as JSON
NONE_BESIDE: Beside = ("", {})


def report(
    read: "Document", verdicts: Sequence["Verdict"], paint: Paint = unpainted, others: Beside = NONE_BESIDE
) -> Iterator[str]:
    """How many of what, then each claim beside what is proven of its plan now. others: runs beside it."""
    counts = Counter(verdict.standing for verdict in verdicts)
    many = ", ".join(f"{counts[one]} {_plural(one, counts[one])}" for one in Standing if counts[one])
    writer = f", written by dpplan {read.version}" if read.version else ""
    yield f"{read.name}: {len(verdicts)} claim{'s' if len(verdicts) > 1 else ''}, {many}"
    yield f"  {read.schema}{writer}; accounted by dpplan {dpplan.__version__}"
    for warning in read.warnings:
        yield from _sentence("warning", warning)
    for remark in _notes(read, others):
        yield from _sentence("note", remark)
    for verdict in verdicts:
        yield ""
        yield from _verdict(verdict, paint, others)


def _notes(read: "Document", others: Beside) -> list[str]:
    """What is worth knowing of the run: how it ended, at which cost, and what ran beside it."""
    both = both_figures(read, reason=True)
    ended = f"{both}." if both else read.ending  # one of them is enough
    return [each for each in (ended, *read.remarks, others[0] and f"{others[0]}.") if each]


def explanations(verdicts: Sequence["Verdict"]) -> Iterator[str]:
    """How each new figure came about, and what all of them assume."""
    for verdict in verdicts:
        if verdict.bound is not None:
            yield ""
            yield f"  {verdict.claim.name}, {_at(verdict.claim)}"
            yield from explanation(verdict.bound, verdict.claim.at)
    under = (verdict.bound.assumptions for verdict in verdicts if verdict.bound is not None)
    yield from premises(under, any(verdict.proof is not None for verdict in verdicts))


def document(read: "Document", verdicts: Sequence["Verdict"], others: Beside = NONE_BESIDE) -> Object:
    """The object that `dpplan verify --json` prints. stands: whether the exit status is 0."""
    return {
        "schema": "dpplan.verify/1",
        "file": read.name,
        "verified": {"schema": read.schema, "dpplan": read.version or None},
        "dpplan": dpplan.__version__,
        "claims": [_described(verdict) for verdict in verdicts],
        "remarks": _notes(read, others),
        **({"other_runs": dict(others[1])} if others[1] else {}),
        "warnings": list(read.warnings),
        "stands": all(verdict.standing is Standing.STANDS for verdict in verdicts),
    }


def _described(verdict: "Verdict") -> Object:
    claim, proof = verdict.claim, verdict.proof
    quantity, other = claim.quantity, _other(claim)
    return {
        "name": claim.name,
        "quantity": quantity,
        other: claim.at,
        "claimed": claim.value,
        "claimed_lower": claim.lower,
        "claimed_guarantee": claim.guarantee,
        "claimed_accountant": claim.accountant,
        "standing": str(verdict.standing),
        "reasons": list(verdict.reasons),
        "accounted": None if verdict.bound is None else figure(verdict.bound),
        "proof": None if proof is None else {"lower": proof.lower_digits, "upper": proof.upper_digits},
        "off": verdict.off,
        "off_relative": verdict.off_relative,
        "publish": verdict.publish,
        **({"publish_if": verdict.publish_if, "condition": claim.condition} if claim.condition else {}),
        "remarks": list(_remarks(verdict)),
        "plan": None if claim.plan is None else described(claim.plan),
    }


def _verdict(verdict: "Verdict", paint: Paint, others: Beside) -> Iterator[str]:
    claim = verdict.claim
    symbol = SYMBOLS[claim.quantity]
    relation = "≈" if claim.guarantee == "estimate" else "≤"
    standing, who = paint(str(verdict.standing), MEANINGS[verdict.standing]), claim.name
    if claim.accountant and claim.accountant != "exact":
        who += f" by {claim.accountant}"
    yield f"{standing}  {who}: {symbol} {relation} {show(claim.value)} {_at(claim)}"
    yield from _accounted(verdict, symbol)
    yield row("plan", *_plan(claim.plan))
    for reason in verdict.reasons:
        yield from _sentence("because", reason)
    yield from _off(verdict, symbol)
    yield from _publish(verdict, symbol, others)
    for remark in _remarks(verdict):
        yield from _sentence("", remark)


def _accounted(verdict: "Verdict", symbol: str) -> Iterator[str]:
    """Every digit: what refutes a claim has to be seen to."""
    bound = verdict.bound
    if bound is None:
        yield row("accounted", "nothing is proven")
    elif verdict.proof is not None:
        yield f"  {'proven':<19}{symbol} ≥ {verdict.proof.lower_digits}"
        yield f"  {'':<19}{symbol} ≤ {verdict.proof.upper_digits}"
    else:
        least = "" if bound.lower is None else f"{show(bound.lower)} ≤ "
        most = "" if bound.upper is None else f" ≤ {show(bound.upper)}"
        yield f"  {'accounted':<19}{least}{symbol}{most}"


def _plan(plan: Plan | None) -> tuple[str, str]:
    if plan is None:
        return "no step", "was taken"
    if len(plan.phases) > 1:
        return f"{len(plan.phases)} phases", f"{plan.steps} steps"
    phase = plan.only_phase
    length = f"{phase.steps} step{'s' if phase.steps > 1 else ''}"
    return length, ", ".join(settings_shown(phase))


def _off(verdict: "Verdict", symbol: str) -> Iterator[str]:
    off, relative = verdict.off, verdict.off_relative
    if off is None or verdict.claim.broken:  # no figure can be claimed, however near it is to that of the plan
        return
    share = "" if not relative else f"{100 * abs(relative):.3g} %"
    if off > 0:
        yield row("off by", f"+{down(off, 3)}", f"more than is needed{_of(share)}")
    elif off < 0:
        yield row("off by", f"-{down(-off, 3)}", f"too low by at least that{_of(share)}")
    elif verdict.standing is Standing.STANDS:
        yield row("off by", "0", "to the last digit")
    elif verdict.bound is not None and verdict.bound.upper == verdict.claim.value:
        yield row("off by", "0", "if the plan told here is what ran")
    else:
        yield row("off by", "unknown", "it lies between the two ends")


def _of(share: str) -> str:
    return f" ({share})" if share else ""


def _publish(verdict: "Verdict", symbol: str, others: Beside) -> Iterator[str]:
    claim, value = verdict.claim, verdict.publish
    if verdict.publish_if is not None:
        yield f"  {'publish':<19}{symbol} ≤ {show(verdict.publish_if)} {_at(claim)}, only if"
        yield from _sentence("", f"{claim.condition}; otherwise the planned figure")
        return
    if value is None:
        yield row("publish", "nothing", "no figure can be claimed for this run" if claim.broken or claim.doubts else "")
        return
    instead = "as it is" if verdict.standing is Standing.STANDS else "instead"
    yield f"  {'publish':<19}{symbol} ≤ {show(value)} {_at(claim)}, {instead}"
    least = verdict.proven
    if verdict.standing is Standing.STANDS and least is not None and least < value:
        yield f"  {'':<19}{symbol} ≤ {show(least)} would do"
    if not others[0]:
        return
    of_all = ""
    if (claim.quantity, claim.at) == ("epsilon", others[1]["delta"]):
        together = others[1]["together"]
        figure_of_all = f"{symbol} ≤ {up(together, 4)} {_at(claim)}" if isinstance(together, float) else "none is known"
        of_all = f" Of all runs on these data: {figure_of_all}."
    yield from _sentence("", f"That is the figure of this run alone.{of_all}")


def _remarks(verdict: "Verdict") -> Iterator[str]:
    claim, bound = verdict.claim, verdict.bound
    if bound is not None and bound.upper is not None and claim.lower is not None and claim.lower > bound.upper:
        yield (
            f"its lower end, {show(claim.lower)}, is false as well: above all that is proven. That claims no privacy, "
            "but a version that printed it was wrong."
        )
    if claim.quantity == "epsilon" and verdict.publish is not None and verdict.publish > MEANINGLESS_EPSILON:
        yield "an ε above 50 rules out no attack at all; it is true, and no claim of privacy."
    n = None if claim.plan is None else claim.plan.examples
    delta = claim.at if claim.quantity == "epsilon" else claim.value
    if n is not None and reaches_one_in(delta, n):
        yield f"δ = {show(delta)} is not below 1/n, n = {n}: publishing a whole record at random would satisfy it."


def _at(claim: "RecordedClaim") -> str:
    return f"at {'δ' if claim.quantity == 'epsilon' else 'ε'} = {show(claim.at)}"


def _other(claim: "RecordedClaim") -> str:
    return "delta" if claim.quantity == "epsilon" else "epsilon"


def _plural(standing: Standing, count: int) -> str:
    return "stand" if standing is Standing.STANDS and count > 1 else str(standing)


def _sentence(name: str, sentence: str) -> Iterator[str]:
    yield from textwrap.wrap(
        sentence, screen_width(), initial_indent=f"  {name:<19}", subsequent_indent=" " * 21,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
