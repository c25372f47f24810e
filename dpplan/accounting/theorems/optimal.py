"""Optimal composition: the best that any theorem can say from (ε₀, δ₀) per step alone.

k steps that are (ε₀, δ₀)-DP lose at most what k answers of randomized response lose: the loss is (2l − k)·ε₀ with
l ~ Bin(k, e^{ε₀}/(1 + e^{ε₀})), and the run is (ε, 1 − (1 − δ₀)^k·(1 − D(ε)))-DP with D(ε) = E[(1 − e^{ε−loss})₊].
Kairouz, Oh and Viswanath 2015 (arXiv 1311.0776), Thm 3.3, state it at ε = (k − 2i)·ε₀; the same curve at every ε
is that of Murtagh and Vadhan 2016 (arXiv 1507.03113) with equal terms. All sums are kept as logarithms.

Plans whose phases differ: each step is treated as having the largest ε₀ of all phases, which is valid because an
(ε, δ)-DP step is (ε + x, δ)-DP; the optimum for unequal steps is #P-hard (Murtagh and Vadhan).

Guarantee: UPPER. Time grows like sqrt(steps): about 30 ms at 1e4 steps, 0.1 s at 1e6, 2 s at 1e9; more than
2e9 are refused.
"""

import dataclasses
import math

import numpy as np

from dpplan.accounting.accountant_description import Description
from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.binomial import log_binomial_pmf
from dpplan.accounting.numerics.logspace import log1mexp, log_sub
from dpplan.accounting.theorems import Steps, best_delta, best_epsilon
from dpplan.checks import show
from dpplan.errors import NotApplicable
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="optimal",
    caption="the best composition of what is known of one step by one (ε₀, δ₀)",
    guarantee="upper",
    use="to see what any composition theorem can reach",
    source="Kairouz, Oh, Viswanath 2015",
    supports="Gaussian noise, Poisson sampling or none",
    colour="#CC79A7",
    note="δ₀ = {step_delta} per step",
    published=2015,
    cost="its time grows like the square root of the steps: 0.1 s at 1e6, 2 s at 1e9",
)


MOST_STEPS = 2 * 10**9  # seconds
_WIDE = 20.0  # windows end where e^{−40} of what they hold is left outside
_LOW = 40.0  # how far below the mean answers are looked for, likewise
_FLOATS = 600.0  # e^-600 of the largest is a float with all of its digits
_PURE = 30.0  # above this ε₀ the loss is k·ε₀ but for a probability below k·e^{−30}: adding up loses nothing


def epsilon(plan: Plan, delta: float) -> Bound:
    """The epsilon of the best split of `delta` (in (0, 1)) found. Guarantee: UPPER."""

    _check_length(plan)

    def at(steps: Steps, log_slack: float) -> float:
        return homogeneous_epsilon(_largest(steps), plan.steps, log_slack)

    return _remark(best_epsilon("optimal", plan, delta, at), plan)


def delta(plan: Plan, epsilon: float) -> Bound:
    """The least delta found over the choices of δ₀ at `epsilon` >= 0; at most 1. Guarantee: UPPER."""

    _check_length(plan)

    def at(steps: Steps) -> float:
        return homogeneous_log_delta(_largest(steps), plan.steps, epsilon)

    return _remark(best_delta("optimal", plan, epsilon, at), plan)


def homogeneous_epsilon(step_epsilon: float, steps: int, log_delta: float) -> float:
    """The least ε >= 0 with D(ε) <= e^{log_delta}, for `steps` pure (step_epsilon, 0)-DP steps, rounded upward.

    step_epsilon >= 0; log_delta < 0. Continuous in all arguments; equal to the grid form at its grid points.
    """
    if step_epsilon == 0 or step_epsilon > _PURE:
        return outward.up(steps * step_epsilon, outward.SUM)
    p = 1 / (1 + math.exp(-step_epsilon))
    # D(ε) <= P[loss > ε] <= exp(−2t²/k) for l beyond k·p + t (Hoeffding): no need to look further up.
    reach = math.sqrt(-steps * log_delta / 2)
    curve = _Curve(step_epsilon, steps, steps * p, steps * p + reach)
    if curve.log_d[0] <= log_delta:  # only where the whole loss is about as small as delta
        curve = _Curve(step_epsilon, steps, steps * p - math.sqrt(_LOW * steps), steps * p)
    within = np.flatnonzero(curve.log_d <= log_delta)
    if len(within) == 0:
        return outward.up(steps * step_epsilon, outward.SUM)
    at = int(within[0])
    # Between grid points D is linear in e^ε: D(ε) = D(ε_m) + (e^{ε_m} − e^ε)·P'[l >= m] with P' the other law.
    spare = log_sub(log_delta, float(curve.log_d[at])) - float(curve.log_other[at] + curve.losses[at])
    step_back = log1mexp(spare) if spare < 0 else -math.inf
    epsilon = float(curve.losses[at]) + max(step_back, -2 * step_epsilon)
    return outward.up(max(epsilon + outward.ARITHMETIC * step_epsilon, 0.0), outward.SUM)


def homogeneous_log_delta(step_epsilon: float, steps: int, epsilon: float) -> float:
    """log D(ε) for `steps` pure (step_epsilon, 0)-DP steps at epsilon >= 0, rounded upward; at most 0."""
    if outward.up(step_epsilon * steps, outward.FUNCTION) <= epsilon:
        return -math.inf
    if step_epsilon > _PURE:
        return 0.0
    p = 1 / (1 + math.exp(-step_epsilon))
    # Not above the first loss that exceeds ε: one below it costs nothing, its own D is an upper bound.
    first = max(math.ceil(outward.down((epsilon / step_epsilon + steps) / 2, outward.FUNCTION)), 0)
    curve = _Curve(step_epsilon, steps, first, max(first, steps * p))
    rise = outward.sum_up((float(curve.losses[0]), -epsilon), outward.FUNCTION)
    if rise <= 0:
        return min(float(curve.log_d[0]), 0.0)
    part = float(curve.log_other[0] + curve.losses[0]) + log1mexp(-rise)
    return min(float(np.logaddexp(curve.log_d[0], part)), 0.0)


class _Curve:
    """D at the grid points (2l − k)·ε₀ for l in a window, in logarithms and rounded upward.

    losses: ε at the grid points. log_other: log P'[answers >= l] under the other law, l ~ Bin(k, 1/(1 + e^{ε₀})).
    log_d: log D. With E = e^{losses}, D_l = D_{l+1} + (E_{l+1} − E_l)·P'[>= l + 1]: a sum without cancellation.
    """

    def __init__(self, step_epsilon: float, steps: int, first: float, last: float) -> None:
        # Beyond `last`, at or past the mode, log pmf falls at least like 2n²/k: e^{−40} of the sum is left out.
        low = min(max(math.floor(first), (steps + 1) // 2), steps)
        high = min(math.ceil(max(last, low) + math.sqrt(_WIDE * steps)) + 20, steps)
        count = np.arange(low, high + 1, dtype=np.float64)
        p, not_p = 1 / (1 + math.exp(-step_epsilon)), 1 / (1 + math.exp(step_epsilon))
        self.losses: Array = (2 * count - steps) * step_epsilon
        log_mass = log_binomial_pmf(count, steps, p, not_p) - self.losses
        # The error of the masses, then of the running sums below, which round a logarithm once per term.
        rounding = 1e-13 + 1e-15 * float(np.abs(count - steps * p).max())
        rounding += 2.5e-16 * (len(count) + 4) * float(np.abs(log_mass).max())
        self.log_other: Array = log_sums_from(log_mass) + rounding
        rises = self.log_other + self.losses + log1mexp(-2 * step_epsilon)
        self.log_d: Array = np.append(log_sums_from(rises[1:]), -np.inf) + rounding


def log_sums_from(logs: Array) -> Array:
    """log of the sum of e^logs from each place to the end.

    A running sum of floats is off by a unit for each term, less than logarithms that are added term by term; those are
    for sums that would leave the floats.
    """
    top = float(logs.max(initial=-math.inf))
    if not (math.isfinite(top) and float(logs.min()) > top - _FLOATS):
        return np.asarray(np.logaddexp.accumulate(logs[::-1])[::-1])
    return np.asarray(top + np.log(np.cumsum(np.exp(logs - top)[::-1])[::-1]))


def _check_length(plan: Plan) -> None:
    """Raises NotApplicable for a run whose sums take minutes, and round so much that `advanced` is below them."""
    if plan.steps > MOST_STEPS:
        raise NotApplicable(
            f"optimal: steps={show(plan.steps)} is more than {MOST_STEPS:.0e}, where sums over all outcomes take "
            "minutes and round off what they gain. Use the advanced accountant, or exact."
        )


def _largest(steps: Steps) -> float:
    """ε₀ of the worst phase, which is taken for all."""
    return max(one for _, one in steps)


def _remark(bound: Bound, plan: Plan) -> Bound:
    if len({(phase.mechanism, phase.sampling) for phase in plan.phases}) == 1:
        return bound
    return dataclasses.replace(bound, why=f"{bound.why}; phases differ, so every step was given the largest ε₀")
