"""Allocations: every example joins so many steps of each round, drawn for all of them at once, each for itself."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import ClassVar, Literal, cast

from dpplan.checks import Problems, show
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import MOST
from dpplan.sampling.scheme import Binomial, Choice, Option, SchemeSettings

FRESH, SAME = "fresh", "same"


@dataclass(frozen=True, slots=True)
class BallsInBins:
    """Every example joins exactly one of the `steps_per_epoch` steps of each epoch, all alike, each for itself.

    bins: fresh, where it draws another in each epoch, or same, where it keeps its step for all epochs of a phase, and
    draws another in the next phase, as in each trial of a search. Batch sizes vary and may be zero.
    """

    steps_per_epoch: int
    bins: str = FRESH

    kind: ClassVar[str] = "balls-in-bins"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.whole("steps_per_epoch", self.steps_per_epoch, try_="It is 1/q, or n / batch.")
            BINS.check(problems, self.bins)
        object.__setattr__(self, "steps_per_epoch", int(self.steps_per_epoch))

    @property
    def sample_rate(self) -> float:
        """The chance of an example to be in a batch."""
        return 1.0 / self.steps_per_epoch

    @property
    def assumption(self) -> str:
        if self.steps_per_epoch == 1:
            return "full batch"
        how = "fresh each epoch" if self.bins == FRESH else "the same bins each epoch"
        return f"balls-in-bins over {self.steps_per_epoch} steps, each example by itself, {how}"

    def expected_batch(self, examples: int) -> float:
        return examples / self.steps_per_epoch

    def batch_law(self, examples: int) -> Binomial:
        """Of one step; those of an epoch add up to all examples."""
        return Binomial(examples, self.sample_rate)

    def epochs(self, steps: int) -> Fraction:
        return Fraction(steps, self.steps_per_epoch)

    def complete_epochs(self, steps: int) -> int:
        return steps // self.steps_per_epoch

    def participations(self, steps: int) -> int:
        """How often at most an example is drawn in so many steps."""
        return -(-steps // self.steps_per_epoch)


def redrawn(schemes: Iterable[object], searched: bool) -> str:
    """What a plan of several phases takes for granted of bins that are kept. searched: whether it has a search."""
    kept = sum(isinstance(each, BallsInBins) and each.bins == SAME for each in schemes)
    return f", bins drawn anew for each phase{' and each trial' if searched else ''}" if kept > (not searched) else ""


@dataclass(frozen=True, slots=True)
class RandomAllocation:
    """Every example joins exactly `times` of the `steps_per_round` steps of each round, all choices alike, each for
    itself, and draws anew in the next round. A round passes over the data so often."""

    steps_per_round: int
    times: int

    kind: ClassVar[str] = "random-allocation"

    def __post_init__(self) -> None:
        with Problems() as problems:
            good = problems.whole(
                "steps_per_round", self.steps_per_round, try_="It is times / q, or times × n / batch."
            )
            whole = problems.whole("times", self.times, try_="It is the steps of a round that an example joins.")
            if good and whole:
                rule = f"times={self.times} exceeds steps_per_round={self.steps_per_round}. Lower --times."
                problems.require(self.times <= self.steps_per_round, rule)
        object.__setattr__(self, "steps_per_round", int(self.steps_per_round))
        object.__setattr__(self, "times", int(self.times))

    @property
    def sample_rate(self) -> float:
        """The chance of an example to be in a batch."""
        return self.times / self.steps_per_round

    @property
    def assumption(self) -> str:
        return f"random allocation to {self.times} of every {self.steps_per_round} steps, each example by itself"

    def expected_batch(self, examples: int) -> float:
        return examples * self.sample_rate

    def batch_law(self, examples: int) -> Binomial:
        """Of one step; those of a round add up to `times` times all examples."""
        return Binomial(examples, self.sample_rate)

    def epochs(self, steps: int) -> Fraction:
        return Fraction(steps * self.times, self.steps_per_round)

    def complete_epochs(self, steps: int) -> int:
        return steps * self.times // self.steps_per_round

    def participations(self, steps: int) -> int:
        """How often at most an example is drawn in so many steps."""
        rounds, rest = divmod(steps, self.steps_per_round)
        return self.times * rounds + min(self.times, rest)


BINS = Option(
    "bins",
    "whether an example draws a step of each epoch anew (fresh) or keeps the first for all epochs of its phase (same)",
    choices=(FRESH, SAME),
    default=FRESH,
)
TIMES = Option("times", "in how many steps of a round each example is")


def _made_bins(given: SchemeSettings) -> BallsInBins:
    assert given.rate is not None  # whoever makes a scheme has it
    return BallsInBins(int(1 / given.rate), cast(Literal["fresh", "same"], str(given.options["bins"])))


def _made_allocation(given: SchemeSettings) -> RandomAllocation:
    assert given.rate is not None  # whoever makes a scheme has it
    times = given.whole("times")
    return RandomAllocation(int(times / given.rate), times)


def _whole_rounds(name: str, times: Callable[[SchemeSettings], int]) -> Callable[[SchemeSettings], list[str]]:
    """The rule that a round has a whole number of steps, times / q."""

    def problems(given: SchemeSettings) -> list[str]:
        rate = given.rate if given.share is None else given.share
        if rate is None or not 0 < rate <= 1:
            return []
        steps = times(given) / rate
        if steps.denominator == 1:
            return []
        told = (
            f"q={show(rate)}"
            if given.share is None
            else f"batch={show(float(given.batch_size or 0))} of n={given.examples}"
        )
        formula = (
            ("times / q" if times(given) > 1 else "1 / q")
            if given.share is None
            else ("times × n / batch" if times(given) > 1 else "n / batch")
        )
        tried = " or ".join(f"--q {times(given)}/{each}" for each in (math.floor(steps), math.ceil(steps)))
        tried += "" if given.share is None else " in place of --batch"  # beside which a rate would contradict it
        return [f"{told} gives {formula} = {_not_whole(steps)} steps of {name}, which is not whole. Try {tried}."]

    return problems


def _not_whole(steps: Fraction) -> str:
    """With as many digits as it takes to see that it is not whole."""
    texts = (f"{float(steps):.{digits}g}" for digits in range(6, MOST + 1))
    told = next((text for text in texts if not float(text).is_integer()), None)
    if told:
        return told
    nearest = round(steps)
    return f"{nearest} {'+' if steps > nearest else '-'} {float(abs(steps - nearest)):.3g}"


ALLOCATIONS = (BallsInBins.kind, RandomAllocation.kind)
BALLS_IN_BINS = Choice(
    BallsInBins.kind,
    "one of the 1/q steps of each epoch for every example",
    "An example joins each of the steps with the same chance, independently of all other examples, of what examples "
    "say and, where it draws anew, of other epochs; so batches vary and may be empty. Shuffled data that are cut into "
    "batches have one step of each epoch for every example, too, and are not this: claim shuffle.",
    _made_bins,
    (BINS,),
    problems=_whole_rounds("an epoch", lambda given: 1),
)
RANDOM_ALLOCATION = Choice(
    RandomAllocation.kind,
    "--times of the steps of each round, times/q, for every example",
    "Every choice of so many steps has the same chance, independently of all other examples, of other rounds and of "
    "what examples say; so batches vary and may be empty.",
    _made_allocation,
    (TIMES,),
    problems=_whole_rounds("a round", lambda given: given.whole("times")),
)
