"""A run that has no report: what its folder tells of the steps that were begun, and of what they cost."""

import json
from pathlib import Path

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems
from dpplan.errors import NotCertified, ReportError
from dpplan.phase_steps import taken
from dpplan.plan import Plan
from dpplan.rounding import up
from dpplan.units import UNITS, unit_problems
from dpplan.verify import json_fields

REPORT, STEPS, RUN, CHECKPOINT = "report.json", "steps", "run.json", "checkpoint.pt"


def unfinished(folder: Path) -> str:
    """Why nothing in this folder can be verified, and what to do about it."""
    if not (folder / STEPS).exists():
        return f"{folder}: is not the folder of a run: it holds no {REPORT}."
    if (folder / CHECKPOINT).exists():
        return (
            f"{folder}: this run has no {REPORT} yet: it goes on, or was killed. `dpplan train --resume {folder}` "
            "ends it, and reports what it spent."
        )
    return (
        f"{folder}: this run has no {REPORT}: it goes on, or was killed before its first checkpoint, and then cannot "
        f"be resumed. {cost(folder, _count(folder / STEPS))}"
    )


def cost(folder: Path, steps: int | None) -> str:
    """How many steps are counted, and what they cost by the plan beside them, as a sentence."""
    if steps is None:
        return "How many of its steps are spent, nobody can tell."
    counted = f"{steps} step is" if steps == 1 else f"{steps} steps are"
    spent = _spent(folder / RUN, steps)
    return f"{counted} counted" + (f", {spent} spent." if spent else ", and are spent.")


def _count(file: Path) -> int | None:
    try:
        return int(file.read_bytes()[:100] or b"0")
    except (OSError, ValueError):
        return None


def _spent(run: Path, steps: int) -> str:
    """The epsilon of so many steps of the plan in run.json; "" where it cannot be read or nothing is proven."""
    try:
        content = json.loads(run.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    problems = Problems(ReportError)
    planned = json_fields.block(problems, content if isinstance(content, dict) else {}, "planned")
    delta = json_fields.delta_of(problems, planned, "planned.delta")
    phase = json_fields.phase(problems, planned, "planned")
    neighbours = json_fields.adjacency(problems, planned, "planned")
    unit, most = str(planned.get("privacy_unit", "example")), planned.get("max_per_user")
    if delta is None or phase is None or neighbours is None or steps < 0:
        return ""
    if unit not in UNITS or unit_problems(unit, most):
        return ""
    plan = Plan((taken(phase, max(steps, 1)),), neighbours, unit, max_per_user=most)
    try:
        bound: Bound | None = accounting.epsilon(plan, delta) if steps else None
    except NotCertified:
        return ""
    upper = 0.0 if bound is None else bound.upper
    return "" if upper is None else f"ε ≤ {up(upper)} at δ = {delta:g}"
