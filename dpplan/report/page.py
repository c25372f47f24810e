"""What is known of a plan or a run, gathered for a page: from its file, accounted anew, with what was stated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dpplan
from dpplan import accounting, risk, verify
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE
from dpplan.curve import beginning
from dpplan.errors import ReportError
from dpplan.plan import Plan
from dpplan.recipe import Recipe
from dpplan.statement import Statement
from dpplan.units import unit_words as plan_words

PLACES, FIRST_PLACES = 24, 4  # at which ε is drawn over the steps, and in its steep beginning, each half of the next
REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Page:
    """name: of the file. bound: ε at `delta` of `plan`, accounted by this version. claimed: what the file says.

    standing: of that claim (verify); "" of a plan that nothing was claimed of. over: (steps, ε) as the plan goes on.
    run: a run's report as it was written, {} of a plan. recipe: the recipe's text, "" without one.
    """

    name: str
    plan: Plan
    delta: float
    bound: Bound
    assessment: risk.Assessment
    over: tuple[tuple[int, float], ...]
    statement: Statement
    claimed: float | None = None
    standing: str = ""
    run: Mapping[str, Any] | None = None
    recipe: str = ""
    sha256: str = ""
    version: str = dpplan.__version__

    @property
    def title(self) -> str:
        return self.statement["name"] if self.statement.has("name") else self.name

    @property
    def spent_steps(self) -> int:
        return self.plan.steps

    @property
    def verdict(self) -> Sequence[Mapping[str, Any]]:
        """Plan against run, where each row rests on what is covered by ε."""
        return [] if self.run is None else list(self.run.get("verdict", []))

    @property
    def private(self) -> Mapping[str, Any]:
        """What was computed from examples without noise."""
        return {} if self.run is None else dict(self.run.get("not_covered_by_epsilon", {}))


def gather(source: Path, stated: Mapping[str, str], delta: float | None = None) -> Page:
    """The page of a run (its folder or report.json) or of a plan (what a command printed with --json).

    stated: wins over the recipe's own statement. Raises ReportError for a file that holds no figure of a plan,
    RecipeError for a statement that is none, and what accounting and risk raise.
    """
    document = verify.read(source)
    usable = [each for each in document.claims if each.plan is not None and not each.broken]
    chosen = next((each for each in reversed(usable) if each.quantity == "epsilon"), None)
    if chosen is None or chosen.plan is None:
        raise ReportError(f"{source}: holds no ε of a plan, so there is nothing to report on.")
    at = chosen.at if delta is None else delta
    raw = _raw(source)
    trained = raw if raw.get("schema", "").startswith("dpplan.train/") else None
    recipe = raw.get("recipe") if trained else None
    own = (recipe or {}).get("statement") or {}
    statement = Statement({**{key: text for key, text in own.items() if text}, **stated})
    standing = str(verify.verify(chosen, lambda _: None, proofs=False).standing) if delta is None else ""
    text = _recipe_text(source) if trained else ""
    name = str((recipe or {}).get("name") or source.stem)
    page = _page(name, chosen.plan, at, statement)
    return Page(
        **page, claimed=chosen.value if delta is None else None, standing=standing, run=trained,
        recipe=text, sha256=str((recipe or {}).get("sha256", "")),
    )  # fmt: skip


def of_recipe(recipe: Recipe, examples: int, stated: Mapping[str, str], delta: float | None = None) -> Page:
    """The page of a plan that has not run."""
    claim = recipe.claim(examples)
    own = {key: text for key, text in recipe.content["statement"].items() if text}
    at = claim.delta.value if delta is None else delta
    page = _page(recipe.name, claim.plan, at, Statement({**own, **stated}))
    return Page(**page, recipe=recipe.text, sha256=recipe.sha256)


def of_plan(name: str, plan: Plan, stated: Mapping[str, str], delta: float) -> Page:
    """The page of a plan that comes without a recipe."""
    return Page(**_page(name, plan, delta, Statement(stated)))


def _page(name: str, plan: Plan, delta: float, statement: Statement) -> dict[str, Any]:
    bound = accounting.epsilon(plan, delta)
    question = risk.AttackQuestion(stated=(bound.value, delta), mu_delta=delta)
    return {
        "name": name,
        "plan": plan,
        "delta": delta,
        "bound": bound,
        "assessment": risk.assess(risk.source_of_plan(plan), question),
        "over": tuple(_over(plan, delta)),
        "statement": statement,
    }


def _over(plan: Plan, delta: float) -> list[tuple[int, float]]:
    shares = [*(0.5**halvings for halvings in range(1, FIRST_PLACES + 1)), *range(1, PLACES + 1)]
    places = sorted({max(round(plan.steps * share / PLACES), 1) for share in shares})
    return [(0, 0.0), *((steps, accounting.epsilon(beginning(plan, steps), delta).value) for steps in places)]


def _raw(source: Path) -> dict[str, Any]:
    """The file again, as it stands: verify has read it and found it sound."""
    if str(source) == "-":
        return {}
    file = source / REPORT if source.is_dir() else source
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    return content if isinstance(content, dict) else {}


def _recipe_text(source: Path) -> str:
    """The recipe beside a run's report, "" where there is none."""
    file = (source if source.is_dir() else source.parent) / "recipe.yaml"
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def unit_words(plan: Plan) -> str:
    """Who is protected, and from what comparison, in words."""
    how = "present or absent" if plan.adjacency == ADD_REMOVE else plan.adjacency.name.replace("_", " ")
    return f"one {plan_words(plan.privacy_unit, plan.max_per_user)} ({how})"
