"""The folder of one run. Made new for each, and never one that was there before."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dpplan.errors import UsageError
from dpplan.recipe import Recipe, load
from dpplan.render.data import dumps
from dpplan.train.durable import remove_leftovers, write_whole
from dpplan.train.release import Guard
from dpplan.train.report import Epoch, TrainReport


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder made for one run: recipe.yaml and metrics.jsonl at once, report.json and model.pt at its end.

    While a run can be continued it also holds `steps`, the count of steps begun, and `checkpoint.pt`.
    """

    path: Path

    @classmethod
    def make(cls, recipe: Recipe, out: Path | None) -> "RunFolder":
        """`out`, or the next free <runtime.folder>/<recipe>-001, -002, ...; never one that was there before."""
        path = _make_new(out) if out is not None else _make_next(Path(recipe.runtime.folder), recipe.name)
        (path / "recipe.yaml").write_text(recipe.text or dumps(_given(recipe), indent=2), encoding="utf-8")
        return cls(path)

    @property
    def steps(self) -> Path:
        return self.path / "steps"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    def recipe(self) -> Recipe:
        """The recipe that the run began with. Raises UsageError when there is no run in this folder to continue."""
        if not (self.path / "recipe.yaml").exists():
            raise UsageError(f"{self.path}: is not the folder of a run. Name one that `dpplan train` made.")
        if not self.steps.exists() and (self.path / "report.json").exists():
            raise UsageError(f"{self.path}: this run is over; its report.json says what it spent. Start a new one.")
        return load(self.path / "recipe.yaml")

    def epochs(self, count: int) -> list[dict[str, Any]]:
        """The first `count` lines of the metrics. What was written after them is forgotten: it comes again."""
        file = self.path / "metrics.jsonl"
        lines = file.read_bytes().splitlines(keepends=True)[:count] if file.exists() else []
        write_whole(file, lambda stream: stream.writelines(lines))
        return [json.loads(line) for line in lines]

    def log(self, epoch: Epoch) -> None:
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(dumps(epoch.to_json()) + "\n")

    def close(self, report: TrainReport, model: Guard) -> None:
        """Writes what epsilon covers of the model, and the report."""
        text = dumps(report.to_json(), indent=2) + "\n"
        write_whole(self.path / "model.pt", lambda stream: torch.save(model.state_dict(), stream))
        write_whole(self.path / "report.json", lambda stream: stream.write(text.encode()))

    def forget(self) -> None:
        """Removes what only a run that can be continued needs. The report says how many steps there were."""
        self.checkpoint.unlink(missing_ok=True)
        for name in (self.checkpoint.name, "metrics.jsonl", "model.pt", "report.json"):
            remove_leftovers(self.path, name)
        self.steps.unlink(missing_ok=True)


def _given(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """A recipe that was made in Python, as it can be read from a file: without what is left open."""
    blocks = {title: {k: v for k, v in block.items() if v is not None} for title, block in recipe.content.items()}
    if recipe.runtime.checkpoint_every is None:
        blocks["runtime"]["checkpoint_every"] = False  # off, to YAML
    return {title: block for title, block in blocks.items() if block}


def _make_new(path: Path) -> Path:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"out={path} exists already; a run never overwrites another. Name a new folder.") from None
    except OSError as error:
        raise UsageError(f"out={path} cannot be made: {error.strerror}.") from None
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
            raise UsageError(f"runtime.folder={parent} cannot be used: {error.strerror}.") from None
