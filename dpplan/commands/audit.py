"""dpplan audit: do the scores of an attack contradict what a plan claims? Of a file, or of a run made for it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import dpplan
from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import (
    membership_audit,
    output,
    overwriting,
    plan_arguments,
    plan_files,
    recipe_data,
    waiting,
)
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.limit_options import at_least_zero
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, FileName, Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.plan_source import plan_of_file
from dpplan.commands.shared.request import requested
from dpplan.errors import EXIT_EXCEEDED, EXIT_NOT_CERTIFIED, PlanError

if TYPE_CHECKING:
    from dpplan.audit import AuditSettings, Hypothesis, Scores

HELP = """Whether an attack shows more than a plan allows: consistent or VIOLATION, and the ε that is proven at least.

Of a recipe (or the folder of a run, whose recipe it is), one run is made with canaries that pass through the trainer's
own sampler, clipping and noise, each in by a fair coin: gradients that lie in one coordinate each (white box), and
whole examples, by the last model's losses (black box): mislabelled held-out ones, numbers by lot, and held-out ones as
they are; how many of each is said by the recipe's audit block.
Canaries cost the real data nothing: each example is drawn, clipped and covered as planned. The model is discarded. What
was found is added to audits.jsonl in a run's folder, or to the file of --record, for dpplan report.

With --attack, membership inference as people run it: models of the recipe, each trained on its own coin-flipped half
of all examples, attacked by their losses with the others as shadows: loss, lira, lira-offline, rmia, or all. TPR at low
FPR stands beside the most that the plan allows; the verdict rests on the first model. What it says is private: it comes
from members. Models are kept in a folder (--cache) and trained once; a call that was broken off goes on.

Of a CSV file with the columns member and score, a line for each canary that was put into the data, or left out, by a
fair coin of its own before one run: the scores of any model, Opacus's too; a higher one says "in". They are held
against a plan (the options below, or --against a recipe, plan file, run or report), or against --eps at --delta.

`consistent` does not prove the plan: an attack sees a part. VIOLATION: the run is not as planned, said of a sound one
with chance 1 - confidence at most. What it finds, with what power: dpplan help audit.

\b
  dpplan audit recipes/audit-digits.yaml
  dpplan audit recipes/digits.yaml --attack lira --attack rmia --shadows 8
  dpplan audit recipes/scores.csv --sigma 10 --q 1 --steps 100 --delta 1e-5
  dpplan audit recipes/scores.csv --eps 3 --delta 1e-5 --method one-run
  dpplan audit recipes/scores.csv --against recipes/digits.yaml --json

(recipes/scores.csv: 500 canaries, as a run with μ = 1 scores them.)

\b
Methods:
  one-run-fdp       one run, the plan's own trade-off curve
  order-statistics  the same, of canaries that do not touch each other
  one-run           one run, (ε, δ) alone
  many-runs         every line a run of its own, by Clopper-Pearson
  gauss             one run of normal scores: an ESTIMATE, no verdict

Which canaries are guessed, and how many, must not depend on the scores: without --guesses, a fixed list of numbers is
tried on both sides and on one, and paid for by Bonferroni. order-statistics proves two to three times as much, and
holds only where each canary has a coordinate, noise and a draw of its own; the gradient canaries of a recipe are judged
by it where its sampling draws each example for itself. The lower bound of both is for a named family of mechanisms: the
same plan with other noise, or without a plan a Gaussian.

Exit status: 0 consistent, or nothing to compare with; 1 VIOLATION; 2 the call or the file makes no sense as put, or a
file would go where no folder is; 3 the plan cannot be certified, or a claim has nothing but an estimate beside it; 5 a
file that is there cannot be read, or one cannot be written.
"""
WHOLE = ("mislabelled", "random", "natural")  # canaries that are examples, in the order of `Canaries`
RUNS_ONLY = ("canaries", *WHOLE, "seed", "record", *membership_audit.ONLY_HERE)
NOTHING_TO_HOLD = (
    "An audit holds a claim against what an attack shows, and there is none. What the scores of an attack prove by "
    "themselves is told by `dpplan audit SCORES.csv --delta 1e-5`."
)
UNTOUCHED = (
    "order statistics hold only of canaries that do not touch each other: each with a coordinate, noise and a draw of "
    "its own. The file cannot show it; of losses, and of batches of a fixed size, take --method one-run-fdp."
)
METHODS = ("one-run-fdp", "order-statistics", "one-run", "many-runs", "gauss")
SIDES = ("both", "in")


@click.command("audit", help=HELP)
@click.argument("source", type=FileName(path_type=Path), metavar="SOURCE")
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.deltas(several=False)
@click.option("--against", type=FileName(path_type=Path), metavar="FILE", help="A recipe, plan file, run or report.")
@click.option("--eps", "epsilon", type=NUMBER, help="A stated ε, with --delta, in place of a plan.")
@click.option("--confidence", type=NUMBER, default=0.95, show_default=True, help="Of the verdict and the bound.")
@click.option("--canaries", type=COUNT, help="Of a recipe: how many gradient canaries, in place of its audit block.")
@click.option("--mislabelled", type=COUNT, help="Of a recipe: how many mislabelled ones.")
@click.option("--random", type=COUNT, help="Of a recipe: how many of numbers and labels by lot.")
@click.option("--natural", type=COUNT, help="Of a recipe: how many held-out examples as they are.")
@click.option("--seed", type=COUNT, help="Of a recipe: makes the run repeatable, for tests.")
@click.option(
    "--record", type=FileName(path_type=Path, dir_okay=False), metavar="FILE", help="Of a recipe: a file to keep it in."
)
@click.option("--method", type=Name(METHODS), default=METHODS[0], show_default=True, help="The theorem.")
@click.option("--guesses", type=COUNT, help="How many canaries are guessed, fixed before the scores were seen.")
@click.option("--side", type=Name(SIDES), default=SIDES[0], show_default=True, help="Of --guesses: both, or in alone.")
@click.option("--threshold", type=NUMBER, help="Of many-runs, fixed beforehand; without it, half of them choose it.")
@membership_audit.options
@output.json_option
def command(source: Path, arguments: PlanArguments, delta: Any, as_json: bool, **told: Any) -> None:
    whole = told["against"] is not None and plan_files.is_whole_plan(told["against"])
    problems = [*_problems(told), *_clashes(told, whole)]
    if whole:
        file, told["against"] = told["against"], None
        arguments = replace(arguments, files=(str(file), *arguments.files))
    if told["epsilon"] is not None:
        problems += at_least_zero("eps", (told["epsilon"],))
    if source.is_dir() or source.suffix.lower() in {".yaml", ".yml"}:
        violation = _of_a_run(source, arguments, delta, as_json, told, problems)
    else:
        violation = _of_scores(source, arguments, delta, as_json, told, problems)
    if violation:
        click.get_current_context().exit(EXIT_EXCEEDED)


def _of_scores(
    source: Path, arguments: PlanArguments, delta: Any, as_json: bool, told: dict[str, Any], problems: list[str]
) -> bool:
    from dpplan import audit
    from dpplan.recipe import bundled
    from dpplan.render import audit as render

    given = [f"--{name}" for name in RUNS_ONLY if told[name] is not None] + ["--attack"] * bool(told["attacks"])
    if given:
        problems.append(f"{', '.join(given)}: for the audit of a recipe, and {source} is none. Leave it out.")
    if not source.exists():
        instead = bundled.instead_of(source) or " Name the CSV file of an attack's scores, or a recipe."
        problems.append(f"{source}: no such file.{instead}")
    plan, at, warnings = _plan(arguments, delta, told, problems)
    settings = _settings(told, at)
    read = audit.read(source)
    warnings += audit.checked(read, str(source), coins=settings.method != "many-runs")
    warnings += [UNTOUCHED] if settings.method == "order-statistics" else []
    _fits(read, settings)
    if plan is not None:
        claim: Hypothesis | None = audit.Hypothesis.of_plan(plan, at)
    else:
        claim = None if told["epsilon"] is None else audit.Hypothesis.of_stated(float(told["epsilon"]), at)
    with waiting.status("auditing"):
        found = audit.audit(read, claim, settings)
    decided = [] if settings.method == "many-runs" else [(each.guesses, each.side) for each in found.attempts]
    equal = audit.equal_scores(read, str(source), decided)
    warnings += [f"the bound is above the claim: {render.BEYOND}"] if found.beyond_claim and as_json else []
    output.warn(equal)  # before a verdict that rests on little
    if as_json:
        output.as_json(render.document(found, [*equal, *warnings]))
    else:
        output.say([render.headline(found, output.paint), "", *render.rows(found), ""])
        if found.attempts:
            output.show(render.table(found))
    output.warn(warnings)
    if found.is_estimate and claim is not None:
        click.get_current_context().exit(EXIT_NOT_CERTIFIED)
    return bool(found.violation)


def _of_a_run(
    source: Path, arguments: PlanArguments, delta: Any, as_json: bool, told: dict[str, Any], problems: list[str]
) -> bool:
    from dpplan import recipe
    from dpplan.audit import on_file
    from dpplan.render import audit as render
    from dpplan.render import to_json
    from dpplan.verify.unaccounted import reason_in, refusal

    file = source / "recipe.yaml" if source.is_dir() else source
    if source.is_dir() and (marked := reason_in(source)):
        raise refusal(str(source), marked, None, NOTHING_TO_HOLD)
    _run_problems(source, arguments, delta, told, [*problems, *membership_audit.problems(told)])
    read = recipe.load(file)
    level, at = round(1.0 - float(told["confidence"]), 15), None if delta is None else float(delta)
    audited = {
        "recipe": {"name": read.name, "sha256": read.sha256},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "confidence": round(1.0 - level, 12),
        "dpplan": dpplan.__version__,
    }
    with recipe_data.needs_torch("dpplan audit of a recipe"):
        if told["attacks"]:
            return membership_audit.run(read, told, at, as_json, _record(source, told), audited)
        with waiting.status("loading torch"):
            from dpplan import train
            from dpplan.train import canaries

    said = read.audit
    counts = said.gradient_canaries, said.mislabelled_canaries, said.random_canaries, said.natural_canaries
    asked = (told["canaries"], *(told[name] for name in WHOLE))
    wanted = canaries.Canaries(*(mine if own is None else int(own) for mine, own in zip(counts, asked, strict=True)))
    with waiting.status("loading the data"):
        planned = train.plan(read, seed=told["seed"], over_budget=read.training.on_budget == "continue")
    with waiting.progress("steps") as progress:
        found = canaries.audited(planned, wanted, at, level, progress)
    measured = [(each.name, each.agrees) for each in found.measured]
    document = render.run_document(found.findings, measured, told["seed"], **audited)
    if (record := _record(source, told)) is not None:
        on_file.keep(record, to_json.dumps(document))
    if as_json:
        output.as_json(document)
    else:
        output.say([render.run_headline(found.findings, measured, output.paint), ""])
        output.say([*render.run_rows(found.findings, measured, level), ""])
        output.show(render.run_table(found.findings))
    return found.violation


def _record(source: Path, told: dict[str, Any]) -> Path | None:
    """Where what was found is kept: as asked for, or in the folder of the run that was audited."""
    from dpplan.audit import on_file

    if told["record"] is not None:
        return Path(told["record"])
    return source / (on_file.MEMBERS if told["attacks"] else on_file.CANARIES) if source.is_dir() else None


def _run_problems(
    source: Path, arguments: PlanArguments, delta: Any, told: dict[str, Any], problems: list[str]
) -> None:
    """Raises PlanError with all that is wrong with the audit of a recipe."""
    from dpplan.recipe.schema import canary_count

    checked = Problems()
    checked.found += problems
    others = [
        f"--{name}" for name, given in (("against", told["against"]), ("eps", told["epsilon"])) if given is not None
    ]
    others += [f"--{name}" for name in ("guesses", "threshold") if told[name] is not None]
    others += [f"--{name}" for name in ("method", "side") if _typed(name)]
    others += [name for name in _described(arguments) if name not in others]
    rule = (
        f"{source} is no table of scores, and what goes with one was given: {', '.join(others)}. A recipe says itself "
        "what it claims, and each kind of canary is judged by the theorem that holds for it: give it alone."
    )
    checked.require(not others, rule)
    if told["canaries"] is not None:
        canary_count(checked, "canaries", told["canaries"])
    for name in WHOLE:
        if told[name] is not None:
            checked.whole(name, told[name], least=0, try_="0 leaves them out.")
    if told["seed"] is not None:
        checked.whole("seed", told["seed"], least=0, try_="Any whole number will do.")
    if told["record"] is not None:
        checked.found += overwriting.no_folder("record", told["record"])
    if delta is not None:
        checked.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    if checked.found:
        raise PlanError(checked.found)


def _typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _problems(told: dict[str, Any]) -> list[str]:
    problems = Problems()
    if _typed("side") and told["guesses"] is None:
        problems.add(
            "side is of --guesses: without a number of them both sides are tried. Give --guesses, or leave it."
        )
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
    elif told["guesses"] is not None and told["method"] == "gauss":
        problems.add("guesses is for methods that guess; --method gauss looks at all scores. Leave it out.")
    return problems.found


def _described(arguments: PlanArguments) -> list[str]:
    """Which options say a plan; a plan file that --against names is one of them."""
    typed = list(plan_arguments.typed_of_plan(but=()))
    return typed or (["--against"] if arguments.files else [])


def _clashes(told: dict[str, Any], whole: bool) -> list[str]:
    """Where a claim is named or stated: what else says one. Beside a recipe --n may stand, of what it trains on; what
    stands beside a whole plan is judged with it."""
    named = [name for name, key in (("--against", "against"), ("--eps", "epsilon")) if told[key] is not None]
    recipe = named == ["--against"]
    said = [*named, *([] if recipe and whole else plan_arguments.as_one(but=("--n",) if recipe else ()))]
    return plan_arguments.one_of(said, "what is claimed") if named else []


def _plan(
    arguments: PlanArguments, delta: Any, told: dict[str, Any], problems: list[str]
) -> tuple[Any, float, list[str]]:
    """The plan that is claimed, if any, the δ, and warnings. Raises PlanError with all that is wrong; what a plan lacks
    that stands beside a stated ε is not, as one of the two has to go."""
    described = told["against"] is None and bool(_described(arguments))
    if described and told["epsilon"] is None:
        call = requested(arguments, (delta,), AccountantChoice("exact", {}), *problems)
        return call.plan, call.deltas[0].value, list(call.warnings)
    checked = Problems()
    checked.found += problems
    if told["against"] is None and not described:
        need = "delta is missing: a lower bound on ε means nothing without one. Give --delta."
        checked.require(delta is not None, need)
    if delta is not None:
        checked.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    if checked.found:
        raise PlanError(checked.found)
    if told["against"] is None:
        return None, float(delta), []
    return plan_of_file(told["against"], delta, arguments.settings.examples, claimed=False)


def _settings(told: dict[str, Any], delta: float) -> "AuditSettings":
    from dpplan import audit

    return audit.AuditSettings(
        delta=delta,
        level=round(1.0 - float(told["confidence"]), 15),
        method=told["method"],
        guesses=None if told["guesses"] is None else int(told["guesses"]),
        side=told["side"],
        threshold=told["threshold"],
    )


def _fits(scores: "Scores", settings: "AuditSettings") -> None:
    if settings.guesses is not None and settings.guesses > scores.canaries:
        raise PlanError(f"guesses={settings.guesses} exceeds the {scores.canaries} canaries. Lower --guesses.")
    if settings.guesses == 1 and settings.side == "both":
        raise PlanError("guesses=1 leaves none for a side of two. Take --guesses 2 or more, or --side in.")
    if settings.method == "many-runs" and settings.threshold is None and scores.canaries < 4:
        raise PlanError(
            f"{scores.canaries} scores are too few to choose a threshold from half of them. Give --threshold."
        )
