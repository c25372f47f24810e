"""What is released only where a noisy number is large: counts above a threshold, and the first queries above one."""

from typing import ClassVar

from dpplan.checks import Problems, did_you_mean, show
from dpplan.quick_dataclass import dataclass

NOISES = ("gaussian", "laplace")
QUERIES = ("any", "monotone")
MOST_EPSILON = 100.0
MOST_PARTITIONS = 100_000


@dataclass(frozen=True, slots=True)
class ThresholdedCounts:
    """Noisy counts of partitions (words, keys, places) of which the large are released, names and all.

    One record adds at most 1 to each of at most `partitions` counts. noise: its law. noise_scale: its standard
    deviation, or the scale of Laplace noise, in units of such a 1. threshold: counts below it after the noise, and
    counts of nothing, are kept back.
    """

    noise_scale: float
    threshold: float
    partitions: int = 1
    noise: str = "gaussian"

    kind: ClassVar[str] = "thresholded-counts"

    def __post_init__(self) -> None:
        with Problems() as problems:
            if problems.positive("noise_scale", self.noise_scale, try_="It is the noise on a count."):
                rule = f"noise_scale={show(self.noise_scale)} is not between 0.01 and 1e+06."
                problems.require(0.01 <= self.noise_scale <= 1e6, rule)
            problems.at_least("threshold", self.threshold, 1.0, try_="A record alone makes a count of 1.")
            if problems.whole("partitions", self.partitions, try_="It is in how many counts a record is at most."):
                many = f"partitions={show(self.partitions)} is more than {MOST_PARTITIONS}."
                problems.require(self.partitions <= MOST_PARTITIONS, many)
            _one_of(problems, "noise", self.noise, NOISES)
        object.__setattr__(self, "noise_scale", float(self.noise_scale))
        object.__setattr__(self, "threshold", float(self.threshold))
        object.__setattr__(self, "partitions", int(self.partitions))


@dataclass(frozen=True, slots=True)
class AboveThreshold:
    """The sparse vector technique: which of a stream of queries are above a noisy threshold, until so many were.

    threshold_scale, query_scale: of the Laplace noise on the threshold, drawn once, and on each query, in units of how
    far one record moves a query. answers: how many are told to be above, after which it stops. queries: any, or
    monotone, where a record moves all queries in the same direction. No noisy value is released.
    """

    threshold_scale: float
    query_scale: float
    answers: int = 1
    queries: str = "any"

    kind: ClassVar[str] = "above-threshold"

    def __post_init__(self) -> None:
        with Problems() as problems:
            good = problems.positive("threshold_scale", self.threshold_scale, try_="It is 1/ε1 of the threshold.")
            good &= problems.positive("query_scale", self.query_scale, try_="It is 2·answers/ε2 of the queries.")
            good &= problems.whole("answers", self.answers, try_="It is how often it says 'above'.")
            good &= _one_of(problems, "queries", self.queries, QUERIES)
            if good:
                rule = f"the noise is so small that epsilon={self.epsilon:.4g}, more than {MOST_EPSILON:g}."
                problems.require(self.epsilon <= MOST_EPSILON, rule)
        object.__setattr__(self, "threshold_scale", float(self.threshold_scale))
        object.__setattr__(self, "query_scale", float(self.query_scale))
        object.__setattr__(self, "answers", int(self.answers))

    @property
    def epsilon(self) -> float:
        """1/b1 + 2c/b2, and where the queries are monotone 1/b1 + c/b2: Lyu, Su, Li 2017 (arXiv:1603.01699), Thms 2 and
        5."""
        times = self.answers if self.queries == "monotone" else 2 * self.answers
        return 1.0 / self.threshold_scale + times / self.query_scale


def _one_of(problems: Problems, name: str, said: object, known: tuple[str, ...]) -> bool:
    rule = f"{name}={said} is not one of: {', '.join(known)}.{did_you_mean(str(said), known)}"
    return problems.require(said in known, rule)
