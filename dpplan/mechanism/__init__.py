"""What one release does to one record: the noise, and how far one record can move what it is added to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Protocol

from dpplan.checks import Problems, show
from dpplan.errors import NotApplicable
from dpplan.mechanism.correlated import BufferedNoise, Correlation, MatrixNoise, ToeplitzNoise, TreeAggregation
from dpplan.mechanism.discrete_gaussian import DiscreteGaussian
from dpplan.mechanism.stated_curves import StatedRenyi, StatedZcdp
from dpplan.mechanism.thresholds import AboveThreshold, ThresholdedCounts
from dpplan.mechanism.trials import BestOfTrials
from dpplan.quick_dataclass import dataclass

__all__ = [
    "MECHANISMS",
    "REFUSED",
    "AboveThreshold",
    "BestOfTrials",
    "BufferedNoise",
    "Correlation",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Exponential",
    "Gaussian",
    "Laplace",
    "MatrixNoise",
    "Mechanism",
    "NoisyMax",
    "PermuteAndFlip",
    "RandomizedResponse",
    "Stated",
    "StatedGdp",
    "StatedRenyi",
    "StatedZcdp",
    "ThresholdedCounts",
    "ToeplitzNoise",
    "TreeAggregation",
    "kind_of",
    "multiplier_of",
    "noise_of_run",
]

# A release of a larger epsilon hides nothing, and masses of e^-epsilon still have to be floats. One of a smaller one is
# lost in rounding.
MOST_EPSILON, LEAST_EPSILON = 100.0, 1e-6
MOST_SENSITIVITY = 1000  # a law has as many outcomes


class Mechanism(Protocol):
    """One mechanism. A frozen dataclass whose fields are its settings: numbers, words, tuples of
    numbers, or None.

    kind: its name in JSON and in plan files.
    """

    kind: ClassVar[str]


def usual_noise(noise_multiplier: object) -> str:
    """A remedy for a noise multiplier that is none: 0 is no noise, and less is nothing at all."""
    why = "Without noise epsilon is infinite; " if noise_multiplier == 0 else "It is a standard deviation; "
    return f"{why}values between 0.5 and 10 are common (--sigma)."


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise on a sum of clipped vectors.

    noise_multiplier: standard deviation of the noise divided by the clip norm (σ, no unit). It is not the
        standard deviation of the noise itself, and not the noise on the mean gradient; both depend on the
        clip norm and the batch, and neither changes epsilon.

    Adding or removing one record moves the clipped sum by at most one clip norm, so the pair of output
    laws that dominates every other is N(0, σ²) against N(1, σ²) (Mironov, Talwar, Zhang 2019, Thm 4).
    """

    noise_multiplier: float

    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.positive(
                "sigma",
                self.noise_multiplier,
                try_=usual_noise(self.noise_multiplier),
            )
        object.__setattr__(self, "noise_multiplier", float(self.noise_multiplier))

    @classmethod
    def of(cls, mechanism: Mechanism) -> "Gaussian":
        """The mechanism, for those who know no other. Raises NotApplicable for another, a subclass included."""
        if type(mechanism) is not cls:
            raise NotApplicable(f"mechanism={kind_of(mechanism)} is not what this is made for: gaussian.")
        return mechanism


def kind_of(part: object) -> str:
    """The name of a mechanism or a scheme; of one that only inherited a name, or has none, that of its class."""
    return str(vars(type(part)).get("kind", type(part).__name__))


def multiplier_of(mechanism: Mechanism) -> float:
    """The noise that a trainer scales, over the clip norm. Raises NotApplicable for what adds none to clipped sums."""
    if not isinstance(mechanism, Gaussian | TreeAggregation | ToeplitzNoise | BufferedNoise | MatrixNoise):
        raise NotApplicable(f"mechanism={kind_of(mechanism)} adds no noise to clipped sums.")
    return mechanism.noise_multiplier


def noise_of_run(
    noise_multiplier: float, correlation: Correlation | None, steps: int, *, in_every_step: bool
) -> Gaussian | ToeplitzNoise | TreeAggregation | MatrixNoise:
    """The noise of a run of so many steps, drawn anew for each where no correlation is given.

    in_every_step: whether a record may take part in all of them; else its sampling says in which.
    """
    if correlation is None:
        return Gaussian(noise_multiplier)
    return correlation.mechanism(noise_multiplier, steps if in_every_step else 1)


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace noise on one number, or on several whose changes add up (l1): a count, a sum, a histogram.

    epsilon: of one release, for the neighbours of the plan: sensitivity over the scale of the noise.
    """

    epsilon: float

    kind: ClassVar[str] = "laplace"

    def __post_init__(self) -> None:
        _check_epsilon(self)


@dataclass(frozen=True, slots=True)
class DiscreteLaplace:
    """Two-sided geometric noise on a whole number: k with probability proportional to e^(-|k|·epsilon/sensitivity).

    epsilon: of one release, for the neighbours of the plan. sensitivity: how far one record moves the number, whole.
    """

    epsilon: float
    sensitivity: int = 1

    kind: ClassVar[str] = "discrete-laplace"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _epsilon(problems, self.epsilon)
            if problems.whole("sensitivity", self.sensitivity, try_="It is how far one record moves the number."):
                problems.require(
                    self.sensitivity <= MOST_SENSITIVITY,
                    f"sensitivity={show(self.sensitivity)} is more than {MOST_SENSITIVITY}. Count in larger units.",
                )
        object.__setattr__(self, "epsilon", float(self.epsilon))
        object.__setattr__(self, "sensitivity", int(self.sensitivity))


@dataclass(frozen=True, slots=True)
class RandomizedResponse:
    """Each record answers for itself, one of `categories` answers: the true one e^epsilon times as often as any other.

    One step is one answer of every record. That there is an answer is seen, so neighbours have equally many.
    """

    epsilon: float
    categories: int = 2

    kind: ClassVar[str] = "randomized-response"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _epsilon(problems, self.epsilon)
            if problems.whole("categories", self.categories, try_="It is the number of answers that can be given."):
                problems.require(
                    self.categories >= 2, f"categories={show(self.categories)} leaves no choice. There are 2 at least."
                )
        object.__setattr__(self, "epsilon", float(self.epsilon))
        object.__setattr__(self, "categories", int(self.categories))


@dataclass(frozen=True, slots=True)
class Stated:
    """Anything that is (epsilon, delta)-private for the neighbours of the plan, in both orders; no more is known."""

    epsilon: float
    delta: float = 0.0

    kind: ClassVar[str] = "epsilon-delta"

    def __post_init__(self) -> None:
        with Problems() as problems:
            if problems.at_least("epsilon", self.epsilon, 0.0, try_="It is what one release is known to cost."):
                problems.require(self.epsilon <= MOST_EPSILON, _too_much(self.epsilon))
            if problems.at_least("delta", self.delta, 0.0, try_="Pure differential privacy has delta 0."):
                problems.require(self.delta < 1.0, f"delta={show(self.delta)} is not below 1: it promises nothing.")
        object.__setattr__(self, "epsilon", float(self.epsilon))
        object.__setattr__(self, "delta", float(self.delta))


@dataclass(frozen=True, slots=True)
class StatedGdp:
    """Anything that is mu-Gaussian differentially private for the neighbours of the plan; no more is known.

    mu: one release tells at most what N(mu, 1) against N(0, 1) tells (Dong, Roth, Su 2022, arXiv:1905.02383).
    """

    mu: float

    kind: ClassVar[str] = "gdp"

    def __post_init__(self) -> None:
        with Problems() as problems:
            if problems.positive("mu", self.mu, try_="Gaussian noise of multiplier σ has mu = 1/σ."):
                problems.require(1e-6 <= self.mu <= 1e3, f"mu={show(self.mu)} is not between 1e-06 and 1000.")
        object.__setattr__(self, "mu", float(self.mu))


@dataclass(frozen=True, slots=True)
class Exponential:
    """The exponential mechanism: an answer with probability proportional to e^(epsilon·score/(2·sensitivity)).

    epsilon: of one choice, for the neighbours of the plan.
    """

    epsilon: float

    kind: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _check_epsilon(self)


@dataclass(frozen=True, slots=True)
class NoisyMax:
    """Report noisy max, the name of the largest score after noise was added to each, and nothing else.

    epsilon: of one choice, for the neighbours of the plan.
    """

    epsilon: float

    kind: ClassVar[str] = "noisy-max"

    def __post_init__(self) -> None:
        _check_epsilon(self)


@dataclass(frozen=True, slots=True)
class PermuteAndFlip:
    """Permute-and-flip (McKenna, Sheldon 2020): answers in random order, each taken or passed over by its score.

    epsilon: of one choice, for the neighbours of the plan.
    """

    epsilon: float

    kind: ClassVar[str] = "permute-and-flip"

    def __post_init__(self) -> None:
        _check_epsilon(self)


def _check_epsilon(mechanism: "Laplace | Exponential | NoisyMax | PermuteAndFlip") -> None:
    with Problems() as problems:
        _epsilon(problems, mechanism.epsilon)
    object.__setattr__(mechanism, "epsilon", float(mechanism.epsilon))


def _epsilon(problems: Problems, epsilon: float) -> None:
    """The epsilon of one release, which has to leave something to protect and something to account for."""
    if problems.positive("epsilon", epsilon, try_="It is what one release costs; values from 0.01 to 2 are common."):
        problems.require(epsilon <= MOST_EPSILON, _too_much(epsilon))
        problems.require(epsilon >= LEAST_EPSILON, f"epsilon={show(epsilon)} is less than {LEAST_EPSILON:g}.")


def _too_much(epsilon: float) -> str:
    return f"epsilon={show(epsilon)} is more than {MOST_EPSILON:g}: such a release hides nothing."


# What has a name in this field and another name here, or no theorem.
REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "gnmax": "the epsilon of PATE depends on the data and is private itself; what holds for all data is that of "
        "the noisy counts (kind: gaussian).",
        "partition-selection": "how partitions are chosen decides what it costs: noisy counts above a threshold are "
        "kind: thresholded-counts; of anything else state an epsilon and a delta (kind: epsilon-delta).",
        BestOfTrials.kind: "a search is a block of its own: repeat: {law: geometric, mean: 10, score: public}, phases: "
        "[...].",
    }
)
# Kind -> class, for whoever reads a plan from a file. A new mechanism gets a line here.
MECHANISMS: Mapping[str, type[Mechanism]] = MappingProxyType(
    {
        each.kind: each
        for each in (
            Gaussian,
            Laplace,
            DiscreteLaplace,
            DiscreteGaussian,
            RandomizedResponse,
            Stated,
            StatedGdp,
            StatedZcdp,
            StatedRenyi,
            Exponential,
            NoisyMax,
            PermuteAndFlip,
            AboveThreshold,
            ThresholdedCounts,
            TreeAggregation,
            ToeplitzNoise,
            BufferedNoise,
            MatrixNoise,
        )
    }
)
