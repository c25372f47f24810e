"""The folder of one run. Made new for each, and never one that was there before."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dpplan.errors import UsageError
from dpplan.recipe import Recipe
from dpplan.render.data import dumps
from dpplan.train.report import Epoch, TrainReport


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder made for one run: recipe.yaml and metrics.jsonl at once, report.json and model.pt at its end."""

    path: Path

    @classmethod
    def make(cls, recipe: Recipe, out: Path | None) -> "RunFolder":
        """`out`, or the next free <runtime.folder>/<recipe>-001, -002, ...; never one that was there before."""
        path = _make_new(out) if out is not None else _make_next(Path(recipe.runtime.folder), recipe.name)
        (path / "recipe.yaml").write_text(recipe.text or dumps(recipe.content, indent=2), encoding="utf-8")
        return cls(path)

    def log(self, epoch: Epoch) -> None:
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(dumps(epoch.to_json()) + "\n")

    def close(self, report: TrainReport, model: nn.Module) -> None:
        """Writes the report, and the parameters: they are what epsilon covers."""
        (self.path / "report.json").write_text(dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        torch.save(model.state_dict(), self.path / "model.pt")


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
