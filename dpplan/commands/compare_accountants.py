"""dpplan compare accountants: one plan through every accountant, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import accounting
from dpplan.checks import show
from dpplan.commands.shared import cost_output, output, plan_arguments, plot_option
from dpplan.commands.shared.plan_arguments import AccountantChoice, PlanArguments, Request
from dpplan.render import text

if TYPE_CHECKING:
    from dpplan.curve import Curves

HELP = """What every accountant says that a plan spends, what that promises, and what it took.

The exact accountant is the reference. An estimate below its certified lower bound claims privacy that is not there,
and is marked as under-reporting.

\b
  dpplan compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare accountants --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --json
  dpplan compare accountants --sigma 4 --q .01 --n 1e4 --epochs 9 --plot a.svg

Exit status: 0 done; 2 the call makes no sense as put.
"""


@click.command("accountants", help=HELP, short_help="Every accountant: ε, guarantee, ratio, time.")
@plan_arguments.phases
@plan_arguments.deltas(several=False)
@plan_arguments.told
@click.option(
    "--plot",
    type=plan_arguments.FileName(path_type=Path, dir_okay=False),
    help="Also draw ε against epochs for each accountant, as .svg or .png.",
)
@plan_arguments.explain
@plan_arguments.as_json
def command(
    said: PlanArguments, delta: Any, choice: AccountantChoice, plot: Path | None, explain: bool, as_json: bool
) -> None:
    from dpplan import compare
    from dpplan.render import compare_accountants as render
    from dpplan.render import to_json

    asked = plan_arguments.settle(said, (delta,), choice, *plot_option.problems(plot))
    (at,) = asked.deltas
    answer = compare.accountants(asked.plan, at.value, _given(choice))
    curves = None if plot is None else _draw(asked, choice, plot)
    if as_json:
        drawn = {} if plot is None or curves is None else {"plot": str(plot), "curves": to_json.curves(curves)}
        output.as_json(to_json.document("compare", asked.plan, to_json.comparison(answer, at), asked.warnings, **drawn))
        return
    output.say([f"at δ = {show(at.value)}"])
    output.show(render.accountants(answer.rows, timed=True))
    output.say(["", *text.plan_rows(asked.plan, asked.deltas, earlier=asked.earlier)])
    if explain:
        cost_output.explained(answer)
        output.say(text.premises())
    if plot is not None:
        output.say(["", f"drawn to {plot}"])
    output.warn(asked.warnings)


def _given(choice: AccountantChoice) -> dict[str, dict[str, object]]:
    return {name: choice.options(name) for name in accounting.ACCOUNTANTS}


def _draw(asked: Request, choice: AccountantChoice, plot: Path) -> "Curves":
    from dpplan import compare

    plot_option.needs_matplotlib()
    with output.progress("curves") as progress:
        curves = compare.curves(asked.plan, asked.deltas[0].value, options=_given(choice), progress=progress)
    plot_option.draw(curves, plot)
    return curves
