"""dpplan compare tuning: what a search costs that publishes its winner."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import NUMBER
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.errors import PlanError, UsageError

if TYPE_CHECKING:
    from dpplan.mechanism.trials import Trials

USUAL = 10.0
HELP = """What a search over settings costs, if a random number of trials is made and only the best is published.

The plan is one trial. Its trials are drawn by a law that does not look at the data: poisson, geometric, truncated
negative binomial (--eta) or logarithmic, binomial (--chance). For each law of the same mean: ε by the profile of one
trial, proven from above, and by Rényi divergences; beside them one trial, and all trials composed. The last is what a
search costs whose number of trials is fixed, as a grid's is, whether all are published or the best.

\b
  dpplan compare tuning --sampling full-batch --sigma 4 --steps 1 \\
    --mean 10 --delta 1e-6
  dpplan compare tuning --sigma 1.1 --n 60000 --batch 256 --epochs 15
  dpplan compare tuning recipes/plans/dp-sgd-with-vocabulary.yaml \\
    --trials geometric --trials poisson --mean 5 --plot tuning.svg

That covers the winner alone. How many trials there were, the seed of that number, the losing runs and how long they
took stay private; where no trial is made the answer is 'none', and is not drawn again. The score that decides is public
or part of what each trial releases.

Exit status: 0 done; 2 the call makes no sense as put, or a file would go where no folder is; 3 nothing could be
certified; 5 a file that is there cannot be read, or one cannot be written.
"""


@click.command("tuning", help=HELP)
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@plan_arguments.deltas(several=False)
@click.option("--mean", type=NUMBER, default=USUAL, show_default=True, help="The expected number of trials.")
@click.option("--trials", "laws", metavar="LAW", multiple=True, help="The law of their number; all if not given.")
@click.option("--eta", type=NUMBER, help="η of negative-binomial, above -1; 0.5 if not given.")
@click.option("--chance", type=NUMBER, help="Chance of each trial of binomial; 0.5 if not given.")
@plot_option.plot_option("ε of the search under each law")
@output.json_option
def command(
    arguments: PlanArguments,
    delta: Any,
    mean: Any,
    laws: tuple[str, ...],
    eta: Any,
    chance: Any,
    plot: Path | None,
    as_json: bool,
) -> None:
    from dpplan.compare.tuning import tuning
    from dpplan.render import compare_tuning as render

    asked, problems = _laws(laws, mean, eta, chance)
    call = requested(arguments, (delta,), EXACT, *problems, *plot_option.problems(plot))
    if plot is not None:
        plot_option.needs_matplotlib()
    with waiting.status("computing"):
        found = tuning(call.plan, call.deltas[0].value, asked)
    if plot is not None:
        from dpplan.plot import tuning as drawing

        with waiting.status("drawing"):
            drawing.draw(found, plot)
    if as_json:
        output.as_json(render.document(found, call.warnings))
        return
    output.show(render.table(found))
    output.say(["", *render.rows(found, call.deltas)])
    output.warn(call.warnings)


def _laws(laws: tuple[str, ...], mean: Any, eta: Any, chance: Any) -> "tuple[tuple[Trials, ...], list[str]]":
    """The laws that are compared, or what is wrong with them."""
    from dpplan.mechanism.trials import LAWS, Trials

    problems, made = Problems(PlanError), []
    for law in laws:
        hint = f" Their expected number is --mean {law}." if law.isdigit() else did_you_mean(law, LAWS)
        problems.require(law in LAWS, f"trials={law} is not one of: {', '.join(LAWS)}.{hint}")
    for name, given, law in (("eta", eta, "negative-binomial"), ("chance", chance, "binomial")):
        used = given is None or not laws or law in laws
        problems.require(used, f"{name} is of {law}, which is not compared. Leave it out, or add --trials {law}.")
    if problems.found:
        return (), problems.found
    said = {name: given for name, given in (("eta", eta), ("chance", chance)) if given is not None}
    for law in dict.fromkeys(laws or LAWS):
        try:
            made.append(Trials(law, mean, **said))
        except UsageError as error:
            problems.found += [each for each in error.problems if each not in problems.found]
    return tuple(made), problems.found
