"""What a model draws in its forward pass: repeated by a seed, and never taken from where the noise comes from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import together
from small_recipe import small
from torch import Tensor, nn
from whole_runs import interrupted, resumed, running

from dpplan import train
from dpplan.recipe import Recipe
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.step.randomness import STREAMS, Randomness, TorchGenerators
from dpplan.train.step.trainer import Trainer

CPU = torch.device("cpu")


class Dropping(nn.Module):
    """Drops by a layer and by a function, and remembers what torch's generator was at each pass."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.flat, self.one, self.two = nn.Flatten(), nn.Linear(64, 16), nn.Linear(16, classes)
        self.drop = nn.Dropout(0.4)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.two(self.drop(torch.tanh(self.one(self.flat(x)))))
        return scores


def dropping(**changes: Any) -> Recipe:
    usual = {"training_steps": 9, "runtime_checkpoint_every": 4, "training_compare_nonprivate": False}
    return small(**{"model_kind": "test_dropout:Dropping", **usual, **changes})


def weights(folder: Path) -> Tensor:
    return torch.cat([value.flatten() for value in torch.load(folder / "model.pt").values()])


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("engine", ["book-keeping", "vmap"])
def test_a_seed_repeats_a_run_with_dropout_resumed_or_not(tmp_path: Path, engine: str) -> None:
    recipe = dropping(runtime_engine=engine)
    whole = train.run(recipe, seed=3, out=tmp_path / "whole")
    torch.rand(7)  # what the caller draws in between is not the run's
    again = train.run(recipe, seed=3, out=tmp_path / "again")
    interrupted(tmp_path / "broken", recipe, 6, seed=3)
    torch.manual_seed(1)
    broken = resumed(tmp_path / "broken")
    assert torch.equal(weights(whole.folder), weights(again.folder))
    assert torch.equal(weights(whole.folder), weights(broken.folder))
    assert whole.held_out_accuracy == again.held_out_accuracy == broken.held_out_accuracy


@pytest.mark.slow
def test_each_process_of_a_seeded_run_drops_as_it_did(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    together(tmp_path, running, dropping(), 3, whole)
    together(tmp_path, running, dropping(), 3, broken, 6)
    saved = Checkpoint.load(broken / "checkpoint.pt").generators
    assert saved is not None
    assert saved[0]["torch"] != saved[1]["torch"]
    together(tmp_path, running, None, None, broken, None, True)
    assert torch.equal(weights(whole), weights(broken))


@pytest.mark.slow
def test_the_twin_repeats_as_well(tmp_path: Path) -> None:
    recipe = dropping(training_compare_nonprivate=True, training_steps=6)
    reports = [train.run(recipe, seed=3, out=tmp_path / name) for name in ("a", "b")]
    interrupted(tmp_path / "c", recipe, 4, seed=3)
    reports.append(resumed(tmp_path / "c"))
    assert len({report.nonprivate_accuracy for report in reports}) == 1


@pytest.mark.slow
def test_dropout_matters_to_a_seeded_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above show nothing."""
    train.run(dropping(), seed=3, out=tmp_path / "a")
    monkeypatch.setattr(TorchGenerators, "seed", lambda self, seed: torch.manual_seed(seed + 1))
    train.run(dropping(), seed=3, out=tmp_path / "b")
    assert not torch.equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_run_leaves_the_generator_of_its_caller_alone(tmp_path: Path) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    for seed in (None, 3):
        torch.manual_seed(11)
        train.run(dropping(), seed=seed, out=tmp_path / str(seed))
        assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_unseeded_runs_drop_by_the_systems_randomness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by torch's default, which is the same in every process."""
    seeds: list[int] = []
    seed = TorchGenerators.seed
    monkeypatch.setattr(TorchGenerators, "seed", lambda self, given: seeds.append(given) or seed(self, given))
    for name in ("a", "b"):
        torch.manual_seed(5)
        train.run(dropping(training_steps=1), out=tmp_path / name)
    assert len(set(seeds)) == 2
    assert all(0 <= seed < 2**64 for seed in seeds)
    interrupted(tmp_path / "c", dropping(), 6)
    assert Checkpoint.load(tmp_path / "c" / "checkpoint.pt").generators is None


@pytest.mark.slow
def test_dropout_and_noise_share_no_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise of a seeded run is the same whatever the model draws."""
    drawn: dict[str, list[Any]] = {}

    def noises(name: str) -> list[Any]:
        found: list[Any] = []
        released = Trainer._released

        def listened(self: Any, clipped: Any) -> Tensor:
            noisy = released(self, clipped)
            found.append((noisy - clipped.total)[:50].clone())
            return noisy

        monkeypatch.setattr(Trainer, "_released", listened)
        train.run(dropping(), seed=3, out=tmp_path / name)
        monkeypatch.setattr(Trainer, "_released", released)
        return found

    drawn["drops"] = noises("drops")
    monkeypatch.setattr(Dropping, "forward", lambda self, x: self.two(torch.tanh(self.one(self.flat(x)))))
    drawn["does not"] = noises("does not")
    assert all(torch.allclose(*pair, atol=1e-9) for pair in zip(*drawn.values(), strict=True))


def test_the_seed_of_dropout_is_a_stream_of_its_own() -> None:
    """From a child of the seed of its own; of an unseeded run, from no entropy that the noise comes from."""
    children = np.random.SeedSequence(5).spawn(5)
    assert Randomness.of(5).model == int(children[4].generate_state(1, np.uint64)[0])
    assert len({Randomness.of(5, rank).model for rank in range(8)}) == 8
    streams = [Randomness.of(5, rank) for rank in range(4)]
    firsts = {float(getattr(one, name).random()) for one in streams for name in STREAMS}
    assert len(firsts) == 4 * len(STREAMS)
    assert len({Randomness.of(None).model for _ in range(20)}) == 20


def test_unseeded_dropout_needs_nothing_of_the_entropy_of_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    entropy = np.random.SeedSequence
    monkeypatch.setattr(
        np.random, "SeedSequence", lambda seed=None, **more: entropy(7 if seed is None else seed, **more)
    )
    one, other = Randomness.of(None), Randomness.of(None)
    assert one.noise.random() == other.noise.random()
    assert one.model != other.model


def test_the_state_of_torchs_generators_is_plain_and_goes_round() -> None:
    generators = TorchGenerators(CPU)
    generators.seed(2**64 - 1)
    state = generators.state()
    assert set(state) == {"cpu"}
    assert all(isinstance(text, str) for text in state.values())
    expected = torch.rand(5)
    torch.rand(100)
    generators.restore(state)
    assert torch.equal(torch.rand(5), expected)
