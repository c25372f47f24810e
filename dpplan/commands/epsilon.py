"""dpplan epsilon: what a plan costs at a delta."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dpplan.accounting.bound import Bound
from dpplan.commands.shared import (
    accountant_option,
    cost_output,
    limit_options,
    output,
    plan_arguments,
    plot_option,
    waiting,
)
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.cost import Cost, CostRequest, compute, digits_wanted, proof_problems, prove_option
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.errors import BudgetExceeded, NotCertified, UsageError
from dpplan.render import limits
from dpplan.verdict import Passage, hold

HELP = """The ε that a plan spends at a δ, with what is proven about it.

A plan is the noise multiplier, the sample rate (--q, or --n and --batch) and the length (--steps or --epochs); or
several such phases; or a file with a whole budget, phase by phase: dpplan help plans. Earlier runs on the same data
(--spent) are simply further phases.

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
  dpplan epsilon --sampling balls-in-bins --sigma 1 --q 1/100 --epochs 10 \\
    --delta 1e-5 --accuracy 2e-3
  dpplan epsilon recipes/plans/cohorts.yaml --plot cohorts.svg

--plot draws where the budget of a plan file goes: what each phase costs alone, what it adds to the others, the total.

--max-eps holds the proven upper bound against the limit, and with --accountant all the least of those. An estimate
proves nothing and passes only with --accept-estimate; a lower bound never does, and nothing does at a δ above 0.1.
A δ that is not below 1/n, where n is known, is warned of.

Exit status: 0 done, and within --max-eps; 1 above --max-eps; 2 the call makes no sense as put, or a file would go where
no folder is; 3 nothing could be certified, or proven with --prove, or only an estimate is within --max-eps, or its δ is
no privacy; 5 a file that is there cannot be read, or one cannot be written.
"""


@click.command("epsilon", help=HELP)
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@plan_arguments.deltas(several=True)
@accountant_option.accountant()
@limit_options.max_epsilon
@limit_options.accept_estimate
@output.explain_option
@prove_option
@plot_option.plot_option("Also draw what each phase of a plan file costs")
@output.json_option
def command(
    arguments: PlanArguments,
    delta: tuple[Any, ...],
    choice: AccountantChoice,
    max_epsilon: Any,
    accept_estimate: bool,
    explain: bool,
    proof: tuple[bool, Any],
    plot: Path | None,
    as_json: bool,
) -> None:
    problems = [*limit_options.positive("max_eps", max_epsilon), *proof_problems(proof, choice)]
    problems += plot_option.problems(plot)
    if accept_estimate and max_epsilon is None:
        problems.append("--accept-estimate says what may meet a limit. Give --max-eps, or leave it out.")
    with waiting.status("reading"):  # of a thousand phases it takes a second
        call = requested(arguments, delta, choice, *problems)
    places = tuple(one.value for one in call.deltas)
    request = CostRequest(call, "epsilon", places, choice, digits_wanted(proof))
    if plot is not None:
        _check_plot(request)

    with waiting.status("proving" if request.digits else "computing") as progress:
        found = compute(request, progress)
    if plot is not None:
        _draw(found, plot)
    limited = max_epsilon is not None
    passages = [hold(bound, max_epsilon, accept_estimate) for bound in found.held] if limited else []
    empty = [limits.no_privacy(at, max_epsilon) for at in places] if limited else []
    of_no_use = [sentence for sentence in empty if sentence]

    if as_json:
        within = not of_no_use and all(passage is Passage.WITHIN for passage in passages)
        limit = {"max_eps": max_epsilon, "accept_estimate": accept_estimate, "within": within} if limited else {}
        cost_output.print_json(found, **limit, **({} if plot is None else {"plot": str(plot)}))
    else:
        cost_output.show(found, explain)
        if plot is not None:
            output.say(["", f"drawn to {plot}"])
    if limited:
        _gate(places, found.held, passages, max_epsilon, of_no_use)


def _check_plot(request: CostRequest) -> None:
    """Raises UsageError where there are no costs by phase to draw, MissingExtra without matplotlib."""
    from dpplan.commands.shared import breakdown

    problems = []
    if not breakdown.is_asked(request.call.plan, request.call.names):
        problems.append(
            "--plot draws the phases of a plan file, and there is none here with 2 to "
            f"{breakdown.MOST_PHASES} phases. Give such a file: dpplan help plans."
        )
    if request.choice.every:
        problems.append("--plot is of one accountant. Name it, or draw all of them: dpplan compare accountants --plot.")
    if len(request.places) > 1:
        problems.append(f"--plot is of one δ, and --delta gives {len(request.places)}. Ask for one at a time.")
    if problems:
        raise UsageError(problems)
    plot_option.needs_matplotlib()


def _draw(found: Cost, plot: Path) -> None:
    from dpplan.plot import budget_by_phase

    parts = [
        budget_by_phase.BudgetPart(each.name, each.group, each.alone, each.marginal, each.about, each.unknown)
        for each in found.parts
    ]
    budget_by_phase.draw(parts, found.bounds[0], found.request.places[0], plot, found.request.call.public)


def _gate(
    places: Sequence[float], held: Sequence[Bound], passages: Sequence[Passage], most: float, of_no_use: Sequence[str]
) -> None:
    """Raises BudgetExceeded where a figure is above the limit, NotCertified where one is only estimated to be within.

    of_no_use: a sentence for each δ at which no ε is privacy, with which nothing is within either. Warns of an estimate
    that was let through.
    """
    found = list(zip(places, held, passages, strict=True))
    exceeding = [limits.exceeded(bound, at, most) for at, bound, passage in found if passage is Passage.EXCEEDS]
    unproven = [limits.unproven(bound, at, most) for at, bound, passage in found if passage is Passage.UNPROVEN]
    unproven += of_no_use
    if exceeding:
        raise BudgetExceeded("\n  ".join([*exceeding, *unproven]))
    if unproven:
        raise NotCertified("\n  ".join(unproven))
    output.warn(limits.accepted(bound, at) for at, bound, _ in found if bound.upper is None)
