"""Strategies from files in the trainer: the noise that is made of their rows, and of which none is made."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from whole_runs import interrupted, resumed

from dpplan import recipe, train, verify
from dpplan.errors import InputOutputFailed, RecipeError
from dpplan.mechanism import Gaussian, MatrixNoise, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import Poisson, Shuffle
from dpplan.train import strategy_rows
from dpplan.train.added_noise import noise_ledger_for
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.step.correlated_noise import memory_of

STEPS = 9
RNG = np.random.default_rng(4)
ANY = np.tril(np.triu(RNG.uniform(-0.3, 0.8, (STEPS, STEPS)), -3), -1) + np.diag(RNG.uniform(0.5, 2.0, STEPS))
WILD = np.eye(60) + 10.0 * np.eye(60, k=-1)


def of(strategy: np.ndarray, bands: int = 4) -> MatrixNoise:
    rows = np.array(
        [[row[at] if at >= 0 else 0.0 for at in range(t - bands + 1, t + 1)] for t, row in enumerate(strategy)]
    )
    return MatrixNoise(2.0, tuple(rows.ravel().tolist()), bands)


def phase(mechanism: object, steps: int = STEPS) -> Phase:
    return Phase(mechanism, Shuffle(4, "once"), steps)  # type: ignore[arg-type]


def made_of(made: Phase) -> np.ndarray:
    """Row t: what w_t takes of each z."""
    memory, count = memory_of(made), made.steps
    return np.array([memory.next(torch.eye(count, dtype=torch.float64)[t].clone()).numpy() for t in range(count)])


def test_the_noise_of_any_strategy_is_its_inverse() -> None:
    assert np.allclose(ANY @ made_of(phase(of(ANY))), np.eye(STEPS), atol=1e-13)
    column = (2.0, 0.5, -0.25)
    strategy = sum(value * np.eye(STEPS, k=-at) for at, value in enumerate(column))
    assert np.allclose(strategy @ made_of(phase(ToeplitzNoise(1.0, coefficients=column))), np.eye(STEPS), atol=1e-14)
    assert np.allclose(made_of(phase(of(np.diag(np.arange(1.0, 10.0)), 1))), np.diag(1.0 / np.arange(1.0, 10.0)))


@pytest.mark.parametrize("wrong", [False, True])
def test_what_was_added_is_held_against_every_row(wrong: bool) -> None:
    """Noise of another strategy, whose last rows alone differ, does not agree."""
    other = ANY.copy()
    other[STEPS // 2 :] *= np.where(np.eye(STEPS) == 1, 1.0, -1.0)[STEPS // 2 :] if wrong else 1.0
    ledger, memory = noise_ledger_for(phase(of(ANY))), memory_of(phase(of(other)))
    generator = torch.Generator().manual_seed(1)
    for step in range(STEPS):
        fresh = torch.randn(2000, generator=generator, dtype=torch.float64)
        ledger.saw(step, 2.0 * memory.next(fresh).clone(), 2.0)
    assert ledger.agrees(1e-6) is not wrong


def test_floats_make_no_noise_of_an_inverse_that_grows() -> None:
    with pytest.raises(
        RecipeError, match=r"would be \S+ times as large as the noise, since C⁻¹ grows from step to step"
    ):
        strategy_rows.check(phase(of(WILD, 2), 60))
    doubling = ToeplitzNoise(1.0, coefficients=(1.0, -2.0))
    strategy_rows.check(phase(doubling, 12))
    with pytest.raises(RecipeError, match=r"would be [1-9.]+e\+06 times as large as the noise"):
        strategy_rows.check(phase(doubling, 40))
    strategy_rows.check(phase(of(1e-9 * ANY)))  # small is not steep
    strategy_rows.check(phase(ToeplitzNoise(1.0, bands=500), 2000))
    for each in (TreeAggregation(1.0), Gaussian(1.0)):
        strategy_rows.check(Phase(each, Poisson(1.0), 60))


def test_more_bands_than_the_device_remembers_are_refused() -> None:
    wide = phase(ToeplitzNoise(1.0, bands=101), 200)
    strategy_rows.check_memory(wide, 1000, 800_000)
    strategy_rows.check_memory(wide, 1000, None)
    with pytest.raises(
        RecipeError, match=r"of 1000 parameters the noise of the 100 steps before each is remembered, 0.0008 GB"
    ):
        strategy_rows.check_memory(wide, 1000, 799_999)


def written(folder: Path) -> recipe.Recipe:
    (folder / "strategies").mkdir()
    np.save(folder / "strategies" / "C.npy", ANY)
    noise = "{kind: matrix, strategy: strategies/C.npy}"
    (folder / "mine.yaml").write_text(
        f"privacy: {{noise_multiplier: 4, clip_norm: 1, delta: 1e-5, noise: {noise}, sampling: shuffle, order: once, "
        "adjacency: zero_out}\ndata: {source: digits}\nmodel: {kind: logistic}\n"
        f"training: {{batch_size: 400, steps: {STEPS}, optimizer: sgd, learning_rate: 1, compare_nonprivate: false}}\n"
        "runtime: {device: cpu, threads: 1, checkpoint_every: 2}\n",
        encoding="utf-8",
    )
    return recipe.load(folder / "mine.yaml")


def test_a_run_keeps_its_strategy_goes_on_with_it_and_is_verified(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", written(tmp_path), at=5)
    np.save(tmp_path / "strategies" / "C.npy", 2 * ANY)  # of no concern to the run that began
    report = resumed(tmp_path / "run")
    assert report.status == "finished" and report.agrees, report.verdict
    kept = np.load(tmp_path / "run" / "strategies" / "C.npy")
    assert (kept == ANY).all()
    verdicts = [verify.verify(claim, proofs=False) for claim in verify.read(tmp_path / "run").claims]
    assert [verdict.standing for verdict in verdicts] == [verify.Standing.STANDS] * 2
    recorded = json.loads((tmp_path / "run" / "report.json").read_text())["recipe"]["privacy"]["noise"]
    assert recorded["strategy"] == "strategies/C.npy" and len(recorded["sha256"]) == 64


def test_a_run_whose_strategy_was_exchanged_does_not_go_on(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", written(tmp_path), at=5)
    np.save(tmp_path / "run" / "strategies" / "C.npy", ANY * (1.0 + np.eye(STEPS)))
    with pytest.raises(RecipeError, match=r"and the run began with"):
        train.plan_resumed(tmp_path / "run")


def test_a_folder_whose_strategy_cannot_be_kept_is_not_left_behind(tmp_path: Path) -> None:
    np.save(tmp_path / "C.npy", np.eye(3))
    (tmp_path / "mine.yaml").write_text(
        "privacy: {noise_multiplier: 4, clip_norm: 1, sampling: shuffle, order: once, adjacency: zero_out, "
        "noise: {kind: matrix, strategy: C.npy}}\ndata: {source: digits}\nmodel: {kind: logistic}\n"
        "training: {batch_size: 512, steps: 3, optimizer: sgd, learning_rate: 0.5}\nruntime: {device: cpu}\n",
        encoding="utf-8",
    )
    read = recipe.load(tmp_path / "mine.yaml")
    (tmp_path / "C.npy").unlink()
    with pytest.raises(InputOutputFailed, match=r"C\.npy: cannot be copied to .*run/C\.npy"):
        RunFolder.make(read, tmp_path / "run")
    assert not (tmp_path / "run").exists()
