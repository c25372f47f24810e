"""A search in words and as JSON: what it will do, and what it released. Of all trials together it says nothing."""

import platform
from collections.abc import Iterator, Sequence
from typing import Any

import dpplan
from dpplan.checks import show
from dpplan.recipe import Recipe
from dpplan.render import plan_rows, to_json
from dpplan.render.bound_text import Paint, figure, headline, unpainted
from dpplan.render.plan_rows import row, sentence
from dpplan.tuning.search_plan import SearchPlan

PRIVATE = (
    "how many trials there are, their times, the losers and the seed: not shown and not kept. Whoever sees this "
    "machine work sees how long it takes, which tells about as much as the number of trials"
)
NONE = "none: no trial was made. That is an answer of the search; another search costs as much again"
FAILED = "the best trial diverged or disagreed with its plan: no model. Another search costs as much again"
SEED = "a search with a seed can be repeated and protects nobody"


def plan_lines(plan: SearchPlan, seed: int | None, paint: Paint = unpainted) -> Iterator[str]:
    """What the search costs, then all it rests on."""
    yield headline(plan.spent, plan.delta.value, paint)
    yield ""
    yield row("one trial", f"ε ≤ {figure(plan.trial)}", "by itself, with its score")
    yield row("recipe", plan.recipe.name, f"{len(plan.settings)} settings, all with the same chance")
    for key, values in _values(plan):
        yield from sentence(key, ", ".join(values))
    yield from plan_rows.plan_rows(plan.plan, (plan.delta,))
    yield from sentence("score", plan.score.words)
    yield from sentence("private", PRIVATE)
    if seed is not None:
        yield from sentence("seed", SEED)


def _values(plan: SearchPlan) -> Iterator[tuple[str, list[str]]]:
    for key in plan.settings[0]:
        yield f"{key[1]}", list(dict.fromkeys(setting[key] for setting in plan.settings))


def ending_lines(content: dict[str, Any], folder: str) -> Iterator[str]:
    """What was released."""
    won = content["winner"]
    if won is None:
        yield from sentence("released", NONE)
    elif won["score"] is None:
        yield from sentence("released", FAILED)
    else:
        yield row("released", "the best trial", "and nothing else")
        for key, value in won["setting"].items():
            yield row(key.partition(".")[2], value, key)
        yield from sentence("score", f"{show(round(won['score'], 6))}: {won['score_is']}")
    yield row("report", f"{folder}/report.json")
    yield f"next: dpplan verify {folder}"


def document(plan: SearchPlan, chosen: Recipe | None, won: dict[str, Any] | None, seeded: bool,
             warnings: Sequence[str] = ()) -> dict[str, Any]:  # fmt: skip
    """The report. chosen: the recipe of the winner; that of the search where there is none."""
    recipe = chosen or plan.recipe
    result = to_json.spent_epsilon(plan.delta, plan.spent)
    return to_json.document(
        "tune",
        plan.plan,
        [result],
        warnings,
        trial=to_json.figure(plan.trial),
        grid={".".join(key): values for key, values in zip(plan.settings[0], _lists(plan), strict=True)},
        score=plan.score.words,
        winner=won,
        recipe={"name": recipe.name, "sha256": recipe.sha256, **recipe.content},
        private=PRIVATE,
        seeded=seeded,
        software={"dpplan": dpplan.__version__, "python": platform.python_version()},
    )


def _lists(plan: SearchPlan) -> list[list[str]]:
    return [values for _, values in _values(plan)]
