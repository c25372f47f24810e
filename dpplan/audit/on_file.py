"""What audits found, kept beside a run: a line of JSON for each, in the order in which they were made.

What rests on canaries lies in one file, and what rests on members in another that says so by its name. A line that is
there stays: an audit that found nothing takes none back that found something.
"""

import json
from pathlib import Path
from typing import Any

from dpplan.checks import is_number
from dpplan.durable_files import told, write_whole
from dpplan.errors import ReportError
from dpplan.verify.unfinished_run import AUDITS

CANARIES, MEMBERS = AUDITS
SCHEMAS = ("dpplan.audit-run/1", "dpplan.audit-membership/1")
VERDICTS = ("consistent", "violation")


def keep(file: Path, line: str) -> None:
    """Adds what an audit printed with --json, as one line. Raises InputOutputFailed."""
    with told(f"{file}: cannot be read"):
        before = file.read_bytes() if file.exists() else b""
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    write_whole(file, lambda stream: stream.write(before + gap + line.encode() + b"\n"))


def kept(file: Path) -> list[dict[str, Any]]:
    """Every audit of a file, or the one that `dpplan audit RECIPE --json` printed into it; none where there is none.

    Raises ReportError for what is no audit of a recipe, InputOutputFailed for what cannot be read.
    """
    found, damaged = sound(file)
    if damaged:
        raise ReportError(f"{damaged[0]}. Such lines are what dpplan audit RECIPE --json prints.")
    return found


def sound(file: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The audits of such a file that can be told, and where it holds what is none, without the full stop.

    Raises InputOutputFailed for what cannot be read.
    """
    with told(f"{file}: cannot be read"):
        if not file.exists():
            return [], []
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    try:
        return [_checked(json.loads(text))], []
    except (ValueError, RecursionError):  # more lines than one, or none
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    found, damaged = [], list[int]()
    for number, line in lines:
        try:
            found.append(_checked(json.loads(line)))
        except (ValueError, RecursionError):
            damaged.append(number)
    if not damaged:
        return found, []
    more = f", as {len(damaged) - 1} more are" if len(damaged) > 1 else ""
    return found, [f"{file}: line {damaged[0]} is no audit of a recipe{more}"]


def _checked(raw: Any) -> dict[str, Any]:
    """Raises ValueError where the parts are missing, or of another kind, that a page speaks of."""
    if not isinstance(raw, dict) or raw.get("schema") not in SCHEMAS:
        raise ValueError
    of_canaries = raw["schema"] == SCHEMAS[0]
    recipe, parts = raw.get("recipe"), raw.get("scores" if of_canaries else "attacks")
    if not isinstance(recipe, dict) or not isinstance(parts, dict) or not isinstance(raw.get("measured", {}), dict):
        raise ValueError
    told = isinstance(recipe.get("sha256"), str) and isinstance(raw.get("when"), str)
    is_sound = _is_sound_finding if of_canaries else _is_sound_attack
    if not told or raw.get("verdict") not in VERDICTS or not all(map(is_sound, parts.values())):
        raise ValueError
    wrong = not all(raw.get("measured", {}).values()) or any(
        each.get("verdict") == "violation" for each in parts.values()
    )
    if wrong and raw["verdict"] == "consistent":
        raise ValueError  # it takes back what one of its parts found
    return raw


def _is_sound_finding(found: Any) -> bool:
    """Of one kind of canaries."""
    if not isinstance(found, dict) or found.get("verdict") not in VERDICTS:
        return False
    numbers = [found.get("epsilon_lower"), found.get("delta"), found.get("canaries", 0)]
    return all(map(is_number, numbers)) and isinstance(found.get("claim") or {}, dict)


def _is_sound_attack(found: Any) -> bool:
    """Of one attack on members. A rate is None where there are too few to tell."""
    if not isinstance(found, dict) or not is_number(found.get("area")) or not isinstance(found.get("rates"), list):
        return False
    rates = [each if isinstance(each, dict) else {} for each in found["rates"]]
    told = [each.get("true_positive_rate", "") for each in rates]
    return all(is_number(each.get("false_positive_rate")) for each in rates) and all(
        each is None or is_number(each) for each in told
    )
