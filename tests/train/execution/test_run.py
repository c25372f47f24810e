"""Whole runs: planned against spent, early endings, what is written, and what the digits reach."""

import dataclasses
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_recipe import small
from whole_runs import interrupted, resumed

from dpplan import recipe as recipes
from dpplan import train
from dpplan.errors import UsageError
from dpplan.render.to_json import dumps
from dpplan.train import Epoch, Step, TrainReport
from dpplan.train.clipping import ClippedSum
from dpplan.train.execution import terminal_text
from dpplan.train.machine.device import device_named
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.step.noise import GaussianNoise
from dpplan.verify.early_end import CONDITION

DIGITS = Path(__file__).parents[3] / "recipes" / "digits.yaml"


def run(tmp_path: Path, seed: int | None = 0, **changes: Any) -> TrainReport:
    changes.setdefault("training_compare_nonprivate", False)
    return train.run(small(**changes), seed=seed, out=tmp_path / "run")


def read(report: TrainReport) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((report.folder / "report.json").read_text(encoding="utf-8"))
    return content


def test_a_finished_run_spends_what_was_planned(tmp_path: Path) -> None:
    report = run(tmp_path)
    assert (report.status, report.steps, report.agrees) == ("finished", 4, True)
    assert report.spent == report.planned.claim.epsilon
    written = read(report)
    assert written["schema"] == "dpplan.train/1"
    assert written["spent"]["epsilon"] == written["planned"]["epsilon"]
    assert written["planned"]["epsilon"]["upper"] == report.spent.upper
    assert written["agrees_with_plan"] is True
    assert written["recipe"]["sha256"] == report.planned.recipe.sha256


def test_the_threads_told_are_those_of_the_run(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        report = run(tmp_path, runtime_threads=1)
        assert torch.get_num_threads() == 2
        assert report.to_json()["arithmetic"]["threads"] == read(report)["arithmetic"]["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_a_run_that_took_other_steps_than_planned_disagrees(tmp_path: Path) -> None:
    report = run(tmp_path)
    fewer = dataclasses.replace(report, steps=3, spent=report.planned.claim.spent(3))
    assert not fewer.agrees
    assert "disagrees with its plan: 3 of 4 steps" in terminal_text.ending(fewer)


def test_a_seeded_run_says_that_it_protects_nobody(tmp_path: Path) -> None:
    seeded = run(tmp_path, seed=0)
    written = read(seeded)
    assert (written["seeded"], written["seed"], written["spent"]["holds"]) == (True, 0, False)
    assert "protects nobody" in written["seed_note"]
    assert next(iter(terminal_text.report_lines(seeded))) == "no privacy: --seed 0"
    unseeded = read(train.run(small(), out=tmp_path / "unseeded"))
    assert (unseeded["seeded"], unseeded["seed"], unseeded["spent"]["holds"]) == (False, None, True)


def test_seeded_runs_repeat_and_unseeded_ones_differ(tmp_path: Path) -> None:
    def parameters(name: str, seed: int | None, **changes: Any) -> torch.Tensor:
        recipe = small(training_compare_nonprivate=False, **changes)
        saved = torch.load(train.run(recipe, seed=seed, out=tmp_path / name).folder / "model.pt")
        return torch.cat([value.flatten() for value in saved.values()])

    first = parameters("a", 0)
    assert torch.equal(first, parameters("b", 0))
    assert not torch.equal(parameters("c", None), parameters("d", None))
    assert torch.allclose(first, parameters("e", 0, runtime_physical_batch=7), atol=1e-6)


def test_events_come_in_order_and_epochs_close_where_they_should(tmp_path: Path) -> None:
    recipe = small(training_steps=31, training_compare_nonprivate=False)  # an epoch is 14.37 steps
    events = list(train.events(train.plan(recipe, seed=0), out=tmp_path / "run"))
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 32))
    epochs = [event for event in events if isinstance(event, Epoch)]
    assert [epoch.step for epoch in epochs] == [15, 29, 31]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    report = events[-1]
    assert isinstance(report, TrainReport)
    assert report.epochs == tuple(epochs)
    assert epochs[-1].epsilon == report.spent
    assert all(epoch.loss is not None and epoch.loss > 0 for epoch in epochs)
    lines = (report.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [15, 29, 31]
    assert set(json.loads(lines[0])["not_covered_by_epsilon"]) >= {"loss", "accuracy"}


def test_ctrl_c_ends_after_the_current_step(tmp_path: Path) -> None:
    listening = signal.getsignal(signal.SIGINT)
    report = None
    for event in train.events(train.plan(small(training_steps=50)), out=tmp_path / "run"):
        if isinstance(event, Step) and event.step == 7:
            signal.raise_signal(signal.SIGINT)
        report = event
    assert isinstance(report, TrainReport)
    assert (report.status, report.steps, report.agrees) == ("interrupted", 7, False)
    assert report.spent == report.planned.claim.spent(7)
    written = read(report)
    assert (written["status"], written["spent"]["steps"]) == ("interrupted", 7)
    assert "planned epsilon holds" in written["spent"]["note"]
    assert "interrupted after 7 of 50 steps" in terminal_text.ending(report)
    assert report.nonprivate_accuracy is None
    assert signal.getsignal(signal.SIGINT) is listening


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    happening = train.events(train.plan(small(training_steps=50)), out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        for event in happening:
            if isinstance(event, Step):
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
    happening.close()


def test_a_second_ctrl_c_within_a_step_says_what_is_counted_and_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fifth_is_cut(self: GaussianNoise, clipped: ClippedSum) -> torch.Tensor:
        drawn.append(1)
        if len(drawn) == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return clipped.total

    drawn: list[int] = []
    monkeypatch.setattr(GaussianNoise, "add", fifth_is_cut)
    folder = tmp_path / "my run"
    with pytest.raises(KeyboardInterrupt) as error:
        train.run(small(training_steps=50), out=folder)
    said = str(error.value)
    assert said.startswith("5 of 50 steps are counted, ε ≤ ")
    assert said.endswith(f" spent if {CONDITION}. The checkpoint of step 0 is whole: dpplan train --resume '{folder}'")
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (written["status"], written["spent"]["steps"]) == ("stopped", 5)
    monkeypatch.undo()
    assert resumed(folder).steps == 50


def test_how_a_run_goes_on_is_told_of_one_that_can(tmp_path: Path) -> None:
    early = interrupted(tmp_path / "early", small(training_steps=9), 4)
    assert terminal_text.going_on(early).endswith(f" with dpplan train --resume {tmp_path / 'early'}")
    unkept = small(training_steps=9).with_runtime(checkpoint_every=None)
    assert terminal_text.going_on(interrupted(tmp_path / "unkept", unkept, 4)) == ""
    assert terminal_text.going_on(train.run(small(), out=tmp_path / "whole")) == ""


def test_a_run_that_breaks_off_leaves_what_it_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def third_breaks(self: GaussianNoise, clipped: ClippedSum) -> torch.Tensor:
        drawn.append(1)
        if len(drawn) == 3:
            raise MemoryError
        return clipped.total

    drawn: list[int] = []
    monkeypatch.setattr(GaussianNoise, "add", third_breaks)
    with pytest.raises(MemoryError):
        train.run(small(), out=tmp_path / "run")
    written = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert (written["status"], written["message"]) == ("stopped", "broken off by MemoryError")
    assert written["spent"]["steps"] == 3  # counted before its noise is drawn, so never one too few
    assert written["agrees_with_plan"] is False


def test_parameters_that_overflow_stop_the_run_and_are_accounted_for(tmp_path: Path) -> None:
    report = run(tmp_path, training_learning_rate=2e38, training_momentum=0.9, training_steps=40)
    assert report.status == "stopped"
    assert 1 <= report.steps < 40
    assert "a parameter that is not finite" in report.message
    assert report.spent == report.planned.claim.spent(report.steps)
    assert report.held_out_accuracy is None
    assert read(report)["status"] == "stopped"


@pytest.mark.slow
def test_losses_that_are_all_not_finite_do_not_stop_the_run(tmp_path: Path) -> None:
    """How many examples have a finite loss is not released: a run that ended for it would tell of a single one."""
    mlp = {"model_kind": "mlp", "model_hidden": (8,), "model_activation": "relu"}
    report = run(tmp_path, seed=1, training_learning_rate=1e25, training_steps=300, **mlp)
    assert report.epochs[-1].drawn == report.epochs[-1].dropped > 0
    assert (report.status, report.steps) == ("finished", 300)
    assert report.spent == report.planned.claim.spent(report.steps)


def test_the_average_is_what_is_tested_and_saved(tmp_path: Path) -> None:
    changes = {"training_ema": 0.99, "training_steps": 30, "training_compare_nonprivate": True}
    plain, averaged = run(tmp_path / "a", training_steps=30), run(tmp_path / "b", **changes)
    saved = [torch.load(report.folder / "model.pt") for report in (plain, averaged)]
    assert all(not torch.equal(*pair) for pair in zip(*(state.values() for state in saved), strict=True))
    assert averaged.nonprivate_accuracy is not None
    assert averaged.held_out_accuracy is not None
    assert averaged.held_out_accuracy > 0.5


def test_no_run_overwrites_another(tmp_path: Path) -> None:
    recipe = small(runtime_folder=str(tmp_path / "runs"))
    folders = [RunFolder.make(recipe, None).path.name for _ in range(3)]
    assert folders == ["small-001", "small-002", "small-003"]
    with pytest.raises(UsageError, match="exists already"):
        RunFolder.make(recipe, tmp_path / "runs" / "small-001")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used: Not a directory"):
        RunFolder.make(small(runtime_folder=str(tmp_path / "file")), None)


def test_a_recipe_made_in_python_is_kept_with_numbers_that_yaml_reads(tmp_path: Path) -> None:
    folder = RunFolder.make(small(), tmp_path / "run")
    kept = yaml.safe_load((folder.path / "recipe.yaml").read_text(encoding="utf-8"))
    assert kept["privacy"]["delta"] == 1e-5
    assert recipes.load(folder.path / "recipe.yaml").sha256 == small().sha256


def test_the_recipe_is_copied_as_it_was_written(tmp_path: Path) -> None:
    made = recipes.load(DIGITS)
    folder = RunFolder.make(made, tmp_path / "run")
    assert (folder.path / "recipe.yaml").read_bytes() == DIGITS.read_bytes()
    folder = RunFolder.make(small(), tmp_path / "other")
    assert "noise_multiplier" in (folder.path / "recipe.yaml").read_text(encoding="utf-8")


def test_runtime_changes_nothing_that_is_claimed(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", training_batch_size=20)
    other = run(tmp_path / "b", training_batch_size=20, runtime_physical_batch=3, runtime_threads=2)
    assert plain.spent == other.spent
    assert plain.planned.claim == other.planned.claim


def test_a_run_in_bfloat16_says_so_and_costs_the_same(tmp_path: Path) -> None:
    rough, exact = small(runtime_precision="bfloat16"), small()
    assert rough.claim(1437) == exact.claim(1437)
    report = train.run(rough, seed=0, out=tmp_path / "run")
    assert report.agrees
    assert report.engine == "book-keeping, in bfloat16"
    weights = torch.load(report.folder / "model.pt", weights_only=True)
    others = torch.load(train.run(exact, seed=0, out=tmp_path / "exact").folder / "model.pt", weights_only=True)
    apart = max(float((weights[name] - others[name]).abs().max()) for name in weights)
    assert 0 < apart < 1e-3


def test_devices_that_are_missing_are_named() -> None:
    assert device_named("cpu") == torch.device("cpu")
    assert device_named("auto").type in {"cpu", "cuda"}
    for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(UsageError, match=rf"device={name} is not available.*Usable here: cpu"):
                device_named(name)


def test_json_is_strict() -> None:
    assert json.loads(dumps({"a": [float("nan"), (float("inf"), 1.0)], "ε": None})) == {
        "a": [None, [None, 1.0]],
        "ε": None,
    }


def test_printed_figures_are_rounded_to_the_safe_side() -> None:
    assert (terminal_text.up(2.9990761), terminal_text.down(2.9990769, 7)) == ("2.99908", "2.999076")
    assert (terminal_text.up(3.0), terminal_text.up(1e-9), terminal_text.up(None)) == ("3", "1e-09", "none")


def test_nothing_is_wider_than_80_columns(tmp_path: Path) -> None:
    report = train.run(small(privacy_delta=0.01), seed=123456, out=tmp_path / "run")
    head = [
        *terminal_text.plan_lines(report.planned),
        terminal_text.EPOCH_HEAD,
        *map(terminal_text.epoch_line, report.epochs),
    ]
    for line in [*head, *terminal_text.report_lines(report), *terminal_text.ending(report).splitlines()]:
        assert len(line) <= 80 or str(report.folder) in line


def test_digits_within_epsilon_3(tmp_path: Path) -> None:
    report = train.run(recipes.load(DIGITS), seed=0, out=tmp_path / "run")
    assert report.agrees
    assert report.spent.upper is not None
    assert report.spent.upper <= 3
    assert report.held_out_accuracy is not None
    assert report.held_out_accuracy >= 0.88
    assert report.nonprivate_accuracy is not None
    assert report.nonprivate_accuracy >= 0.96
