"""dpplan delta: what a plan costs at an epsilon."""

from collections.abc import Sequence
from typing import Any

import click

from dpplan.accounting.bound import Bound
from dpplan.commands.shared import cost_output, output, plan_arguments
from dpplan.commands.shared.plan_arguments import AccountantChoice, PlanArguments
from dpplan.render import text

HELP = """The δ that a plan spends at an ε: the inverse of dpplan epsilon.

\b
  dpplan delta --eps 3 --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan delta --eps 1 --eps 2 --sigma 4 --q 0.01 --steps 10000
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --accountant rdp
  dpplan delta --eps 3 --phase sigma=2,q=.01,steps=1e4 \\
    --phase sigma=1,q=.01,steps=9
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --prove --digits 20

An answer that is not below 1/n, where n is known, comes with a warning: publishing a whole record at random would
satisfy it.

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified, or proven with --prove.
"""


@click.command("delta", help=HELP, short_help="What a plan costs: its δ at an ε.")
@click.option("--eps", "epsilons", type=plan_arguments.NUMBER, multiple=True, help="The ε. May be given several times.")
@plan_arguments.phases
@plan_arguments.accountant(every=True)
@plan_arguments.explain
@cost_output.prove
@plan_arguments.as_json
def command(
    epsilons: tuple[Any, ...],
    said: PlanArguments,
    choice: AccountantChoice,
    explain: bool,
    proof: tuple[bool, Any],
    as_json: bool,
) -> None:
    problems = [*plan_arguments.at_least_zero("eps", epsilons), *cost_output.proof_problems(proof, choice)]
    asked = plan_arguments.settle(said, None, choice, *problems)
    inquiry = cost_output.CostRequest(asked, "delta", epsilons, choice, cost_output.digits_wanted(proof))
    examples = asked.plan.examples

    def cautions(held: Sequence[Bound]) -> list[str]:
        found = (text.above_one_in(bound, at, examples) for at, bound in zip(epsilons, held, strict=True))
        return [sentence for sentence in found if sentence]

    def more(held: list[Bound]) -> dict[str, Any]:
        notes = [] if examples is not None else [text.NO_EXAMPLES]
        return {"warnings": [*asked.warnings, *cautions(held)], "notes": notes}

    held = cost_output.answer(inquiry, explain, as_json, more)
    if not as_json:
        output.say([] if examples is not None else [text.row("1/n", "not known", text.NO_EXAMPLES)])
        output.warn(cautions(held))
