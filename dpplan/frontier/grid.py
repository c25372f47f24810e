"""The grid: every batch size with every length of training, and the least noise for each.

least_noise.py solves cells many at a time, one_by_one.py those that this is not known for.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import field

from dpplan import solve
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES
from dpplan.checks import Problems, show
from dpplan.errors import PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import CHOICES

DIGITS = 4  # of a cell's noise multiplier, rounded up

# What many cells are solved together for. Of all else each cell takes a search of its own, some seconds.
TOGETHER = {"poisson": tuple(ADJACENCIES.values()), "fixed-size": (ADD_REMOVE,)}

_STAND_IN = 10**6  # examples and steps of a run that has room for the groups, caps and users of any scheme
_RATE_ADVICE = re.compile(r"Try --q .* in place of --batch\.$")

Progress = Callable[[int, int], None]
Place = tuple[int, float]  # of a cell in its grid: batch size and length


@dataclass(frozen=True, slots=True)
class Grid:
    """What is asked: the data, the target, and which batches and lengths to look at.

    batch_sizes: expected examples per step; n where the scheme takes no other and none is given. epochs or steps: the
    lengths, one of the two. drawn: how batches are drawn, the adjacency and the unit, the same for every cell. A cell
    may have no plan, a batch that does not divide n for instance; not all of them. Raises PlanError with everything
    that is wrong, NotApplicable for a scheme of which nothing is proven.
    """

    examples: int
    target_epsilon: float
    delta: float
    batch_sizes: tuple[int, ...]
    epochs: tuple[float, ...] = ()
    steps: tuple[int, ...] = ()
    drawn: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not self.batch_sizes and self._takes_all:
            object.__setattr__(self, "batch_sizes", (self.examples,))
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
            for problem in self._drawing_problems(apart=bool(problems.found)):
                problems.add(problem)
        for name in ("batch_sizes", "epochs", "steps"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))

    @property
    def _takes_all(self) -> bool:
        """Whether a step of this scheme takes all examples, and no other batch."""
        choice = CHOICES.get(self.drawn.sampling)
        return choice is not None and choice.only_rate == 1

    @property
    def lengths(self) -> tuple[float, ...]:
        return self.epochs or self.steps

    @property
    def together(self) -> bool:
        """Whether many cells are solved at a time."""
        several = self.drawn.unit == "user" and self.drawn.max_per_user is not None
        return self.drawn.adjacency in TOGETHER.get(self.drawn.sampling, ()) and not several

    def settings(self, batch_size: float, length: float) -> Settings:
        """A cell with its noise left open."""
        whole = self.drawn.with_(examples=int(self.examples), batch_size=batch_size)
        return whole.with_(epochs=length) if self.epochs else whole.with_(steps=int(length))

    def compute(self, batch_size: float, length: float) -> float:
        """The examples that a cell processes, see `Cell.compute`."""
        return length * (self.examples if self.epochs else batch_size)

    def _drawing_problems(self, apart: bool) -> list[str]:
        """What is wrong with how batches are drawn and whom that protects, in every cell.

        apart: the cells themselves make no sense, so that it is asked of another run.
        """
        if apart or self.together:
            many = _STAND_IN if apart and not self.together else 2
            others = self.drawn.with_(examples=many, batch_size=many if self._takes_all else 1, steps=many)
            return cell_problems(others)
        found: list[str] = []
        for length in self.lengths:
            for batch in self.batch_sizes:
                problems = cell_problems(self.settings(batch, length))
                if not problems:
                    return []
                found += problems
        return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Cell:
    """One batch size with one length, the least noise that meets the target there, and what that means for learning.

    length: epochs or steps, as the grid has them.
    compute: the examples to process, steps × batch, or epochs × n before the last step is rounded up to a whole one.
    noise_multiplier: four digits, rounded up, and seven where cells are solved one by one; spent is the Bound of this
        plan with it, within the target. plan: None where there is none or none was found, with why in `refusal`.
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
    Under replace-one cells may lie a little below it: whether the record is drawn hides the change as well.
    """
    drawn = grid.drawn if grid.together else grid.drawn.with_(sampling="full-batch", scheme_options=())
    whole = drawn.with_(examples=int(grid.examples), batch_size=int(grid.examples), steps=1)
    return float(solve.noise(whole, grid.target_epsilon, grid.delta).value)


def cell_problems(settings: Settings) -> list[str]:
    """Why a cell, with its noise left open, has no plan. A grid has batches, and no rate to give in their place."""
    try:
        settings.with_(noise_multiplier=1.0).plan()
    except PlanError as error:
        return [_RATE_ADVICE.sub("Give a --batch that divides n.", problem) for problem in error.problems]
    return []


def coarse_to_fine(count: int) -> Iterable[int]:
    """0 to count − 1: both ends, the middle, the middles between those, and so on."""
    order: dict[int, None] = dict.fromkeys([0, count - 1])
    stride = float(count - 1)
    while len(order) < count:
        stride = max(stride / 2, 0.5)
        order |= dict.fromkeys(min(round(stride * i), count - 1) for i in range(math.ceil(count / stride)))
    return order
