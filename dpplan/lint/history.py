"""The runs that lie in a folder: which examples they read, and what they spent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpplan.errors import PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import Poisson

REPORT = "report.json"
_SCHEMA = "dpplan.train/"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A run that has ended. phase: the steps it really took, None where it took none. sha256: of its recipe.

    seeded: its noise can be drawn again, so that it protects nobody.
    """

    name: str
    phase: Phase | None
    sha256: str
    seeded: bool = False


def runs_in(folder: Path, source: str, path: str | None) -> tuple[Earlier, ...]:
    """The runs of this folder on the same examples, in the order of their names.

    A run is a folder in it whose report.json is one of `dpplan train`; whatever else lies there is passed over.
    Examples are the same when the recipes name the same source, and the same path after resolving links; how they were
    split plays no part, because the parts of one data set overlap.
    """
    found = (_run(file, source, path) for file in sorted(folder.glob(f"*/{REPORT}")))
    return tuple(run for run in found if run is not None)


def _run(file: Path, source: str, path: str | None) -> Earlier | None:
    """The run, None where this is not the report of one, or not of one on these examples."""
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        recipe = report["recipe"]
        if not str(report["schema"]).startswith(_SCHEMA) or not _same(recipe["data"], source, path):
            return None
        return Earlier(file.parent.name, _phase(report), str(recipe["sha256"]), bool(report.get("seeded")))
    except (OSError, ValueError, KeyError, TypeError, PlanError):
        return None


def _phase(report: Mapping[str, Any]) -> Phase | None:
    planned, steps = report["planned"], report["spent"]["steps"]
    if not steps:
        return None
    return Phase(Gaussian(planned["noise_multiplier"]), Poisson(planned["sample_rate"]), steps)


def _same(data: Mapping[str, Any], source: str, path: str | None) -> bool:
    return data["source"] == source and _place(data.get("path")) == _place(path)


def _place(path: str | None) -> Path | None:
    return None if path is None else Path(path).resolve()
