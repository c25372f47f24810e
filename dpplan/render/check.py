"""What a check found: in words, and as JSON."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dpplan import lint
from dpplan.checks import show
from dpplan.render.bound_text import Paint, relation, unpainted, with_guarantees_painted
from dpplan.render.bound_text import figure as stated
from dpplan.render.number_format import up_within
from dpplan.render.plan_rows import plan_rows, row, whose
from dpplan.render.table import Meaning, screen_width
from dpplan.render.to_json import Object, described, figure
from dpplan.rounding import down
from dpplan.verdict import Standing

if TYPE_CHECKING:
    from dpplan.lint import ClaimStanding, Finding, LintContext

_TIMES = 2.0  # from so many times on a claim is told as a multiple of what is proven
LEAST_ROOM = 20  # columns for words beside a row's value; with fewer they stand below it
MEANINGS: Mapping[str, Meaning] = {"error": "bad", "warning": "estimate", "note": ""}


# Rules whose errors say that what runs is not what the figure is of.
_OF_ANOTHER_RUN = ("DP005", "DP008", "DP012", "DP015", "DP016")


def report(
    run: "LintContext", findings: Sequence["Finding"], paint: Paint = unpainted, unnamed: bool = False
) -> Iterator[str]:
    """How many of what, then each with its reason and its fix, then the plan that was checked.

    unnamed: whether it matters how batches are drawn, and nobody said what draws them.
    """
    yield f"{run.recipe or 'plan'}: {summary(findings)}"
    for finding in findings:
        yield ""
        yield from _finding(finding, paint)
    if run.plan is not None:
        yield ""
        if run.epsilon is not None:
            proof = f"{run.epsilon.guarantee}, at δ = {show(run.delta.value)}"
            against = [each.code for each in lint.failing(findings)]
            if codes := " and ".join(code for code in _OF_ANOTHER_RUN if code in against):
                proof += f", of the plan as put; not of what runs: see {codes}"
            told = _beside("epsilon", f"{relation(run.epsilon)} {stated(run.epsilon)}", proof)
            yield from with_guarantees_painted(told, paint)
        claim = lint.claim_standing(run, findings)
        if claim is not None:
            yield from _beside("claimed", f"≤ {show(claim.epsilon)}", _of_claim(claim))
        yield from whose(() if run.epsilon is None else (run.epsilon,))
        yield from plan_rows(run.plan, [run.delta], names=run.names)
        if run.typed:
            yield from _beside("n", str(run.plan.examples), "as typed, not read from the data")
        if unnamed:
            yield from _beside("loader", "not named", "--loader NAME tells if yours draws so")


def _beside(name: str, value: str, words: str) -> Iterator[str]:
    """What becomes of a figure, beside it or below it, as there is room."""
    begin = row(name, value, "|")[:-1]
    if screen_width() - len(begin) < LEAST_ROOM:
        yield begin.rstrip()
        begin = " " * 4
    indent = " " * len(begin)
    yield from textwrap.wrap(
        words, screen_width(), initial_indent=begin, subsequent_indent=indent, break_on_hyphens=False
    )


def _of_claim(claim: "ClaimStanding") -> str:
    """What becomes of the claimed ε, in a line. DP009 tells the figures."""
    if claim.contradicted:
        return "does not stand as things are: see the errors above"
    if claim.bound is None:
        relation_said = "" if " under " in claim.of else f" under {claim.adjacency}"
        nothing = f"nothing is proven{claim.of}{relation_said}"
        if claim.as_put is None:
            return f"not proven: {nothing}"
        if claim.as_put is Standing.STANDS:
            return f"not proven: {nothing}, only{lint.AS_PUT}"
        return f"{_refused(claim.as_put)}{lint.AS_PUT}: see DP009; {nothing}"
    if claim.standing is Standing.STANDS:
        return f"stands: what is proven{claim.of} is no more{_above(claim.epsilon, claim.bound.upper)}"
    return f"{_refused(claim.standing)}{claim.of}: see DP009"


def _refused(standing: Standing) -> str:
    return "false" if standing is Standing.REFUTED else "not proven"


def _above(claimed: float, proven: float | None) -> str:
    """By how much a claim that stands is above what is proven, rounded down, as the end of a phrase."""
    if not proven:
        return ""
    more = "is it" if claimed == proven else f"is {down(claimed - proven, 3)} above it"
    more = f"is {down(claimed / proven, 3)} times it" if claimed >= _TIMES * proven else more
    return f": ε ≤ {up_within(proven, claimed)}, and the claim {more}"


def summary(findings: Sequence["Finding"]) -> str:
    """1 error, 2 warnings, 1 silenced."""
    counts = Counter("silenced" if finding.silenced is not None else str(finding.severity) for finding in findings)
    words = [_count(counts[str(severity)], str(severity)) for severity in lint.Severity if counts[str(severity)]]
    words += [f"{counts['silenced']} silenced"] if counts["silenced"] else []
    return ", ".join(words) or f"{len(lint.RULES)} rules find nothing"


def remark(finding: "Finding") -> str:
    """A finding in one paragraph, for a command that only mentions it."""
    return f"{finding} (dpplan check --explain {finding.code})"


def explanation(code: str) -> Iterator[str]:
    """A rule at length: its code and name, then its paragraphs."""
    paragraphs = lint.explanation(code).split("\n\n")
    yield f"{code} {lint.title(code)}"
    for paragraph in paragraphs:
        yield ""
        yield from _paragraph(" ".join(paragraph.split()), indent=0)


def rules() -> Iterator[str]:
    """Every code with what its rule says in a sentence."""
    for code in lint.RULES:
        yield f"{code}  {lint.explanation(code).splitlines()[0]}"


def explained(code: str | None) -> Object:
    """The object that --explain prints with --json: a rule at length, or all of them where no code is given."""
    codes = lint.RULES if code is None else (code,)
    return {
        "schema": "dpplan.check-explain/1",
        "rules": [{"code": each, "explanation": lint.explanation(each), "rule": lint.title(each)} for each in codes],
    }


def document(run: "LintContext", findings: Sequence["Finding"], failed: bool) -> Object:
    """The object that `dpplan check --json` prints. passed: whether the exit status is 0."""
    return {
        "schema": "dpplan.check/1",
        "recipe": run.recipe,
        "plan": None if run.plan is None else described(run.plan),
        **({"n_as_typed": True} if run.typed else {}),
        "delta": run.delta.value,
        "delta_reason": run.delta.reason,
        "epsilon": None if run.epsilon is None else figure(run.epsilon),
        "rules": len(lint.RULES),
        "claim": _claim(lint.claim_standing(run, findings)),
        "findings": [
            {
                "code": finding.code,
                "rule": lint.title(finding.code),
                "severity": str(finding.severity),
                "where": finding.where,
                "message": finding.message,
                "fix": finding.fix,
                "silenced": finding.silenced,
            }
            for finding in findings
        ],
        "passed": not failed,
    }


def _claim(claim: "ClaimStanding | None") -> Object | None:
    """epsilon: as claimed. standing: stands, refuted, or not certified. proven: what it was held against, of what.
    as_put: how it stands to batches drawn as the figure assumes, where nothing is proven of what the loader runs."""
    if claim is None:
        return None
    return {
        "epsilon": claim.epsilon,
        "adjacency": claim.adjacency.name,
        "standing": str(claim.standing),
        "of": claim.of.strip(),
        "proven": None if claim.bound is None else figure(claim.bound),
        "as_put": None if claim.as_put is None else str(claim.as_put),
    }


def _finding(finding: "Finding", paint: Paint) -> Iterator[str]:
    severity = str(finding.severity)
    if finding.silenced is None:
        yield f"{paint(severity, MEANINGS[severity])} {finding.code}  {finding.where}"
    else:
        yield f"silenced {finding.code}  {finding.where}  ({severity})"
    yield from _paragraph(finding.message)
    yield from _paragraph(f"fix: {finding.fix}")
    if finding.silenced is not None:
        yield from _paragraph(f"silenced: {finding.silenced}")


def _paragraph(text: str, indent: int = 2) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text,
        screen_width(),
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number > 1 else "")
