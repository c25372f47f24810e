"""dpplan epsilon: what a plan costs at a delta."""

from typing import Any

import click

from dpplan.accounting.bound import Bound
from dpplan.commands import options, spending
from dpplan.commands.options import Choice, Said
from dpplan.errors import BudgetExceeded
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

--max-eps holds the proven upper bound against the limit, an estimate where nothing is proven, and with --accountant
all the least of the proven upper bounds.

Exit status: 0 done, and within --max-eps; 1 above --max-eps; 2 the call makes no sense as put; 3 nothing could
be certified, or proven with --prove.
"""


@click.command("epsilon", help=HELP, short_help="What a plan costs: its ε at a δ.")
@options.phases
@options.deltas(several=True)
@options.accountant()
@options.max_epsilon
@options.explain
@spending.prove
@options.as_json
def command(
    said: Said,
    delta: tuple[Any, ...],
    choice: Choice,
    max_epsilon: Any,
    explain: bool,
    proof: tuple[bool, Any],
    as_json: bool,
) -> None:
    problems = [*options.limit("max_eps", max_epsilon), *spending.proof_problems(proof, choice)]
    asked = options.settle(said, delta, choice, *problems)
    places = tuple(one.value for one in asked.deltas)
    inquiry = spending.Inquiry(asked, "epsilon", places, choice, spending.digits_wanted(proof))

    def limit(held: list[Bound]) -> dict[str, object]:
        if max_epsilon is None:
            return {}
        return {"max_eps": max_epsilon, "within": all(bound.value <= max_epsilon for bound in held)}

    for at, bound in zip(places, spending.answer(inquiry, explain, as_json, limit), strict=True):
        if max_epsilon is not None and bound.value > max_epsilon:
            raise BudgetExceeded(text.exceeded(bound, at, max_epsilon))
