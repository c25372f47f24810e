"""dpplan compare samplers: one run under every sampling scheme and relation."""

from pathlib import Path
from typing import Any

import click

from dpplan.commands.shared import output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import Name
from dpplan.commands.shared.request import cautions, resolve
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Settings
from dpplan.sampling import LOADERS, unknown_loader

HELP = """The same run under every sampling scheme and relation: what may be claimed of it.

Most software prints the figure for Poisson sampling under add/remove, whatever the loader does. Beside it stands what
is proven for each scheme, and the least noise at which the scheme would cost no more than that figure, below the run's
own where the scheme is cheaper. --loader says what a loader of a library really draws by.

--q R in place of --batch is the batch R n: a scheme that gives each example one step of an epoch needs 1 / R whole.

\b
  dpplan compare samplers --sigma 1 --n 10000 --batch 100 --epochs 3
  dpplan compare samplers --sigma 1 --n 10000 --batch 100 --epochs 3 \\
    --loader torch-shuffle --without-noise
  dpplan compare samplers --sigma 1 --n 10000 --batch 100 --epochs 3 \\
    --cap 150 --groups 4 --without-noise --plot samplers.svg

Exit status: 0 done; 2 the call makes no sense as put, or a file would go where no folder is; 3 nothing could be
certified; 5 the picture cannot be written.
"""


@click.command("samplers", help=HELP)
@plan_arguments.plan
@plan_arguments.scheme_options
@plan_arguments.deltas(several=False)
@click.option(
    "--loader", type=Name(LOADERS), metavar="NAME", help=f"What a loader really draws by: {', '.join(LOADERS)}."
)
@click.option("--without-noise", is_flag=True, help="Do not solve for the noise that each would need: seconds faster.")
@plot_option.plot_option("ε of every scheme and relation")
@output.json_option
def command(
    settings: Settings, delta: Any, loader: str | None, without_noise: bool, plot: Path | None, as_json: bool
) -> None:
    from dpplan.render import compare_samplers as render
    from dpplan.render import plan_rows

    problems = [*plot_option.problems(plot)]
    if loader is not None and loader not in LOADERS:
        problems.append(unknown_loader(loader, LOADERS))
    try:
        settings.with_(scheme_options=()).plan()
    except UsageError as error:
        problems += error.problems
    deltas, others = resolve(settings, (delta,), EXACT, *problems)
    if others:
        raise PlanError([*others, *cautions(settings, deltas)])
    if plot is not None:
        plot_option.needs_matplotlib()
    from dpplan.compare.samplers import samplers

    with waiting.status("accounting for every scheme"):
        found = samplers(settings, deltas[0].value, noise=not without_noise, loader=loader or "")
    if plot is not None:
        from dpplan.plot import samplers as drawing

        with waiting.status("drawing"):
            drawing.draw(found, plot)
    if as_json:
        output.as_json(render.document(found, loader))
        return
    output.say([plan_rows.at_delta(deltas[0])])
    output.show(render.table(found, loader))
    output.warn(cautions(settings, deltas))
