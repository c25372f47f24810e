"""One private step: what it draws from, what it adds, what it divides by."""

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import nn

from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models
from dpplan.train.clipping import ClippedSum, VmapClipping
from dpplan.train.clipping.rules import Flat
from dpplan.train.step.noise import GaussianNoise
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.sampler import PoissonSampler
from dpplan.train.step.trainer import Trainer, piece_of

DIGITS = data.load(small().data)


def trainer(recipe: Recipe, phase: Phase, seed: int | None = 0) -> tuple[Trainer, nn.Module]:
    randomness = Randomness.of(seed)
    model = models.build(recipe.model, (1, 8, 8), 10, randomness.weights)
    return Trainer(model, DIGITS.training, phase, recipe, randomness), model


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


def test_the_accounted_objects_are_the_ones_that_draw() -> None:
    claim = small().claim(DIGITS.training.examples)
    made, _ = trainer(small(), claim.phase)
    assert isinstance(made.sampler, PoissonSampler)
    assert made.sampler.sampling is claim.phase.sampling
    assert made.sampler.examples == claim.plan.examples
    assert made.noise.mechanism is claim.phase.mechanism


def test_a_step_is_the_noisy_clipped_sum_over_the_public_constant() -> None:
    phase = Phase(Gaussian(1.3), Poisson(0.1), 1)
    recipe = small(privacy_clip_norm=0.5, training_learning_rate=0.25)
    made, model = trainer(recipe, phase)
    before = flat(model)
    # The same streams once more, step by step, as the definition says.
    again = Randomness.of(0)
    twin = models.build(recipe.model, (1, 8, 8), 10, again.weights)
    drawn = torch.from_numpy(PoissonSampler(phase.sampling, 1437, again.sampling).draw())
    assert len(drawn) != round(0.1 * 1437)
    inputs, targets = DIGITS.training.inputs[drawn], DIGITS.training.targets[drawn]
    clipped = VmapClipping(twin, 64).clipped_sum(inputs, targets, Flat(0.5))
    noisy = GaussianNoise(phase.mechanism, again.noise).add(clipped)
    made.step()
    assert torch.allclose(flat(model), before - 0.25 * (noisy / 143.7).float(), atol=1e-7)


def test_an_empty_batch_is_a_step_of_noise_alone() -> None:
    phase = Phase(Gaussian(2.0), Poisson(1e-9), 3)
    made, model = trainer(small(training_learning_rate=1e-9), phase)
    before = flat(model)
    facts = [made.step() for _ in range(3)]
    assert (made.steps, made.empty_batches) == (3, 3)
    assert sum(float(fact.drawn) for fact in facts) == 0
    # Divided by the public 1437e-9 and multiplied by the rate of 1e-9: noise of std 2 / 1437 per coordinate.
    moved = (flat(model) - before).numpy()
    assert np.count_nonzero(moved) == moved.size
    assert moved.std() == pytest.approx(2.0 * np.sqrt(3) / 1437, rel=0.2)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("optimizer", [{"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "adam"}])
def test_a_seed_repeats_a_run_and_no_seed_does_not(optimizer: dict[str, object]) -> None:
    recipe = small(**{f"training_{key}": value for key, value in optimizer.items()})
    phase = Phase(Gaussian(1.0), Poisson(0.05), 3)

    def trained(seed: int | None) -> torch.Tensor:
        made, model = trainer(recipe, phase, seed)
        for _ in range(3):
            made.step()
        return flat(model)

    assert torch.equal(trained(3), trained(3))
    assert not torch.equal(trained(3), trained(4))
    assert not torch.equal(trained(None), trained(None))


def test_streams_of_one_seed_are_different_streams() -> None:
    one = Randomness.of(0)
    assert len({float(rng.random()) for rng in (one.sampling, one.noise, one.weights)}) == 3


def test_parameters_that_are_not_finite_are_noticed() -> None:
    made, model = trainer(small(), Phase(Gaussian(1.0), Poisson(0.05), 3))
    assert made.finite()
    with torch.no_grad():
        next(model.parameters())[0, 0] = float("inf")
    assert not made.finite()


def test_a_physical_batch_beyond_the_data_takes_no_more_memory_than_the_data() -> None:
    made, _ = trainer(small(runtime_physical_batch=10**12), Phase(Gaussian(1.0), Poisson(0.05), 3))
    assert float(made.step().drawn) > 0


@pytest.mark.parametrize(
    ("asked", "expected", "most", "held", "size"),
    [
        (7, 100, 1e9, 1437, 7),
        (7, 100, 2.5, 5, 5),  # what is asked for counts, but there are no more examples
        (None, 100, 1e9, 1437, 120),  # two deviations of 10 more than expected
        (None, 100, 1e9, 50, 50),
        (None, 100, 30.5, 1437, 31),  # as memory has it
        (None, 100, 0.01, 1437, 1),
        (None, 0.5, 1e9, 0, 1),  # a process without examples has a piece all the same
    ],
)
def test_pieces_hold_nearly_every_batch_where_memory_allows(
    asked: int | None, expected: float, most: float, held: int, size: int
) -> None:
    assert piece_of(asked, expected, most, held) == size


@pytest.mark.parametrize("clipping", ["per-layer", "automatic", "adaptive"])
def test_every_way_of_clipping_trains_within_the_same_claim(clipping: str) -> None:
    phase = Phase(Gaussian(1.0), Poisson(0.1), 20)
    recipe = small(privacy_clipping=clipping)
    assert recipe.claim(1437).epsilon == small().claim(1437).epsilon
    made, _ = trainer(recipe, phase)
    first, *_, last = (made.step() for _ in range(20))
    assert float(last.loss) / last.drawn < float(first.loss) / first.drawn
    assert made.finite()
    assert made.rule.sensitivity == {"adaptive": 1.01 * made.rule.clip_norm}.get(clipping, 1.0)
    assert (made.rule.clip_norm == 1.0) == (clipping != "adaptive")


def test_adaptive_clipping_follows_the_gradients_and_nothing_leaks_past_the_noise() -> None:
    """The clip norm of a step is a function of what earlier steps released: the same noisy numbers, the same norm."""
    phase = Phase(Gaussian(1.0), Poisson(0.2), 30)
    made, _ = trainer(small(privacy_clipping="adaptive", privacy_clip_norm=1e-3), phase)
    released: list[torch.Tensor] = []
    rule, noise = made.rule, made.noise

    class Listening:
        mechanism = noise.mechanism

        def add(self, clipped: ClippedSum) -> torch.Tensor:
            released.append(noise.add(clipped))
            return released[-1]

    made.noise = Listening()  # type: ignore[assignment]
    for _ in range(30):
        made.step()
    for noisy in released:
        rule = rule.after(noisy[650:], made.sampler.expected_batch)
    assert made.rule == rule
    assert made.rule.clip_norm > 0.01


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("model", [{"kind": "logistic"}, {"kind": "mlp", "hidden": (8,), "activation": "tanh"}])
def test_the_engine_changes_nothing_that_is_computed(model: dict[str, object]) -> None:
    phase = Phase(Gaussian(1.0), Poisson(0.05), 5)
    changes = {f"model_{key}": value for key, value in model.items()}

    def trained(engine: str) -> torch.Tensor:
        made, net = trainer(small(runtime_engine=engine, **changes), phase)
        for _ in range(5):
            made.step()
        assert made.clipping.name == engine
        return flat(net)

    assert torch.allclose(trained("book-keeping"), trained("vmap"), atol=1e-5)
