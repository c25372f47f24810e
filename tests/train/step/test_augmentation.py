"""Augmentation multiplicity: what a view is, and that an example with many of them is still one example."""

from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small

from dpplan.errors import RecipeError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models
from dpplan.train.step.augmentation import Augmentation, augmentation_for
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.trainer import Trainer

DIGITS = data.load(small().data)


def views(count: int = 3, flip: bool = True, side: int = 16, seed: int = 0) -> Augmentation:
    return Augmentation(count, flip, (2, side, side), np.random.default_rng(seed))


def recipe(**changes: Any) -> Recipe:
    return small(training_augment="shift", training_views=4, **changes)


def trainer(made: Recipe, steps: int = 3, rate: float = 0.05) -> Trainer:
    randomness = Randomness.of(0)
    net = models.build(made.model, (1, 8, 8), 10, randomness.weights)
    return Trainer(net, DIGITS.training, Phase(Gaussian(1.0), Poisson(rate), steps), made, randomness)


def test_a_view_is_the_image_moved_mirrored_at_the_border_and_flipped() -> None:
    made = views()
    images = torch.randn(5, 2, 16, 16)
    moves = made.draw(5)
    found = made.apply(images, moves)
    assert found.shape == (5, 3, 2, 16, 16)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    for i in range(5):
        for k in range(3):
            down, right, flipped = moves[i, k].tolist()
            wanted = padded[i, :, down : down + 16, right : right + 16]
            assert np.array_equal(found[i, k].numpy(), wanted[..., ::-1] if flipped else wanted)


def test_moves_are_uniform_and_flips_only_where_asked_for() -> None:
    moves = views(count=1).draw(30_000).reshape(-1, 3)
    assert torch.bincount(moves[:, 0], minlength=5).numpy() == pytest.approx([6000] * 5, rel=0.06)
    assert torch.bincount(moves[:, 2], minlength=2).numpy() == pytest.approx([15000] * 2, rel=0.05)
    assert int(views(flip=False).draw(100)[..., 2].max()) == 0


def test_views_of_what_is_no_image_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"augment=shift needs images; these examples have shape \(64,\)"):
        augmentation_for(recipe().training, torch.Size([64]), np.random.default_rng(0))
    assert augmentation_for(small().training, torch.Size([64]), np.random.default_rng(0)) is None


def test_views_do_not_change_the_claim() -> None:
    assert recipe().claim(1437) == small().claim(1437)
    made, drawn = trainer(recipe()), torch.arange(10)
    made.augmentation = augmentation_for(recipe().training, torch.Size([1, 8, 8]), Randomness.of(0).views)
    whole = made._clipped_sum(drawn)
    made.augmentation = augmentation_for(recipe().training, torch.Size([1, 8, 8]), Randomness.of(0).views)
    rest = made._clipped_sum(drawn[:9])  # the same views for the nine that are left
    assert whole.sensitivity == 1.0
    assert 0.5 < float((whole.total - rest.total).norm()) <= 1.0
    assert whole.facts.drawn == 10


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("engine", ["book-keeping", "vmap"])
def test_physical_batch_and_engine_change_nothing(engine: str) -> None:
    def trained(**changes: Any) -> torch.Tensor:
        made = trainer(recipe(**changes))
        for _ in range(3):
            made.step()
        return torch.cat([p.detach().flatten() for p in made.parameters])

    assert torch.allclose(trained(), trained(runtime_physical_batch=7, runtime_engine=engine), atol=1e-5)


def test_an_empty_batch_has_no_views() -> None:
    made = trainer(recipe(), rate=1e-9)
    assert made.step().drawn == 0
    assert made.empty_batches == 1


def test_one_view_is_an_example_like_any_other() -> None:
    made = trainer(small(training_augment="flip-shift"))
    assert made.step().drawn > 0
