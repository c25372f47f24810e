"""A limit on what attackers reach, as targets of δ at an ε: which plan keeps to it is then solved for as ever.

TPR(α) <= e^x·α + δ(x) for every x, and the least of these is attained (risk.trade_off). So a plan keeps to a limit τ
where δ(x) <= τ - e^x·α at one x >= 0, or, from the other half of the profile, δ(y) <= 1 - α - (1 - τ)·e^y at one y.
Which x asks least of the plan is found by turns: solve at one, look where the answer's own trade-off touches, again.

Guarantee: that of the solution; the x is only a choice. δ is the larger one of both directions, and so is the limit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from dpplan import risk
from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import normal_tail
from dpplan.checks import show
from dpplan.errors import PlanError
from dpplan.rounding import down
from dpplan.solve.solution import Solution

TURNS = 6
ENOUGH = 1e-6  # relative, of the limit: a plan that comes so near to it is not looked at again
LEAST = 1e-300  # of a delta that can be asked for
DIGITS = 7  # of the δ and the ε that are asked for
WITHIN = 1.0 - 1e-9  # of the farthest x that can prove a target: at it no δ is left to ask for
SPARED = 1e-14  # of each delta: what a few roundings of numbers below 1 add up to


@dataclass(frozen=True, slots=True)
class RiskTarget:
    """At most `limit` true positives at this false-positive rate; 0 for an advantage: TPR - FPR at any rate.

    said: the limit as it was asked for, in words.
    """

    limit: float
    false_positive_rate: float
    said: str


def advantage(limit: float) -> RiskTarget:
    """TPR - FPR <= limit, for a limit in (0, 1)."""
    return RiskTarget(limit, 0.0, f"advantage ≤ {show(limit)}")


def true_positives(limit: float, rate: float) -> RiskTarget:
    """TPR <= limit at a false-positive rate. Raises PlanError where guessing alone reaches it."""
    if limit <= rate:
        raise PlanError(f"max_tpr={show(limit)} is not above fpr={show(rate)}, which guessing reaches. Raise it.")
    return RiskTarget(limit, rate, f"TPR ≤ {show(limit)} at FPR {show(rate)}")


def posterior(limit: float, prior: float, rate: float) -> RiskTarget:
    """π·TPR / (π·TPR + (1 - π)·FPR) <= limit at a prior π and a false-positive rate.

    Raises PlanError where guessing alone reaches it, or nobody can exceed it.
    """
    if limit <= prior:
        said = f"max_posterior={show(limit)} is not above the prior {show(prior)}, which guessing reaches. Raise it."
        raise PlanError(said)
    most = outward.down(limit * (1.0 - prior) * rate / (prior * (1.0 - limit)), outward.FEW)
    said = f"posterior ≤ {show(limit)} at prior {show(prior)}, FPR {show(rate)}"
    if most >= 1.0:
        raise PlanError(
            f"max_posterior={show(limit)} is kept without noise at fpr={show(rate)}. Lower the limit or fpr."
        )
    return RiskTarget(most, rate, said)


def solved(target: RiskTarget, at: Callable[[float, float], Solution]) -> Solution:
    """The solution that keeps to the target. at: solves for δ at an ε; both are given, in this order."""
    if target.false_positive_rate == 0.0:
        return at(0.0, target.limit)
    x = _first_guess(target)
    best: Solution | None = None
    for _ in range(TURNS):
        found = at(*_asked(target, x))
        best = found if best is None or _better(found, best) else best
        trade_off = risk.TradeOff(risk.source_of_plan(found.plan))
        rate = trade_off.at(target.false_positive_rate)
        if rate.upper >= target.limit * (1.0 - ENOUGH):
            break
        x = rate.at
    assert best is not None
    proof = f"{target.said} follows from δ ≤ {show(best.delta)} at ε = {show(best.target)}"
    return replace(best, remarks=(proof, *best.remarks))


def _better(one: Solution, other: Solution) -> bool:
    """Less noise or fewer examples; otherwise a longer run, larger batches."""
    less = one.unknown in ("noise_multiplier", "examples")
    return one.value < other.value if less else one.value > other.value


def _asked(target: RiskTarget, x: float) -> tuple[float, float]:
    """(ε, δ) that proves the target at this x, or at the nearest x that can."""
    alpha, limit = target.false_positive_rate, target.limit
    if x >= 0.0:
        x = _short(min(x, math.log(limit / alpha) * WITHIN))
        return x, _short(max(limit - math.exp(x) * alpha - SPARED, LEAST))
    y = _short(min(-x, math.log((1.0 - alpha) / (1.0 - limit)) * WITHIN))
    return y, _short(max(1.0 - alpha - (1.0 - limit) * math.exp(y) - SPARED, LEAST))


def _short(value: float) -> float:
    """Rounded down, to be read."""
    return float(down(value, DIGITS))


def _first_guess(target: RiskTarget) -> float:
    """Where the trade-off of a Gaussian that just keeps to the target touches: log of its likelihood ratio there."""
    own, other = _quantile(target.false_positive_rate), _quantile(target.limit)
    mu = own - other
    return mu * own - 0.5 * mu * mu


def _quantile(tail: float) -> float:
    """Above which a standard normal lies with this probability."""
    return first_true(lambda x: normal_tail(x) <= tail, -40.0, 40.0, most=60).true
