"""dpplan delta: what a plan costs at an epsilon."""

from typing import Any

import click

from dpplan.commands import options, spending
from dpplan.commands.options import Choice, Said

HELP = """The δ that a plan spends at an ε: the inverse of dpplan epsilon.

\b
  dpplan delta --eps 2 --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan delta --eps 1 --eps 2 --sigma 4 --q 0.01 --steps 10000
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --accountant rdp
  dpplan delta --eps 3 --phase sigma=2,q=.01,steps=1e4 \\
    --phase sigma=1,q=.01,steps=9
  dpplan delta --eps 2 --sigma 4 --q .01 --steps 1e4 --prove --digits 20

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified, or proven with --prove.
"""


@click.command("delta", help=HELP, short_help="What a plan costs: its δ at an ε.")
@click.option("--eps", "epsilons", type=options.NUMBER, multiple=True, help="The ε. May be given several times.")
@options.phases
@options.accountant(every=True)
@options.explain
@spending.prove
@options.as_json
def command(
    epsilons: tuple[Any, ...], said: Said, choice: Choice, explain: bool, proof: tuple[bool, Any], as_json: bool
) -> None:
    problems = [*options.at_least_zero("eps", epsilons), *spending.proof_problems(proof, choice)]
    asked = options.settle(said, None, choice, *problems)
    inquiry = spending.Inquiry(asked, "delta", epsilons, choice, spending.digits_wanted(proof))
    spending.answer(inquiry, explain, as_json, lambda held: {})
