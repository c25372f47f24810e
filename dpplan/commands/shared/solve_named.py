"""`dpplan solve --solve NAME`: what has no place among the quantities that are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, did_you_mean
from dpplan.commands.shared import output
from dpplan.commands.shared.request import cautions, told_of_runs
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Delta, Phase, Plan, Settings, resolve_delta
from dpplan.quantities import FIND_IT, QUANTITIES
from dpplan.render import explanation, to_json

WANTED = ("cap", "max-per-user")
_UNHEARD: Mapping[str, str] = MappingProxyType(
    {
        "--accept-estimate": "the exact accountant finds it, which estimates nothing",
        "": "the exact accountant alone finds it",
    }
)


@dataclass(frozen=True, slots=True)
class NamedSolve:
    """What was typed. target: the targets by name. unheard: options that were given and are of no use here."""

    wanted: str | None
    cost: Any
    target: Mapping[str, Any]
    unheard: tuple[str, ...]
    explain: bool


@dataclass(frozen=True, slots=True)
class _NamedAnswer:
    plan: Plan
    spent: Bound
    described: to_json.Object
    lines: Iterable[str]


def run(
    settings: Settings,
    spent: Sequence[str] | None,
    earlier: tuple[tuple[Phase, ...], list[str]],
    named: NamedSolve,
    as_json: bool,
) -> None:
    """earlier: the phases that ran before, and what is wrong with them. Raises PlanError with all that is wrong with
    the call, Unreachable where nothing meets the target."""
    phases, about_earlier = earlier
    drawn, delta, problems = _checked(settings, named)
    if delta is None or problems or about_earlier:
        raise PlanError([*problems, *about_earlier])
    answer = _cap(drawn, delta, named, phases) if named.wanted == "cap" else _most(drawn, delta, named, phases)
    warnings = (*cautions(settings, [delta]), *told_of_runs(spent or ()))
    if as_json:
        output.as_json(to_json.document("solve", answer.plan, [answer.described], warnings))
        return
    output.say(answer.lines)
    if named.explain:
        told = explanation.explanation(answer.spent, delta.value)
        output.say(["", *told, *explanation.premises([answer.plan.assumptions])])
    output.warn(warnings)


def _checked(settings: Settings, named: NamedSolve) -> tuple[Settings, Delta | None, list[str]]:
    """The settings as they are drawn, the δ, and what is wrong with the call."""
    problems = Problems()
    wanted, of_cap, delta = named.wanted, named.wanted == "cap", None
    problems.require(of_cap or named.cost is None, "cap_cost goes with --solve cap. Give both, or neither.")
    if wanted is not None and wanted not in WANTED:
        raise PlanError(_not_named(wanted, settings))
    takes = {"delta"} if of_cap else {"delta", "target_epsilon"}
    for name, given in named.target.items():
        beside = name not in takes and bool(given)
        option = f"--{name.replace('epsilon', 'eps').replace('_', '-')}"
        problems.require(not beside, f"{option} is a target that --solve {wanted} does not have. Leave it out.")
    for each in named.unheard if wanted is not None else ():
        problems.add(f"{each} beside --solve {wanted}: {_UNHEARD.get(each, _UNHEARD[''])}. Leave it out.")
    if not of_cap and named.target["target_epsilon"] is None:
        problems.add("the target is missing: give --target-eps.")
    drawn, whole = settings, settings.with_(unit="user")
    if of_cap:
        drawn = settings.with_(sampling="truncated-poisson") if settings.sampling == "poisson" else settings
        open_cap = dict(drawn.scheme_options).get("cap") is None
        whole = drawn.with_(scheme_options=(*drawn.scheme_options, ("cap", 1))) if open_cap else drawn
    try:
        whole.plan()
        delta = resolve_delta(named.target["delta"], settings.examples)
    except UsageError as error:
        problems.found += (problem.replace(FIND_IT, "") for problem in error.problems)
    return drawn, delta, problems.found


def _cap(drawn: Settings, delta: Delta, named: NamedSolve, earlier: tuple[Phase, ...]) -> _NamedAnswer:
    from dpplan.render import solve_batch_cap as render
    from dpplan.solve import batch_cap

    found = batch_cap.cap(drawn, delta.value, batch_cap.USUAL_COST if named.cost is None else named.cost, earlier)
    lines = render.lines(found, delta, output.paint)
    return _NamedAnswer(found.plan, found.spent, render.described(found, delta), lines)


def _most(drawn: Settings, delta: Delta, named: NamedSolve, earlier: tuple[Phase, ...]) -> _NamedAnswer:
    from dpplan.render import solve_max_per_user as render
    from dpplan.solve.max_per_user import max_per_user

    found = max_per_user(drawn, named.target["target_epsilon"], delta.value, earlier)
    lines = render.lines(found, delta, output.paint)
    return _NamedAnswer(found.plan, found.spent, render.described(found, delta), lines)


def _not_named(wanted: str, settings: Settings) -> list[str]:
    """What is wrong with a name after --solve, and how what is meant is found."""
    named = next(
        (each for each in QUANTITIES.values() if f"--{wanted}" in each.all_options or wanted == each.name), None
    )
    if named is not None and named.name in ("epsilon", "delta"):
        return [f"solve={wanted}: that of a whole plan is what `dpplan {named.name}` tells, from the same options."]
    if named is None:
        return [f"solve={wanted} is not one of: {', '.join(WANTED)}.{did_you_mean(wanted, WANTED)}"]
    instead = "--solve" if getattr(settings, named.name) is None else f"--solve and {named.option}"
    known = " and ".join(WANTED)
    return [f"solve={wanted}: what is left out is solved for, and --solve names only {known}. Leave out {instead}."]
