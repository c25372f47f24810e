"""dpplan compare: one plan, several answers, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import accounting
from dpplan.checks import show
from dpplan.commands import options, pictures, screen, spending
from dpplan.commands.group import Entry, LazyGroup
from dpplan.commands.options import Asked, Choice, Said
from dpplan.render import text

if TYPE_CHECKING:
    from dpplan.curve import Curves

HELP = """Accountants, theorems or recipes, side by side."""
ACCOUNTANTS_HELP = """What every accountant says that a plan spends, what that promises, and what it took.

The exact accountant is the reference. An estimate below its certified lower bound claims privacy that is not there,
and is marked as under-reporting.

\b
  dpplan compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare accountants --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --json
  dpplan compare accountants --sigma 4 --q .01 --n 1e4 --epochs 9 --plot a.svg

Exit status: 0 done; 2 the call makes no sense as put.
"""


@click.command("accountants", help=ACCOUNTANTS_HELP, short_help="Every accountant: ε, guarantee, ratio, time.")
@options.phases
@options.deltas(several=False)
@options.told
@click.option(
    "--plot",
    type=options.FileName(path_type=Path, dir_okay=False),
    help="Also draw ε against epochs for each accountant, as .svg or .png.",
)
@options.explain
@options.as_json
def accountants(said: Said, delta: Any, choice: Choice, plot: Path | None, explain: bool, as_json: bool) -> None:
    from dpplan import compare
    from dpplan.render import data, tables

    asked = options.settle(said, (delta,), choice, *pictures.problems(plot))
    (at,) = asked.deltas
    answer = compare.accountants(asked.plan, at.value, _given(choice))
    curves = None if plot is None else _draw(asked, choice, plot)
    if as_json:
        drawn = {} if plot is None or curves is None else {"plot": str(plot), "curves": data.curves(curves)}
        screen.as_json(data.document("compare", asked.plan, data.comparison(answer, at), asked.warnings, **drawn))
        return
    screen.say([f"at δ = {show(at.value)}"])
    screen.show(tables.accountants(answer.rows, timed=True))
    screen.say(["", *text.plan_rows(asked.plan, asked.deltas, earlier=asked.earlier)])
    if explain:
        spending.explained(answer)
        screen.say(text.premises())
    if plot is not None:
        screen.say(["", f"drawn to {plot}"])
    screen.warn(asked.warnings)


command = LazyGroup(
    "compare",
    {
        "accountants": Entry("dpplan.commands.compare:accountants", str(accountants.short_help)),
        "theorems": Entry("dpplan.commands.compare_theorems", "Composition theorems as the steps grow."),
        "plans": Entry("dpplan.commands.compare_plans", "Recipes: what differs, and which wins on what."),
    },
    help=HELP,
)
command.short_help = "Accountants, theorems or recipes, side by side."


def _given(choice: Choice) -> dict[str, dict[str, object]]:
    return {name: choice.options(name) for name in accounting.ACCOUNTANTS}


def _draw(asked: Asked, choice: Choice, plot: Path) -> "Curves":
    from dpplan import compare

    pictures.needs_matplotlib()
    with screen.progress("curves") as progress:
        curves = compare.curves(asked.plan, asked.deltas[0].value, options=_given(choice), progress=progress)
    pictures.draw(curves, plot)
    return curves
