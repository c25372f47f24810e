"""dpplan delta: what a plan costs at an epsilon."""

from collections.abc import Sequence
from typing import Any

import click

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.commands import options, screen
from dpplan.commands.options import Choice
from dpplan.compare import Row
from dpplan.errors import NotCertified
from dpplan.plan import Plan, Settings
from dpplan.render import text

HELP = """The δ that a plan spends at an ε: the inverse of dpplan epsilon.

\b
  dpplan delta --eps 2 --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan delta --eps 1 --eps 2 --sigma 4 --q 0.01 --steps 10000
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --accountant rdp

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified.
"""


@click.command("delta", help=HELP, short_help="What a plan costs: its δ at an ε.")
@click.option("--eps", "epsilons", type=options.NUMBER, multiple=True, help="The ε. May be given several times.")
@options.plan
@options.accountant(every=True)
@options.explain
@options.as_json
def command(epsilons: tuple[Any, ...], settings: Settings, choice: Choice, explain: bool, as_json: bool) -> None:
    asked = options.settle(settings, None, choice, *options.at_least_zero("eps", epsilons))
    answers = [(epsilon, _answers(asked.plan, epsilon, choice)) for epsilon in epsilons]
    bounds = [(epsilon, row.bound) for epsilon, rows in answers for row in rows if row.bound is not None]
    if as_json:
        from dpplan.render import data

        compared = [data.compared(row, "delta", {"epsilon": epsilon}) for epsilon, rows in answers for row in rows]
        results = compared if choice.every else [data.spent_delta(epsilon, bound) for epsilon, bound in bounds]
        screen.as_json(data.document("delta", asked.plan, results, asked.warnings))
        return
    if choice.every:
        _compare(answers)
    else:
        screen.answers(bounds)
    screen.say(text.plan_rows(asked.plan))
    for epsilon, bound in bounds if explain else ():
        screen.say(["", *text.explanation(bound, epsilon if len(bounds) > 1 else None, choice.every)])


def _answers(plan: Plan, epsilon: float, choice: Choice) -> list[Row]:
    """The accountant that was asked; when all were, each beside the exact one. One alone passes its refusal on."""
    if not choice.every:
        return [Row(choice.name, _delta(plan, epsilon, choice.name, choice), None, 0.0, None, False)]
    rows: list[Row] = []
    reference = _delta(plan, epsilon, "exact", choice)
    for name in accounting.ACCOUNTANTS:
        try:
            bound = _delta(plan, epsilon, name, choice)
        except NotCertified as refusal:
            rows.append(Row(name, None, str(refusal), 0.0, None, False))
            continue
        ratio = bound.value / reference.value if reference.value > 0 else None
        under = bound.estimate is not None and reference.lower is not None and bound.estimate < reference.lower
        rows.append(Row(name, bound, None, 0.0, ratio, under))
    return rows


def _delta(plan: Plan, epsilon: float, name: str, choice: Choice) -> Bound:
    return accounting.delta(plan, epsilon, name, **choice.options(name))


def _compare(answers: Sequence[tuple[float, list[Row]]]) -> None:
    from dpplan.render import tables

    for epsilon, rows in answers:
        screen.say([f"at ε = {show(epsilon)}"])
        screen.show(tables.accountants(rows, timed=False, quantity="delta"))
        screen.say([""])
