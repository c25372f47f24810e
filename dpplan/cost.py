"""What a run costs, asked for in the words of the command line.

    import dpplan

    dpplan.epsilon(sigma=1.1, n=60000, batch=256, epochs=60)
    dpplan.delta(eps=3, sigma=1, q=0.01, steps=1000)
    dpplan.epsilon(phases=[{"sigma": 2, "q": 0.01, "steps": 100}, {"sigma": 1, "q": 0.01, "steps": 900}], delta=1e-5)

Both return a `Bound`, and make a `Plan` of the keywords on the way: `accounting.epsilon` and `accounting.delta` are the
same for who has a plan already. Every problem of a call is told at once, as a PlanError.
"""

import inspect
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypedDict, TypeVar, Unpack

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE, Adjacency, named
from dpplan.checks import did_you_mean
from dpplan.errors import PlanError, UsageError
from dpplan.number_spelling import shortened
from dpplan.phase_steps import in_a_row
from dpplan.plan import Phase, Plan, Settings, delta_warning, resolve_delta
from dpplan.quantities import DESCRIBING
from dpplan.sampling import CHOICES, Poisson

__all__ = ["delta", "epsilon"]

# Keyword -> field of plan.Settings: the words of the options, with hyphens written as underscores, and the fields' own.
_FIELDS: Mapping[str, str] = {
    word: each.name
    for each in DESCRIBING
    for word in (each.name, *(option.removeprefix("--").replace("-", "_") for option in each.all_options))
}


class Described(TypedDict, total=False):
    """One run, or one phase of one: the options of the command line as keywords."""

    sigma: float
    q: float | Fraction
    steps: int
    n: int
    batch: float
    epochs: float
    noise_multiplier: float
    sample_rate: float | Fraction
    examples: int
    batch_size: float


class Run(Described, total=False):
    """A run as a whole. phases: in place of one. spent: earlier runs on the same data."""

    sampling: str
    cap: int
    bins: str
    order: str
    groups: int
    assignment: str
    times: int
    adjacency: str
    unit: str
    max_per_user: int
    phases: Sequence[Described | Phase]
    spent: Sequence[Described | Phase]
    accountant: str
    conversion: str
    max_lambda: int
    accuracy: float


_DELTA_AT = " The delta at an epsilon is what dpplan.delta tells: dpplan.delta(eps=3, sigma=1.1, q=0.01, steps=1000)."
_EPSILON_AT = (
    " The epsilon at a delta is what dpplan.epsilon tells: dpplan.epsilon(sigma=1.1, q=0.01, steps=1000, delta=1e-5)."
)
_UPPER = " Compare the upper of the answer with it: bound.upper <= 3."
# Own word of the function -> keyword that it lacks -> what to do instead.
_ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "delta": {
        **dict.fromkeys(("eps", "epsilon"), _DELTA_AT),
        **dict.fromkeys(("max_eps", "max_epsilon", "max_delta"), _UPPER),
    },
    "eps": {
        "delta": f" It is what is asked for: leave it out.{_EPSILON_AT}",
        "epsilon": " Did you mean 'eps'?",
        **dict.fromkeys(("max_eps", "max_epsilon"), _EPSILON_AT),
        "max_delta": _UPPER.replace("3", "1e-6"),
    },
}
_TARGETS: Mapping[str, str] = dict.fromkeys(
    ("target_eps", "target_epsilon"),
    " A target is what dpplan.solve starts from: dpplan.solve.noise(dpplan.plan.Settings(examples=60000, "
    "batch_size=256, epochs=60), 3, 1e-6).",
)
# What schemes take besides.
_SCHEME = tuple(dict.fromkeys(option.name for choice in CHOICES.values() for option in choice.options))
_BESIDE = ("sampling", *_SCHEME, "adjacency", "unit", "max_per_user", "phases", "spent", "accountant")
_OPTIONS = tuple(name for name in Run.__annotations__ if name not in (*_FIELDS, *_BESIDE))
_Function = TypeVar("_Function", bound=Callable[..., Bound])


def _typed_out(function: _Function) -> _Function:
    """The function with all of its keywords in its signature, for help() and for what completes them."""
    own = [each for each in inspect.signature(function).parameters.values() if each.kind is each.KEYWORD_ONLY]
    names = {each.name for each in own}
    said = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in inspect.get_annotations(Run).items()
        if name not in names
    ]
    function.__signature__ = inspect.Signature([*own, *said], return_annotation=Bound)  # type: ignore[attr-defined]
    return function


@_typed_out
def epsilon(*, delta: float | None = None, **run: Unpack[Run]) -> Bound:
    """The epsilon that a run spends at `delta`.

    sigma, and q or n and batch, and steps or epochs: the run, as `dpplan epsilon` takes it; a q may be a Fraction.
    delta: left out, the largest power of ten ≤ 1 / (10 n). phases: in place of these, a list of dicts of them, for a
    run whose noise or batch changes. spent: earlier runs on the same data, likewise. sampling: how batches are drawn,
    "poisson" unless told otherwise, beside it what the scheme takes (cap, bins, order, groups, assignment, times).
    adjacency: what is compared, "add-remove", "replace-one" or "zero-out". unit: who is protected, "example" or "user",
    the latter with max_per_user where examples are drawn. All of these hold for the phases and the earlier runs too.
    accountant: its name; left out, exact, or rdp where exact proves a larger bound or none. What single accountants
    take (conversion) goes beside it.

    Returns a Bound: `lower` and `upper` are proven, `guarantee` says what that means, `assumptions` what it rests on.
    Raises PlanError with all that is wrong, and warns of a delta that is too large for the data.

    >>> import dpplan
    >>> spent = dpplan.epsilon(sigma=4, q=0.01, steps=10000, delta=1e-5)
    >>> print(spent.headline)
    ε = 0.946867 at δ = 1e-05
    """
    plan, options, problems = _plan_of(run, "delta")
    at = None
    if text := _text("delta", delta):
        problems.append(text)
        delta = None
    try:
        at = (
            None if text else resolve_delta(delta, run.get("n", run.get("examples")) if plan is None else plan.examples)
        )
    except UsageError as error:
        problems.extend(error.problems)
    if plan is None or at is None or problems:
        raise PlanError([_in_keywords(problem) for problem in problems])
    if caution := delta_warning(at.value, plan.examples):
        warnings.warn(_in_keywords(caution), stacklevel=2)
    return accounting.epsilon(plan, at.value, **options)


@_typed_out
def delta(*, eps: float | None = None, **run: Unpack[Run]) -> Bound:
    """The delta that a run spends at the epsilon `eps`. All other keywords are those of `epsilon`.

    >>> import dpplan
    >>> print(dpplan.delta(eps=1, sigma=4, q=0.01, steps=10000).headline)
    δ = 4.24349e-06 at ε = 1
    """
    plan, options, problems = _plan_of(run, "eps")
    if eps is None:
        problems.append("eps is missing: give the epsilon at which the delta is asked for, eps=3.")
    if text := _text("eps", eps):
        problems.append(text)
    if plan is None or eps is None or problems:
        raise PlanError([_in_keywords(problem) for problem in problems])
    return accounting.delta(plan, eps, **options)


def _plan_of(run: Mapping[str, Any], own_word: str) -> tuple[Plan | None, dict[str, Any], list[str]]:
    """The plan that was described, what the accountant is told, and what is wrong."""
    problems: list[str] = []
    known = (own_word, *_FIELDS, *_BESIDE, *_OPTIONS)
    for name in run:
        if name not in known:
            meant = _ELSEWHERE[own_word].get(name) or _TARGETS.get(name)
            problems.append(f"{name} is no keyword of this function.{meant or did_you_mean(name, known)}")
    shared = _shared(run, problems)
    own = {name: value for name, value in run.items() if name in _FIELDS and value is not None}
    later = [("", own)] if not run.get("phases") else [*_listed("phases", run, problems)]
    if run.get("phases") and set(own) - {"n", "examples"}:
        beside = ", ".join(sorted(set(own) - {"n", "examples"}))
        problems.append(f"{beside} beside phases: each phase says all of its own. Leave out one or the other.")
    described = [*_listed("spent", run, problems), *later]
    n = _examples(own, described, problems)
    plans = [_one(where, phase, shared | {"examples": n}, problems) for where, phase in described]
    options = _told(run, problems)
    if problems:
        return None, options, problems
    made = [plan for plan in plans if plan is not None]
    if len(made) == 1:
        return made[0], options, problems
    try:
        return Plan(in_a_row(made), examples=n, **_whose(shared)), options, problems
    except UsageError as error:
        return None, options, list(error.problems)


def _told(run: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The accountant, and what it is told beside the plan."""
    said = run.get("accountant")
    name = said or "exact"
    try:
        takes = {option.name for option in accounting.describe(name).options}
    except UsageError as error:
        problems.extend(error.problems)
        return {}
    given = {option: run[option] for option in _OPTIONS if run.get(option) is not None}
    problems += [f"{option} is nothing that the accountant {name} takes." for option in given if option not in takes]
    return {"accountant": said or accounting.LEAST, **given}


def _shared(run: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """What all phases have in common."""
    adjacency: Any = run.get("adjacency") or ADD_REMOVE
    if not isinstance(adjacency, Adjacency):
        try:
            adjacency = named(str(adjacency))
        except UsageError as error:
            problems.extend(error.problems)
            adjacency = ADD_REMOVE
    return {
        "adjacency": adjacency,
        "sampling": str(run.get("sampling") or Poisson.kind).replace("_", "-"),
        "scheme_options": tuple((name, run[name]) for name in _SCHEME if run.get(name) is not None),
        "unit": str(run.get("unit") or "example"),
        "max_per_user": run.get("max_per_user"),
    }


def _whose(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Whom a plan protects from which comparison."""
    named = {"adjacency": "adjacency", "privacy_unit": "unit", "max_per_user": "max_per_user"}
    return {name: shared[key] for name, key in named.items()}


def _listed(name: str, run: Mapping[str, Any], problems: list[str]) -> list[tuple[str, Any]]:
    """Where each phase of a list stands, and the phase. One that stands alone is a list of one."""
    given = run.get(name) or ()
    if isinstance(given, Mapping | Phase | Plan):
        given = (given,)
    if isinstance(given, str | os.PathLike):
        problems.append(
            f"{name}={os.fspath(given)!r} is no list of phases. Give dicts, [{{'sigma': 1.1, 'q': 0.01, 'steps': 9}}]; "
            f"of a plan file, {name}=read(pathlib.Path({os.fspath(given)!r})).plan, after `import pathlib` and "
            "`from dpplan.recipe.plan_file import read`."
        )
        return []
    found: list[tuple[str, Any]] = []
    for number, each in enumerate(given):
        where = f"{name}[{number}]: "
        if isinstance(each, Mapping | Phase | Plan):
            found.append((where, each))
        else:
            problems.append(f"{where}{each!r} is no phase. Give a dict, {{'sigma': 1.1, 'q': 0.01, 'steps': 1000}}.")
    return found


def _examples(own: Mapping[str, Any], described: Sequence[tuple[str, Any]], problems: list[str]) -> Any:
    """The one n that all is about, or None."""
    said = (own, *(phase for _, phase in described if isinstance(phase, Mapping)))
    given = {phase[name]: None for phase in said for name in ("n", "examples") if phase.get(name) is not None}
    if len(given) > 1:
        told = " and ".join(f"n={each}" for each in given)
        problems.append(f"{told} differ: earlier runs and phases add up on the same data only. Give one n.")
    return next(iter(given), None)


def _one(where: str, phase: Any, shared: Mapping[str, Any], problems: list[str]) -> Plan | None:
    """The plan of one phase."""
    if isinstance(phase, Phase | Plan):
        phases, whose = phase.phases if isinstance(phase, Plan) else (phase,), _whose(shared)
        if isinstance(phase, Plan):
            for name, whole in whose.items():
                if (own := getattr(phase, name)) != whole:
                    problems.append(
                        f"{where}{name}={own} is not that of the call, {whole}: guarantees for different neighbours do "
                        f"not add up. Give {name.removeprefix('privacy_')}={own} beside it."
                    )
        try:
            return Plan(phases, examples=shared["examples"], **whose)
        except UsageError as error:
            problems += [f"{where}{problem}" for problem in error.problems]
            return None
    fields: dict[str, Any] = {}
    wrong = False
    for name, value in phase.items():
        field = _FIELDS.get(name)
        if field is None:
            problems.append(f"{where}{name} is not one of: {', '.join(_FIELDS)}.{did_you_mean(name, _FIELDS)}")
        elif field in fields and fields[field] != value:
            problems.append(f"{where}{name}={value} contradicts {field}={fields[field]}. Leave one out.")
        elif text := _text(name, value):
            problems.append(where + text)
            wrong = True
        else:
            fields[field] = value
    if wrong:  # what is missing without them, or out of range, says nothing of the run
        return None
    try:
        return Settings(**{**shared, **fields}).plan()
    except UsageError as error:
        problems += [f"{where}{problem}" for problem in error.problems]
        return None


def _text(name: str, value: object) -> str:
    """What is wrong with a number that is text, as YAML without a point, argparse and environments give it."""
    if not isinstance(value, str):
        return ""
    ratio = re.fullmatch(r"\s*(\d{1,300})\s*/\s*(\d{1,300})\s*", value)
    number = f"fractions.Fraction({ratio[1]}, {ratio[2]})" if ratio else value.strip()
    try:
        known = bool(ratio) or math.isfinite(float(number))
    except ValueError:
        known = False
    remedy = f"Write {name}={number}, without quotes" if known else "Give a number"
    return f"{name}={shortened(repr(value))} is text. {remedy}."


def _in_keywords(problem: str) -> str:
    """What a problem says about options, said about keywords."""
    problem = re.sub(r"--q (\d+)/(\d+)", r"q=fractions.Fraction(\1, \2)", problem)  # the float 1/235 is not exact
    return re.sub(r"--([a-z-]+)( (?=[\d.]|poisson|fixed-size|full-batch))?", _keyword, problem)


def _keyword(option: re.Match[str]) -> str:
    return option[1].replace("-", "_") + ("=" if option[2] else "")
