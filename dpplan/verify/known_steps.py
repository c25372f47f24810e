"""What knows of a run's steps beside its count and its metrics: its resumes, its checkpoint and this user's record.

A copy of a run's folder counts on its own, and so does a folder that was put back from a backup; this user's record has
one entry for all of them. Kept in $XDG_STATE_HOME/dpplan/runs, by default ~/.local/state/dpplan/runs.
"""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpplan.errors import InputOutputFailed
from dpplan.verify import json_fields
from dpplan.verify.json_fields import Object

RUN_ID = re.compile(r"[0-9a-f]{32}")  # also what keeps an id from naming a file elsewhere
_MOST_READ = 100_000_000  # bytes of what a checkpoint says beside its tensors


def records() -> Path:
    """Where this user's record of each run lies. Raises InputOutputFailed where there is no home."""
    named = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(named):  # what is not absolute is to be ignored, says the specification
        return Path(named) / "dpplan" / "runs"
    try:
        return Path.home() / ".local" / "state" / "dpplan" / "runs"
    except RuntimeError:
        raise InputOutputFailed("there is no home folder") from None


def steps_on_record(run: object) -> int:
    """What the entry of a run knows, read without holding it; 0 where there is none that can be read."""
    if not isinstance(run, str) or RUN_ID.fullmatch(run) is None:
        return 0
    try:
        return _count(int((records() / run).read_bytes()[:100] or b"0"))
    except (OSError, ValueError, InputOutputFailed):
        return 0


def elsewhere(begun: Object, checkpoint: Path) -> int:
    """The most steps that what run.json holds, the checkpoint, or this user's record of either of their ids know of; 0
    where nothing does."""
    saved = _saved(checkpoint)
    counts = [_count(saved.get("counted"))]
    for run in (begun.get("run"), saved.get("lineage")):
        if isinstance(run, dict):
            counts += [steps_on_record(run.get("id")), *_resumes(run.get("resumes"))]
    return max(counts)


def _resumes(listed: object) -> Iterator[int]:
    for each in listed if isinstance(listed, list | tuple) else ():
        yield _count(each.get("counted")) if isinstance(each, dict) else 0


def _count(value: object) -> int:
    found = json_fields.finite(value)
    return int(found) if found is not None and found.is_integer() and 0 <= found <= json_fields.MOST_STEPS else 0


class _Inert:
    """Stands for whatever a file of torch names: takes everything, and does nothing."""

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def append(self, value: object) -> None: ...


class _NumbersAndWords(pickle.Unpickler):
    """Nothing that the file names is loaded, tensors no more than anything else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        return _Inert

    def persistent_load(self, pid: object) -> Any:
        return None


def _saved(checkpoint: Path) -> Object:
    """What a checkpoint holds, but for its tensors, read without torch; nothing where it cannot be read."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            named = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            if len(named) != 1 or named[0].file_size > _MOST_READ:
                return {}
            with archive.open(named[0]) as stream:
                found = _NumbersAndWords(stream).load()
    except Exception:  # zipfile and pickle answer garbage with whatever it leads them to
        return {}
    return found if isinstance(found, dict) else {}
