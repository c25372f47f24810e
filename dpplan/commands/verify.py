"""dpplan verify: whether an old claim stands, and what to publish instead."""

from pathlib import Path

import click

from dpplan import verify
from dpplan.commands.shared import output, recorded_runs, waiting
from dpplan.commands.shared.parameter_types import FileName
from dpplan.errors import EXIT_EXCEEDED, EXIT_NOT_CERTIFIED, ReportError

HELP = """Whether the claims in REPORT stand: each is accounted anew, by this version.

REPORT is the folder of a run (dpplan verify runs/digits-001), its report.json, or what dpplan epsilon, delta, solve,
compare or check printed with --json; "-" reads it from standard input. Of a run, the steps that were really taken are
accounted; where they are fewer than planned, what they cost holds if nothing that was seen decided when to stop, and
the planned figure is the one to publish. Other runs on the same data that lie beside it are named. A claim stands
when it is no lower than the certified upper bound at the same δ (or ε), and is refuted when it is below the certified
lower one; every figure in the file is looked at, estimates too. What it was off by is shown, and what to publish
instead.

\b
  dpplan epsilon --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --json | \\
    dpplan verify -
  dpplan train recipes/digits.yaml --dry-run --json | \\
    dpplan verify - --json

Where the certified interval is too wide to tell, the figure is proven in ball arithmetic, which needs the extra
'prove'. Nothing in a report is signed: a file that was altered with care is believed.

Exit status: 0 all claims stand; 1 a claim is refuted; 2 REPORT is not a report, or contradicts itself and no claim in
it is refuted; 3 a claim can neither be certified nor refuted; 5 REPORT is there and cannot be read.

A run whose recipe.yaml is not the recipe that its report records, or whose folder counts more steps than the report
has, is not certified (3): a warning says in what they differ. Nor is one in whose folder an audit of its recipe lies
that found a violation, or a file of audits with a line that is none, so that nobody can tell what it found. A run over
its budget is told. One that was trained with --unaccounted claims nothing (3).
"""


@click.command("verify", help=HELP)
@click.argument("report", type=FileName(path_type=Path), metavar="REPORT")
@click.option("--prove/--no-prove", default=True, help="Whether a proof may settle what the interval cannot.")
@output.explain_option
@output.json_option
def command(report: Path, prove: bool, explain: bool, as_json: bool) -> None:
    from dpplan.render import verify as render

    document = recorded_runs.checked(report)
    with waiting.status("proving") as progress:
        verdicts = [verify.verify(claim, progress, proofs=prove) for claim in document.claims]
    refuted = any(verdict.standing is verify.Standing.REFUTED for verdict in verdicts)
    wrong = [claim.contradiction for claim in document.claims if claim.contradiction]
    if wrong and not refuted:  # what is refuted is shown, with the digits that refute it
        raise ReportError(wrong)
    others = _others(document)
    if as_json:
        output.as_json(render.document(document, verdicts, others))
    else:
        output.say(render.report(document, verdicts, output.paint, others))
        output.say(render.explanations(verdicts) if explain else ())
    standings = {verdict.standing for verdict in verdicts}
    if refuted:
        click.get_current_context().exit(EXIT_EXCEEDED)
    if verify.Standing.UNCERTAIN in standings:
        click.get_current_context().exit(EXIT_NOT_CERTIFIED)


def _others(document: verify.Document) -> tuple[str, dict[str, object]]:
    """The runs on the same examples that lie beside this one, as check and report count them: in words, and as JSON."""
    plans = [each for each in document.safe if each.plan is not None and each.quantity == "epsilon"]
    if document.folder is None or not plans or plans[-1].plan is None or plans[-1].broken:
        return "", {}
    from dpplan.report.other_runs import beside

    found = beside(plans[-1].plan, plans[-1].at, document.folder, document.recipe)
    if not found.names:
        return "", {}
    marked = {"unaccounted": list(found.unaccounted)} if found.unaccounted else {}
    return found.words, {"names": list(found.names), "together": found.together, "delta": found.delta, **marked}
