"""What `dpplan check` finds in a recipe, and in the runs beside it, before it runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from dpplan import lint
from dpplan.accounting.bound import Bound
from dpplan.commands.shared import output, waiting
from dpplan.errors import RecipeError
from dpplan.plan import Plan

if TYPE_CHECKING:
    from dpplan.train import Planned

SEED_FIXED = "DP016"
NOTHING_PROVEN = "DP009"  # here no other claim is held against what is proven: the recipe makes none
TRYING = "trying the model on random inputs: whether examples stay apart, and how it is clipped"


def checked(planned: "Planned", followed: bool, search: Plan | None = None, search_spends: Bound | None = None) -> None:
    """Warns of what `dpplan check` finds in the recipe and in the runs beside it. Raises RecipeError for its errors.

    followed: whether the run follows, which tries a large model itself. search: the plan of which it is a trial.
    search_spends: what that costs.
    """
    from dpplan.recipe import lint_input
    from dpplan.render.check import remark
    from dpplan.train.data.repeated_and_skipped import facts
    from dpplan.train.execution.model_check import model_problems

    job, data, others = planned.recipe, planned.recipe.data, Path(planned.recipe.runtime.folder).resolve()
    own = planned.resumed.folder.resolve() if planned.resumed is not None else None
    with waiting.status(TRYING):
        problems = model_problems(job, planned.dataset, followed)
    run = lint_input.context_of(
        job,
        planned.dataset.training.units,
        plan=planned.claim.plan,
        loop=lint.Loop(seed=planned.seed),
        model=lint.ModelFindings(problems=problems),
        facts=facts(planned.dataset),
        search=search,
        search_spends=search_spends,
        earlier=tuple(run for run in lint.runs_in(others, data.source, data.path) if others / run.name != own),
    )
    findings = lint.check(run, lint_input.silence_of(job))
    errors = lint.failing(findings)
    # Who typed --seed has consented to a test, and the run says everywhere that it protects nobody.
    errors = tuple(one for one in errors if not (one.code == SEED_FIXED and one.where == "--seed"))
    # So has who typed --unaccounted, to a run of which nothing is proven.
    if planned.claim.unaccounted:
        errors = tuple(one for one in errors if one.code != NOTHING_PROVEN)
    rest = [one for one in lint.failing(findings, strict=True) if one not in errors]
    if planned.claim.unaccounted:
        rest = [one for one in rest if one.code != NOTHING_PROVEN]  # said first and at length by the run itself
    output.warn(remark(one) for one in sorted(rest, key=lambda one: one.code))
    notes = [one for one in findings if one.severity is lint.Severity.NOTE and one.silenced is None]
    output.note(remark(one) for one in notes)
    if errors:
        raise RecipeError([remark(one) for one in errors])
