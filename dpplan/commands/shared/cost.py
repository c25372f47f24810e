"""What `dpplan epsilon` and `dpplan delta` compute: one plan's figures at several places, by one accountant or all."""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dpplan.accounting.bound import Bound, Quantity
from dpplan.checks import Problems, show
from dpplan.commands.shared import unsaid_accountant
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.parameter_types import COUNT
from dpplan.commands.shared.plan_arguments import Command
from dpplan.commands.shared.request import Request
from dpplan.errors import MissingExtra, NotCertified
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass

if TYPE_CHECKING:
    from dpplan.accounting.exact.prove import Proof
    from dpplan.commands.shared.breakdown import PhaseCost
    from dpplan.compare import AccountantComparison

DIGITS, MOST_DIGITS = 12, 100


@dataclass(frozen=True, slots=True)
class CostRequest:
    """quantity: what is asked for. places: the deltas of an epsilon, or the epsilons of a delta.

    digits: how many a proof has to settle; None without one.
    """

    call: Request
    quantity: Quantity
    places: tuple[float, ...]
    choice: AccountantChoice
    digits: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """The answer, at each place of the request.

    bounds, proofs, alone: one accountant's; proofs are there where they were asked for, and alone, what the earlier
    runs spent by themselves, where there were any. parts: what each phase
    of a plan file costs. comparisons: those of every accountant, in place of all these.
    held: the bound that a limit is held against: what proves most.
    """

    request: CostRequest
    held: tuple[Bound, ...]
    bounds: tuple[Bound, ...] = ()
    proofs: "tuple[Proof, ...]" = ()
    alone: tuple[Bound, ...] = ()
    comparisons: "tuple[AccountantComparison, ...]" = ()
    parts: "tuple[PhaseCost, ...]" = ()


def compute(request: CostRequest, progress: Callable[[str], None]) -> Cost:
    """progress: told what is being asked, of phases and of a proof. Raises MissingExtra where a proof needs one,
    NotCertified where nothing is proven."""
    if request.choice.every:
        return _by_every_accountant(request)
    if request.digits is not None and importlib.util.find_spec("flint") is None:
        raise MissingExtra("--prove", "prove")
    plan, earlier = request.call.plan, request.call.earlier
    bounds = _figures(request, plan, progress)
    proofs = () if request.digits is None else _proofs(request, request.digits, progress)
    before = replace(plan, phases=plan.phases[:earlier], derivation=()) if earlier else None
    alone = () if before is None else _figures(request, before, progress, "the earlier runs alone, ")
    return Cost(
        request,
        tuple(proof.bound for proof in proofs) or bounds,
        bounds,
        proofs,
        alone,
        parts=_parts(request, bounds, progress),
    )


def _figures(request: CostRequest, plan: Plan, progress: Callable[[str], None], which: str = "") -> tuple[Bound, ...]:
    """Of a plan at each place, told as they are begun: a figure of many phases takes seconds."""
    found, phases, places = [], len(plan.phases), len(request.places)
    for number, at in enumerate(request.places, 1):
        if phases > 1 or places > 1:
            several = f", figure {number} of {places}" if places > 1 else ""
            progress(f"{which}{phases} phase{'s' if phases > 1 else ''}{several}")
        found.append(_ask(request, plan, at))
    return tuple(found)


def _parts(request: CostRequest, bounds: tuple[Bound, ...], progress: Callable[[str], None]) -> "tuple[PhaseCost, ...]":
    if not request.call.names:
        return ()
    from dpplan.commands.shared import breakdown

    wholes = list(zip(request.places, bounds, strict=True))
    return breakdown.of(request.call.plan, request.call.names, wholes, functools.partial(_ask, request), progress)


def _by_every_accountant(request: CostRequest) -> Cost:
    from dpplan import compare

    told = request.choice.by_accountant()
    found = tuple(compare.accountants(request.call.plan, at, told, request.quantity) for at in request.places)
    return Cost(request, tuple(_least(each) for each in found), comparisons=found)


def _ask(request: CostRequest, plan: Plan, at: float) -> Bound:
    choice = request.choice if request.digits is None else replace(request.choice, said=True)  # a proof is of exact
    return unsaid_accountant.ask(request.quantity, plan, at, choice)


def _least(comparison: "AccountantComparison") -> Bound:
    """The bound that proves most: what is true of the plan, whoever showed it."""
    proven = [row.bound for row in comparison.rows if row.bound is not None and row.bound.upper is not None]
    if not proven:
        raise NotCertified("no accountant proves an upper bound for this plan.")
    return min(proven, key=lambda bound: bound.value)


def _proofs(request: CostRequest, digits: int, progress: Callable[[str], None]) -> "tuple[Proof, ...]":
    from dpplan.accounting.exact import prove

    ask = prove.epsilon if request.quantity == "epsilon" else prove.delta
    return tuple(ask(request.call.plan, at, digits, progress) for at in request.places)


# --prove


def prove_option(command: Command) -> Command:
    """--prove and --digits. The command receives both as `proof`."""

    @functools.wraps(command)
    def gathered(prove: bool, digits: Any, **values: Any) -> None:
        command(proof=(prove, digits), **values)

    often = f"{DIGITS} when not given, {MOST_DIGITS} at most."
    digits = click.option("--digits", type=COUNT, help=f"Digits that the proof has to settle: {often}")
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
