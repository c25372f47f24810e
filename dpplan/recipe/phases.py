"""A list of phases in a file: YAML, JSON or CSV, told apart by the name's ending.

Values stay as they were written, because who reads them knows fractions, counts and what to say about anything else.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpplan.checks import other_separator
from dpplan.errors import PlanError, file_error
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import bundled
from dpplan.recipe.values import yaml_problem
from dpplan.sampling import Poisson

ENDINGS = (".yaml", ".yml", ".json", ".csv")
RECIPE_KEYS = ("privacy", "training")  # what recipes have and no plan does
MOST_BYTES = 20_000_000  # a hundred thousand phases; keeps a data file given by mistake out of the parser


@dataclass(frozen=True, slots=True)
class Written:
    """One phase. where: the file and the line, or its number in the list; values: key and text, in their order."""

    where: str
    values: tuple[tuple[str, str], ...]


def read(file: Path) -> list[Written]:
    """The phases of a file, in their order. An empty value counts as not given.

    Raises PlanError when the file cannot be read or is no list of phases.
    """
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise PlanError(f"{file}: does not end in {', '.join(ENDINGS)}. Say by its name what the file is.")
    text = _text(file)
    found = list({".json": _from_json, ".csv": _from_csv}.get(ending, _from_yaml)(text, file))
    if not found:
        raise PlanError(f"{file}: has no phases. {_EXAMPLES[ending]}")
    return found


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        typed = " A phase can be typed, too: sigma=1.1,q=0.01,steps=1000."
        raise PlanError(f"{file}: no such file.{bundled.instead_of(file) or typed}") from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    if len(raw) > MOST_BYTES:
        raise PlanError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no list of phases.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PlanError(f"{file}: is not text (UTF-8).") from None


def _from_csv(text: str, file: Path) -> Iterator[Written]:
    rows = csv.reader(text.splitlines(), strict=True)
    try:
        table = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise PlanError(f"{file}:{rows.line_num}: is not CSV: {error}.") from None
    (_, names), *table = table or [(0, [])]
    if len(names) == 1 and (other := other_separator(names[0])):
        raise PlanError(f"{file}:1: {other} {_EXAMPLES['.csv']}")
    for line, row in table:
        if any(cell.strip() for cell in row):
            if len(row) != len(names):
                raise PlanError(f"{file}:{line}: has {len(row)} cells under {len(names)} names. {_EXAMPLES['.csv']}")
            yield _written(f"{file}:{line}", zip(names, row, strict=True))


def _from_json(text: str, file: Path) -> Iterator[Written]:
    try:
        # Numbers as they stand, and keys that are given twice still there twice.
        items = json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=_Pairs)
    except ValueError as error:
        raise PlanError(f"{file}: is not JSON: {error}.") from None
    except RecursionError:
        raise PlanError(f"{file}: is nested too deeply to be read. {_EXAMPLES['.json']}") from None
    if isinstance(items, _Pairs):  # what an accountant of Opacus saves
        once = dict(items)
        if len(once) < len(items):  # of two histories, both were spent
            raise PlanError(f"{file}: gives a key twice, of {', '.join(once)}. Leave one out.")
        items = once.get("history")
    for number, item in enumerate(items if isinstance(items, list) and not isinstance(items, _Pairs) else [None], 1):
        triple = _opacus(item)
        if triple is None and not isinstance(item, _Pairs):
            raise PlanError(f"{file}: is not a list of phases. {_EXAMPLES['.json']}")
        yield _written(f"{file}, phase {number}", triple or item)


def _opacus(item: Any) -> list[tuple[str, Any]] | None:
    """[noise multiplier, sample rate, steps], as the history of an Opacus accountant has it; None for anything else.
    Such a row counts batches by Poisson sampling, whatever is said of another run."""
    if isinstance(item, _Pairs) or not isinstance(item, list) or len(item) != 3:
        return None
    return [*zip(("sigma", "q", "steps"), item, strict=True), ("sampling", Poisson.kind)]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object."""


def _from_yaml(text: str, file: Path) -> Iterator[Written]:
    import yaml

    root: Any
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line, said = yaml_problem(error)
        raise PlanError(f"{file}:{line}: {said}" if line else f"{file}: {said}") from None
    except yaml.YAMLError:
        raise PlanError(f"{file}: is not YAML.") from None
    except RecursionError:
        raise PlanError(f"{file}: is nested too deeply to be read. {_EXAMPLES['.yaml']}") from None
    if root is None:
        return
    for item in root.value if root.id == "sequence" else [root]:
        where = f"{file}:{item.start_mark.line + 1}"
        if root.id == "mapping" and all(key in [each.value for each, _ in root.value] for key in RECIPE_KEYS):
            raise PlanError(
                f"{file}: is a recipe, and this takes plan files. What the recipe spends: dpplan train {file} "
                "--dry-run, or dpplan check, risk or report. Of its plan, give --sigma, --n, --batch and --epochs here."
            )
        if root.id != "sequence" or item.id != "mapping":
            raise PlanError(f"{where}: is not a list of phases. {_EXAMPLES['.yaml']}")
        yield _written(where, [(key.value, _scalar(value)) for key, value in item.value])


def _scalar(node: Any) -> Any:
    return None if node.tag.endswith(":null") else node.value


def _written(where: str, pairs: Any) -> Written:
    given = ((_spelled(key), value) for key, value in pairs)
    return Written(where, tuple((key, _spelled(value)) for key, value in given if value not in (None, "")))


def _spelled(value: Any) -> str:
    """Anything that is no number is left to be refused by name."""
    return value.strip() if isinstance(value, str) else "a list" if isinstance(value, list) else str(value).lower()


_EXAMPLES = {
    ".json": 'Write [{"sigma": 1.1, "q": 0.01, "steps": 1000}, ...].',
    ".csv": "Write a line of names, sigma,q,steps, and below it a line for each phase.",
    ".yaml": "Write a line for each phase: - {sigma: 1.1, q: 0.01, steps: 1000}",
}
_EXAMPLES[".yml"] = _EXAMPLES[".yaml"]
