"""Data and models: fixed splits, public preprocessing, shapes."""

import numpy as np
import pytest
import torch

from dpplan.errors import RecipeError
from dpplan.recipe import Data, Model, blocks
from dpplan.train import data, models


def test_digits_are_split_alike_every_time_and_by_public_constants() -> None:
    first, second = data.load(Data(source="digits")), data.load(Data(source="digits"))
    assert (first.training.examples, first.held_out.examples, first.classes) == (1437, 360, 10)
    assert torch.equal(first.training.inputs, second.training.inputs)
    assert first.training.inputs.dtype == torch.float32
    whole = torch.cat([first.training.inputs, first.held_out.inputs])
    assert (float(whole.min()), float(whole.max())) == (0.0, 1.0)
    assert torch.equal(whole * 16, (whole * 16).round())


def test_another_split_seed_is_another_split() -> None:
    first, second = (data.load(Data(source="digits", split_seed=seed)) for seed in (0, 1))
    assert not torch.equal(first.held_out.inputs, second.held_out.inputs)


def test_a_split_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(RecipeError, match="leaves none of the 1797 examples"):
        data.load(Data(source="digits", held_out=0.9999))


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (Model(kind="logistic"), 650),
        (Model(kind="mlp", hidden=(64,), activation="tanh"), 4810),
        (Model(kind="mlp", hidden=(32, 16), activation="relu"), 2778),
    ],
)
def test_models_have_the_parameters_they_should(model: Model, parameters: int) -> None:
    made = models.build(model, 64, 10, np.random.default_rng(0))
    assert sum(p.numel() for p in made.parameters()) == parameters
    assert made(torch.zeros(3, 64)).shape == (3, 10)


def test_building_a_model_leaves_torch_s_own_generator_alone() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    models.build(Model(kind="logistic"), 64, 10, np.random.default_rng(0))
    assert torch.equal(torch.rand(1), wanted)


def test_every_word_that_a_recipe_may_use_is_known_here() -> None:
    assert set(data.SOURCES) == set(blocks.SOURCES)
    assert set(models.ACTIVATIONS) == set(blocks.ACTIVATIONS)
