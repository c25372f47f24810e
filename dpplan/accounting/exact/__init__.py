"""The exact accountant: a certified interval around the epsilon that a plan really spends.

Poisson-subsampled Gaussian steps, add/remove one example. Both directions of the privacy loss are composed on
their own and the larger is taken at the end. In reading order: law and quadrature (the transform of one step),
decay, jump and measure (composition), contour and single (inversion to delta), tilt and route (where to put the
contour), invert (to epsilon), certify (what the result is held against).

Guarantee: CERTIFIED, lower <= truth <= upper, with every error of the computation bounded: aliasing, truncation,
quadrature, what was cut away, and floating point (elementary functions taken to 4 units in the last place, sums at
their worst case). Where the contour cannot do it, the ends are Rényi DP's and a plain event's, and `why` says so.

Sources: Alghamdi et al. 2023 (arXiv:2208.09595) for the contour representation of delta; Zhu, Dong, Wang 2022
(arXiv:2106.08567) for composing the two directions; Trefethen, Weideman 2014 for the quadrature. The error
bounds are derived where they stand.
"""

from typing import Any, Literal

import numpy as np

from dpplan.accounting import gdp, rdp
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact import certify, invert
from dpplan.accounting.exact.certify import Reconciled
from dpplan.accounting.exact.event import EventBound
from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.exact.law import Direction, Steps
from dpplan.plan import Plan

NAME = "exact"
# A wider interval than this is returned with the reason in `why`.
WIDE = 1e-3
# Overflow and 0·inf inside a bound make it infinite or NaN; every result is then tested by an inequality it fails.
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}


def epsilon(plan: Plan, delta: float) -> Bound:
    """The epsilon of `plan` at `delta` in (0, 1), as an interval.

    Guarantee: CERTIFIED. Where the fast method cannot be certified the interval is wider and `why` says so.
    Raises InternalError, and returns nothing, if two proofs contradict each other.
    """
    if _unsampled(plan):
        return _of_gaussian(gdp.epsilon(plan, delta))
    steps = _steps(plan)
    with np.errstate(**_QUIET):
        ends = invert.epsilon_ends(steps, Direction.REMOVE, delta)
        floor = EventBound(steps).epsilon(delta)
        lower = max(ends.lower, floor)
        if not invert.added_delta_below(steps, lower, delta):
            ends = ends.joined(invert.epsilon_ends(steps, Direction.ADD, delta))
    ceiling = certify.renyi_epsilon(plan, delta, ends, WIDE)
    return _bound("epsilon", plan, certify.reconcile("epsilon", ends, floor, ceiling), ends)


def delta(plan: Plan, epsilon: float) -> Bound:
    """The delta of `plan` at `epsilon` >= 0, as an interval. Guarantee and errors as for `epsilon()`."""
    if _unsampled(plan):
        return _of_gaussian(gdp.delta(plan, epsilon))
    steps = _steps(plan)
    ceiling = rdp.delta(plan, epsilon).value
    with np.errstate(**_QUIET):
        ends = invert.delta_ends(steps, Direction.REMOVE, epsilon, ceiling)
        floor = EventBound(steps).delta(epsilon)
        lower = max(ends.lower, floor)
        if lower <= 0.0 or not invert.added_delta_below(steps, epsilon, lower):
            ends = ends.joined(invert.delta_ends(steps, Direction.ADD, epsilon, ceiling))
    return _bound("delta", plan, certify.reconcile("delta", ends, floor, ceiling), ends)


def _bound(quantity: Literal["epsilon", "delta"], plan: Plan, final: Reconciled, ends: Ends) -> Bound:
    why = final.why
    if final.upper - final.lower > WIDE * final.upper:
        why += "; wider than usual, no method here can do better on this plan"
    details: dict[str, object] = {"method": ends.method, "terms": dict(ends.terms)}
    if ends.contour is not None:
        details |= {"tilt": ends.contour.tilt, "frequencies": len(ends.contour.u)}
    return Bound(quantity, final.lower, final.upper, Guarantee.CERTIFIED, NAME, plan.assumptions, why, details=details)


def _steps(plan: Plan) -> Steps:
    return Steps.of([(phase.noise_multiplier, phase.sample_rate, phase.steps) for phase in plan.phases])


def _unsampled(plan: Plan) -> bool:
    return all(phase.sample_rate == 1.0 for phase in plan.phases)


def _of_gaussian(bound: Bound) -> Bound:
    """Without sampling the closed form of gdp.py is the exact accountant."""
    return Bound(
        quantity=bound.quantity,
        lower=bound.lower,
        upper=bound.upper,
        guarantee=bound.guarantee,
        accountant=NAME,
        assumptions=bound.assumptions,
        why=f"closed form without sampling: {bound.why}",
        details={**bound.details, "method": "closed form"},
    )
