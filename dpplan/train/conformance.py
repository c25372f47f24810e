"""What was realised against what was planned, measured where batches are drawn and noise is added.

    statistics = StepStatistics(phase, examples)
    statistics.saw(size, denominator, sensitivity, added)       # once per step
    statistics.measurements() -> Measurement, ...

A batch size tells who was drawn, and the length of the noise tells the sum that it hides: whoever knows all examples
but one could test for the last. Both are looked at inside the process, and only whether they agree leaves it.

Every test is exact for any number of steps, by the law's own tails and no limit law: a run that does as planned
disagrees with probability LEVEL at most, over all tests together.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpplan.checks import show
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import Binomial

LEVEL = 1e-6
TESTS = 4  # mean and spread of batch sizes, empty batches, noise; each two-sided


@dataclass(frozen=True, slots=True)
class Measurement:
    """One thing that was planned. realised: None where only the verdict may be known. covered: by epsilon."""

    name: str
    planned: str
    realised: str | None
    agrees: bool
    covered: bool

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("name", "planned", "realised", "agrees")}


@dataclass(slots=True)
class StepStatistics:
    """Sizes of batches, and the squared length of the noise in planned standard deviations. Neither may leave."""

    phase: Phase
    examples: int
    _sizes: list[int] = field(default_factory=list)
    _squares: list[Tensor] = field(default_factory=list)
    _coordinates: int = 0
    _denominators: set[float] = field(default_factory=set)

    def saw(self, size: int, denominator: float, sensitivity: float, added: Tensor) -> None:
        """added: what was added to a sum of this sensitivity, whatever was meant to be. float64, on any device."""
        self._sizes.append(size)
        self._denominators.add(denominator)
        self._coordinates += len(added)
        squares = torch.dot(added, added) / (Gaussian.of(self.phase.mechanism).noise_multiplier * sensitivity) ** 2
        self._squares = [self._squares[0] + squares] if self._squares else [squares]

    @property
    def expected_batch(self) -> float:
        return self.phase.sampling.expected_batch(self.examples)

    @property
    def _law(self) -> Binomial:
        return self.phase.sampling.batch_law(self.examples)

    def measurements(self) -> Iterator[Measurement]:
        """Of the steps of this process; nothing is known about those before an interruption."""
        steps = len(self._sizes)
        if not steps:
            return
        tested = f"tested at {show(LEVEL)}, {steps} step{'s' if steps > 1 else ''}"
        law = self._law
        yield Measurement("batch sizes", f"{law}, {tested}", None, self._sizes_agree(), covered=False)
        empty = f"probability {law.chance_of_none:.3g}, {tested}"
        yield Measurement("empty batches", empty, None, self._empty_agree(), covered=False)
        noise = f"std {Gaussian.of(self.phase.mechanism).noise_multiplier:.6g} × sensitivity, {tested}"
        yield Measurement("noise", noise, None, self._noise_agrees(), covered=False)
        used = ", ".join(show(value) for value in sorted(self._denominators))
        agrees = all(math.isclose(value, self.expected_batch, rel_tol=1e-12) for value in self._denominators)
        yield Measurement("denominator", show(self.expected_batch), used, agrees, covered=True)

    def _sizes_agree(self) -> bool:
        rate, sizes = self._law.chance, np.array(self._sizes)
        if rate == 1.0:
            return bool((sizes == self.examples).all())
        within = bool(((sizes >= 0) & (sizes <= self.examples)).all())
        total = binomial_tail(int(sizes.sum()), self.examples * len(sizes), rate)
        return within and min(total, spread_tail(sizes, self.examples, rate)) > LEVEL / TESTS

    def _empty_agree(self) -> bool:
        return binomial_tail(self._sizes.count(0), len(self._sizes), self._law.chance_of_none) > LEVEL / TESTS

    def _noise_agrees(self) -> bool:
        return chi_square_tail(float(self._squares[0]), self._coordinates) > LEVEL / TESTS


def binomial_tail(seen: int, trials: int, chance: float) -> float:
    """The probability that Binomial(trials, chance) is as far out as `seen`: twice the smaller side's, at most 1."""
    below, above = (float(side[0]) for side in _binomial_sides(np.array([seen]), trials, chance))
    return min(1.0, 2 * min(below, above))


def chi_square_tail(seen: float, freedom: int) -> float:
    """The probability that a chi-square variable is as far out as `seen`, likewise."""
    from scipy import special  # half a second, and only the end of a run needs it

    if not 0 < seen < math.inf:
        return 0.0
    below, above = special.gammainc(freedom / 2, seen / 2), special.gammaincc(freedom / 2, seen / 2)
    return min(1.0, 2 * float(min(below, above)))


def spread_tail(sizes: NDArray[np.int64], trials: int, chance: float) -> float:
    """At least the probability that so many binomial draws lie so far from their law.

    Distance: the largest between the two distribution functions. Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of
    Massart 1990, which holds for every law and every number of draws.
    """
    values, counts = np.unique(sizes, return_counts=True)
    above = np.cumsum(counts) / len(sizes)
    below = above - counts / len(sizes)
    at, from_here = _binomial_sides(values, trials, chance)
    distance = float(max(np.abs(above - at).max(), np.abs(below - (1 - from_here)).max()))
    return min(1.0, 2 * math.exp(-2 * len(sizes) * distance**2))


def _binomial_sides(
    values: NDArray[np.int64], trials: int, chance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(X <= value) and P(X >= value), each with its own digits."""
    from scipy import special

    # Incomplete beta functions, which know no parameter 0: there the probability is 0 or 1.
    k = np.clip(values.astype(np.float64), 0, trials)
    at_most = special.betainc(np.maximum(trials - k, 1), k + 1, 1 - chance)
    at_least = special.betainc(np.maximum(k, 1), trials - k + 1, chance)
    below = np.where(values >= trials, 1.0, np.where(values < 0, 0.0, at_most))
    above = np.where(values <= 0, 1.0, np.where(values > trials, 0.0, at_least))
    return below, above
