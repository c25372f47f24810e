"""Side by side: one plan through every accountant, the composition theorems as steps grow, several plans.

    accountants(plan, at)      what every accountant says of a plan, against the exact one
    theorems(plan, delta)      what each composition theorem proves of its first steps
    plans(entries)             what differs between plans, and which wins on what

Each is the function of the module of its name, and `dpplan compare accountants`, `theorems` and `plans` show them.
"""

from dpplan.compare.accountants import AccountantComparison, accountants, curves
from dpplan.compare.plans import PlanComparison, PlanEntry, plans
from dpplan.compare.theorems import TheoremComparison, theorems

__all__ = [
    "AccountantComparison",
    "PlanComparison",
    "PlanEntry",
    "TheoremComparison",
    "accountants",
    "curves",
    "plans",
    "theorems",
]
