"""What every scheme says of itself, and how one is asked for by name, with options of its own."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import ClassVar, Literal, Protocol

from dpplan.checks import Problems, did_you_mean, show
from dpplan.quick_dataclass import dataclass

# What an option of a scheme can be given; text that is no number is still text, and refused by the checks.
OptionValue = int | float | str
Options = Mapping[str, OptionValue]
ROUNDED = 1e-12  # of passes, relative: above the rounding of a rate and of its products


@dataclass(frozen=True, slots=True)
class Binomial:
    """The law of a batch size: so many trials, each with this chance."""

    trials: int
    chance: float

    @property
    def mean(self) -> float:
        return self.chance * self.trials

    @property
    def chance_of_none(self) -> float:
        return math.exp(self.trials * math.log1p(-self.chance)) if self.chance < 1 else 0.0

    def __str__(self) -> str:
        return f"Binomial({self.trials}, {self.chance:.4g})"


class Sampling(Protocol):
    """One scheme. A frozen dataclass whose fields are its settings, each a number, a word or None.

    kind: its name in JSON, on the command line and in recipes.
    """

    kind: ClassVar[str]

    @property
    def assumption(self) -> str:
        """What a figure says it takes for granted, in two or three words."""
        ...

    def expected_batch(self, examples: int) -> float:
        """The mean number of examples in the batch of one step."""
        ...

    def batch_law(self, examples: int) -> Binomial:
        """What the size of a batch is distributed like."""
        ...

    def epochs(self, steps: int) -> Fraction:
        """The expected number of passes over the data that `steps` steps make, without rounding."""
        ...

    def complete_epochs(self, steps: int) -> int:
        """The passes that are complete after `steps` steps."""
        ...


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that one scheme has and others have not.

    name: the field of the scheme's class, the key in JSON and, after two hyphens, the option. help: a phrase. choices:
    the words it may be; without any it is a whole number of at least 1. default: None where it has to be given.
    """

    name: str
    help: str
    choices: tuple[str, ...] = ()
    default: OptionValue | None = None

    @property
    def kind(self) -> Literal["word", "whole"]:
        return "word" if self.choices else "whole"

    def check(self, problems: Problems, value: OptionValue) -> None:
        if self.choices:
            rule = (
                f"{self.name}={value} is not one of: {', '.join(self.choices)}.{did_you_mean(str(value), self.choices)}"
            )
            problems.require(value in self.choices, rule)
        else:
            problems.whole(self.name, value, try_=f"It is {self.help}.")  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class SchemeSettings:
    """What was said of how batches are drawn. rate: q; options: those of the scheme, with their defaults."""

    rate: Fraction | None
    examples: int | None
    batch_size: Fraction | None
    options: Options

    @property
    def share(self) -> Fraction | None:
        """batch / n, where both were said."""
        known = self.batch_size is not None and self.examples is not None
        return self.batch_size / self.examples if known and self.batch_size and self.examples else None

    def whole(self, option: str) -> int:
        return int(self.options[option])


def passes_complete(passes: float) -> int:
    """How many of so many passes are whole: 56 steps of rate 1/56 are one, though floats make it a little less."""
    return int(passes * (1 + ROUNDED))


def _no_problems(given: SchemeSettings) -> list[str]:
    return []


def _share(share: Fraction, options: Options) -> Fraction:
    return share


def _steps(epochs: Fraction, rate: Fraction, options: Options) -> int:
    return math.ceil(epochs / rate)


@dataclass(frozen=True, slots=True)
class Choice:
    """A scheme as it is asked for: --sampling NAME with its own options.

    words: for help, a phrase. law: how exactly a batch is drawn, in sentences: what a figure for the scheme rests on.
    make: the scheme, from what was said, `rate` included. problems: what contradicts itself in what was said, once
    every number is in its range. rate: q, from batch / n. steps: of so many epochs at this q, rounded up: fewer would
    run, and account for, less than what was asked. rate_words, steps_words: both computations, with {batch}, {n} and
    the options in the one, {epochs}, {per_epoch} (1 / q) and the options in the other; without steps_words they are
    epochs × n / batch. needs_examples: why n is needed, "" where it is not. only_rate: the one q there is, where there
    is but one.
    """

    name: str
    words: str
    law: str
    make: Callable[[SchemeSettings], Sampling]
    options: tuple[Option, ...] = ()
    problems: Callable[[SchemeSettings], list[str]] = _no_problems
    rate: Callable[[Fraction, Options], Fraction] = _share
    steps: Callable[[Fraction, Fraction, Options], int] = _steps
    rate_words: str = "{batch} / {n}"
    steps_words: str = ""
    needs_examples: str = ""
    only_rate: Fraction | None = None

    def complete(self, options: Options) -> dict[str, OptionValue]:
        """The options with their defaults."""
        defaults = {each.name: each.default for each in self.options if each.default is not None}
        return {**defaults, **options}

    def foreign(self, options: Options, choices: Mapping[str, "Choice"]) -> list[str]:
        """Options that this scheme does not take, with the scheme that does."""
        own, found = {each.name for each in self.options}, []
        for name, value in options.items():
            owners = [each for each, choice in choices.items() if any(name == option.name for option in choice.options)]
            if name not in own:
                found.append(
                    f"{name}={show(value)} is an option of {' and '.join(owners)}, and the sampling is {self.name}. "
                    f"Leave out --{name}, or draw by --sampling {owners[0] if owners else self.name}."
                )
        return found

    def own_problems(self, options: Options) -> list[str]:
        """Options of this scheme that are missing or out of range."""
        problems = Problems()
        for option in self.options:
            if option.name in options:
                option.check(problems, options[option.name])
            elif option.default is None:
                problems.add(f"{option.name} is missing: {self.name} needs {option.help}. Give --{option.name}.")
        return problems.found
