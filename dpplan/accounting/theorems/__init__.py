"""Composition theorems: what is known of a run when each step is known only by one (ε₀, δ₀).

What the three modules share. The Gaussian of a step is (ε', δ')-DP along an exact curve (Balle and Wang 2018,
Thm 8), and sampling turns that into (log(1 + q·(e^{ε'} − 1)), q·δ')-DP (Balle, Barthe and Gaboardi 2018, arXiv
1807.01647, Thm 8). One δ₀ serves all steps, each phase has its own ε₀, and the part of delta not spent on steps is
the slack that a composition theorem may use. Any split of delta is a valid claim, so the search for the best one
bears on tightness only. No slack at all is basic composition, and it is always tried.
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.gdp import epsilon_interval
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.minimum import minimise
from dpplan.accounting.plan_pairs import SampledGaussian, sampled_gaussians
from dpplan.plan import Plan

Steps = list[tuple[int, float]]  # (steps, ε₀) of each phase

_LEAST_LOG_DELTA = math.log(1e-300)


def step_epsilon(step: SampledGaussian, step_delta: float) -> float:
    """ε₀ of one such step at δ₀ = step_delta > 0, rounded upward; 0 where δ₀ alone covers the step."""
    gaussian_delta = outward.down(step_delta / step.sample_rate, outward.ARITHMETIC)
    if gaussian_delta >= 1:
        return 0.0
    mu = outward.up(1 / step.noise_multiplier, outward.ARITHMETIC)
    one_release = epsilon_interval(mu, max(gaussian_delta, 5e-324))
    return outward.up(amplified(step.sample_rate, one_release.upper), outward.SUM)


def amplified(sample_rate: float, epsilon: float) -> float:
    """log(1 + q·(e^ε − 1)), what Poisson sampling makes of ε (Balle, Barthe and Gaboardi 2018, Thm 8)."""
    if epsilon < 600:
        return math.log1p(sample_rate * math.expm1(epsilon))
    return epsilon + math.log(sample_rate - (sample_rate - 1) * math.exp(-epsilon))


def step_epsilons(kinds: Sequence[SampledGaussian], step_delta: float) -> Steps:
    return [(each.steps, step_epsilon(each, step_delta)) for each in kinds]


def add_up(steps: Steps) -> float:
    """Σ steps·ε₀, rounded upward: basic composition."""
    return outward.up(math.fsum(count * one for count, one in steps), outward.SUM)


def slack(delta: float, steps: int, step_delta: float) -> float:
    """The δ̃ with (1 − δ̃)·(1 − δ₀)^steps = 1 − δ, rounded downward; at most 0 when the steps take all of delta."""
    # Near delta = 1 the two logarithms are large and may nearly cancel.
    log_left = outward.sum_up((math.log1p(-delta), -steps * math.log1p(-step_delta)), outward.ARITHMETIC)
    return outward.down(-math.expm1(log_left), outward.ARITHMETIC)


def log_total_delta(log_slack: float, steps: int, step_delta: float) -> float:
    """log of 1 − (1 − δ̃)·(1 − δ₀)^steps from log δ̃, without cancellation; 0 where it reaches 1."""
    if log_slack > -1e-15 or step_delta >= 1:
        return 0.0
    log_steps = math.log(steps) + math.log(-math.log1p(-step_delta))
    log_rest = math.log(-math.log1p(-math.exp(log_slack))) if log_slack > -700 else log_slack
    log_exponent = float(np.logaddexp(log_steps, log_rest))  # of survival: δ = 1 − exp(−e^{log_exponent})
    return log_exponent if log_exponent < -36 else math.log(-math.expm1(-math.exp(log_exponent)))


def best_epsilon(accountant: str, plan: Plan, delta: float, epsilon_at: Callable[[Steps, float], float]) -> Bound:
    """The least epsilon found over splits of delta; epsilon_at(steps, log δ̃) is the theorem, rounded upward."""
    kinds = sampled_gaussians(plan, accountant)

    def at(log_step_delta: float) -> float:
        step_delta = math.exp(log_step_delta)
        rest = slack(delta, plan.steps, step_delta)
        return epsilon_at(step_epsilons(kinds, step_delta), math.log(rest)) if rest > 0 else math.inf

    most = math.log(delta / plan.steps)
    place, least = minimise(_each(at), most - 30, most - 1e-6, rounds=4)
    step_delta = math.exp(place)
    rest = slack(delta, plan.steps, step_delta)
    unslacked = outward.down(delta / plan.steps, outward.ARITHMETIC)
    if (simple := add_up(step_epsilons(kinds, unslacked))) <= least:
        least, step_delta, rest = simple, unslacked, 0.0
    return bound("epsilon", least, accountant, plan, step_delta, rest)


def best_delta(accountant: str, plan: Plan, epsilon: float, log_slack_at: Callable[[Steps], float]) -> Bound:
    """The least delta found over δ₀; log_slack_at(steps) is the log δ̃ that the theorem needs for `epsilon`.

    steps·δ₀ rises with δ₀ and δ̃ falls, so where they meet the total is within a factor two of the best; the search
    is around that place.
    """
    kinds = sampled_gaussians(plan, accountant)

    def needed(log_step_delta: float) -> float:
        return log_slack_at(step_epsilons(kinds, math.exp(log_step_delta)))

    def at(log_step_delta: float) -> float:
        return log_total_delta(needed(log_step_delta), plan.steps, math.exp(log_step_delta))

    log_steps = math.log(plan.steps)
    meeting = _first(lambda x: needed(x) <= x + log_steps, _LEAST_LOG_DELTA, -log_steps, 0.5)
    place, least = minimise(_each(at), max(meeting - 5, _LEAST_LOG_DELTA), meeting + 4, rounds=4)
    step_delta, rest = math.exp(place), math.exp(needed(place))
    unslacked = least_unslacked(kinds, epsilon)
    if math.log(unslacked) + log_steps <= least:
        least, step_delta, rest = math.log(unslacked) + log_steps, unslacked, 0.0
    upper = min(max(outward.up(math.exp(min(least, 0.0)), outward.SERIES), sys.float_info.min), 1.0)
    return bound("delta", upper, accountant, plan, step_delta, rest)


def least_unslacked(kinds: Sequence[SampledGaussian], epsilon: float) -> float:
    """The least δ₀ found for which Σ steps·ε₀ stays within epsilon: seen to hold at the value returned."""

    def holds(log_step_delta: float) -> bool:
        return add_up(step_epsilons(kinds, math.exp(log_step_delta))) <= epsilon

    return math.exp(_first(holds, _LEAST_LOG_DELTA, 0.0, 1e-13))


def bound(
    quantity: Literal["epsilon", "delta"],
    upper: float,
    accountant: str,
    plan: Plan,
    step_delta: float,
    rest: float,
) -> Bound:
    """The Bound, with the split of delta on record."""
    largest = max(one for _, one in step_epsilons(sampled_gaussians(plan, accountant), step_delta))
    why = f"each step (ε₀ ≤ {largest:.4g}, δ₀ = {step_delta:.3g}), slack {rest:.3g}: the best split of delta found"
    if rest == 0:
        why = f"each step (ε₀ ≤ {largest:.4g}, δ₀ = {step_delta:.3g}); the steps add up, without slack"
    details = {"step_epsilon": largest, "step_delta": step_delta, "slack_delta": rest}
    return Bound(quantity, None, upper, Guarantee.UPPER, accountant, plan.assumptions, why, details=details)


def _first(holds: Callable[[float], bool], low: float, high: float, width: float) -> float:
    """A point where `holds` was seen true (or high), at most width·max(1, |low|) above one where it was false."""
    return low if holds(low) else first_true(holds, low, high, absolute=width, relative=width).true


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda points: np.array([function(x) for x in points.tolist()])
