"""Shadow models by the reference trainer: sound runs are consistent, runs without noise are not; nothing is lost."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small

from dpplan import train
from dpplan.errors import RecipeError, UsageError
from dpplan.train import shadows
from dpplan.train.data import Split
from dpplan.train.shadows import ShadowAttack, run
from dpplan.train.shadows.cache import MANIFEST, ShadowFolder, default_folder, key_of
from dpplan.train.shadows.one_model import HalfTrainer, ShadowTask, trained
from dpplan.train.step import noise
from dpplan.train.step.randomness import Randomness


def random_labels(seed: int | None = 1, **changes: Any) -> train.Planned:
    """400 images of noise with labels of noise, which a model can only know by heart; full batches, μ = 1/4."""
    told = {"training_batch_size": 1437, "training_steps": 25, "training_learning_rate": 4.0}
    planned = train.plan(small(**{"privacy_noise_multiplier": 20.0, **told, **changes}), seed=seed)
    numbers = torch.Generator().manual_seed(0)
    parts = [
        Split(torch.randn(200, 1, 8, 8, generator=numbers), torch.randint(0, 10, (200,), generator=numbers))
        for _ in range(2)
    ]
    return dataclasses.replace(
        planned, dataset=dataclasses.replace(planned.dataset, training=parts[0], held_out=parts[1])
    )


def test_a_sound_recipe_is_consistent(tmp_path: Path) -> None:
    found = shadows.attacked(random_labels(), ShadowAttack(("loss", "rmia"), shadows=3, folder=tmp_path / "kept"))
    assert not found.violation
    assert found.runs.member.shape == (4, 400)
    assert list(found.ceilings) == [0.1, 0.01, 0.001]
    assert all(rate < most < 3 * rate for rate, most in found.ceilings.items())
    assert all(curve.area < 0.6 for curve in found.curves.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept"]


def test_a_run_without_noise_is_a_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise.GaussianNoise, "standard_deviation", lambda *_: 1e-6)
    found = shadows.attacked(random_labels(), ShadowAttack(("lira-offline",), shadows=4, folder=tmp_path))
    assert found.violation
    assert found.findings["lira-offline"].epsilon > found.planned.claim.epsilon.value
    assert found.curves["lira-offline"].at(0.1) > 2 * found.ceilings[0.1]  # type: ignore[operator]


def test_what_was_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, told = random_labels(), []
    attack = ShadowAttack(("loss",), shadows=2, folder=tmp_path / "kept")
    calls: list[ShadowTask] = []

    def answers(task: ShadowTask) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(task)
        return trained(task)

    monkeypatch.setattr(run, "trained", answers)
    with pytest.raises(KeyboardInterrupt):
        shadows.attacked(planned, attack)
    calls.pop()
    resumed = shadows.attacked(planned, attack, progress=lambda done, of: told.append((done, of)))
    assert (len(calls), told) == (2, [(3, 3)])
    (tmp_path / "kept" / "0001.npz").write_bytes(b"damaged")
    calls.clear()
    again = shadows.attacked(planned, attack)
    assert len(calls) == 1
    assert np.array_equal(resumed.runs.confidence, again.runs.confidence)  # a seed repeats coins, noise and models
    assert np.array_equal(resumed.runs.member, again.runs.member)
    other = random_labels(training_learning_rate=3.0)
    with pytest.raises(UsageError, match="models of another audit: recipe differ"):
        shadows.attacked(other, attack)
    with pytest.raises(UsageError, match="holds other files"):
        shadows.attacked(planned, dataclasses.replace(attack, folder=tmp_path))


def test_a_folder_says_that_it_is_private(tmp_path: Path) -> None:
    key = key_of("a" * 64, None, np.zeros((3, 2), np.float32), np.zeros(3, np.int64))
    folder = ShadowFolder.opened(tmp_path / "new" / "folder", key)
    manifest = json.loads((folder.path / MANIFEST).read_text(encoding="utf-8"))
    assert "not covered by epsilon, not to be published" in manifest["private"]
    folder.save(0, np.array([True, False, True]), np.zeros(3))
    assert folder.load(0, 3) is not None
    assert folder.load(0, 4) is None
    assert folder.load(1, 3) is None
    (folder.path / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="another audit"):
        ShadowFolder.opened(folder.path, key)
    assert default_folder(tmp_path, "digits", key) != default_folder(tmp_path, "digits", {**key, "seed": 1})


def test_the_sums_are_divided_by_the_same_number_whoever_is_in() -> None:
    planned, divided = random_labels(), set()
    for members in (150, 250):
        rows = Split(
            planned.dataset.training.inputs[:1].repeat(members, 1, 1, 1), torch.zeros(members, dtype=torch.int64)
        )
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        randomness = Randomness.of(0)
        trainer = HalfTrainer(model, rows, planned.claim.phase, planned.recipe, randomness)
        trainer.of_expected(200, randomness)
        divided.add(trainer.sampler.expected_batch)
        assert max(trainer.sampler.draw()) < members
    assert divided == {200 * planned.claim.phase.sampling.sample_rate}  # type: ignore[union-attr]


def test_other_schemes_and_tiny_sets_are_refused(tmp_path: Path) -> None:
    shuffled = train.plan(
        small(privacy_sampling="balls-in-bins", training_steps=None, training_epochs=1, privacy_noise_multiplier=4.0)
    )
    with pytest.raises(RecipeError, match="need sampling: poisson"):
        shadows.attacked(shuffled, ShadowAttack(folder=tmp_path / "a"))
    planned = random_labels()
    few = Split(planned.dataset.training.inputs[:5], planned.dataset.training.targets[:5])
    tiny = dataclasses.replace(planned, dataset=dataclasses.replace(planned.dataset, training=few, held_out=few))
    with pytest.raises(RecipeError, match="10 examples are too few"):
        shadows.attacked(tiny, ShadowAttack(folder=tmp_path / "b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_processes_do_the_same_as_one(tmp_path: Path) -> None:
    planned = random_labels()
    alone, shared = (
        shadows.attacked(planned, ShadowAttack(("loss",), shadows=3, jobs=jobs, folder=tmp_path / str(jobs)))
        for jobs in (1, 2)
    )
    assert np.array_equal(alone.runs.member, shared.runs.member)
    assert np.allclose(alone.runs.confidence, shared.runs.confidence, atol=1e-4)
