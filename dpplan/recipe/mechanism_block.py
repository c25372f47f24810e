"""The mechanism: block of a phase in a plan file, what a query says of it, and whether its noise is open."""

import dataclasses
import math
import re
import string
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from dpplan.checks import did_you_mean, is_number
from dpplan.errors import DpplanError, UsageError
from dpplan.mechanism import (
    MECHANISMS,
    REFUSED,
    DiscreteLaplace,
    Gaussian,
    Laplace,
    MatrixNoise,
    Mechanism,
    ToeplitzNoise,
)
from dpplan.open_noise import Opening, epsilon_of_scale, setting_of
from dpplan.plan import Settings
from dpplan.query_sensitivity import Query
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import plan_nodes, query_block, scheme_keys, strategy_file
from dpplan.sampling import CHOICES

STRATEGY, SCALE = "strategy", "noise_scale"
_BY_SCALE = (Laplace.kind, DiscreteLaplace.kind)  # whose noise may be given by its scale in place of ε
_FROM_FILE = dict.fromkeys((ToeplitzNoise.kind, MatrixNoise.kind), (STRATEGY,))


# What others call the mechanisms.
_CALLED: Mapping[str, str] = {
    **dict.fromkeys(("sparse-vector", "svt", "sparse-vector-technique"), "above-threshold"),
    **dict.fromkeys(("geometric", "two-sided-geometric"), "discrete-laplace"),
    **dict.fromkeys(("dp-sgd", "dpsgd", "sampled-gaussian", "normal"), "gaussian"),
    **dict.fromkeys(("report-noisy-max", "max"), "noisy-max"),
    **dict.fromkeys(("randomised-response", "rr", "k-rr", "krr"), "randomized-response"),
    **dict.fromkeys(("ftrl", "dp-ftrl", "binary-tree"), "tree"),
    **dict.fromkeys(("band-mf", "banded", "bandmf"), "toeplitz"),
    **dict.fromkeys(("approx-dp", "approximate", "pure", "pure-dp", "dp", "stated"), "epsilon-delta"),
    **dict.fromkeys(("renyi", "renyi-dp"), "rdp"),
    **dict.fromkeys(("cdp", "rho"), "zcdp"),
    **dict.fromkeys(("mu", "gaussian-dp"), "gdp"),
}


@dataclass(frozen=True, slots=True)
class PhaseContext:
    """What a phase says beside its mechanism. query: what it answers, if that is known. shared: what stands once for
    the plan. opening: whether its noise is said to be open, and its weight. may_be_open: whether noise may be left out;
    None where it never may. steps: how many it has, if that is known."""

    query: Query | None
    shared: Settings
    opening: tuple[bool, float]
    may_be_open: bool | None
    steps: int | None = None


def read(
    line: int, node: Any, path: str, context: PhaseContext, found: plan_nodes.PlanProblems
) -> tuple[Mechanism | None, Opening | None]:
    """The mechanism, and what is open of it."""
    kind = kind_of(line, node, path, MECHANISMS, Gaussian.kind, found)
    if kind is None:
        return None, None
    before, from_file = len(found.problems), _strategy(node, kind, path, (line, context.steps), found)
    if len(found.problems) > before:
        return None, None
    kind = strategy_file.kind_of(from_file) if from_file else kind
    made = MECHANISMS[kind]
    entries = {each.name: each for each in dataclasses.fields(made)}  # type: ignore[arg-type]
    types, values, scale = typing.get_type_hints(made), dict[str, Any](from_file), None
    own = [each for each in entries if each not in from_file]
    scaled = (SCALE,) if kind in _BY_SCALE else ()
    for key, at, child in plan_nodes.mapping(
        node, f"{path}.", ("kind", *_FROM_FILE.get(kind, ()), *own, *scaled), found
    ):
        if key in scaled:
            scale = plan_nodes.number(child, at, f"{path}.{key}", float, found), at
        elif key not in ("kind", STRATEGY):
            values[key] = plan_nodes.setting(child, at, f"{path}.{key}", types[key], found)
    if scale is not None:
        values |= {"epsilon": _of_scale(scale, path, values, found)}
    if context.query is not None:
        stated = frozenset(values)
        values = query_block.told(context.query, kind, stated, context.shared, (line, path), found) | values
    noise, is_open = setting_of(made), context.opening[0]
    given = noise in values
    if is_open and noise is None:
        found.add(line, f"{path}: {kind} has no noise that could be open. Leave out open.")
    for key, entry in entries.items():
        if entry.default is MISSING and key not in values:
            if key == noise and context.may_be_open:
                values[key] = 1.0
            else:
                findable = key == noise and context.may_be_open is not None
                helped = ", unless `dpplan solve PLAN` is to find it" if findable else ""
                found.add(line, f"{path}.{key} is missing: {kind} needs it{helped}.")
    if len(found.problems) > before:
        return None, None
    opening = Opening(noise, given, context.opening[1]) if noise and (is_open or not given) else None
    try:
        mechanism = made(**values)
        if context.steps is not None and (problem := strategy_file.length_problem(mechanism, context.steps)):
            found.add(line, f"{path}: {problem}")
            return None, None
        return mechanism, opening
    except UsageError as error:
        for problem in error.problems:
            told = re.sub(r" \(--sigma\)", "", re.sub("^sigma=", "noise_multiplier=", problem))
            known = told[: len(told) - len(told.lstrip(string.ascii_letters + "_" + string.digits))] in entries
            found.add(line, f"{path}{'.' if known else ': '}{told}")
        return None, None


def _of_scale(scale: tuple[Any, int], path: str, values: Mapping[str, Any], found: plan_nodes.PlanProblems) -> float:
    """The ε of Laplace noise of this scale, rounded up: how far a record moves the number, over the scale."""
    (given, line), reach = scale, values.get("sensitivity", 1)
    if "epsilon" in values:
        found.add(line, f"{path}.{SCALE} and epsilon say the same thing in two ways. Leave one out.")
    elif given is not None and not (is_number(given) and 0.0 < given < math.inf):
        found.add(line, f"{path}.{SCALE}={given} is not a positive number: it is the scale of the noise.")
    elif given is not None and is_number(reach):
        return epsilon_of_scale(reach, given)
    return 1.0


def _strategy(
    node: Any, kind: str, path: str, stands: tuple[int, int | None], found: plan_nodes.PlanProblems
) -> dict[str, Any]:
    """What the file says that a strategy is read from; nothing where none is named, or where it is wrong. stands: the
    line of the mechanism, and the steps of its phase."""
    line, steps = stands
    named = [(key, child) for key, child in node.value if plan_nodes.spelled(key) == STRATEGY]
    if kind not in _FROM_FILE or not named:
        if kind == MatrixNoise.kind and not any(plan_nodes.spelled(key) == "entries" for key, _ in node.value):
            ends = ", ".join(strategy_file.ENDINGS)
            found.add(line, f"{path}.{STRATEGY} is missing: matrix needs the file ({ends}) that holds C.")
        return {}
    (key, child), *_ = named
    line = key.start_mark.line + 1
    if child.id != "scalar" or not child.value.strip():
        found.add(line, f"{path}.{STRATEGY} is not the name of a file. Write {STRATEGY}: strategy.npy.")
        return {}
    try:
        read = strategy_file.read(found.file.parent / child.value.strip())
    except DpplanError as error:
        found.add(line, f"{path}.{STRATEGY}: {error}")
        return {}
    own = strategy_file.kind_of(read.settings)
    if kind == ToeplitzNoise.kind and own != kind:
        found.add(line, f"{path}.{STRATEGY} is not the same along its diagonals: the strategy is for kind: matrix.")
    elif own == ToeplitzNoise.kind and read.rows is not None and steps is not None:
        problem = strategy_file.size_problem(read.rows, steps)
        if problem:
            found.add(line, f"{path}.{STRATEGY}: {problem}")
    return read.settings


def _plain(kind: str) -> str:
    return re.sub("[ _]+", "-", kind.strip().lower())


def kind_of(
    line: int, node: Any, path: str, known: Mapping[str, Any], example: str, found: plan_nodes.PlanProblems
) -> str | None:
    """The kind that a mechanism or a sampling names."""
    if node.id != "mapping":
        found.add(
            line, f"{path} is not a block of keys and values. Write {path.rpartition('.')[2]}: {{kind: {example}}}."
        )
        return None
    for key, child in node.value:
        if plan_nodes.spelled(key) == "kind":
            at, kind = key.start_mark.line + 1, plan_nodes.spelled(child)
            if kind in known:
                return kind
            if known is MECHANISMS and kind in REFUSED:
                found.add(at, f"{path}.kind={kind}: {REFUSED[kind]}")
            else:
                hint = scheme_keys.meaning(kind) if known is CHOICES else _CALLED.get(_plain(kind), "")
                if hint and known is MECHANISMS:
                    hint = f" Did you mean '{hint}'?"
                why = f"is not one of: {', '.join(known)}.{hint or did_you_mean(kind, known)}"
                found.add(at, f"{path}.kind={kind} {why}")
            return None
    found.add(line, f"{path}.kind is missing. Known: {', '.join(known)}.")
    return None
