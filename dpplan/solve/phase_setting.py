"""One setting of one phase of a plan file, from a target for the whole plan, all else as it stands in the file.

Of what is drawn: sample_rate, batch_size, epochs, groups; of a mechanism: what says how much it tells. Each has an
order, more of it spends more or less, and `search` goes along it. What has none is refused by name (`NO_ORDER`).

Of a stated (ε, δ) a larger δ promises less: what it allows includes what a smaller one does. Of a search, what is
proven rises with the mean: in every form of best_of_trials.py E[K] does, and c, by m, (1 - γ)/γ or n. Of banded noise
on groups that take turns, no fewer than its bands, a turn is a sampled Gaussian whose noise neither the rate nor the
groups change, and more groups are fewer turns of one record. With fewer groups than bands turns share noise, no order
is proven, and such numbers of groups are not tried. That participations and their separation have an order is shown in
participations.py.

Guarantee: `spent` is the figure of exactly the plan that is returned, after rounding, and its upper end is within the
target; of the next value the other way that was not shown.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.accounting.pairs.correlated import lasting
from dpplan.checks import show
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import (
    AboveThreshold,
    BestOfTrials,
    DiscreteGaussian,
    DiscreteLaplace,
    Laplace,
    Mechanism,
    Stated,
    StatedZcdp,
    ThresholdedCounts,
)
from dpplan.mechanism.correlated import Correlated
from dpplan.mechanism.trials import MOST_TRIALS
from dpplan.open_noise import Opening, epsilon_of_scale
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import CHOICES, CyclicPoisson, FixedSize, Shuffle
from dpplan.sampling.balls_in_bins import ALLOCATIONS
from dpplan.solve import candidate_values, participations
from dpplan.solve.allocation import (
    MOST_STEPS,
    Allocation,
    Budget,
    OneSetting,
    allocate,
    most_of,
    most_steps,
    unreachable,
)
from dpplan.solve.search import Bracket, Candidates, search

SCALE = "noise_scale"
MOST_GROUPS = 10**6
_NOISE_DIGITS = 6  # as with_noise rounds
_MOST_NEXT = 8  # values one digit on that are tried of a noise
_OF_BATCHES = ("sample_rate", "batch_size", "groups", "epochs")
_COUNTED = (FixedSize.kind, Shuffle.kind)  # whose batches are whole
# Why what a phase has is not to be asked for.
NO_ORDER: Mapping[str, str] = MappingProxyType(
    {
        "cap": "a higher cap cuts fewer batches and lets larger ones be, so ε has no order in it. The smallest that "
        "costs little is found by `dpplan solve --solve cap`.",
        "times": "it changes the rate with it. Ask for sample_rate.",
        "eta": "at a mean that stays it changes γ with it, so ε has no order in it that is proven. Ask for mean.",
        "chance": "at a mean that stays it changes how many trials there may be, so ε has no order in it that is "
        "proven. Ask for mean.",
        SCALE: "more noise hides a count and lifts more lone ones above the threshold, so ε has no order in it. Ask "
        "for threshold.",
    }
)


@dataclass(frozen=True, slots=True)
class _Reach:
    """The values that a setting of a mechanism may take, and whether more of it spends more. whole: of these only.
    digits: of those that rise."""

    least: float
    most: float
    rises: bool
    whole: bool = False
    digits: int = candidate_values.DIGITS


_REACHES: Mapping[tuple[type, str], _Reach] = MappingProxyType(
    {
        (Laplace, SCALE): _Reach(0.01, 1e6, rises=False),
        (DiscreteLaplace, SCALE): _Reach(0.01, 1e6, rises=False),  # times its sensitivity
        (DiscreteGaussian, SCALE): _Reach(0.05, 200.0, rises=False),
        (Stated, "epsilon"): _Reach(1e-9, 100.0, rises=True),
        (Stated, "delta"): _Reach(candidate_values.LEAST_DELTA, 1.0 - 1e-7, rises=True, digits=4),
        (BestOfTrials, "mean"): _Reach(1e-6, MOST_TRIALS, rises=True, digits=4),
        (StatedZcdp, "rho"): _Reach(1e-12, 1e4, rises=True),
        (AboveThreshold, "threshold_scale"): _Reach(0.01, 1e9, rises=False),
        (AboveThreshold, "query_scale"): _Reach(0.01, 1e9, rises=False),
        (AboveThreshold, "answers"): _Reach(1, 1e9, rises=True, whole=True),
        (ThresholdedCounts, "threshold"): _Reach(1, 1e9, rises=False),
        (ThresholdedCounts, "partitions"): _Reach(1, 1e5, rises=True, whole=True),
    }
)


def known(phase: Phase, said: Settings | None) -> tuple[str, ...]:
    """What can be asked for here, of this phase. said: of its sampling and length, None where nothing is known."""
    of_mechanism = [name for kind, name in _REACHES if kind is type(phase.mechanism)]
    return (*of_mechanism, *participations.known(phase), *_drawn(phase, said))


def refusal(phase: Phase, name: str, said: Settings | None = None) -> str:
    """Why a setting that is there, here or elsewhere, is not to be asked for; "" of any other. said: as of `known`."""
    if name in participations.NAMES:
        return participations.refusal(phase, name)
    if isinstance(phase.mechanism, Correlated) and name in _OF_BATCHES:
        return _of_shared_noise(phase, name, said)
    return NO_ORDER.get(name, "") if phase.settings.get(name) is not None else ""


def _of_shared_noise(phase: Phase, name: str, said: Settings | None) -> str:
    """Why it is not to be asked for of noise that steps share, where it is not."""
    if name == "epochs":
        return "noise that steps share is made for so many of them. Ask for steps."
    scheme = phase.sampling
    if not isinstance(scheme, CyclicPoisson):
        return (
            f"no theorem lets it help noise that steps share, but where groups take turns: {CyclicPoisson.kind}, with "
            "no fewer groups than bands. Ask for noise_multiplier."
        )
    if said is None or said.epochs is not None:
        return "at fixed epochs it changes the steps, which share noise. Write steps in place of epochs."
    if not _apart(phase):
        bands = lasting(phase.mechanism, phase.steps)  # type: ignore[arg-type]
        why, instead = "a tree has no bands", "Ask"
        if bands:
            why = f"groups={scheme.groups} is fewer than the {bands} steps that share noise"
            instead = "Give as many groups as bands, or ask"
        return f"{why}, and no theorem lets it help where a record's turns share noise. {instead} for noise_multiplier."
    if name == "batch_size":
        return "a batch is a share of n, which is missing. Give n, or ask for sample_rate."
    return "groups change the rate inside of each where a batch is given. Write sample_rate in place of batch_size."


def _apart(phase: Phase) -> bool:
    """Whether no two turns of a group share noise, which is what batches that are drawn are known to help."""
    assert isinstance(phase.mechanism, Correlated) and isinstance(phase.sampling, CyclicPoisson)
    return 0 < lasting(phase.mechanism, phase.steps) <= phase.sampling.groups


def found(plan: Plan, where: tuple[int, str], said: Settings | None, name: str, budget: Budget) -> Allocation:
    """The plan with the value of one setting that spends the most of the budget. where: the place of the phase, and its
    name. name: of `known`.

    Raises Unreachable where no value meets the target, NotApplicable where there is no theorem for any.
    """
    place, called = where
    candidates, phase_at = _values(plan.phases[place], said, name)

    def at(index: int) -> Plan:
        return _with_phase(plan, place, phase_at(index))

    looks = _Looks(budget, at)
    if name == "delta":
        ended = _halved(looks.gap, candidates)
    else:
        ended = search(looks.gap, candidates, candidates.start, candidates.slope)
    if ended.low < candidates.first:
        if not looks.figures and looks.refusals:
            raise next(iter(looks.refusals.values()))
        where_not = participations.nowhere(name) if name in participations.NAMES else f"at any {name} of"
        raise unreachable(budget, looks.figures.get(ended.high), f"{where_not} {called}")
    value, beyond, remark = float(candidates.value(ended.low)), None, _remark(said, name)
    if ended.high <= candidates.last:
        beyond = float(candidates.value(ended.high))
    elif name == "mean":
        remark = f"the target is met at every {name} that is tried, up to {show(value)}"
    if name in participations.NAMES:
        remark = participations.remark(phase_at(ended.low), name, last=beyond is None)
    alone = OneSetting(place, name, value, beyond, looks.figures.get(ended.high), remark)
    return Allocation(at(ended.low), looks.figures[ended.low], {}, f"{called}.{name}", {}, alone=alone)


def _halved(gap: Callable[[int], float], candidates: Candidates) -> Bracket:
    """As `search`, where figures stay as they are up to a step, so that no secant helps: of a stated δ."""
    high = candidates.first
    if gap(high) <= 0:
        high = first_true_whole(lambda index: gap(index) > 0, candidates.first, candidates.last + 1)
    return Bracket(high - 1, high, high, candidates.slope)


def noise_found(plan: Plan, where: tuple[int, str], name: str, budget: Budget) -> Allocation:
    """The plan with the least noise of one phase that meets the target, and what the next value the other way spends.
    where: as of `found`. name: the setting that says how much noise it is, of six digits.

    Raises Unreachable where no amount of noise meets the target.
    """
    place, called = where
    fitted = allocate(plan, {place: Opening(name, True)}, budget, "scale", {})
    made, spent = fitted.plan, fitted.spent
    for _ in range(_MOST_NEXT):  # the factor's last step may be a digit wide
        value = float(getattr(made.phases[place].mechanism, name))
        count = candidate_values.decimal_above(value, _NOISE_DIGITS)
        beyond = candidate_values.decimal(count + (-1 if name == "noise_multiplier" else 1), _NOISE_DIGITS)
        try:
            mechanism = _changed(made.phases[place].mechanism, name, beyond)
            other = _with_phase(made, place, replace(made.phases[place], mechanism=mechanism))
            gap, bound = budget.gap(other)
        except (NotApplicable, PlanError):  # so little noise that no mechanism takes it
            break
        if gap > 0 or bound is None:
            alone = OneSetting(place, name, value, beyond, bound)
            return Allocation(made, spent, {}, f"{called}.{name}", {}, alone=alone)
        made, spent = other, bound
    alone = OneSetting(place, name, float(getattr(made.phases[place].mechanism, name)))
    return Allocation(made, spent, {}, f"{called}.{name}", {}, alone=alone)


def steps_found(plan: Plan, where: tuple[int, str], budget: Budget) -> Allocation:
    """The plan with as many steps of one phase as meet the target, and what one more spends. where: as of `found`.

    Raises Unreachable where one step is too many.
    """
    place, called = where
    made, spent = most_steps(plan, place, budget)
    phase, beyond, spends, remark = made.phases[place], None, None, ""
    if phase.steps < most_of(phase):
        beyond = phase.steps + 1
        _, spends = budget.gap(_with_phase(made, place, replace(phase, steps=beyond)))
    elif phase.steps < MOST_STEPS:
        remark = f"the target still holds there, and the strategy ends: it is for {phase.steps} steps"
    alone = OneSetting(place, "steps", phase.steps, beyond, spends, remark)
    return Allocation(made, spent, {}, f"{called}.steps", {}, alone=alone)


def _with_phase(plan: Plan, place: int, phase: Phase) -> Plan:
    phases = (*plan.phases[:place], phase, *plan.phases[place + 1 :])
    return replace(plan, phases=phases, derivation=())


class _Looks:
    """What candidates spend, each asked about once."""

    def __init__(self, budget: Budget, at: Callable[[int], Plan]) -> None:
        self._budget, self._at = budget, at
        self._gaps: dict[int, float] = {}
        self.figures: dict[int, Bound] = {}
        self.refusals: dict[int, NotApplicable | PlanError] = {}

    def gap(self, index: int) -> float:
        """At most 0 where the plan was shown to meet the target; inf where nothing could be shown."""
        if index not in self._gaps:
            try:
                self._gaps[index], bound = self._budget.gap(self._at(index))
            except (NotApplicable, PlanError) as why:  # no theorem; or so little noise that no mechanism takes it
                self._gaps[index], bound = math.inf, None
                self.refusals[index] = why
            if bound is not None:
                self.figures[index] = bound
        return self._gaps[index]


def _drawn(phase: Phase, said: Settings | None) -> tuple[str, ...]:
    """What of the batches can be asked for. Noise that is correlated from step to step is made for its own steps."""
    own = isinstance(phase.mechanism, BestOfTrials)
    if said is None or own or said.sampling not in CHOICES or CHOICES[said.sampling].only_rate is not None:
        return ()
    if isinstance(phase.mechanism, Correlated):
        return _drawn_by_turns(phase, said)
    names = [] if said.sampling in _COUNTED else ["sample_rate"]
    if said.examples is not None and said.sampling not in ALLOCATIONS:
        names.append("batch_size")
    # Of a batch that is given, groups change the rate inside of each; of epochs, how many steps there are.
    if said.sampling == CyclicPoisson.kind and said.batch_size is None and said.epochs is None:
        names.append("groups")
    return (*names, "epochs")


def _drawn_by_turns(phase: Phase, said: Settings) -> tuple[str, ...]:
    """The same of noise that steps share: in groups that take turns, at fixed steps. Groups also from too few of them
    on, since those that are tried are no fewer than the bands."""
    if not isinstance(phase.sampling, CyclicPoisson) or said.epochs is not None:
        return ()
    names = ["sample_rate"] if _apart(phase) else []
    if names and said.examples is not None:
        names.append("batch_size")
    if said.batch_size is None and 0 < lasting(phase.mechanism, phase.steps) <= MOST_GROUPS:  # type: ignore[arg-type]
        names.append("groups")
    return tuple(names)


def _values(phase: Phase, said: Settings | None, name: str) -> tuple[Candidates, Callable[[int], Phase]]:
    """The values by what they spend, and the phase that each makes."""
    reach = _REACHES.get((type(phase.mechanism), name))
    if reach is not None or name in participations.NAMES:
        values = _of_mechanism(phase.mechanism, name, reach) if reach else participations.candidates(phase, name)
        return values, lambda at: replace(phase, mechanism=_changed(phase.mechanism, name, float(values.value(at))))
    assert said is not None  # known
    drawn = _of_sampling(said, name)
    if name == "groups" and isinstance(phase.mechanism, Correlated):
        drawn = replace(drawn, last=-lasting(phase.mechanism, phase.steps))

    def at(index: int) -> Phase:
        made = drawn.plan(index).only_phase if name != "groups" else _in_groups(said, int(drawn.value(index)))
        return replace(phase, sampling=made.sampling, steps=made.steps)

    return drawn, at


def _of_mechanism(mechanism: Mechanism, name: str, reach: _Reach) -> Candidates:
    times = mechanism.sensitivity if name == SCALE and isinstance(mechanism, DiscreteLaplace) else 1
    least, most = times * reach.least, times * reach.most
    if isinstance(mechanism, BestOfTrials) and mechanism.trials.least > 0.0:
        least += mechanism.trials.least
    now = _scale_of(mechanism) if name == SCALE else float(getattr(mechanism, name))
    begin = min(max(now, least), most)
    if reach.whole:
        return candidate_values.whole(Settings(), name, int(most), start=int(begin), slope=1.0)
    if reach.rises:
        return candidate_values.rising(Settings(), name, (least, begin, most), 1.0, reach.digits)
    return candidate_values.falling(Settings(), name, (most, begin, least), slope=1.0)


def _scale_of(mechanism: Mechanism) -> float:
    if isinstance(mechanism, Laplace | DiscreteLaplace):
        return getattr(mechanism, "sensitivity", 1) / mechanism.epsilon
    return float(getattr(mechanism, SCALE))


def _changed(mechanism: Mechanism, name: str, value: float) -> Mechanism:
    if name == SCALE and isinstance(mechanism, Laplace | DiscreteLaplace):
        name, value = "epsilon", epsilon_of_scale(getattr(mechanism, "sensitivity", 1), value)
    return replace(mechanism, **{name: value})  # type: ignore[type-var]


def _of_sampling(said: Settings, name: str) -> Candidates:
    if name == "epochs":
        return candidate_values.epochs(said.with_(steps=None, epochs=1.0))
    if name == "groups":
        start = int(dict(said.scheme_options)[name])
        return candidate_values.whole_down(said, name, MOST_GROUPS, start=start, slope=0.5)
    open_rate = said.with_(sample_rate=None, batch_size=None)
    return (candidate_values.sample_rate if name == "sample_rate" else candidate_values.batch_size)(open_rate)


def _in_groups(said: Settings, groups: int) -> Phase:
    options = tuple({**dict(said.scheme_options), "groups": groups}.items())
    return said.with_(scheme_options=options).plan().only_phase


def _remark(said: Settings | None, name: str) -> str:
    if name not in ("sample_rate", "batch_size") or said is None or said.epochs is None or said.sampling in ALLOCATIONS:
        return ""
    return f"steps are whole at fixed epochs: a larger {name} that meets the target in places was not ruled out"
