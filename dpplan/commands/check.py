"""dpplan check: what is wrong with a plan or a recipe, and the fix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dpplan import accounting, lint
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, named
from dpplan.checks import Problems
from dpplan.commands.shared import output, plan_arguments, waiting
from dpplan.commands.shared.accountant_option import EXACT, unknown
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, FileName, Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import parse, resolve
from dpplan.errors import EXIT_EXCEEDED, PlanError, UsageError
from dpplan.plan import Plan, Settings

HELP = """What is wrong with RECIPE, or with the plan that the options describe, and the fix.

A rule looks at the figures, at what is claimed, and at what the training loop does with the data; what the loop does is
known of a recipe, and told by options for a plan. Every finding has a code; --explain says at length what it means.

\b
  dpplan check recipes/digits.yaml
  dpplan check recipes/digits-logistic.yaml --n 1437 --strict --json
  dpplan check --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5
  dpplan check --sigma 1.1 --n 6e4 --batch 256 --steps 14062 --accumulate 4
  dpplan check --sigma 1.1 --n 6e4 --batch 256 --epochs 60 --cap 512
  dpplan check --explain DP008

\b
A recipe silences a code with the reason, in a block of its own:
  check: {silence: {DP004: "n is in the data card"}}

Exit status: 0 done, and no error is found (with --strict, no warning either); 1 something is found; 2 the call makes no
sense as put; 3 nothing could be certified.
"""
ALL = "all"


@click.command("check", help=HELP)
@click.argument("recipe", type=FileName(path_type=Path), metavar="[RECIPE]", required=False)
@plan_arguments.phases
@plan_arguments.deltas(several=False)
@click.option("--accountant", type=Name(tuple(accounting.ACCOUNTANTS)), help="Whose figure is claimed.")
@click.option("--claimed-eps", "claimed", type=NUMBER, help="The ε that is claimed.")
@click.option(
    "--adjacency",
    type=Name([name.replace("_", "-") for name in ADJACENCIES]),
    help="What the claim compares: data sets with one example more or less, with one replaced, or with one zeroed out.",
)
@click.option(
    "--loader",
    type=click.Choice(["poisson", "shuffle", "fixed"]),
    help="How batches are drawn: independently, by shuffling and cutting, or with a fixed size.",
)
@click.option("--cap", type=COUNT, help="The largest batch that the loader lets through.")
@click.option("--accumulate", type=COUNT, help="Micro-batches that make one noisy update.")
@click.option("--views", type=COUNT, help="Augmented views of an example, each clipped by itself.")
@click.option("--seed", type=COUNT, help="The seed of the noise, where it is fixed.")
@click.option("--trials", type=COUNT, help="Settings that were tried on the same examples.")
@click.option(
    "--runs",
    type=FileName(path_type=Path, file_okay=False),
    help="Look in this folder for runs of `dpplan train` on the same examples as RECIPE.",
)
@click.option("--silence", multiple=True, metavar='CODE="REASON"', help="Let the findings of a rule pass.")
@click.option("--strict", is_flag=True, help="Exit with status 1 on warnings too.")
@click.option("--explain", metavar="CODE", help="Say at length what a rule looks at, and stop; all lists the rules.")
@output.json_option
def command(
    recipe: Path | None,
    arguments: PlanArguments,
    delta: Any,
    silence: tuple[str, ...],
    strict: bool,
    explain: str | None,
    as_json: bool,
    **told: Any,
) -> None:
    from dpplan.render import check as render

    if explain is not None:
        output.say(render.rules() if explain.lower() == ALL else render.explanation(explain.upper()))
        return
    problems = _problems(told)
    silenced: dict[str, str] = {}
    if recipe is None:
        run = _of_plan(arguments, delta, told, problems)
    else:
        run, silenced = _of_recipe(recipe, arguments, delta, told, problems)

    findings = lint.check(run, silenced | _reasons(silence))
    failed = bool(lint.failing(findings, strict))

    if as_json:
        output.as_json(render.document(run, findings, failed))
    else:
        output.say(render.report(run, findings, output.paint))
    if failed:
        click.get_current_context().exit(EXIT_EXCEEDED)


def _of_plan(arguments: PlanArguments, delta: Any, told: dict[str, Any], problems: list[str]) -> lint.LintContext:
    """The run that the options describe. Raises PlanError with all that no rule reports."""
    if told["runs"] is not None:
        problems.append("--runs finds runs on the data of a recipe, and a plan names no data. Leave it out.")
    plan: Plan | None = None
    settings, unheard = arguments.settings, []
    try:
        if arguments.in_phases or arguments.spent:
            parsed = parse(arguments)
            plan, settings, unheard = parsed.plan, parsed.known, parsed.problems
        else:
            plan = lint.plan_of(settings)
    except UsageError as error:
        unheard = list(error.problems)
    if told["cap"] is not None and settings.examples is None:
        problems.append("--cap needs --n: how often a batch exceeds it depends on the number of examples.")
    deltas, others = resolve(settings, (delta,), EXACT, *problems)
    if unheard or others:
        raise PlanError([*unheard, *others])
    loop = lint.Loop(
        loader=told["loader"] or "poisson",
        cap=told["cap"],
        micro_batches=told["accumulate"] or 1,
        views=told["views"] or 1,
        seed=told["seed"],
    )
    return lint.LintContext(
        settings=settings, plan=plan, delta=deltas[0], claim=_claim(told), loop=loop, trials=told["trials"] or 1
    )


def _of_recipe(
    file: Path, arguments: PlanArguments, delta: Any, told: dict[str, Any], problems: list[str]
) -> tuple[lint.LintContext, dict[str, str]]:
    """The run of the recipe, and what it silences. Of the plan's options only --n may be given."""
    from dpplan import recipe
    from dpplan.commands.shared.recipe_data import known
    from dpplan.recipe import lint_input

    n = arguments.settings.examples
    beside = arguments != PlanArguments(Settings(examples=n)) or delta is not None
    loop = [f"--{name}" for name in ("loader", "cap", "accumulate", "views") if told[name] is not None]
    if beside:
        problems.append("a recipe says all of its plan itself; of the options of a plan only --n may be given with it.")
    if loop:
        problems.append(f"{' and '.join(loop)}: a recipe is run by `dpplan train`, which does nothing of the kind.")
    if problems:
        raise UsageError(problems)
    job = recipe.load(file)
    with waiting.status("looking at the data and the model"):
        about = known(job, n)
    found = () if told["runs"] is None else lint.runs_in(told["runs"], job.data.source, job.data.path)
    run = lint_input.context_of(
        job,
        about.examples,
        claim=_claim(told),
        loop=lint.Loop(seed=told["seed"]),
        model=about.model,
        facts=about.data,
        earlier=found,
        trials=told["trials"] or 1,
    )
    return run, lint_input.silence_of(job)


def _claim(told: dict[str, Any]) -> lint.StatedClaim:
    adjacency = named(told["adjacency"] or ADD_REMOVE.name)
    return lint.StatedClaim(accountant=told["accountant"] or "exact", epsilon=told["claimed"], adjacency=adjacency)


def _problems(told: dict[str, Any]) -> list[str]:
    """What is wrong with the options that tell of claim and loop."""
    problems = Problems()
    known = tuple(accounting.ACCOUNTANTS)
    if (name := told["accountant"]) is not None:
        problems.require(name in known, unknown(name, known))
    if told["claimed"] is not None:
        problems.at_least("claimed_eps", told["claimed"], 0, try_="Epsilon counts nats of privacy loss.")
    for name in ("cap", "accumulate", "views", "trials"):
        if told[name] is not None:
            problems.whole(name, told[name])
    if told["seed"] is not None:
        problems.whole("seed", told["seed"], least=0)
    if told["runs"] is not None:
        problems.require(told["runs"].is_dir(), f"runs={told['runs']} is not a folder.")
    return problems.found


def _reasons(silence: Sequence[str]) -> dict[str, str]:
    """Code -> reason, as typed."""
    pairs = [each.partition("=") for each in silence]
    return {code.strip().upper(): reason.strip() for code, _, reason in pairs}
