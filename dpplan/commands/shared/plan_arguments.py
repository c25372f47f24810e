"""The options that several commands share, and how what was typed becomes a plan, deltas and an accountant."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import click

from dpplan import accounting
from dpplan.checks import Problems, did_you_mean, is_number
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, RATE, SETTINGS, ParsedPlan, PlanArguments, percentage
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Delta, Plan, Settings, delta_warning, resolve_delta

# Commands find the types of their own options here, beside the options they share.
__all__ = ["COUNT", "NUMBER", "RATE", "PlanArguments"]
Command = Callable[..., None]
Decorator = Callable[[Command], Command]
EVERY = "all"
EVERYONE = (*accounting.ACCOUNTANTS, EVERY)
# Option -> the accountants that take it, under that name.
OPTIONS: dict[str, tuple[str, ...]] = {"conversion": ("rdp", "zcdp"), "max_lambda": ("moments",)}
CONVERSIONS = ("cks", "classic")


class Name(click.Choice):  # type: ignore[type-arg]
    """One of several names. A wrong one is reported with the other problems of the call, not before them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value


class FileName(click.Path):
    """A file or a folder. An empty name, such as an unset variable of the shell leaves, is not the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            named = "the name" if param is None else param.metavar or param.opts[0]
            name = param.opts[0] if isinstance(param, click.Option) else named.strip("[].")
            raise UsageError(f"{name} is empty: name a file or a folder.")
        return super().convert(value, param, ctx)


@dataclass(frozen=True, slots=True)
class AccountantChoice:
    """The accountant that was asked for, or all of them, and what was said to some. known: what may be asked for."""

    name: str
    given: dict[str, object]
    known: tuple[str, ...] = EVERYONE

    @property
    def every(self) -> bool:
        return self.name == EVERY

    def options(self, accountant: str) -> dict[str, object]:
        return {option: value for option, value in self.given.items() if accountant in OPTIONS[option]}

    def problems(self) -> list[str]:
        problems = Problems()
        if self.name not in self.known:
            hint = did_you_mean(self.name, self.known)
            problems.add(f"accountant={self.name} is not one of: {', '.join(self.known)}.{hint}")
        elif not self.every:
            for takers, option in ((OPTIONS[option], option) for option in self.given):
                problems.require(
                    self.name in takers,
                    f"--{option.replace('_', '-')} is for {' and '.join(takers)}, and the accountant is {self.name}. "
                    f"Leave it out, or say --accountant {takers[0]}.",
                )
        conversion = self.given.get("conversion", CONVERSIONS[0])
        problems.require(conversion in CONVERSIONS, f"conversion={conversion} is not one of: {', '.join(CONVERSIONS)}.")
        if "max_lambda" in self.given:
            problems.whole("max_lambda", cast(float, self.given["max_lambda"]), try_="The paper used 32.")
        return problems.found


@dataclass(frozen=True, slots=True)
class Request:
    """A call that makes sense: the plan, where it is to be judged, and what is worth a warning.

    earlier: how many of the plan's first phases ran before.
    """

    plan: Plan
    deltas: tuple[Delta, ...]
    warnings: tuple[str, ...]
    earlier: int = 0


def plan(command: Command) -> Command:
    """The options that describe a run. The command receives them as `settings`."""

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        fields = {name: values.pop(name) for name in SETTINGS}
        command(settings=Settings(**fields), **values)

    options = [click.option(*names, field, type=kind, help=what) for field, (names, kind, what) in SETTINGS.items()]
    return _all(options)(gathered)


def phases(command: Command) -> Command:
    """`plan`, and the options for runs of several phases. The command receives all of it as `said`."""

    @functools.wraps(command)
    def gathered(settings: Settings, phases: Any, files: Any, spent: Any, **values: Any) -> None:
        command(said=PlanArguments(settings, phases, files, spent), **values)

    several = [
        click.option(
            "--phase",
            "phases",
            multiple=True,
            metavar="KEY=VALUE,...",
            help="One phase of a run whose noise or batch changes, in the names of the options above: "
            "sigma=1.1,q=1/79,steps=1000. Repeat for each phase; --n may be given once for all.",
        ),
        click.option(
            "--phases",
            "files",
            multiple=True,
            metavar="FILE",
            help="A list of phases as YAML, JSON or CSV, with the same names.",
        ),
        click.option(
            "--spent",
            multiple=True,
            metavar="PHASE|FILE",
            help="An earlier run on the same data, written like --phase or --phases. Privacy that was spent adds up as "
            "further phases do: the answer is for everything together.",
        ),
    ]
    return plan(_all(several)(gathered))


def deltas(several: bool) -> Decorator:
    """--delta, as `delta`: a tuple when it may be given several times."""
    often = " May be given several times." if several else ""
    return click.option(
        "--delta",
        type=NUMBER,
        multiple=several,
        help=f"Chance of the guarantee not to hold. Without it: the largest power of ten ≤ 1 / (10 n).{often}",
    )


def accountant(every: bool = True) -> Decorator:
    """--accountant and what some accountants can be told. The command receives `choice`."""
    known = EVERYONE if every else tuple(accounting.ACCOUNTANTS)
    name = click.option("--accountant", type=Name(known), default="exact", show_default=True, help="Who computes.")

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def gathered(accountant: str, **values: Any) -> None:
            command(**_chosen(accountant, values, known))

        return _all([name, *_TOLD])(gathered)

    return decorate


def told(command: Command) -> Command:
    """The options of single accountants, for a command that asks them all. The command receives `choice`."""

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        command(**_chosen(EVERY, values))

    return _all(_TOLD)(gathered)


_TOLD = [
    click.option("--conversion", type=Name(CONVERSIONS), help="How rdp and zcdp turn into ε; cks is tighter."),
    click.option("--max-lambda", type=COUNT, help="The largest moment that moments tries; 32 when not given."),
]

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
explain = click.option("--explain", is_flag=True, help="Say how each figure came about.")
max_epsilon = click.option(
    "--max-eps", "max_epsilon", type=NUMBER, help="Exit with status 1 if ε is above this, and 3 if nothing proves it."
)
accept_estimate = click.option(
    "--accept-estimate", is_flag=True, help="Let an estimate meet the limit, though nothing is proven."
)


def settle(
    said: Settings | PlanArguments, deltas: Sequence[Any] | None, choice: AccountantChoice, *more: str
) -> Request:
    """The plan and the deltas, one derived from n where none was given; None where the question has no delta.

    more: problems found by the command itself.

    Raises PlanError holding everything that is wrong with the call. A delta that is too large for the data is
    among it where there are other problems, and a warning where there are none.
    """
    heard = hear(said)
    resolved, others = resolve(heard.known, deltas, choice, *more)
    warnings = cautions(heard.known, resolved)
    if heard.plan is None or others:
        raise PlanError([*heard.problems, *others, *warnings])
    return Request(heard.plan, resolved, warnings, heard.earlier)


def hear(said: Settings | PlanArguments) -> ParsedPlan:
    """The plan that was described, or all that is wrong with the description."""
    if isinstance(said, Settings):
        said = PlanArguments(said)
    if said.in_phases or said.spent:
        from dpplan.commands.shared import phase_arguments  # only such a call needs it

        return phase_arguments.hear(said)
    try:
        return ParsedPlan(said.settings.plan(), [], said.settings)
    except UsageError as error:
        return ParsedPlan(None, list(error.problems), said.settings)


def resolve(
    settings: Settings, deltas: Sequence[Any] | None, choice: AccountantChoice, *more: str
) -> tuple[tuple[Delta, ...], list[str]]:
    """The deltas, and what is wrong with the call apart from the plan."""
    resolved, found = [], percentage(settings)
    for delta in () if deltas is None else deltas or (None,):
        if delta is None and settings.examples is not None and not _is_count(settings.examples):
            continue  # the plan reports n, and without it there is nothing to say about delta
        try:
            resolved.append(resolve_delta(delta, settings.examples))
        except UsageError as error:
            found += error.problems
    return tuple(resolved), [*found, *choice.problems(), *more]


def cautions(settings: Settings, deltas: Sequence[Delta]) -> tuple[str, ...]:
    """A sentence for every delta that is too large for the data."""
    if not _is_count(settings.examples):
        return ()
    said = (delta_warning(delta.value, settings.examples) for delta in deltas)
    return tuple(sentence for sentence in said if sentence)


def limit(name: str, value: Any) -> list[str]:
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


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 1


def _chosen(name: str, values: dict[str, Any], known: tuple[str, ...] = EVERYONE) -> dict[str, Any]:
    """The values of a command, with its accountant and what that was told gathered into `choice`."""
    told = {option: values.pop(option) for option in OPTIONS}
    given = {option: value for option, value in told.items() if value is not None}
    return {"choice": AccountantChoice(name, given, known), **values}


def _all(options: Sequence[Decorator]) -> Decorator:
    """Several options, in the order in which the help shall show them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
