"""A budget for a whole plan: how much noise each of its open phases gets, so that all of it stays within a target.

    shares   phases get shares of the budget in proportion to their weights, as zCDP counts it
    error    the sum of weighted squared errors over all releases is the least that was found
    scale    all noise grows or falls by one factor, from the values that are given

Whatever the rule, one factor on the noise of all open phases is then searched for until the composed figure meets the
target. Guarantee: every plan that is tried has its settings rounded to six digits, so that `spent` is the figure of
exactly the plan that is returned; it is within the target, and a factor STEP smaller was not shown to be.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.accounting.pairs.correlated import by_poisson
from dpplan.checks import show
from dpplan.errors import NotApplicable, NotCertified, PlanError, Unreachable
from dpplan.mechanism import Gaussian, Laplace, MatrixNoise
from dpplan.mechanism.correlated import Correlated
from dpplan.open_noise import Opening, noise_of, with_noise
from dpplan.plan import Phase, Plan
from dpplan.rounding import up

RULES = ("shares", "error", "scale")
STEP = 1e-6  # relative, of the factor
ROUGH = 1e-3  # of what more budget would buy
MOST_FACTOR, MOST_MOVE, MOST_LOOKS = 1e8, 2.0, 80  # of the factor; its logarithm in one move; plans that are tried
ROUNDS, NUDGE, CALM = 5, 0.02, 2.0  # of the least error: rounds, relative change for a slope, most change per round
MOST_STEPS = 10**9
Ask = Callable[[Plan], Bound]


@dataclass(frozen=True, slots=True)
class Budget:
    """What is to be met. ask: the figure that is held, ε at a δ or the reverse. target: the most that it may be."""

    ask: Ask
    target: float

    def gap(self, plan: Plan) -> tuple[float, Bound | None]:
        """At most 0 where the plan was shown to meet the target, about log(figure / target); and the figure."""
        try:
            bound = self.ask(plan)
        except NotApplicable:
            raise
        except NotCertified:  # so little noise that nothing is proven
            return math.inf, None
        if bound.upper is None:
            raise NotCertified(f"{bound.accountant}: its figures are {bound.guarantee}, and prove no target to be met.")
        excess = bound.upper - self.target
        return math.log1p(max(excess / self.target, -0.999999)), bound


@dataclass(frozen=True, slots=True)
class OneSetting:
    """A setting of one phase that was found. beyond: the next value the other way, which does not meet the target, None
    where there is none; spends: its figure, None where nothing is proven there. remark: what was not established, or
    where it ends."""

    place: int
    name: str
    value: float
    beyond: float | None = None
    spends: Bound | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """plan: with the settings that were found. spent: its figure. buys: place -> what its setting could be if the
    target were one unit more and all of that went there; None where no value is too large for that.

    error: the sum of weighted squared errors, where that is what was made small. alone: what was found, where that is
    one setting and no amount of noise.
    """

    plan: Plan
    spent: Bound
    openings: Mapping[int, Opening]
    rule: str
    buys: Mapping[int, float | None]
    error: float | None = None
    alone: "OneSetting | None" = None

    def value(self, place: int) -> float:
        """What was found for the phase at this place."""
        return float(getattr(self.plan.phases[place].mechanism, self.openings[place].setting))


def allocate(plan: Plan, openings: Mapping[int, Opening], budget: Budget, rule: str,
             errors: Mapping[int, float]) -> Allocation:  # fmt: skip
    """The noise of each opening by this rule. errors: place -> standard error of one release per unit of its noise, in
    units of the data, where it is known.

    Raises Unreachable where no amount of noise meets the target.
    """
    places = sorted(openings)
    if rule == "scale":
        noises = {at: noise_of(plan.phases[at].mechanism) for at in places}
    else:
        noises = {at: math.sqrt(_cost(plan.phases[at]) / openings[at].weight) for at in places}
    if rule != "error":
        made, spent = _fitted(plan, noises, budget)
        return Allocation(made, spent, openings, rule, {})
    counted = {at: openings[at].weight * plan.phases[at].steps * _error(plan, at, errors) ** 2 for at in places}
    noises = {at: (_cost(plan.phases[at]) / counted[at]) ** 0.25 for at in places}
    made, spent = _without_slack(*_least_error(plan, noises, counted, budget), places, budget)
    return Allocation(made, spent, openings, rule, {}, _total(made, counted))


def bought(found: Allocation, budget: Budget) -> Allocation:
    """With what one unit more of budget would buy in each phase."""
    more = replace(budget, target=budget.target + 1.0)
    buys: dict[int, float | None] = {}
    for at, opening in found.openings.items():
        noise = {at: noise_of(found.plan.phases[at].mechanism)}
        try:
            made, _ = _fitted(found.plan, noise, more, ROUGH)
            buys[at] = float(getattr(made.phases[at].mechanism, opening.setting))
        except Unreachable:
            buys[at] = None
    return replace(found, buys=buys)


def most_of(phase: Phase) -> int:
    """The most steps that are tried: of a strategy that is given as a matrix, as many as it has rows."""
    return min(phase.mechanism.rows, MOST_STEPS) if isinstance(phase.mechanism, MatrixNoise) else MOST_STEPS


def most_steps(plan: Plan, place: int, budget: Budget) -> tuple[Plan, Bound]:
    """The plan with as many steps of one phase as meet the target, of `most_of` it has. Raises Unreachable where one is
    too many."""
    most = most_of(plan.phases[place])

    def at(steps: int) -> Plan:
        phases = list(plan.phases)
        phases[place] = replace(phases[place], steps=steps)
        return replace(plan, phases=tuple(phases), derivation=())

    good, bound = 1, budget.gap(at(1))
    if bound[0] > 0 or bound[1] is None:
        raise unreachable(budget, bound[1], "at one step of that phase")
    found, bad = bound[1], 2
    while bad <= most and (held := budget.gap(at(bad)))[0] <= 0 and held[1] is not None:
        good, found, bad = bad, held[1], 4 * bad
    fitting = {good: found}

    def too_many(steps: int) -> bool:
        gap, each = budget.gap(at(steps))
        if gap <= 0 and each is not None:
            fitting[steps] = each
        return steps not in fitting

    good = first_true_whole(too_many, good, min(bad, most + 1)) - 1
    return at(good), fitting[good]


def _with(plan: Plan, noises: Mapping[int, float], factor: float) -> Plan:
    phases = list(plan.phases)
    for at, noise in noises.items():
        phases[at] = replace(phases[at], mechanism=with_noise(phases[at].mechanism, noise * factor))
    return replace(plan, phases=tuple(phases), derivation=())


def _fitted(plan: Plan, noises: Mapping[int, float], budget: Budget, step: float = STEP) -> tuple[Plan, Bound]:
    """The plan with the least factor on these noises that meets the target: a bracket first, then secants of log ε over
    the factor's logarithm, and halves where they do not help. Where the slope is nearly flat, far from the answer, a
    secant aims anywhere: no move outside the bracket is longer than MOST_MOVE."""

    def at(place: float) -> tuple[Plan, float, Bound | None]:
        try:
            made = _with(plan, noises, math.exp(place))
        except PlanError:  # a setting beyond what mechanisms take
            return plan, -math.inf if _too_much(plan, noises, math.exp(place)) else math.inf, None
        return made, *budget.gap(made)

    low, high = -math.inf, math.inf  # fails, meets
    best: tuple[Plan, Bound] | None = None
    place, slope, last, looks = 0.0, -1.0, None, 0
    farther, farthest = MOST_MOVE, math.log(MOST_FACTOR)
    failed: Bound | None = None
    while high - low > step and looks < MOST_LOOKS:
        made, gap, bound = at(place)
        looks += 1
        if gap <= 0 and bound is not None:
            high, best = place, (made, bound)
        elif gap == -math.inf:
            high = place
        else:
            low, failed = place, bound or failed
        if abs(place) >= farthest and math.isinf(high - low):
            break
        if last is not None and math.isfinite(gap) and math.isfinite(last[1]) and place != last[0]:
            rise = (gap - last[1]) / (place - last[0])
            slope = rise if -10.0 < rise < -1e-3 else slope
        last = (place, gap)
        aim = place - (min(max(gap, -3.0), 3.0) / slope) + (0.3 * step if gap > 0 else -0.3 * step)
        if not low < aim < high or (looks > 6 and looks % 2):
            aim = _between(low, high)
        if math.isinf(high):  # much noise is quick to account for, little is not
            aim, farther = min(aim, low + farther), 2.0 * farther
        elif math.isinf(low):
            aim = max(aim, high - MOST_MOVE)
        place = min(max(aim, -farthest), farthest)
    if best is None:
        raise unreachable(budget, failed, "at any noise of the open phases")
    return best


def _too_much(plan: Plan, noises: Mapping[int, float], factor: float) -> bool:
    """Whether what no mechanism takes is too much noise: more than what stands in the plan, which is taken."""
    for at, noise in noises.items():
        mechanism = plan.phases[at].mechanism
        try:
            with_noise(mechanism, noise * factor)
        except PlanError:
            return noise * factor > noise_of(mechanism)
    return False


def _between(low: float, high: float) -> float:
    if math.isinf(low):
        return high - MOST_MOVE
    return low + MOST_MOVE if math.isinf(high) else (low + high) / 2.0


def unreachable(budget: Budget, bound: Bound | None, where: str) -> Unreachable:
    """That nothing meets the target. bound: what was nearest to it; where: for which values, after "not met"."""
    symbol = "ε" if bound is None or bound.quantity == "epsilon" else "δ"
    cost = "" if bound is None else f", and the plan still costs {symbol} {bound.relation} {up(bound.value)}"
    return Unreachable(f"{symbol} = {show(budget.target)} is not met {where}{cost}. Raise the target or spend less.")


def _cost(phase: Phase) -> float:
    """ρ of the phase at one unit of noise, about: T·q²/2, of a Gaussian's or of pure ε's ε²/2 (Bun, Steinke 2016)."""
    if isinstance(phase.mechanism, Correlated):
        alike = by_poisson(phase)  # of independent noise
        return _cost(alike) * (phase.mechanism.noise_multiplier / Gaussian.of(alike.mechanism).noise_multiplier) ** 2
    rate = phase.settings.get("sample_rate")
    q = float(rate) if isinstance(rate, int | float) and 0 < rate <= 1 else 1.0
    return 0.5 * phase.steps * q**2


def _error(plan: Plan, at: int, errors: Mapping[int, float]) -> float:
    """The standard error of one release per unit of noise; without a query, in units of the sensitivity."""
    if at in errors:
        return errors[at]
    mechanism = type(plan.phases[at].mechanism)
    known = {Gaussian: 1.0, Laplace: math.sqrt(2.0)}
    if mechanism not in known:
        raise PlanError(
            f"phases[{at}]: {mechanism.kind} has no squared error that is known. Allocate by shares or scale."
        )
    return known[mechanism]


def _least_error(
    plan: Plan, noises: Mapping[int, float], counted: Mapping[int, float], budget: Budget
) -> tuple[Plan, Bound]:
    """From the best by zCDP towards where every phase's share of the error is its share of the cost: at the least error
    counted·noise² rises by as much as ε falls with each noise (Lagrange). The best of all rounds is kept."""
    made, spent = _fitted(plan, noises, budget)
    best = (made, spent, _total(made, counted))
    current = {at: noise_of(made.phases[at].mechanism) for at in counted}
    for _ in range(ROUNDS if len(counted) > 1 else 0):
        slopes = _slopes(made, spent, current, budget)
        wanted = {at: math.sqrt(max(slopes[at], 1e-9) / counted[at]) for at in counted}
        middle = sum(math.log(current[at] / wanted[at]) for at in counted) / len(counted)
        moved = {at: math.exp(middle) * wanted[at] / current[at] for at in counted}
        noises = {at: current[at] * min(max(moved[at] ** 0.5, 1 / CALM), CALM) for at in counted}
        made, spent = _fitted(plan, noises, budget)
        now = _total(made, counted)
        enough = now > best[2] * (1 - 1e-4)
        best = min(best, (made, spent, now), key=lambda each: each[2])
        if enough:
            break
        current = {at: noise_of(made.phases[at].mechanism) for at in counted}
    return best[:2]


def _total(made: Plan, counted: Mapping[int, float]) -> float:
    """The sum of weighted squared errors."""
    return sum(counted[at] * noise_of(made.phases[at].mechanism) ** 2 for at in counted)


def _without_slack(made: Plan, spent: Bound, places: Sequence[int], budget: Budget) -> tuple[Plan, Bound]:
    """With less noise in groups that do not decide the figure, one after the other: a plan costs what its costliest
    group does, and what the others could spend besides is free."""
    for at in places:
        noise = noise_of(made.phases[at].mechanism)
        if made.phases[at].groups:
            less, figure = _fitted(made, {at: noise}, budget)
            if noise_of(less.phases[at].mechanism) < noise:
                made, spent = less, figure
    return made, spent


def _slopes(made: Plan, spent: Bound, noises: Mapping[int, float], budget: Budget) -> dict[int, float]:
    """How much the figure falls with the logarithm of each noise."""
    found = {}
    for at, noise in noises.items():
        other = budget.ask(_with(made, {at: noise * (1 + NUDGE)}, 1.0))
        found[at] = (spent.value - other.value) / math.log1p(NUDGE)
    return found


def open_problems(names: Sequence[str], openings: Sequence[Opening | None], rule: str) -> list[str]:
    """What is wrong with asking for these phases, of these names."""
    if not any(openings):
        return ["no phase is open: leave out the noise of one (noise_multiplier, epsilon, mu), or say open: true."]
    blank = [at for at, each in enumerate(openings) if each is not None and not each.given]
    if rule == "scale" and blank:
        each = ", ".join(f"{names[at]} ({opening.setting})" for at in blank if (opening := openings[at]) is not None)
        return [
            f"allocate=scale needs a value to start from in every open phase, with open: true beside it: {each}. Or "
            "allocate by shares or error."
        ]
    return []
