"""How the batch of one step is drawn. The sampler reads the same object that the accountant reads.

A scheme owns its arithmetic: what share of the data a step is expected to draw, how many steps make an epoch, and what
the size of a batch is distributed like. Whoever plans, trains or checks asks the scheme.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar, Protocol

from dpplan.checks import Problems
from dpplan.errors import NotApplicable
from dpplan.mechanism import kind_of


@dataclass(frozen=True, slots=True)
class Binomial:
    """The law of a batch size: so many trials, each with this chance."""

    trials: int
    chance: float

    @property
    def mean(self) -> float:
        return self.chance * self.trials

    @property
    def chance_of_none(self) -> float:
        return math.exp(self.trials * math.log1p(-self.chance)) if self.chance < 1 else 0.0

    def __str__(self) -> str:
        return f"Binomial({self.trials}, {self.chance:.4g})"


class Sampling(Protocol):
    """One scheme. A frozen dataclass whose fields are its settings, each a number, a word or None.

    kind: its name in JSON, on the command line and in recipes.
    """

    kind: ClassVar[str]

    @property
    def assumption(self) -> str:
        """What a figure says it takes for granted, in two or three words."""
        ...

    def expected_batch(self, examples: int) -> float:
        """The mean number of examples in the batch of one step."""
        ...

    def batch_law(self, examples: int) -> Binomial:
        """What the size of a batch is distributed like."""
        ...

    def epochs(self, steps: int) -> Fraction:
        """The expected number of passes over the data that `steps` steps make, without rounding."""
        ...

    def complete_epochs(self, steps: int) -> int:
        """The passes that are complete after `steps` steps."""
        ...


@dataclass(frozen=True, slots=True)
class Poisson:
    """Every example joins each batch independently with probability `sample_rate` (q, in (0, 1]).

    Batch sizes vary, may be zero, and no batch is cut or padded. sample_rate = 1 is full-batch training.
    """

    sample_rate: float

    kind: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.probability(
                "sample_rate",
                self.sample_rate,
                try_="It is the expected batch divided by the examples (--q).",
            )
        object.__setattr__(self, "sample_rate", float(self.sample_rate))

    @classmethod
    def of(cls, sampling: Sampling) -> "Poisson":
        """The scheme, for those who know no other. Raises NotApplicable for another, a subclass included."""
        if type(sampling) is not cls:
            raise NotApplicable(f"sampling={kind_of(sampling)} is not what this is made for: poisson.")
        return sampling

    @staticmethod
    def rate(batch_size: Fraction, examples: int) -> Fraction:
        """The sample rate at which a batch has this size on average, without rounding."""
        return batch_size / examples

    @staticmethod
    def steps(epochs: Fraction, rate: Fraction) -> int:
        """The steps of so many epochs. Rounded up: fewer would run, and account for, less than what was asked."""
        return math.ceil(epochs / rate)

    @property
    def assumption(self) -> str:
        return "Poisson sampling" if self.sample_rate < 1 else "full batch"

    def expected_batch(self, examples: int) -> float:
        return self.sample_rate * examples

    def batch_law(self, examples: int) -> Binomial:
        return Binomial(examples, self.sample_rate)

    def epochs(self, steps: int) -> Fraction:
        return steps * Fraction(repr(self.sample_rate))

    def complete_epochs(self, steps: int) -> int:
        return int(steps * self.sample_rate * (1 + 1e-12))  # 56 steps of rate 1/56 are one pass in spite of rounding


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


# Kind -> class, for whoever reads a plan from a file. A new scheme gets a line here.
SCHEMES: Mapping[str, type[Sampling]] = MappingProxyType({each.kind: each for each in (Poisson, FixedSize)})
