"""What a recipe says of its run, for the rules of `lint`."""

from typing import Any

from dpplan import lint
from dpplan.plan import Plan, Settings
from dpplan.recipe import Recipe
from dpplan.recipe.schema import MADE, SOURCES

OWN = ("file", "images")


def context_of(
    recipe: Recipe,
    examples: int,
    *,
    plan: Plan | None = None,
    facts: lint.DataFacts | None = None,
    **more: Any,
) -> lint.LintContext:
    """The run of this recipe on so many training examples.

    plan: the recipe's, where it is known already. facts: what was seen of the data. more: fields of
    `lint.LintContext` that no recipe tells: claim, loop, model, earlier, trials. Raises what `Recipe.plan` raises,
    except where the batch exceeds the examples: that is for a rule to report.
    """
    privacy, training = recipe.privacy, recipe.training
    settings = Settings(
        noise_multiplier=privacy.noise_multiplier,
        steps=training.steps,
        examples=examples,
        batch_size=training.batch_size,
        epochs=training.epochs,
    )
    if plan is None and training.batch_size <= examples:
        plan = recipe.plan(examples)
    return lint.LintContext(
        settings=settings,
        plan=plan,
        delta=recipe.delta(examples),
        recipe=recipe.name,
        sha256=recipe.sha256,
        data=_data(recipe, facts or lint.DataFacts()),
        target=privacy.target_epsilon,
        **more,
    )


def silence_of(recipe: Recipe) -> dict[str, str]:
    """Code -> reason, from the recipe's check block."""
    return dict(recipe.check.silence or {})


def _data(recipe: Recipe, facts: lint.DataFacts) -> lint.DataUse:
    source = recipe.data.source
    named = source in SOURCES
    kind: lint.Kind = "own" if not named or source in OWN else "made" if source in MADE else "public"
    return lint.DataUse(
        source=source,
        kind=kind,
        standardized=recipe.data.standardize is not None,
        prepared=not named,
        nonprivate_model=recipe.training.compare_nonprivate,
        facts=facts,
    )
