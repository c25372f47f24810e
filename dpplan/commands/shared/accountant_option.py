"""--accountant, and the options that single accountants take, as these describe themselves."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import click

from dpplan import accounting
from dpplan.accounting.accountant_description import AccountantOption
from dpplan.accounting.other_accountants import unknown
from dpplan.checks import Problems
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, Name
from dpplan.commands.shared.plan_arguments import Command, Decorator, in_order
from dpplan.quick_dataclass import dataclass

EVERY = "all"
EVERYONE = (*accounting.ACCOUNTANTS, EVERY)


def _taken() -> tuple[dict[str, AccountantOption], dict[str, tuple[str, ...]]]:
    """Every option by name, and who takes it."""
    options: dict[str, AccountantOption] = {}
    takers: dict[str, tuple[str, ...]] = {}
    for name in accounting.ACCOUNTANTS:
        for option in accounting.describe(name).options:
            options.setdefault(option.name, option)
            takers[option.name] = (*takers.get(option.name, ()), name)
    return options, {option: tuple(sorted(names)) for option, names in takers.items()}


_OPTIONS, _TAKERS = _taken()
# Option -> the accountants that take it, under that name.
TAKERS: Mapping[str, tuple[str, ...]] = MappingProxyType(_TAKERS)


@dataclass(frozen=True, slots=True)
class AccountantChoice:
    """The accountant that was asked for, or all of them, and what was said to some. known: what may be asked for.
    said: whether anybody asked for it; else it is who is asked when nothing is said."""

    name: str
    given: dict[str, object]
    known: tuple[str, ...] = EVERYONE
    said: bool = True

    @property
    def every(self) -> bool:
        return self.name == EVERY

    def options(self, accountant: str) -> dict[str, object]:
        return {option: value for option, value in self.given.items() if accountant in TAKERS[option]}

    def by_accountant(self) -> dict[str, dict[str, object]]:
        """What each accountant was told."""
        return {name: self.options(name) for name in accounting.ACCOUNTANTS}

    def problems(self) -> list[str]:
        problems = Problems()
        if self.name not in self.known:
            problems.add(unknown(self.name, self.known))
        elif not self.every:
            for option in self.given:
                takers = TAKERS[option]
                problems.require(
                    self.name in takers,
                    f"{_OPTIONS[option].flag} is for {' and '.join(takers)}, and the accountant is {self.name}. "
                    f"Leave it out, or say --accountant {takers[0]}.",
                )
        for option, value in self.given.items():
            _OPTIONS[option].check(problems, value)
        return problems.found


EXACT = AccountantChoice("exact", {})


def flag(option: str) -> str:
    """How an option that some accountant takes is typed."""
    return _OPTIONS[option].flag


def accountant(every: bool = True) -> Decorator:
    """--accountant and what some accountants can be told. The command receives `choice`."""
    known = EVERYONE if every else tuple(accounting.ACCOUNTANTS)
    name = click.option(
        "--accountant", type=Name(known), default="exact", show_default=True,
        help="Who computes. Where nothing is said, rdp takes the place of exact for mechanisms of which exact proves a "
        "larger upper bound, or none.",
    )  # fmt: skip

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(accountant: str, **values: Any) -> None:
            typed = click.get_current_context().get_parameter_source("accountant")
            said = typed not in (None, click.core.ParameterSource.DEFAULT)
            command(**_chosen(accountant, values, known, said))

        return in_order([name, *_decorators()])(gathered)

    return decorate


def accountant_options(command: Command) -> Command:
    """The options of single accountants, for a command that asks them all. The command receives `choice`."""

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        command(**_chosen(EVERY, values))

    return in_order(_decorators())(gathered)


def _decorators() -> list[Decorator]:
    return [
        click.option(
            option.flag,
            option.name,
            type=Name(option.choices) if option.choices else NUMBER if option.between else COUNT,
            help=option.help.format(takers=" and ".join(TAKERS[option.name])),
        )
        for option in _OPTIONS.values()
    ]


def _chosen(name: str, values: dict[str, Any], known: tuple[str, ...] = EVERYONE, said: bool = True) -> dict[str, Any]:
    """The values of a command, with its accountant and what that was told gathered into `choice`."""
    told = {option: values.pop(option) for option in TAKERS}
    given = {option: value for option, value in told.items() if value is not None}
    return {"choice": AccountantChoice(name, given, known, said), **values}
