"""dpplan solve: the one quantity that was left open, from a target."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from dpplan.checks import Problems
from dpplan.commands.shared import accountant_option, limit_options, output, plan_arguments, risk_limits, waiting
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.parameter_types import NUMBER
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import cautions, parse, resolve
from dpplan.errors import NotCertified, PlanError, UsageError
from dpplan.plan import Delta, Phase, Settings
from dpplan.quantities import quantity
from dpplan.render import explanation, to_json
from dpplan.render import solve as render

if TYPE_CHECKING:
    from dpplan.solve import Solution
    from dpplan.solve.risk_target import RiskTarget

HELP = """The one quantity that is left open, so that the plan spends no more than the target.

Leave out any one: --sigma, the length (--steps or --epochs), --batch, --q, --n, or --delta of a complete plan. The
target is --target-eps at --delta, or --target-delta at --eps, or a limit on what any attacker reaches: --max-advantage,
--max-tpr, --max-posterior (dpplan risk says what these are). The answer is rounded to the safe side, what it spends
is computed anew after that, and what the next value the other way would spend is shown beside it. Earlier runs on the
same data (--spent) count towards the target. What an accountant only estimates is shown and not certified.

\b
  dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60
  dpplan solve --target-eps 3 --sigma 1.1 --n 60000 --batch 256
  dpplan solve --target-eps 3 --sigma 1.1 --n 60000 --steps 14000 --json
  dpplan solve --target-eps 3 --sigma 1.1 --batch 256 --epochs 60 --delta 1e-6
  dpplan solve --eps 3 --target-delta 1e-6 --q .01 --steps 1e4
  dpplan solve --target-eps 3 --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan solve --target-eps 3 --n 60000 --batch 256 --epochs 60 \\
    --spent sigma=2,q=.01,steps=500
  dpplan solve --max-tpr 0.05@0.01 --n 60000 --batch 256 --epochs 60

Exit status: 0 done; 1 no value meets the target; 2 the call makes no sense as put; 3 nothing could be certified, or
the answer rests on an estimate and --accept-estimate is not given.
"""


@click.command("solve", help=HELP)
@click.option("--target-eps", "target_epsilon", type=NUMBER, help="The ε that the plan may spend, at --delta.")
@click.option("--target-delta", type=NUMBER, help="The δ that the plan may spend, at --eps.")
@click.option("--eps", "epsilon", type=NUMBER, help="The ε that goes with --target-delta.")
@risk_limits.options
@plan_arguments.plan
@plan_arguments.scheme
@click.option(
    "--spent",
    multiple=True,
    metavar="PHASE|FILE|FOLDER",
    help="An earlier run on the same data: sigma=1.1,q=0.01,steps=1000, a list of phases as YAML, JSON or CSV, the "
    "folder of a run or its report.json, or the history of an Opacus accountant as JSON.",
)
@plan_arguments.deltas(several=False)
@accountant_option.accountant(every=False)
@limit_options.accept_estimate
@output.explain_option
@output.json_option
def command(
    settings: Settings,
    spent: Any,
    choice: AccountantChoice,
    accept_estimate: bool,
    explain: bool,
    as_json: bool,
    **target: Any,
) -> None:
    request = _request(settings, spent, choice, target)
    with waiting.status("searching"):
        found = _solved(request)

    delta = request.delta or Delta(found.delta)
    limit = request.risk
    warnings = cautions(settings.with_(examples=found.plan.examples), [] if limit else [delta])
    proven = found.spent.upper is not None
    if as_json:
        kept = {"kept": limit.said} if limit else {}
        results = [{**render.described(found, delta), "proven": proven, **kept}]
        output.as_json(to_json.document("solve", found.plan, results, warnings))
    else:
        output.say(render.lines(found, delta, output.paint, limit.said if limit else ""))
        if explain:
            output.say(["", *explanation.explanation(found.spent, delta.value), *explanation.premises()])
        output.warn(warnings)
    if not (proven or accept_estimate):
        raise NotCertified(render.unproven(found))


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """A call that makes sense. delta: None where it is the unknown. by: the figure that is held. risk: the limit that
    stands in place of a target, if one does."""

    settings: Settings
    choice: AccountantChoice
    epsilon: float
    delta: Delta | None
    by: Literal["epsilon", "delta"]
    earlier: tuple[Phase, ...]
    risk: "RiskTarget | None" = None


def _solved(request: SolveRequest) -> "Solution":
    """The answer, with what else the budget would buy among its remarks."""
    from dpplan import solve

    def at(epsilon: float, delta: float | None) -> "Solution":
        return solve.solve(
            request.settings,
            epsilon,
            delta,
            request.choice.name,
            by=request.by,
            spent=request.earlier,
            **request.choice.options(request.choice.name),
        )

    if request.risk is not None:
        from dpplan.solve import risk_target

        found = risk_target.solved(request.risk, at)
    else:
        found = at(request.epsilon, None if request.delta is None else request.delta.value)
    return dataclasses.replace(found, remarks=(*found.remarks, *found.advice()))


def _request(settings: Settings, spent: Any, choice: AccountantChoice, target: dict[str, Any]) -> SolveRequest:
    """Raises PlanError with all that is wrong with the call."""
    limit, wrong = risk_limits.read(target)
    if limit is not None or wrong:
        target, wrong = _in_place_of(target, wrong)
    by: Literal["epsilon", "delta"] = "epsilon" if target["target_delta"] is None else "delta"
    epsilon = target["target_epsilon"] if by == "epsilon" else target["epsilon"]
    given = target["delta"] if by == "epsilon" else target["target_delta"]
    problems = [*wrong, *_target_problems(target)]
    name, about_plan = _unknown(settings, given)
    if name == "examples" and given is None:
        problems.append("delta is missing: give --delta. It cannot be derived from n, which is solved for.")
    skipped = name == "delta" or (name == "examples" and given is None)
    deltas, others = resolve(settings, None if skipped else (given,), choice, *problems)
    earlier = (
        parse(PlanArguments(Settings(examples=settings.examples, adjacency=settings.adjacency), phases=spent))
        if spent
        else None
    )
    about_earlier = [] if earlier is None else [_as_spent(problem) for problem in earlier.problems]
    if about_plan or others or about_earlier:
        raise PlanError([*about_plan, *others, *about_earlier, *([] if limit or wrong else cautions(settings, deltas))])
    phases = earlier.plan.phases if earlier is not None and earlier.plan is not None else ()
    return SolveRequest(settings, choice, epsilon, deltas[0] if deltas else None, by, phases, limit)


def _in_place_of(target: dict[str, Any], wrong: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The target as if δ at an ε were asked for, which is what a limit comes to; and what cannot stand beside one."""
    names = ("target_epsilon", "target_delta", "epsilon", "delta")
    beside = [f"--{name.replace('epsilon', 'eps').replace('_', '-')}" for name in names if target[name] is not None]
    if beside:
        wrong = [*wrong, f"{' and '.join(beside)} and a limit on attackers are given: one of them decides."]
    return {**dict.fromkeys(names), "epsilon": 1.0, "target_delta": 0.5}, wrong


def _target_problems(target: dict[str, Any]) -> list[str]:
    """What is wrong with the target: one is to be given, and a delta has an epsilon beside it."""
    epsilon, delta, at = target["target_epsilon"], target["target_delta"], target["epsilon"]
    problems = Problems()
    if delta is None:
        problems.require(at is None, "eps goes with a target delta. Give --target-delta, or --target-eps instead.")
        problems.require(epsilon is not None or at is not None, "the target is missing: give --target-eps.")
        return [*problems.found, *limit_options.positive("target_eps", epsilon)]
    problems.require(epsilon is None, "target_eps and target_delta are both given. Leave out one of them.")
    problems.require(target["delta"] is None, "delta and target_delta are both given. Leave out --delta.")
    problems.require(at is not None, "the epsilon of the target delta is missing: give --eps.")
    problems.probability("target_delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    return [*problems.found, *limit_options.positive("eps", at)]


def _unknown(settings: Settings, delta: Any) -> tuple[str | None, list[str]]:
    """What is solved for, and what is wrong with the rest of the plan."""
    from dpplan import solve

    try:
        name = solve.unknown(settings, delta)
    except UsageError as error:
        return None, list(error.problems)
    stand_in = quantity("sample_rate" if name == "examples" else name)
    changes: dict[str, Any] = {} if stand_in.stand_in is None else {stand_in.name: stand_in.stand_in}
    try:
        settings.with_(**changes).plan()
    except UsageError as error:
        return name, list(error.problems)
    return name, []


def _as_spent(problem: str) -> str:
    return problem.replace("phase ", "spent ", 1) if problem.startswith("phase ") else problem
