"""Models: shapes, parameters, the engine each gets, and what does not fit."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small

from dpplan import train
from dpplan.errors import RecipeError
from dpplan.recipe import Model, schema
from dpplan.train import models
from dpplan.train.clipping import choose

IMAGE, ROW, WORDS = (1, 28, 28), (64,), (10,)
CNN = Model(kind="cnn", hidden=(8, 16), activation="tanh")


def build(model: Model, shape: tuple[int, ...], words: int = 0) -> torch.nn.Module:
    return models.build(model, shape, 10, np.random.default_rng(0), words)


@pytest.mark.parametrize(
    ("model", "shape", "parameters", "engine"),
    [
        (Model(kind="logistic"), ROW, 650, "book-keeping"),
        (Model(kind="logistic"), (1, 8, 8), 650, "book-keeping"),
        (Model(kind="mlp", hidden=(64,), activation="tanh"), ROW, 4810, "book-keeping"),
        (Model(kind="mlp", hidden=(32, 16), activation="relu"), (1, 8, 8), 2778, "book-keeping"),
        (CNN, (1, 8, 8), 80 + 16 + 1168 + 32 + 640 + 10, "book-keeping"),
        (CNN, (3, 5, 1), 224 + 16 + 1168 + 32 + 800 + 10, "book-keeping"),
        (Model(kind="opacus-cnn"), IMAGE, 26_010, "book-keeping"),
        (Model(kind="tf-privacy-cnn"), IMAGE, 26_010, "book-keeping"),
        (Model(kind="lstm", hidden=(8,)), WORDS, 27 * 8 + 4 * 8 * 18 + 90, "vmap"),
        (Model(kind="transformer", hidden=(8, 8)), WORDS, 37 * 8 + 2 * 872 + 16 + 90, "book-keeping"),
    ],
)
def test_models_have_the_parameters_and_the_engine_they_should(
    model: Model, shape: tuple[int, ...], parameters: int, engine: str
) -> None:
    words = 27 if shape == WORDS else 0
    made = build(model, shape, words)
    assert sum(p.numel() for p in made.parameters()) == parameters
    inputs = torch.zeros(3, *shape, dtype=torch.int64 if words else torch.float32)
    assert made(inputs).shape == (3, 10)
    assert choose(made, "auto", 4, inputs[0]).name == engine


def test_the_transformer_attends() -> None:
    """A word elsewhere in the sentence changes what is made of the others."""
    made = build(Model(kind="transformer", hidden=(8,)), WORDS, 27)
    states = made.blocks(made.word(torch.tensor([[1] * 10, [1] * 9 + [2]])))
    assert not torch.allclose(states[0, :9], states[1, :9])


@pytest.mark.parametrize(
    ("model", "shape", "words", "said"),
    [
        (CNN, ROW, 0, r"kind=cnn looks at images; these examples have shape \(64,\)"),
        (Model(kind="opacus-cnn"), (1, 8, 8), 0, "looks at images of 14 x 14 pixels or more"),
        (Model(kind="lstm", hidden=(8,)), ROW, 0, "kind=lstm reads words"),
        (Model(kind="transformer", hidden=(8,)), (1, 8, 8), 0, "kind=transformer reads words"),
        (Model(kind="logistic"), WORDS, 27, "kind=logistic does not read words"),
    ],
)
def test_a_model_that_does_not_fit_its_examples_is_refused(
    model: Model, shape: tuple[int, ...], words: int, said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        build(model, shape, words)


def test_building_a_model_leaves_torch_s_own_generator_alone() -> None:
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    build(Model(kind="logistic"), ROW)
    assert torch.equal(torch.rand(1), wanted)


def test_a_function_of_the_user_s_own_gives_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = (
        "from torch import nn\ndef good(shape, classes): return nn.Linear(shape[0], classes)\ndef bad(*_): return 5\n"
    )
    (tmp_path / "own_model_for_test.py").write_text(source, encoding="utf-8")
    assert build(Model(kind="own_model_for_test:good"), ROW)(torch.zeros(2, 64)).shape == (2, 10)
    with pytest.raises(RecipeError, match="returned int, not a torch module"):
        build(Model(kind="own_model_for_test:bad"), ROW)


def test_every_word_that_a_recipe_may_use_is_known_here() -> None:
    assert set(models.ACTIVATIONS) == set(schema.ACTIVATIONS)
    assert set(models.LAYERS) | {"lstm", "transformer"} == set(schema.KINDS)


@pytest.mark.sweep(slow=("names",))
@pytest.mark.parametrize(
    ("source", "model", "floor"),
    [
        ("blobs", {"kind": "logistic"}, 0.9),
        pytest.param("linear", {"kind": "logistic"}, 0.75, marks=pytest.mark.slow),
        pytest.param("breast-cancer", {"kind": "logistic"}, 0.8, marks=pytest.mark.slow),
        ("digits", {"kind": "cnn", "hidden": (8,), "activation": "tanh"}, 0.3),
        ("names", {"kind": "transformer", "hidden": (16,)}, 0.5),
        pytest.param("names", {"kind": "lstm", "hidden": (16,)}, 0.3, marks=pytest.mark.slow),
    ],
)
def test_made_and_bundled_data_can_be_learnt_privately(
    source: str, model: dict[str, Any], floor: float, tmp_path: Path
) -> None:
    recipe = small(
        data_source=source,
        **{f"model_{key}": value for key, value in model.items()},
        training_steps=40,
        training_optimizer="adam",
        training_learning_rate=0.03,
        training_compare_nonprivate=False,
        privacy_noise_multiplier=1.0,
    )
    report = train.run(recipe, seed=0, out=tmp_path / "run")
    assert report.agrees
    assert report.held_out_accuracy is not None
    assert report.held_out_accuracy >= floor
