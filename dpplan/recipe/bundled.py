"""The recipes that come with dpplan: what there is, what each is about, and its text.

They lie in recipes/ of a checkout, and are put beside this module when a wheel is built, so that there is one source of
them.
"""

from functools import cache
from pathlib import Path

from dpplan.checks import did_you_mean
from dpplan.errors import InputOutputFailed, UsageError

_PLACES = (Path(__file__).parent / "bundled", Path(__file__).parents[2] / "recipes")


@cache
def folder() -> Path:
    """Where they lie. Raises InputOutputFailed where they were not installed."""
    for place in _PLACES:
        if (place / "digits.yaml").is_file():  # site-packages may have a recipes/ of somebody else's
            return place
    raise InputOutputFailed(f"{_PLACES[0]}: the recipes that come with dpplan are not there. Install it anew.")


def names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in folder().glob("*.yaml")))


def text(name: str) -> str:
    """The recipe of that name, comments and all. Raises UsageError where there is none."""
    name = name.removesuffix(".yaml")
    if name not in names():
        raise UsageError(
            f"recipe={name} is not one of: {', '.join(names())}.{did_you_mean(name, names())} "
            "`dpplan recipes` says what each is about."
        )
    return (folder() / f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What a recipe is about: its first line."""
    return text(name).partition("\n")[0].lstrip("# ")
