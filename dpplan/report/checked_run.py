"""What a file claims, held against all that lies beside it: how every command reads a run that is named.

    document = read(Path("runs/digits-001"))    # document.claims, doubted where what lies beside them says otherwise
    document.violations                         # what audits of its recipe found, a sentence for each

verify and report judge by it whether a figure may be published; whatever makes another figure of the run warns of the
same, or refuses it.
"""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpplan import verify
from dpplan.errors import ReportError
from dpplan.recipe import bundled, recorded
from dpplan.report import audits as audits_on_file
from dpplan.verify.recorded_claim import FOUND
from dpplan.verify.report_reader import STDIN
from dpplan.verify.unfinished_run import STEPS

Audits = tuple[Mapping[str, Any], ...]


def read(path: Path, also: str = "") -> verify.Document:
    """The claims of a report, of a run's folder or of a command's JSON, doubted where the recipe beside them is not the
    one that ran, where an audit of it found a violation, and where nobody can tell what an audit found.

    also: as for verify.read. Raises what that does, and InputOutputFailed where audits cannot be read.
    """
    return judged(*read_with_audits(path, also))


def read_with_audits(path: Path, also: str = "") -> tuple[verify.Document, Audits]:
    """The same, before it is judged by the audits that lie in the run's folder; and these."""
    absent = path != STDIN and not os.path.exists(path) and not (path.parent / STEPS).exists()
    if absent and (instead := bundled.instead_of(path)):
        raise ReportError(f"{path}: no such file.{instead}")
    return beside(verify.read(path, also))


def beside(document: verify.Document) -> tuple[verify.Document, Audits]:
    """The claims, doubted by the recipe and the audits that lie in the folder of the run; and these audits."""
    document = recorded.checked(document)
    if document.folder is None:
        return document, ()
    found, damaged = audits_on_file.beside_run(document.folder)
    told = tuple(f"{each}, so nobody can tell what it found." for each in damaged)
    unsure = (*document.unsure, *told)
    return dataclasses.replace(recorded.doubted(document, told, told), unsure=unsure), found


def judged(document: verify.Document, audits: Audits) -> verify.Document:
    """The same claims, doubted where one of these audits, of the same recipe, found what its plan does not allow."""
    found = tuple(audits_on_file.violations(audits, str(document.recipe.get("sha256"))))
    doubted = recorded.doubted(document, (FOUND,) if found else (), found)
    return dataclasses.replace(doubted, violations=found)
