"""Where a trade-off comes from: δ at any real ε, in both directions, from below and above.

Direction 0 is the world with the record (P) against the one without (Q): δ(x) = sup over events S of P(S) - e^x·Q(S).
Direction 1 exchanges them. What is known for x >= 0 says all: δ₀(-x) = 1 - e^(-x)·(1 - δ₁(x)).
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dpplan.accounting import gdp, least_upper
from dpplan.accounting.best_of_trials import has_search
from dpplan.accounting.bound import Bound, Guarantee, widened
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.exact.proven_deltas import KNOWN, NARROWEST, Width
from dpplan.accounting.numerics import Array
from dpplan.checks import show
from dpplan.errors import NotCertified
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up

Ends = tuple[float, float]
ManyEnds = tuple[Array, Array]
MOST_ASKED = 400  # other proofs of δ, of a few milliseconds each
FARTHEST_CHORD, CHORD_ROUNDING = 100.0, 1e-12  # an ε whose e^ε is a float by far; relative
SMALL = 1e-15  # relative: a few roundings of numbers near 1


@dataclass(frozen=True)
class Source:
    """below_above: (direction, ε >= 0, enough) -> lower <= δ <= upper at each ε; enough: the width that will do. name:
    what it is, in words. corners: the ε at which a stated profile has its kinks, where a search would miss the best by
    a little. assumes: what it rests on. mu: a (μ, δ₀) that is stated, δ(x) <= δ_μ(x) + δ₀ at every x. alike: whether
    both directions have one profile. bracketed: whether the two ends are of different laws, which lie apart however
    well both are known. known: an (ε, δ) that another proof has of the same; where a figure by it alone is less, that
    is the one. other: such proofs of δ at any ε >= 0, where there are some, which `assess` holds beside what is not
    known closely. level: (x, δ): from this x on δ is this very number, which `deltas` has with its roundings.

    guarantee: CERTIFIED for the profile of a plan, UPPER for that of one with a search, and for what somebody states:
    what is true may be less.
    """

    below_above: Callable[[int, Array, Width], ManyEnds]
    guarantee: Guarantee
    name: str
    assumes: str
    corners: tuple[float, ...] = ()
    mu: Ends | None = None
    alike: bool = False
    bracketed: bool = False
    known: Ends | None = None
    other: "OtherDeltas | None" = None
    level: Ends | None = None

    def deltas(self, direction: int, xs: Array, enough: Width = NARROWEST) -> ManyEnds:
        """lower <= δ(x) <= upper of one direction at each of these real x."""
        low, high = np.zeros(len(xs)), np.ones(len(xs))
        ahead, behind = xs >= 0.0, xs < 0.0
        if ahead.any():
            low[ahead], high[ahead] = self.below_above(direction, xs[ahead], enough)
        if behind.any():
            other_low, other_high = self.below_above(1 - direction, -xs[behind], enough)
            low[behind], high[behind] = mirrored(-xs[behind], other_low, -SMALL), mirrored(-xs[behind], other_high)
        return low, high

    def delta(self, direction: int, x: float) -> Ends:
        """`deltas` at one x."""
        low, high = self.deltas(direction, np.array([x]))
        return float(low[0]), float(high[0])

    def larger(self, xs: Array, enough: Width = NARROWEST) -> ManyEnds:
        """Ends of the larger δ of both directions at each of these x, of one sign. One of the two is mostly the larger
        everywhere: the other is only made narrow where what is known of it leaves that open."""
        first = 0 if np.all(xs >= 0.0) else 1
        low, high = self.deltas(first, xs, enough)
        if self.alike:
            return low, high
        open_ = self.deltas(1 - first, xs, KNOWN)[1] > high
        if open_.any():
            other_low, other_high = self.deltas(1 - first, xs[open_], enough)
            low[open_], high[open_] = np.maximum(low[open_], other_low), np.maximum(high[open_], other_high)
        return low, high


class OtherDeltas:
    """Upper bounds on δ that stand in for exact's where they are less (accounting.least_upper), each asked for once.
    beside: what exact knows, in words, "" where it has no theorem."""

    def __init__(self, plan: Plan, beside: str) -> None:
        self.plan, self.beside, self.by = plan, beside, ""
        self._found: dict[float, float] = {}
        self._places: list[float] = []

    def __call__(self, epsilon: float) -> float:
        """At ε >= 0; 1 where nobody has one. After MOST_ASKED by the chord between them: δ is convex in e^ε."""
        if epsilon not in self._found:
            if len(self._places) >= MOST_ASKED:
                return self._between(epsilon)
            bound = least_upper.other_delta(self.plan, epsilon)
            self._found[epsilon] = 1.0
            if bound is not None and bound.upper is not None:
                self.by, self._found[epsilon] = bound.accountant, bound.upper
            bisect.insort(self._places, epsilon)
        return self._found[epsilon]

    def _between(self, epsilon: float) -> float:
        """By the chord from the next place below to the one above, or the value below where there is none."""
        at = bisect.bisect(self._places, epsilon)
        if at == 0:
            return 1.0
        before = self._found[self._places[at - 1]]
        if at == len(self._places) or self._places[at] > FARTHEST_CHORD:
            return before
        left, right = self._places[at - 1 : at + 1]
        share = math.expm1(epsilon - left) / math.expm1(right - left)
        rest = math.expm1(epsilon - right) / math.expm1(left - right)  # next to `right`, 1 - share would cancel
        chord = rest * before + share * self._found[right]
        return min(chord * (1.0 + CHORD_ROUNDING), before)

    @property
    def name(self) -> str:
        """What is known with these, in words."""
        if not self.beside:
            return f"δ at every ε by {self.by}, from above"
        return f"{self.beside}, and δ by {self.by} where that is less"


def lessened(source: Source) -> Source:
    """The source with the lesser upper end of both proofs at every ε, both directions alike. What is known from below
    stays."""
    other = source.other
    if other is None:
        return source

    def ends(direction: int, epsilons: Array, enough: Width) -> ManyEnds:
        low, high = source.below_above(direction, epsilons, enough)
        less = np.minimum(high, np.array([other(each) for each in epsilons.tolist()]))
        # Where only what dominates is asked for, its lower end is no lower end of the truth, and serves as the upper.
        return (np.minimum(low, less), less) if enough.dominating else (low, np.maximum(low, less))

    return replace(source, below_above=ends, name=other.name)


def mirrored(xs: Array, other: Array, spare: float = SMALL) -> Array:
    """δ of one direction at -x, from what is known of the other direction's at x: an upper end, or with `spare` below
    0 a lower end."""
    return np.clip(1.0 - np.exp(-xs) * (1.0 - other) + spare, 0.0, 1.0)


def source_of_plan(plan: Plan) -> Source:
    """The certified profile of a plan. Raises NotApplicable and NotCertified as the exact accountant does."""
    profile = Profile.of(plan)
    guarantee, name = Guarantee.CERTIFIED, "the plan's certified profile"
    if has_search(plan):
        guarantee, name = Guarantee.UPPER, "the plan's profile, from above"
    return Source(
        profile.bracket,
        guarantee,
        name,
        str(plan.assumptions),
        alike=profile.alike,
        bracketed=profile.above is not None,
    )


def source_of_figure(plan: Plan, bound: Bound) -> Source:
    """`source_of_plan`, with the ε at a δ that is stated of the plan where another accountant proves less than exact,
    and what that says of δ elsewhere; that alone where exact has no theorem. bound: that ε, by accounting.epsilon."""
    try:
        whole = source_of_plan(plan)
    except NotCertified:
        if not bound.stands_in or bound.upper is None or bound.at is None:
            raise
        alone = source_of_stated(bound.upper, bound.at)
        name = f"{_told(bound)} and nothing else"
        return replace(alone, name=name, assumes=str(plan.assumptions), other=OtherDeltas(plan, ""))
    if not least_upper.is_exact_alone(plan):
        whole = replace(whole, other=OtherDeltas(plan, whole.name))
    if not bound.stands_in or bound.upper is None or bound.at is None:
        return whole
    return replace(whole, name=f"{whole.name}, and {_told(bound)}", known=(bound.upper, bound.at))


def _told(bound: Bound) -> str:
    return f"ε ≤ {up(bound.value)} at δ = {show(bound.at)} by {bound.accountant}"


def source_of_stated(epsilon: float, delta: float) -> Source:
    """What an (ε, δ) alone implies: the profile of the worst mechanism that satisfies it.

    That mechanism reveals all with probability δ and is randomized response with ε otherwise (Kairouz, Oh,
    Viswanath 2015, arXiv:1311.0776, Thm 3.3; Murtagh, Vadhan 2016): δ(x) = δ + (1 - δ)·(e^ε - e^x)₊/(1 + e^ε).
    """

    def above(x: float) -> float:
        rest = -math.expm1(x - epsilon) / (1.0 + math.exp(-epsilon)) if x < epsilon else 0.0
        return delta + (1.0 - delta) * rest

    name = f"ε = {show(epsilon)} at δ = {show(delta)} and nothing else"
    return Source(
        _from_above(above),
        Guarantee.UPPER,
        name,
        "the stated (ε, δ) holds for the neighbours and the unit it names",
        (epsilon,),
        alike=True,
        level=(epsilon, delta),
    )


def source_of_gdp(mu: float, left_out: float = 0.0) -> Source:
    """What μ-GDP alone implies: N(μ, 1) against N(0, 1) (Dong, Roth, Su 2022, Def 2.6). left_out: the δ₀ of a μ that
    holds for all but so much, δ(ε) <= δ_μ(ε) + δ₀ at every ε >= 0 in both directions, as `smallest_mu` means it."""

    def above(epsilon: float) -> float:
        own = gdp.delta_interval(mu, epsilon).upper
        return min(math.nextafter(own + left_out, 2.0), 1.0) if left_out else own

    if left_out:
        name = f"μ = {show(mu)} but for δ₀ = {show(left_out)}, and nothing else"
        assumes = "δ(ε) ≤ δ_μ(ε) + δ₀ at every ε, for the neighbours and the unit it names"
    else:
        name, assumes = f"μ = {show(mu)} and nothing else", "the run is μ-GDP for the neighbours and the unit it names"
    return Source(_from_above(above), Guarantee.UPPER, name, assumes, mu=(mu, left_out), alike=True)


def _from_above(above: Callable[[float], float]) -> Callable[[int, Array, Width], ManyEnds]:
    """Where nothing is known from below, and both directions are alike. What dominates is known to the last digit."""

    def ends(_: int, epsilons: Array, enough: Width) -> ManyEnds:
        upper = np.array([widened("delta", 0.0, above(each))[1] for each in epsilons.tolist()])
        return upper if enough.dominating else np.zeros(len(epsilons)), upper

    return ends
