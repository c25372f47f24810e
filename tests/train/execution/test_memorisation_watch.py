"""Losses followed in training: they rank examples, stay in one private file, and change nothing of the run."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from small_recipe import small
from torch import nn

from dpplan import train
from dpplan.recipe import Recipe
from dpplan.train import shadows
from dpplan.train.data import Split
from dpplan.train.execution.memorisation_watch import NAME, PRIVATE, MemorisationWatch, spread
from dpplan.train.step import noise


def watched(folder: Path, examples: int = 30, **changes: Any) -> Recipe:
    """Six epochs of digits."""
    told = {"training_batch_size": 700, "training_steps": 12, "runtime_folder": str(folder), **changes}
    return small(**told).with_watch(examples)


def test_a_watched_run_is_the_same_run_and_tells_in_one_private_file(tmp_path: Path) -> None:
    recipe = watched(tmp_path)
    with_it = train.run(recipe, seed=3)
    without = train.run(recipe.with_watch(0), seed=3)
    models = [torch.load(each.folder / "model.pt", weights_only=True) for each in (with_it, without)]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[1])
    files = [{file.name for file in each.folder.iterdir()} for each in (with_it, without)]
    assert files[0] - files[1] == {NAME}
    found = json.loads((with_it.folder / NAME).read_text(encoding="utf-8"))
    assert found["private"] == PRIVATE
    assert len(found["examples"]) == 30
    assert all(len(each["losses"]) == len(found["steps"]) == len(with_it.epochs) for each in found["examples"])
    risks = [each["risk"] for each in found["examples"]]
    assert risks == sorted(risks, reverse=True)
    report, plain = ((each.folder / "report.json").read_text(encoding="utf-8") for each in (with_it, without))
    assert '"losses"' not in report
    assert recipe.sha256 == recipe.with_watch(0).sha256
    assert len(report) == pytest.approx(len(plain), abs=20)


def test_a_run_that_goes_on_goes_on_watching(tmp_path: Path) -> None:
    recipe = watched(tmp_path, runtime_checkpoint_every=4)
    planned = train.plan(recipe, seed=3)
    happening = train.events(planned)
    for event in happening:
        if isinstance(event, train.Step) and event.step == 9:
            break
    happening.close()
    folder = next(tmp_path.iterdir())
    begun = json.loads((folder / NAME).read_text(encoding="utf-8"))
    assert "losses" not in (folder / "checkpoint.pt").read_bytes().decode("latin-1")
    *_, report = train.events(train.plan_resumed(folder, recipe.with_watch(0)))
    assert isinstance(report, train.TrainReport)
    whole = json.loads((folder / NAME).read_text(encoding="utf-8"))
    traces = [{each["example"]: each["losses"] for each in found["examples"]} for found in (begun, whole)]
    assert traces[0].keys() == traces[1].keys()
    kept = sum(step <= 8 for step in begun["steps"])
    assert kept > 0
    assert all(trace[:kept] == traces[1][example][:kept] for example, trace in traces[0].items())
    assert len(whole["steps"]) == len(report.epochs)


def test_a_watch_that_fails_ends_itself_alone(tmp_path: Path) -> None:
    class Moody(nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            if not self.training:
                raise ValueError("not now")
            return super().forward(rows)

    data = Split(torch.zeros(9, 4), torch.zeros(9, dtype=torch.int64))
    watch = MemorisationWatch(data, 5, None, tmp_path)
    watch.look(Moody(4, 2), 1)
    watch.look(nn.Linear(4, 2), 2)
    assert (watch.failed, list(tmp_path.iterdir())) == ("ValueError: not now", [])


def test_a_model_that_prints_where_it_is_looked_at_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Telling(nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            print(float(rows.mean()))
            return super().forward(rows)

    watch = MemorisationWatch(Split(torch.zeros(9, 4), torch.zeros(9, dtype=torch.int64)), 5, None, tmp_path)
    watch.look(Telling(4, 2), 1)
    assert watch.failed.startswith("model: prints or logs while it runs (print)")
    assert (capsys.readouterr().out, watch.losses, list(tmp_path.iterdir())) == ("", [], [])


def test_the_model_is_looked_at_as_a_copy(tmp_path: Path) -> None:
    class Counting(nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            self.seen = rows
            return super().forward(rows + 0.0 * torch.rand(1))

    data = Split(torch.zeros(9, 4), torch.zeros(9, dtype=torch.int64))
    watch, model, before = MemorisationWatch(data, 50, 1, tmp_path), Counting(4, 2), torch.get_rng_state()
    watch.look(model, 1)
    assert (len(watch.chosen), watch.failed, model.training, hasattr(model, "seen")) == (9, "", True, False)
    assert torch.equal(before, torch.get_rng_state())
    (tmp_path / NAME).write_text("damaged", encoding="utf-8")
    watch.go_on(data, 5)
    assert watch.steps == [1]


def test_risk_is_the_distance_between_quartiles() -> None:
    traces = np.array([[4.0, 3.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0, 9.0]])
    assert spread(traces).tolist() == [2.0, 0.0]


@pytest.mark.slow
def test_who_is_at_risk_is_who_lira_recognises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On digits without privacy: ranks go together, and the first twentieth holds LiRA's far more often than chance."""
    monkeypatch.setattr(noise.GaussianNoise, "standard_deviation", lambda *_: 1e-6)
    recipe = watched(
        tmp_path, 10_000, model_kind="mlp", model_hidden=(64,), model_activation="relu", training_batch_size=130,
        training_steps=150, training_learning_rate=1.0, training_momentum=0.9, data_held_out=0.5, privacy_clip_norm=5.0,
    )  # fmt: skip
    planned = train.plan(recipe, seed=1)
    *_, report = train.events(planned)
    assert isinstance(report, train.TrainReport)
    found = json.loads((report.folder / NAME).read_text(encoding="utf-8"))
    risk = {each["example"]: each["risk"] for each in found["examples"]}
    ranked = np.array([risk[example] for example in range(len(risk))])
    attack = shadows.ShadowAttack(("lira",), shadows=16, folder=tmp_path / "shadows")
    runs = shadows.attacked(dataclasses.replace(planned, recipe=recipe.with_watch(0)), attack).runs
    inside, outside = (np.where(there, runs.confidence, np.nan) for there in (runs.member, ~runs.member))
    gap = np.nan_to_num(np.nanmean(inside, 0) - np.nanmean(outside, 0))[: len(ranked)]
    together = stats.spearmanr(ranked, gap)
    assert together.statistic > 0.15
    assert together.pvalue < 1e-6
    first = len(ranked) // 20
    both = set(np.argsort(-ranked)[:first]) & set(np.argsort(-gap)[:first])
    assert len(both) > 5 * first / 20  # by chance, one in twenty
