"""dpplan delta: what a plan costs at an epsilon."""

from typing import Any

import click

from dpplan.commands.shared import accountant_option, cost_output, limit_options, output, plan_arguments, waiting
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.cost import CostRequest, compute, digits_wanted, proof_problems, prove_option
from dpplan.commands.shared.parameter_types import NUMBER
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.render import limits, plan_rows

HELP = """The δ that a plan spends at an ε: the inverse of dpplan epsilon. PLAN: dpplan help plans.

\b
  dpplan delta --eps 3 --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan delta --eps 1 --eps 2 --sigma 4 --q 0.01 --steps 10000
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --accountant rdp
  dpplan delta --eps 3 --phase sigma=2,q=.01,steps=1e4 \\
    --phase sigma=1,q=.01,steps=9
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --prove --digits 20

An answer that is not below 1/n, where n is known, comes with a warning: publishing a whole record at random would
satisfy it.

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified, or proven with --prove; 5 a file
that is there cannot be read.
"""


@click.command("delta", help=HELP)
@click.option("--eps", "epsilons", type=NUMBER, multiple=True, help="The ε. May be given several times.")
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@accountant_option.accountant()
@output.explain_option
@prove_option
@output.json_option
def command(
    epsilons: tuple[Any, ...],
    arguments: PlanArguments,
    choice: AccountantChoice,
    explain: bool,
    proof: tuple[bool, Any],
    as_json: bool,
) -> None:
    problems = [*limit_options.at_least_zero("eps", epsilons), *proof_problems(proof, choice)]
    with waiting.status("reading"):  # of a thousand phases it takes a second
        call = requested(arguments, None, choice, *problems)
    request = CostRequest(call, "delta", epsilons, choice, digits_wanted(proof))

    with waiting.status("proving" if request.digits else "computing") as progress:
        found = compute(request, progress)
    examples = call.plan.examples
    above = (limits.above_one_in(bound, at, examples) for at, bound in zip(epsilons, found.held, strict=True))
    cautions = [sentence for sentence in above if sentence]

    if as_json:
        notes = [] if examples is not None else [limits.NO_EXAMPLES]
        cost_output.print_json(found, [*call.warnings, *cautions], notes=notes)
        return
    cost_output.show(found, explain)
    output.say([] if examples is not None else [plan_rows.row("1/n", "not known", limits.NO_EXAMPLES)])
    output.warn(cautions)
