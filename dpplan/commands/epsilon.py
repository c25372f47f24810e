"""dpplan epsilon: what a plan costs at a delta."""

from collections.abc import Iterable
from typing import Any

import click

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.commands import options, screen
from dpplan.commands.options import Asked, Choice
from dpplan.errors import BudgetExceeded
from dpplan.plan import Delta, Settings
from dpplan.render import text

HELP = """The ε that a plan spends at a δ, with what is proven about it.

A plan is the noise multiplier, the sample rate (--q, or --n and --batch) and the length (--steps or --epochs).

\b
  dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5
  dpplan epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan epsilon --sigma 1 --q 1/79 --epochs 10 --delta 1e-5 --delta 1e-6
  dpplan epsilon --sigma 4 --q 0.01 --steps 1e4 --delta 1e-5 --accountant all
  dpplan epsilon --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --max-eps 1 --json

--max-eps holds the proven upper bound against the limit, an estimate where nothing is proven, and with --accountant
all the least of the proven upper bounds.

Exit status: 0 done, and within --max-eps; 1 above --max-eps; 2 the call makes no sense as put; 3 nothing could
be certified.
"""


@click.command("epsilon", help=HELP, short_help="What a plan costs: its ε at a δ.")
@options.plan
@options.deltas(several=True)
@options.accountant()
@options.max_epsilon
@options.explain
@options.as_json
def command(
    settings: Settings, delta: tuple[Any, ...], choice: Choice, max_epsilon: Any, explain: bool, as_json: bool
) -> None:
    asked = options.settle(
        settings, delta, choice, *options.limit("max_eps", max_epsilon) if max_epsilon is not None else ()
    )
    if choice.every:
        held = _compare(asked, choice, max_epsilon, explain, as_json)
    else:
        bounds = [
            accounting.epsilon(asked.plan, one.value, choice.name, **choice.options(choice.name))
            for one in asked.deltas
        ]
        held = list(zip(asked.deltas, bounds, strict=True))
        _show(asked, held, max_epsilon, explain, as_json)
    for one, bound in held:
        if max_epsilon is not None and bound.value > max_epsilon:
            raise BudgetExceeded(text.exceeded(bound, one.value, max_epsilon))


def _show(
    asked: Asked, answers: list[tuple[Delta, Bound]], max_epsilon: float | None, explain: bool, as_json: bool
) -> None:
    """One accountant: a headline for one delta, a table for several."""
    if as_json:
        from dpplan.render import data

        results = [data.spent_epsilon(delta, bound) for delta, bound in answers]
        screen.as_json(data.document("epsilon", asked.plan, results, asked.warnings, **_limit(max_epsilon, answers)))
        return
    screen.answers([(delta.value, bound) for delta, bound in answers])
    screen.say(text.plan_rows(asked.plan, asked.deltas))
    for delta, bound in answers if explain else ():
        screen.say(["", *text.explanation(bound, delta.value if len(answers) > 1 else None)])
    screen.warn(asked.warnings)


def _compare(
    asked: Asked, choice: Choice, max_epsilon: float | None, explain: bool, as_json: bool
) -> list[tuple[Delta, Bound]]:
    """Every accountant, one table for each delta. Returns the bound that a limit is held against."""
    from dpplan import compare
    from dpplan.render import data, tables

    given = {name: choice.options(name) for name in accounting.ACCOUNTANTS}
    answers = [(delta, compare.accountants(asked.plan, delta.value, given)) for delta in asked.deltas]
    held = [(delta, _least(row.bound for row in answer.rows)) for delta, answer in answers]
    if as_json:
        results = [result for delta, answer in answers for result in data.comparison(answer, delta)]
        screen.as_json(data.document("epsilon", asked.plan, results, asked.warnings, **_limit(max_epsilon, held)))
        return held
    for delta, answer in answers:
        screen.say([f"at δ = {show(delta.value)}"])
        screen.show(tables.accountants(answer.rows, timed=False))
        screen.say([""])
    screen.say(text.plan_rows(asked.plan, asked.deltas))
    for delta, answer in answers if explain else ():
        for row in answer.rows:
            if row.bound is not None:
                screen.say(["", *text.explanation(row.bound, delta.value, named=True)])
    screen.warn(asked.warnings)
    return held


def _least(bounds: Iterable[Bound | None]) -> Bound:
    """The bound that proves most: what is true of the plan, whoever showed it."""
    proven = (bound for bound in bounds if bound is not None and bound.upper is not None)
    return min(proven, key=lambda bound: bound.value)


def _limit(max_epsilon: float | None, answers: list[tuple[Delta, Bound]]) -> dict[str, object]:
    if max_epsilon is None:
        return {}
    return {"max_eps": max_epsilon, "within": all(bound.value <= max_epsilon for _, bound in answers)}
