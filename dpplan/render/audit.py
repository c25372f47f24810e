"""An audit: its verdict, the bound, and what was tried; as text and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dpplan.checks import show
from dpplan.render import plan_rows, to_json
from dpplan.render.number_format import up
from dpplan.render.table import Column, Meaning, Table, TableCell

if TYPE_CHECKING:
    from collections.abc import Callable

    from dpplan.audit import Attempt, Finding

THEOREMS = {
    "one-run-fdp": "one run, the whole trade-off curve (Mahloujifar et al. 2024)",
    "one-run": "one run, (ε, δ) alone (Steinke, Nasr, Jagielski 2023)",
    "many-runs": "many runs, Clopper-Pearson on both rates",
}


def rounded_down(value: float) -> str:
    """Six digits, never more than the value."""
    text = f"{value:.6g}"
    return text if float(text) <= value else f"{value * (1 - 5e-6):.6g}"


def headline(found: "Finding", paint: "Callable[[str, Meaning], str]") -> str:
    """The verdict in a line."""
    level = show(round(1.0 - found.settings.level, 12))
    if found.violation is None:
        return f"ε ≥ {rounded_down(found.epsilon)} at δ = {show(found.settings.delta)}, with confidence {level}"
    assert found.hypothesis is not None
    if found.violation:
        return paint("VIOLATION", "bad") + f": {found.hypothesis.name} does not allow these scores"
    return paint("consistent", "certified") + f": {found.hypothesis.name} allows these scores"


def rows(found: "Finding") -> Iterator[str]:
    """What the verdict rests on."""
    settings = found.settings
    confidence = show(round(1.0 - settings.level, 12))
    bound = f"ε ≥ {rounded_down(found.epsilon)}"
    yield plan_rows.row("lower bound", bound, f"at δ = {show(settings.delta)}, confidence {confidence}")
    if found.hypothesis is not None:
        share = "" if found.share is None else f"the bound reaches {100.0 * found.share:.0f} %"
        yield plan_rows.row("claimed", f"ε ≤ {up(found.hypothesis.upper, 6)}", share)
    yield plan_rows.row("canaries", str(found.canaries), f"{found.members} of them members")
    yield from plan_rows.sentence("theorem", THEOREMS[settings.method])
    yield from plan_rows.sentence("bound for", found.family)
    if found.violation:
        yield from plan_rows.sentence(
            "so",
            "something in the run is not as planned, or a canary is no single example of it. A sound run is called so "
            f"with chance {show(settings.level)} at most.",
        )
    elif found.violation is False:
        yield from plan_rows.sentence("so", "nothing was found, which does not prove the plan: an attack sees a part.")


def table(found: "Finding") -> Table:
    """What was tried."""
    columns = (
        Column("guesses", numeric=True),
        Column("side"),
        Column("right", numeric=True),
        Column("p-value", numeric=True),
    )
    return Table(columns, tuple(_row(each) for each in found.attempts))


def _row(each: "Attempt") -> tuple[TableCell, ...]:
    p_value = "-" if each.p_value is None else f"{each.p_value:.2g}"
    return TableCell(str(each.guesses)), TableCell(each.side), TableCell(str(each.right)), TableCell(p_value)


def document(found: "Finding", warnings: list[str]) -> dict[str, Any]:
    """The object that `dpplan audit --json` prints."""
    return {"schema": "dpplan.audit/1", **described(found), "warnings": warnings}


def described(found: "Finding") -> dict[str, Any]:
    """One audit of one kind of scores."""
    claim, settings = found.hypothesis, found.settings
    return {
        "verdict": None if found.violation is None else "violation" if found.violation else "consistent",
        "epsilon_lower": found.epsilon,
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
