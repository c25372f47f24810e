"""The recipes that come with dpplan, plan files and a file of scores: what there is, what each is about, and its text.

They lie in recipes/ of a checkout, and are put beside this module when a wheel is built, so that there is one source of
them.
"""

import itertools
from functools import cache
from pathlib import Path

from dpplan.checks import did_you_mean
from dpplan.errors import InputOutputFailed, UsageError
from dpplan.recipe.values import near_file

SCORES = "scores.csv"  # what help and README show of an audit of anybody's scores
_OF_SCORES = "Scores of an attack on 500 canaries of a run with μ = 1, for dpplan audit."
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


def plans() -> tuple[str, ...]:
    """The plan files among them, which are whole budgets and train nothing: plans/NAME."""
    return tuple(sorted(f"plans/{file.stem}" for file in (folder() / "plans").glob("*.yaml")))


def file_of(name: str) -> str:
    """What it is called as a file."""
    return name if name == SCORES else f"{name}.yaml"


def text(name: str) -> str:
    """The recipe, plan file or scores of that name, comments and all. Raises UsageError where there is none."""
    name = name.removesuffix(".yaml")
    known = (*names(), *plans(), SCORES)
    if name not in known:
        raise UsageError(
            f"recipe={name} is not one of: {', '.join(known)}.{did_you_mean(name, known)} `dpplan recipes` says what "
            "each is about."
        )
    return (folder() / file_of(name)).read_text(encoding="utf-8")


def instead_of(file: Path) -> str:
    """A remedy sentence for a file that is not there: where one of that name comes with dpplan, where it was copied to
    or how it is; else one of nearly that name that lies beside it. "" where neither is known, and of a link why."""
    if file.is_symlink():
        return " It is a link that leads nowhere."
    called = file.name if file.suffix == ".csv" else file.stem if file.suffix in ("", ".yaml", ".yml") else ""
    name = next((each for each in (*names(), *plans(), SCORES) if called and called == each.split("/")[-1]), "")
    if not name:
        return near_file(file)
    copy = Path("recipes", file_of(name))
    return (
        f" {copy} is there."
        if copy.is_file()
        else f" `dpplan recipes copy {name}` writes the one that comes with dpplan."
    )


def summary(name: str) -> str:
    """What a recipe is about: its first line; of a plan file, whose comment is longer, the first sentence."""
    if name == SCORES:
        return _OF_SCORES
    if name not in plans():
        return text(name).partition("\n")[0].lstrip("# ")
    comment = itertools.takewhile(lambda line: line.startswith("#"), text(name).splitlines())
    return " ".join(line.lstrip("# ") for line in comment).partition(". ")[0].removesuffix(".") + "."
