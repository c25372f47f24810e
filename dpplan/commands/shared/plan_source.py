"""The plan in a file that is named: a recipe, the folder of a run, its report, or the JSON of a command."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.errors import PlanError
from dpplan.plan import Plan

if TYPE_CHECKING:
    from dpplan.verify import Document


def plan_of_file(source: Path, delta: Any, examples: Any, claimed: bool = True) -> tuple[Plan, float, list[str]]:
    """The plan, the δ it is judged at (the one given, else its own), and warnings. examples: of a recipe, as typed.
    claimed: whether what is computed of it is a claim of what ran, and not a question to that claim.

    Raises PlanError where that is said of a source that names its own, and where it holds no plan of a claim: none that
    is claimed of a run that an audit found wrong."""
    if source.suffix.lower() in {".yaml", ".yml"}:
        from dpplan import recipe
        from dpplan.commands.shared import recipe_data

        read = recipe.load(source)
        claim = read.claim(recipe_data.training_examples(read, examples))
        typed = [recipe_data.typed_n(claim.plan.examples)] if recipe_data.as_typed(read, examples) else []
        return claim.plan, float(claim.delta.value if delta is None else delta), typed
    from dpplan.commands.shared import recorded_runs
    from dpplan.verify.recorded_claim import FOUND

    if examples is not None:
        raise PlanError(f"n is for a recipe: {source} names its own. Leave --n out.")
    document = recorded_runs.checked(source, also="a recipe, whose name ends in .yaml")
    name = [str(source)]
    told_of = list(recorded_runs.doubted(name, refused=name if claimed else ()))
    if claimed and document.violations:
        raise PlanError([*recorded_runs.violated(name), *told_of])
    first = document.only_one(tuple(claim for claim in document.safe if not claim.broken), delta)
    if first is None or first.plan is None:
        if broken := next((claim.broken for claim in document.claims if claim.broken), ""):
            raise PlanError(
                f"{source}: no figure of it holds: {broken}. `dpplan verify {source}` shows each claim; what the plan "
                "would cost without is told of its recipe."
            )
        raise PlanError(f"{source}: holds no figure of a plan that ran. Name a report.json, or the folder of a run.")
    doubts = [each for each in first.doubts if each not in (*document.unsure, FOUND)]
    at = first.at if first.quantity == "epsilon" else first.value
    return first.plan, float(at if delta is None else delta), [*doubts, *_early(document, delta), *told_of]


def _early(document: "Document", delta: float | None) -> Iterator[str]:
    """Of a run that ended early: what is judged, and the smaller figure with its condition."""
    from dpplan import verify

    if told := verify.both_figures(document, delta):
        yield f"{document.name}: {told}. The planned one is judged."
