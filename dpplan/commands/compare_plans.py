"""dpplan compare plans: recipes side by side."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.commands.shared import output, waiting
from dpplan.commands.shared.parameter_types import CHANCE, COUNT, FileName
from dpplan.errors import UsageError

if TYPE_CHECKING:
    from dpplan.compare.plans import PlanEntry

HELP = """Recipes side by side: what differs between them, and which wins on privacy, compute and noise.

Each is shown with the ε at its own δ, and all are compared at the smallest δ among them. Compute is counted in
examples processed, noise as σ / batch: what is on the mean gradient, in clip norms.

\b
  dpplan compare plans recipes/digits.yaml recipes/digits-logistic.yaml
  dpplan compare plans recipes/digits-cnn.yaml recipes/digits.yaml --n 50000

Exit status: 0 done; 2 a recipe or the call is wrong; 3 nothing could be certified; 5 a file that is there cannot be
read.
"""


@click.command("plans", help=HELP)
@click.argument("recipes", type=FileName(path_type=Path), metavar="RECIPE...", nargs=-1, required=True)
@click.option(
    "--n",
    "examples",
    type=COUNT,
    help="Training examples, for all; without it they are counted in the data.",
)
@click.option("--delta", type=CHANCE, help="Compare all at this δ, in place of their own.")
@output.json_option
def command(recipes: tuple[Path, ...], examples: Any, delta: Any, as_json: bool) -> None:
    from dpplan import compare
    from dpplan.recipe import Audit, Check, Runtime, StatementBlock
    from dpplan.render import compare_plans as render

    if len(recipes) < 2:
        raise UsageError("there is one recipe and nothing to compare it with. Give two or more.")
    with waiting.status("reading recipes and data"):
        entries = _entries(recipes, examples, delta)
    result = compare.plans(entries, ignored=(Runtime.title, Check.title, Audit.title, StatementBlock.title))
    if as_json:
        output.as_json(render.document(result))
        return
    output.show(render.table(result))
    assumed = {str(one.plan.assumptions): None for one in entries}
    output.say(["", *(f"  {'assumes':<19}{assumptions}" for assumptions in assumed)])


def _entries(files: Sequence[Path], examples: Any, delta: Any) -> "list[PlanEntry]":
    """The recipes with their plans. Raises UsageError when two are the same file."""
    from dpplan import recipe
    from dpplan.commands.shared.recipe_data import training_examples
    from dpplan.compare.plans import PlanEntry
    from dpplan.plan import resolve_delta

    jobs = [recipe.load(file) for file in files]
    often = Counter(job.name for job in jobs)
    found = []
    for file, job in zip(files, jobs, strict=True):
        n = training_examples(job, examples)
        at = job.delta(n) if delta is None else resolve_delta(delta, n)
        name = job.name if often[job.name] == 1 else str(file)
        found.append(PlanEntry(name, job.plan(n), at, job.content, job.training.views))
    return found
