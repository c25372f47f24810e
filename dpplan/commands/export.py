"""dpplan export: a plan as other libraries take it."""

from typing import Any

import click

from dpplan.checks import did_you_mean
from dpplan.commands.shared import output, plan_arguments
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
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
--fields), and --delta goes with it alone.

--json wraps the same text: what it is for, the plan it was made of, the text, and what it holds where that is JSON.

What is written for the first three is read wherever a plan file or --spent is. What a library has no word for is
refused, exit 3.

Exit status: 0 done; 2 the call makes no sense as put; 3 the library has no word for this plan; 5 a file that is there
cannot be read.
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
    call = requested(arguments, (delta,) if library == "registry" else None, EXACT, *problems)
    if library == "registry":
        text = _entry(call.plan, float(call.deltas[0].value), state)
    else:
        text = render.text(str(library), call.plan)
    warnings = (*call.warnings, *render.warnings(str(library), call.plan))
    if as_json:
        output.as_json(render.document(str(library), call.plan, text, warnings))
        return
    click.echo(text, nl=False)
    output.warn(warnings)


def _entry(plan: Plan, delta: float, state: tuple[str, ...]) -> str:
    from dpplan import report

    stated = {key.strip().replace("-", "_"): text for key, _, text in (each.partition("=") for each in state)}
    return report.as_yaml(report.checked_entry(report.of_plan(stated.get("name", "plan"), plan, stated, delta)))
