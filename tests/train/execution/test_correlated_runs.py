"""Whole runs with noise that steps share: one claim, one report, and the same noise after an interruption."""

import json
import shutil
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import together
from small_recipe import small
from whole_runs import interrupted, resumed, running

from dpplan import accounting, train, verify
from dpplan.adjacency import named
from dpplan.errors import RecipeError, TrainingStopped, UsageError
from dpplan.mechanism import Correlation, ToeplitzNoise, TreeAggregation
from dpplan.plan import Plan
from dpplan.plan_json import phase_from_json
from dpplan.train.added_noise import noise_ledger_for
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.state.run_keys import RunKeys
from dpplan.train.step.correlated_noise import CorrelatedNoise
from dpplan.train.step.sampler import EpochSampler
from dpplan.train.step.trainer import Trainer

N = 1437
BANDED, TREE = Correlation("banded", 3), Correlation("tree")
ONCE = {"privacy_sampling": "shuffle", "privacy_order": "once", "privacy_adjacency": "zero_out"}
TURNS = {"privacy_sampling": "cyclic-poisson", "privacy_groups": 4, "privacy_adjacency": "zero_out"}
RUNS: dict[str, dict[str, Any]] = {
    "banded, one order": {**ONCE, "privacy_noise": BANDED, "training_batch_size": 400},
    "tree, one order": {**ONCE, "privacy_noise": TREE, "training_batch_size": 400},
    "banded, turns": {**TURNS, "privacy_noise": BANDED},
    "banded, replaced": {**TURNS, "privacy_noise": BANDED, "privacy_adjacency": "replace_one"},
    "tree, full batch": {"privacy_sampling": "full-batch", "training_batch_size": N, "privacy_noise": TREE},
    "banded, full batch": {"privacy_sampling": "full-batch", "training_batch_size": N, "privacy_noise": BANDED},
    "tree, adaptive": {**ONCE, "privacy_noise": TREE, "training_batch_size": 400, "privacy_clipping": "adaptive"},
    "tree, views": {
        **ONCE, "privacy_noise": TREE, "training_batch_size": 400, "training_augment": "shift", "training_views": 2,
    },
}  # fmt: skip
KEPT = ["banded, one order", "tree, one order", "banded, turns"]


def recipe(name: str, **changes: Any) -> Any:
    settings = {"training_steps": 9, "privacy_noise_multiplier": 4.0, "runtime_checkpoint_every": 2}
    return small(**{**settings, **RUNS[name], **changes})


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_agrees_and_its_report_is_verified(name: str, tmp_path: Path) -> None:
    report = train.run(recipe(name), out=tmp_path / "run")
    assert report.status == "finished" and report.agrees, report.verdict
    assert {"participation", "noise"} <= {each.name for each in report.measured}
    planned = json.loads((tmp_path / "run" / "report.json").read_text())["planned"]
    phase = phase_from_json(planned)
    assert phase == report.planned.claim.phase
    assert type(phase.mechanism) is (TreeAggregation if "tree" in name else ToeplitzNoise)
    claimed = accounting.epsilon(Plan((phase,), named(planned["adjacency"]), examples=N), planned["delta"]).upper
    assert report.spent.upper == claimed
    verdicts = [verify.verify(claim, proofs=False) for claim in verify.read(tmp_path / "run").claims]
    assert [verdict.standing for verdict in verdicts] == [verify.Standing.STANDS] * 2


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, torch.Tensor]]:
    """What each step of the runs to come adds, in deviations."""
    found: list[tuple[int, torch.Tensor]] = []
    released = Trainer._released

    def watched(self: Trainer, clipped: Any) -> torch.Tensor:
        noisy = released(self, clipped)
        found.append((self.begun - 1, (noisy - clipped.total) / (self.noise.noise_multiplier * clipped.sensitivity)))  # type: ignore[union-attr]
        return noisy

    monkeypatch.setattr(Trainer, "_released", watched)
    return found


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", [*KEPT, "tree, adaptive"])
def test_a_seeded_run_that_goes_on_ends_bit_by_bit_as_if_it_had_not(name: str, tmp_path: Path) -> None:
    train.run(recipe(name), seed=4, out=tmp_path / "whole")
    interrupted(tmp_path / "cut", recipe(name), at=5, seed=4)
    assert resumed(tmp_path / "cut").agrees
    whole, cut = (torch.load(tmp_path / each / "model.pt") for each in ("whole", "cut"))
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", KEPT)
def test_an_unseeded_run_goes_on_with_the_noise_that_it_shares_with_what_was_released(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sessions together are one run of the strategy: C w is independent noise of the planned size."""
    added, folder = recorded(monkeypatch), tmp_path / "cut"
    interrupted(folder, recipe(name, training_steps=40), at=17)
    assert stat.S_IMODE((folder / "noise.key").stat().st_mode) == 0o600
    old = (folder / "noise.key").read_text()
    report = resumed(folder)
    assert report.agrees and not (folder / "noise.key").exists()
    assert [step for step, _ in added] == list(range(40)) and old.count("\n") == 1
    ledger = noise_ledger_for(report.planned.claim.phase)
    for step, noise in added:
        ledger.saw(step, noise, 1.0)
    assert ledger.agrees(1e-6)


def test_a_step_that_was_begun_and_lost_keeps_its_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count says 6 and the checkpoint 5: the noise of step 6 was released and is remembered, not added again."""
    added, folder = recorded(monkeypatch), tmp_path / "cut"
    interrupted(folder, recipe("banded, one order"), at=5)
    key = (folder / "noise.key").read_text().split()[1]
    (folder / "steps").write_text((folder / "steps").read_text().replace("5\n", "6\n"))
    report = resumed(folder)
    assert [step for step, _ in added] == [0, 1, 2, 3, 4, 6, 7, 8] and (report.steps, report.lost) == (9, 1)
    zeros = ClippedSum(torch.zeros_like(added[0][1]), 1.0, BatchFacts.none())
    would = CorrelatedNoise(report.planned.claim.phase, [(0, key)])
    lost = [would.add(zeros) / 4.0 for _ in range(6)][5]
    strategy = np.array([1.0, 0.5, 0.375])
    fresh = strategy[0] * added[5][1] + strategy[1] * lost + strategy[2] * added[4][1]
    assert abs(float(fresh @ fresh) / len(fresh) - 1) < 0.3 and abs(float(fresh @ lost)) < 5 * float(lost.norm())


@pytest.mark.parametrize("damage", ["", "0 zz\n", None])
def test_a_run_that_lost_its_noise_does_not_go_on(damage: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    interrupted(folder, recipe("tree, one order"), at=4)
    if damage is None:
        (folder / "noise.key").unlink()
    else:
        (folder / "noise.key").write_text(damage)
    with pytest.raises(UsageError, match=r"the file noise.key, .* 4 steps are counted, ε ≤ .* spent"):
        train.plan_resumed(folder)


def test_a_noise_key_that_was_set_back_ends_the_run(tmp_path: Path) -> None:
    """Steps 4 and 5 drew from a key that is gone: what they share with those to come cannot be drawn once more."""
    folder = tmp_path / "cut"
    interrupted(folder, recipe("banded, one order"), at=3)
    old = (folder / "noise.key").read_text()
    for event in train.events(train.plan_resumed(folder)):
        if isinstance(event, train.Step) and event.step == 5:
            signal.raise_signal(signal.SIGINT)
    new = (folder / "noise.key").read_text()
    assert new.startswith(old) and new.splitlines()[1].startswith("3 ")
    (folder / "noise.key").write_text(old)
    with pytest.raises(
        UsageError, match=r"noise.key, .* is not there or not whole. .* 5 of its steps or more are spent"
    ):
        resumed(folder)
    later = f"7 {32 * 'a'}\n"  # of a copy that went further: its numbers are for no other sum
    (folder / "noise.key").write_text(new + later)
    assert [start for start, _ in RunKeys(folder).noise_from(5, True, False)] == [0, 3, 5]
    (folder / "noise.key").write_text(new)
    assert resumed(folder).agrees


def test_lost_steps_taken_again_over_budget_are_steps_of_every_example(tmp_path: Path) -> None:
    folder, settings = tmp_path / "cut", {"privacy_max_epsilon": 1.0, "training_on_budget": "continue"}
    made = recipe("tree, full batch", **settings)
    planned = train.plan(made, over_budget=True)
    for event in train.events(planned, out=folder):
        if isinstance(event, train.Step) and event.step == 5:
            signal.raise_signal(signal.SIGINT)
    (folder / "steps").write_text((folder / "steps").read_text().replace("05\n", "10\n"))
    *_, report = train.events(train.plan_resumed(folder, over_budget=True))
    assert isinstance(report, train.TrainReport) and (report.steps, report.lost) == (14, 5)
    truth = recipe("tree, full batch", training_steps=14).claim(N)
    assert report.spent.upper == truth.epsilon.upper > 1.05 * planned.claim.epsilon.upper  # type: ignore[operator]


def test_two_copies_of_a_run_never_add_one_noise_to_two_sums(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", recipe("banded, one order"), at=4)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    one, other = (RunKeys(tmp_path / each).noise_from(4, True, True) for each in ("run", "copy"))
    assert one[0] == other[0] and one[1][0] == other[1][0] == 4 and one[1][1] != other[1][1]


def test_a_run_of_which_a_copy_went_on_cannot_go_on_even_if_it_is_vouched_for(tmp_path: Path) -> None:
    """Which of their noise the steps share, no theorem knows."""
    interrupted(tmp_path / "run", recipe("banded, one order"), at=4)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    *_, report = train.events(train.plan_resumed(tmp_path / "copy", moved=True))
    assert isinstance(report, train.TrainReport) and report.status == "finished"
    with pytest.raises(UsageError, match="Steps of this run share noise") as raised:
        list(train.events(train.plan_resumed(tmp_path / "run", moved=True)))
    assert "Start a new run; both count" in str(raised.value)


def test_a_batch_out_of_turn_ends_the_run_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EpochSampler, "_keeps", False)  # a sampler that shuffles anew in each epoch
    with pytest.raises(TrainingStopped, match="out of turn: the claim is for at most 3 steps") as raised:
        train.run(recipe("tree, one order"), out=tmp_path / "run")
    assert "It was not released" in str(raised.value)
    content = json.loads((tmp_path / "run" / "report.json").read_text())
    checks = {each["name"]: each["agrees"] for each in content["not_covered_by_epsilon"]["verdict"]}
    assert content["status"] == "stopped" and checks["participation"] is False
    claims = verify.read(tmp_path / "run").claims
    assert any("participation disagreed" in doubt for claim in claims for doubt in claim.doubts)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", ["banded, one order", "tree, one order"])
def test_independent_noise_under_a_correlated_claim_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful:
        def next(self, fresh: torch.Tensor) -> torch.Tensor:
            return fresh

    monkeypatch.setattr("dpplan.train.step.correlated_noise.memory_of", lambda phase: Forgetful())
    report = train.run(recipe(name, training_steps=40), out=tmp_path / "run")
    assert [each.name for each in report.measured if not each.agrees] == ["noise"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["banded, one order", pytest.param("tree, one order", marks=pytest.mark.slow)])
def test_processes_agree_on_the_noise_and_go_on_with_it(name: str, tmp_path: Path) -> None:
    """Two processes make the run of one of them, and after an interruption the run that they would have made."""
    made = recipe(name, runtime_threads=1)
    together(tmp_path, running, made, 4, tmp_path / "two")
    train.run(made, seed=4, out=tmp_path / "one")
    together(tmp_path, running, made, 4, tmp_path / "cut", 5)
    *_, lines = together(tmp_path, running, made, 4, tmp_path / "cut", None, True)[0]
    assert any("noise " in line and "agrees" in line for line in lines)
    models = [torch.load(tmp_path / each / "model.pt") for each in ("two", "cut", "one")]
    assert all(torch.equal(models[0][key], models[1][key]) for key in models[0])
    assert all(torch.allclose(models[0][key], models[2][key], atol=1e-4) for key in models[0])
    assert not (tmp_path / "two" / "noise.key").exists()


def test_secure_noise_is_correlated_where_no_checkpoint_is_kept(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the system's generator cannot"):
        recipe("banded, one order", runtime_secure_noise=True)
    made = recipe("banded, one order", runtime_secure_noise=True, runtime_checkpoint_every=None)
    report = train.run(made, out=tmp_path / "run")
    assert report.agrees and not (tmp_path / "run" / "noise.key").exists()
