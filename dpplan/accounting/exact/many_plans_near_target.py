"""The epsilons of many plans of equal steps that all lie near one target, as a map of noise multipliers needs them.

Every interval is as certified as `epsilon()`'s, if wider: about 1e-8 of itself where a plan spends what was aimed at,
and more the farther it is from that. A plan that this road is not made for has no answer here.
"""

import math
from collections.abc import Sequence

import numpy as np

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact import event_lower_bound, rdp_cross_check
from dpplan.accounting.exact.contour import many_plans, placement
from dpplan.accounting.exact.contour.many_plans import Rows, Sums, rows_of
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.numerics import QUIET, Array
from dpplan.accounting.plan_pairs import as_sampled_gaussians, dominating_pairs
from dpplan.plan import Plan

ACCURACY = math.log(1e-7)  # of what is left out of the remove direction, each of two parts relative to delta
LEAST_STEPS = 3.0  # fewer have a road of their own
LEAST_NOISE, MOST_NOISE, MOST_RATE = 0.3, 1000.0, 0.5
ROUNDS, WIDENINGS = 12, 12
SETTLED = 1e-8  # of ε: Newton's rule is done, and its next step would be about the square of it
FARTHEST = 3.0  # times the ε that was aimed at, or as much below: beyond, it is another contour's


def epsilons_near(plans: Sequence[Plan], epsilon: float, delta: float) -> list[Bound | None]:
    """The epsilon of each plan at delta, for plans that spend about `epsilon`; None where this is not the way.

    Guarantee: CERTIFIED.
    """
    found: list[Bound | None] = [None] * len(plans)
    with np.errstate(**QUIET):
        numbers, part = _served(plans)
        if numbers:
            lower, upper, tilts = _ends(part, epsilon, delta)
            floors = event_lower_bound.epsilons_of_each(part, delta)
            ceilings = rdp_cross_check.renyi_epsilons(part, tilts, delta)
            for at, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
                if 0.0 < low <= high < math.inf:
                    number = numbers[at]
                    found[number] = _bound(plans[number], Ends(low, high, "contour"), floors[at], ceilings[at])
    return found


def excesses(plans: Sequence[Plan], epsilon: float, delta: float) -> list[float]:
    """About how far log of each plan's epsilon at delta is from log of `epsilon`, by the saddle point of its remove
    direction; good near 0, of the right sign elsewhere. nan where this is not the way. No claim."""
    found = [math.nan] * len(plans)
    with np.errstate(**QUIET):
        numbers, part = _served(plans)
        if numbers:
            aim, log_delta = np.full(len(numbers), epsilon), math.log(delta)
            tilt, log_deltas = many_plans.log_delta_estimates(part, Direction.REMOVE, aim, log_delta)
            # log delta falls in ε by about the tilt.
            for number, excess in zip(numbers, ((log_deltas - log_delta) / (tilt * aim)).tolist(), strict=True):
                found[number] = excess
    return found


def _served(plans: Sequence[Plan]) -> tuple[list[int], Steps]:
    """Which plans are of equal steps that this road is made for, and their steps, a row for each."""
    kinds = [as_sampled_gaussians(dominating_pairs(plan, "exact")) for plan in plans]
    alone = [(number, kind[0]) for number, kind in enumerate(kinds) if kind is not None and len(kind) == 1]
    table = np.array([(each.noise_multiplier, each.sample_rate, float(each.steps)) for _, each in alone])
    steps = Steps(*(table.reshape(-1, 3)[:, [column]] for column in range(3)))
    served = (steps.count >= LEAST_STEPS) & (steps.sigma >= LEAST_NOISE) & (steps.sigma <= MOST_NOISE)
    served &= (steps.q <= MOST_RATE) & (steps.q > 0.0)
    rows = np.nonzero(served[:, 0])[0]
    return [alone[row][0] for row in rows.tolist()], rows_of(steps, rows)


def estimate(plan: Plan, delta: float) -> float:
    """About the epsilon of a plan, by the saddle point of its remove direction; inf where there is none. No claim."""
    kinds = as_sampled_gaussians(dominating_pairs(plan, "exact"))
    if kinds is None:
        return math.inf
    with np.errstate(**QUIET):
        log_delta = math.log(delta)
        epsilon = placement.plan_saddles(Steps.of(kinds), Direction.REMOVE, log_delta).for_log_delta(log_delta).epsilon
    return max(epsilon, 0.0) if math.isfinite(epsilon) else math.inf


def _bound(plan: Plan, ends: Ends, floor: float, ceiling: float) -> Bound:
    """Held against a plain event and Rényi DP, as every answer is. Raises InternalError where they contradict it."""
    final = rdp_cross_check.reconcile("epsilon", ends, float(floor), float(ceiling))
    return Bound("epsilon", final.lower, final.upper, Guarantee.CERTIFIED, "exact", plan.assumptions, final.why)


def _ends(steps: Steps, epsilon: float, delta: float) -> tuple[Array, Array, Array]:
    """Ends for each row's epsilon, 0 and inf where there are none; and the tilts of the contours."""
    many, log_delta = len(steps.sigma), math.log(delta)
    lower, upper = np.zeros(many), np.full(many, np.inf)
    aim = np.full(many, epsilon)
    place = many_plans.saddles(steps, Direction.REMOVE, aim, log_delta)
    for made in many_plans.sums(steps, Direction.REMOVE, place, (aim, log_delta), ACCURACY):
        lower[made.rows], upper[made.rows] = _inverted(made, epsilon, delta)
    known = np.nonzero(np.isfinite(upper) & (lower > 0.0))[0]
    good = known[_added_below(rows_of(steps, known), lower[known], delta)] if len(known) else known
    bad = np.ones(many, bool)
    bad[good] = False
    lower[bad], upper[bad] = 0.0, np.inf
    return lower, upper, place[0]


def _inverted(made: Sums, aim: float, delta: float) -> tuple[Array, Array]:
    """The two ends of ε for one group of contours: see invert.solve and invert.verified."""
    epsilon = np.full(len(made.rows), aim)
    least, most = aim / FARTHEST, aim * FARTHEST
    for _ in range(ROUNDS):
        estimate, slope, _ = made.near(epsilon)
        step = (np.log(estimate) - math.log(delta)) * estimate / slope
        step = np.nan_to_num(np.clip(step, -0.5 / made.tilt, 0.5 / made.tilt))
        epsilon = np.clip(epsilon - step, least, most)
        if np.all(np.abs(step) <= SETTLED * epsilon):
            break
    value = made.at(epsilon)
    slope = np.maximum(-value.slope, 1e-300)
    lower = _widened(made, epsilon, (delta - value.lower) / slope, -1.0, delta)
    upper = _widened(made, epsilon, (value.upper - delta) / slope, 1.0, delta)
    return lower, upper


def _widened(made: Sums, epsilon: Array, width: Array, sign: float, delta: float) -> Array:
    """The nearest tried ε at which the inequality holds: inf above or 0 below where none does."""
    found = np.full(len(epsilon), np.inf if sign > 0.0 else 0.0)
    width = np.maximum(np.nan_to_num(width, nan=1e-9) * 1.01, 4e-16 * epsilon)
    for _ in range(WIDENINGS):
        tried = np.maximum(epsilon + sign * width, 0.0)
        value = made.at(tried)
        holds = value.upper <= delta if sign > 0.0 else value.lower >= delta
        open_ = ~np.isfinite(found) if sign > 0.0 else found <= 0.0
        found = np.where(open_ & holds, tried, found)
        if np.all(np.isfinite(found) & (found > 0.0)):
            break
        width = width * 2.0
    return found


def _added_below(steps: Steps, epsilon: Array, delta: float) -> Rows:
    """The rows whose add direction provably spends at most delta at their ε; as invert.added_delta_below."""
    below = (epsilon >= many_plans.largest_added_losses(steps)) | (many_plans.deltas_at_zero_above(steps) <= delta)
    log_delta = math.log(delta)
    rows = np.nonzero(~below)[0]
    if len(rows):
        tilt, spread = many_plans.saddles(rows_of(steps, rows), Direction.ADD, epsilon[rows], log_delta)
        quick = many_plans.log_chernoff(rows_of(steps, rows), Direction.ADD, tilt, epsilon[rows]) < log_delta
        below[rows[quick]] = True
        rows, place = rows[~quick], (tilt[~quick], spread[~quick])
    if len(rows):
        part, at = rows_of(steps, rows), epsilon[rows]
        for made in many_plans.sums(part, Direction.ADD, place, (at, log_delta), many_plans.ROUGH_ACCURACY):
            below[rows[made.rows]] = made.at(at[made.rows]).upper <= delta
    return np.nonzero(below)[0]
