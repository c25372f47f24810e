"""The figure where nobody said who computes (accounting.least_upper), and the words that say who did.

An accountant that is named is asked alone.
"""

from dpplan import accounting
from dpplan.accounting.bound import Bound, Quantity
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.plan import Plan
from dpplan.render.plan_rows import whose


def name_of(choice: AccountantChoice) -> str:
    """The accountant to ask."""
    return choice.name if choice.said else accounting.LEAST


def ask(quantity: Quantity, plan: Plan, at: float, choice: AccountantChoice) -> Bound:
    """The ε at a δ, or the δ at an ε, by the accountant of the choice. Raises NotCertified where none proves one."""
    ask = accounting.epsilon if quantity == "epsilon" else accounting.delta
    return ask(plan, at, name_of(choice), **choice.options(choice.name))


def rows(bounds: tuple[Bound, ...]) -> list[str]:
    """Who gave the figure, where it was not the one who is asked when nothing is said."""
    return list(whose(bounds))
