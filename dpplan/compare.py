"""One plan through every accountant: what each says, what that promises, and what it took.

The exact accountant is the reference. Its interval is certified, so an estimate below it is known to be wrong.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import Problems, did_you_mean
from dpplan.errors import NotCertified, UsageError
from dpplan.plan import Plan

REFERENCE = "exact"
_CHEAP = 0.1  # seconds; a call that takes less is made twice and the second is timed

Options = Mapping[str, Mapping[str, object]]
_NO_OPTIONS: Options = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Row:
    """What one accountant says about a plan.

    bound: None when the accountant refused; refusal then says why.
    seconds: wall time of the call, without the import of the accountant. A call under 0.1 s is made twice and
        the second is timed; a longer one is made and timed once.
    ratio: the figure divided by the exact accountant's upper bound; None where either is missing or that bound is 0.
    under_reports: the figure is an ESTIMATE below the certified lower bound, so it claims privacy that is not there.
    """

    accountant: str
    bound: Bound | None
    refusal: str | None
    seconds: float
    ratio: float | None
    under_reports: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row for every accountant, in the order of accounting.ACCOUNTANTS."""

    plan: Plan
    delta: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """Epsilon of the first steps of a plan, for every accountant.

    x: what was trained so far, rising, in units of x_name. series: accountant -> one Bound for each x, None where
    the accountant refused.
    """

    x_name: str
    x: tuple[float, ...]
    series: Mapping[str, tuple[Bound | None, ...]]
    delta: float
    plan: Plan


def accountants(plan: Plan, delta: float, options: Options = _NO_OPTIONS) -> Comparison:
    """What every accountant says that `plan` spends at `delta` in (0, 1).

    options: accountant -> its keywords, e.g. {"rdp": {"conversion": "classic"}}.
    An accountant that cannot answer has a row with the reason. Raises PlanError and UsageError for a delta or
    an option that makes no sense.
    """
    _check(delta, options)
    answers = {name: _timed(name, plan, delta, options.get(name, {})) for name in accounting.ACCOUNTANTS}
    reference = answers[REFERENCE].bound
    return Comparison(plan, delta, tuple(_row(name, answer, reference) for name, answer in answers.items()))


def curves(
    plan: Plan,
    delta: float,
    points: int = 40,
    options: Options = _NO_OPTIONS,
    progress: Callable[[int, int], None] | None = None,
) -> Curves:
    """Epsilon against epochs for every accountant, at `points` (or fewer) evenly spaced numbers of steps.

    One epoch is as many expected draws as there are examples, so epochs = steps × sample rate and the number of
    examples need not be known. progress(done, total) is called after every point. Errors as for `accountants()`.
    """
    _check(delta, options)
    with Problems(UsageError) as problems:
        problems.whole("points", points, try_="It is the number of places on each curve.")
    steps = sorted({-(-plan.steps * i // points) for i in range(1, points + 1)})
    total = len(steps) * len(accounting.ACCOUNTANTS)
    series: dict[str, tuple[Bound | None, ...]] = {}
    done = 0
    for name in accounting.ACCOUNTANTS:
        bounds = []
        for count in steps:
            bounds.append(_answer(name, _beginning(plan, count), delta, options.get(name, {})).bound)
            done += 1
            if progress is not None:
                progress(done, total)
        series[name] = tuple(bounds)
    x = tuple(_epochs(_beginning(plan, count)) for count in steps)
    return Curves("epochs", x, series, delta, plan)


@dataclass(frozen=True, slots=True)
class _Answer:
    bound: Bound | None
    refusal: str | None = None
    seconds: float = 0.0


def _check(delta: float, options: Options) -> None:
    """The delta and the names in `options`; keywords are the accountant's to check."""
    with Problems() as problems:
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    with Problems(UsageError) as problems:
        known = ", ".join(accounting.ACCOUNTANTS)
        for name in options:
            remedy = did_you_mean(name, accounting.ACCOUNTANTS)
            problems.require(name in accounting.ACCOUNTANTS, f"options={name} is not one of: {known}.{remedy}")


def _answer(name: str, plan: Plan, delta: float, options: Mapping[str, object]) -> _Answer:
    start = time.perf_counter()
    try:
        bound, refusal = accounting.epsilon(plan, delta, name, **options), None
    except NotCertified as error:
        bound, refusal = None, str(error)
    return _Answer(bound, refusal, time.perf_counter() - start)


def _timed(name: str, plan: Plan, delta: float, options: Mapping[str, object]) -> _Answer:
    accounting.accountant(name)  # imports the module
    first = _answer(name, plan, delta, options)
    return _answer(name, plan, delta, options) if first.seconds < _CHEAP else first


def _row(name: str, answer: _Answer, reference: Bound | None) -> Row:
    bound = answer.bound
    ratio, under_reports = None, False
    if bound is not None and reference is not None:
        ratio = bound.value / reference.value if reference.value > 0 else None
        under_reports = (
            bound.guarantee is Guarantee.ESTIMATE and reference.lower is not None and bound.value < reference.lower
        )
    return Row(name, bound, answer.refusal, answer.seconds, ratio, under_reports)


def _beginning(plan: Plan, steps: int) -> Plan:
    """The plan cut off after its first `steps` steps."""
    phases = []
    for phase in plan.phases:
        taken = min(phase.steps, steps)
        if taken > 0:
            phases.append(dataclasses.replace(phase, steps=taken))
        steps -= taken
    return dataclasses.replace(plan, phases=tuple(phases), derivation=())


def _epochs(plan: Plan) -> float:
    """Σ steps × sample rate, rounded once."""
    return float(sum(phase.steps * Fraction(repr(phase.sample_rate)) for phase in plan.phases))
