"""Runs that claim nothing: `dpplan train --unaccounted` took steps of which no accountant could prove anything.

report.json and run.json of such a run hold a key that no other has, and null in place of each ε. What is known of it is
how many steps it took; whatever adds up what was spent on its examples has to say that nobody knows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpplan.errors import Unaccounted

KEY = "unaccounted"
UNKNOWN = "no ε of it is known, and none is claimed"
SPENDS = "What is spent on these data is unknown with it, and no figure may leave it out or count it as 0."
_FILES = ("report.json", "run.json")
_LONGEST = 400  # characters of a reason that is repeated


def reason(content: Mapping[str, Any]) -> str:
    """Why a run claims nothing, as its report or run.json has it; "" of a run that claims something.

    Whatever stands there besides nothing, null and false is a mark: who altered it does not make a claim of it.
    """
    said = content.get(KEY)
    if said is None or said is False:
        return ""
    return said[:_LONGEST].strip() or "it does not say why" if isinstance(said, str) else "it does not say why"


def reason_in(folder: Path) -> str:
    """The same of the run in a folder, by whichever of its files says so; "" where none can be read, too."""
    for name in _FILES:
        try:
            content = json.loads((folder / name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(content, dict) and (found := reason(content)):
            return found
    return ""


def refusal(name: str, why: str, steps: int | None, instead: str = SPENDS) -> Unaccounted:
    """The error for whoever asks what such a run claims or spent. steps: that it took, None where nobody can tell, or
    for a plan that has not run. instead: what follows."""
    said = f"{name}: was made with --unaccounted: {UNKNOWN} ({why.removesuffix('.').removeprefix('exact: ')})."
    if steps == 0:
        return Unaccounted(f"{said} No step of it was begun, so it spent nothing: leave it out.")
    taken = "" if steps is None else f"It took {steps} step{'' if steps == 1 else 's'}. "
    return Unaccounted(f"{said} {taken}{instead}")
