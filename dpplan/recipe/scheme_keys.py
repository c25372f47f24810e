"""How a recipe names the scheme by which batches are drawn, and what only some schemes take."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.checks import Problems, did_you_mean
from dpplan.recipe.values import Given, word
from dpplan.sampling import CHOICES, OPTIONS, OptionValue
from dpplan.sampling.loaders import meant, refusal

# What the trainer draws by.
SAMPLING = (
    "poisson",
    "full-batch",
    "fixed-size",
    "truncated-poisson",
    "balls-in-bins",
    "shuffle",
    "cyclic-poisson",
)
SCHEME_OPTIONS = tuple(dict.fromkeys(option.name for name in SAMPLING for option in CHOICES[name].options))


def scheme_word(given: Given) -> str:
    """The name of a scheme, a word as others; a plan file has a block in its place."""
    try:
        return word(given)
    except ValueError as error:
        beside = (
            " Options of a scheme stand beside it: sampling: shuffle, order: once." if given.kind == "block" else ""
        )
        raise ValueError(f"{error}{beside}") from None


def scheme(problems: Problems, name: str, value: str) -> None:
    """A rule: the value is a scheme that the trainer draws by."""
    if value in SAMPLING:
        return
    if value in CHOICES:
        run = f"is accounted for by dpplan epsilon, and not run here. These are: {', '.join(SAMPLING)}."
        problems.add(f"{name}={value} {run}")
        return
    hint = meaning(value) or did_you_mean(value, SAMPLING)
    problems.add(f"{name}={value} is not one of: {', '.join(SAMPLING)}.{hint}")


def meaning(name: str) -> str:
    """What a word for a way of drawing batches, which is none of the schemes, may mean, in words of a file; else ""."""
    refused = refusal(name).partition(": ")[2]
    return f" It is refused: {refused}" if refused else meant(name).replace("--sampling ", "sampling: ")


def option(problems: Problems, name: str, value: OptionValue) -> None:
    """A rule: the value is one that the option of that name may have."""
    OPTIONS[name].check(problems, value)


def conflicts(given: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Options that the scheme does not take, with the scheme that does, and those that it needs."""
    name = given.get("sampling", "poisson")
    if name not in SAMPLING:
        return
    own = {each.name: each for each in CHOICES[name].options}
    for key in SCHEME_OPTIONS:
        if given.get(key) is not None and key not in own:
            owner = next(each for each in SAMPLING if OPTIONS[key] in CHOICES[each].options)
            yield (
                ("sampling", key),
                f"{key} has no meaning for sampling: {name}. Remove it, or use sampling: {owner}.",
            )
    for key, needed in own.items():
        if given.get(key) is None and needed.default is None:
            yield ("sampling", key), f"{key} is missing: sampling: {name} needs {needed.help}."
