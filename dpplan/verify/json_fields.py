"""Values out of a JSON object that anybody may have written: each is checked, and every problem is found.

Nothing here trusts a type, a size or a sign. What is wrong is told by the path of the key: spent.epsilon.upper.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, Adjacency
from dpplan.checks import Problems, is_number, show
from dpplan.errors import PlanError, ReportError
from dpplan.plan import Phase
from dpplan.plan_json import phase_from_json

MOST_STEPS = 2**53  # beyond, a float no longer counts; no run takes as many
_LONGEST = 40  # characters of a value that is shown

Object = Mapping[str, Any]


def parse(text: str, name: str, instead: str = "") -> Object:
    """The JSON object in a file. Raises ReportError for anything else, for keys given twice and for NaN.

    instead: what may be named, for the message about a file of another kind.
    """
    remedy = f" {instead}" if instead else ""
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise ReportError(f"{name}: is nested too deeply to be a report.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} is no JSON" if text.strip() else "it is empty"
        where = "it is a page, and a page is no report.json" if text.lstrip().startswith("<") else where
        raise ReportError(f"{name}: is not the JSON of a report: {where}.{remedy}") from None
    except ValueError as error:
        raise ReportError(f"{name}: is not the JSON of a report: {error}.") from None
    if not isinstance(content, dict):
        raise ReportError(f"{name}: is no report: it holds no object with a schema.{remedy}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key '{twice}' is given twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def block(problems: Problems, holder: Object, path: str) -> Object:
    """The object under the last key of `path`; an empty one where there is none, which is a problem."""
    value = holder.get(path.rpartition(".")[2])
    if value is None:
        problems.add(f"{path} is missing.")
    elif not isinstance(value, dict):
        problems.add(f"{path}={shown(value)} is not an object.")
    return value if isinstance(value, dict) else {}


def number(problems: Problems, holder: Object, path: str, low: float = 0.0, high: float = math.inf) -> float | None:
    """A finite number in [low, high]; None where there is none, which is a problem."""
    key = path.rpartition(".")[2]
    if holder.get(key) is None:
        problems.add(f"{path} is missing.")
        return None
    value = finite(holder[key])
    if value is None:
        problems.add(f"{path}={shown(holder[key])} is not a finite number.")
    elif not low <= value <= high:
        problems.add(f"{path}={show(value)} is not " + (f"at least {show(low)}." if high == math.inf else "in [0, 1]."))
        return None
    return value


def optional(problems: Problems, holder: Object, path: str) -> float | None:
    """A finite number of at least 0, or None where there is none, which is no problem."""
    return None if holder.get(path.rpartition(".")[2]) is None else number(problems, holder, path)


def delta_of(problems: Problems, holder: Object, path: str) -> float | None:
    """A number in (0, 1)."""
    value = number(problems, holder, path)
    if value is not None and not 0 < value < 1:
        problems.add(f"{path}={show(value)} is not in (0, 1).")
        return None
    return value


def count(problems: Problems, holder: Object, path: str, least: int = 1) -> int | None:
    """A whole number from `least` to MOST_STEPS."""
    value = number(problems, holder, path)
    if value is None:
        return None
    if not value.is_integer() or value < least:
        problems.add(f"{path}={show(value)} is not a whole number of at least {least}.")
        return None
    if value > MOST_STEPS:
        problems.add(f"{path}={show(value)} is more than any run takes.")
        return None
    return int(value)


def phase(problems: Problems, holder: Object, path: str, steps: int | None = None) -> Phase | None:
    """The phase that an object describes. steps: in place of those it names."""
    length = count(problems, holder, f"{path}.steps") if steps is None else steps
    beyond = [name for name in ("noise_multiplier", "sample_rate") if _is_beyond_floats(holder.get(name))]
    for name in beyond:
        problems.add(f"{path}.{name}={shown(holder[name])} is not a finite number.")
    if beyond:
        return None
    try:
        return phase_from_json(holder, path, steps=1 if length is None else length)
    except PlanError as error:
        problems.found += error.problems
        return None


def same(problems: Problems, path: str, told: float | None, found: float | None, origin: str) -> None:
    """That a number is the one that follows from others in the file."""
    if told is not None and found is not None and not math.isclose(told, found, rel_tol=1e-9):
        problems.add(f"{path}={show(told)} contradicts {origin}, which is {show(found)}.")


def finite(value: object) -> float | None:
    """The value as a float, None where it is no finite number. A whole number may have any length."""
    if not is_number(value):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def _is_beyond_floats(value: object) -> bool:
    return is_number(value) and finite(value) is None


def shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # a whole number of thousands of digits
        return "a number that is too long to show"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def adjacency(problems: Problems, holder: Object, path: str) -> Adjacency | None:
    """The neighbours of a plan; what names none is of a version that knew add/remove alone."""
    name = holder.get("adjacency", ADD_REMOVE.name)
    found = ADJACENCIES.get(name) if isinstance(name, str) else None
    if found is None:
        problems.add(f"{path}.adjacency={shown(name)} is not one of: {', '.join(ADJACENCIES)}.")
    return found
