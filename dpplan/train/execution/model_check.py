"""What can be known to be wrong with a recipe's model before it is trained."""

import torch

from dpplan.errors import RecipeError
from dpplan.recipe import Recipe
from dpplan.train import models
from dpplan.train.clipping import as_compiled, choose
from dpplan.train.clipping.engine_choice import glance
from dpplan.train.clipping.model_trial import is_large
from dpplan.train.data import Dataset
from dpplan.train.step.randomness import Randomness


def model_problems(recipe: Recipe, dataset: Dataset, followed: bool = False) -> tuple[str, ...]:
    """Why an example's influence on this model is not bounded, or its gradient cannot be had; () when neither is so.

    The model is built and tried as a run does it, but on the CPU and with first weights of its own; of the examples
    only shape, type and number of classes are looked at. Raises RecipeError when model and examples do not fit.

    followed: a run follows at once, which tries its own model whole before its first step, so that a large one need not
    be tried twice.
    """
    data = dataset.training
    weights = Randomness.of(0).weights  # any will do: they are thrown away
    model = models.build(recipe.model, data.inputs.shape[1:], dataset.classes, weights, dataset.words)
    example = torch.zeros_like(data.inputs[0], device="cpu")
    try:
        runtime, views = recipe.runtime, recipe.training.views
        if followed and not runtime.compile and is_large(model, example):
            glance(model, example, views)
            return ()
        chosen = choose(model, runtime.engine, 1, example, views, runtime.precision == "bfloat16")
        if runtime.compile:
            as_compiled(chosen)
    except RecipeError as error:
        return error.problems
    return ()
