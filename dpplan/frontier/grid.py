"""The grid: every batch size with every length of training, and the least noise for each.

One cell costs one or two evaluations of the exact accountant. The central limit says how the noise follows from the
sample rate and the steps, up to a factor that changes slowly; that factor is read off neighbouring cells. A guess is
never trusted: a cell's noise is one that the accountant has shown to meet the target.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dpplan import solve
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, show
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.processes import spread
from dpplan.solve import candidate_values
from dpplan.solve.question import Question
from dpplan.solve.search import search

DIGITS = 4  # of a cell's noise multiplier, rounded up; with _ENOUGH as a rule within 0.3 % of the least
_ENOUGH = 2e-3  # of epsilon, relative: a cell that falls short of the target by less is not looked at again
_MARGIN = 0.3  # of that: how far above the guess to begin, so that a small error does not cost a second look
_FEW = 48  # cells that one process solves before a second one is up
_NEIGHBOURS = 12  # cells that a guess rests on: twice the coefficients of a quadratic in two variables

Progress = Callable[[int, int], None]
Place = tuple[int, float]  # of a cell in its grid: batch size and length
Point = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """What is asked: the data, the target, and which batches and lengths to look at.

    batch_sizes: expected examples per step. epochs or steps: the lengths, one of the two. Raises PlanError with
    everything that is wrong.
    """

    examples: int
    target_epsilon: float
    delta: float
    batch_sizes: tuple[int, ...]
    epochs: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        with Problems() as problems:
            known = problems.whole("n", self.examples, try_="It is the number of examples the run may draw from.")
            problems.positive("target_epsilon", self.target_epsilon, try_="Values between 0.1 and 10 are common.")
            problems.probability("delta", self.delta, closed_right=False, try_="Values below 1/n are meaningful.")
            problems.require(bool(self.batch_sizes), "batch is missing: give one size or several.")
            problems.require(bool(self.epochs) != bool(self.steps), "give either epochs or steps, one or several.")
            for batch in self.batch_sizes:
                if problems.whole("batch", batch, try_="It is the expected number of examples per step.") and known:
                    too_many = f"batch={show(batch)} exceeds n={show(self.examples)}. Lower --batch or check --n."
                    problems.require(batch <= self.examples, too_many)
            for epochs in self.epochs:
                problems.positive("epochs", epochs, try_="It is the expected number of passes over the data.")
            for steps in self.steps:
                problems.whole("steps", steps, try_="One step is one noisy update.")
        for name in ("batch_sizes", "epochs", "steps"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))

    @property
    def lengths(self) -> tuple[float, ...]:
        return self.epochs or self.steps

    def settings(self, batch_size: float, length: float) -> Settings:
        """A cell with its noise left open."""
        whole = Settings(examples=int(self.examples), batch_size=batch_size)
        return whole.with_(epochs=length) if self.epochs else whole.with_(steps=int(length))


@dataclass(frozen=True, slots=True)
class Cell:
    """One batch size with one length, the least noise that meets the target there, and what that means for learning.

    length: epochs or steps, as the grid has them.
    compute: the examples to process, steps × batch, or epochs × n before the last step is rounded up to a whole one.
    noise_multiplier: four digits, rounded up; spent is the Bound of this plan with it, within the target.
        None where nothing was found, with the reason in `refusal`.
    """

    batch_size: int
    length: float
    compute: float
    plan: Plan | None
    spent: Bound | None
    refusal: str | None = None

    @property
    def place(self) -> Place:
        return self.batch_size, self.length

    @property
    def noise_multiplier(self) -> float:
        return Gaussian.of(self._plan.only_phase.mechanism).noise_multiplier

    @property
    def steps(self) -> int:
        return self._plan.steps

    @property
    def epochs(self) -> float:
        """Expected passes over the data, with the last step counted in full."""
        return self._plan.epochs

    @property
    def noise_batch_ratio(self) -> float:
        """σ / batch: the standard deviation of the noise on the mean gradient, in units of the clip norm."""
        return self.noise_multiplier / self.batch_size

    @property
    def processed(self) -> int:
        """Expected examples that pass through the model: steps × batch."""
        return self.steps * self.batch_size

    @property
    def effective_noise(self) -> float:
        """σ / (batch · √steps): the noise on the mean of all updates, as if they were one, in clip norms."""
        return self.noise_batch_ratio / math.sqrt(self.steps)

    @property
    def _plan(self) -> Plan:
        if self.plan is None:
            raise ValueError(f"batch {self.batch_size} has no plan: {self.refusal}")
        return self.plan


def full_batch_noise(grid: Grid) -> float:
    """The noise multiplier of a single step on all of the data, σ = 1/μ of the Gaussian mechanism with this target.

    Divided by n it is the effective noise that no sampling is expected to get below, and that long runs with much
    noise come near: there ε depends on batch · √steps / σ alone (Sander et al. 2023, arXiv:2210.03403, sec. 3).
    """
    return solve.noise(Settings(sample_rate=1.0, steps=1), grid.target_epsilon, grid.delta).value


def solved(grid: Grid, workers: int = 1, progress: Progress | None = None) -> tuple[tuple[Cell, ...], ...]:
    """The cells, a row for each length and in it one for each batch size.

    workers: processes. progress(done, total) is called after every row. Rows and the cells in them are taken from
    coarse to fine, so that most lie between neighbours that are known.
    """
    single = full_batch_noise(grid)
    rows: dict[int, list[Cell]] = {}
    known: list[Point] = []
    total = len(grid.lengths) * len(grid.batch_sizes)
    for at, (row, points) in _rows(grid, single, known, workers if total > _FEW else 1):
        rows[at] = row
        known += points
        if progress is not None:
            progress(len(rows) * len(grid.batch_sizes), total)
    return tuple(tuple(rows[at]) for at in range(len(grid.lengths)))


Row = tuple[list[Cell], list[Point]]


def _rows(grid: Grid, single: float, known: list[Point], workers: int) -> Iterator[tuple[int, Row]]:
    """Every row as it is done. `known` grows meanwhile, and each row starts from what is known by then."""
    tasks = (_Task(grid, at, single, tuple(known)) for at in coarse_to_fine(len(grid.lengths)))
    for task, row in spread(_solved, tasks, workers):
        yield task.at, row


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """A row to solve, and what is known when it is begun."""

    grid: Grid
    at: int
    single: float
    known: tuple[Point, ...]


def _solved(task: _Task) -> Row:
    return _row(task.grid, task.at, task.single, task.known)


def _row(grid: Grid, at: int, single: float, known: Sequence[Point]) -> Row:
    """The cells of one length, and what was learnt from them."""
    question = Question(grid.target_epsilon, grid.delta, "epsilon", "exact", {})
    cells: dict[int, Cell] = {}
    points = list(known)
    for column in coarse_to_fine(len(grid.batch_sizes)):
        cell, learnt = _cell(question, grid, grid.batch_sizes[column], grid.lengths[at], (single, points))
        cells[column] = cell
        points += learnt
    return [cells[column] for column in range(len(grid.batch_sizes))], points[len(known) :]


def _cell(
    question: Question, grid: Grid, batch_size: int, length: float, guide: tuple[float, Sequence[Point]]
) -> tuple[Cell, list[Point]]:
    settings = grid.settings(batch_size, length)
    single, known = guide
    compute = length * (grid.examples if grid.epochs else batch_size)
    candidates = candidate_values.noise(settings, DIGITS)
    steps = settings.with_(noise_multiplier=1.0).plan().steps
    x, y = math.log(settings.exact_rate), math.log(steps)
    limit = _log_limit_noise(single, x, y)
    factor, slope = _guess(known, x, y, candidates.slope)
    evaluator = question.evaluator(candidates)
    found = search(
        evaluator.gap,
        candidates,
        candidates.below(-(limit + factor + _MARGIN * _ENOUGH / slope)),
        slope,
        settle=_ENOUGH,
    )
    if found.low < candidates.first:
        worst = evaluator.refused.get(candidates.first)
        why = "no noise multiplier tried meets the target" if worst is None else str(worst)
        return Cell(batch_size, length, compute, None, None, why), []
    # Between the two neighbours, as the slope has it: rounded to one of them the factor would not change smoothly.
    place = candidates.place(found.low) - evaluator.gap(found.low) / found.slope
    cell = Cell(
        batch_size, length, compute, candidates.plan(found.low), replace(evaluator.spent[found.low], details={})
    )
    return cell, [(x, y, -place - limit, found.slope)]


def _log_limit_noise(single: float, log_rate: float, log_steps: float) -> float:
    """log σ with steps·q²·(e^{1/σ²} − 1) = 1/single²: the central limit of Bu et al. 2020 (arXiv:1911.11607)."""
    square = -2 * math.log(single) - log_steps - 2 * log_rate
    return -0.5 * math.log(square if square > 700 else math.log1p(math.exp(square)))


def _guess(known: Sequence[Point], x: float, y: float, slope: float) -> tuple[float, float]:
    """The log of the factor at (x, y) by a local polynomial through the nearest points, and the nearest slope."""
    if not known:
        return 0.0, slope
    points: npt.NDArray[np.float64] = np.array(known)
    dx, dy = points[:, 0] - x, points[:, 1] - y
    distance = np.hypot(dx, dy)
    nearest = np.argsort(distance, kind="stable")[:_NEIGHBOURS]
    dx, dy, factors = dx[nearest], dy[nearest], points[nearest, 2]
    terms = [np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy]
    count = 6 if len(nearest) >= 9 else 3 if len(nearest) >= 4 else 1
    # Near points count more. What the points do not settle, all on one line for instance, stays as small as it can.
    weights = 1 / (distance[nearest] + 1e-3)
    matrix = np.stack(terms[:count], axis=1) * weights[:, None]
    coefficients = np.linalg.lstsq(matrix, factors * weights, rcond=1e-6)[0]
    low, high = float(factors.min()), float(factors.max())
    margin = high - low + 0.05
    return min(max(float(coefficients[0]), low - margin), high + margin), float(points[nearest[0], 3])


def coarse_to_fine(count: int) -> Iterable[int]:
    """0 to count − 1: both ends, the middle, the middles between those, and so on."""
    order: dict[int, None] = dict.fromkeys([0, count - 1])
    stride = float(count - 1)
    while len(order) < count:
        stride = max(stride / 2, 0.5)
        order |= dict.fromkeys(min(round(stride * i), count - 1) for i in range(math.ceil(count / stride)))
    return order
