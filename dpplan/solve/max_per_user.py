"""The most examples that one user may have, for a target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.accounting.pairs import MOST_MEMBERS
from dpplan.checks import Problems, show
from dpplan.errors import Unreachable
from dpplan.plan import Phase, Plan, Settings
from dpplan.rounding import near_above
from dpplan.sampling import Poisson

PATIENCE = 20  # numbers that are tried: ten to double, and as many to get near
MOST_AT_FULL_BATCH = 10**9  # where all take part in every step, any number is one Gaussian


@dataclass(frozen=True, slots=True)
class MaxPerUser:
    """value: the most examples of one user at which the plan spends no more than the target. above: what one more
    spends, None where the value is the most that is looked for: all examples, or `most`."""

    value: int
    plan: Plan
    target: float
    delta: float
    spent: Bound
    above: Bound | None
    most: int


def max_per_user(settings: Settings, target_epsilon: float, delta: float, earlier: Sequence[Phase] = ()) -> MaxPerUser:
    """More examples of a user never cost less, so the last number that meets the target has the first that does not
    right above it. Raises Unreachable where one example is too many, PlanError for settings that are not complete."""
    with Problems() as problems:
        rule = f"max_per_user={settings.max_per_user} is given, so it is not open. Leave it out."
        problems.require(settings.max_per_user is None, rule)
        problems.positive("target_eps", target_epsilon)
    seen: dict[int, Bound] = {}

    def plan(most: int) -> Plan:
        whole = settings.with_(unit="user", max_per_user=most).plan()
        return replace(whole, phases=(*earlier, *whole.phases), derivation=() if earlier else whole.derivation)

    def meets(most: int) -> bool:
        seen[most] = accounting.epsilon(plan(most), delta)
        upper = seen[most].upper
        return upper is not None and upper <= target_epsilon

    if not meets(1):
        raise Unreachable(
            f"one example of each user costs ε = {near_above(seen[1].value, target_epsilon)} already, above "
            f"target_eps={show(target_epsilon)}."
        )
    full = all(phase.sampling == Poisson(1.0) for phase in plan(1).phases)  # of earlier runs too
    most = MOST_AT_FULL_BATCH if full else MOST_MEMBERS
    most = min(most, settings.examples or most)
    low, high = 1, 2
    while high <= most and meets(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = _between(low, high, seen, target_epsilon)
        if meets(middle):
            low = middle
        else:
            high = middle
    return MaxPerUser(low, plan(low), target_epsilon, delta, seen[low], seen.get(low + 1), most)


def _between(low: int, high: int, seen: dict[int, Bound], target: float) -> int:
    """A number between these two, where the target lies if ε is a power of it: it takes fewer steps than halving, each
    of which takes seconds. The middle where one of the two has no finite ε, and where so many were not enough."""
    below, above = (seen[each].upper if each in seen else None for each in (low, high))
    if len(seen) > PATIENCE or not below or above is None or not below < above < math.inf:
        return (low + high) // 2
    share = math.log(target / below) / math.log(above / below)
    guess = low * (high / low) ** share
    return min(max(round(guess), low + 1), high - 1)
