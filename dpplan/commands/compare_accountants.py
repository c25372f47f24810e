"""dpplan compare accountants: one plan through every accountant, side by side."""

from pathlib import Path
from typing import Any

import click

from dpplan.checks import show
from dpplan.commands.shared import cost_output, output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import AccountantChoice, accountant_options
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.render import compare_accountants as render
from dpplan.render import explanation, plan_rows, to_json

HELP = """What every accountant says that a plan spends, what that promises, and what it took.

The exact accountant is the reference. An estimate below its certified lower bound claims privacy that is not there,
and is marked as under-reporting.

\b
  dpplan compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare accountants --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --json
  dpplan compare accountants --sigma 4 --q .01 --n 1e4 --epochs 9 --plot a.svg

Exit status: 0 done; 2 the call makes no sense as put, or a file would go where no folder is; 5 a file that is there
cannot be read, or one cannot be written.
"""


@click.command("accountants", help=HELP)
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@plan_arguments.deltas(several=False)
@accountant_options
@plot_option.plot_option("Also draw ε against epochs for each accountant")
@output.explain_option
@output.json_option
def command(
    arguments: PlanArguments, delta: Any, choice: AccountantChoice, plot: Path | None, explain: bool, as_json: bool
) -> None:
    from dpplan import compare

    call = requested(arguments, (delta,), choice, *plot_option.problems(plot))
    (at,) = call.deltas

    with waiting.status("asking every accountant"):
        found = compare.accountants(call.plan, at.value, choice.by_accountant())
    curves = None
    if plot is not None:
        plot_option.needs_matplotlib()
        with waiting.progress("points of curves") as progress:
            curves = compare.curves(call.plan, at.value, options=choice.by_accountant(), progress=progress)
        plot_option.draw(curves, plot)

    if as_json:
        drawn = {} if curves is None else {"plot": str(plot), "curves": to_json.curves(curves)}
        output.as_json(to_json.document("compare", call.plan, to_json.comparison(found, at), call.warnings, **drawn))
        return
    output.say([f"at δ = {show(at.value)}"])
    output.show(render.accountants(found.rows, timed=True))
    output.say(["", *plan_rows.plan_rows(call.plan, call.deltas, earlier=call.earlier, names=call.names)])
    if explain:
        cost_output.explain_comparison(found)
        output.say(explanation.premises([call.plan.assumptions]))
    if plot is not None:
        output.say(["", f"drawn to {plot}"])
    output.warn(call.warnings)
