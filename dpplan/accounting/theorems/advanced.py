"""Advanced composition: many small epsilons add up like a random walk.

For steps that are (εᵢ, δᵢ)-DP and any slack δ̃ in (0, 1), the run is (ε, 1 − (1 − δ̃)·Π(1 − δᵢ))-DP with

    ε = min{ Σεᵢ,  Σεᵢ·tanh(εᵢ/2) + sqrt(2·log(1/δ̃)·Σεᵢ²) },

tanh(ε/2) = (e^ε − 1)/(e^ε + 1). The first is basic composition. The second is that of Dwork, Rothblum and Vadhan
2010, Thm III.3, with the sharp mean of the loss in place of ε·(e^ε − 1), for steps that differ: Kairouz, Oh and
Viswanath 2015 (arXiv 1311.0776), Thm 3.5. Not used: the third form given there, with log(e + sqrt(Σεᵢ²)/δ̃).

Guarantee: UPPER.
"""

import math

from dpplan.accounting.accountant_description import Description
from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics import outward
from dpplan.accounting.theorems import Steps, add_up, best_delta, best_epsilon
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="advanced",
    caption="advanced composition of the same",
    guarantee="upper",
    use="teaching, comparison",
    source="Dwork, Rothblum, Vadhan 2010",
    supports="Gaussian noise, Poisson sampling or none",
    colour="#D55E00",
    note="δ₀ = {step_delta} per step",
    published=2010,
)


def epsilon(plan: Plan, delta: float) -> Bound:
    """The epsilon of the best split of `delta` (in (0, 1)) found. Guarantee: UPPER."""
    return best_epsilon("advanced", plan, delta, compose)


def delta(plan: Plan, epsilon: float) -> Bound:
    """The least delta found over the choices of δ₀ at `epsilon` >= 0; at most 1. Guarantee: UPPER."""
    return best_delta("advanced", plan, epsilon, lambda steps: log_least_slack(steps, epsilon))


def compose(steps: Steps, log_slack: float) -> float:
    """ε of the run at slack e^{log_slack} < 1, rounded upward."""
    drift, squares = _walk(steps)
    return min(add_up(steps), outward.up(drift + math.sqrt(-2 * log_slack * squares), outward.SUM))


def log_least_slack(steps: Steps, epsilon: float) -> float:
    """log of the least δ̃ for which `compose` stays within epsilon, rounded upward; -inf where none is needed."""
    if add_up(steps) <= epsilon:
        return -math.inf
    drift, squares = _walk(steps)
    spare = max(outward.down(epsilon, outward.SUM) - drift, 0.0)
    return outward.up(-spare * spare / (2 * squares), outward.SUM)


def _walk(steps: Steps) -> tuple[float, float]:
    """Σε·tanh(ε/2) and Σε² over all steps: the mean of the loss, and the squared reach of its swings."""
    drift = math.fsum(count * one * math.tanh(one / 2) for count, one in steps)
    return outward.up(drift, outward.SUM), math.fsum(count * one * one for count, one in steps)
