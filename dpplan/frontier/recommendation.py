"""Which cells are worth a look, which one to take, and what doubling a quantity would buy there.

Loss is taken to depend on the steps and the noise-batch ratio σ / batch of a run, as in the scaling laws of McKenna
et al. 2025 (arXiv:2501.18914, sec. 3), and compute is what it costs. No loss is predicted here: that takes
measurements of the model at hand.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from dpplan import notebook
from dpplan.checks import did_you_mean, show
from dpplan.errors import NotCertified, PlanError, Unreachable, UsageError
from dpplan.frontier.grid import Cell, Grid, Place
from dpplan.plan import Settings
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up
from dpplan.solve import Solution

NEAR = 0.05  # of the least effective noise, within which the cheapest cell is told
LITTLE = 0.1  # a tenth less noise is what a recommendation gives up for much less compute or more steps

Pool = Sequence[Cell]
Noise = Callable[[Settings], Solution]  # `solve.noise` of a run, at the grid's target


@dataclass(frozen=True, slots=True)
class Doubling:
    """The recommended cell with one quantity doubled, and its noise solved for anew.

    change: of the noise-batch ratio, relative; −0.3 is 30 % less noise on the mean gradient.
    """

    what: str
    solution: Solution
    change: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommended cell.

    solution: its noise to seven digits, with everything `solve.noise` promises. doublings: of the batch at the same
    epochs, of the epochs, and of n at the same batch and steps; what cannot be doubled is left out.
    why: how it was chosen, and what a doubling would do, a sentence each. caveat: what was not looked at, and where
    larger batches stop buying much less noise, if the rule went on from there.
    """

    rule: str
    cell: Cell
    solution: Solution
    doublings: tuple[Doubling, ...]
    why: tuple[str, str]
    caveat: str

    def _repr_html_(self) -> str:
        """What a notebook shows: the cell, what it spends, and why it is recommended."""
        spent = self.solution.spent
        rows = [
            ("batch", self.cell.batch_size, ""),
            ("steps", self.cell.steps, f"{self.cell.epochs:.4g} epochs"),
            ("noise multiplier", repr(self.solution.value), ""),
            ("spends", spent.headline, str(spent.guarantee)),
            *(("why", sentence, "") for sentence in self.why),
            ("caveat", self.caveat, ""),
        ]
        return notebook.table(f"Recommended by {self.rule}", rows)


def pareto(cells: Pool) -> frozenset[Place]:
    """The cells for which no other has as little compute, as many steps and as little noise on the mean gradient.

    On most grids that is nearly every cell: at the same steps more compute always buys a little less noise. Where it
    no longer buys much is told by `saturated`.
    """
    kept: list[Place] = []
    best: list[tuple[int, float]] = []  # of those kept, steps and ratio where no other has both as good: steps fall
    for _, fewer, ratio, place in sorted(
        (cell.compute, -cell.steps, cell.noise_batch_ratio, cell.place) for cell in cells
    ):
        # Those before it have no more compute. Of them, the one with as many steps and the least of those has the
        # least ratio.
        at = bisect_right(best, (fewer, math.inf))
        if at and best[at - 1][1] <= ratio:
            continue
        kept.append(place)
        while at < len(best) and best[at][1] >= ratio:
            del best[at]
        best.insert(at, (fewer, ratio))
    return frozenset(kept)


def saturated(cell: Cell, floor: float) -> bool:
    """Whether no batch, however large, would have more than a tenth less noise on the mean gradient in these steps."""
    return cell.effective_noise <= (1 + LITTLE) * floor


def cheapest(cells: Pool) -> Cell:
    """The least compute whose noise over the whole run, σ / (batch · √steps), is within NEAR of the least there is."""
    most = (1 + NEAR) * min(cell.effective_noise for cell in cells)
    near = (cell for cell in cells if cell.effective_noise <= most)
    return min(near, key=lambda cell: (cell.compute, cell.effective_noise))


def least_noise(cells: Pool, floor: float) -> Cell:
    """The smallest noise-batch ratio that all of the compute buys."""
    return min(_longest(cells), key=lambda cell: cell.noise_batch_ratio)


def constant_ratio(cells: Pool, floor: float) -> Cell:
    """The steps and, within a tenth, the noise-batch ratio of `least_noise`, at the least compute.

    Sander et al. 2023 (arXiv:2210.03403): at constant steps and constant batch / σ, training behaves alike and, where
    σ is not small (about 2 and more), spends alike; a larger batch then costs compute and buys hardly any privacy.
    """
    best = least_noise(cells, floor)
    alike = [
        cell
        for cell in cells
        if cell.steps >= best.steps and cell.noise_batch_ratio <= (1 + LITTLE) * best.noise_batch_ratio
    ]
    return min(alike, key=lambda cell: (cell.compute, cell.noise_batch_ratio))


def saturation(cells: Pool, floor: float) -> Cell:
    """The most steps that all of the compute buys before the batch gets too small for its noise.

    McKenna et al. 2025 (arXiv:2501.18914): loss falls with the steps and rises with the noise-batch ratio, and at
    given steps a larger batch lowers that ratio only up to a point. Here the point is where no larger batch lowers it
    by more than a tenth; compute is better spent on steps from there. The largest batch where none is that large.
    """
    longest = _longest(cells)
    enough = [cell for cell in longest if saturated(cell, floor)]
    return max(enough, key=lambda cell: cell.steps) if enough else least_noise(cells, floor)


RULES: dict[str, Callable[[Pool, float], Cell]] = {
    "constant-ratio": constant_ratio,
    "least-noise": least_noise,
    "saturation": saturation,
}


def check(rule: str, compute: float | None) -> None:
    """Raises UsageError for a rule that is none, PlanError for a compute budget that is no positive number."""
    if rule not in RULES:
        raise UsageError(f"rule={rule} is not one of: {', '.join(RULES)}.{did_you_mean(rule, RULES)}")
    if compute is not None and not compute > 0:
        raise PlanError(f"compute={show(compute)} is not a positive number. It counts the examples processed.")


def recommend(grid: Grid, cells: Pool, floor: float, rule: str, noise: Noise) -> Recommendation:
    """The cell that the rule takes from these, which are within the compute.

    floor: the effective noise that no batch gets below, see `grid.full_batch_noise`. noise: of any run.
    """
    cell = RULES[rule](cells, floor)
    settings = grid.settings(cell.batch_size, cell.length)
    solution = noise(settings)
    doublings = tuple(_doublings(grid, cell, settings, solution, noise))
    why = (f"Chosen by {rule}: {_reason(rule, grid, cells, cell, floor)}.", _worth(doublings))
    return Recommendation(rule, cell, solution, doublings, why, _caveat(cells, cell, floor))


def _longest(cells: Pool) -> Pool:
    """The cells that use all of the compute there is."""
    most = max(cell.compute for cell in cells)
    return [cell for cell in cells if cell.compute == most]


def _doublings(grid: Grid, cell: Cell, settings: Settings, solution: Solution, noise: Noise) -> Iterator[Doubling]:
    batch, steps = cell.batch_size, cell.steps
    longer = settings.with_(epochs=2 * cell.length) if grid.epochs else settings.with_(steps=2 * steps)
    wider = settings.with_(batch_size=2 * batch)
    if not grid.epochs:
        wider = wider.with_(steps=-(-steps // 2))
    more = settings.with_(examples=2 * int(grid.examples), epochs=None, steps=steps)
    changed = {"batch": wider, "epochs": longer, "n": more}
    if 2 * batch > grid.examples:
        del changed["batch"]
    for what, asked in changed.items():
        try:
            doubled = noise(asked)
        except (PlanError, NotCertified, Unreachable):  # n / batch is no longer whole, or a batch exceeds its cap
            continue
        ratio = doubled.value / float(asked.batch_size or 1)
        yield Doubling(what, doubled, ratio / (solution.value / batch) - 1)


_EFFECTS = {
    "batch": "the batch would {change} with half the steps and the same compute",
    "epochs": "the epochs would {change} with twice the steps and compute",
    "n": "n would {change} at the same batch and steps",
}


def _reason(rule: str, grid: Grid, cells: Pool, cell: Cell, floor: float) -> str:
    """How the rule came to the cell, in words that end a sentence."""
    best, most_compute = least_noise(cells, floor), "of the cells that use the most compute"
    if rule == "constant-ratio":
        if cell == best:
            return (
                f"{most_compute} this one has the smallest noise-batch ratio, and no cheaper one with as many steps "
                "comes within a tenth of it"
            )
        noise = cell.noise_batch_ratio / best.noise_batch_ratio - 1
        return (
            f"the smallest noise-batch ratio for the most compute is that of batch = {show(best.batch_size)}, "
            f"{show(best.length)} {'epochs' if grid.epochs else 'steps'}; of the cells with as many steps and a ratio "
            f"within a tenth of that, this one costs least: {100 * cell.compute / best.compute:.3g} % of the compute, "
            f"with {_more(noise)} noise"
        )
    if rule == "saturation" and not saturated(cell, floor):
        return (
            "with each cell that uses the most compute a larger batch could have over a tenth less noise in as many "
            "steps, so the one with the smallest noise-batch ratio is taken"
        )
    spare = cell.effective_noise / floor - 1
    at_most = f"{up(max(100 * spare / (1 + spare), 0.1), 2)} %"
    if rule == "saturation":
        return (
            f"{most_compute}, and whose noise no larger batch would lower by over a tenth in as many steps (here by "
            f"{at_most} at most), this one has the most steps"
        )
    return (
        f"{most_compute} this one has the smallest noise-batch ratio. No larger batch has more than {at_most} less "
        "noise in as many steps"
    )


def _caveat(cells: Pool, cell: Cell, floor: float) -> str:
    """That learning was not looked at; and, for the same compute, the cell with the most updates among those that a
    larger batch buys little less noise than."""
    updates = "1 update is" if cell.steps == 1 else f"{show(cell.steps)} updates are"
    told = f"Noise is compared here, not learning: nothing tells whether {updates} enough for the model."
    other = saturation([each for each in cells if each.compute == cell.compute], floor)
    if other.steps <= cell.steps or not saturated(other, floor):
        return told
    noise = _more(other.effective_noise / cell.effective_noise - 1)
    return (
        f"{told} A larger batch stops buying much less noise per example at batch = {show(other.batch_size)}: that has "
        f"{show(other.steps)} updates of the same compute and {noise} effective noise. "
        "--rule saturation takes such a cell."
    )


def _more(change: float) -> str:
    return f"{100 * abs(change):.2g} % {'less' if change < 0 else 'more'}"


def _worth(doublings: Sequence[Doubling]) -> str:
    if not doublings:
        return "Neither the batch nor the length nor n can be doubled here."
    effects = [_EFFECTS[each.what].format(change=_in_words(each.change)) for each in doublings]
    return f"Doubling {'; doubling '.join(effects)}."


def _in_words(change: float) -> str:
    verb = "lower" if change < 0 else "raise"
    return f"{verb} the noise-batch ratio by {100 * abs(change):.2g} %"
