"""dpplan solve: the one quantity that was left open, from a target."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from dpplan.checks import Problems, show
from dpplan.commands.shared import (
    accountant_option,
    limit_options,
    output,
    plan_arguments,
    risk_limits,
    solve_named,
    unsaid_accountant,
    waiting,
)
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.parameter_types import CHANCE, NUMBER, Name, PlanFileName
from dpplan.commands.shared.request import cautions, resolve, told_of_runs
from dpplan.errors import NotApplicable, NotCertified, PlanError, UsageError
from dpplan.plan import Delta, Phase, Settings, resolve_delta
from dpplan.quantities import quantity
from dpplan.render import explanation, limits, to_json
from dpplan.render import solve as render
from dpplan.render.help_texts import UNKNOWNS

if TYPE_CHECKING:
    from dpplan.solve import Solution
    from dpplan.solve.risk_target import RiskTarget

RULES = ("shares", "error", "scale")  # solve.allocation.RULES, which need not be imported for help
HELP = f"""The one quantity that is left open, so that the plan spends no more than the target.

Leave out any one: --sigma, the length (--steps or --epochs), --batch, --q, --n, or --delta of a complete plan. The
target is --target-eps at --delta, or --target-delta at --eps, or a limit on what any attacker reaches: --max-advantage,
--max-tpr, --max-posterior (dpplan risk says what these are; ε is shown beside one, at --delta or that of --n). The
answer is rounded to the safe side, what it spends is computed anew after that, and what the next value the other way
would spend is shown beside it. Earlier runs on the same data (--spent) count towards the target. What an accountant
only estimates is shown and not certified.

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
  dpplan solve --solve cap --cap-cost 0.01 --adjacency zero-out \\
    --sigma 4 --n 5000 --batch 250 --steps 100 --delta 1e-5
  dpplan solve --solve max-per-user --target-eps 8 --sigma 2 --q .01 \\
    --steps 1000 --delta 1e-6

A plan file is solved for the noise that its phases leave out, or leave open (open: true; dpplan help plans), by shares
of the budget, for the least error, or from given values by one factor; what one ε more would buy each phase stands
beside it. Or for one setting of one phase: {UNKNOWNS}; the file gives a value of it, in place of which one is found.

\b
  dpplan solve recipes/plans/two-stage-fine-tuning.yaml --target-eps 8
  dpplan solve recipes/plans/two-stage-fine-tuning.yaml --target-eps 8 \\
    --allocate error
  dpplan solve recipes/plans/cohorts.yaml --target-eps 3 \\
    --unknown "hospital A.steps"
  dpplan solve recipes/plans/cohorts.yaml --target-eps 3 \\
    --unknown "hospital A.batch_size"

--solve cap asks for no target: it finds the smallest limit on the size of a Poisson batch that raises ε by no more than
--cap-cost of it, with the memory that takes and how often a batch is cut. --solve
max-per-user finds how many examples one user may have.

Exit status: 0 done; 1 no value meets the target; 2 the call makes no sense as put; 3 nothing could be certified, or the
answer rests on an estimate and --accept-estimate is not given; 5 a file that is there cannot be read.
"""


@click.command("solve", help=HELP)
@click.argument("plan_file", type=PlanFileName("A plan file"), metavar="[PLAN]", required=False)
@click.option("--target-eps", "target_epsilon", type=NUMBER, help="The ε that the plan may spend, at --delta.")
@click.option("--target-delta", type=CHANCE, help="The δ that the plan may spend, at --eps.")
@click.option("--eps", "epsilon", type=NUMBER, help="The ε that goes with --target-delta.")
@risk_limits.options
@plan_arguments.plan
@plan_arguments.scheme
@plan_arguments.spent
@plan_arguments.deltas(several=False)
@accountant_option.accountant(every=False)
@click.option(
    "--solve",
    "wanted",
    type=Name(solve_named.WANTED),
    help="What to find where it is not what was left out: cap, or max-per-user.",
)
@click.option("--cap-cost", type=NUMBER, help="With --solve cap: the share of ε that the cap may cost; 0.01 otherwise.")
@click.option("--allocate", type=Name(RULES), help="Of PLAN: shares (by weight), error (the least), or scale.")
@click.option("--unknown", metavar="NAME.SETTING", help="Of PLAN: the one setting to find, such as train.sample_rate.")
@limit_options.accept_estimate
@output.explain_option
@output.json_option
def command(
    plan_file: str | None,
    settings: Settings,
    spent: Any,
    choice: AccountantChoice,
    allocate: str | None,
    unknown: str | None,
    accept_estimate: bool,
    explain: bool,
    as_json: bool,
    wanted: str | None,
    cap_cost: Any,
    **target: Any,
) -> None:
    asked = SolveTarget(**target)
    if plan_file is not None or allocate is not None or unknown is not None:
        from dpplan.commands.shared import solve_open_phases

        beside = [name for name, said in (("--solve", wanted), ("--cap-cost", cap_cost), ("--explain", explain),
                                          ("--accept-estimate", accept_estimate)) if said]  # fmt: skip
        of_plan = solve_open_phases.PlanTarget(
            asked.target_epsilon, asked.delta, allocate, unknown, _of_plan(asked, beside)
        )
        typed = {name: given for name, given in click.get_current_context().params.items() if given is not None}
        solve_open_phases.run(plan_file, settings, spent, choice, of_plan, as_json, plan_arguments.stated_of(typed))
        return
    if wanted is not None or cap_cost is not None:
        unheard = [f"--accountant {choice.name}"] if choice.said and choice.name != accountant_option.EXACT.name else []
        unheard += [accountant_option.flag(name) for name in choice.given]
        unheard += ["--accept-estimate"] if accept_estimate else []
        named = solve_named.NamedSolve(wanted, cap_cost, dataclasses.asdict(asked), tuple(unheard), explain)
        solve_named.run(settings, spent, _earlier(settings, spent), named, as_json)
        return
    request = _request(settings, spent, choice, asked)
    with waiting.status("searching"):
        found = _solved(request)

    delta = request.delta or Delta(found.delta)
    limit = request.risk
    kept = _kept(limit.said, found, request) if limit else None
    deltas = ([kept.delta] if kept.delta else []) if kept else [delta]
    told = cautions(settings.with_(examples=found.plan.examples), deltas)
    warnings = (*told, *told_of_runs(spent or ()), *limits.beyond_meaning([found.spent]))
    proven = found.spent.upper is not None
    if as_json:
        results = [{**render.described(found, delta), "proven": proven, **render.described_limit(kept)}]
        output.as_json(to_json.document("solve", found.plan, results, warnings))
    else:
        output.say(render.lines(found, delta, output.paint, kept))
        if explain:
            output.say(
                [
                    "",
                    *explanation.explanation(found.spent, delta.value),
                    *explanation.premises([found.plan.assumptions]),
                ]
            )
        output.warn(warnings)
    if not (proven or accept_estimate):
        raise NotCertified(render.unproven(found))


@dataclass(frozen=True, slots=True)
class SolveTarget:
    """What is to be met, as typed: --target-eps at --delta, --target-delta at --eps, or a limit on attackers."""

    target_epsilon: Any = None
    target_delta: Any = None
    epsilon: Any = None
    delta: Any = None
    max_advantage: Any = None
    max_tpr: Any = None
    max_posterior: Any = None

    @property
    def by(self) -> Literal["epsilon", "delta"]:
        return "epsilon" if self.target_delta is None else "delta"

    @property
    def epsilon_held(self) -> Any:
        return self.target_epsilon if self.by == "epsilon" else self.epsilon

    @property
    def delta_given(self) -> Any:
        return self.delta if self.by == "epsilon" else self.target_delta

    def problems(self) -> list[str]:
        """One target is to be given, and a delta has an epsilon beside it."""
        found = Problems()
        if self.target_delta is None:
            asked = self.target_epsilon is not None
            found.require(
                self.epsilon is None, "eps goes with a target delta. Give --target-delta, or --target-eps instead."
            )
            found.require(asked or self.epsilon is not None, "the target is missing: give --target-eps.")
            return [*found.found, *limit_options.positive("target_eps", self.target_epsilon)]
        if self.target_epsilon is not None:  # elsewhere the δ of a target ε is a target, too
            instead = f"write --delta {show(self.target_delta)} in place of" if self.delta is None else "leave out"
            found.add(f"target_eps and target_delta are both given. The δ of a target ε is --delta: {instead} "
                      "--target-delta.")  # fmt: skip
            return found.found
        found.require(self.delta is None, "delta and target_delta are both given. Leave out --delta.")
        found.require(self.epsilon is not None, "the epsilon of the target delta is missing: give --eps.")
        found.probability(
            "target_delta", self.target_delta, closed_right=False, try_="Values below 1/n are meaningful."
        )
        return [*found.found, *limit_options.positive("eps", self.epsilon)]


@dataclass(frozen=True, slots=True)
class SolveRequest:
    """A call that makes sense. delta: None where it is the unknown. by: the figure that is held. risk: the limit that
    stands in place of a target, if one does. shown: the δ that was given beside it."""

    settings: Settings
    choice: AccountantChoice
    epsilon: float
    delta: Delta | None
    by: Literal["epsilon", "delta"]
    earlier: tuple[Phase, ...]
    risk: "RiskTarget | None" = None
    shown: Delta | None = None


def _of_plan(target: SolveTarget, beside: list[str]) -> tuple[str, ...]:
    """What is wrong with a target for a plan file, which is an ε at a δ."""
    problems = [f"{name} is nothing that a plan file is solved by. Leave it out." for name in beside]
    for name, given in dataclasses.asdict(target).items():
        if name not in ("target_epsilon", "delta") and given:
            option = f"--{name.replace('epsilon', 'eps').replace('_', '-')}"
            problems.append(f"{option} is no target for a plan file. Give --target-eps.")
    if target.target_epsilon is None:
        problems.append("the target is missing: give --target-eps.")
    return (*problems, *limit_options.positive("target_eps", target.target_epsilon))


def _solved(request: SolveRequest) -> "Solution":
    """The answer, with what else the budget would buy among its remarks."""
    from dpplan import solve

    def at(epsilon: float, delta: float | None) -> "Solution":
        return solve.solve(
            request.settings,
            epsilon,
            delta,
            unsaid_accountant.name_of(request.choice) if request.earlier else request.choice.name,
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


def _request(settings: Settings, spent: Any, choice: AccountantChoice, target: SolveTarget) -> SolveRequest:
    """Raises PlanError with all that is wrong with the call."""
    limit, wrong = risk_limits.read(dataclasses.asdict(target))
    shown = None
    if limit is not None or wrong:
        shown, about_shown = _shown(target.delta)
        target, wrong = _in_place_of(target, [*wrong, *about_shown])
    given, problems = target.delta_given, [*wrong, *target.problems()]
    name, about_plan = _unknown(settings, given)
    if name == "examples" and given is None:
        problems.append("delta is missing: give --delta. It cannot be derived from n, which is solved for.")
    skipped = name == "delta" or (name == "examples" and given is None)
    deltas, others = resolve(settings, None if skipped else (given,), choice, *problems)
    phases, about_earlier = _earlier(settings, spent)
    if about_plan or others or about_earlier:
        raise PlanError([*about_plan, *others, *about_earlier, *([] if limit or wrong else cautions(settings, deltas))])
    at = deltas[0] if deltas else None
    return SolveRequest(settings, choice, target.epsilon_held, at, target.by, phases, limit, shown)


def _in_place_of(target: SolveTarget, wrong: list[str]) -> tuple[SolveTarget, list[str]]:
    """The target as if δ at an ε were asked for, which is what a limit comes to; and what cannot stand beside one."""
    names = ("target_epsilon", "target_delta", "epsilon")
    given = [name for name in names if getattr(target, name) is not None]
    beside = " and ".join(f"--{name.replace('epsilon', 'eps').replace('_', '-')}" for name in given)
    if beside:
        told = f"{beside} and a limit on attackers are given: one of them decides. Leave out {beside}, or the limit."
        wrong = [*wrong, told]
    return SolveTarget(epsilon=1.0, target_delta=0.5), wrong


def _shown(delta: Any) -> tuple[Delta | None, list[str]]:
    """The δ that was given beside a limit, at which ε is shown, too; and what is wrong with it."""
    if delta is None:
        return None, []
    try:
        return resolve_delta(delta, None), []
    except UsageError as error:
        return None, list(error.problems)


def _kept(said: str, found: "Solution", request: SolveRequest) -> render.KeptLimit:
    """The limit in words, with the ε of the answer at the δ that was given or that follows from n."""
    examples = found.plan.examples
    delta = request.shown or (None if examples is None else resolve_delta(None, examples))
    if delta is None:
        return render.KeptLimit(said)
    try:
        return render.KeptLimit(said, delta, unsaid_accountant.ask("epsilon", found.plan, delta.value, request.choice))
    except (NotApplicable, NotCertified) as refusal:  # the limit is kept all the same
        return render.KeptLimit(said, delta, why=str(refusal))


def _earlier(settings: Settings, spent: Any) -> tuple[tuple[Phase, ...], list[str]]:
    """The phases that ran before, and what is wrong with them. They are drawn like the run where they say nothing."""
    if not spent:
        return (), []
    shared = Settings(
        examples=settings.examples,
        adjacency=settings.adjacency,
        sampling=settings.sampling,
        scheme_options=settings.scheme_options,
        unit=settings.unit,
        max_per_user=settings.max_per_user,
    )
    from dpplan.commands.shared import plan_files  # only such a call needs it

    phases, problems = plan_files.spent_alone(spent, shared)
    return phases, [_as_spent(problem) for problem in problems]


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
