"""What an answer is held against: --max-eps and --accept-estimate; and whether a limit or a target makes sense."""

from collections.abc import Sequence
from typing import Any

import click

from dpplan.checks import Problems
from dpplan.commands.shared.parameter_types import NUMBER

max_epsilon = click.option(
    "--max-eps", "max_epsilon", type=NUMBER, help="Exit with status 1 if ε is above this, and 3 if nothing proves it."
)
accept_estimate = click.option(
    "--accept-estimate", is_flag=True, help="Let an estimate meet the limit, though nothing is proven."
)


def positive(name: str, value: Any) -> list[str]:
    """What is wrong with an epsilon that is a limit or a target; nothing where none was given."""
    problems = Problems()
    if value is not None:
        problems.positive(name, value, try_="Epsilon counts nats of privacy loss; 1 to 10 are common.")
    return problems.found


def at_least_zero(name: str, values: Sequence[Any]) -> list[str]:
    """What is wrong with the epsilons a delta is asked at."""
    problems = Problems()
    problems.require(len(values) > 0, f"{name} is missing: give --{name}, once or several times.")
    for value in values:
        problems.at_least(name, value, 0, try_="Epsilon counts nats of privacy loss.")
    return problems.found
