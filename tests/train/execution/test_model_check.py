"""What is found wrong with a model before it is trained."""

import dataclasses
import textwrap
from pathlib import Path

import pytest
from small_recipe import small

from dpplan import train
from dpplan.errors import RecipeError
from dpplan.recipe import Model
from dpplan.train import data
from dpplan.train.clipping import model_trial
from dpplan.train.execution.model_check import model_problems

MODULE = """\
    from torch import nn

    class Minus(nn.Module):
        def forward(self, x):
            return x - x.mean(0)

    def normed(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, classes))

    def centred(shape, classes):
        return nn.Sequential(nn.Flatten(), Minus(), nn.Linear(64, classes))

    def grouped(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GroupNorm(2, 8), nn.Linear(8, classes))
"""


def problems_of(kind: str) -> tuple[str, ...]:
    recipe = small(model_kind=kind)
    return model_problems(recipe, data.load(recipe.data))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inspected.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_model_that_lets_no_example_see_another_has_no_problems(mine: None) -> None:
    assert problems_of("logistic") == ()
    assert problems_of("inspected:grouped") == ()


def test_batch_normalisation_is_named_with_its_layer(mine: None) -> None:
    (problem,) = problems_of("inspected:normed")
    assert problem.startswith("model: layer '2' is a BatchNorm1d")


def test_mixing_that_no_layer_is_named_for_is_found_by_trying(mine: None) -> None:
    (problem,) = problems_of("inspected:centred")
    assert "scores an example differently when others are in its batch" in problem


def test_a_model_that_does_not_fit_the_examples_is_a_mistake_in_the_recipe() -> None:
    recipe = small()
    words = dataclasses.replace(recipe, model=Model(kind="lstm", hidden=(8,)))
    with pytest.raises(RecipeError, match=r"model\.kind=lstm reads words"):
        model_problems(words, data.load(recipe.data))


def test_a_large_model_is_only_glanced_at_where_the_run_follows_that_tries_it(
    mine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trial, "LARGE", 0)
    recipe = small(model_kind="inspected:centred")
    whole = data.load(recipe.data)
    assert model_problems(recipe, whole) != ()
    assert model_problems(recipe, whole, followed=True) == ()
    with pytest.raises(RecipeError, match="scores an example differently when others are in its batch"):
        train.run(recipe)
    normed = small(model_kind="inspected:normed")
    (problem,) = model_problems(normed, whole, followed=True)
    assert "is a BatchNorm1d" in problem
