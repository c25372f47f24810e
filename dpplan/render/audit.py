"""An audit: its verdict, the bound, and what was tried; as text and as JSON."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dpplan.checks import show
from dpplan.render import plan_rows, to_json
from dpplan.render.number_format import down, up
from dpplan.render.table import Column, Meaning, Table, TableCell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dpplan.audit import Attempt, AuditFinding

THEOREMS = {
    "one-run-fdp": "one run, the whole trade-off curve (Mahloujifar et al. 2024)",
    "order-statistics": "one run, order statistics of canaries that do not touch each other (ours, after the idea of "
    "Xiang et al. 2025): each with a coordinate, noise and a draw of its own, as the gradient canaries of a run are",
    "one-run": "one run, (ε, δ) alone (Steinke, Nasr, Jagielski 2023)",
    "many-runs": "many runs, Clopper-Pearson on both rates",
    "gauss": "none: an ESTIMATE, if the scores of either kind are normal with one spread (after Agrawal et al. 2026)",
}

MANY = 10.0  # times a claim, from which on they are told in place of a percentage
BEYOND = (
    "some mechanism of this ε and δ could give these scores, so the claim is not refuted; none of the family that the "
    "bound is for could. If yours is one of it, as DP-SGD is, name its plan in place of --eps: that decides."
)


def rounded_down(value: float) -> str:
    """Six digits, never more than the value."""
    text = f"{value:.6g}"
    return text if float(text) <= value else f"{value * (1 - 5e-6):.6g}"


def _share(share: float, of: str, times: str) -> str:
    """Whole percents `of` what is claimed, from MANY times on `times` it; never more than the share that a bound
    reaches."""
    return f"{down(share, 3)} times {times}" if share >= MANY else f"{math.floor(100.0 * share)} %{of}"


def headline(found: "AuditFinding", paint: "Callable[[str, Meaning], str]") -> str:
    """The verdict in a line."""
    level = show(round(1.0 - found.settings.level, 12))
    if found.is_estimate:
        estimate = f"ε about {rounded_down(found.epsilon)} or more"
        return f"{estimate} at δ = {show(found.settings.delta)}: an ESTIMATE, and no verdict"
    if found.violation is None:
        return f"ε ≥ {rounded_down(found.epsilon)} at δ = {show(found.settings.delta)}, with confidence {level}"
    assert found.hypothesis is not None
    if found.violation:
        return paint("VIOLATION", "bad") + f": {found.hypothesis.name} does not allow these scores"
    alone = " with (ε, δ) alone" if found.beyond_claim else ""
    return paint("consistent", "certified") + f"{alone}: {found.hypothesis.name} allows these scores"


def rows(found: "AuditFinding") -> Iterator[str]:
    """What the verdict rests on."""
    settings = found.settings
    confidence = show(round(1.0 - settings.level, 12))
    bound = f"ε ≥ {rounded_down(found.epsilon)}"
    yield plan_rows.row(
        "estimate" if found.is_estimate else "lower bound",
        bound,
        f"at δ = {show(settings.delta)}, confidence {confidence}",
    )
    if found.hypothesis is not None:
        share = "" if found.share is None or found.beyond_claim else _reached(found, found.share)
        yield plan_rows.row("claimed", f"ε ≤ {up(found.hypothesis.upper, 6)}", share)
        yield from plan_rows.whose(() if found.hypothesis.bound is None else (found.hypothesis.bound,))
    yield plan_rows.row("canaries", str(found.canaries), f"{found.members} of them members")
    yield from plan_rows.sentence("theorem", THEOREMS[settings.method])
    yield from plan_rows.sentence("bound for", found.family)
    if found.is_estimate:
        return
    if not found.violation and (chance := 0.5**found.canaries) > settings.level:
        yield from plan_rows.sentence(
            "too few",
            f"coins alone guess all {found.canaries} canaries right with chance {show(chance)}, which is above "
            f"{show(settings.level)}: no scores of so few could have refuted anything.",
        )
    if found.violation:
        yield from plan_rows.sentence(
            "so",
            "something in the run is not as planned, or a canary is no single example of it. A sound run is called so "
            f"with chance {show(settings.level)} at most.",
        )
    elif found.beyond_claim:
        yield from plan_rows.sentence("so", BEYOND)
    elif found.violation is False:
        yield from plan_rows.sentence("so", "nothing was found, which does not prove the plan: an attack sees a part.")


def _reached(found: "AuditFinding", share: float) -> str:
    return f"the {'estimate' if found.is_estimate else 'bound'} reaches {_share(share, '', 'as much')}"


def table(found: "AuditFinding") -> Table:
    """What was tried."""
    columns = (
        Column("guesses", numeric=True),
        Column("side"),
        Column("right", numeric=True),
        Column("p-value", numeric=True),
    )
    return Table(columns, tuple(_row(each) for each in found.attempts), keys=2)


def _row(each: "Attempt") -> tuple[TableCell, ...]:
    p_value = "-" if each.p_value is None else up(each.p_value, 2)
    return TableCell(str(each.guesses)), TableCell(each.side), TableCell(str(each.right)), TableCell(p_value)


def document(found: "AuditFinding", warnings: list[str]) -> dict[str, Any]:
    """The object that `dpplan audit --json` prints."""
    return {"schema": "dpplan.audit/1", **described(found), "warnings": warnings}


def described(found: "AuditFinding") -> dict[str, Any]:
    """One audit of one kind of scores."""
    claim, settings = found.hypothesis, found.settings
    return {
        "verdict": None if found.violation is None else "violation" if found.violation else "consistent",
        "epsilon_lower": found.epsilon,
        "guarantee": "estimate" if found.is_estimate else "lower",
        "delta": settings.delta,
        "confidence": 1.0 - settings.level,
        "method": settings.method,
        "family": found.family,
        "claim": None if claim is None else {"name": claim.name, "epsilon_upper": claim.upper},
        "plan": None if claim is None or claim.plan is None else to_json.described(claim.plan),
        "canaries": found.canaries,
        "members": found.members,
        "attempts": [
            {
                "guesses": each.guesses,
                "right": each.right,
                "side": each.side,
                "p_value": each.p_value,
                "refuted": each.refuted,
            }
            for each in found.attempts
        ],
    }


Measured = list[tuple[str, bool]]  # what was planned, and whether the run did so


def run_headline(
    findings: "Mapping[str, AuditFinding]", measured: Measured, paint: "Callable[[str, Meaning], str]"
) -> str:
    """The verdict of a run with canaries."""
    wrong = [f"{kind} scores" for kind, found in findings.items() if found.violation]
    wrong += [name for name, agrees in measured if not agrees]
    if wrong:
        return paint("VIOLATION", "bad") + f": not as planned, by {'; '.join(wrong)}"
    return paint("consistent", "certified") + ": the run did nothing that its plan does not allow, as far as was seen"


def run_rows(findings: "Mapping[str, AuditFinding]", measured: Measured, level: float) -> Iterator[str]:
    """The bounds beside what is claimed, and what they rest on."""
    first = next(iter(findings.values()))
    at = f"at δ = {show(first.settings.delta)}"
    for name, of_gradient in (("white box", True), ("black box", False)):
        bounds = [found.epsilon for kind, found in findings.items() if kind.startswith("gradient") == of_gradient]
        if bounds and first.hypothesis is not None:
            claimed = "what is claimed"
            share = _share(max(bounds) / first.hypothesis.upper, f" of {claimed}", claimed)
            yield plan_rows.row(name, f"ε ≥ {rounded_down(max(bounds))}", share)
    if first.hypothesis is not None:
        yield plan_rows.row("claimed", f"ε ≤ {up(first.hypothesis.upper, 6)}", at)
    confidence = show(round(1.0 - level, 12))
    yield plan_rows.row("confidence", confidence, f"for all of it together, {len(findings)} kinds of scores")
    found = ", ".join(f"{name} {plan_rows.agreement(name, agrees)}" for name, agrees in measured)
    yield from plan_rows.sentence("against the plan", found)
    for method in dict.fromkeys(found.settings.method for found in findings.values()):
        of = [kind for kind, found in findings.items() if found.settings.method == method]
        kinds = "" if len(of) == len(findings) else f"{'; '.join(of)}: "
        yield from plan_rows.sentence("theorem", f"{kinds}{THEOREMS[method]}")
    yield from plan_rows.sentence("bounds for", first.family)
    yield from plan_rows.sentence(
        "real data",
        "pay nothing for the canaries. The audit is a run on them itself, whose model was discarded: whoever publishes "
        "what it found spends its ε once more.",
    )


def run_table(findings: "Mapping[str, AuditFinding]") -> Table:
    """Each kind of score: its best attempt."""
    columns = (
        Column("scores"),
        Column("canaries", numeric=True),
        Column("in", numeric=True),
        Column("right", numeric=True),
        Column("least p-value", numeric=True),
        Column("ε at least", numeric=True),
    )
    return Table(columns, tuple(tuple(map(TableCell, _kind(kind, found))) for kind, found in findings.items()))


def _kind(kind: str, found: "AuditFinding") -> Iterator[str]:
    least = min(each.p_value for each in found.attempts if each.p_value is not None)
    yield from (kind, str(found.canaries), str(found.members), f"{found.best.right}/{found.best.guesses}")
    yield from (up(least, 2), rounded_down(found.epsilon))


def run_document(
    findings: "Mapping[str, AuditFinding]", measured: Measured, seed: int | None, **facts: Any
) -> dict[str, Any]:
    """The object that `dpplan audit RECIPE --json` prints. facts: of the recipe, and when it was audited."""
    violation = any(found.violation for found in findings.values()) or not all(agrees for _, agrees in measured)
    return {
        "schema": "dpplan.audit-run/1",
        "verdict": "violation" if violation else "consistent",
        **facts,
        "seed": seed,
        "scores": {kind: described(found) for kind, found in findings.items()},
        "measured": dict(measured),
    }
