"""dpplan compare theorems: what each composition theorem makes of a run as its steps grow."""

from pathlib import Path
from typing import Any

import click

from dpplan import processes
from dpplan.checks import show
from dpplan.commands.shared import output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.render import compare_theorems as render
from dpplan.render import plan_rows, to_json

HELP = """What each composition theorem proves as the steps of a run grow, from adding up to the exact answer.

basic, advanced and optimal know one step by a single (ε₀, δ₀); moments and rdp know its moments; exact knows all of it.
Every row is for the first so many steps of the plan.

\b
  dpplan compare theorems --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare theorems --sigma 4 --q 1 --steps 50 --delta 1e-5 --plot t.svg

Exit status: 0 done; 2 the call makes no sense as put, or a file would go where no folder is; 5 a file that is there
cannot be read, or one cannot be written.
"""


@click.command("theorems", help=HELP)
@plan_arguments.phases
@plan_arguments.deltas(several=False)
@plot_option.plot_option("Also draw it")
@output.json_option
def command(arguments: PlanArguments, delta: Any, plot: Path | None, as_json: bool) -> None:
    from dpplan import compare

    call = requested(arguments, (delta,), EXACT, *plot_option.problems(plot))
    if plot is not None:
        plot_option.needs_matplotlib()
    (at,) = call.deltas

    with waiting.progress("theorems") as progress, processes.allow(processes.available()):
        found = compare.theorems(call.plan, at.value, progress)
    if plot is not None:
        plot_option.draw(found.curves, plot)

    if as_json:
        drawn = {} if plot is None else {"plot": str(plot)}
        output.as_json(to_json.document("compare-theorems", call.plan, render.results(found), call.warnings, **drawn))
        return
    output.say([f"ε of the first steps at δ = {show(at.value)}"])
    output.show(render.table(found))
    output.say(["", *plan_rows.plan_rows(call.plan, call.deltas, earlier=call.earlier, names=call.names)])
    if plot is not None:
        output.say(["", f"drawn to {plot}"])
    output.warn(call.warnings)
