"""Where a trade-off comes from: δ at any real ε, in both directions, from below and above.

Direction 0 is the world with the record (P) against the one without (Q): δ(x) = sup over events S of P(S) - e^x·Q(S).
Direction 1 exchanges them. What is known for x >= 0 says all: δ₀(-x) = 1 - e^(-x)·(1 - δ₁(x)).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from dpplan.accounting import gdp
from dpplan.accounting.best_of_trials import has_search
from dpplan.accounting.bound import Guarantee, widened
from dpplan.accounting.exact.profile import Profile
from dpplan.plan import Plan

Ends = tuple[float, float]
SMALL = 1e-15  # relative: a few roundings of numbers near 1


@dataclass(frozen=True)
class Source:
    """below_above: (direction, ε >= 0) -> lower <= δ <= upper. name: what it is, in words. corners: the ε at which a
    stated profile has its kinks, where a search would miss the best by a little. assumes: what it rests on.

    guarantee: CERTIFIED for the profile of a plan, UPPER for that of one with a search, and for what somebody states:
    what is true may be less.
    """

    below_above: Callable[[int, float], Ends]
    guarantee: Guarantee
    name: str
    assumes: str
    corners: tuple[float, ...] = ()

    def delta(self, direction: int, x: float) -> Ends:
        """lower <= δ(x) <= upper of one direction at any real x."""
        if x >= 0.0:
            return self.below_above(direction, x)
        low, high = self.below_above(1 - direction, -x)
        share = math.exp(x)
        return max(1.0 - share * (1.0 - low) - SMALL, 0.0), min(1.0 - share * (1.0 - high) + SMALL, 1.0)


def source_of_plan(plan: Plan) -> Source:
    """The certified profile of a plan. Raises NotApplicable and NotCertified as the exact accountant does."""
    profile = Profile.of(plan)

    def at(direction: int, epsilon: float) -> Ends:
        return profile.add(epsilon) if direction else profile.remove(epsilon)

    if has_search(plan):
        return Source(at, Guarantee.UPPER, "the plan's profile, from above", str(plan.assumptions))
    return Source(at, Guarantee.CERTIFIED, "the plan's certified profile", str(plan.assumptions))


def source_of_stated(epsilon: float, delta: float) -> Source:
    """What an (ε, δ) alone implies: the profile of the worst mechanism that satisfies it.

    That mechanism reveals all with probability δ and is randomized response with ε otherwise (Kairouz, Oh,
    Viswanath 2015, arXiv:1311.0776, Thm 3.3; Murtagh, Vadhan 2016): δ(x) = δ + (1 - δ)·(e^ε - e^x)₊/(1 + e^ε).
    """

    def at(_: int, x: float) -> Ends:
        rest = -math.expm1(x - epsilon) / (1.0 + math.exp(-epsilon)) if x < epsilon else 0.0
        return 0.0, min(widened("delta", 0.0, delta + (1.0 - delta) * rest)[1], 1.0)

    name = f"ε = {epsilon:g} at δ = {delta:g} and nothing else"
    return Source(
        at, Guarantee.UPPER, name, "the stated (ε, δ) holds for the neighbours and the unit it names", (epsilon,)
    )


def source_of_gdp(mu: float) -> Source:
    """What μ-GDP alone implies: N(μ, 1) against N(0, 1) (Dong, Roth, Su 2022, Def 2.6)."""

    def at(_: int, epsilon: float) -> Ends:
        return 0.0, widened("delta", 0.0, gdp.delta_interval(mu, epsilon).upper)[1]

    return Source(at, Guarantee.UPPER, f"μ = {mu:g} and nothing else", "the run is μ-GDP for the neighbours it names")
