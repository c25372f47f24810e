"""The query: block of a phase in a plan file, and what of the mechanism follows from it."""

import math
from typing import Any

from dpplan.errors import UsageError
from dpplan.mechanism import DiscreteLaplace
from dpplan.plan import Settings
from dpplan.query_sensitivity import BOUNDED, KINDS, Query, answered_by, settings
from dpplan.recipe import plan_nodes
from dpplan.units import APART, WHOLE_ONLY

_NUMBERS = {"n": int, "max_per_user": int, "p": float, "candidates": int, "standard_error": float}
KEYS = ("kind", "bounds", *_NUMBERS)
_OF_KIND = {"bounds": BOUNDED, "n": ("mean",), "p": ("quantile",), "candidates": ("quantile",)}


def read(line: int, node: Any, path: str, shared: Settings, found: plan_nodes.PlanProblems) -> Query | None:
    """The question of a phase; None where something is wrong with it."""
    before, values = len(found.problems), dict[str, Any]()
    given = {key: (at, each) for key, at, each in plan_nodes.mapping(node, f"{path}.", KEYS, found)}
    for key, (at, each) in given.items():
        if key == "kind":
            values[key] = plan_nodes.word(each, at, f"{path}.kind", KINDS, found)
        elif key == "bounds":
            values |= _bounds(at, each, f"{path}.bounds", found)
        else:
            values[key] = plan_nodes.number(each, at, f"{path}.{key}", _NUMBERS[key], found)
    if node.id == "mapping" and "kind" not in given:
        found.add(line, f"{path}.kind is missing. Known: {', '.join(KINDS)}.")
    if len(found.problems) > before:
        return None
    kind = values["kind"]
    for key, kinds in _OF_KIND.items():
        if key in given and kind not in kinds:
            found.add(given[key][0], f"{path}.{key} is of {' and '.join(kinds)}, and this is a {kind}. Leave it out.")
    if kind in BOUNDED and "bounds" not in given:
        found.add(line, f"{path}.bounds is missing: a {kind} is of values that are clipped, to bounds: [0, 100].")
    if shared.max_per_user is not None:
        most = shared.max_per_user
        found.add(
            line,
            f"{path}: a query is asked of whole users, and max_per_user={most} of the plan is of a run that draws up "
            f"to {most} examples of each user one by one. The two {APART}. {WHOLE_ONLY}.",
        )
    elif shared.unit == "user" and "max_per_user" not in given:
        found.add(line, f"{path}.max_per_user is missing: how many records of one user are counted at most.")
    asked = Query(**values)
    for problem in asked.problems(shared.adjacency, shared.unit):
        found.add(line, f"{path}: {problem}")
    return asked if len(found.problems) == before else None


def _bounds(line: int, node: Any, path: str, found: plan_nodes.PlanProblems) -> dict[str, float]:
    if node.id != "sequence" or len(node.value) != 2:
        found.add(line, f"{path} is not [lowest, highest].")
        return {}
    low, high = (plan_nodes.number(each, line, path, float, found) for each in node.value)
    return {"low": low, "high": high}


def reach(query: Query, kind: str, shared: Settings) -> float:
    """How far one record or user moves the answer that such noise is added to, in its own units, rounded up; infinite
    where that is beyond floats."""
    try:
        far = query.sensitivity(shared.adjacency, shared.unit, 1)
        if kind == DiscreteLaplace.kind:
            return math.ceil(far)
        return far if far.is_integer() else math.nextafter(far, math.inf)
    except ArithmeticError:
        return math.inf


def told(
    query: Query, kind: str, stated: frozenset[str], shared: Settings, where: tuple[int, str],
    found: plan_nodes.PlanProblems,
) -> dict[str, Any]:  # fmt: skip
    """The settings of the mechanism that follow from the question. stated: those that are given as well."""
    line, path = where
    for problem in answered_by(query, kind):
        found.add(line, f"{path}: {problem}")
    try:
        follows = settings(query, kind, shared.adjacency, shared.unit)
    except (UsageError, ArithmeticError) as error:
        found.add(line, f"{path}: {error}")
        return {}
    for name in sorted(stated & set(follows)):
        found.add(line, f"{path}.{name} follows from the query, and is given beside it. Leave one of them out.")
    return follows
