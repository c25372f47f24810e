"""Which run a folder holds, and each time that it went on: what tells two copies of one run apart.

A run has a random id, and so has each time that it is resumed. Checkpoint, run.json and report carry all of them: two
reports of one id are one run, and where their resumes differ, its folder was copied and went on twice.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dpplan.durable_files import told, write_whole
from dpplan.errors import InputOutputFailed
from dpplan.render.to_json import dumps
from dpplan.verify.known_steps import RUN_ID

SCHEMA = "dpplan.run/1"
NAME = "run.json"
# What nothing on one machine can notice.
UNSEEN = (
    "steps taken from a copy of the folder on another machine, by another user or after this user's record was deleted "
    "are not counted; the report of such a copy names the same run id"
)


@dataclass(frozen=True, slots=True)
class Resume:
    """One time that a run went on. counted: steps begun by then, here or elsewhere.

    elsewhere: how many of them this folder did not know of. moved: whether the user vouched that it is no second copy.
    """

    id: str
    counted: int
    elsewhere: int = 0
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """The id of a run, and all its resumes in their order."""

    run: str
    resumes: tuple[Resume, ...] = ()

    @classmethod
    def new(cls) -> "Lineage":
        return cls(_new_id())

    @classmethod
    def read(cls, content: Any) -> "Lineage":
        """From what `to_json` gave. Raises ValueError for anything else."""
        try:
            found = cls(content["id"], tuple(Resume(**each) for each in content["resumes"]))
        except (TypeError, KeyError):
            raise ValueError("no ids of a run") from None
        if not _is_id(found.run) or not all(_valid(each) for each in found.resumes):
            raise ValueError("no ids of a run")
        return found

    @property
    def elsewhere(self) -> int:
        """Steps that were spent from copies of the folder, as far as they were noticed."""
        return sum(each.elsewhere for each in self.resumes)

    def resumed(self, counted: int, elsewhere: int, moved: bool) -> "Lineage":
        return Lineage(self.run, (*self.resumes, Resume(_new_id(), counted, elsewhere, moved)))

    def continues(self, earlier: "Lineage") -> bool:
        """Whether this is the same run, and `earlier` what it was at some time."""
        return self.run == earlier.run and self.resumes[: len(earlier.resumes)] == earlier.resumes

    def to_json(self) -> dict[str, Any]:
        return {"id": self.run, "resumes": [asdict(each) for each in self.resumes]}


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What run.json holds beside the plan: the run's ids, and where its count of steps lies: device and inode."""

    lineage: Lineage
    place: tuple[int, int]

    def write(self, folder: Path, plan: Mapping[str, Any]) -> None:
        """plan: what the run does, for whoever finds the folder of a run that was killed."""
        device, inode = self.place
        steps_file = {"device": device, "inode": inode}
        content = {**plan, "schema": SCHEMA, "run": self.lineage.to_json(), "steps_file": steps_file}
        text = dumps(content, indent=2) + "\n"
        write_whole(folder / NAME, lambda stream: stream.write(text.encode()))

    @classmethod
    def read(cls, folder: Path) -> "RunIdentity | None":
        """None where there is none. Raises InputOutputFailed for a file that is something else."""
        file = folder / NAME
        with told(f"{file}: cannot be read"):
            if not file.exists():
                return None
            raw = file.read_bytes()
        try:
            content = json.loads(raw)
            place = content["steps_file"]["device"], content["steps_file"]["inode"]
            if content["schema"] != SCHEMA or not all(type(number) is int for number in place):
                raise ValueError(SCHEMA)
            return cls(Lineage.read(content["run"]), place)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputOutputFailed(
                f"{file}: is damaged. If no copy of this folder went on, remove the file and say --moved."
            ) from None


def _new_id() -> str:
    return secrets.token_hex(16)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and RUN_ID.fullmatch(value) is not None


def _valid(resume: Resume) -> bool:
    counts = (resume.counted, resume.elsewhere)
    return _is_id(resume.id) and all(type(n) is int and n >= 0 for n in counts) and type(resume.moved) is bool
