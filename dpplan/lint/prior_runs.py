"""The runs that lie in a folder: which examples they read, and what they spent."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpplan.errors import PlanError
from dpplan.phase_steps import taken
from dpplan.plan import Phase, Plan
from dpplan.plan_json import phase_from_json
from dpplan.quick_dataclass import dataclass
from dpplan.verify import unaccounted
from dpplan.verify.early_end import EarlyEnd, early_end
from dpplan.verify.unfinished_run import CHECKPOINT, METRICS, begun_in, last_counted, steps_begun

REPORT = "report.json"
RECIPE = "recipe.yaml"  # the run's own copy
BEGUN, STEPS = "run.json", "steps"  # of a run that has not ended: what it does, and how many steps it has begun
# What older versions did not write, with what their runs protected.
PROTECTS = {"adjacency": "add_remove", "privacy_unit": "example", "max_per_user": None}
_SEARCH = "dpplan.tune/"
_SCHEMAS = ("dpplan.train/", "dpplan.run/", _SEARCH)


@dataclass(frozen=True, slots=True)
class PriorRun:
    """A run that has ended or was killed. phase: the steps that are counted of it, None where it took none.

    sha256: of its recipe. seeded: its noise can be drawn again, so that it protects nobody. run: its id, and resumes:
    the id of each time it went on and the steps begun by then. Folders with one id hold copies of one run. protects:
    the neighbours and the unit of its figures, and the most examples of one user; other figures do not add to it.
    early: of a run that took fewer steps than planned, of which all that were planned are counted. unaccounted: of one
    that claims nothing: what it spent, and so what is spent with it, is unknown.
    """

    name: str
    phase: Phase | None
    sha256: str
    run: str = ""
    resumes: tuple[tuple[str, int], ...] = ()
    seeded: bool = False
    protects: tuple[object, ...] = tuple(PROTECTS.values())
    early: EarlyEnd | None = None
    unaccounted: bool = False

    @property
    def steps(self) -> int:
        return self.phase.steps if self.phase is not None else 0

    @property
    def begun(self) -> int:
        """The steps that it really took."""
        return self.steps if self.early is None else self.early.taken

    def covers(self, other: "PriorRun") -> bool:
        """Whether every step of the other one is a step of this one: an older copy of the same run."""
        known = len(other.resumes)
        if not self.run or self.run != other.run or self.resumes[:known] != other.resumes:
            return False
        return other.begun <= (self.resumes[known][1] if known < len(self.resumes) else self.begun)


def runs_in(folder: Path, source: str, path: str | None) -> tuple[PriorRun, ...]:
    """The runs of this folder on the same examples, in the order of their names.

    A run is a folder in it whose report.json is one of `dpplan train` or `dpplan tune`, or whose run.json says what a
    run does that was killed; whatever else lies there is passed over, and so are an older copy of a run and one that is
    known to have taken no step, which spent nothing. Examples are the same when the recipes name the same source, and
    the same path after resolving links; how they were split plays no part, because the parts of one data set overlap.
    Of equal copies the oldest is named.
    """
    places = sorted({file.parent for name in (REPORT, BEGUN) for file in folder.glob(f"*/{name}")})
    read = (_run(place, source, path) for place in places)
    found = [run for run in read if run is not None and run.phase is not None]
    kept: list[PriorRun] = []
    for run in sorted(found, key=lambda run: _written(folder / run.name)):
        if not any(other.covers(run) for other in kept):
            kept = [other for other in kept if not run.covers(other)] + [run]
    return tuple(sorted(kept, key=lambda run: run.name))


def unchanged_copy(folder: Path, of: Path) -> bool:
    """Whether a folder holds no step but those of the run in another one: the same report, byte for byte, which names a
    run, and no more steps begun than it says. Whatever cannot be read is no copy: a copy that went on spends again."""
    try:
        raw = (folder / REPORT).read_bytes()
        content = json.loads(raw)
        if content["status"] == "finished" and not any((folder / name).exists() for name in (BEGUN, STEPS)):
            begun = 0  # a run that finishes takes its count away; one that goes on has one again
        else:
            begun = int((folder / STEPS).read_bytes())
        counted = not _uncounted(folder) and begun <= content["spent"]["steps"]
        no_more = counted and _ids(content, folder)[1] == _resumes(content["run"])
        return bool(content["run"]["id"]) and no_more and raw == (of / REPORT).read_bytes()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _written(place: Path) -> float:
    """When what is read of a run was written, in seconds."""
    try:
        return (place / (REPORT if (place / REPORT).exists() else BEGUN)).stat().st_mtime
    except OSError:
        return math.inf


def run_of_recipe(
    file: Path, sha256: str, plan: Plan | None, folder: Path, runs: Sequence[PriorRun]
) -> PriorRun | None:
    """The run whose own copy of its recipe this file is; None where none is, or where that is in doubt.

    In doubt are a copy that is not the recipe that ran, steps that this plan has not, and other neighbours or units:
    what the run spent is then not what the plan says.
    """
    if file.name != RECIPE or plan is None or len(plan.phases) != 1:
        return None
    planned, protects = plan.only_phase, (plan.adjacency.name, plan.privacy_unit, plan.max_per_user)
    for run in runs:
        if (folder / run.name).resolve() != file.resolve().parent:
            continue
        same = run.sha256 == sha256 and run.protects == protects and run.steps <= planned.steps
        return run if same and (run.phase is None or run.phase == taken(planned, run.steps)) else None
    return None


def _run(place: Path, source: str, path: str | None) -> PriorRun | None:
    """The run, None where this is not the folder of one, or not of one on these examples."""
    for name in (REPORT, BEGUN):
        try:
            content = json.loads((place / name).read_text(encoding="utf-8"))
            recipe = content["recipe"]
            if not str(content["schema"]).startswith(_SCHEMAS) or not _same(recipe["data"], source, path):
                return None
            if str(content["schema"]).startswith(_SEARCH):
                return _search(place.name, content)
            spent = content.get("spent", {})
            said = spent["steps"] if _is_count(spent.get("steps")) else None
            begun = _begun(place, told=name == REPORT and said is not None)
            steps = max(said or 0, begun or 0, _measured(place))
            seeded, planned = bool(content.get("seeded")), content["planned"]
            told = tuple(planned.get(key, default) for key, default in PROTECTS.items())
            early = early_end(steps, planned["steps"], content.get("status"))
            counted = steps if early is None else early.counted
            # Of a count that nobody can read, what was planned is the least that is safe.
            phase = _phase(content, counted if begun is not None else max(counted, planned["steps"]))
            marked, ids = bool(unaccounted.reason(content)), _ids(content, place)
            return PriorRun(place.name, phase, str(recipe["sha256"]), *ids, seeded, told, early, marked)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, PlanError):
            continue
    return None


def _search(name: str, content: Mapping[str, Any]) -> PriorRun:
    """A search that released its winner: one phase, whatever the number of its trials."""
    plan = content["plan"]
    told = tuple(plan.get(key, default) for key, default in PROTECTS.items())
    phase = phase_from_json(plan["phases"][0])
    return PriorRun(name, phase, str(content["recipe"]["sha256"]), seeded=bool(content.get("seeded")), protects=told)


def _begun(place: Path, told: bool) -> int | None:
    """The steps that a run which has not ended has begun: its report, if there is one, may be older. None where that
    cannot be read. told: whether a report tells its steps; such a run may have ended, and then has no count."""
    counts = (place / STEPS).exists()
    if told and not counts and not (place / CHECKPOINT).exists():
        return 0  # it ended: its checkpoint is removed before its count
    if not counts or (told and _uncounted(place)):  # whoever wrote a report had a count
        return None
    return begun_in(place)


def _measured(place: Path) -> int:
    """The steps that its metrics know of."""
    try:
        return last_counted((place / METRICS).read_bytes())
    except OSError:
        return 0


def _is_count(steps: object) -> bool:
    return type(steps) is int and steps >= 0


def _uncounted(place: Path) -> bool:
    """Whether there is a count of steps that cannot be read, or is empty: a run that released something had one."""
    try:
        said = (place / STEPS).read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return not said or steps_begun(said) is None


def _phase(content: Mapping[str, Any], steps: int) -> Phase | None:
    planned = content["planned"]
    if not steps:
        return None
    return taken(phase_from_json(planned), steps)


def _ids(content: Mapping[str, Any], place: Path) -> tuple[str, tuple[tuple[str, int], ...]]:
    """The id of the run and those of its resumes; none where an older version wrote none, or where the count of steps
    cannot be read: what it is a copy of, nobody knows. A run that went on after its report and was killed says so in
    its run.json alone."""
    run = content.get("run")
    if run is None or _uncounted(place):
        return "", ()
    told = _resumes(run)
    try:
        begun = json.loads((place / BEGUN).read_bytes())["run"]
        later = _resumes(begun) if begun["id"] == run["id"] else ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        later = ()
    return str(run["id"]), later if later[: len(told)] == told else told


def _resumes(run: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    return tuple((str(each["id"]), int(each["counted"])) for each in run["resumes"])


def _same(data: Mapping[str, Any], source: str, path: str | None) -> bool:
    return data["source"] == source and _place(data.get("path")) == _place(path)


def _place(path: str | None) -> Path | None:
    return None if path is None else Path(path).resolve()
