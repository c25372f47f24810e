"""Basic composition: epsilons add up and deltas add up.

Guarantee: UPPER. Source: Dwork, Kenthapadi, McSherry, Mironov and Naor 2006; Dwork and Roth 2014, Thm 3.16. The
guarantee of a step is that of `dpplan.accounting.theorems`.
"""

from dpplan.accounting.accountant_description import Description
from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics import outward
from dpplan.accounting.plan_pairs import sampled_gaussians
from dpplan.accounting.theorems import add_up, bound, least_unslacked, step_epsilons
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="basic",
    caption="adds up the ε₀ and the δ₀",
    guarantee="upper",
    use="teaching, comparison",
    source="Dwork et al. 2006",
    supports="Gaussian noise, Poisson sampling or none",
    colour="#7F7F7F",
    note="δ₀ = {step_delta} per step",
    published=2006,
)


def epsilon(plan: Plan, delta: float) -> Bound:
    """Σ steps·ε₀ with δ₀ = δ/steps for every step. delta in (0, 1). Guarantee: UPPER."""
    kinds = sampled_gaussians(plan, "basic")
    step_delta = outward.down(delta / plan.steps, outward.ARITHMETIC)
    return bound("epsilon", add_up(step_epsilons(kinds, step_delta)), "basic", plan, step_delta, 0.0)


def delta(plan: Plan, epsilon: float) -> Bound:
    """steps·δ₀ for the least δ₀ at which Σ steps·ε₀ stays within `epsilon` >= 0; at most 1. Guarantee: UPPER."""
    step_delta = least_unslacked(sampled_gaussians(plan, "basic"), epsilon)
    upper = min(outward.up(plan.steps * step_delta, outward.ARITHMETIC), 1.0)
    return bound("delta", upper, "basic", plan, step_delta, 0.0)
