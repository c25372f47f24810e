"""A run that has no report: what its folder tells of the steps that were begun, and of what they cost."""

import json
import shlex
from pathlib import Path

from dpplan import accounting
from dpplan.checks import Problems
from dpplan.errors import NotCertified, ReportError
from dpplan.phase_steps import taken
from dpplan.plan import Plan
from dpplan.rounding import up
from dpplan.units import UNITS, unit_problems
from dpplan.verify import json_fields, known_steps, unaccounted
from dpplan.verify.early_end import early_end, figures

REPORT, STEPS, RUN, CHECKPOINT = "report.json", "steps", "run.json", "checkpoint.pt"
AUDITS = ("audits.jsonl", "audits.private.jsonl")  # of canaries, and of members
METRICS, MODEL = "metrics.jsonl", "model.pt"
_MOST_DIGITS = 100  # of a count of steps: more than any is written with, and read at once


def unfinished(folder: Path) -> str:
    """Why nothing in this folder can be verified, and what to do about it."""
    if not (folder / STEPS).exists() and not (folder / RUN).exists():
        return f"{folder}: is not the folder of a run: it holds no {REPORT}."
    steps = begun_in(folder)
    spent = _spent_so_far(folder, _content(folder / RUN), steps)
    if steps is None:  # whoever cannot read the count does not go on with the run either
        return f"{folder}: this run has no {REPORT}: it goes on, or was killed. {spent}"
    if (folder / CHECKPOINT).exists():
        return (
            f"{folder}: this run has no {REPORT} yet: it goes on, or was killed. {spent} `dpplan train --resume "
            f"{shlex.quote(str(folder))}` goes on with it, spends more, and ends with a {REPORT}."
        )
    return (
        f"{folder}: this run has no {REPORT}: it goes on, or was killed before its first checkpoint, and then cannot "
        f"be resumed. {spent}"
    )


def _spent_so_far(folder: Path, content: json_fields.Object, steps: int | None) -> str:
    """What its steps cost until now, and how to count all that was planned, where that can be counted; of a seeded
    run, nothing."""
    if content.get("seeded"):
        return "It has a seed, so it protects nobody: no ε may be claimed of it."
    told = cost(folder, steps)
    planned = json_fields.finite(json_fields.block(Problems(ReportError), content, "planned").get("steps"))
    # That command refuses what has no count, no step or no plan, and of a run beyond its plan counts what it took.
    if not steps or planned is None or steps > planned or not _spent(folder / RUN, steps):
        return told
    return f"{told} `dpplan epsilon {shlex.quote(str(folder))}` counts all that was planned, and takes no step."


def cost(folder: Path, steps: int | None) -> str:
    """How many steps are counted, and what they cost by the plan beside them, as a sentence."""
    if steps is None:
        return f"How many of its steps are spent, nobody can tell{known_ends(folder)}."
    counted = f"{steps} step is" if steps == 1 else f"{steps} steps are"
    if steps and unaccounted.reason(_content(folder / RUN)):
        return f"{counted} counted, of a run that was begun with --unaccounted: {unaccounted.UNKNOWN}."
    spent = _spent(folder / RUN, steps)
    return f"{counted} counted" + (f", {spent}." if spent else ", and are spent.")


def known_ends(folder: Path) -> str:
    """`steps_known`, to end a sentence with; "" where nothing is known."""
    least, most = steps_known(folder)
    told = [f"{least} or more are"] if least else []
    told += [] if most is None else [f"the {most} planned at most, unless a copy of the folder went on"]
    return f": {', and '.join(told)}" if told else ""


def steps_known(folder: Path) -> tuple[int, int | None]:
    """Of a run whose count cannot be read, how many steps were begun at least, and how many this folder can have begun
    at most: those that were planned. None where that is not known, or more were begun."""
    planned = json_fields.block(Problems(ReportError), _content(folder / RUN), "planned").get("steps")
    least = _known(folder)
    return least, planned if type(planned) is int and 0 < planned >= least else None


def steps_begun(said: bytes) -> int | None:
    """The count of steps in what a file `steps` holds: 0 of an empty one, None of anything but decimal digits."""
    digits = said.strip() if said else b"0"
    if len(digits) > _MOST_DIGITS or not digits.isdigit():
        return None
    count = int(digits)
    return count if count <= json_fields.MOST_STEPS else None


def begun_in(folder: Path) -> int | None:
    """The steps that were begun by a run which has not ended: by its count, or by its metrics, its checkpoint or this
    user's record where they know of more. None where the count cannot be read, and where it is empty or gone beside
    anything else that a run leaves: its count comes first."""
    try:
        said = (folder / STEPS).read_bytes()
    except FileNotFoundError:
        said = b""
    except OSError:
        return None
    if not said and any((folder / name).exists() for name in (RUN, CHECKPOINT, METRICS, MODEL)):
        return None
    count = steps_begun(said)
    return None if count is None else max(count, _known(folder))


def _known(folder: Path) -> int:
    """The most steps that anything but the count knows of."""
    try:
        measured = last_counted((folder / METRICS).read_bytes())
    except OSError:
        measured = 0
    return max(measured, known_steps.elsewhere(_content(folder / RUN), folder / CHECKPOINT))


def last_counted(metrics: bytes) -> int:
    """The most steps that a line of the metrics knows of. Lines that are cut or garbage know of none."""
    most = 0
    for line in metrics.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        known = json_fields.finite(value.get("counted")) if isinstance(value, dict) else None
        if known is not None and known.is_integer() and known <= json_fields.MOST_STEPS:
            most = max(most, int(known))
    return most


def planned_delta(folder: Path) -> float | None:
    """The δ of the plan in run.json; None where it cannot be read."""
    problems = Problems(ReportError)
    planned = json_fields.block(problems, _content(folder / RUN), "planned")
    return json_fields.delta_of(problems, planned, "planned.delta")


def _content(run: Path) -> json_fields.Object:
    """What run.json holds, nothing where it cannot be read."""
    try:
        content = json.loads(run.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _spent(run: Path, steps: int) -> str:
    """The epsilon of so many steps of the plan in run.json, and where they are fewer than planned that of the whole
    one; "" where it cannot be read or nothing is proven."""
    content = _content(run)
    if unaccounted.reason(content):
        return ""
    problems = Problems(ReportError)
    planned = json_fields.block(problems, content, "planned")
    delta = json_fields.delta_of(problems, planned, "planned.delta")
    phase = json_fields.phase(problems, planned, "planned")
    neighbours = json_fields.adjacency(problems, planned, "planned")
    unit, most = str(planned.get("privacy_unit", "example")), planned.get("max_per_user")
    if delta is None or phase is None or neighbours is None or steps < 0:
        return ""
    if unit not in UNITS or unit_problems(unit, most):
        return ""
    early = early_end(steps, planned.get("steps"), None)
    lengths = [max(steps, 1), *([] if early is None else [early.counted])]
    plans = [Plan((taken(phase, length),), neighbours, unit, max_per_user=most) for length in lengths]
    try:
        uppers = [accounting.epsilon(plan, delta, accounting.LEAST).upper for plan in plans] if steps else [0.0]
    except NotCertified:
        return ""
    less, more = uppers[0], uppers[-1]
    if less is None or more is None:
        return ""
    if early is None:
        return f"ε ≤ {up(less)} at δ = {delta:g} spent"
    return figures(less, more, f" at δ = {delta:g} spent")
