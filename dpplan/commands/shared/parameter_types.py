"""What is typed about a run: its quantities, their names and how they are read; and all of it together.

Text that is no number is not refused here but handed on as it is: the checks of the plan then report it together
with everything else that is wrong.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import click

from dpplan.plan import Plan, Settings


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


NUMBER, COUNT, RATE = Number(), Count(), Rate()


class Setting(NamedTuple):
    """One quantity of a run: what it is called when it is typed, how it is read, and what it is."""

    names: tuple[str, ...]
    type: Number
    help: str


SETTINGS: dict[str, Setting] = {
    "noise_multiplier": Setting(
        ("--sigma", "--noise-multiplier"),
        NUMBER,
        "Noise multiplier σ: standard deviation of the noise on the summed gradients, divided by the clip "
        "norm. It is not that of the noise on the mean gradient: the batch size plays no part in it.",
    ),
    "sample_rate": Setting(
        ("--q", "--sample-rate"),
        RATE,
        "Sample rate: the chance of each example to be in a batch. A number or a fraction: 0.01, 1/79.",
    ),
    "steps": Setting(("--steps",), COUNT, "Noisy updates."),
    "examples": Setting(("--n", "--examples"), COUNT, "Examples: 60000, 6e4 or 60_000."),
    "batch_size": Setting(("--batch", "--batch-size"), NUMBER, "Expected examples per step."),
    "epochs": Setting(("--epochs",), NUMBER, "Expected passes over the data."),
}


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """What was said about a run: in the options of a single phase, or phase by phase; and what ran before it.

    settings: the options. phases, spent: phases as they were typed, or files of them; files: of phases.
    """

    settings: Settings
    phases: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    spent: tuple[str, ...] = ()

    @property
    def in_phases(self) -> bool:
        return bool(self.phases or self.files)


@dataclass(frozen=True, slots=True)
class ParsedPlan:
    """What was made of it. plan: None where there are problems. known: what a delta is judged by.

    earlier: how many of the plan's first phases ran before.
    """

    plan: Plan | None
    problems: list[str]
    known: Settings
    earlier: int = 0


def percentage(settings: Settings) -> list[str]:
    """A sentence when the sample rate was written in percent."""
    if not isinstance(settings.sample_rate, Percentage):
        return []
    rate = float(settings.sample_rate)
    return [f"q={100 * rate:g}% is a percentage, where a fraction is meant. Write --q {rate:g}."]
