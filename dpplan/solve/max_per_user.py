"""The most examples that one user may have, for a target."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, show
from dpplan.errors import Unreachable
from dpplan.plan import Phase, Plan, Settings

MOST = 4096  # examples of one user: beyond, a run protects users better by drawing them whole


@dataclass(frozen=True, slots=True)
class MaxPerUser:
    """value: the most examples of one user at which the plan spends no more than the target. above: what one more
    spends, None where the value is the most that is looked for."""

    value: int
    plan: Plan
    target: float
    delta: float
    spent: Bound
    above: Bound | None


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
            f"one example of each user costs ε = {seen[1].value:.6g} already, above target_eps={show(target_epsilon)}."
        )
    low, high = 1, 2
    while high <= MOST and meets(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return MaxPerUser(low, plan(low), target_epsilon, delta, seen[low], seen.get(low + 1))
