"""After the last step nothing can be lost: model and report are on disk before anything looks at the model again."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_recipe import small
from torch import Tensor, nn
from unwrap import unwrapped

from dpplan import __main__ as command_line
from dpplan import train
from dpplan.recipe import Recipe
from dpplan.train.data import Split
from dpplan.train.execution import evaluation, session, terminal_text
from dpplan.train.execution.evaluation import accuracy
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.step.trainer import Trainer

OWN = """\
import os
import torch
from torch import nn

class Broken(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.flat, self.layer = nn.Flatten(), nn.Linear(64, classes)

    def forward(self, x):
        if not self.training and x.dtype == torch.float32 and not os.path.exists("mended"):
            raise RuntimeError("only in evaluation\\n  in two lines")
        return self.layer(self.flat(x))

def broken(shape, classes):
    return Broken(classes)
"""


def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """With a model that raises in eval mode only, on what the run feeds it and no trial does."""
    (tmp_path / "model_that_fails_late.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "model_that_fails_late", raising=False)
    return small(model_kind="model_that_fails_late:broken", training_compare_nonprivate=False)


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


def test_a_model_that_fails_only_in_its_evaluation_costs_an_accuracy_and_no_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = train.run(recipe(tmp_path, monkeypatch), out=tmp_path / "run")
    assert (report.status, report.steps, report.agrees, report.held_out_accuracy) == ("finished", 4, True, None)
    assert report.evaluation == "the last evaluation failed: RuntimeError: only in evaluation"
    content = written(tmp_path / "run")
    assert content["spent"]["epsilon"] == content["planned"]["epsilon"]
    assert (content["status"], content["agrees_with_plan"]) == ("finished", True)
    assert content["not_covered_by_epsilon"]["evaluation"] == report.evaluation
    assert set(torch.load(tmp_path / "run" / "model.pt")) == {"layer.weight", "layer.bias"}
    assert terminal_text.ending(report).startswith(
        "the last evaluation failed: RuntimeError: only in evaluation; 4 of 4 steps"
    )
    assert "only in evaluation*" in " ".join(line.strip() for line in terminal_text.report_lines(report))


def test_an_evaluation_that_failed_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train.run(recipe(tmp_path, monkeypatch), out=tmp_path / "run")
    model = (tmp_path / "run" / "model.pt").read_bytes()
    (tmp_path / "mended").touch()
    *_, report = train.events(train.plan_resumed(tmp_path / "run"))
    assert isinstance(report, train.TrainReport)
    assert (report.steps, report.lost, report.agrees, report.evaluation) == (4, 0, True, "")
    assert report.held_out_accuracy is not None
    assert written(tmp_path / "run")["not_covered_by_epsilon"]["evaluation"] is None
    weights = [
        torch.load(tmp_path / "run" / "model.pt")["layer.weight"],
        torch.load(_at(tmp_path, model))["layer.weight"],
    ]
    assert torch.equal(*weights)
    assert not (tmp_path / "run" / "steps").exists()


def _at(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "before.pt").write_bytes(content)
    return tmp_path / "before.pt"


def test_the_command_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(tmp_path, monkeypatch)
    text = """\
privacy: {noise_multiplier: 2, clip_norm: 1, delta: 1e-5}
data: {source: digits}
model: {kind: 'model_that_fails_late:broken'}
training: {batch_size: 100, steps: 4, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1}
"""
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    assert command_line.run(["train", "r.yaml", "--json"]) == 1
    out, err = capsys.readouterr()
    err = unwrapped(err)
    assert json.loads(out)["agrees_with_plan"] is True
    assert err.startswith("error: the last evaluation failed: RuntimeError: only in evaluation; 4 of 4 steps, ε ≤ ")
    assert "Traceback" not in err


@pytest.mark.parametrize("moment", ["accuracy", "train_without_privacy"])
@pytest.mark.parametrize("failure", [RuntimeError("late"), MemoryError(), KeyboardInterrupt()])
def test_all_that_was_trained_is_on_disk_before_anything_else_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, failure: BaseException
) -> None:
    found = []

    def late(*arguments: Any) -> Any:
        content = written(tmp_path / "run")
        found.append((content["status"], content["spent"]["steps"], content["agrees_with_plan"]))
        assert (tmp_path / "run" / "model.pt").exists()
        raise failure

    monkeypatch.setattr(session, moment, late)
    happening = train.events(train.plan(small(training_compare_nonprivate=True)), out=tmp_path / "run")
    if isinstance(failure, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            list(happening)
    else:
        *_, report = happening
        assert isinstance(report, train.TrainReport)
        assert (report.held_out_accuracy is None) == (moment == "accuracy")
        assert report.evaluation
    assert found == [("finished", 4, True)]
    assert written(tmp_path / "run")["agrees_with_plan"] is True


@pytest.mark.parametrize("moment", ["log", "save_report"])
def test_the_model_is_saved_even_when_its_books_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The last epoch closes after the last noisy step, and before the report."""

    def broken(*arguments: Any) -> None:
        raise OverflowError

    monkeypatch.setattr(RunFolder, moment, broken)
    with pytest.raises(OverflowError):
        train.run(small(training_compare_nonprivate=False), seed=0, out=tmp_path / "run")
    monkeypatch.undo()
    whole = train.run(small(training_compare_nonprivate=False), seed=0, out=tmp_path / "whole")
    saved = [torch.load(folder / "model.pt")["1.weight"] for folder in (tmp_path / "run", whole.folder)]
    assert torch.equal(*saved)


# Memory


class Greedy(nn.Module):
    """Room for so many rows and no more. The right answer is in the first column."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room, self.error, self.seen = room, error, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.room:
            raise self.error
        return nn.functional.one_hot(x[:, 0], 3).float()


ALLOCATOR = RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("error", [ALLOCATOR, MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
@pytest.mark.parametrize("room", [1, 3, 40, 200])
def test_an_evaluation_that_does_not_fit_is_cut_until_it_does(room: int, error: Exception) -> None:
    targets = torch.arange(101) % 3
    inputs = torch.stack([torch.where(torch.arange(101) < 50, targets, (targets + 1) % 3), targets], 1)
    model = Greedy(room, error)
    assert accuracy(model, Split(inputs, targets)) == 50 / 101
    assert model.seen[0] == 101
    assert min(size for size in model.seen if size <= room) <= room


def test_another_error_is_no_reason_to_try_again() -> None:
    model = Greedy(1, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes"):
        accuracy(model, Split(torch.zeros(9, 2, dtype=torch.int64), torch.zeros(9, dtype=torch.int64)))
    assert model.seen == [9]
    greedy = Greedy(0, MemoryError())
    with pytest.raises(MemoryError):
        accuracy(greedy, Split(torch.zeros(9, 2, dtype=torch.int64), torch.zeros(9, dtype=torch.int64)))
    assert greedy.seen[-1] == 1


def test_an_evaluation_looks_at_no_more_rows_than_training_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    once = evaluation._accuracy
    monkeypatch.setattr(evaluation, "_accuracy", lambda *given: seen.append(given[2]) or once(*given))
    more = {"training_compare_nonprivate": True, "training_augment": "shift", "training_views": 2}
    train.run(small(runtime_physical_batch=7, **more), out=tmp_path / "run")
    assert seen == [14, 14]
    assert Trainer.looked_at.fget is not None
