"""What audits found, kept beside a run: a line of JSON for each, in the order in which they were made.

What rests on canaries lies in one file, and what rests on members in another that says so by its name. A line that is
there stays: an audit that found nothing takes none back that found something.
"""

import json
from pathlib import Path
from typing import Any

from dpplan.durable_files import told, write_whole
from dpplan.errors import ReportError

CANARIES, MEMBERS = "audits.jsonl", "audits.private.jsonl"
SCHEMAS = ("dpplan.audit-run/1", "dpplan.audit-membership/1")


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
    with told(f"{file}: cannot be read"):
        if not file.exists():
            return []
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    try:
        return [_checked(json.loads(text))]
    except ValueError:  # more lines than one, or none
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    found = []
    for number, line in lines:
        try:
            found.append(_checked(json.loads(line)))
        except ValueError:
            raise ReportError(
                f"{file}: line {number} is no audit of a recipe. Such lines are what dpplan audit RECIPE --json prints."
            ) from None
    return found


def _checked(raw: Any) -> dict[str, Any]:
    """Raises ValueError where the parts are missing that a page speaks of."""
    if not isinstance(raw, dict) or raw.get("schema") not in SCHEMAS:
        raise ValueError
    recipe, parts = raw.get("recipe"), raw.get("scores" if raw["schema"] == SCHEMAS[0] else "attacks")
    sound = isinstance(recipe, dict) and isinstance(recipe.get("sha256"), str) and isinstance(parts, dict)
    if not sound or raw.get("verdict") not in ("consistent", "violation") or not isinstance(raw.get("when"), str):
        raise ValueError
    return raw
