"""What a command needs to know of a recipe besides its text: how many examples it trains on, and its model."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from dpplan import lint
from dpplan.checks import Problems
from dpplan.errors import MissingExtra
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import Recipe
from dpplan.recipe.schema import MADE, MADE_EXAMPLES, WORDS


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """examples: the training examples, or the users where they are drawn whole. model: what came of building it.

    data: what was seen of them.
    """

    examples: int
    model: lint.ModelFindings
    data: lint.DataFacts = field(default_factory=lint.DataFacts)


def training_examples(recipe: Recipe, given: Any) -> int:
    """How many examples the recipe trains on: as given, or counted from its data.

    Raises PlanError when what was given is no number of examples, MissingExtra when the data are needed and what reads
    them is not installed.
    """
    if given is not None:
        with Problems() as problems:
            problems.whole("n", given, try_="It is the number of training examples of the recipe.")
        return int(given)
    if (count := stated_examples(recipe)) is not None:
        return count
    with needs_torch("the number of training examples", "--n"):
        from dpplan.train import data

        return data.load_for(recipe).training.units


def known(recipe: Recipe, given: Any) -> RecipeFacts:
    """The number of training examples, and the model when the data can be had; not looked at when n is given."""
    if given is not None:
        return RecipeFacts(training_examples(recipe, given), lint.ModelFindings(unseen="--n stands in for the data"))
    if (count := stated_examples(recipe)) is not None and _fits(recipe):
        return RecipeFacts(count, lint.ModelFindings())
    with needs_torch("the number of training examples", "--n"):
        from dpplan.train import data
        from dpplan.train.data.repeated_and_skipped import facts
        from dpplan.train.execution.model_check import model_problems

        loaded = data.load_for(recipe)
        found = lint.ModelFindings(problems=model_problems(recipe, loaded))
        return RecipeFacts(loaded.training.units, found, facts(loaded))


def stated_examples(recipe: Recipe) -> int | None:
    """How many examples a recipe trains on, where its text says it: of made-up ones; else None."""
    data = recipe.data
    if data.source not in MADE or data.user is not None:
        return None
    count = MADE_EXAMPLES if data.examples is None else data.examples
    left = count - math.ceil(data.held_out * count)
    return left if left > 0 else None


def _fits(recipe: Recipe) -> bool:
    """Whether model and made-up data are known to go together, and each layer of the model to keep examples apart."""
    data, kind = recipe.data, recipe.model.kind
    if data.standardize is not None or (data.shift, data.scale) != (0.0, 1.0) or recipe.runtime.compile:
        return False
    return kind in (("lstm", "transformer") if data.source == WORDS else ("logistic", "mlp"))


@contextlib.contextmanager
def needs_torch(what: str, option: str = "") -> Iterator[None]:
    """Names the extra when torch or what reads the data is not installed. option: what may be given in its place."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"torch", "sklearn", "joblib"}:
            raise MissingExtra(what, "train", option) from None
        raise
