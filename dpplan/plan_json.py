"""Plan <-> JSON, the one codec of `--json`, reports, checkpoints and run histories.

A plan is an object:

    adjacency       "add_remove", "replace_one", "zero_out"
    privacy_unit    "example", "user"
    max_per_user    of a user whose examples are drawn one by one, the most there are; left out otherwise
    examples        n, or null
    batch_size      the expected batch, or null
    derivation      for quantities that were computed, the computation in words
    phases          a list, one object for each phase

A phase names the kind of each of its parts, and holds their settings beside it under the names of their fields:

    {"mechanism": "gaussian", "noise_multiplier": 1.1, "sampling": "poisson", "sample_rate": 0.01, "steps": 1000}

A search, of which the best of a random number of trials is released, holds the phases of a trial in the same form:
{"mechanism": "best-of-trials", "law": "geometric", "mean": 10, "phases": [...], ...} (`dpplan.mechanism.trials`), and
those of other kinds of trial, of which each draws one: "others": [[...], ...].

Where records are split into groups, a phase of one also says whose it is: "parallel": [[block, group]], from the
outside in (`dpplan.groups`).

What a phase repeats of its plan, neighbours or unit, stands once, at the plan.

Files of versions that knew one kind name none; they are read as Gaussian noise, Poisson sampling, add/remove one
example. Unknown keys are passed over, so that a phase may stand in a larger object.
"""

import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from dpplan import mechanism, sampling
from dpplan.adjacency import ADD_REMOVE, named
from dpplan.checks import Problems, did_you_mean, is_number
from dpplan.errors import PlanError
from dpplan.groups import GroupPath
from dpplan.plan import Phase, Plan, settings_of

Object = dict[str, Any]
_ROLES = ("mechanism", "sampling")


def phase_to_json(phase: Phase) -> Object:
    """The phase as an object of names, numbers and words."""
    return {
        "mechanism": phase.mechanism.kind,
        **settings_of(phase.mechanism),
        **_inside(phase.mechanism),
        "sampling": phase.sampling.kind,
        **settings_of(phase.sampling),
        "steps": phase.steps,
        **({"parallel": [list(part) for part in phase.groups]} if phase.groups else {}),
    }


def _inside(part: mechanism.Mechanism) -> Object:
    if isinstance(part, mechanism.BestOfTrials):
        kinds = [[phase_to_json(each) for each in kind] for kind in part.kinds]
        return {"phases": kinds[0], **({"others": kinds[1:]} if len(kinds) > 1 else {})}
    return {}


def plan_to_json(plan: Plan) -> Object:
    """The plan as an object; `plan_from_json` makes an equal one of it."""
    return {
        "adjacency": plan.adjacency.name,
        "privacy_unit": plan.privacy_unit,
        **({} if plan.max_per_user is None else {"max_per_user": plan.max_per_user}),
        "examples": plan.examples,
        "batch_size": plan.batch_size,
        "derivation": dict(plan.derivation),
        "phases": [phase_to_json(phase) for phase in plan.phases],
    }


def phase_from_json(content: Mapping[str, Any], path: str = "phase", steps: int | None = None) -> Phase:
    """The phase that an object describes. path: what to call it in messages. steps: in place of those it names.

    Raises PlanError with all that is missing, unknown or out of range.
    """
    with Problems() as problems:
        make_mechanism, make_sampling = (_part(problems, content, path, role) for role in _ROLES)
        length = content.get("steps") if steps is None else steps
        problems.require(is_number(length), f"{path}.steps is {_is(content, 'steps')}.")
        groups = _groups(problems, content, path)
    try:
        return Phase(make_mechanism(), make_sampling(), typing.cast(int, length), groups=groups)
    except PlanError as error:
        raise PlanError([f"{path}: {problem}" for problem in error.problems]) from None


def plan_from_json(content: Mapping[str, Any]) -> Plan:
    """The plan that an object describes. Raises PlanError with all that is wrong."""
    with Problems() as problems:
        phases = _phases(problems, content, "")
    return Plan(
        phases=phases,
        adjacency=named(str(content.get("adjacency", ADD_REMOVE.name))),
        privacy_unit=str(content.get("privacy_unit", "example")),
        max_per_user=content.get("max_per_user"),
        examples=content.get("examples"),
        batch_size=content.get("batch_size"),
        derivation=tuple((str(name), str(text)) for name, text in dict(content.get("derivation", {})).items()),
    )


def _phases(problems: Problems, content: Mapping[str, Any], prefix: str) -> tuple[Phase, ...]:
    """The phases that are listed, of a plan or of a trial."""
    listed = content.get("phases")
    if not isinstance(listed, list) or not listed:
        problems.add(f"{prefix}phases is missing: a {'trial' if prefix else 'plan'} is a list of phases.")
        return ()
    found: list[Phase] = []
    for number, each in enumerate(listed):
        if prefix and isinstance(each, dict) and each.get("mechanism") == mechanism.BestOfTrials.kind:
            problems.add(f"{prefix}phases[{number}] is a search within a search, which is not known here.")
            continue
        try:
            found.append(phase_from_json(each if isinstance(each, dict) else {}, f"{prefix}phases[{number}]"))
        except PlanError as error:
            problems.found += error.problems
    return tuple(found)


def _others(problems: Problems, content: Mapping[str, Any], prefix: str) -> tuple[tuple[Phase, ...], ...]:
    """The phases of the other kinds of trial, list by list."""
    listed = content.get("others", [])
    if not isinstance(listed, list) or not all(isinstance(each, list) for each in listed):
        problems.add(f"{prefix}others is {_is(content, 'others')}.")
        return ()
    return tuple(_phases(problems, {"phases": each}, f"{prefix}others[{at}].") for at, each in enumerate(listed))


def _groups(problems: Problems, content: Mapping[str, Any], path: str) -> GroupPath:
    """Whose phase it is."""
    listed = content.get("parallel", [])
    good = isinstance(listed, list) and all(
        isinstance(each, list) and len(each) == 2 and all(type(part) is int and part >= 0 for part in each)
        for each in listed
    )
    if not good:
        problems.add(f"{path}.parallel is {_is(content, 'parallel')}.")
        return ()
    return tuple((block, group) for block, group in listed)


def _part(problems: Problems, content: Mapping[str, Any], path: str, role: str) -> Callable[[], Any]:
    """What makes the mechanism or the scheme, from settings that are of the right types."""
    search = {mechanism.BestOfTrials.kind: mechanism.BestOfTrials}
    # Looked up each time: what others make known is known from then on.
    known: Mapping[str, type] = {**mechanism.MECHANISMS, **search} if role == "mechanism" else sampling.SCHEMES
    default = mechanism.Gaussian.kind if role == "mechanism" else sampling.Poisson.kind
    kind = content.get(role, default)
    if not isinstance(kind, str) or kind not in known:
        problems.add(f"{path}.{role}={kind} is not one of: {', '.join(known)}.{did_you_mean(str(kind), known)}")
        return lambda: None
    made = known[kind]
    assert is_dataclass(made)
    if role == "sampling":
        problems.found += [f"{path}.{sentence}" for sentence in sampling.foreign_options(kind, content)]
    types, settings = typing.get_type_hints(made), dict[str, Any]()
    for field in fields(made):
        if field.metadata.get("nested"):
            ask = _phases if field.name == "phases" else _others
            settings[field.name] = ask(problems, content, f"{path}.")
        elif field.init and (field.name in content or field.default is MISSING):
            value = content.get(field.name)
            settings[field.name] = tuple(value) if isinstance(value, list) else value
            good = _is_of(value, types[field.name])
            problems.require(good, f"{path}.{field.name} is {_is(content, field.name)}.")
    return lambda: made(**settings)


def _is_of(value: object, annotation: Any) -> bool:
    """Whether JSON's value fits the field: a float field takes any number that a float can hold, an int field whole
    ones, a tuple field a list of them."""
    if typing.get_origin(annotation) is tuple:
        each = typing.get_args(annotation)[0]
        return isinstance(value, list) and all(_is_of(member, each) for member in value)
    choices = typing.get_args(annotation) or (annotation,)
    return (
        (type(None) in choices and value is None)
        or (str in choices and isinstance(value, str))
        or (float in choices and _is_finite(value))
        or (int in choices and _is_finite(value) and typing.cast(float, value) % 1 == 0)
    )


def _is_finite(value: object) -> bool:
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _is(content: Mapping[str, Any], key: str) -> str:
    return f"{str(content[key])[:40]!r}, which does not belong there" if content.get(key) is not None else "missing"
