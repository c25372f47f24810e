"""What a command needs to know of a recipe besides its text: how many examples it trains on, and its model."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from dpplan import lint
from dpplan.checks import Problems, show
from dpplan.errors import MissingExtra
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import Recipe
from dpplan.recipe.schema import MADE, MADE_EXAMPLES, WORDS
from dpplan.recipe.user_keys import drawn_whole

BUNDLED_EXAMPLES = {"digits": 1797, "breast-cancer": 569}  # of the sets that come with scikit-learn


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """examples: the training examples, or the users where they are drawn whole. model: what came of building it.

    data: what was seen of them. typed: whether their number was, and is not known of the data.
    """

    examples: int
    model: lint.ModelFindings
    data: lint.DataFacts = field(default_factory=lint.DataFacts)
    typed: bool = False


def training_examples(recipe: Recipe, given: Any) -> int:
    """How many examples the recipe trains on: as given, or counted from its data.

    Raises PlanError when what was given is no number of examples, or not that of data whose size is known unread;
    MissingExtra when the data are needed and what reads them is not installed.
    """
    if given is not None:
        with Problems() as problems:
            if problems.whole("n", given, try_="It is the number of training examples of the recipe."):
                problems.found += _contradictions(recipe, int(given))
        return int(given)
    if (count := stated_examples(recipe)) is not None:
        return count
    with needs_torch("the number of training examples", "--n"):
        from dpplan.train import data

        return data.load_for(recipe).training.units


def known(recipe: Recipe, given: Any) -> RecipeFacts:
    """The number of training examples, and the model when the data can be had; not looked at when n is given."""
    if given is not None:
        unseen = lint.ModelFindings(unseen="--n stands in for the data")
        return RecipeFacts(training_examples(recipe, given), unseen, typed=as_typed(recipe, given))
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
    return examples_unread(recipe) if recipe.data.source in MADE else None


def examples_unread(recipe: Recipe) -> int | None:
    """How many examples a recipe trains on, where that is known without reading any: of made-up ones, and of sets that
    come with scikit-learn; else None, as where users count, of whom nobody knows the number."""
    count = _all_examples(recipe)
    if count is None or recipe.data.user is not None:
        return None
    left = count - math.ceil(recipe.data.held_out * count)
    return left if left > 0 else None


def as_typed(recipe: Recipe, given: Any) -> bool:
    """Whether the number of examples rests on nothing but what was typed."""
    return given is not None and examples_unread(recipe) is None


def typed_n(n: int | None, whose: str = "") -> str:
    """The warning that says so. whose: recipe it is of, where there are several."""
    return f"{whose}n = {n}, as typed, not read from the data: the figures are those of data of that size alone."


def _all_examples(recipe: Recipe) -> int | None:
    """With those that are held out; None where only files or functions of the user tell."""
    data = recipe.data
    if data.source in MADE:
        return MADE_EXAMPLES if data.examples is None else data.examples
    return BUNDLED_EXAMPLES.get(data.source)


def _contradictions(recipe: Recipe, n: int) -> Iterator[str]:
    """What the size of the data says against this n."""
    count, left, data = _all_examples(recipe), examples_unread(recipe), recipe.data
    if left is not None and n != left:
        held_out = f", of which data.held_out={show(data.held_out)} leaves {left} to train on" if left != count else ""
        yield (
            f"n={n} is not the number of training examples of recipe {recipe.name}: data.source={data.source} has "
            f"{count}{held_out}. Leave --n out, or give --n {left}; for other data, name them in the recipe."
        )
    elif count is not None and drawn_whole(recipe.privacy) and n in (count, count - math.ceil(data.held_out * count)):
        yield (
            f"n={n} counts examples, and recipe {recipe.name} draws and clips users whole (privacy.unit: user): --n is "
            "the number of its training users. Leave --n out, or give that."
        )
    elif left is None and count is not None and n > count:
        yield f"n={n} is more than the {count} examples that data.source={data.source} has. Leave --n out."


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
