"""The folder of one run. Made new for each, and never one that was there before."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dpplan.durable_files import remove_leftovers, told, trouble, write_whole
from dpplan.errors import InputOutputFailed, UsageError
from dpplan.plan import Phase
from dpplan.recipe import Recipe, load
from dpplan.render.to_json import dumps
from dpplan.train.state.report import SEEN, Epoch, TrainReport
from dpplan.train.state.run_identity import NAME as IDENTITY
from dpplan.train.state.run_keys import RunKeys
from dpplan.train.step.model_guard import ModelGuard
from dpplan.verify.unfinished_run import begun_in, steps_begun
from dpplan.yaml_numbers import json_as_yaml

PLENTY = 8  # times what is kept: a disk that has less is left to those who need it


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder made for one run: recipe.yaml and metrics.jsonl at once, report.json and model.pt at its end.

    While a run can be continued it also holds `steps`, the count of steps begun, `run.json`, which tells copies of the
    folder apart, and `checkpoint.pt`; where steps share what was drawn, also keys that only its owner reads, see
    `run_keys`. What the system refuses is raised as InputOutputFailed.
    """

    path: Path

    @classmethod
    def make(cls, recipe: Recipe, out: Path | None) -> "RunFolder":
        """`out`, or the next free <runtime.folder>/<recipe>-001, -002, ...; never one that was there before."""
        path = _make_new(out) if out is not None else _make_next(Path(recipe.runtime.folder), recipe.name)
        text = recipe.text or json_as_yaml(dumps(_given(recipe), indent=2))
        try:
            write_whole(path / "recipe.yaml", lambda stream: stream.write(text.encode()))
            _keep_strategy(recipe, path)
        except InputOutputFailed:
            shutil.rmtree(path, ignore_errors=True)  # it was made here, and half of it is no run
            raise
        return cls(path)

    @property
    def steps(self) -> Path:
        return self.path / "steps"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    def resumable(self, phase: Phase, seeded: bool) -> bool:
        """Whether a checkpoint and what the later steps share with those before lie here."""
        return self.checkpoint.exists() and (seeded or self.keys.missing(phase) is None)

    @property
    def keys(self) -> RunKeys:
        return RunKeys(self.path)

    def recipe(self) -> Recipe:
        """The recipe that the run began with. Raises UsageError when there is no run in this folder to continue."""
        with told(f"{self.path}: cannot be read"):
            there = {
                name: (self.path / name).exists() for name in ("recipe.yaml", "steps", "report.json", "checkpoint.pt")
            }
        if not there["recipe.yaml"]:
            raise UsageError(f"{self.path}: is not the folder of a run. Name one that `dpplan train` made.")
        if not there["steps"] and there["report.json"] and not there["checkpoint.pt"]:  # which goes first at the end
            raise UsageError(f"{self.path}: this run is over; its report.json says what it spent. Start a new one.")
        return load(self.path / "recipe.yaml")

    def epochs(self, count: int) -> list[dict[str, Any]]:
        """The first `count` lines of the metrics. What was written after them is forgotten: it comes again.

        None of them when the file is gone: no step depends on it. Raises InputOutputFailed when it is damaged, and
        leaves it as it is.
        """
        file = self.path / "metrics.jsonl"
        with told(f"{file}: cannot be read"):
            if not file.exists():
                return []
            lines = file.read_bytes().splitlines(keepends=True)[:count]
        found = [line for line in map(_metrics, lines) if line is not None]
        if len(found) < count:
            raise InputOutputFailed(
                f"{file}: line {_first_damaged(lines)} is damaged. Nothing that was spent depends on this file: remove "
                "it to go on without the course so far."
            )
        write_whole(file, lambda stream: stream.writelines(lines))
        return found

    def reported(self) -> int:
        """The most steps that report and metrics of this folder speak of; 0 when they cannot be read.

        The count of steps is never lower, unless it was set back.
        """
        counts = [0]
        for file in (self.path / "report.json", self.path / "metrics.jsonl"):
            try:
                raw = file.read_bytes()
            except OSError:
                continue
            counts += _counts(raw if file.suffix == ".json" else raw.splitlines())
        return max(counts)

    def begun(self) -> int:
        """At least so many steps were begun, as far as the files of this folder can be read."""
        return max(self.reported(), self._count() or 0)

    def counted(self) -> int | None:
        """The same, None where the count cannot be read, or is gone or empty where there was one."""
        known = begun_in(self.path)
        return None if known is None else max(known, self.begun())

    def _count(self) -> int | None:
        try:
            return steps_begun(self.steps.read_bytes())
        except OSError:
            return None

    def log(self, epoch: Epoch) -> None:
        file = self.path / "metrics.jsonl"
        with told(f"{file}: cannot be written"), file.open("a", encoding="utf-8") as stream:
            stream.write(dumps(epoch.to_json()) + "\n")

    def save_model(self, model: ModelGuard) -> None:
        """Writes what epsilon covers of the model."""
        state = model.state_dict()
        write_whole(self.path / "model.pt", lambda stream: torch.save(state, stream))

    def save_report(self, report: TrainReport) -> None:
        text = dumps(report.to_json(), indent=2) + "\n"
        write_whole(self.path / "report.json", lambda stream: stream.write(text.encode()))

    def reserve(self, size: int) -> None:
        """Keeps room on the disk for the last files, in case others fill it. Only where there is plenty of room."""
        with suppress(OSError):
            if hasattr(os, "posix_fallocate") and shutil.disk_usage(self.path).free > PLENTY * size:
                with self._reserve.open("wb") as stream:
                    os.posix_fallocate(stream.fileno(), 0, size)

    def release(self) -> None:
        """Gives that room back, or to the files that it was kept for."""
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    @property
    def _reserve(self) -> Path:
        return self.path / ".reserve"

    def forget(self) -> None:
        """Removes what only a run that can be continued needs. The report says how many steps there were."""
        with told(f"{self.path}: cannot be tidied up"):
            self.checkpoint.unlink(missing_ok=True)
            self.keys.forget()
            for name in (self.checkpoint.name, "metrics.jsonl", "model.pt", "report.json", IDENTITY):
                remove_leftovers(self.path, name)
            self.steps.unlink(missing_ok=True)
            (self.path / IDENTITY).unlink(missing_ok=True)  # last: steps without it look like those of a copy


def _keep_strategy(recipe: Recipe, folder: Path) -> None:
    """The file that the recipe names, where the recipe in this folder looks for it."""
    noise = recipe.privacy.noise
    if noise is None or noise.strategy is None or Path(noise.strategy).is_absolute():
        return
    source, kept = Path(recipe.file).parent / noise.strategy, folder / noise.strategy
    with told(f"{source}: cannot be copied to {kept}"):
        content = source.read_bytes()
        kept.parent.mkdir(parents=True, exist_ok=True)
    write_whole(kept, lambda stream: stream.write(content))


def _metrics(line: bytes) -> dict[str, Any] | None:
    """The line of an epoch, None where it is none."""
    try:
        found = json.loads(line)
        numbers = [found[name] for name in ("epoch", "step", "counted")]
        seen = found["not_covered_by_epsilon"]
        figures = [seen[name] for name in SEEN]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    sound = all(type(number) is int and number >= 0 for number in numbers)
    return found if sound and all(type(figure) in (int, float, type(None)) for figure in figures) else None


def _first_damaged(lines: list[bytes]) -> int:
    return next((number for number, line in enumerate(lines, 1) if _metrics(line) is None), len(lines) + 1)


def _counts(raw: bytes | list[bytes]) -> Iterator[int]:
    """The counts of steps in a report, or in the lines of the metrics; what is damaged is passed over."""
    for piece in [raw] if isinstance(raw, bytes) else raw:
        try:
            found = json.loads(piece)
            count = found["spent"]["steps"] if isinstance(raw, bytes) else found["counted"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if type(count) is int:
            yield count


def _given(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """A recipe that was made in Python, as it can be read from a file: without what is left open."""
    blocks = {title: {k: v for k, v in block.items() if v is not None} for title, block in recipe.content.items()}
    if recipe.privacy.noise is not None:
        blocks["privacy"]["noise"] = {k: v for k, v in recipe.privacy.noise.said.items() if v is not None}
    if recipe.runtime.checkpoint_every is None:
        blocks["runtime"]["checkpoint_every"] = False  # off, to YAML
    return {title: block for title, block in blocks.items() if block}


def _make_new(path: Path) -> Path:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"out={path} exists already; a run never overwrites another. Name a new folder.") from None
    except OSError as error:
        raise trouble(f"out={path} cannot be made", error) from None
    return path


def _make_next(parent: Path, name: str) -> Path:
    number = 1
    while True:
        path = parent / f"{name}-{number:03}"
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            number += 1
        except OSError as error:
            raise trouble(f"runtime.folder={parent} cannot be used", error) from None
