"""Poisson sampling: every example joins each batch by a coin of its own; full batches, where every coin says yes."""

from fractions import Fraction
from typing import ClassVar

from dpplan.checks import Problems, show
from dpplan.errors import NotApplicable
from dpplan.mechanism import kind_of
from dpplan.quick_dataclass import dataclass
from dpplan.sampling.scheme import Binomial, Choice, Sampling, SchemeSettings, passes_complete


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
        return passes_complete(steps * self.sample_rate)


def _made(given: SchemeSettings) -> Poisson:
    assert given.rate is not None  # whoever makes a scheme has it
    return Poisson(float(given.rate))


def _not_everything(given: SchemeSettings) -> list[str]:
    problems, advice = Problems(), "Leave it out, or draw otherwise."
    if given.rate not in (None, 1):
        problems.add(f"q={show(given.rate)} is not 1, and --sampling full-batch takes everything. {advice}")
    if given.batch_size is not None and given.batch_size != given.examples:
        batch = show(float(given.batch_size))
        problems.add(f"batch={batch} is not n, and --sampling full-batch takes everything. {advice}")
    return problems.found


POISSON = Choice(
    Poisson.kind,
    "every example by a coin of its own (when nothing is said)",
    "At every step an example joins with chance q, independently of all other examples, of all other steps and of what "
    "examples say.",
    _made,
)
FULL_BATCH = Choice(
    "full-batch",
    "every example in every batch",
    "Nothing is drawn.",
    _made,
    problems=_not_everything,
    only_rate=Fraction(1),
)
