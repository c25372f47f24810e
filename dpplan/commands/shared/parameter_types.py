"""How what is typed is read: numbers, counts, rates, names and files.

Text that is no number is not refused here but handed on as it is: the checks of the plan then report it together
with everything else that is wrong.
"""

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from dpplan.checks import Problems, show
from dpplan.durable_files import name_too_long
from dpplan.errors import UsageError
from dpplan.number_spelling import DASHES, MOST_READ, Unread, doubtful_batch, doubtful_count, is_list, shortened


class Percentage(Fraction):
    """A rate that was written in percent: what was meant is plain, and which figure was meant should be too."""


class Number(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4; at run time older ones do
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = float(value)
        except ValueError:
            return value
        if number == 0 and isinstance(value, str) and re.match(r"[^eE]*[1-9]", value):
            return Unread.because(value, "It is below the least number there is here, 5e-324.")
        if math.isinf(number) and re.search(r"\d", str(value)):
            return Unread.because(str(value), "It is above the largest number there is here, 1.8e308.")
        return number


class Count(Number):
    """A whole number, also as 6e4 or 60_000; through a float, so exact up to 2^53."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and doubtful_count(value):
            return value  # 60.000 is sixty to some and sixty thousand to others: too few steps would be accounted
        number = super().convert(value, param, ctx)
        return int(number) if isinstance(number, float) and number.is_integer() else number


class Whole(click.ParamType):  # type: ignore[type-arg]  # as above
    """A whole number from `least` to `most`, of a setting that no plan checks: refused where it is typed."""

    name = "count"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        named = "value" if param is None else str(param.name)
        try:
            found: Any = int(value)  # exact, however large
        except ValueError:
            found = COUNT.convert(value, param, ctx)
        with Problems(UsageError) as problems:
            if problems.whole(named, found, self._least) and self._most is not None:
                problems.require(found <= self._most, f"{named}={show(found)} is more than {self._most}.")
        return int(found)


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


class Batch(Number):
    """An expected number of examples, whole or not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and (doubt := doubtful_batch(value)):
            return Unread.because(value, doubt)
        return super().convert(value, param, ctx)


class Below(float):
    """The largest float that is no more than the fraction that was typed, which no float is."""

    __slots__ = ()


class Chance(Number):
    """A δ: a number, or a fraction, of which no more is allowed than was typed."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            if param is not None and param.multiple and (each := _several(str(value).strip(), param.opts[0])):
                return Unread.because(value, each)
            exact = Fraction(str(value).replace(" ", "")) if "/" in str(value) else None
            return super().convert(value, param, ctx) if exact is None else _below(exact)
        except (ValueError, OverflowError, ZeroDivisionError):
            return value


def _several(text: str, option: str) -> str:
    """What to type for a list of numbers where an option may be given again and again; "" of anything else."""
    if len(text) > MOST_READ or not is_list(text):
        return ""
    each = " ".join(f"{option} {one}" for one in re.split(r"[\s,;|]+", text))
    return f"One number belongs to each {option}. Write {each}."


def _below(exact: Fraction) -> float:
    """Where a float holds it, a plain one. What underflows is refused for its size, and not for being 0."""
    nearest = float(exact) or math.copysign(5e-324, exact) * bool(exact)
    if Fraction(nearest) <= exact:
        return nearest if Fraction(nearest) == exact else Below(nearest)
    return Below(math.nextafter(nearest, -math.inf) or nearest)


NUMBER, COUNT, RATE, BATCH, CHANCE = Number(), Count(), Rate(), Batch(), Chance()


class Name(click.Choice):  # type: ignore[type-arg]
    """One of several names. A wrong one is reported with the other problems of the call, not before them.

    Where a name has a hyphen, an underscore in its place will do.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        hyphenated = str(value).replace("_", "-")
        return hyphenated if hyphenated in self.choices else value


class Device(click.Choice):  # type: ignore[type-arg]
    """Where to compute, by the names of torch, which knows no "gpu"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).lower() in ("gpu", "nvidia", "nv"):
            self.fail(f"'{value}' is not one of {', '.join(self.choices)}. Did you mean 'cuda'?", param, ctx)
        return super().convert(value, param, ctx)


def option_without_hyphens(word: str, context: click.Context | None) -> str:
    """A sentence for a word that is the name of an option of the command without its hyphens; "" for any other."""
    own = [] if context is None else [typed for each in context.command.params for typed in each.opts]
    meant = f"--{word.replace('_', '-')}"
    return f"'{word}' is left over: an option begins with two hyphens. Did you mean '{meant}'?" if meant in own else ""


class PlanFileName(click.ParamType):  # type: ignore[type-arg]  # as above
    """A plan file. What neither is there nor ends like one is a word that is left over, such as the rest of 10 000.

    what: may stand there, in words.
    """

    name = "plan"

    def __init__(self, what: str = "A plan file or the folder of a run") -> None:
        self.what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if "=" not in text and (wrong := name_too_long(Path(text))):
            raise click.UsageError(f"{shortened(text)} {wrong}", ctx)
        if "=" in text or text.lower().endswith((".yaml", ".yml", ".json", ".csv")) or Path(text).exists():
            return text
        if not text.strip() or text[0] in f"-{DASHES}" or text[0].isdigit():
            raise click.UsageError(f"Got unexpected extra argument ({text})", ctx)
        path = "dpplan" if ctx is None else ctx.command_path
        if meant := option_without_hyphens(text, ctx):
            raise click.UsageError(meant, ctx)
        from dpplan.recipe import bundled  # only a mistake needs it

        if instead := bundled.instead_of(Path(text)):
            raise click.UsageError(f"{shortened(text)}: no such file or folder.{instead}", ctx)
        raise click.UsageError(
            f"{shortened(text)}: no such file or folder, and it belongs to no option. {self.what} may stand there. See "
            f"{path} --help."
        )


class FileName(click.Path):
    """A file or a folder. An empty name, such as an unset variable of the shell leaves, is not the current folder.

    Whether a file can be read is found out by whoever reads it, in the words and with the exit code of every file. With
    dir_okay=False it is one to be written, and a folder is refused before anything is computed.
    """

    def __init__(self, *, dir_okay: bool = True, **about: Any) -> None:
        super().__init__(dir_okay=True, readable=False, **about)
        self.to_be_written = not dir_okay

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            named = "the name" if param is None else param.metavar or param.opts[0]
            name = param.opts[0] if isinstance(param, click.Option) else named.strip("[].")
            raise UsageError(f"{name} is empty: name a file or a folder.")
        if wrong := name_too_long(Path(value)):
            raise UsageError(f"{shortened(str(value))} {wrong}")
        if self.to_be_written and Path(value).is_dir():
            raise UsageError(f"{value}: cannot be written: Is a directory.")
        return super().convert(value, param, ctx)
