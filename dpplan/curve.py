"""Curves: epsilon over delta, delta over epsilon, and epsilon over one quantity of a run; a Bound at every point.

    profile(plan, deltas)                        the privacy profile, ε(δ)
    delta_profile(plan, epsilons)                the same the other way round, δ(ε)
    against(settings, "sigma", values, delta)    ε of plans that differ in one quantity
    along(plan, steps, delta)                    ε of the first steps of one plan

Within `processes.allow(count)` long curves of ε over one quantity, and of δ, are spread over so many processes.
Every figure is the one that accounting.epsilon or accounting.delta gives for its point, with the same guarantee.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any, Literal, cast

from dpplan import accounting, called_modules, notebook, processes
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, did_you_mean, show
from dpplan.errors import NotCertified, PlanError, UsageError
from dpplan.plan import Phase, Plan, Settings
from dpplan.quantities import quantity
from dpplan.quick_dataclass import dataclass

called_modules.when_called(
    __name__,
    "The ε of a plan at each of several δ is\n\n"
    "    dpplan.curve.profile(dpplan.plan.Plan.from_training(1.1, 60000, 256, 60), [1e-7, 1e-6, 1e-5])\n\n",
)
Progress = Callable[[int, int], None]
Who = Mapping[str, Mapping[str, object]]
PATIENCE, SHORT = 0.3, 0.03  # seconds before other processes are started, which takes about as long: if forked, less
AHEAD = 2  # points that another process is given at a time: this one may be at a slower one
EXACT: Who = MappingProxyType({"exact": MappingProxyType({})})
# What may be varied, in the words of options -> the setting it is, and those it replaces.
QUANTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    quantity(name).word: (name, quantity(name).replaces)
    for name in ("steps", "epochs", "noise_multiplier", "batch_size", "sample_rate")
}


@dataclass(frozen=True, slots=True)
class Curves:
    """One or several accountants' figures, point by point.

    x_name: what runs along the curves: delta, epsilon or a key of QUANTITIES. x: its values.
    series: accountant -> one Bound for each x, None where it refused; refusals: why, the first time.
    at: the delta of the epsilons, or None where x is delta or epsilon. plans: what each point is about.
    """

    x_name: str
    x: tuple[float, ...]
    series: Mapping[str, tuple[Bound | None, ...]]
    at: float | None
    plans: tuple[Plan, ...]
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def quantity(self) -> Literal["epsilon", "delta"]:
        """What the figures are."""
        return "delta" if self.x_name == "epsilon" else "epsilon"

    @property
    def plan(self) -> Plan:
        """The plan of the last point; of every point where x is delta or epsilon."""
        return self.plans[-1]

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each point, a column for each accountant."""
        drawn = zip(self.x, *self.series.values(), strict=True)
        rows = [(show(x), *("refused" if each is None else each.headline for each in bounds)) for x, *bounds in drawn]
        return notebook.table(str(self.plan.assumptions), rows, (self.x_name, *self.series))


@dataclass(frozen=True, slots=True)
class _Point:
    """One question to an accountant: the epsilon at `delta` or the delta at `epsilon`, whichever is given."""

    x: float
    plan: Plan
    delta: float | None = None
    epsilon: float | None = None

    def ask(self, accountant: str, options: Mapping[str, object]) -> Bound:
        if self.delta is None:
            return accounting.delta(self.plan, cast(float, self.epsilon), accountant, **options)
        return accounting.epsilon(self.plan, self.delta, accountant, **options)


def profile(plan: Plan, deltas: Sequence[float], who: Who = EXACT, progress: Progress | None = None) -> Curves:
    """ε at each of `deltas` in (0, 1).

    who: accountant -> its options. progress(done, total) is called after every point. An accountant that refuses a
    point has None there. Raises PlanError for a delta out of range, UsageError for an unknown accountant or option.
    """
    with Problems() as problems:
        for delta in deltas:
            problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    return _drawn("delta", [_Point(delta, plan, delta=delta) for delta in deltas], who, progress)


def delta_profile(plan: Plan, epsilons: Sequence[float], who: Who = EXACT, progress: Progress | None = None) -> Curves:
    """δ at each of `epsilons` >= 0; otherwise as `profile()`."""
    with Problems() as problems:
        for epsilon in epsilons:
            problems.at_least("epsilon", epsilon, 0.0, try_="Epsilon counts nats of privacy loss (--eps).")
    return _drawn("epsilon", [_Point(epsilon, plan, epsilon=epsilon) for epsilon in epsilons], who, progress)


def against(
    settings: Settings,
    quantity: str,
    values: Sequence[float],
    delta: float,
    who: Who = EXACT,
    before: tuple[Phase, ...] = (),
    progress: Progress | None = None,
) -> Curves:
    """ε at `delta` of the run in `settings` with `quantity`, a key of QUANTITIES, set to each of `values`.

    What contradicts the quantity is left out of the settings (over steps, the epochs); before: phases that ran
    earlier on the same data. Raises PlanError holding all that is wrong with any of the plans, once each.
    """
    if quantity not in QUANTITIES:
        known = ", ".join(QUANTITIES)
        raise UsageError(f"quantity={quantity} is not one of: {known}.{did_you_mean(quantity, QUANTITIES)}")
    plans: list[Plan] = []
    found: dict[str, None] = {}
    for value in values:
        try:
            plan = varied(settings, quantity, value).plan()
        except PlanError as error:
            found |= dict.fromkeys(error.problems)
        else:
            plans.append(dataclasses.replace(plan, phases=(*before, *plan.phases)))
    if found:
        raise PlanError(list(found))
    points = [_Point(value, plan, delta=delta) for value, plan in zip(values, plans, strict=True)]
    return _drawn(quantity, points, who, progress)


def along(plan: Plan, steps: Sequence[int], delta: float, who: Who = EXACT, progress: Progress | None = None) -> Curves:
    """ε at `delta` of the first steps of `plan`, for each number of `steps` from 1 to its own."""
    points = [_Point(count, beginning(plan, count), delta=delta) for count in steps]
    return _drawn("steps", points, who, progress)


def varied(settings: Settings, quantity: str, value: float) -> Settings:
    """The settings with another value of one quantity, and without what would contradict it."""
    field, others = QUANTITIES[quantity]
    return settings.with_(**{field: value}, **dict.fromkeys(others))


def beginning(plan: Plan, steps: int) -> Plan:
    """The plan cut off after its first `steps` steps."""
    phases = []
    for phase in plan.phases:
        taken = min(phase.steps, steps)
        if taken > 0:
            phases.append(dataclasses.replace(phase, steps=taken))
        steps -= taken
    return dataclasses.replace(plan, phases=tuple(phases), derivation=())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A point, and who is asked."""

    point: _Point
    accountant: str
    options: Mapping[str, object]

    def answer(self) -> Bound | str:
        """The figure, or why there is none."""
        try:
            return self.point.ask(self.accountant, self.options)
        except NotCertified as refusal:
            return str(refusal)


def _answer(task: tuple[int, _Asked]) -> Bound | str:
    """In another process, which is told no read-only views."""
    answer = task[1].answer()
    return answer if isinstance(answer, str) else dataclasses.replace(answer, details=dict(answer.details))


def _answers(asked: Sequence[_Asked]) -> Iterator[tuple[int, Bound | str]]:
    """The number and the answer of each; in this process for a moment, then in as many as are allowed."""
    begun, workers = time.monotonic(), processes.allowed()
    patience = min(SHORT, PATIENCE) if processes.quick() else PATIENCE
    for number, each in enumerate(asked):
        if workers > 1 and time.monotonic() - begun > patience and len(asked) - number > workers:
            # Plain mappings travel; views of them do not.
            rest = ((n, replace(asked[n], options=dict(asked[n].options))) for n in range(number, len(asked)))
            for (at, _), answer in processes.spread(_answer, rest, workers, here=True, ahead=AHEAD):
                yield at, answer
            return
        yield number, each.answer()


def _drawn(x_name: str, points: Sequence[_Point], who: Who, progress: Progress | None) -> Curves:
    """Every accountant at every point; LEAST under the names of those who answered."""
    from dpplan.accounting import exact, least_upper

    with Problems(UsageError) as problems:
        problems.require(len(points) > 0, f"no {x_name} is given: a curve needs at least one.")
    series: dict[str, tuple[Bound | None, ...]] = {}
    refusals: dict[str, str] = {}
    done, total = 0, len(points) * len(who)
    for name, options in who.items():
        by_exact = name == "exact" or (name == accounting.LEAST and least_upper.is_exact_alone(points[0].plan))
        if by_exact and x_name == "delta":
            with suppress(NotCertified):  # of one point or of all: each is asked below, and says why
                deltas = [cast(float, point.delta) for point in points]
                series[name] = exact.epsilons(points[0].plan, deltas, **cast(dict[str, Any], options))
                done += len(points)
                if progress is not None:
                    progress(done, total)
                continue
        bounds: dict[int, Bound | None] = {}
        for number, answer in _answers([_Asked(point, name, options) for point in points]):
            bounds[number] = None if isinstance(answer, str) else answer
            if isinstance(answer, str):
                refusals.setdefault(name, answer)
            done += 1
            if progress is not None:
                progress(done, total)
        series[name] = tuple(bounds[number] for number in range(len(points)))
    at = None if x_name in ("delta", "epsilon") else points[0].delta
    if accounting.LEAST in series:
        told = dict.fromkeys(bound.accountant for bound in series[accounting.LEAST] if bound is not None)
        who_answered = " and ".join(told) or "exact"
        series = {who_answered if name == accounting.LEAST else name: bounds for name, bounds in series.items()}
        refusals = {who_answered if name == accounting.LEAST else name: why for name, why in refusals.items()}
    return Curves(x_name, tuple(point.x for point in points), series, at, tuple(p.plan for p in points), refusals)
