"""The five blocks of a recipe: every key, what it may hold, and its default.

This file is the schema. A block checks itself when it is made, so a recipe built in Python obeys the same
rules as one read from a file.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dpplan.checks import Problems, show
from dpplan.errors import RecipeError
from dpplan.recipe import values
from dpplan.recipe.values import Reader, one_of, path, switch, whole_numbers, word

Rule = Callable[[Problems, str, Any], object]
Values = Mapping[str, Any]
SOURCES = ("digits",)
ACTIVATIONS = ("tanh", "relu")
Problem = tuple[tuple[str, ...], str]  # the keys at fault, and the sentence


def _probability(problems: Problems, name: str, value: float) -> None:
    problems.probability(name, value, closed_right=False)


def _each_whole(problems: Problems, name: str, value: tuple[int, ...]) -> None:
    problems.require(bool(value), f"{name}=[] is empty. Use kind: logistic for a model without hidden layers.")
    for number in value:
        problems.whole(name, number)


def _not_negative(problems: Problems, name: str, value: int) -> None:
    problems.whole(name, value, least=0)


def _momentum(problems: Problems, name: str, value: float) -> None:
    problems.require(isinstance(value, float | int) and 0 <= value < 1, f"{name}={show(value)} is not in [0, 1).")


def _learning_rate(problems: Problems, name: str, value: float) -> None:
    if problems.positive(name, value):
        problems.require(value < 3e38, f"{name}={show(value)} is more than a float32 can hold.")


def _key(read: Reader, rule: Rule, **default: Any) -> Any:
    return field(metadata={"read": read, "rule": rule}, **default)


_number = values.number
_whole = values.whole


class Block:
    """What the blocks share: each knows its name in the file and refuses values that break its rules."""

    title: ClassVar[str]

    def __post_init__(self) -> None:
        entries = dataclasses.fields(self)  # type: ignore[arg-type]
        given = {entry.name: getattr(self, entry.name) for entry in entries}
        missing = [e.name for e in entries if e.default is dataclasses.MISSING and given[e.name] is None]
        found = [f"{name} is missing." for name in missing]
        found += [sentence for _, sentence in violations(type(self), given)]
        if found:
            raise RecipeError([f"{self.title}.{sentence}" for sentence in found])

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        """What is wrong between keys that are each fine alone."""
        yield from ()


def violations(block: type[Block], given: Values) -> list[Problem]:
    """Every broken rule of these values, with the keys that break it; sentences begin with a key."""
    found: list[Problem] = []
    for entry in dataclasses.fields(block):  # type: ignore[arg-type]
        if given.get(entry.name) is not None:
            problems = Problems(RecipeError)
            entry.metadata["rule"](problems, entry.name, given[entry.name])
            found += [((entry.name,), sentence) for sentence in problems.found]
    return found + list(block.conflicts(given))


def _exactly_one(given: Values, first: str, second: str) -> Iterator[Problem]:
    count = sum(given.get(name) is not None for name in (first, second))
    if count != 1:
        said = "is missing, and so is" if count == 0 else "is given, and so is"
        yield (first, second), f"{first} {said} {second}. Give one of the two."


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy(Block):
    """Everything epsilon depends on besides the batch, the length of the run and the number of examples.

    noise_multiplier: standard deviation of the noise / clip_norm (σ). Or target_epsilon: σ is solved for.
    clip_norm: largest L2 norm of one example's gradient in the sum (C). It does not change epsilon.
    delta: left out, it is derived from the number of training examples by `plan.resolve_delta`.
    """

    title: ClassVar[str] = "privacy"

    clip_norm: float = _key(_number, Problems.positive)
    noise_multiplier: float | None = _key(_number, Problems.positive, default=None)
    target_epsilon: float | None = _key(_number, Problems.positive, default=None)
    delta: float | None = _key(_number, _probability, default=None)
    sampling: str = _key(word, one_of("poisson"), default="poisson")
    adjacency: Literal["add_remove"] = _key(word, one_of("add_remove"), default="add_remove")
    unit: str = _key(word, one_of("example"), default="example")

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        yield from _exactly_one(given, "noise_multiplier", "target_epsilon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(Block):
    """Which examples, and which of them are held out. The held-out part is never drawn and never accounted.

    held_out: fraction of the examples. split_seed: which ones; a constant, so that every run has the same.
    """

    title: ClassVar[str] = "data"

    source: str = _key(word, one_of(*SOURCES))
    held_out: float = _key(_number, _probability, default=0.2)
    split_seed: int = _key(_whole, _not_negative, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Block):
    """logistic: one linear layer. mlp: hidden layers of the given widths with an activation between."""

    title: ClassVar[str] = "model"

    kind: str = _key(word, one_of("logistic", "mlp"))
    hidden: tuple[int, ...] | None = _key(whole_numbers, _each_whole, default=None)
    activation: str | None = _key(word, one_of(*ACTIVATIONS), default=None)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        if given.get("kind") == "logistic":
            for name in ("hidden", "activation"):
                if given.get(name) is not None:
                    yield ("kind", name), f"{name} has no meaning for kind: logistic. Remove it, or use kind: mlp."
        if given.get("kind") == "mlp":
            for name in ("hidden", "activation"):
                if given.get(name) is None:
                    yield ("kind", name), f"{name} is missing: kind: mlp needs it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(Block):
    """How the model is fitted. batch_size and epochs (or steps) are the two that epsilon depends on.

    batch_size: expected number of examples per step. epochs: expected passes over the training examples.
    compare_nonprivate: train the same model once more without privacy, for the difference in accuracy.
    """

    title: ClassVar[str] = "training"

    batch_size: float = _key(_number, Problems.positive)
    epochs: float | None = _key(_number, Problems.positive, default=None)
    steps: int | None = _key(_whole, Problems.whole, default=None)
    optimizer: str = _key(word, one_of("sgd", "adam"))
    learning_rate: float = _key(_number, _learning_rate)
    momentum: float | None = _key(_number, _momentum, default=None)
    compare_nonprivate: bool = _key(switch, lambda *_: None, default=True)

    @classmethod
    def conflicts(cls, given: Values) -> Iterator[Problem]:
        yield from _exactly_one(given, "epochs", "steps")
        if given.get("optimizer") == "adam" and given.get("momentum") is not None:
            sentence = "momentum has no meaning for optimizer: adam. Remove it, or use optimizer: sgd."
            yield ("optimizer", "momentum"), sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Block):
    """Where and how fast it runs. Nothing here can change what is computed, nor what it costs in privacy.

    physical_batch: examples whose gradients are in memory at once; a drawn batch is cut into such pieces and
        never shortened. threads: CPU threads; left out, torch decides. folder: where run folders are made.
    """

    title: ClassVar[str] = "runtime"

    device: str = _key(word, one_of("auto", "cpu", "cuda", "mps"), default="auto")
    physical_batch: int = _key(_whole, Problems.whole, default=64)
    threads: int | None = _key(_whole, Problems.whole, default=None)
    folder: str = _key(path, lambda *_: None, default="runs")
