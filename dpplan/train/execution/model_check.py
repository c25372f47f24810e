"""What can be known to be wrong with a recipe's model before it is trained."""

import torch
from torch import nn

from dpplan.errors import RecipeError
from dpplan.recipe import Recipe
from dpplan.train import models
from dpplan.train.clipping import as_compiled, choose
from dpplan.train.clipping.engine_choice import NOTHING_TO_TRAIN, glance
from dpplan.train.clipping.isolation.refusal_messages import reaching
from dpplan.train.clipping.isolation.training_examples import holding
from dpplan.train.clipping.model_trial import is_large
from dpplan.train.data import Dataset
from dpplan.train.step.randomness import Randomness


def model_problems(recipe: Recipe, dataset: Dataset, followed: bool = False) -> tuple[str, ...]:
    """Why an example's influence on this model is not bounded, or its gradient cannot be had; () when neither is so.

    The model is built and tried as a run does it, but on the CPU and with first weights of its own; of the examples
    only shape, type and number of classes are looked at, and whether a model of the user's reaches them. Raises
    RecipeError when model and examples do not fit.

    followed: a run follows at once, which tries its own model whole before its first step, so that a large one need not
    be tried twice.
    """
    data = dataset.training
    weights = Randomness.of(0).weights  # any will do: they are thrown away
    model = models.build(recipe.model, data.inputs.shape[1:], dataset.classes, weights, dataset.words)
    if not any(p.requires_grad for p in model.parameters()):
        raise RecipeError(f"model.kind={recipe.model.kind} {NOTHING_TO_TRAIN}")
    example = torch.zeros_like(data.inputs[0], device="cpu")
    try:
        apart_from_data(recipe, model, dataset)
        runtime, views = recipe.runtime, max(recipe.training.views, data.views)
        if followed and not runtime.compile and is_large(model, example):
            scores = glance(model, example, views)
        else:
            chosen = choose(model, runtime.engine, 1, example, views, runtime.precision == "bfloat16")
            scores = chosen.scores
            if runtime.compile:
                as_compiled(chosen)
    except RecipeError as error:
        return error.problems
    enough(recipe, scores, dataset.classes)
    return ()


def apart_from_data(recipe: Recipe, model: nn.Module, dataset: Dataset) -> None:
    """Raises RecipeError for a model of the user's that reaches training examples."""
    if ":" not in recipe.model.kind:
        return
    if names := holding(model, dataset.training.inputs, dataset.scaling):
        raise RecipeError(f"model.kind={recipe.model.kind} {reaching(names)}")


def enough(recipe: Recipe, scores: int, classes: int) -> None:
    """Raises RecipeError for a model that gives an example fewer scores than there are classes."""
    if scores < classes:
        many = f"{scores} score{'s' * (scores != 1)}"
        raise RecipeError(f"model.kind={recipe.model.kind} gives each example {many}, and there are {classes} classes.")
