"""dpplan solve: the one quantity that was left open, from a target epsilon."""

from typing import Any

import click

from dpplan.commands import options, screen
from dpplan.commands.options import Choice
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Settings
from dpplan.render import text

HELP = """The one quantity that is left open, so that the plan spends no more than --target-eps.

Leave out --sigma, the length (--steps or --epochs), or --batch. The answer is rounded to the safe side, its ε is
computed anew after that, and what the next value the other way would spend is shown beside it.

\b
  dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60
  dpplan solve --target-eps 3 --sigma 1.1 --n 60000 --batch 256
  dpplan solve --target-eps 3 --sigma 1.1 --n 60000 --steps 14000 --json
  dpplan solve --target-eps 2 --n 1e5 --q .01 --steps 1e4 --accountant rdp

Exit status: 0 done; 1 no value meets the target; 2 the call makes no sense as put; 3 nothing could be certified.
"""
# A value that fits any plan, to see what else is wrong with it.
_ANY = {"noise_multiplier": 1.0, "steps": 1, "epochs": 1.0, "batch_size": 1.0}


@click.command("solve", help=HELP, short_help="The noise, steps, epochs or batch that meets a target ε.")
@click.option("--target-eps", "target", type=options.NUMBER, help="The ε that the plan may spend.")
@options.plan
@options.deltas(several=False)
@options.accountant(every=False)
@options.explain
@options.as_json
def command(target: Any, settings: Settings, delta: Any, choice: Choice, explain: bool, as_json: bool) -> None:
    from dpplan import solve

    deltas, problems = options.resolve(settings, (delta,), choice, *_target_problems(target))
    if problems:
        raise PlanError([*_plan_problems(settings), *problems, *options.cautions(settings, deltas)])
    warnings = options.cautions(settings, deltas)
    found = solve.solve(settings, target, deltas[0].value, choice.name, **choice.options(choice.name))
    if as_json:
        from dpplan.render import data

        screen.as_json(data.document("solve", found.plan, [data.solution(found, deltas[0])], warnings))
        return
    screen.say(text.solution(found, deltas[0], screen.paint))
    if explain:
        screen.say(["", *text.explanation(found.spent)])
    screen.warn(warnings)


def _target_problems(target: Any) -> list[str]:
    return ["the target is missing: give --target-eps."] if target is None else options.limit("target_eps", target)


def _plan_problems(settings: Settings) -> list[str]:
    """What is wrong with the plan, whatever the unknown turns out to be."""
    from dpplan import solve

    try:
        settings.with_(**{(unknown := solve.unknown(settings)): _ANY[unknown]}).plan()
    except UsageError as error:
        return list(error.problems)
    return []
