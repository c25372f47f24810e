"""Several unknowns at once: which batch, length and noise are best for a target and a compute budget?

    frontier(Grid(n, epsilon, delta, batch_sizes, epochs), compute, rule)

solves the noise of every cell of a grid (grid.py), many together (least_noise.py) or one by one (one_by_one.py), marks
the cells worth a look, takes one by a stated rule and says what doubling the batch, the epochs or the data would buy
there (recommendation.py).
"""

from dpplan import called_modules, notebook, solve
from dpplan.checks import show
from dpplan.errors import Unreachable
from dpplan.frontier.grid import Cell, Grid, Place, Progress
from dpplan.frontier.least_noise import Solved, solved
from dpplan.frontier.one_by_one import refuse_all, solved_alone
from dpplan.frontier.recommendation import (
    RULES,
    Doubling,
    Noise,
    Recommendation,
    cheapest,
    check,
    pareto,
    recommend,
    saturated,
)
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up

__all__ = ["RULES", "Cell", "Doubling", "Frontier", "Grid", "Recommendation", "frontier"]

called_modules.when_called(
    __name__,
    "Every batch and length at one target are\n\n"
    "    dpplan.frontier.frontier(dpplan.frontier.Grid(60000, 3, 1e-6, (256, 4096), epochs=(15, 60)))\n\n",
)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Every cell of a grid, with those worth a look and the recommended one.

    rows: for each length, a cell for each batch size. compute: the budget, in examples processed, or None.
    pareto: the places of the cells within it that are best in compute, noise-batch ratio and steps together.
    floor: the effective noise σ / (batch · √steps) that no cell is expected to get below, that of one step on all of
    the data.
    """

    grid: Grid
    rows: tuple[tuple[Cell, ...], ...]
    compute: float | None
    floor: float
    pareto: frozenset[Place]
    recommended: Recommendation

    def _repr_html_(self) -> str:
        """What a notebook shows: the noise of each cell, a row for each length, under what is recommended."""
        cell = self.recommended.cell
        noise = [["-" if each.plan is None else up(each.noise_multiplier, 7) for each in row] for row in self.rows]
        length = "epochs" if self.grid.epochs else "steps"
        title = (
            f"σ for ε ≤ {show(self.grid.target_epsilon)} at δ = {show(self.grid.delta)}; recommended: batch "
            f"{cell.batch_size}, {show(cell.length)} {length}, σ = {up(cell.noise_multiplier, 7)}"
        )
        rows = [(show(row[0].length), *texts) for row, texts in zip(self.rows, noise, strict=True)]
        return notebook.table(title, rows, (length, *(f"batch {each.batch_size}" for each in self.rows[0])))

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(cell for row in self.rows for cell in row)

    @property
    def by_rule(self) -> tuple[tuple[str, Cell], ...]:
        """What each rule would take."""
        cells = [cell for cell in self.cells if self.within(cell)]
        return tuple((name, rule(cells, self.floor)) for name, rule in RULES.items())

    @property
    def cheapest(self) -> Cell:
        """The least compute within a twentieth of the least effective noise of all cells within the compute."""
        return cheapest([cell for cell in self.cells if self.within(cell)])

    @property
    def corner(self) -> tuple[str, ...]:
        """What the recommended cell is at the end of, where it is in a corner of the grid: "largest batch" and so on.

        Empty elsewhere. Of one value alone, and of a batch of all examples, there is nothing to widen.
        """
        cell, length = self.recommended.cell, "epochs" if self.grid.epochs else "steps"
        named: dict[str, str] = {}
        for name, at, values in (
            ("batch", float(cell.batch_size), [float(size) for size in self.grid.batch_sizes]),
            (length, float(cell.length), [float(each) for each in self.grid.lengths]),
        ):
            if len(values) > 1 and min(values) < at < max(values):
                return ()
            if len(values) > 1:
                named[name] = "largest" if at == max(values) else "smallest"
        if cell.batch_size >= self.grid.examples:
            named.pop("batch", None)
        return tuple(f"{end} {name}" for name, end in named.items())

    def saturated(self, cell: Cell) -> bool:
        """Whether no batch, however large, would have more than a tenth less noise in as many steps."""
        return saturated(cell, self.floor)

    def within(self, cell: Cell) -> bool:
        """Whether the cell has a plan and is within the compute."""
        return cell.plan is not None and (self.compute is None or cell.compute <= self.compute)


def frontier(
    grid: Grid,
    compute: float | None = None,
    rule: str = "constant-ratio",
    workers: int = 1,
    progress: Progress | None = None,
) -> Frontier:
    """The noise of every cell of the grid, solved with the exact accountant, and a recommendation.

    compute: the most examples to process, see `Cell.compute`; cells above it are solved but not recommended.
    rule: a key of RULES. workers: processes; more than one needs the usual `if __name__ == "__main__"` of a script.
    progress(done, total) counts cells.

    Guarantee: every cell's plan spends no more than the target, by a Bound of the exact accountant. Where many cells
    are solved together (`Grid.together`) its noise has four digits, as a rule the least that meet it: by the slope of
    ε, one unit less in the last would not. Else it is that of `solve.noise`, as that of the recommended cell is always.
    Raises UsageError and PlanError for what makes no sense, Unreachable when no cell is within the compute or meets the
    target, NotCertified where nothing is proven of any.
    """
    check(rule, compute)
    found, noise = _solved(grid, workers, progress)
    rows = found.rows
    answered = [cell for row in rows for cell in row if cell.plan is not None]
    within = [cell for cell in answered if compute is None or cell.compute <= compute]
    if not within and answered:
        least = min(cell.compute for cell in answered)
        raise Unreachable(
            f"compute={show(compute)} is out of reach: the cheapest cell processes {show(least)} examples."
        )
    if not within:
        if not grid.together:
            refuse_all(grid)
        raise Unreachable(f"no cell meets target_epsilon={show(grid.target_epsilon)}: {rows[0][0].refusal}")
    floor = found.full_batch_noise / grid.examples
    return Frontier(grid, rows, compute, floor, pareto(within), recommend(grid, within, floor, rule, noise))


def _solved(grid: Grid, workers: int, progress: Progress | None) -> tuple[Solved, Noise]:
    """The cells, and what finds the noise of any other run."""
    if grid.together:
        found = solved(grid, workers, progress)
        return found, lambda asked: solve.noise_near(asked, grid.target_epsilon, grid.delta, found.about(asked))
    alone = solved_alone(grid, workers, progress)
    return alone.found, alone.noise
