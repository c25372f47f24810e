"""dpplan epsilon: what a plan costs at a delta."""

from collections.abc import Sequence
from typing import Any

import click

from dpplan.accounting.bound import Bound
from dpplan.commands.shared import cost_output, output, plan_arguments
from dpplan.commands.shared.plan_arguments import AccountantChoice, PlanArguments
from dpplan.errors import BudgetExceeded, NotCertified
from dpplan.gate import Passage, hold
from dpplan.render import text

HELP = """The ε that a plan spends at a δ, with what is proven about it.

A plan is the noise multiplier, the sample rate (--q, or --n and --batch) and the length (--steps or --epochs); or
several such phases. Earlier runs on the same data (--spent) are simply further phases.

\b
  dpplan epsilon --sigma 4 --q 0.01 --steps 10000 --delta 1e-5
  dpplan epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan epsilon --sigma 1 --q 1/79 --epochs 10 --delta 1e-5 --delta 1e-6
  dpplan epsilon --phase "sigma=1.1,q=0.01,steps=1000" \\
    --phase "sigma=2,n=60000,batch=256,epochs=3"
  dpplan epsilon --spent "sigma=2,q=0.01,steps=500" \\
    --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan epsilon --sigma 4 --q 0.01 --steps 1e4 --delta 1e-5 --accountant all
  dpplan epsilon --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --max-eps 1 --json
  dpplan epsilon --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --prove

--max-eps holds the proven upper bound against the limit, and with --accountant all the least of those. An estimate
proves nothing and passes only with --accept-estimate; a lower bound never does.

Exit status: 0 done, and within --max-eps; 1 above --max-eps; 2 the call makes no sense as put; 3 nothing could
be certified, or proven with --prove, or only an estimate is within --max-eps.
"""


@click.command("epsilon", help=HELP, short_help="What a plan costs: its ε at a δ.")
@plan_arguments.phases
@plan_arguments.deltas(several=True)
@plan_arguments.accountant()
@plan_arguments.max_epsilon
@plan_arguments.accept_estimate
@plan_arguments.explain
@cost_output.prove
@plan_arguments.as_json
def command(
    said: PlanArguments,
    delta: tuple[Any, ...],
    choice: AccountantChoice,
    max_epsilon: Any,
    accept_estimate: bool,
    explain: bool,
    proof: tuple[bool, Any],
    as_json: bool,
) -> None:
    problems = [*plan_arguments.limit("max_eps", max_epsilon), *cost_output.proof_problems(proof, choice)]
    if accept_estimate and max_epsilon is None:
        problems.append("--accept-estimate says what may meet a limit. Give --max-eps, or leave it out.")
    asked = plan_arguments.settle(said, delta, choice, *problems)
    places = tuple(one.value for one in asked.deltas)
    inquiry = cost_output.CostRequest(asked, "epsilon", places, choice, cost_output.digits_wanted(proof))

    def passages(held: Sequence[Bound]) -> list[Passage]:
        return [hold(bound, max_epsilon, accept_estimate) for bound in held]

    def limit(held: list[Bound]) -> dict[str, object]:
        if max_epsilon is None:
            return {}
        within = all(passage is Passage.WITHIN for passage in passages(held))
        return {"max_eps": max_epsilon, "accept_estimate": accept_estimate, "within": within}

    held = cost_output.answer(inquiry, explain, as_json, limit)
    if max_epsilon is not None:
        _gate(places, held, passages(held), max_epsilon)


def _gate(places: Sequence[float], held: Sequence[Bound], passages: Sequence[Passage], most: float) -> None:
    """Raises BudgetExceeded where a figure is above the limit, NotCertified where one is only estimated to be within.

    Warns of an estimate that was let through.
    """
    found = list(zip(places, held, passages, strict=True))
    exceeding = [text.exceeded(bound, at, most) for at, bound, passage in found if passage is Passage.EXCEEDS]
    unproven = [text.unproven(bound, at, most) for at, bound, passage in found if passage is Passage.UNPROVEN]
    if exceeding:
        raise BudgetExceeded("\n  ".join([*exceeding, *unproven]))
    if unproven:
        raise NotCertified("\n  ".join(unproven))
    output.warn(text.accepted(bound, at) for at, bound, _ in found if bound.upper is None)
