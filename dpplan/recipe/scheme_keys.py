"""How a recipe names the scheme by which batches are drawn, and what only some schemes take."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.checks import Problems
from dpplan.sampling import CHOICES, OPTIONS, OptionValue

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
