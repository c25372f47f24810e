"""What each composition theorem makes of a run as its steps grow: who is loosest, who is tightest, and by how much.

found = theorems(plan, delta)
found.rows[-1].loosest, found.rows[-1].excess
"""

from collections.abc import Mapping
from itertools import count

from dpplan import accounting, curve, notebook
from dpplan.accounting.bound import Bound, cells
from dpplan.accounting.plan_pairs import as_sampled_gaussians, dominating_pairs
from dpplan.checks import Problems, show
from dpplan.curve import Curves, Progress
from dpplan.errors import NotApplicable
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass

REFERENCE = "exact"
_SAME = 1e-9  # relative; figures closer than this are the same answer, found in two ways


@dataclass(frozen=True, slots=True)
class TheoremRow:
    """What each theorem proves of the first `steps` steps; None where it has nothing to say.

    loosest: those that prove least. tightest: those that prove most, the exact accountant left aside. excess: the
    figure of the loosest divided by the exact accountant's, None where that is 0.
    """

    steps: int
    bounds: Mapping[str, Bound | None]
    loosest: tuple[str, ...]
    tightest: tuple[str, ...]
    excess: float | None


@dataclass(frozen=True, slots=True)
class TheoremComparison:
    """One row for each number of steps, rising; curves: the same figures, theorem by theorem."""

    plan: Plan
    delta: float
    rows: tuple[TheoremRow, ...]
    curves: Curves

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each number of steps, a column for each theorem."""
        rows = [(row.steps, *(cells(bound)[0] for bound in row.bounds.values())) for row in self.rows]
        title = f"{self.plan.assumptions}, at δ = {show(self.delta)}"
        return notebook.table(title, rows, ("steps", *self.rows[0].bounds))

    def reigns(self, side: str) -> tuple[tuple[tuple[str, ...], int, int], ...]:
        """Who is `loosest` or `tightest`, and from which row's steps to which: neighbouring rows that agree are one."""
        found: list[tuple[tuple[str, ...], int, int]] = []
        for row in self.rows:
            names = row.loosest if side == "loosest" else row.tightest
            if found and found[-1][0] == names:
                found[-1] = (names, found[-1][1], row.steps)
            else:
                found.append((names, row.steps, row.steps))
        return tuple(found)


def composition_theorems() -> tuple[str, ...]:
    """The accountants that are set side by side: in the order in which their theorems were published, from adding up
    to the answer itself."""
    published = [(year, name) for name in accounting.ACCOUNTANTS if (year := accounting.describe(name).published)]
    return (*(name for _, name in sorted(published)), REFERENCE)


def theorems(plan: Plan, delta: float, progress: Progress | None = None) -> TheoremComparison:
    """What every one of composition_theorems() proves that the first steps of `plan` spend at `delta`, for 1, 2, 5,
    10, 20, ... steps and for all of them.

    progress(done, total) is called after every figure. Raises PlanError for a delta outside (0, 1).
    """
    with Problems() as problems:
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    steps = grid(plan.steps)
    names = composition_theorems()
    if as_sampled_gaussians(dominating_pairs(plan, "theorems")) is None:
        raise NotApplicable("theorems: no composition theorem is made for this plan. Use dpplan epsilon.")
    curves = curve.along(plan, steps, delta, {name: {} for name in names}, progress)
    answers = zip(*(curves.series[name] for name in names), strict=True)
    rows = (_row(taken, dict(zip(names, bounds, strict=True))) for taken, bounds in zip(steps, answers, strict=True))
    return TheoremComparison(plan, delta, tuple(rows), curves)


def grid(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... below `most`, and `most`."""
    found: list[int] = []
    for power in count():
        for digit in (1, 2, 5):
            if digit * 10**power >= most:
                return [*found, most]
            found.append(digit * 10**power)
    raise AssertionError("count() does not end")


def _row(steps: int, bounds: dict[str, Bound | None]) -> TheoremRow:
    exact = bounds[REFERENCE]
    proven = {name: bound.value for name, bound in bounds.items() if bound is not None and name != REFERENCE}
    loosest = _level(proven, max(proven.values(), default=0.0))
    tightest = _level(proven, min(proven.values(), default=0.0))
    known = proven and exact is not None and exact.value > 0
    excess = max(proven.values()) / exact.value if known and exact is not None else None
    return TheoremRow(steps, bounds, loosest, tightest, excess)


def _level(proven: Mapping[str, float], value: float) -> tuple[str, ...]:
    return tuple(name for name, figure in proven.items() if abs(figure - value) <= _SAME * value)
