"""Poisson sampling with a limit: of a batch that comes out larger, so many are kept, all subsets alike."""

import math
from fractions import Fraction
from typing import ClassVar

from dpplan.checks import Problems
from dpplan.errors import NotApplicable
from dpplan.quick_dataclass import dataclass
from dpplan.sampling.scheme import Binomial, Choice, Option, SchemeSettings, passes_complete


@dataclass(frozen=True, slots=True)
class TruncatedPoisson:
    """Every one of `examples` joins each batch by a coin with chance `sample_rate`; of more than `cap`, `cap` are kept,
    every subset of that size alike, and the others wait for another step.

    The divisor and the noise do not depend on how many were drawn.
    """

    sample_rate: float
    cap: int
    examples: int

    kind: ClassVar[str] = "truncated-poisson"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.probability("sample_rate", self.sample_rate, try_="It is the expected batch divided by n (--q).")
            problems.whole("cap", self.cap, try_="It is the most examples of a batch (--cap).")
            problems.whole("n", self.examples, try_="It is the number of examples a batch is drawn from.")
        object.__setattr__(self, "sample_rate", float(self.sample_rate))
        object.__setattr__(self, "cap", int(self.cap))
        object.__setattr__(self, "examples", int(self.examples))

    @property
    def assumption(self) -> str:
        return f"Poisson sampling of {self.examples}, cut at {self.cap}, all subsets alike, anew each step"

    def expected_batch(self, examples: int) -> float:
        """The mean of min(K, cap) for K the binomial number that is drawn: cap - Σ_{k < cap} P[K <= k]."""
        mean = self.sample_rate * examples
        if self.cap >= examples or self.sample_rate == 1.0:
            return min(mean, self.cap)
        spread = math.sqrt(mean * (1.0 - self.sample_rate)) + 1.0
        first, last = max(math.ceil(mean - 40.0 * spread), 0), min(math.floor(mean + 40.0 * spread), examples)
        if self.cap > last:
            return mean
        q, total, weighted = self.sample_rate, 0.0, 0.0
        log_choose = math.lgamma(examples + 1)
        for k in range(first, last + 1):
            log_pmf = log_choose - math.lgamma(k + 1) - math.lgamma(examples - k + 1)
            mass = math.exp(log_pmf + k * math.log(q) + (examples - k) * math.log1p(-q))
            total, weighted = total + mass, weighted + mass * min(k, self.cap)
        return weighted / total

    def batch_law(self, examples: int) -> Binomial:
        raise NotApplicable("sampling=truncated-poisson has no binomial batches: they are cut.")

    def epochs(self, steps: int) -> Fraction:
        """As many as coins are thrown for: what a cut batch leaves out is not counted off."""
        return steps * Fraction(repr(self.sample_rate))

    def complete_epochs(self, steps: int) -> int:
        return passes_complete(steps * self.sample_rate)


def _made(given: SchemeSettings) -> TruncatedPoisson:
    assert given.rate is not None and given.examples is not None  # whoever makes a scheme has them
    return TruncatedPoisson(float(given.rate), given.whole("cap"), given.examples)


TRUNCATED_POISSON = Choice(
    TruncatedPoisson.kind,
    "Poisson batches, of which at most --cap examples are kept",
    "Of more than that, every subset of --cap examples is kept with the same chance, drawn anew at each step and "
    "independently of all others, whoever is in it and whatever examples say. A loader that keeps the first of them, "
    "or goes by an order that it keeps from step to step, never leaves out some records: it is not this.",
    _made,
    (Option("cap", "the most examples of a batch"),),
    needs_examples="how often a batch is cut depends on it",
)
