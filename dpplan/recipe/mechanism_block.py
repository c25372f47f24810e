"""The mechanism: block of a phase in a plan file, what a query says of it, and whether its noise is open."""

import dataclasses
import math
import re
import string
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from dpplan.checks import did_you_mean, is_number, show
from dpplan.errors import DpplanError, UsageError
from dpplan.mechanism import (
    LEAST_EPSILON,
    MECHANISMS,
    MOST_EPSILON,
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
EPSILON, DELTA = "epsilon", "delta"
# How else the noise may be given: by its scale in place of ε, or by the (ε, δ) of one release.
_OTHERWISE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys((Laplace.kind, DiscreteLaplace.kind), (SCALE,)),
    Gaussian.kind: (EPSILON, DELTA),
}
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
    None where it never may. steps: how many it has, if that is known. drawn: whether it has a sampling."""

    query: Query | None
    shared: Settings
    opening: tuple[bool, float]
    may_be_open: bool | None
    steps: int | None = None
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class ReadMechanism:
    """mechanism: None where something is wrong with it. opening: what is open of it. origin: what its noise was found
    from, in words, "" where it is given."""

    mechanism: Mechanism | None = None
    opening: Opening | None = None
    origin: str = ""


def read(line: int, node: Any, path: str, context: PhaseContext, found: plan_nodes.PlanProblems) -> ReadMechanism:
    """The mechanism of a phase."""
    kind = kind_of(line, node, path, MECHANISMS, Gaussian.kind, found)
    if kind is None:
        return ReadMechanism()
    before, from_file = len(found.problems), _strategy(node, kind, path, (line, context.steps), found)
    if len(found.problems) > before:
        return ReadMechanism()
    kind = strategy_file.kind_of(from_file) if from_file else kind
    made = MECHANISMS[kind]
    entries = {each.name: each for each in dataclasses.fields(made)}  # type: ignore[arg-type]
    types, values, others = typing.get_type_hints(made), dict[str, Any](from_file), dict[str, tuple[Any, int]]()
    own = [each for each in entries if each not in from_file]
    otherwise = _OTHERWISE.get(kind, ())
    for key, at, child in plan_nodes.mapping(
        node, f"{path}.", ("kind", *_FROM_FILE.get(kind, ()), *own, *otherwise), found
    ):
        if key in otherwise:
            others[key] = plan_nodes.number(child, at, f"{path}.{key}", float, found), at
        elif key not in ("kind", STRATEGY):
            values[key] = plan_nodes.setting(child, at, f"{path}.{key}", types[key], found)
    if SCALE in others:
        values |= {EPSILON: _of_scale(others[SCALE], path, (values, kind, context), found)}
    elif others:
        values |= {"noise_multiplier": _of_release(others, path, (context.shared, "noise_multiplier" in values), found)}
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
            elif not found.meant(key, before):  # a slip of its name has been told
                findable = key == noise and context.may_be_open is not None
                helped = ", unless `dpplan solve PLAN` is to find it" if findable else ""
                found.add(line, f"{path}.{key} is missing: {kind} needs it{helped}.")
    if len(found.problems) > before:
        return ReadMechanism()
    left = Opening(noise, given, context.opening[1]) if noise and (is_open or not given) else None
    try:
        mechanism = made(**values)
        if context.steps is not None and (problem := strategy_file.length_problem(mechanism, context.steps)):
            found.add(line, f"{path}: {problem}")
            return ReadMechanism()
        return ReadMechanism(mechanism, left, _origin(others, context))
    except UsageError as error:
        for problem in error.problems:
            told = re.sub(r" \(--sigma\)", "", re.sub("^sigma=", "noise_multiplier=", problem))
            known = told[: len(told) - len(told.lstrip(string.ascii_letters + "_" + string.digits))] in entries
            found.add(line, f"{path}{'.' if known else ': '}{told}")
        return ReadMechanism()


def _origin(told: Mapping[str, tuple[Any, int]], context: PhaseContext) -> str:
    """What the noise was found from, in words: as it was said of one release."""
    if EPSILON not in told or DELTA not in told:
        return ""
    return f"for ε {told[EPSILON][0]:g}, δ {told[DELTA][0]:g}{' unsampled' if context.drawn else ''}"


def _of_release(
    told: Mapping[str, tuple[Any, int]], path: str, beside: tuple[Settings, bool], found: plan_nodes.PlanProblems
) -> float:
    """The least noise that makes a release of all records (ε, δ)-private for the neighbours of the plan, rounded up so
    that the certified δ at this ε stays within what was said: the analytic Gaussian mechanism (Balle, Wang 2018,
    arXiv:1805.06530, Thm 8). beside: what stands once for the plan, and whether the noise is given, too."""
    shared, given = beside
    line, before = min(at for _, at in told.values()), len(found.problems)
    if given:
        found.add(line, f"{path}: noise_multiplier and the {' and '.join(told)} of a release say the same thing in two "
                  "ways. Leave one out.")  # fmt: skip
    for name, other, why in (
        (DELTA, EPSILON, "no Gaussian noise has a δ of 0. Write epsilon: 1, delta: 1e-6"),
        (EPSILON, DELTA, "a δ says how much noise there is at an ε. Write epsilon: 1, delta: 1e-6"),
    ):
        if name not in told and other in told and not given:
            found.add(line, f"{path}.{name} is missing: {why}, or noise_multiplier.")
    for name, most in ((EPSILON, MOST_EPSILON), (DELTA, 1.0)):
        value, at = told.get(name, (None, line))
        if value is not None and not (0.0 < value < most):
            found.add(at, f"{path}.{name}={value:g} is not between 0 and {most:g}: it is the {name} of one release.")
    if len(found.problems) > before or any(value is None for value, _ in told.values()):
        return 1.0
    from dpplan import solve

    one = shared.with_(noise_multiplier=None, sampling="full-batch", scheme_options=(), steps=1)
    try:
        return float(solve.noise(one, told[EPSILON][0], told[DELTA][0], by="delta").value)
    except DpplanError as error:
        found.add(line, f"{path}: no noise is found for this epsilon and delta: {error}")
        return 1.0


def _of_scale(
    scale: tuple[Any, int],
    path: str,
    beside: tuple[Mapping[str, Any], str, PhaseContext],
    found: plan_nodes.PlanProblems,
) -> float:
    """The ε of Laplace noise of this scale, rounded up: how far a record, or a user, moves the number, over the scale.
    Beside a query the number is its answer, whose sensitivity follows. beside: the settings, the kind, the phase."""
    (given, line), (values, kind, context) = scale, beside
    reach = values.get("sensitivity", 1)
    if context.query is not None:
        reach = query_block.reach(context.query, kind, context.shared)
    if "epsilon" in values:
        found.add(line, f"{path}.{SCALE} and epsilon say the same thing in two ways. Leave one out.")
    elif given is not None and not (is_number(given) and 0.0 < given < math.inf):
        found.add(line, f"{path}.{SCALE}={given} is not a positive number: it is the scale of the noise.")
    elif given is not None and is_number(reach) and reach > 0:
        least, most, told = reach / MOST_EPSILON, reach / LEAST_EPSILON, show(given)
        if given < least:
            found.add(line, f"{path}.{SCALE}={told} is less than {show(least)}: such noise hides nothing.")
        elif given > most:
            found.add(line, f"{path}.{SCALE}={told} is more than {show(most)}: nothing of an answer would be left.")
        else:
            return epsilon_of_scale(reach, given)
    return 1.0


def opening(parts: Mapping[str, tuple[int, Any]], path: str, found: plan_nodes.PlanProblems) -> tuple[bool, float]:
    """Whether the phase says that its noise is open, and how much it weighs."""
    is_open, weight = False, 1.0
    if "open" in parts:
        at, node = parts["open"]
        is_open = plan_nodes.word(node, at, f"{path}.open", ("true", "false"), found) == "true"
    if "weight" in parts:
        at, node = parts["weight"]
        weight = plan_nodes.number(node, at, f"{path}.weight", float, found) or 0.0
        if not 0.0 < weight <= 1e12:
            found.add(at, f"{path}.weight={weight:g} is not above 0: it says how much the phase counts.")
    return is_open, weight


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
