"""The options that several commands share, and how what was typed becomes a plan, deltas and an accountant.

Text that is no number is not refused here but handed on as it is: the checks of the plan then report it together
with everything else that is wrong.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import click

from dpplan import accounting
from dpplan.checks import Problems, did_you_mean, is_number
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Delta, Plan, Settings, delta_warning, resolve_delta

Command = Callable[..., None]
Decorator = Callable[[Command], Command]
EVERY = "all"
EVERYONE = (*accounting.ACCOUNTANTS, EVERY)
# Option -> the accountants that take it, under that name.
OPTIONS: dict[str, tuple[str, ...]] = {"conversion": ("rdp", "zcdp"), "max_lambda": ("moments",)}
CONVERSIONS = ("cks", "classic")
_FIELDS = ("noise_multiplier", "sample_rate", "steps", "examples", "batch_size", "epochs")


class Percentage(Fraction):
    """A rate that was written in percent: what was meant is plain, and which figure was meant should be too."""


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4; at run time older ones do
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return float(value)
        except ValueError:
            return value


class Count(Number):
    """A whole number, also as 6e4 or 60_000; through a float, so exact up to 2^53."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return int(number) if isinstance(number, float) and number.is_integer() else number


class Rate(Number):
    """A number or a fraction, which stays exact."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value).replace(" ", "")
        try:
            if text.endswith("%"):
                return Percentage(Fraction(float(text[:-1])) / 100)
            return Fraction(text) if "/" in text else super().convert(text, param, ctx)
        except (ValueError, OverflowError, ZeroDivisionError):
            return value


class Name(click.Choice):  # type: ignore[type-arg]
    """One of several names. A wrong one is reported with the other problems of the call, not before them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value


NUMBER, COUNT, RATE = Number(), Count(), Rate()


@dataclass(frozen=True, slots=True)
class Choice:
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
class Asked:
    """A call that makes sense: the plan, where it is to be judged, and what is worth a warning."""

    plan: Plan
    deltas: tuple[Delta, ...]
    warnings: tuple[str, ...]


def plan(command: Command) -> Command:
    """The options that describe a run. The command receives them as `settings`."""
    options = [
        click.option(
            "--sigma",
            "--noise-multiplier",
            "noise_multiplier",
            type=NUMBER,
            help="Noise multiplier σ: standard deviation of the noise on the summed gradients, divided by the clip "
            "norm. It is not that of the noise on the mean gradient: the batch size plays no part in it.",
        ),
        click.option(
            "--q",
            "--sample-rate",
            "sample_rate",
            type=RATE,
            help="Sample rate: the chance of each example to be in a batch. A number or a fraction: 0.01, 1/79.",
        ),
        click.option("--steps", type=COUNT, help="Noisy updates."),
        click.option("--n", "--examples", "examples", type=COUNT, help="Examples: 60000, 6e4 or 60_000."),
        click.option("--batch", "--batch-size", "batch_size", type=NUMBER, help="Expected examples per step."),
        click.option("--epochs", type=NUMBER, help="Expected passes over the data."),
    ]

    @functools.wraps(command)
    def gathered(**values: Any) -> None:
        fields = {name: values.pop(name) for name in _FIELDS}
        command(settings=Settings(**fields), **values)

    return _all(options)(gathered)


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
max_epsilon = click.option("--max-eps", "max_epsilon", type=NUMBER, help="Exit with status 1 if ε is above this.")


def settle(settings: Settings, deltas: Sequence[Any] | None, choice: Choice, *more: str) -> Asked:
    """The plan and the deltas, one derived from n where none was given; None where the question has no delta.

    more: problems found by the command itself.

    Raises PlanError holding everything that is wrong with the call. A delta that is too large for the data is
    among it where there are other problems, and a warning where there are none.
    """
    found, plan = [], None
    try:
        plan = settings.plan()
    except UsageError as error:
        found = list(error.problems)
    resolved, others = resolve(settings, deltas, choice, *more)
    warnings = cautions(settings, resolved)
    if plan is None or found or others:
        raise PlanError([*found, *others, *warnings])
    return Asked(plan, resolved, warnings)


def resolve(
    settings: Settings, deltas: Sequence[Any] | None, choice: Choice, *more: str
) -> tuple[tuple[Delta, ...], list[str]]:
    """The deltas, and what is wrong with the call apart from the plan."""
    resolved, found = [], []
    if isinstance(settings.sample_rate, Percentage):
        rate = float(settings.sample_rate)
        found.append(f"q={100 * rate:g}% is a percentage, where a fraction is meant. Write --q {rate:g}.")
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
    return {"choice": Choice(name, given, known), **values}


def _all(options: Sequence[Decorator]) -> Decorator:
    """Several options, in the order in which the help shall show them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
