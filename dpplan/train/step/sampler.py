"""How the batch of one step is drawn, from the sampling object that the accountant reads.

sampler = sampler_for(phase.sampling, examples, rng)
sampler.draw() -> indices           sampler.expected_batch -> the public denominator
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import NotApplicable
from dpplan.mechanism import kind_of
from dpplan.sampling import Poisson, Sampling

Indices = NDArray[np.int64]


class Sampler(Protocol):
    """Draws batches. A run may use only a scheme that an accountant can claim for."""

    @property
    def expected_batch(self) -> float:
        """The public number that a noisy sum is divided by. Never the size of a drawn batch."""
        ...

    def draw(self) -> Indices:
        """The examples of the next batch: distinct, in random order, possibly none.

        The order is part of the guarantee: because of it, removing an example from a batch amounts to moving the last
        one to its place, and leaves the arithmetic of all others alone. See `clipping.rules.ROUND_OFF`.
        """
        ...


@dataclass(frozen=True, slots=True)
class PoissonSampler:
    """Every example joins each batch with probability `sampling.sample_rate`, independently of all else.

    The gaps between the members of such a batch are geometric, so a batch costs O(q n) instead of n coin
    flips, and its size is Binomial(n, q) with no truncation. Batches are drawn on the host, so that a seed means
    the same batches on every device.

    held: how many of the examples are drawn from here, the others elsewhere; None: all of them.
    """

    sampling: Poisson
    examples: int
    rng: np.random.Generator
    held: int | None = None

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.examples)

    def draw(self) -> Indices:
        examples = self.examples if self.held is None else self.held
        mean = self.sampling.expected_batch(examples)
        enough = math.ceil(mean + 6 * math.sqrt(mean)) + 4  # one round of gaps reaches the end almost always
        members = np.empty(0, np.int64)
        last = -1
        while last < examples:
            gaps = self.rng.geometric(self.sampling.sample_rate, enough)
            # Past the end is past the end; keeps the running sum of huge gaps from overflowing. At least 1,
            # because numpy inverts an exponential that can, once in 2^53 draws, be exactly zero.
            round_ = last + np.cumsum(np.clip(gaps, 1, examples + 1))
            members = np.concatenate([members, round_])
            last = int(round_[-1])
        return self.rng.permutation(members[: np.searchsorted(members, examples)])


def sampler_for(sampling: Sampling, examples: int, rng: np.random.Generator, held: int | None = None) -> Sampler:
    """The sampler of this scheme over examples 0 .. examples - 1.

    held: how many of them this process draws from, as 0 .. held - 1, while others draw from the rest; None: all.
    """
    if type(sampling) is Poisson:  # a subclass may mean anything
        return PoissonSampler(sampling, examples, rng, held)
    raise NotApplicable(f"no sampler draws batches by sampling={kind_of(sampling)}.")
