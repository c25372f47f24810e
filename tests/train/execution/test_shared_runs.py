"""Whole runs of several processes: as planned, interrupted, bereft of a process, and refused with one voice."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from several import STEPS, tiny, together, written
from small_recipe import small
from torch import Tensor
from whole_runs import running

from dpplan import train
from dpplan.errors import RecipeError, UsageError
from dpplan.recipe import Recipe
from dpplan.train.ranks import PeerLost, joined
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.step.trainer import Trainer


def test_a_run_ends_as_planned_and_goes_on_from_where_it_was_interrupted(tmp_path: Path) -> None:
    """With one seed, as if nothing had happened; without one, by any number of processes."""
    whole, broken, free = (tmp_path / name for name in ("whole", "broken", "free"))
    (*ended, lines), followed = together(tmp_path, running, tiny(tmp_path), 5, whole)
    assert (ended, followed) == (["finished", STEPS, 0, True], 0)
    assert any(re.match(r"  processes +2 ", line) for line in lines)
    assert max(map(len, (line for line in lines if str(tmp_path) not in line))) <= 80
    assert {path.name for path in whole.iterdir()} == {"metrics.jsonl", "model.pt", "recipe.yaml", "report.json"}
    assert written(whole)["processes"] == 2
    assert "not encrypted" in written(whole)["assumptions"]["network"]

    (*ended, _), followed = together(tmp_path, running, tiny(tmp_path), 5, broken, 17)
    assert (ended[:3], followed) == (["interrupted", 17, 0], 0)
    checkpoint = Checkpoint.load(broken / "checkpoint.pt")
    assert checkpoint.generators is not None
    assert len(checkpoint.generators) == 2
    assert checkpoint.generators[0] != checkpoint.generators[1]
    with pytest.raises(RecipeError, match="processes=1, and the run, which has a seed, began with 2"):
        train.plan_resumed(broken)
    (*ended, _), _ = together(tmp_path, running, None, None, broken, None, True)
    assert ended == ["finished", STEPS, 0, True]
    ours, theirs = torch.load(whole / "model.pt"), torch.load(broken / "model.pt")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    together(tmp_path, running, tiny(tmp_path), None, free, 17)
    assert Checkpoint.load(free / "checkpoint.pt").generators is None
    *_, report = train.events(train.plan_resumed(free))
    assert isinstance(report, train.TrainReport)
    assert (report.status, report.steps, report.lost, report.agrees) == ("finished", STEPS, 0, True)
    assert written(free)["processes"] == 1
    assert written(free)["assumptions"]["network"] is None


def dying(recipe: Recipe, out: Path, victim: int, at: int) -> Any:
    """A run of which one process is killed in its step `at`."""
    with joined() as ranks:
        planned = train.plan(recipe, ranks=ranks)
        step, taken = Trainer._clipped_sum, 0

        def deadly(self: Trainer, drawn: Tensor) -> Any:
            nonlocal taken
            taken += 1
            if taken == at and ranks.rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, drawn)

        Trainer._clipped_sum = deadly  # type: ignore[method-assign]
        try:
            *_, last = train.events(planned, out=out)
        except PeerLost:
            return "lost"
        return last.status, last.message


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_and_leaves_the_count(tmp_path: Path) -> None:
    killed = -signal.SIGKILL
    ended, _, left = together(tmp_path, dying, tiny(tmp_path), tmp_path / "led", 1, 12, ranks=3, ended=(0, killed, 0))
    assert (ended, left) == (("stopped", "stopped by the loss of a process"), "lost")
    report = written(tmp_path / "led")
    assert (report["spent"]["steps"], report["spent"]["lost_steps"], report["agrees_with_plan"]) == (12, 1, False)
    *_, resumed = train.events(train.plan_resumed(tmp_path / "led"))
    assert isinstance(resumed, train.TrainReport)
    assert (resumed.status, resumed.steps, resumed.lost) == ("finished", STEPS, 1)

    _, ended = together(tmp_path, dying, tiny(tmp_path), tmp_path / "alone", 0, 12, ended=(killed, 0))
    assert ended == "lost"
    assert int((tmp_path / "alone" / "steps").read_bytes()) == 12


def other_recipe(recipe: Recipe, out: Path) -> str:
    """A run whose second process has been given something else."""
    with joined() as ranks:
        if not ranks.first:
            recipe = small(training_learning_rate=0.1, data_held_out=0.3)
        with pytest.raises(UsageError) as raised:
            list(train.events(train.plan(recipe, ranks=ranks), out=out))
        return str(raised.value)


def failing(problem: str) -> str:
    """Preparations that fail in the second process alone."""
    with joined() as ranks, pytest.raises(UsageError) as raised, ranks.as_one():
        if not ranks.first:
            raise UsageError(problem)
    return f"{raised.type.__name__}: {raised.value}"


def test_processes_that_are_not_of_one_mind_are_refused_in_one_voice(tmp_path: Path) -> None:
    first, second = together(tmp_path, other_recipe, small(), tmp_path / "run")
    assert first == second
    assert first.startswith("process 1 differs from process 0 in data.held_out, plan.examples, ")
    assert "the training examples or their order" in first
    assert not (tmp_path / "run").exists()
    assert together(tmp_path, failing, "here=1") == [
        "UsageError: process 1: here=1",
        "ReportedByFirst: process 1: here=1",
    ]
