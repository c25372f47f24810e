"""dpplan compare plans: recipes and plan files side by side."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.commands.shared import output, waiting
from dpplan.commands.shared.parameter_types import CHANCE, COUNT, FileName
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Plan
from dpplan.recipe import plan_file
from dpplan.recipe.plan_file import PlanFile

if TYPE_CHECKING:
    from dpplan.accounting.bound import Bound
    from dpplan.compare.plans import PlanEntry

HELP = """Recipes and plan files side by side: what differs between them, and which wins on privacy, compute and noise.

Each is shown with the ε at its own δ, and all are compared at the smallest δ among them. Compute is counted in
examples processed, noise as σ / batch: what is on the mean gradient, in clip norms.

\b
  dpplan compare plans recipes/digits.yaml recipes/digits-logistic.yaml
  dpplan compare plans recipes/digits-cnn.yaml recipes/digits.yaml --n 1437

Of plan files (dpplan help plans) each phase is shown by its name. Without --delta they are taken at the δ that follows
from their n. An ε for other neighbours or another unit is shown as such, and never said to be better or worse.

\b
  dpplan compare plans recipes/plans/cohorts.yaml \\
    recipes/plans/ad-measurement.yaml --delta 1e-6

Exit status: 0 done; 2 a file or the call is wrong; 3 nothing could be certified; 5 a file that is there cannot be
read.
"""


@click.command("plans", help=HELP)
@click.argument("files", type=FileName(path_type=Path), metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--n",
    "examples",
    type=COUNT,
    help="Training examples, for all; without it they are counted in the data.",
)
@click.option("--delta", type=CHANCE, help="Compare all at this δ, in place of their own.")
@output.json_option
def command(files: tuple[Path, ...], examples: Any, delta: Any, as_json: bool) -> None:
    from dpplan import compare
    from dpplan.commands.shared import unsaid_accountant
    from dpplan.recipe import Audit, Check, Runtime, StatementBlock
    from dpplan.render import compare_plans as render

    plan_files = tuple(file for file in files if plan_file.is_plan(file))
    if len(files) < 2:
        one = "plan" if plan_files else "recipe"
        raise UsageError(f"there is one {one} and nothing to compare it with. Give two or more.")
    if examples is not None and len(plan_files) == len(files):
        raise UsageError("--n is for recipes, and a plan file says its own n. Leave it out.")
    with waiting.status("reading recipes and data"):
        entries, typed = _entries(files, plan_files, examples, delta)
    ignored = (Runtime.title, Check.title, Audit.title, StatementBlock.title)
    result = compare.plans(entries, ignored, _spent)
    if as_json:
        output.as_json(render.document(result))
        output.warn(typed)
        return
    output.show(render.table(result))
    output.say(unsaid_accountant.rows(tuple(one.compared for one in result.plans)))
    assumed = {str(one.plan.assumptions): None for one in entries}
    output.say(["", *(f"  {'assumes':<19}{assumptions}" for assumptions in assumed)])
    output.warn(typed)


def _spent(plan: Plan, delta: float) -> "Bound":
    """By whoever answers where no accountant is named."""
    from dpplan.commands.shared import unsaid_accountant
    from dpplan.commands.shared.accountant_option import AccountantChoice

    return unsaid_accountant.ask("epsilon", plan, delta, AccountantChoice("exact", {}, said=False))


def _entries(
    files: Sequence[Path], plan_files: Sequence[Path], examples: Any, delta: Any
) -> "tuple[list[PlanEntry], list[str]]":
    """The files with their plans, and of which n was typed, in warnings.

    Raises UsageError with all that is wrong with plan files, or with the first recipe that cannot be read."""
    from dpplan import recipe
    from dpplan.commands.shared.recipe_data import as_typed, training_examples, typed_n
    from dpplan.compare.plans import PlanEntry
    from dpplan.plan import resolve_delta

    jobs = {file: recipe.load(file) for file in files if file not in plan_files}
    read = _read(plan_files, delta)
    names = {file: jobs[file].name if file in jobs else file.stem for file in files}
    often = Counter(names[file] for file in files)
    found, typed = [], []
    for file in files:
        name = names[file] if often[names[file]] == 1 else str(file)
        if file in read:
            plan = read[file].plan
            found.append(PlanEntry(name, plan, resolve_delta(delta, plan.examples), phases=read[file].names))
            continue
        job = jobs[file]
        n = training_examples(job, examples)
        typed += [typed_n(n, f"{name}: ")] if as_typed(job, examples) else []
        at = job.delta(n) if delta is None else resolve_delta(delta, n)
        content = {} if read else job.content  # a plan file has no such keys
        found.append(PlanEntry(name, job.plan(n), at, content, job.training.views))
    return found, typed


def _read(files: Sequence[Path], delta: Any) -> dict[Path, PlanFile]:
    problems: list[str] = []
    read: dict[Path, PlanFile] = {}
    for file in files:
        try:
            read[file] = plan_file.read(file)
        except UsageError as error:
            problems += error.problems
            continue
        if delta is None and read[file].plan.examples is None:
            problems.append(f"{file}: says no n, from which a δ would follow. Give --delta.")
    if problems:
        raise PlanError(problems)
    return read
