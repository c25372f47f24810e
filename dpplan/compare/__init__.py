"""Side by side: one plan through every accountant, one run under every sampling scheme, theorems, several plans.

    accountants(plan, at)      what every accountant says of a plan, against the exact one
    samplers(settings, delta)  one run under every sampling scheme and neighbour relation
    units(settings, delta, K)  what a run costs a user with several examples, in three ways
    tuning(plan, delta, laws)  what a search costs that publishes its winner
    theorems(plan, delta)      what each composition theorem proves of its first steps
    plans(entries)             what differs between plans, and which wins on what

Each is the function of the module of its name, and `dpplan compare accountants`, `theorems` and `plans` show them.
"""

from dpplan import called_modules
from dpplan.compare.accountants import AccountantComparison, accountants, curves
from dpplan.compare.plans import PlanComparison, PlanEntry, plans
from dpplan.compare.samplers import SamplerComparison, samplers
from dpplan.compare.theorems import TheoremComparison, theorems
from dpplan.compare.tuning import TuningComparison, tuning
from dpplan.compare.units import UnitComparison, units

__all__ = [
    "AccountantComparison",
    "PlanComparison",
    "PlanEntry",
    "SamplerComparison",
    "TheoremComparison",
    "TuningComparison",
    "UnitComparison",
    "accountants",
    "curves",
    "plans",
    "samplers",
    "theorems",
    "tuning",
    "units",
]

called_modules.when_called(
    __name__,
    "What every accountant says of a plan is\n\n"
    "    dpplan.compare.accountants(dpplan.plan.Plan.from_training(1.1, 60000, 256, 60), 1e-6)\n\n",
)
