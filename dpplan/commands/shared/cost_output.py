"""What `dpplan epsilon` and `dpplan delta` share: one plan's figures at several places, and how they are shown."""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, show
from dpplan.commands.shared import output, plan_arguments
from dpplan.commands.shared.plan_arguments import AccountantChoice, Command, Request
from dpplan.errors import MissingExtra, NotCertified
from dpplan.plan import Plan
from dpplan.render import text

if TYPE_CHECKING:
    from dpplan.accounting.exact.prove import Proof
    from dpplan.compare.accountants import AccountantComparison, Quantity

More = Callable[[list[Bound]], dict[str, Any]]
DIGITS, MOST_DIGITS = 12, 100


@dataclass(frozen=True, slots=True)
class CostRequest:
    """quantity: what is asked for. places: the deltas of an epsilon, or the epsilons of a delta.

    digits: how many a proof has to settle; None without one.
    """

    asked: Request
    quantity: "Quantity"
    places: tuple[float, ...]
    choice: AccountantChoice
    digits: int | None = None

    def ask(self, plan: Plan, at: float) -> Bound:
        ask = accounting.epsilon if self.quantity == "epsilon" else accounting.delta
        return ask(plan, at, self.choice.name, **self.choice.options(self.choice.name))

    def alone(self) -> list[Bound]:
        """What the earlier runs spent by themselves, at each place."""
        if not self.asked.earlier:
            return []
        plan = Plan(self.asked.plan.phases[: self.asked.earlier])
        return [self.ask(plan, at) for at in self.places]


def prove(command: Command) -> Command:
    """--prove and --digits. The command receives both as `proof`."""

    @functools.wraps(command)
    def gathered(prove: bool, digits: Any, **values: Any) -> None:
        command(proof=(prove, digits), **values)

    often = f"{DIGITS} when not given, {MOST_DIGITS} at most."
    digits = click.option("--digits", type=plan_arguments.COUNT, help=f"Digits that the proof has to settle: {often}")
    return click.option("--prove", is_flag=True, help="Prove the figure in ball arithmetic.")(digits(gathered))


def digits_wanted(proof: tuple[bool, Any]) -> int | None:
    """None without a proof."""
    wanted, digits = proof
    return None if not wanted else DIGITS if digits is None else int(digits)


def proof_problems(proof: tuple[bool, Any], choice: AccountantChoice) -> list[str]:
    """What is wrong with the proof that is asked for."""
    wanted, digits = proof
    problems = Problems()
    if digits is not None:
        problems.require(wanted, "--digits is for a proof. Add --prove, or leave it out.")
        if problems.whole("digits", digits, try_=f"{DIGITS} is the default."):
            problems.require(digits <= MOST_DIGITS, f"digits={show(digits)} is more than {MOST_DIGITS}. Ask for fewer.")
    if wanted and choice.name in choice.known:
        problems.require(
            choice.name == "exact",
            f"--prove is for exact, and the accountant is {choice.name}. Leave --accountant out, or --prove.",
        )
    return problems.found


def answer(inquiry: CostRequest, explain: bool, as_json: bool, more: More) -> list[Bound]:
    """Computes and shows everything. Returns at each place the bound that a limit is held against.

    more: what else the JSON says, given those bounds.
    """
    if inquiry.choice.every:
        return _every(inquiry, explain, as_json, more)
    if inquiry.digits is not None and importlib.util.find_spec("flint") is None:
        raise MissingExtra("--prove", "prove")
    bounds = [inquiry.ask(inquiry.asked.plan, at) for at in inquiry.places]
    proofs = [] if inquiry.digits is None else _proofs(inquiry, inquiry.digits)
    held = [proof.bound for proof in proofs] or bounds
    alone = inquiry.alone()
    asked = inquiry.asked
    if as_json:
        _print(inquiry, _results(inquiry, bounds, proofs), {**_before(inquiry, alone), **more(held)})
        return held
    if proofs:
        _show_proofs(inquiry, bounds, proofs)
    else:
        output.answers(list(zip(inquiry.places, bounds, strict=True)))
    output.say(text.spent_before(bound, at) for bound, at in zip(alone, inquiry.places, strict=False))
    output.say(text.plan_rows(asked.plan, asked.deltas, earlier=asked.earlier))
    for at, bound in zip(inquiry.places, bounds, strict=True) if explain else ():
        output.say(["", *([text.heading(bound, at)] if len(bounds) > 1 else []), *text.explanation(bound, at)])
    if explain:
        output.say(text.premises(bool(proofs)))
    output.warn(asked.warnings)
    return held


def _every(inquiry: CostRequest, explain: bool, as_json: bool, more: More) -> list[Bound]:
    """Every accountant, one table for each place."""
    from dpplan import compare
    from dpplan.render import compare_accountants, to_json

    asked = inquiry.asked
    given = {name: inquiry.choice.options(name) for name in accounting.ACCOUNTANTS}
    answers = [compare.accountants(asked.plan, at, given, inquiry.quantity) for at in inquiry.places]
    held = [_least(answer) for answer in answers]
    if as_json:
        deltas = asked.deltas or (None,) * len(answers)
        results = [
            result
            for answer, delta in zip(answers, deltas, strict=True)
            for result in to_json.comparison(answer, delta)
        ]
        _print(inquiry, results, more(held))
        return held
    for answer in answers:
        output.say([f"at {'δ' if inquiry.quantity == 'epsilon' else 'ε'} = {show(answer.at)}"])
        output.show(compare_accountants.accountants(answer.rows, timed=False, quantity=inquiry.quantity))
        output.say([""])
    output.say(text.plan_rows(asked.plan, asked.deltas, earlier=asked.earlier))
    for answer in answers if explain else ():
        explained(answer)
    if explain:
        output.say(text.premises())
    output.warn(asked.warnings)
    return held


def explained(answer: "AccountantComparison") -> None:
    """How each accountant came to its figure."""
    for row in answer.rows:
        if row.bound is not None:
            heading = text.heading(row.bound, answer.at, named=True)
            output.say(["", heading, *text.explanation(row.bound, answer.at)])


def _least(answer: "AccountantComparison") -> Bound:
    """The bound that proves most: what is true of the plan, whoever showed it."""
    proven = [row.bound for row in answer.rows if row.bound is not None and row.bound.upper is not None]
    if not proven:
        raise NotCertified("no accountant proves an upper bound for this plan.")
    return min(proven, key=lambda bound: bound.value)


def _proofs(inquiry: CostRequest, digits: int) -> list["Proof"]:
    from dpplan.accounting.exact import prove

    ask = prove.epsilon if inquiry.quantity == "epsilon" else prove.delta
    with output.status("proving") as progress:
        return [ask(inquiry.asked.plan, at, digits, progress) for at in inquiry.places]


def _show_proofs(inquiry: CostRequest, bounds: Sequence[Bound], proofs: Sequence["Proof"]) -> None:
    from dpplan.render import proof as drawing

    for at, bound, proof in zip(inquiry.places, bounds, proofs, strict=True):
        output.say([*drawing.proof(proof, bound, at, output.paint), ""])


def _results(inquiry: CostRequest, bounds: Sequence[Bound], proofs: Sequence["Proof"]) -> list[dict[str, Any]]:
    from dpplan.render import to_json

    if inquiry.quantity == "epsilon":
        results = [
            to_json.spent_epsilon(delta, bound) for delta, bound in zip(inquiry.asked.deltas, bounds, strict=True)
        ]
    else:
        results = [to_json.spent_delta(at, bound) for at, bound in zip(inquiry.places, bounds, strict=True)]
    if not proofs:
        return results
    return [
        {**result, "proof": to_json.proof(proof, bound)}
        for result, proof, bound in zip(results, proofs, bounds, strict=True)
    ]


def _before(inquiry: CostRequest, alone: Sequence[Bound]) -> dict[str, object]:
    """What the JSON says about earlier runs."""
    if not alone:
        return {}
    from dpplan.render import to_json

    other = "delta" if inquiry.quantity == "epsilon" else "epsilon"
    figures = [
        {other: at, inquiry.quantity: to_json.figure(bound)} for at, bound in zip(inquiry.places, alone, strict=True)
    ]
    return {"spent_before": {"phases": inquiry.asked.earlier, "results": figures}}


def _print(inquiry: CostRequest, results: Sequence[dict[str, Any]], more: dict[str, Any]) -> None:
    from dpplan.render import to_json

    plan, further = inquiry.asked.plan, dict(more)
    warnings = further.pop(
        "warnings", inquiry.asked.warnings
    )  # a command may have more of them once it knows the figures
    output.as_json(to_json.document(inquiry.quantity, plan, results, warnings, **further))
