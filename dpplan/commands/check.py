"""dpplan check: what is wrong with a plan or a recipe, and the fix."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from dpplan import accounting, lint
from dpplan.accounting.other_accountants import unknown
from dpplan.adjacency import ADJACENCIES, named
from dpplan.checks import Problems, is_number, show
from dpplan.commands.shared import completion, output, plan_arguments, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, FileName, Name
from dpplan.commands.shared.plan_arguments import ParsedPlan, PlanArguments
from dpplan.commands.shared.request import parse, resolve, told_of_runs
from dpplan.errors import EXIT_EXCEEDED, PlanError, UsageError
from dpplan.lint.context import LOADERS
from dpplan.lint.loader_draws import by_chance, declares
from dpplan.plan import Plan, Settings
from dpplan.sampling import CHOICES, unknown_loader

HELP = """What is wrong with RECIPE or plan file, or with the plan that the options describe, and the fix.

A rule looks at the figures, at what is claimed, and at what the training loop does with the data; what the loop does is
known of a recipe, and told by options for a plan. Every finding has a code; --explain says at length what it means.

\b
  dpplan check recipes/digits.yaml
  dpplan check recipes/digits-logistic.yaml --n 1437 --strict --json
  dpplan check recipes/plans/lecture-counts.yaml --delta 1e-6
  dpplan check --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5
  dpplan check --sigma 1.1 --n 6e4 --batch 256 --steps 14062 --accumulate 4
  dpplan check --sigma 1.1 --n 6e4 --batch 256 --epochs 60 --cap 512
  dpplan check --sigma 4 --n 6e4 --batch 256 --epochs 60 --owners 3
  dpplan check --explain DP008

\b
A recipe silences a code with the reason, in a block of its own:
  check: {silence: {DP004: "n is in the data card"}}

Exit status: 0 done, and no error is found (with --strict, no warning either); 1 something is found; 2 the call makes no
sense as put; 3 nothing could be certified; 5 a file that is there cannot be read.
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
    type=Name(tuple(LOADERS)),
    metavar="LOADER",
    help="How batches are drawn: poisson, shuffle, fixed, or a library's loader (`dpplan help sampling` lists them).",
)
@click.option(
    "--sampling",
    type=Name(CHOICES),
    metavar="SCHEME",
    help="What the figure is for: poisson (when nothing is said) or another scheme, with its options.",
)
@plan_arguments.options_of_schemes(besides=("cap",))
@plan_arguments.unit
@click.option(
    "--cap",
    type=COUNT,
    help="The largest batch that the loader lets through; with --sampling truncated-poisson, that is accounted for.",
)
@click.option("--accumulate", type=COUNT, help="Micro-batches that make one noisy update.")
@click.option("--views", type=COUNT, help="Augmented views of an example, each clipped by itself.")
@click.option(
    "--owners",
    type=COUNT,
    help="Examples that one person is an owner of at most, where several people own one; shared ones count.",
)
@click.option("--seed", type=COUNT, help="The seed of the noise, where it is fixed.")
@click.option("--trials", type=COUNT, help="Settings that were tried on the same examples.")
@click.option(
    "--runs",
    type=FileName(path_type=Path, file_okay=False),
    help="Look in this folder for runs of `dpplan train` on the same examples as RECIPE; else in its runtime.folder.",
)
@click.option(
    "--silence",
    multiple=True,
    metavar='CODE="REASON"',
    shell_complete=completion.rules,
    help="Let the findings of a rule pass.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 on warnings too.")
@click.option(
    "--explain",
    metavar="CODE",
    shell_complete=completion.rules,
    help="Say at length what a rule looks at, and stop; all lists the rules.",
)
@output.json_option
def command(
    recipe: Path | None,
    arguments: PlanArguments,
    delta: Any,
    silence: tuple[str, ...],
    strict: bool,
    explain: str | None,
    as_json: bool,
    **beside: Any,
) -> None:
    from dpplan.render import check as render

    if explain is not None:
        code = None if explain.lower() == ALL else explain.upper()
        if as_json:
            output.as_json(render.explained(code))
        else:
            output.say(render.rules() if code is None else render.explanation(code))
        return
    beside_plan = BesidePlan(**beside)
    if recipe is not None and _is_whole_plan(recipe):
        recipe, arguments = None, dataclasses.replace(arguments, files=(str(recipe), *arguments.files))
    arguments, beside_plan = _drawn(arguments, beside_plan)
    request = _request(recipe, arguments, delta, beside_plan)

    findings = lint.check(request.run, {**request.silenced, **_reasons(silence)})
    failed = bool(lint.failing(findings, strict))

    early = told_of_runs((*arguments.files, *arguments.spent))

    if as_json:
        told = {"warnings": list(early)} if early else {}
        output.as_json({**render.document(request.run, findings, failed), **told})
    else:
        unnamed = beside_plan.loader is None and _may_be_drawn_otherwise(request.run)
        output.say(render.report(request.run, findings, output.paint, unnamed))
        output.warn(early)
    if failed:
        click.get_current_context().exit(EXIT_EXCEEDED)


def _is_whole_plan(recipe: Path) -> bool:
    from dpplan.commands.shared import plan_files  # only a call with a file needs it

    return plan_files.is_whole_plan(recipe)


def _drawn(arguments: PlanArguments, beside: "BesidePlan") -> "tuple[PlanArguments, BesidePlan]":
    """The run with the scheme and the unit that were named. What is not drawn by Poisson sampling is accounted for
    under the neighbours of the claim."""
    sampling, options = beside.sampling, beside.scheme_options
    said: dict[str, Any] = {} if beside.unit is None else {"unit": beside.unit}
    said |= {} if beside.max_per_user is None else {"max_per_user": beside.max_per_user}
    said |= {} if sampling is None else {"sampling": sampling}
    said |= {"scheme_options": options} if options or sampling is not None else {}
    if sampling == "truncated-poisson" and beside.cap is not None:
        said["scheme_options"] = (*options, ("cap", beside.cap))
        beside = dataclasses.replace(beside, cap=None)
    if sampling not in (None, "poisson") and beside.adjacency in map(_typed, ADJACENCIES):
        said["adjacency"] = named(beside.adjacency)
    stated = plan_arguments.stated_of(said)
    return dataclasses.replace(arguments, settings=arguments.settings.with_(**said), stated=stated), beside


def _by_poisson(plan: Plan) -> bool:
    """Whether all is drawn so, or in every step; of a search, what its trials draw."""
    around = (each for phase in plan.phases for each in getattr(phase.mechanism, "inside", (phase,)))
    return all(each.sampling.kind == "poisson" and not declares(each) for each in around)


def _may_be_drawn_otherwise(run: lint.LintContext) -> bool:
    """Whether it matters who is in which batch, and `dpplan train` is not what draws it."""
    return run.recipe is None and run.plan is not None and any(True for _ in by_chance(run.plan))


def _typed(name: str) -> str:
    return name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """A call that makes sense: the run to look at, and what its recipe silences, code -> reason."""

    run: lint.LintContext
    silenced: Mapping[str, str]


@dataclass(frozen=True)
class BesidePlan:
    """What options tell of a run besides its plan, as typed, None where they do not: its claim, its loop and others."""

    accountant: Any = None
    claimed: Any = None
    adjacency: Any = None
    loader: Any = None
    cap: Any = None
    accumulate: Any = None
    views: Any = None
    seed: Any = None
    trials: Any = None
    runs: Path | None = None
    sampling: Any = None
    scheme_options: tuple[tuple[str, Any], ...] = ()
    owners: Any = None
    unit: Any = None
    max_per_user: Any = None

    @property
    def claim(self) -> lint.StatedClaim:
        adjacency = None if self.adjacency is None else named(self.adjacency)
        return lint.StatedClaim(accountant=self.accountant or EXACT.name, epsilon=self.claimed, adjacency=adjacency)

    def loop(self, plan: Plan | None) -> lint.Loop:
        return lint.Loop(
            loader=self.loader or ("poisson" if plan is None or _by_poisson(plan) else ""),
            cap=self.cap,
            micro_batches=self.accumulate or 1,
            views=self.views or 1,
            seed=self.seed,
        )

    @property
    def of_a_loop(self) -> list[str]:
        """The options that were given and that `dpplan train` does nothing of."""
        return [f"--{name}" for name in ("loader", "cap", "accumulate", "views") if getattr(self, name) is not None]

    def too_many_owned(self, examples: Any) -> list[str]:
        """The rule that nobody owns more examples than there are."""
        if not is_number(self.owners) or not is_number(examples) or self.owners <= examples:
            return []
        return [f"owners={show(self.owners)} is more than n={show(examples)}, all examples there are. Lower it."]

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with these options by themselves."""
        problems = Problems()
        known = tuple(accounting.ACCOUNTANTS)
        if self.accountant is not None:
            problems.require(self.accountant in known, unknown(self.accountant, known))
        if self.loader is not None:
            problems.require(self.loader in LOADERS, unknown_loader(self.loader, LOADERS))
        if self.claimed is not None:
            problems.at_least("claimed_eps", self.claimed, 0, try_="Epsilon counts nats of privacy loss.")
        for name in ("cap", "accumulate", "views", "owners", "trials"):
            if getattr(self, name) is not None:
                problems.whole(name, getattr(self, name))
        if self.seed is not None:
            problems.whole("seed", self.seed, least=0)
        if self.runs is not None:
            problems.require(self.runs.is_dir(), f"runs={self.runs} is not a folder.")
        return tuple(problems.found)


def _request(recipe: Path | None, arguments: PlanArguments, delta: Any, beside: BesidePlan) -> CheckRequest:
    """Raises UsageError with all that is wrong with the call and that no rule reports."""
    if recipe is None:
        return CheckRequest(_of_plan(arguments, delta, beside), {})
    return _of_recipe(recipe, arguments, delta, beside)


def _of_plan(arguments: PlanArguments, delta: Any, beside: BesidePlan) -> lint.LintContext:
    """The run that the options describe."""
    problems = list(beside.problems)
    if beside.runs is not None:
        problems.append("--runs finds runs on the data of a recipe, and a plan names no data. Leave it out.")
    plan: Plan | None = None
    settings, about_plan, parsed = arguments.settings, [], ParsedPlan(None, [], arguments.settings)
    try:
        if arguments.in_phases or arguments.spent:
            parsed = _parsed(arguments, beside)
            plan, settings, about_plan = parsed.plan, parsed.known, parsed.problems
        else:
            plan = lint.plan_of(settings)
    except UsageError as error:
        about_plan = list(error.problems)
    if beside.cap is not None and settings.examples is None:
        problems.append("--cap needs --n: how often a batch exceeds it depends on the number of examples.")
    problems += beside.too_many_owned(settings.examples)
    deltas, others = resolve(settings, (delta,), EXACT, *problems)
    if about_plan or others:
        raise PlanError([*about_plan, *others])
    return lint.LintContext(
        settings=settings,
        plan=plan,
        delta=deltas[0],
        claim=beside.claim,
        loop=beside.loop(plan),
        trials=beside.trials or 1,
        names=parsed.names,
        said=parsed.said,
        in_trials=parsed.in_trials,
        answers=any(each is not None for each in parsed.accuracies),
        owned=beside.owners or 1,
        in_plan_file=any(_is_whole_plan(Path(file)) for file in arguments.files),
    )


def _parsed(arguments: PlanArguments, beside: BesidePlan) -> ParsedPlan:
    """The phases, under the neighbours of the claim where they do not add up or are not drawn under others: what is
    written phase by phase, and a run beside an earlier one, says none of its own."""
    parsed = parse(arguments)
    if beside.adjacency is None or (parsed.plan is not None and _by_poisson(parsed.plan)):
        return parsed
    claimed = arguments.settings.with_(adjacency=named(beside.adjacency))
    under_claim = parse(dataclasses.replace(arguments, settings=claimed))
    return parsed if under_claim.plan is None else under_claim


def _of_recipe(file: Path, arguments: PlanArguments, delta: Any, beside: BesidePlan) -> CheckRequest:
    """The run of the recipe, and what it silences. Of the plan's options only --n may be given."""
    from dpplan import recipe
    from dpplan.commands.shared.recipe_data import known
    from dpplan.recipe import lint_input

    n, problems = arguments.settings.examples, list(beside.problems)
    if arguments != PlanArguments(Settings(examples=n)) or delta is not None:
        problems.append("a recipe says all of its plan itself; of the options of a plan only --n may be given with it.")
    if beside.of_a_loop:
        problems.append(
            f"{' and '.join(beside.of_a_loop)}: a recipe is run by `dpplan train`, which does nothing of the kind."
        )
    if problems:
        raise UsageError(problems)
    job = recipe.load(file)
    with waiting.status("looking at the data and the model"):
        about = known(job, n)
    if too_many := beside.too_many_owned(about.examples):
        raise UsageError(too_many)
    folder = beside.runs or Path(job.runtime.folder)
    run = lint_input.context_of(
        job,
        about.examples,
        claim=beside.claim,
        loop=beside.loop(None),
        model=about.model,
        facts=about.data,
        earlier=lint.runs_in(folder, job.data.source, job.data.path),
        trials=beside.trials or 1,
        owned=beside.owners or 1,
        typed=about.typed,
    )
    own = lint.run_of_recipe(file, job.sha256, run.plan, folder, run.earlier)
    if own is not None:
        run = dataclasses.replace(run, own=own, earlier=tuple(each for each in run.earlier if each is not own))
    return CheckRequest(run, lint_input.silence_of(job))


def _reasons(silence: Sequence[str]) -> dict[str, str]:
    """Code -> reason, as typed. Raises UsageError for a code that is said twice."""
    pairs = [each.partition("=") for each in silence]
    codes = [code.strip().upper() for code, _, _ in pairs]
    if twice := [code for code in dict.fromkeys(codes) if codes.count(code) > 1]:
        raise UsageError([f"silence={code} is given {codes.count(code)} times. Give one reason." for code in twice])
    return {code: reason.strip() for code, (_, _, reason) in zip(codes, pairs, strict=True)}
