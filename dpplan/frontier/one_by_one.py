"""The least noise of every cell, a search for each: what `solve.noise` finds for it, to the last digit.

For schemes, adjacencies and units that least_noise.py is not known for.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from dpplan import solve
from dpplan.errors import NotCertified, PlanError, Unreachable
from dpplan.frontier.grid import Cell, Grid, Progress, cell_problems, full_batch_noise
from dpplan.frontier.least_noise import Point, Solved, point
from dpplan.plan import Settings
from dpplan.processes import spread
from dpplan.quick_dataclass import dataclass
from dpplan.solve import Solution

NARROW = 1e-7  # relative, of an interval: a tenth of what the last digit of a noise multiplier moves ε by
FEW = 3  # cells that one process solves before a second one is worth its start


@dataclass(frozen=True, slots=True)
class SolvedAlone:
    """found: the cells, as of many together. solutions: what was found for each, by its settings."""

    grid: Grid
    found: Solved
    solutions: dict[Settings, Solution]

    def noise(self, settings: Settings) -> Solution:
        """`solve.noise` at the grid's target, of a cell or of any other run."""
        known = self.solutions.get(settings)
        return _noise(self.grid, settings, self.found) if known is None else known


def solved_alone(grid: Grid, workers: int = 1, progress: Progress | None = None) -> SolvedAlone:
    """The cells of a grid. A cell that has no plan, or none within the target, says why.

    workers: processes. progress(done, total) is called for every cell.
    Raises NotCertified and Unreachable where even one step on all of the data is refused.
    """
    single = full_batch_noise(grid)
    cells: dict[tuple[float, int], Cell] = {}
    solutions: dict[Settings, Solution] = {}
    known: list[Point] = []
    places = [(length, batch) for length in grid.lengths for batch in grid.batch_sizes]
    tasks = (_CellTask(grid, batch, length, Solved((), single, tuple(known))) for length, batch in places)
    for task, (cell, solution) in spread(_solved, tasks, workers if len(places) > FEW else 1):
        cells[task.length, task.batch_size] = cell
        if solution is not None:
            solutions[task.settings] = solution
            known += _learnt(single, solution)
        if progress is not None:
            progress(len(cells), len(places))
    rows = tuple(tuple(cells[length, batch] for batch in grid.batch_sizes) for length in grid.lengths)
    return SolvedAlone(grid, Solved(rows, single, tuple(known)), solutions)


def refuse_all(grid: Grid) -> None:
    """Raises what `solve.noise` raises of the first cell that has a plan, where that is no matter of the target."""
    every = (grid.settings(batch, length) for length in grid.lengths for batch in grid.batch_sizes)
    settings = next(each for each in every if not cell_problems(each))  # or there would be no such grid
    try:
        solve.noise(settings, grid.target_epsilon, grid.delta)
    except Unreachable:
        return


@dataclass(frozen=True, slots=True)
class _CellTask:
    """A cell to solve. near: what others let expect of it."""

    grid: Grid
    batch_size: int
    length: float
    near: Solved

    @property
    def settings(self) -> Settings:
        return self.grid.settings(self.batch_size, self.length)


def _solved(task: _CellTask) -> tuple[Cell, Solution | None]:
    compute = task.grid.compute(task.batch_size, task.length)
    refusal = " ".join(cell_problems(task.settings))
    if not refusal:
        try:
            found = _noise(task.grid, task.settings, task.near)
        except (PlanError, Unreachable, NotCertified) as why:
            refusal = str(why)
    if refusal:
        return Cell(task.batch_size, task.length, compute, None, None, refusal), None
    # What can be asked anew, for advice, cannot be sent from one process to another.
    return Cell(task.batch_size, task.length, compute, found.plan, found.spent), replace(found, advice=tuple)


def _noise(grid: Grid, settings: Settings, near: Solved) -> Solution:
    """As `solve.noise`. Where intervals are narrow there is one answer, wherever a search begins; where they are wide
    the upper ends need not be in order, and it begins where `solve.noise` does."""
    about = None if cell_problems(settings) else near.about(settings)
    if about is not None:
        found = solve.noise_near(settings, grid.target_epsilon, grid.delta, about)
        if _narrow(found):
            return found
    return solve.noise(settings, grid.target_epsilon, grid.delta)


def _narrow(found: Solution) -> bool:
    widths = [] if found.other_way is None else [found.spent.relative_width, found.other_way.spent.relative_width]
    return bool(widths) and all(width is not None and width <= NARROW for width in widths)


def _learnt(single: float, found: Solution) -> Iterator[Point]:
    """What a cell lets expect of others, where `_noise` may begin at that."""
    if found.other_way is None or not _narrow(found):
        return
    here, there = found.spent.value, found.other_way.spent.value
    slope = math.log(there / here) / math.log(found.value / found.other_way.value) if 0.0 < here < there else 0.0
    if slope > 0.0:
        yield point(single, found.plan, slope)
