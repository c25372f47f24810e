"""What holds on the CPU, on a CUDA device: `pytest -m gpu`, left out unless asked for.

Without such a device the bodies can be run on the CPU by hand, where the last test only shows that it runs:

    DPPLAN_TEST_DEVICE=cpu python -m pytest -m gpu tests/train/test_gpu.py
"""

import contextlib
import dataclasses
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_recipe import small
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dpplan import recipe as recipes
from dpplan import train
from dpplan.mechanism import Correlation, Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Model, Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models
from dpplan.train.clipping import as_compiled, choose
from dpplan.train.clipping.rules import Flat
from dpplan.train.data import Split
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.trainer import Trainer

pytestmark = pytest.mark.gpu

DIGITS = Path(__file__).parents[2] / "recipes" / "digits.yaml"
CLASSES, WORDS, PIECE = 5, 9, 4
# Every kind of model that a recipe can name, and the shape of an example.
MODELS: dict[str, tuple[Model, tuple[int, ...]]] = {
    "logistic": (Model(kind="logistic"), (6,)),
    "mlp": (Model(kind="mlp", hidden=(16, 8), activation="relu"), (6,)),
    "cnn": (Model(kind="cnn", hidden=(4, 8), activation="tanh"), (2, 8, 8)),
    "opacus-cnn": (Model(kind="opacus-cnn"), (1, 28, 28)),
    "tf-privacy-cnn": (Model(kind="tf-privacy-cnn"), (1, 28, 28)),
    "lstm": (Model(kind="lstm", hidden=(8,)), (5,)),
    "transformer": (Model(kind="transformer", hidden=(16, 16)), (5,)),
}
READS = {"lstm", "transformer"}


@pytest.fixture
def device() -> torch.device:
    return torch.device(os.environ.get("DPPLAN_TEST_DEVICE", "cuda"))


@pytest.fixture
def float32_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch lets cuDNN round what enters a convolution to 10 bits, and that changes gradients, if not the claim."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def model(name: str) -> nn.Module:
    block, shape = MODELS[name]
    return models.build(block, shape, CLASSES, np.random.default_rng(0), WORDS if name in READS else 0)


def batch(name: str, examples: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (examples, *MODELS[name][1])
    targets = torch.randint(CLASSES, (examples,), generator=generator)
    if name in READS:
        return torch.randint(WORDS, shape, generator=generator), targets
    return torch.randn(shape, generator=generator), targets


def gradients(name: str, inputs: Tensor, targets: Tensor) -> Tensor:
    """(examples, numbers): one example at a time, in float64, on the CPU."""
    net = model(name).double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    found = []
    for x, y in zip(inputs, targets, strict=True):
        loss = cross_entropy(net(x[None]), y[None])
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))]))
    return torch.stack(found)


def agrees_with_the_reference(name: str, device: torch.device, engine: str, fast: bool = False) -> None:
    inputs, targets = batch(name, 3 * PIECE - 1)
    alone = gradients(name, inputs, targets)
    norms = alone.norm(dim=1)
    rule = Flat(float(norms.median()))  # so that some are shortened and some are not
    chosen = choose(model(name).to(device), engine, PIECE, inputs[0])
    made = (as_compiled(chosen) if fast else chosen).engine
    ours = made.clipped_sum(inputs.to(device), targets.to(device), rule).total
    theirs = (torch.clamp(rule.bound / norms, max=1.0).unsqueeze(1) * alone).sum(0)
    assert ours.device.type == device.type
    assert ours.dtype == torch.float64
    assert float((ours.cpu() - theirs).norm()) <= 1e-6 * float(theirs.norm())


@pytest.mark.usefixtures("float32_throughout")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", ["auto", "vmap"])
def test_the_clipped_sum_is_that_of_one_example_at_a_time(name: str, engine: str, device: torch.device) -> None:
    agrees_with_the_reference(name, device, engine)


@pytest.mark.usefixtures("float32_throughout")
@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_so_is_the_compiled_one(name: str, device: torch.device) -> None:
    agrees_with_the_reference(name, device, "auto", fast=True)


@pytest.fixture(params=["highest", "high", "medium"])
def products_rounded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What users may let torch round float32 to in products: to 11 bits on many cards, to 8 on some processors."""
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", request.param != "highest")
    torch.set_float32_matmul_precision(request.param)
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("products_rounded")
@pytest.mark.parametrize("name", ["mlp", "opacus-cnn", "transformer"])
def test_no_example_moves_the_sum_by_more_than_the_sensitivity(name: str, device: torch.device) -> None:
    inputs, targets = batch(name, 2 * PIECE)
    no_example_moves_more(model(name).to(device), inputs.to(device), targets.to(device), PIECE)


@pytest.mark.usefixtures("products_rounded")
@pytest.mark.parametrize("bits", [8, 11])
def test_not_even_where_all_products_are_rounded_up(bits: int, device: torch.device) -> None:
    """Numbers just above the middle between two of so many bits: without the rest, they grow by half a last place."""
    inputs = torch.full((64, 512), 1 + 2.0**-bits + 2.0**-15, device=device)
    net = nn.Linear(512, CLASSES).to(device)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    no_example_moves_more(net, inputs, torch.zeros(64, dtype=torch.int64, device=device), 64)


def no_example_moves_more(net: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> None:
    rule = Flat(1e-3)  # every gradient is longer
    engine = choose(net, "auto", piece, inputs[0]).engine
    whole = engine.clipped_sum(inputs, targets, rule)
    for i in range(0, len(targets), piece // 2):
        # As the order of a batch is random, removing one amounts to moving the last one to its place.
        kept = torch.arange(len(targets) - 1, device=inputs.device)
        kept[i:][:1] = len(targets) - 1
        rest = engine.clipped_sum(inputs[kept], targets[kept], rule)
        assert 0.99 * rule.clip_norm < float((whole.total - rest.total).norm()) <= whole.sensitivity


def test_a_run_of_the_digits_recipe_ends_as_planned(device: torch.device, tmp_path: Path) -> None:
    found = recipes.load(DIGITS)
    recipe = dataclasses.replace(found, runtime=dataclasses.replace(found.runtime, device=device.type))
    report = train.run(recipe, seed=0, out=tmp_path / "run")
    assert (report.status, report.agrees) == ("finished", True)
    assert report.steps == report.planned.claim.phase.steps
    assert (report.spent.upper or 0.0) <= 3.0
    assert (report.held_out_accuracy or 0.0) > 0.9
    saved = torch.load(tmp_path / "run" / "model.pt", map_location="cpu")
    assert all(bool(values.isfinite().all()) for values in saved.values())


def trainer(recipe: Recipe, device: torch.device, examples: Split | None = None) -> Trainer:
    randomness = Randomness.of(0)
    split = DATA.training if examples is None else examples
    words, classes = (WORDS, CLASSES) if recipe.model.kind in READS else (0, 10)
    net = models.build(recipe.model, split.inputs.shape[1:], classes, randomness.weights, words)
    return Trainer(net.to(device), split.to(device), Phase(Gaussian(1.0), Poisson(0.05), 1000), recipe, randomness)


DATA = data.load(small().data)


class Heard:
    """A sampler, and what it has drawn."""

    def __init__(self, made: Trainer) -> None:
        self.sampler, self.batches = made.sampler, list[NDArray[np.int64]]()
        self.expected_batch = made.sampler.expected_batch

    def draw(self) -> NDArray[np.int64]:
        self.batches.append(self.sampler.draw())
        return self.batches[-1]


def test_a_seed_draws_the_same_batches_as_on_the_cpu(device: torch.device) -> None:
    batches = []
    for where in (torch.device("cpu"), device):
        made = trainer(small(), where)
        made.sampler = heard = Heard(made)
        for _ in range(20):
            made.step()
        batches.append(heard.batches)
    assert [len(drawn) for drawn in batches] == [20, 20]
    assert all(np.array_equal(a, b) for a, b in zip(*batches, strict=True))


@pytest.mark.parametrize("optimizer", [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}])
def test_a_seed_repeats_a_run_on_one_device(optimizer: dict[str, Any], device: torch.device) -> None:
    recipe = small(**{f"training_{key}": value for key, value in optimizer.items()}, training_learning_rate=0.1)

    def trained() -> Tensor:
        made = trainer(recipe, device)
        for _ in range(20):
            made.step()
        return torch.cat([p.detach().cpu().flatten() for p in made.parameters])

    # Noise that is not the same would move each by 0.1 × 1 / 72 at every step.
    assert torch.allclose(trained(), trained(), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("clipping", ["flat", "adaptive"])
def test_steps_leave_nothing_behind_in_memory(clipping: str, device: torch.device) -> None:
    made = trainer(small(privacy_clipping=clipping, training_optimizer="adam", training_ema=0.99), device)
    held = []
    for _ in range(4):
        for _ in range(10):
            made.step()
        held.append(bytes_held(device))
    assert held[1:] == held[:1] * 3


def bytes_held(device: torch.device) -> int:
    """By tensors."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()
    alive = [thing.untyped_storage() for thing in gc.get_objects() if type(thing) in {Tensor, nn.Parameter}]
    return sum({storage.data_ptr(): storage.nbytes() for storage in alive}.values())


SYNC_FREE: dict[str, dict[str, Any]] = {
    "flat": {},
    "per-layer": {"privacy_clipping": "per-layer"},
    "automatic": {"privacy_clipping": "automatic"},
    "adam, average": {"training_optimizer": "adam", "training_ema": 0.99},
    "secure noise": {"runtime_secure_noise": True},
    "compiled": {"runtime_compile": True},
    "vmap": {"runtime_engine": "vmap"},
    "without logs": {"runtime_private_logs": False},
    "views": {
        "model_kind": "cnn",
        "model_hidden": (4,),
        "model_activation": "tanh",
        "training_augment": "shift",
        "training_views": 2,
    },
    "transformer": {"model_kind": "transformer", "model_hidden": (16,)},
}  # not adaptive clipping: the next clip norm is a number in Python, made from what a step released


@pytest.mark.parametrize("name", SYNC_FREE)
def test_no_step_makes_the_host_wait_for_the_device(name: str, device: torch.device) -> None:
    """So that the next step is prepared while this one is computed. On the CPU: that such steps can be taken."""
    words = Split(torch.randint(WORDS, (300, 5)), torch.randint(CLASSES, (300,))) if name == "transformer" else None
    made = trainer(small(**SYNC_FREE[name]), device, words)
    for _ in range(4):  # with all of the first steps in which an example is done again, whose answer is waited for
        made.step()
    with host_may_not_wait(device):
        for _ in range(3):
            made.step()
    assert made.steps == 7


@contextlib.contextmanager
def host_may_not_wait(device: torch.device) -> Iterator[None]:
    """Inside, a copy or a question that waits for a CUDA device raises RuntimeError."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def dropping(shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Dropout(0.4), nn.Linear(16, classes))


@pytest.mark.parametrize("engine", ["book-keeping", "vmap"])
def test_a_seed_repeats_a_run_with_dropout_resumed_or_not_here(
    tmp_path: Path, device: torch.device, engine: str
) -> None:
    recipe = small(
        model_kind="test_gpu:dropping", training_steps=9, training_compare_nonprivate=False,
        runtime_checkpoint_every=4, runtime_engine=engine, runtime_device=device.type,
    )  # fmt: skip
    train.run(recipe, seed=3, out=tmp_path / "whole")
    happening = train.events(train.plan(recipe, seed=3), out=tmp_path / "broken")
    for event in happening:
        if isinstance(event, train.Step) and event.step == 6:
            happening.close()  # type: ignore[attr-defined]
    torch.rand(3, device=device)
    list(train.events(train.plan_resumed(tmp_path / "broken")))
    one, other = (torch.load(tmp_path / name / "model.pt", map_location="cpu") for name in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [Correlation("banded", 4), Correlation("tree")])
def test_noise_that_steps_share_is_drawn_once_more_by_the_device(
    tmp_path: Path, device: torch.device, kind: Correlation
) -> None:
    """Of a run that was broken off after step 6 of 9, whose last checkpoint is that of step 4."""
    recipe = small(
        privacy_sampling="shuffle", privacy_order="once", privacy_adjacency="zero_out", privacy_noise=kind,
        training_batch_size=400, training_steps=9, runtime_checkpoint_every=4, runtime_device=device.type,
    )  # fmt: skip
    assert train.run(recipe, seed=3, out=tmp_path / "whole").agrees
    happening = train.events(train.plan(recipe, seed=3), out=tmp_path / "broken")
    for event in happening:
        if isinstance(event, train.Step) and event.step == 6:
            happening.close()  # type: ignore[attr-defined]
    list(train.events(train.plan_resumed(tmp_path / "broken")))
    one, other = (torch.load(tmp_path / name / "model.pt", map_location="cpu") for name in ("whole", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)
