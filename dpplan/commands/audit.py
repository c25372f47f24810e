"""dpplan audit: do the scores of an attack contradict what a plan claims?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output, plan_arguments
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.limit_options import at_least_zero
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, FileName, Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.plan_source import plan_of_file
from dpplan.commands.shared.request import requested
from dpplan.errors import EXIT_EXCEEDED, PlanError

if TYPE_CHECKING:
    from dpplan.audit import Hypothesis, Scores, Settings

HELP = """Whether the scores of an attack are possible under a plan, and the ε that they prove at least.

SCORES is a CSV file with the columns member and score, a line for each canary: an example that was put into the data,
or left out, by a fair coin of its own before one run. A higher score says "in". Any model's will do, Opacus's too.
They are held against a plan (the options below, or --against a recipe, run or report), or against --eps at --delta.
`consistent`: the plan allows them, which does not prove the plan. VIOLATION: it does not, and the run is broken; of a
sound run that is said with chance 1 - confidence at most.

\b
  printf 'member,score\\n' > scores.csv
  for i in $(seq 500); do echo "1,$i"; echo "0,-$i"; done >> scores.csv
  dpplan audit scores.csv --sigma 10 --q 1 --steps 100 --delta 1e-5
  dpplan audit scores.csv --eps 3 --delta 1e-5 --method one-run
  dpplan audit scores.csv --against recipes/digits.yaml
  dpplan audit scores.csv --delta 1e-5 --json

\b
Methods  one-run-fdp  one run, the plan's own trade-off curve
         one-run      one run, (ε, δ) alone
         many-runs    every line a run of its own, rates by Clopper-Pearson

Which canaries are guessed, and how many, must not depend on the scores: without --guesses, a fixed list of numbers is
tried on both sides and on one, and paid for by Bonferroni. The lower bound of one-run-fdp is for a named family of
mechanisms: the same plan with other noise, or without a plan a Gaussian.

Exit status: 0 consistent, or nothing to compare with; 1 VIOLATION; 2 the call or the file makes no sense as put; 3 the
plan cannot be certified; 5 a file cannot be read.
"""
METHODS, SIDES = ("one-run-fdp", "one-run", "many-runs"), ("both", "in")


@click.command("audit", help=HELP)
@click.argument("scores", type=FileName(path_type=Path), metavar="SCORES")
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.deltas(several=False)
@click.option("--against", type=FileName(path_type=Path), metavar="FILE", help="A recipe, run or report: its plan.")
@click.option("--eps", "epsilon", type=NUMBER, help="A stated ε, with --delta, in place of a plan.")
@click.option("--confidence", type=NUMBER, default=0.95, show_default=True, help="Of the verdict and the bound.")
@click.option("--method", type=Name(METHODS), default=METHODS[0], show_default=True, help="The theorem.")
@click.option("--guesses", type=COUNT, help="How many canaries are guessed, fixed before the scores were seen.")
@click.option("--side", type=Name(SIDES), default=SIDES[0], show_default=True, help="Of --guesses: both, or in alone.")
@click.option("--threshold", type=NUMBER, help="Of many-runs, fixed beforehand; without it, half of them choose it.")
@output.json_option
def command(scores: Path, arguments: PlanArguments, delta: Any, as_json: bool, **told: Any) -> None:
    from dpplan import audit
    from dpplan.render import audit as render

    problems = [*_problems(told), *_clashes(arguments, told)]
    if told["epsilon"] is not None:
        problems += at_least_zero("eps", (told["epsilon"],))
    plan, at, warnings = _plan(arguments, delta, told, problems)
    settings = _settings(told, at)
    read = audit.read(scores)
    warnings += audit.checked(read, str(scores), coins=settings.method != "many-runs")
    _fits(read, settings)
    if plan is not None:
        claim: Hypothesis | None = audit.Hypothesis.of_plan(plan, at)
    else:
        claim = None if told["epsilon"] is None else audit.Hypothesis.of_stated(float(told["epsilon"]), at)
    with output.status("auditing"):
        found = audit.audit(read, claim, settings)
    if as_json:
        output.as_json(render.document(found, warnings))
    else:
        output.say([render.headline(found, output.paint), "", *render.rows(found), ""])
        output.show(render.table(found))
    output.warn(warnings)
    if found.violation:
        click.get_current_context().exit(EXIT_EXCEEDED)


def _problems(told: dict[str, Any]) -> list[str]:
    problems = Problems()
    problems.probability("confidence", told["confidence"], closed_right=False, try_="0.95 is usual.")
    if told["guesses"] is not None:
        problems.whole("guesses", told["guesses"], try_="An eighth of the canaries is a good number.")
    for name, known in (("method", METHODS), ("side", SIDES)):
        value = told[name]
        rule = f"{name}={value} is not one of {', '.join(known)}.{did_you_mean(value, known)}"
        problems.require(value in known, rule)
    if told["threshold"] is not None:
        number = isinstance(told["threshold"], float) and told["threshold"] == told["threshold"]
        problems.require(number, f"threshold={told['threshold']} is not a number. It is compared with the scores.")
        only = "threshold is for --method many-runs: one run is guessed by ranks. Take --guesses, or leave it out."
        problems.require(told["method"] == "many-runs", only)
    elif told["guesses"] is not None and told["method"] == "many-runs":
        problems.add("guesses is for one run; with --method many-runs take --threshold, or leave it out.")
    return problems.found


def _described(arguments: PlanArguments) -> bool:
    settings = arguments.settings
    given = [settings.noise_multiplier, settings.sample_rate, settings.steps, settings.epochs, settings.batch_size]
    return arguments.in_phases or bool(arguments.spent) or any(value is not None for value in given)


def _clashes(arguments: PlanArguments, told: dict[str, Any]) -> list[str]:
    ways = {
        "--against": told["against"] is not None,
        "the options of a plan": _described(arguments),
        "--eps": told["epsilon"] is not None,
    }
    said = [name for name, given in ways.items() if given]
    if len(said) < 2:
        return []
    return [f"{' and '.join(said)} are given, each of which says what is claimed. Leave all but one out."]


def _plan(
    arguments: PlanArguments, delta: Any, told: dict[str, Any], problems: list[str]
) -> tuple[Any, float, list[str]]:
    """The plan that is claimed, if any, the δ, and warnings. Raises PlanError with all that is wrong."""
    if told["against"] is None and _described(arguments):
        call = requested(arguments, (delta,), AccountantChoice("exact", {}), *problems)
        return call.plan, call.deltas[0].value, list(call.warnings)
    checked = Problems()
    checked.found += problems
    if told["against"] is None:
        need = "delta is missing: a lower bound on ε means nothing without one. Give --delta."
        checked.require(delta is not None, need)
    if delta is not None:
        checked.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    if checked.found:
        raise PlanError(checked.found)
    if told["against"] is None:
        return None, float(delta), []
    return plan_of_file(told["against"], delta, arguments.settings.examples)


def _settings(told: dict[str, Any], delta: float) -> "Settings":
    from dpplan import audit

    return audit.Settings(
        delta=delta,
        level=round(1.0 - float(told["confidence"]), 15),
        method=told["method"],
        guesses=None if told["guesses"] is None else int(told["guesses"]),
        side=told["side"],
        threshold=told["threshold"],
    )


def _fits(scores: "Scores", settings: "Settings") -> None:
    if settings.guesses is not None and settings.guesses > scores.canaries:
        raise PlanError(f"guesses={settings.guesses} exceeds the {scores.canaries} canaries. Lower --guesses.")
    if settings.guesses == 1 and settings.side == "both":
        raise PlanError("guesses=1 leaves none for a side of two. Take --guesses 2 or more, or --side in.")
    if settings.method == "many-runs" and settings.threshold is None and scores.canaries < 4:
        raise PlanError(
            f"{scores.canaries} scores are too few to choose a threshold from half of them. Give --threshold."
        )
