"""Batches of a fixed size, drawn without replacement, each step anew."""

from fractions import Fraction
from typing import ClassVar

from dpplan.checks import Problems, show
from dpplan.quick_dataclass import dataclass
from dpplan.sampling.scheme import Binomial, Choice, SchemeSettings


@dataclass(frozen=True, slots=True)
class FixedSize:
    """Each batch is drawn without replacement: `batch_size` of `examples`, all subsets alike, each step anew.

    Under add/remove, `examples` is the larger of the two data sets.
    """

    batch_size: int
    examples: int

    kind: ClassVar[str] = "fixed-size"

    def __post_init__(self) -> None:
        with Problems() as problems:
            good = problems.whole("n", self.examples, try_="It is the number of examples a batch is drawn from.")
            whole = problems.whole("batch", self.batch_size, try_="Batches of a fixed size hold whole examples.")
            if good and whole:
                rule = f"batch={self.batch_size} exceeds n={self.examples}. Lower --batch or check --n."
                problems.require(self.batch_size <= self.examples, rule)
        object.__setattr__(self, "batch_size", int(self.batch_size))
        object.__setattr__(self, "examples", int(self.examples))

    @property
    def sample_rate(self) -> float:
        """The chance of an example to be in a batch."""
        return self.batch_size / self.examples

    @property
    def assumption(self) -> str:
        return f"batches of exactly {self.batch_size} of {self.examples}"

    def expected_batch(self, examples: int) -> float:
        return self.batch_size

    def batch_law(self, examples: int) -> Binomial:
        """No spread: as many trials as examples in a batch, each certain."""
        return Binomial(self.batch_size, 1.0)

    def epochs(self, steps: int) -> Fraction:
        return Fraction(steps * self.batch_size, self.examples)

    def complete_epochs(self, steps: int) -> int:
        return steps * self.batch_size // self.examples


def _made(given: SchemeSettings) -> FixedSize:
    assert given.rate is not None and given.examples is not None  # whoever makes a scheme has them
    return FixedSize(int(given.rate * given.examples), given.examples)


def _not_whole(given: SchemeSettings) -> list[str]:
    batch, n = given.batch_size, given.examples
    if batch is not None and batch.denominator != 1:
        return [f"batch={show(float(batch))} is not whole, and --sampling fixed-size draws whole batches."]
    if batch is None and n is not None and given.rate is not None and (given.rate * n).denominator != 1:
        return [f"q={show(given.rate)} of n={show(n)} is no whole batch. Give --batch, or another --q."]
    return []


FIXED_SIZE = Choice(
    FixedSize.kind,
    "so many of n without replacement",
    "At every step every subset of that size has the same chance, independently of all other steps and of what "
    "examples say. Under add-remove n is that of the larger of the two data sets.",
    _made,
    problems=_not_whole,
    needs_examples="batches of a fixed size are drawn from n examples",
)
