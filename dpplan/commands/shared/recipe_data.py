"""What a command needs to know of a recipe besides its text: how many examples it trains on, and its model."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dpplan import lint
from dpplan.checks import Problems
from dpplan.errors import MissingExtra
from dpplan.recipe import Recipe


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """examples: the training examples. model: what came of building it."""

    examples: int
    model: lint.ModelFindings


def training_examples(recipe: Recipe, given: Any) -> int:
    """How many examples the recipe trains on: as given, or counted from its data.

    Raises PlanError when what was given is no number of examples, MissingExtra when the data are needed and what reads
    them is not installed.
    """
    if given is not None:
        with Problems() as problems:
            problems.whole("n", given, try_="It is the number of training examples of the recipe.")
        return int(given)
    with needs_torch("the number of training examples, unless --n gives it,"):
        from dpplan.train import data

        return data.load(recipe.data).training.examples


def known(recipe: Recipe, given: Any) -> RecipeFacts:
    """The number of training examples, and the model when the data can be had; not looked at when n is given."""
    if given is not None:
        return RecipeFacts(training_examples(recipe, given), lint.ModelFindings(unseen="--n stands in for the data"))
    with needs_torch("the number of training examples, unless --n gives it,"):
        from dpplan.train import data
        from dpplan.train.execution.model_check import model_problems

        loaded = data.load(recipe.data)
        return RecipeFacts(loaded.training.examples, lint.ModelFindings(problems=model_problems(recipe, loaded)))


@contextlib.contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Names the extra when torch or what reads the data is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"torch", "sklearn"}:
            raise MissingExtra(what, "train") from None
        raise
