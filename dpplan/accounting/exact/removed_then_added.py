"""Stage 4, certify: replacing a record between what taking one out costs and what that costs twice.

Where rates are so small that roundings of the losses are larger than the losses of a run, no lattice tells anything of
the law of a replacement, and that of a removal still has its contour.

From above: a record is taken out, and then another put in. P, R and Q being the outputs of a run on the data, on those
without the record and on those with the other one, P(S) <= e^a·R(S) + δ₁ and R(S) <= e^b·Q(S) + δ₂ give
P(S) <= e^(a + b)·Q(S) + δ₁ + e^a·δ₂ (Dwork, Roth 2014, Thm 2.2 on groups, with what δ comes to). From below: the other
record may be one whose gradient is 0, which is to take the first one out.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from dpplan.accounting.numerics import outward
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

METHOD = "one record removed and another added"
# For a, what one of the two costs, of which it is known before that it is no more: at half the delta it is hardly ever
# so many times as much as at all of it; and at most so much, larger ones are not what this is for.
HIGHER, MOST = 1.5, math.log(2.0)


def removal(plan: Plan) -> Plan | None:
    """The same run, to be asked what a removal costs; None where that says nothing here: plans that are not of Gaussian
    noise on Poisson samples of all the data, each record or user drawn as a whole, under replace-one."""
    plain = all(
        (type(phase), type(phase.mechanism), type(phase.sampling)) == (Phase, Gaussian, Poisson) and not phase.groups
        for phase in plan.phases
    )
    if plan.adjacency != REPLACE_ONE or not plain or plan.max_per_user is not None:
        return None
    phases = tuple(replace(phase, adjacency=None) for phase in plan.phases)
    return replace(plan, phases=phases, adjacency=ADD_REMOVE)


def epsilon_between(delta: float, ask: Callable[[float], tuple[float, float]]) -> tuple[float, float]:
    """Ends for the ε of a replacement at this delta, of which the upper may be inf. ask: those of a removal."""
    lower, upper = ask(delta)
    for most in (min(HIGHER * upper, MOST), MOST):
        _, half = ask(outward.down(delta / (1.0 + math.exp(most)), outward.FEW))
        if half <= most:
            return lower, 2.0 * half
    return lower, math.inf


def delta_between(epsilon: float, ask: Callable[[float], tuple[float, float]]) -> tuple[float, float]:
    """Ends for the delta of a replacement at this ε >= 0. ask: those of a removal."""
    lower, _ = ask(epsilon)
    _, half = ask(0.5 * epsilon)
    if not (half < 1.0 and epsilon < 1.0):  # larger ones are not what this is for
        return lower, 1.0
    return lower, min(outward.up((1.0 + math.exp(0.5 * epsilon)) * half, outward.ARITHMETIC), 1.0)
