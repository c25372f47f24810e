"""The least noise of every cell, many cells at a time.

The central limit says how the noise follows from the sample rate and the steps, up to a factor that changes slowly;
that factor is read off cells that are known, from coarse to fine. A guess is never trusted: a cell's noise is one that
the accountant has shown to meet the target. It is asked about many cells together
(exact/many_plans_near_target.py), and one by one about those that this does not serve.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import field, replace

import numpy as np
import numpy.typing as npt

from dpplan.accounting.bound import Bound
from dpplan.accounting.exact.many_plans_near_target import epsilons_near, estimate, excesses
from dpplan.adjacency import REPLACE_ONE
from dpplan.frontier.grid import DIGITS, Cell, Grid, Progress, coarse_to_fine, full_batch_noise
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.processes import quick, spread
from dpplan.quick_dataclass import dataclass
from dpplan.solve import bracket, candidate_values
from dpplan.solve.question import Question
from dpplan.solve.search import Candidates, Evaluator, search

NARROW = 1e-6  # a wider interval is not shown
TOGETHER = 128  # cells that the accountant is asked about at once: more would not fit in a processor's memory
NEIGHBOURS = 30  # cells that a guess rests on: twice the coefficients of a quartic in two variables
FELT, FELT_NEAR = 8, 3e-3  # looks of an estimate, and how near to the target it is to come
SLOPE_OFF = 0.2  # how much a slope between two cells may be off
FARTHEST = 1.0  # that an estimate is followed, in nats
ROUNDS = 8  # of asking about many; a cell that is not done by then is searched for by itself
FEW = 200  # cells that one process solves before a second one is up
HEAD_START, FORKED = 150, 10  # cells that this one solves until then; where others are forks of it
TASK = 600  # cells that are solved at a time, between two looks at what others have learnt
HALVINGS = 4  # of the grid's sides
# Levels that are solved before others begin, who would all begin with a few cells of which nothing is known; one more
# where there are none to wait for them.
COMMON = 2
CLOSEST, MARGIN = 6, 0.5  # of them, whose range a guess may leave by so much of it
ROUGH, SMOOTH, SMOOTHEST = 9, 20, 30  # points that a quadratic, a cubic and a quartic take

Point = tuple[float, float, float, float]  # log q, log steps, log of the factor, slope of log ε


@dataclass(slots=True)
class _Search:
    """A cell that is looked for. low met the target and high did not; `at` is looked at next."""

    cell: tuple[int, int]
    batch_size: int
    length: float
    base: Plan
    candidates: Candidates
    place: tuple[float, float]
    limit: float
    slope: float = 0.0
    at: int = 0
    low: int | None = None
    high: int | None = None
    before: tuple[float, float] | None = None
    spent: dict[int, Bound] = field(default_factory=dict)
    factor: float = 0.0
    looks: int = 0
    felt: bool = False  # whether an estimate has said where to begin
    asked_anew: bool = False  # whether others have, after that

    def plan(self, index: int) -> Plan:
        """As `candidates.plan`, of which all but the noise is known."""
        phase = self.base.only_phase
        return replace(self.base, phases=(replace(phase, mechanism=Gaussian(float(self.candidates.value(index)))),))

    def begin(self, factor: float, slope: float) -> None:
        self.slope = slope
        self._aim(-(self.limit + factor))

    def learn(self, bound: Bound, excess: float) -> bool:
        """Whether `at` is the answer: it meets the target and, by the slope, the next would not."""
        self.spent[self.at] = bound
        if excess <= 0.0:
            self.low = self.at
        else:
            self.high = self.at
        place, best = self.candidates.place(self.at), self.step(excess)
        if self.low is None or self.high == self.low + 1 or self.low == self.candidates.last:
            return self.low is not None
        if self.at != self.low:
            return False
        # The slope is good to a few percent: what it says of the next is sure unless that is as near as this.
        sure = self.candidates.place(self.low + 1) - best > SLOPE_OFF * abs(best - place)
        self.at += not sure
        return sure

    def step(self, excess: float) -> float:
        """Aims anew, by the slope through this look and the one before. Returns the place where the target is met."""
        place = self.candidates.place(self.at)
        if self.before is not None and self.before[0] != place:
            rise = (excess - self.before[1]) / (place - self.before[0])
            self.slope = rise if 0.0 < rise < math.inf else self.slope
        self.before = place, excess
        # Between two neighbours, as the slope has it: rounded to one of them the factor would not change smoothly.
        best = place - excess / self.slope
        self.factor = -best - self.limit
        self._aim(best)
        return best

    def _aim(self, place: float) -> None:
        at = self.candidates.below(place)
        at = at if self.low is None else max(at, self.low)
        at = at if self.high is None else min(at, self.high - 1)
        self.at = min(max(at, self.candidates.first), self.candidates.last)

    def point(self) -> Point:
        return *self.place, self.factor, self.slope


class Solver:
    """Cells of a grid. known: what was learnt, here and elsewhere."""

    def __init__(self, grid: Grid, single: float, known: Sequence[Point]) -> None:
        self.grid, self.single, self.known = grid, single, list(known)
        self.found: dict[tuple[int, int], Cell] = {}  # by the numbers of length and batch
        self.question = Question(grid.target_epsilon, grid.delta, "epsilon", "exact", {})

    def rows(self, numbers: Sequence[int], levels: int | None = None) -> None:
        """Finds the cells of these lengths, from coarse to fine; levels: how many, all where nothing is said.

        Cells that need another look are looked at beside the next that are begun, of the next level too: by then their
        factors are known well enough for others to rest on.
        """
        lengths, batches = self.grid.lengths, self.grid.batch_sizes
        left: list[_Search] = []
        for places in itertools.islice(_levels(len(numbers), len(batches)), levels):
            open_ = [(numbers[row], column) for row, column in places if (numbers[row], column) not in self.found]
            open_.sort(key=lambda place: batches[place[1]] / lengths[place[0]])
            while open_:
                room = TOGETHER - len(left)
                begun = [self._begun(*place) for place in open_[:room]]
                if not self._guessed(begun, left):
                    self._feel_all(begun)
                left += begun
                left, open_ = self._looked_at(left), open_[room:]
        while left:
            left = self._looked_at(left)

    def _guessed(self, searches: Sequence[_Search], unfinished: Sequence[_Search]) -> bool:
        """Begins where others are known, if any are. unfinished: those of which a little is known."""
        known = [*self.known, *(each.point() for each in unfinished if each.spent)]
        if known and searches:
            guesses = _guesses(known, [each.place for each in searches])
            for each, (factor, slope) in zip(searches, guesses, strict=True):
                each.before = None
                each.begin(factor, slope)
        return bool(known)

    def _looked_at(self, searches: Sequence[_Search]) -> list[_Search]:
        """Those that are not done after one look more."""
        if self.grid.drawn.adjacency == REPLACE_ONE:  # its pair is not one that the accountant takes many of at once
            for each in searches:
                self._alone(each)
            return []
        plans = [each.plan(each.at) for each in searches]
        bounds = epsilons_near(plans, self.grid.target_epsilon, self.grid.delta)
        further, lost = [], []
        for each, plan, bound in zip(searches, plans, bounds, strict=True):
            each.looks += 1
            if bound is None:
                lost.append(each)
            elif each.learn(bound, self._excess(each.candidates, bound)):
                assert each.low is not None
                if (each.spent[each.low].relative_width or 0.0) > NARROW:
                    self._alone(each)
                    continue
                chosen = plan if each.spent[each.low] is bound else each.plan(each.low)
                self._done(each, replace(each.spent[each.low], details={}), chosen)
            elif each.looks >= ROUNDS:
                self._alone(each)
            else:
                further.append(each)
        return further + self._begun_anew(lost, further)

    def _begun_anew(self, lost: Sequence[_Search], others: Sequence[_Search]) -> list[_Search]:
        """Where a guess was far off: by an estimate. Where that was, as it is for rare large losses: by the others."""
        for each in lost:
            if not each.felt:
                self._feel(each)
            elif each.asked_anew or not self._guessed([each], others):
                self._alone(each)
            else:
                each.asked_anew = True
        return [each for each in lost if each.cell not in self.found]

    def _begun(self, row: int, column: int) -> _Search:
        batch_size, length = self.grid.batch_sizes[column], self.grid.lengths[row]
        settings = self.grid.settings(batch_size, length)
        base = settings.with_(noise_multiplier=1.0).plan()
        place = _place(base)
        candidates, limit = candidate_values.noise(settings, DIGITS), _log_limit_noise(self.single, *place)
        return _Search((row, column), batch_size, length, base, candidates, place, limit)

    def _feel_all(self, searches: Sequence[_Search]) -> None:
        """Where nothing is known yet: begins where an estimate says, which is asked about all at once."""
        for each in searches:
            each.begin(0.0, each.candidates.slope)
        left = list(searches)
        for _ in range(FELT if self.grid.drawn.adjacency != REPLACE_ONE else 0):
            gaps = excesses([each.plan(each.at) for each in left], self.grid.target_epsilon, self.grid.delta)
            further = []
            for each, gap in zip(left, gaps, strict=True):
                each.felt = abs(gap) <= FELT_NEAR
                if not each.felt and math.isfinite(gap):
                    each.step(min(max(gap, -FARTHEST), FARTHEST))
                    further.append(each)
            left = further
            if not left:
                break
        for each in searches:
            each.before = None
            if not each.felt:
                self._feel(each)

    def _feel(self, each: _Search) -> None:
        """The same for one, from wherever it is to be found."""
        candidates, target = each.candidates, self.grid.target_epsilon
        if self.grid.drawn.adjacency == REPLACE_ONE:
            (each.at, each.slope), each.felt = bracket.start(self.question, candidates), True
            return

        def gap(index: int) -> float:
            about = estimate(candidates.plan(index), self.grid.delta)
            return math.log1p((about - target) / (1.01 * target))

        found = search(gap, candidates, candidates.below(-each.limit), candidates.slope, near=1e-3)
        each.at, each.slope, each.felt = found.seen, found.slope, True

    def _excess(self, candidates: Candidates, bound: Bound) -> float:
        """As the gap of `_alone`'s search has it."""
        known = Evaluator(candidates, lambda _: bound, self.grid.target_epsilon)
        return known.gap(candidates.first)

    def _alone(self, each: _Search) -> None:
        """The same by an evaluation at a time, of the accountant's usual kind, from where it stands."""
        candidates = each.candidates
        evaluator = self.question.evaluator(candidates)
        found = search(evaluator.gap, candidates, each.at, each.slope, settle=0.0)
        if found.low < candidates.first:
            why = str(evaluator.refused.get(candidates.first, "no noise multiplier tried meets the target"))
            self.found[each.cell] = Cell(
                each.batch_size, each.length, self.grid.compute(each.batch_size, each.length), None, None, why
            )
            return
        each.slope = found.slope
        each.factor = -(candidates.place(found.low) - evaluator.gap(found.low) / found.slope) - each.limit
        self._done(each, replace(evaluator.spent[found.low], details={}), candidates.plan(found.low))

    def _done(self, each: _Search, spent: Bound, plan: Plan) -> None:
        self.known.append(each.point())
        self.found[each.cell] = Cell(
            each.batch_size, each.length, self.grid.compute(each.batch_size, each.length), plan, spent
        )


@dataclass(frozen=True, slots=True)
class Solved:
    """rows: the cells, a row for each length and in it one for each batch size. known: what was learnt from them."""

    rows: tuple[tuple[Cell, ...], ...]
    full_batch_noise: float
    known: tuple[Point, ...]

    def about(self, settings: Settings) -> tuple[float, float] | None:
        """About the noise that a run needs, one of the cells or near them, and how log of ε falls with log of it."""
        if not self.known:
            return None
        place = _place(settings.with_(noise_multiplier=1.0).plan())
        ((factor, slope),) = _guesses(self.known, [place])
        return math.exp(_log_limit_noise(self.full_batch_noise, *place) + factor), slope


def solved(grid: Grid, workers: int = 1, progress: Progress | None = None) -> Solved:
    """The cells of a grid.

    workers: processes. progress(done, total) is called for every row.
    """
    single = full_batch_noise(grid)
    rows: dict[int, list[Cell]] = {}
    known: list[Point] = []
    total = len(grid.lengths) * len(grid.batch_sizes)
    workers = workers if total > FEW else 1
    parts = shares(len(grid.lengths), len(grid.batch_sizes), workers)
    begun = Solver(grid, single, ())
    if len(parts) > 1:
        begun.rows(range(len(grid.lengths)), COMMON + (workers == 1))
        known += begun.known
    of_rows = ({place: cell for place, cell in begun.found.items() if place[0] in rows} for rows in parts)
    tasks = (_Task(grid, rows, single, tuple(known), found) for rows, found in zip(parts, of_rows, strict=True))
    for task, (cells, points) in spread(_solved, tasks, workers if len(parts) > 1 else 1, here=True):
        known += points
        begun.found |= cells
        for row in task.rows:
            rows[row] = [begun.found[row, column] for column in range(len(grid.batch_sizes))]
            if progress is not None:
                progress(len(rows) * len(grid.batch_sizes), total)
    return Solved(tuple(tuple(rows[at]) for at in range(len(grid.lengths))), single, tuple(known))


def shares(rows: int, columns: int, workers: int) -> list[tuple[int, ...]]:
    """The rows of each task, spread over all of the grid. Where there is one for each process, that of this one, which
    is up already, has more: it is the last."""
    parts = min(max(workers, math.ceil(rows * columns / TASK)), rows)
    if not 1 < parts == workers:
        return [tuple(range(part, rows, parts)) for part in range(parts)]
    other = max((rows - (FORKED if quick() else HEAD_START) / columns) / parts, 1.0) / rows
    ends = [part * other for part in range(parts)] + [1.0]
    # The golden ratio's multiples: every share of the unit interval gets rows from all over the grid.
    places = [(row * 0.6180339887498949) % 1.0 for row in range(rows)]
    shares = [
        tuple(row for row, place in enumerate(places) if low <= place < high) for low, high in itertools.pairwise(ends)
    ]
    return [share for share in shares if share]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """Rows to solve, spread over all of the grid, and what is known when they are begun: points, and their cells."""

    grid: Grid
    rows: tuple[int, ...]
    single: float
    known: tuple[Point, ...]
    found: dict[tuple[int, int], Cell]


def _solved(task: _Task) -> tuple[dict[tuple[int, int], Cell], list[Point]]:
    solver = Solver(task.grid, task.single, task.known)
    solver.found |= task.found
    solver.rows(task.rows)
    return solver.found, solver.known[len(task.known) :]


def _levels(rows: int, columns: int) -> Iterator[list[tuple[int, int]]]:
    """All places of a grid, in parts from coarse to fine: each lies between those before it."""
    depth = _depths(rows)[:, None], _depths(columns)[None, :]
    depths = np.maximum(*depth)
    for level in range(int(depths.max()) + 1):
        yield [(int(row), int(column)) for row, column in np.argwhere(depths == level)]


def _depths(count: int) -> npt.NDArray[np.int64]:
    """For each place the halvings of the whole that it takes to come to it, at most HALVINGS of them apart from 0."""
    depths = np.zeros(count, np.int64)
    halvings = max(math.ceil(math.log2(max(count - 1, 1))), 0)
    for order, place in enumerate(coarse_to_fine(count)):
        depths[place] = 0 if order < 2 else math.ceil(math.log2(order))
    return np.maximum(depths - max(halvings - HALVINGS, 0), 0)


def _place(plan: Plan) -> tuple[float, float]:
    """log q and log steps."""
    assert plan.batch_size is not None and plan.examples is not None
    return math.log(plan.batch_size / plan.examples), math.log(plan.steps)


def point(single: float, plan: Plan, slope: float) -> Point:
    """What a plan, with the least noise that meets the target, lets expect of others. slope: of log ε there, as the
    noise falls. single: the noise of one step on all of the data."""
    place, noise = _place(plan), Gaussian.of(plan.only_phase.mechanism).noise_multiplier
    return *place, math.log(noise) - _log_limit_noise(single, *place), slope


def _log_limit_noise(single: float, log_rate: float, log_steps: float) -> float:
    """log σ with steps·q²·(e^{1/σ²} − 1) = 1/single²: the central limit of Bu et al. 2020 (arXiv:1911.11607)."""
    square = -2 * math.log(single) - log_steps - 2 * log_rate
    return -0.5 * math.log(square if square > 700 else math.log1p(math.exp(square)))


def _guesses(known: Sequence[Point], places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The log of the factor at each (x, y) and the slope there, by local polynomials through the nearest points."""
    points, at = np.array(known), np.array(places)
    dx, dy = points[:, 0] - at[:, :1], points[:, 1] - at[:, 1:]
    distance = np.hypot(dx, dy)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    dx, dy, distance = (np.take_along_axis(each, nearest, axis=1) for each in (dx, dy, distance))
    values = points[nearest, 2:]
    terms = [dx ** (degree - of_y) * dy**of_y for degree in range(5) for of_y in range(degree + 1)]
    few = nearest.shape[1]
    count = 15 if few >= SMOOTHEST else 10 if few >= SMOOTH else 6 if few >= ROUGH else 3 if few >= 4 else 1
    # Near points count more. What the points do not settle, all on one line for instance, stays as small as it can.
    weights = (1 / (distance + 1e-3))[:, :, None]
    matrix = np.stack(terms[:count], axis=2) * weights
    coefficients = np.linalg.pinv(matrix, rcond=1e-6)[:, :1] @ (values * weights)
    # Far from what is known a polynomial may go anywhere.
    low, high = values[:, :CLOSEST].min(axis=1), values[:, :CLOSEST].max(axis=1)
    margin = MARGIN * (high - low) + np.array((0.01, 0.0))
    found = np.clip(coefficients[:, 0], low - margin, high + margin)
    found[:, 1] = np.where(found[:, 1] > 0.0, found[:, 1], values[:, 0, 1])
    return [(factor, slope) for factor, slope in found.tolist()]
