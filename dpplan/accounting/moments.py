"""The moments accountant of the first DP-SGD paper: whole moments up to a cap, and Markov's inequality.

It is Rényi accounting at the whole orders 2..max_lambda + 1 with the classic conversion, kept because published
figures were computed so. The log-moments are summed in closed form, apart from the quadrature used for rdp.

Guarantee: UPPER. Sampling: Poisson. Adjacency: add or remove one.
Sources: Abadi et al. 2016 (arXiv 1607.00133), Thm 2 for composition and the tail bound; Mironov, Talwar and Zhang
2019 (arXiv 1908.10530), Section 3.3 for the binomial form of a moment and Thm 5 for which direction is the larger.
"""

import math
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np

from dpplan.accounting.accountant_description import AccountantOption, Description
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.binomial import log_binomial_pmf
from dpplan.accounting.numerics.logspace import log_expm1, log_sum
from dpplan.accounting.plan_pairs import SampledGaussian, sampled_gaussians
from dpplan.checks import Problems
from dpplan.errors import UsageError
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="moments",
    caption="log-moments of whole orders up to 32, Markov's inequality",
    guarantee="upper",
    use="to reproduce figures of the first papers",
    source="Abadi et al. 2016",
    supports="Gaussian noise, Poisson sampling or none",
    colour="#009E73",
    note="λ = {lambda} of ≤ {max_lambda}",
    options=(
        AccountantOption(
            "max_lambda",
            "The largest moment that {takers} tries; 32 when not given.",
            remedy="The paper used 32.",
        ),
    ),
    published=2016,
)


def epsilon(plan: Plan, delta: float, *, max_lambda: int = 32) -> Bound:
    """An epsilon that `plan` does not exceed at `delta` in (0, 1): min over λ of (Σ steps·α(λ) + log(1/δ))/λ.

    max_lambda: the largest moment tried, a whole number from 1 to 1000; 32 is what the paper used.
    Guarantee: UPPER. Raises UsageError for a max_lambda outside that range.
    """
    lambdas = _lambdas(max_lambda)
    moments = _compose(sampled_gaussians(plan, "moments"), lambdas)
    bounds = outward.up((moments - math.log(delta)) / lambdas, outward.SERIES)
    return _bound("epsilon", float(bounds.min()), plan, int(lambdas[bounds.argmin()]), max_lambda)


def delta(plan: Plan, epsilon: float, *, max_lambda: int = 32) -> Bound:
    """A delta that `plan` does not exceed at `epsilon` >= 0: min over λ of exp(Σ steps·α(λ) − λ·ε), at most 1.

    max_lambda, guarantee and errors as for `epsilon()`. A value below the smallest normal float is raised to it.
    """
    lambdas = _lambdas(max_lambda)
    moments = _compose(sampled_gaussians(plan, "moments"), lambdas)
    logs = outward.sum_up((moments, -lambdas * epsilon), outward.ARITHMETIC)
    least = outward.up(math.exp(min(float(logs.min()), 0.0)), outward.SERIES)
    upper = min(max(least, sys.float_info.min), 1.0)
    return _bound("delta", upper, plan, int(lambdas[logs.argmin()]), max_lambda)


def log_moment(step: SampledGaussian, lambdas: Array) -> Array:
    """α(λ) of one step: the larger of log E_P[(P/Q)^λ] and log E_Q[(Q/P)^λ], for whole λ >= 1. Shape (n,) -> (n,).

    Guarantee: at least the true value, by about 1e-12 relative.
    The first direction is the larger (Mironov, Talwar and Zhang 2019, Thm 5); with a = λ + 1 it is
    log(1 + Σ_k C(a, k)·(1 − q)^{a−k}·q^k·(e^{k(k−1)/(2σ²)} − 1)), a sum of non-negative terms.
    """
    # More noise than 1e100 is taken as 1e100, and less sampling than 1e-120 as 1e-120: moments fall with both.
    q, sigma = max(step.sample_rate, 1e-120), min(step.noise_multiplier, 1e100)
    return np.array([_log_moment(q, sigma, int(order)) for order in lambdas + 1])


def _log_moment(q: float, sigma: float, order: int) -> float:
    if q == 1:
        return outward.up(order * (order - 1) * (0.5 / sigma / sigma), outward.SERIES)
    k = np.arange(2.0, order + 1)
    with np.errstate(over="ignore"):
        rise = log_expm1(k * (k - 1) * (0.5 / sigma / sigma))
    terms = log_binomial_pmf(k, order, q, 1 - q) + rise
    # Where the two nearly cancel, the sum is only as good as the larger of them.
    rounding = 2e-13 + 1e-15 * (order + float(np.abs(rise[terms.argmax()])))
    excess = float(log_sum(terms)) + rounding
    log_moment = math.log1p(math.exp(excess)) if excess < 0 else excess + math.log1p(math.exp(-excess))
    return outward.up(log_moment, outward.SERIES)


def _compose(steps: Sequence[SampledGaussian], lambdas: Array) -> Array:
    """Log-moments add up over steps (Abadi et al. 2016, Thm 2.1). Rounded upward, once a sum and product."""
    composed = np.sum([each.steps * log_moment(each, lambdas) for each in steps], axis=0)
    return np.asarray(outward.up(np.asarray(composed), 2 * outward.UNIT * (len(steps) - 1)))


def _lambdas(max_lambda: int) -> Array:
    with Problems(UsageError) as problems:
        remedy = "The paper used 32."
        good = problems.whole("max_lambda", max_lambda, try_=remedy)
        problems.require(not good or max_lambda <= 1000, f"max_lambda={max_lambda} is above 1000. {remedy}")
    return np.arange(1.0, int(max_lambda) + 1)


def _bound(quantity: Literal["epsilon", "delta"], upper: float, plan: Plan, best: int, cap: int) -> Bound:
    capped = "; it is the largest allowed, so a tighter value may lie beyond" if best == int(cap) else ""
    why = f"moment λ = {best} of at most {cap}{capped} (Abadi et al. 2016, Thm 2)"
    details = {"lambda": best, "max_lambda": int(cap)}
    return Bound(quantity, None, upper, Guarantee.UPPER, "moments", plan.assumptions, why, details=details)
