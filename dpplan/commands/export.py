"""dpplan export: a plan as other libraries take it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output, page_verdict, plan_arguments
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.recorded_runs import is_record, is_run
from dpplan.commands.shared.request import requested
from dpplan.errors import PlanError
from dpplan.plan import Plan
from dpplan.render import export as render

LIBRARIES = ("opacus", "dp-accounting", "jax-privacy", "registry")
REGISTRY = "the public registry of DP deployments (registry.opendp.org)"
# Where a δ is said to a library, beside which what is written holds none.
_ASKED = {
    "opacus": "a state holds none, and get_epsilon(delta=...) asks for it later",
    "dp-accounting": "an event holds none, and get_epsilon(target_delta=...) of an accountant asks for it later",
    "jax-privacy": "a configuration with its noise holds none, and whoever accounts for it there says δ",
}
HELP = """A plan as another library takes it, on standard output.

\b
  dpplan export --to opacus --sigma 1.1 --n 60000 --batch 256 --epochs 3
  dpplan export recipes/plans/dp-sgd-with-vocabulary.yaml --to dp-accounting
  dpplan export --to jax-privacy --sigma 1.1 --q 0.01 --steps 1000
  dpplan export --to registry --sigma 1 --q 0.01 --steps 9 --delta 1e-6 \\
    --state product=Dataset --state publication_date=2026-11-29

opacus is JSON: accountant_state for accountant.load_state_dict, what PrivacyEngine.make_private takes, and what Opacus
makes of n and the batch: q = 1/⌈n/B⌉, and ⌈n/B⌉ steps in an epoch; of noise that steps share and of other samplings it
is the cost alone, and says so (not_carried). dp-accounting is a DpEvent as JSON, class names and
fields; jax-privacy the fields of BandMFExecutionPlanConfig. registry is YAML, a draft of an entry of the public
registry of DP deployments (registry.opendp.org); what it asks for is stated with --state KEY=TEXT (dpplan report
--fields), and --delta goes with it alone. Of a run it is what dpplan report RUN --format registry writes: where a claim
of it does not stand, or an audit of its recipe found a violation, there is none, and the exit status is that of report.

--json wraps the same text: what it is for, the plan it was made of, the text, and what it holds where that is JSON.

What is written for the first three is read wherever a plan file or --spent is. What a library has no word for is
refused, exit 3.

Exit status: 0 done; 1 no entry: a claim of the run is refuted, or an audit found a violation; 2 the call makes no sense
as put; 3 the library has no word for this plan, or a claim of the run is not certified; 5 a file that is there cannot
be read.
"""


@click.command("export", help=HELP)
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@plan_arguments.deltas(several=False)
@click.option(
    "--to",
    "library",
    type=Name(LIBRARIES),
    help="opacus, dp-accounting, jax-privacy, or the public registry of DP deployments.",
)
@click.option(
    "--state",
    multiple=True,
    metavar="KEY=TEXT",
    help="With --to registry: one thing that an entry asks for; repeatable.",
)
@output.json_option
def command(arguments: PlanArguments, delta: Any, library: str | None, state: tuple[str, ...], as_json: bool) -> None:
    problems = [] if library else [f"it is not said for which library: give --to {', --to '.join(LIBRARIES)}."]
    if library and library not in LIBRARIES:
        problems.append(f"to={library} is not one of: {', '.join(LIBRARIES)}.{did_you_mean(library, LIBRARIES)}")
    if library != "registry":
        only = f"is for --to registry, an entry of {REGISTRY}"
        problems += [f"--state {only}. Leave it out, or say --to registry."] if state else []
        asked = _ASKED.get(library or "", "libraries ask for it later")
        problems += [f"--delta {only}: {asked}. Leave it out."] if delta is not None else []
    problems += [f"state={each} is not KEY=TEXT." for each in state if not all(each.partition("="))]
    if library == "registry":
        _entry(arguments, delta, state, as_json, problems)
        return
    call = requested(arguments, None, EXACT, *problems)
    text = render.text(str(library), call.plan)
    _say(str(library), call.plan, text, (*call.warnings, *render.warnings(str(library), call.plan)), as_json)


def _say(library: str, plan: Plan, text: str, warnings: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        output.as_json(render.document(library, plan, text, warnings))
        return
    click.echo(text, nl=False)
    output.warn(warnings)


def _entry(arguments: PlanArguments, delta: Any, state: tuple[str, ...], as_json: bool, problems: list[str]) -> None:
    """The entry of a run or of what a command printed, as dpplan report has it; of all else, of the plan alone."""
    from dpplan import report

    stated = {key.strip().replace("-", "_"): text for key, _, text in (each.partition("=") for each in state)}
    if (record := _record(arguments)) is not None:
        if delta is not None:
            checked = Problems(PlanError)
            checked.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
            problems += checked.found
        if problems:
            raise PlanError(problems)
        page = report.gather(record, stated, None if delta is None else float(delta))
        told = tuple(page_verdict.warnings(page, record))
        _say("registry", page.plan, page_verdict.registry_entry(page), told, as_json)
        page_verdict.finish(page)
        return
    call = requested(arguments, (delta,), EXACT, *problems)
    runs = [Path(each) for each in (*arguments.files, *arguments.spent) if "=" not in each and is_run(Path(each))]
    for each in runs:  # no entry counts a run of which nothing may be published, whatever else is said beside it
        if not (counted := report.gather(each, {})).holds:
            output.warn(tuple(page_verdict.warnings(counted, each)))
            page_verdict.finish(counted)
    page = report.of_plan(stated.get("name", "plan"), call.plan, stated, float(call.deltas[0].value))
    page = replace(page, together=tuple(each.name for each in runs))
    _say("registry", call.plan, page_verdict.registry_entry(page), call.warnings, as_json)


def _record(arguments: PlanArguments) -> Path | None:
    """The run, or what a command printed, that is all this call names; None of every other plan."""
    alone = len(arguments.files) == 1 and set(plan_arguments.typed_of_plan(but=())) <= {"files"}
    record = Path(arguments.files[0]) if alone else None
    return record if record is not None and is_record(record) else None
