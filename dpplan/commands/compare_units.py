"""dpplan compare units: what a run costs a user with several examples."""

from pathlib import Path
from typing import Any

import click

from dpplan.checks import Problems
from dpplan.commands.shared import output, plan_arguments, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import COUNT
from dpplan.commands.shared.request import cautions, resolve
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Settings

HELP = """What a run costs a user with up to K examples, protected in three ways.

group: what the figure of one example says of K; one by one: K examples drawn and clipped by themselves, exact; whole:
users drawn at the same rate, and their sums clipped. K is given, or read from a column of a CSV file that says whose
each row is. What is read there is private, and so is a K chosen by it.

\b
  dpplan compare units --max-per-user 4 --sigma 2 --q .01 --steps 1000 \\
    --delta 1e-6
  dpplan compare units --users ratings.csv:user --max-per-user 8 \\
    --sigma 1 --n 100000 --batch 500 --epochs 3

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified; 5 a file that is there cannot be
read.
"""


@click.command("units", help=HELP)
@plan_arguments.plan
@plan_arguments.deltas(several=False)
@click.option("--max-per-user", type=COUNT, help="K: no user has more examples than this.")
@click.option("--users", metavar="FILE:COLUMN", help="A CSV file, and the column that says whose each row is.")
@output.json_option
def command(settings: Settings, delta: Any, max_per_user: Any, users: str | None, as_json: bool) -> None:
    from dpplan.compare.units import counted, units
    from dpplan.render import compare_units as render
    from dpplan.render import plan_rows

    problems = Problems()
    if max_per_user is not None:
        problems.whole("max_per_user", max_per_user, try_="It is the most examples of one user.")
    rule = (
        "max_per_user is missing, the most examples that a user has: give --max-per-user, or --users FILE:COLUMN to "
        "read it from the data."
    )
    problems.require(max_per_user is not None or users is not None, rule)
    name, _, column = (users or "").rpartition(":")
    problems.require(
        users is None or bool(name and column), f"users={users} is no FILE:COLUMN. Write ratings.csv:user."
    )
    try:
        settings.plan()
    except UsageError as error:
        problems.found += error.problems
    deltas, others = resolve(settings, (delta,), EXACT, *problems.found)
    if others:
        raise PlanError([*others, *cautions(settings, deltas)])
    with waiting.status("computing"):
        counts = None if users is None else counted(Path(name), column)
        most = int(max_per_user) if max_per_user is not None or counts is None else counts.most
        found = units(settings, deltas[0].value, most)
    if as_json:
        output.as_json(render.document(found, counts))
        return
    output.say([plan_rows.at_delta(deltas[0])])
    output.show(render.table(found))
    if counts is not None:
        output.say(render.user_rows(counts, most))
    output.warn(cautions(settings, deltas))
