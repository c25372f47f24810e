"""dpplan compare theorems: what each composition theorem makes of a run as its steps grow."""

from pathlib import Path
from typing import Any

import click

from dpplan.checks import show
from dpplan.commands import options, pictures, screen
from dpplan.commands.options import Choice, Said
from dpplan.render import text

HELP = """What each composition theorem proves as the steps of a run grow, from adding up to the exact answer.

basic, advanced and optimal know one step by a single (ε₀, δ₀); moments and rdp know its moments; exact knows all of it.
Every row is for the first so many steps of the plan.

\b
  dpplan compare theorems --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare theorems --sigma 4 --q 1 --steps 50 --delta 1e-5 --plot t.svg

Exit status: 0 done; 2 the call makes no sense as put.
"""


@click.command("theorems", help=HELP, short_help="Composition theorems as the steps grow.")
@options.phases
@options.deltas(several=False)
@click.option("--plot", type=options.FileName(path_type=Path, dir_okay=False), help="Also draw it, as .svg or .png.")
@options.as_json
def command(said: Said, delta: Any, plot: Path | None, as_json: bool) -> None:
    from dpplan import growth
    from dpplan.render import data, theorems

    asked = options.settle(said, (delta,), Choice("exact", {}), *pictures.problems(plot))
    if plot is not None:
        pictures.needs_matplotlib()
    (at,) = asked.deltas
    with screen.progress("theorems") as progress:
        found = growth.theorems(asked.plan, at.value, progress)
    if plot is not None:
        pictures.draw(found.curves, plot)
    if as_json:
        drawn = {} if plot is None else {"plot": str(plot)}
        results = theorems.results(found)
        screen.as_json(data.document("compare-theorems", asked.plan, results, asked.warnings, **drawn))
        return
    screen.say([f"ε of the first steps at δ = {show(at.value)}"])
    screen.show(theorems.table(found))
    screen.say(["", *text.plan_rows(asked.plan, asked.deltas, earlier=asked.earlier)])
    if plot is not None:
        screen.say(["", f"drawn to {plot}"])
    screen.warn(asked.warnings)
