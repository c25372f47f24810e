"""Gaussian differential privacy: exact without sampling, an estimate with it.

A run in which every phase has sample_rate = 1 is one Gaussian mechanism with μ = sqrt(Σ steps/σ²), and its
epsilon follows from a closed form: CERTIFIED. With sampling, a central limit theorem gives a μ that the run
approaches as its steps grow; at finite length the truth can lie on either side, usually above: ESTIMATE.

Sources: Dong, Roth and Su 2022 (arXiv 1905.02383), Cor 2.13 for μ-GDP, Cor 3.3 for its composition; Balle and Wang
2018 (arXiv 1805.06530), Thm 8, for the exact curve; Bu, Dong, Long and Su 2020 (arXiv 1911.11607) for the limit
under Poisson sampling.

Of a stated ρ-zCDP it says what one Gaussian of that ρ would cost, μ = sqrt(2ρ): ESTIMATE, since what has the same ρ may
cost more.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from dpplan.accounting.accountant_description import Description
from dpplan.accounting.bound import Bound, Guarantee, widened
from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.logspace import log_expm1, log_sum
from dpplan.accounting.numerics.normal import LOG_SQRT_2PI, normal_tail
from dpplan.accounting.plan_pairs import SampledGaussian, sampled_gaussians
from dpplan.errors import NotApplicable
from dpplan.groups import STAYS
from dpplan.mechanism import StatedZcdp
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

DESCRIPTION = Description(
    name="gdp",
    caption="Gaussian DP: a closed form without sampling, a central limit with it",
    guarantee="certified, estimate",
    use="full batches; otherwise to see what the limit hides",
    source="Dong, Roth, Su 2022; Bu et al. 2020",
    supports="Gaussian noise, Poisson sampling or none; a stated ρ-zCDP as if it were one Gaussian",
    colour="#E69F00",
    note="μ = {mu}",
)


FULL = Poisson(1.0)


class ProvenEnds(NamedTuple):
    """Two proven ends: lower <= truth <= upper."""

    lower: float
    upper: float


def epsilon(plan: Plan, delta: float) -> Bound:
    """The epsilon that `plan` spends at `delta` in (0, 1).

    Guarantee: CERTIFIED when every phase has sample_rate = 1; otherwise ESTIMATE, which may be below the truth.
    Raises NotApplicable when the estimate is too large for a float.
    """
    steps, as_if = _steps(plan)
    if as_if and _unsampled(steps):
        mu_as_if = _exact_mu(steps).upper
        return _estimate("epsilon", gaussian_epsilon(mu_as_if, delta), plan, mu_as_if, AS_IF)
    if _unsampled(steps):
        mu = _exact_mu(steps)
        lower, upper = epsilon_interval(mu.lower, delta).lower, epsilon_interval(mu.upper, delta).upper
        return _certified("epsilon", ProvenEnds(lower, upper), plan, mu)
    mu_limit = _limit_mu(steps)
    return _estimate("epsilon", gaussian_epsilon(mu_limit, delta), plan, mu_limit)


def delta(plan: Plan, epsilon: float) -> Bound:
    """The delta that `plan` spends at `epsilon` >= 0. Guarantee and errors as for `epsilon()`.

    A delta below the smallest normal float is certified as lower = 0 and that float.
    """
    steps, as_if = _steps(plan)
    if as_if and _unsampled(steps):
        mu_as_if = _exact_mu(steps).upper
        return _estimate("delta", gaussian_delta(mu_as_if, epsilon), plan, mu_as_if, AS_IF)
    if _unsampled(steps):
        mu = _exact_mu(steps)
        lower, upper = delta_interval(mu.lower, epsilon).lower, delta_interval(mu.upper, epsilon).upper
        return _certified("delta", ProvenEnds(lower, upper), plan, mu)
    mu_limit = _limit_mu(steps)
    return _estimate("delta", gaussian_delta(mu_limit, epsilon), plan, mu_limit)


@lru_cache(maxsize=64)  # Newton's method and the proof of its answer ask twice at each place
def gaussian_log_delta(mu: float, epsilon: float) -> float:
    """log δ(ε) of N(0, 1) against N(μ, 1), for mu > 0 and epsilon >= 0.

    δ = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ) (Balle and Wang 2018, Thm 8), computed without the subtraction where
    the two terms nearly cancel: with c = ε/μ − μ/2, δ = φ(c)·∫_0^∞ (1 − e^{−μv})·e^{−cv − v²/2} dv.
    Error: at most `log_delta_margin(mu, epsilon, result)`, about 1e-14·(1 + |log δ|). Nothing is rounded outward.
    """
    if mu == math.inf:
        return 0.0
    c = epsilon / mu - mu / 2
    if c > -1:
        return -c * c / 2 - LOG_SQRT_2PI + math.log(max(_exponential_gap(c, mu), sys.float_info.min))
    # Here δ > 0.68 and the two small terms are taken off 1, whose logarithm is then well conditioned.
    above = math.exp(-c * c / 2 - LOG_SQRT_2PI) * _exponential_gap(c + mu, math.inf)
    return math.log1p(-(normal_tail(-c) + above))


def log_delta_margin(mu: float, epsilon: float, log_delta: float) -> float:
    """A bound on the error of `gaussian_log_delta`: rounding of c = ε/μ − μ/2, which is multiplied by about c."""
    c = epsilon / mu - mu / 2
    return 1e-14 * (1 + abs(log_delta)) + 4 * outward.UNIT * (abs(c) + 1) * (epsilon / mu + mu)


def gaussian_delta(mu: float, epsilon: float) -> float:
    """δ(ε) of N(0, 1) against N(μ, 1): the nearest float, 0 where it underflows. See `delta_interval`."""
    return math.exp(gaussian_log_delta(mu, epsilon))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon >= 0 at which δ(ε) of N(0, 1) against N(μ, 1) equals `delta`; 0 if δ(0) is at most `delta`.

    mu > 0, delta in (0, 1); inf where the result overflows. Not rounded outward: see `epsilon_interval`.
    Newton's method on log δ, which falls with epsilon, kept inside a bracket.
    """
    target = math.log(delta)
    # δ <= P[N(0,1) > c] <= e^{−c²/2} for c = ε/μ − μ/2 >= 0 bounds the root from above.
    low, high = 0.0, mu * math.sqrt(-2 * target) + mu * mu / 2
    if not math.isfinite(high) or gaussian_log_delta(mu, 0.0) <= target:
        return 0.0 if math.isfinite(high) else math.inf
    guess = high
    for _ in range(200):
        excess = gaussian_log_delta(mu, guess) - target
        if abs(excess) <= 4e-15 * (1 - target):
            return guess
        low, high = (guess, high) if excess > 0 else (low, guess)
        following = guess - excess / _log_delta_slope(mu, guess)
        if not low < following < high:
            following = (low + high) / 2
        if not low < following < high:
            break
        guess = following
    return high


def epsilon_interval(mu: float, delta: float) -> ProvenEnds:
    """Proven ends around `gaussian_epsilon`: each end was put back into the curve and found to lie outside.

    Guarantee: lower <= ε <= upper. The relative width is near 1e-13 at ordinary values.
    """
    middle, target = gaussian_epsilon(mu, delta), math.log(delta)
    if middle == math.inf:
        return ProvenEnds(0.0, math.inf)
    step = 4 * outward.UNIT * (middle + mu) + 2 * _margin(mu, middle) / max(-_log_delta_slope(mu, middle), 1e-300)
    lower, upper = max(middle - step, 0.0), middle + step
    while gaussian_log_delta(mu, upper) + _margin(mu, upper) > target:
        step *= 2
        upper += step
    while lower > 0 and gaussian_log_delta(mu, lower) - _margin(mu, lower) < target:
        step *= 2
        lower = max(lower - step, 0.0)
    if middle == 0 and gaussian_log_delta(mu, 0.0) + _margin(mu, 0.0) <= target:
        upper = 0.0
    return ProvenEnds(lower, upper)


def delta_interval(mu: float, epsilon: float) -> ProvenEnds:
    """Proven ends around `gaussian_delta`. Guarantee: lower <= δ <= upper, with 0 < upper <= 1."""
    log_delta, tiny = gaussian_log_delta(mu, epsilon), sys.float_info.min
    if log_delta < -1e4:
        return ProvenEnds(0.0, tiny)
    margin = log_delta_margin(mu, epsilon, log_delta)
    lower = outward.down(math.exp(log_delta - margin), outward.FUNCTION)
    upper = outward.up(math.exp(min(log_delta + margin, 0.0)), outward.FUNCTION)
    return ProvenEnds(lower if lower >= tiny else 0.0, min(max(upper, tiny), 1.0))


# Nodes and weights of the exp-sinh-type rule v = exp(τ − e^{−τ}) for ∫_0^∞ of functions that decay like e^{−v}
# (Takahasi and Mori 1974): the trapezoid rule in τ converges geometrically, and both ends are below 1e-17.
_TAU = np.arange(-3.75, 4.0, 1 / 16)
_NODES = np.exp(_TAU - np.exp(-_TAU))
_WEIGHTS = _NODES * (1 + np.exp(-_TAU)) / 16


def _exponential_gap(c: float, mu: float) -> float:
    """∫_0^∞ (1 − e^{−μv})·e^{−cv − v²/2} dv for c >= −1; mu = inf gives Mills' ratio of c."""
    scale = 1 / max(c, 1.0)
    v = scale * _NODES
    return scale * float(np.sum(_WEIGHTS * -np.expm1(-mu * v) * np.exp(-v * (c + v / 2))))


def _log_delta_slope(mu: float, epsilon: float) -> float:
    """d log δ / dε = −e^ε·Φ(−μ/2 − ε/μ)/δ, negative."""
    c = epsilon / mu - mu / 2
    log_rise = -c * c / 2 - LOG_SQRT_2PI + math.log(_exponential_gap(max(c + mu, -1.0), math.inf))
    return -math.exp(max(log_rise - gaussian_log_delta(mu, epsilon), -700.0))


def _margin(mu: float, epsilon: float) -> float:
    return log_delta_margin(mu, epsilon, gaussian_log_delta(mu, epsilon))


def _steps(plan: Plan) -> tuple[tuple[SampledGaussian, ...], bool]:
    """The plan's phases, and whether a stated ρ among them is taken for that of a Gaussian."""
    stated, rest = list[SampledGaussian](), list[Phase]()
    for phase in plan.phases:
        mechanism = phase.mechanism
        whole = (phase.sampling, phase.groups) in ((FULL, ()), (FULL, STAYS)) and (plan.max_per_user or 1) == 1
        if isinstance(mechanism, StatedZcdp) and whole:
            stated.append(SampledGaussian(math.sqrt(0.5 / mechanism.rho), 1.0, phase.steps))
        else:
            rest.append(phase)
    others = replace(plan, phases=tuple(rest), derivation=()) if rest else None
    return (*stated, *(sampled_gaussians(others, "gdp") if others else ())), bool(stated)


def _unsampled(steps: Sequence[SampledGaussian]) -> bool:
    return all(each.sample_rate == 1 for each in steps)


def _exact_mu(steps: Sequence[SampledGaussian]) -> ProvenEnds:
    """μ = sqrt(Σ steps/σ²) of unsampled phases (Dong, Roth and Su 2022, Cor 3.3), rounded both ways."""
    mu = math.hypot(*(math.sqrt(each.steps) / each.noise_multiplier for each in steps))
    return ProvenEnds(outward.down(mu, outward.FEW), outward.up(mu, outward.FEW))


def _limit_mu(steps: Sequence[SampledGaussian]) -> float:
    """μ = sqrt(Σ steps·q²·(e^{1/σ²} − 1)), in logarithms; an unsampled phase adds its exact steps/σ²."""
    squares = []
    for each in steps:
        inverse = max(1 / each.noise_multiplier / each.noise_multiplier, 1e-300)
        growth = float(log_expm1(np.array(inverse))) if each.sample_rate < 1 else math.log(inverse)
        squares.append(math.log(each.steps) + 2 * math.log(each.sample_rate) + growth)
    log_mu = float(log_sum(np.array(squares))) / 2
    if not log_mu < 300:
        least = min(each.noise_multiplier for each in steps)
        raise NotApplicable(
            f"gdp: the central limit μ is near e^{log_mu:.3g} at sigma={least:g}, far outside the range where the "
            "limit means anything. Use the exact or the rdp accountant."
        )
    return math.exp(max(log_mu, -300.0))


def _certified(quantity: Literal["epsilon", "delta"], ends: ProvenEnds, plan: Plan, mu: ProvenEnds) -> Bound:
    why = f"one Gaussian mechanism with μ = {mu.upper:.10g} (Balle and Wang 2018, Thm 8)"
    details = {"mu": mu.upper, "proven": tuple(ends)}
    lower, upper = widened(quantity, ends.lower, ends.upper)
    return Bound(quantity, lower, upper, Guarantee.CERTIFIED, "gdp", plan.assumptions, why, details=details)


AS_IF = "a stated ρ taken for that of one Gaussian, μ = {mu:.6g}: not a bound, what has this ρ may cost more"
LIMIT = "central limit μ = {mu:.6g}: not a bound, and usually below the truth when steps are few or σ is small"


def _estimate(quantity: Literal["epsilon", "delta"], value: float, plan: Plan, mu: float, words: str = LIMIT) -> Bound:
    why = words.format(mu=mu)
    details = {"mu": mu}
    return Bound(
        quantity, None, None, Guarantee.ESTIMATE, "gdp", plan.assumptions, why, estimate=value, details=details
    )
