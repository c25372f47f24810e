"""The figure where nobody said who computes: exact's; but of mechanisms that exact bounds from above alone, or has no
theorem for, the lesser upper bound by Rényi moments, which says that it is.

Both are upper bounds of the same, so the lesser one holds. An accountant that is named is asked alone.
"""

from collections.abc import Callable
from dataclasses import replace

from dpplan import accounting
from dpplan.accounting.bound import SYMBOLS, Bound, Quantity
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.errors import NotApplicable, NotCertified
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan
from dpplan.render.plan_rows import sentence
from dpplan.rounding import up

INSTEAD = "rdp"
LOOSE = 1e-3  # relative width of exact's interval, beyond which another upper bound is asked for
IN_PLACE_OF = "in_place_of"  # among a bound's details: what exact had to say


def ask(quantity: Quantity, plan: Plan, at: float, choice: AccountantChoice) -> Bound:
    """The ε at a δ, or the δ at an ε, by the accountant of the choice. Raises NotCertified where none proves one."""
    ask = accounting.epsilon if quantity == "epsilon" else accounting.delta
    if choice.said or all(type(phase.mechanism) is Gaussian for phase in plan.phases):
        return ask(plan, at, choice.name, **choice.options(choice.name))
    try:
        exact = ask(plan, at, choice.name)
    except NotCertified as refusal:
        other = _other(ask, plan, at)
        if other is None:
            raise
        why = "has no theorem" if isinstance(refusal, NotApplicable) else "proves no figure"
        return _labelled(other, f"an upper bound: exact {why} for all of this plan")
    if exact.upper is None or exact.relative_width is None or exact.relative_width <= LOOSE:
        return exact
    other = _other(ask, plan, at)
    if other is None or other.upper is None or other.upper >= exact.upper:
        return exact
    return _labelled(other, f"the lesser upper bound: exact proves {SYMBOLS[quantity]} ≤ {up(exact.upper)}")


def _other(ask: Callable[..., Bound], plan: Plan, at: float) -> Bound | None:
    try:
        found = ask(plan, at, INSTEAD)
    except NotCertified:
        return None
    return None if found.upper is None else found


def _labelled(bound: Bound, instead: str) -> Bound:
    return replace(bound, why=f"{bound.why}; {instead}", details={**bound.details, IN_PLACE_OF: instead})


def rows(bounds: tuple[Bound, ...]) -> list[str]:
    """Who gave the figure, where it was not the one who is asked when nothing is said."""
    told = dict.fromkeys(
        f"{bound.accountant}, {bound.details[IN_PLACE_OF]}." for bound in bounds if IN_PLACE_OF in bound.details
    )
    return [line for each in told for line in sentence("accountant", each)]
