"""Membership attacks on a recipe's models: verdict, rates beside the plan's ceiling; as text and as JSON."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dpplan.checks import show
from dpplan.render import plan_rows
from dpplan.render.audit import THEOREMS, described, rounded_down
from dpplan.render.number_format import up
from dpplan.render.table import Column, Meaning, Table, TableCell

if TYPE_CHECKING:
    from dpplan.audit import AuditFinding
    from dpplan.audit.membership_attacks import Roc

PRIVATE = "computed from members without noise: ε does not cover it. Keep it, its picture and its folder to yourself."
MEASURED = (
    "The rates are measured, not bounds: over all models, each attacked with the others as shadows. At most: what the "
    "plan allows any attacker, proven."
)


def headline(findings: "Mapping[str, AuditFinding]", paint: "Callable[[str, Meaning], str]") -> str:
    """The verdict in a line."""
    wrong = [name for name, found in findings.items() if found.violation]
    if wrong:
        return paint("VIOLATION", "bad") + f": the plan does not allow what is found by {', '.join(wrong)}"
    return paint("consistent", "certified") + ": the plan allows what the attacks find"


def rows(findings: "Mapping[str, AuditFinding]", models: int, folder: str, level: float) -> Iterator[str]:
    """What the verdict rests on."""
    first = next(iter(findings.values()))
    assert first.hypothesis is not None
    yield from plan_rows.sentence("private", PRIVATE)
    yield from plan_rows.sentence(
        "models",
        f"{models}, each by the recipe's own trainer on its half of {first.canaries} examples, in or out by fair coins",
    )
    yield plan_rows.row("folder", folder)
    at = f"at δ = {show(first.settings.delta)}"
    best = max(found.epsilon for found in findings.values())
    yield plan_rows.row("lower bound", f"ε ≥ {rounded_down(best)}", f"{at}, confidence {show(round(1.0 - level, 12))}")
    yield plan_rows.row("claimed", f"ε ≤ {up(first.hypothesis.upper, 6)}")
    yield from plan_rows.sentence("rests on", "the first model and its coins; the others are its shadows")
    yield from plan_rows.sentence("theorem", THEOREMS[first.settings.method])
    yield from plan_rows.sentence("bound for", first.family)
    if any(found.violation for found in findings.values()):
        chance = f"A sound run is called so with chance {show(level)} at most."
        yield from plan_rows.sentence("so", f"something in the run is not as planned. {chance}")
    else:
        yield from plan_rows.sentence("so", "nothing was found, which does not prove the plan: an attack sees a part.")


def table(
    curves: "Mapping[str, Roc]", findings: "Mapping[str, AuditFinding]", ceilings: Mapping[float, float]
) -> Table:
    """A line for each attack; below, what the plan allows and what guessing reaches."""
    rates = [Column(f"TPR at {show(rate)}", numeric=True) for rate in ceilings]
    columns = (Column("attack"), Column("area", numeric=True), *rates, Column("ε at least", numeric=True))
    lines = [
        (name, f"{curve.area:.3f}", *(_rate(curve.at(rate)) for rate in ceilings), rounded_down(findings[name].epsilon))
        for name, curve in curves.items()
    ]
    lines.append(("at most", "-", *(up(ceiling, 3) for ceiling in ceilings.values()), "-"))
    lines.append(("guessing", "0.5", *(show(rate) for rate in ceilings), "0"))
    return Table(columns, tuple(tuple(map(TableCell, line)) for line in lines), (MEASURED,))


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def document(
    curves: "Mapping[str, Roc]", findings: "Mapping[str, AuditFinding]", ceilings: Mapping[float, float],
    **facts: Any,
) -> dict[str, Any]:  # fmt: skip
    """The object that `dpplan audit RECIPE --attack ... --json` prints. facts: seed, models, folder."""
    return {
        "schema": "dpplan.audit-membership/1",
        "private": PRIVATE,
        "verdict": "violation" if any(found.violation for found in findings.values()) else "consistent",
        **facts,
        "ceilings": [{"false_positive_rate": rate, "true_positive_rate": most} for rate, most in ceilings.items()],
        "attacks": {
            name: {
                "area": curve.area,
                "rates": [
                    {"false_positive_rate": rate, "true_positive_rate": curve.at(rate)} for rate in ceilings
                ],
                "members": curve.members,
                "non_members": curve.others,
                "audit": described(findings[name]),
            }
            for name, curve in curves.items()
        },
    }  # fmt: skip
