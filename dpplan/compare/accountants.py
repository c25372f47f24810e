"""One plan through every accountant: what each says, what that promises, and what it took.

The exact accountant is the reference. Its interval is certified, so an estimate below it is known to be wrong.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from dpplan import accounting, curve, notebook
from dpplan.accounting.bound import SYMBOLS, Bound, Guarantee, Quantity
from dpplan.checks import Problems, did_you_mean, show
from dpplan.curve import Curves
from dpplan.errors import NotCertified, UsageError
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass

REFERENCE = "exact"
_CHEAP = 0.1  # seconds; a call that takes less is made twice and the second is timed

Options = Mapping[str, Mapping[str, object]]
_NO_OPTIONS: Options = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccountantRow:
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
class AccountantComparison:
    """One row for every accountant, in the order of accounting.ACCOUNTANTS.

    quantity: what the figures are. at: the delta of an epsilon, or the epsilon of a delta.
    """

    plan: Plan
    at: float
    rows: tuple[AccountantRow, ...]
    quantity: Quantity = "epsilon"

    def _repr_html_(self) -> str:
        """What a notebook shows: each accountant's figure and guarantee, or why it refuses."""
        at = f"{SYMBOLS['delta' if self.quantity == 'epsilon' else 'epsilon']} = {show(self.at)}"
        return notebook.table(
            f"{self.plan.assumptions}, at {at}", map(_shown, self.rows), ("accountant", "", "guarantee", "")
        )


def _shown(row: AccountantRow) -> notebook.Row:
    if row.bound is None:
        return row.accountant, "-", "", row.refusal or ""
    stated = replace(row.bound, at=None).headline
    return row.accountant, stated, str(row.bound.guarantee), "under-reports" if row.under_reports else ""


def accountants(
    plan: Plan, at: float, options: Options = _NO_OPTIONS, quantity: Quantity = "epsilon"
) -> AccountantComparison:
    """What every accountant says that `plan` spends: its epsilon at the delta `at`, or its delta at the epsilon `at`.

    options: accountant -> its keywords, e.g. {"rdp": {"conversion": "classic"}}.
    An accountant that cannot answer has a row with the reason. Raises PlanError and UsageError for a figure or
    an option that makes no sense.
    """
    _check(quantity, at, options)
    answers = {name: _timed(name, plan, at, options.get(name, {}), quantity) for name in accounting.ACCOUNTANTS}
    reference = answers[REFERENCE].bound
    rows = tuple(_row(name, answer, reference) for name, answer in answers.items())
    return AccountantComparison(plan, at, rows, quantity)


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
    _check("epsilon", delta, options)
    with Problems(UsageError) as problems:
        problems.whole("points", points, try_="It is the number of places on each curve.")
    steps = sorted({-(-plan.steps * i // points) for i in range(1, points + 1)})
    who = {name: options.get(name, {}) for name in accounting.ACCOUNTANTS}
    drawn = curve.along(plan, steps, delta, who, progress)
    return dataclasses.replace(drawn, x_name="epochs", x=tuple(part.epochs for part in drawn.plans))


@dataclass(frozen=True, slots=True)
class _Answer:
    bound: Bound | None
    refusal: str | None = None
    seconds: float = 0.0


def _check(quantity: Quantity, at: float, options: Options) -> None:
    """What the figure is asked at, and the names in `options`; keywords are the accountant's to check."""
    with Problems() as problems:
        if quantity == "epsilon":
            problems.probability("delta", at, closed_right=False, try_="Values below 1/n are meaningful.")
        else:
            problems.at_least("epsilon", at, 0.0, try_="Epsilon counts nats of privacy loss (--eps).")
    with Problems(UsageError) as problems:
        known = ", ".join(accounting.ACCOUNTANTS)
        for name in options:
            remedy = did_you_mean(name, accounting.ACCOUNTANTS)
            problems.require(name in accounting.ACCOUNTANTS, f"options={name} is not one of: {known}.{remedy}")


def _answer(name: str, plan: Plan, at: float, options: Mapping[str, object], quantity: Quantity) -> _Answer:
    ask = accounting.epsilon if quantity == "epsilon" else accounting.delta
    start = time.perf_counter()
    try:
        bound, refusal = ask(plan, at, name, **options), None
    except NotCertified as error:
        bound, refusal = None, str(error)
    return _Answer(bound, refusal, time.perf_counter() - start)


def _timed(name: str, plan: Plan, at: float, options: Mapping[str, object], quantity: Quantity) -> _Answer:
    accounting.accountant(name)  # imports the module
    first = _answer(name, plan, at, options, quantity)
    return _answer(name, plan, at, options, quantity) if first.seconds < _CHEAP else first


def _row(name: str, answer: _Answer, reference: Bound | None) -> AccountantRow:
    bound = answer.bound
    ratio, under_reports = None, False
    if bound is not None and reference is not None:
        ratio = bound.value / reference.value if reference.value > 0 else None
        under_reports = (
            bound.guarantee is Guarantee.ESTIMATE and reference.lower is not None and bound.value < reference.lower
        )
    return AccountantRow(name, bound, answer.refusal, answer.seconds, ratio, under_reports)
