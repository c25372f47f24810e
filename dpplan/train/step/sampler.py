"""How the batch of one step is drawn, from the sampling object that the accountant reads.

sampler = sampler_for(phase.sampling, examples, rng)
sampler.draw() -> indices           sampler.expected_batch -> the public denominator

Where steps depend on each other, what they share is drawn from a key of the run and the number of the epoch. So a run
goes on in the epoch that it was in, at the step after the last that was begun. Whoever knows the key knows when an
example is in a batch, and the claim rests on nobody knowing: it lies in a file that only its owner reads, and goes when
the run is over.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import NotApplicable
from dpplan.mechanism import kind_of
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle, TruncatedPoisson

Indices = NDArray[np.int64]
State = Mapping[str, Any]


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

    def skip_to(self, step: int) -> None:
        """Goes on with this step, counted from 0: those before were begun, whether or not they are in the model."""
        ...

    def state(self) -> dict[str, Any]:
        """What the next batches depend on besides the generator, in numbers and words."""
        ...

    def restore(self, state: State) -> None:
        """Goes on from such a state."""
        ...


class DrawnAnew:
    """The part that samplers share which keep nothing from step to step."""

    __slots__ = ()

    def skip_to(self, step: int) -> None:
        pass

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: State) -> None:
        pass


@dataclass(frozen=True, slots=True)
class PoissonSampler(DrawnAnew):
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
        return drawn_by_coins(self.rng, self.sampling.sample_rate, examples)


def drawn_by_coins(rng: np.random.Generator, rate: float, examples: int) -> Indices:
    """Each of so many examples by a coin of its own, in random order, at the cost of those that are drawn."""
    mean = rate * examples
    enough = math.ceil(mean + 6 * math.sqrt(mean)) + 4  # one round of gaps reaches the end almost always
    members = np.empty(0, np.int64)
    last = -1
    while last < examples:
        gaps = rng.geometric(rate, enough)
        # Past the end is past the end; keeps the running sum of huge gaps from overflowing. At least 1,
        # because numpy inverts an exponential that can, once in 2^53 draws, be exactly zero.
        round_ = last + np.cumsum(np.clip(gaps, 1, examples + 1))
        members = np.concatenate([members, round_])
        last = int(round_[-1])
    return rng.permutation(members[: np.searchsorted(members, examples)])


@dataclass(frozen=True, slots=True)
class TruncatedPoissonSampler(DrawnAnew):
    """A Poisson batch stands in random order, so its first `cap` are a uniform subset of those drawn."""

    sampling: TruncatedPoisson
    rng: np.random.Generator
    expected_batch: float  # computed once: a sum over the law

    def draw(self) -> Indices:
        return drawn_by_coins(self.rng, self.sampling.sample_rate, self.sampling.examples)[: self.sampling.cap]


@dataclass(frozen=True, slots=True)
class FixedSizeSampler(DrawnAnew):
    """Each batch is a uniform subset of its size, in random order, drawn anew."""

    sampling: FixedSize
    rng: np.random.Generator

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.sampling.examples)

    def draw(self) -> Indices:
        return self.rng.choice(self.sampling.examples, self.sampling.batch_size, replace=False).astype(np.int64)


@dataclass(slots=True)
class EpochSampler:
    """Batches that an epoch is dealt into: shuffled data cut by place, or a bin for each example, drawn at its start.

    Shuffled batches differ in size by one at most. What is drawn once or kept serves for all epochs.
    """

    sampling: BallsInBins | Shuffle
    examples: int
    rng: np.random.Generator
    key: str
    _step: int = 0
    _epoch: int = -1  # whose order this is
    _order: Indices = field(default_factory=lambda: np.empty(0, np.int64))  # the examples, batch by batch
    _ends: Indices = field(default_factory=lambda: np.empty(0, np.int64))  # of the batches, in that order

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.examples)

    @property
    def _keeps(self) -> bool:
        return (self.sampling.order if isinstance(self.sampling, Shuffle) else self.sampling.bins) in ("once", "same")

    def draw(self) -> Indices:
        epoch, place = divmod(self._step, self.sampling.steps_per_epoch)
        epoch = 0 if self._keeps else epoch
        if epoch != self._epoch:
            self._order, self._ends = self._dealt(of_epoch(self.key, epoch))
            self._epoch = epoch
        self._step += 1
        start = int(self._ends[place - 1]) if place else 0
        return self.rng.permutation(self._order[start : int(self._ends[place])])

    def _dealt(self, rng: np.random.Generator) -> tuple[Indices, Indices]:
        steps = self.sampling.steps_per_epoch
        if isinstance(self.sampling, Shuffle):
            return rng.permutation(self.examples), np.arange(1, steps + 1) * self.examples // steps
        bins = rng.integers(steps, size=self.examples)
        return np.argsort(bins, kind="stable"), np.cumsum(np.bincount(bins, minlength=steps))

    def skip_to(self, step: int) -> None:
        self._step = step

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "key": self.key}

    def restore(self, state: State) -> None:
        self._step, self.key, self._epoch = state["step"], state["key"], -1


@dataclass(slots=True)
class CyclicPoissonSampler:
    """Poisson sampling in the group whose turn it is: every `groups`-th example by place, or those that drew it."""

    sampling: CyclicPoisson
    examples: int
    rng: np.random.Generator
    key: str
    _step: int = 0
    _order: Indices = field(init=False)  # the examples, group by group
    _ends: Indices = field(init=False)  # of the groups, in that order

    def __post_init__(self) -> None:
        count, groups = self.sampling.groups, np.arange(self.examples) % self.sampling.groups
        if self.sampling.assignment == "own":
            groups = of_epoch(self.key, 0).integers(count, size=self.examples)
        self._order = np.argsort(groups, kind="stable")
        self._ends = np.cumsum(np.bincount(groups, minlength=count))

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.examples)

    def draw(self) -> Indices:
        turn = self._step % self.sampling.groups
        self._step += 1
        start, end = int(self._ends[turn - 1]) if turn else 0, int(self._ends[turn])
        return self._order[start + drawn_by_coins(self.rng, self.sampling.sample_rate, end - start)]

    def skip_to(self, step: int) -> None:
        self._step = step

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "key": self.key}

    def restore(self, state: State) -> None:
        self._step, self.key = state["step"], state["key"]
        self.__post_init__()


def of_epoch(key: str, epoch: int) -> np.random.Generator:
    """The generator of what the steps of an epoch share. Each epoch has one of its own, whoever asks and when."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(int(key, 16), spawn_key=(epoch,))))


def begins_anew(sampling: Sampling) -> bool:
    """Whether each step draws anew, so that a run may go on without what was drawn before."""
    return type(sampling) in (Poisson, TruncatedPoisson, FixedSize)


def in_parts(sampling: Sampling) -> bool:
    """Whether drawing from each part of the data is drawing from all of them. Otherwise every process that shares a
    run draws the same whole batch and takes its part of it."""
    return type(sampling) is Poisson


def sampler_for(
    sampling: Sampling, examples: int, rng: np.random.Generator, held: int | None = None, key: str = ""
) -> Sampler:
    """The sampler of this scheme over examples 0 .. examples - 1.

    held: how many of them this process draws from, as 0 .. held - 1, while others draw from the rest; None: all. key:
    hexadecimal, of what steps share; "" takes one from the generator.
    """
    key = key or rng.bytes(16).hex()
    if type(sampling) is Poisson:  # a subclass may mean anything
        return PoissonSampler(sampling, examples, rng, held)
    if held not in (None, examples):
        raise NotApplicable(
            f"sampling={kind_of(sampling)} draws from all {examples} examples, not from {held} of them."
        )
    if type(sampling) in (TruncatedPoisson, FixedSize):
        own = int(getattr(sampling, "examples", examples))
        if own != examples:
            raise NotApplicable(f"sampling={kind_of(sampling)} draws from {own} examples, and there are {examples}.")
    if type(sampling) is TruncatedPoisson:
        return TruncatedPoissonSampler(sampling, rng, sampling.expected_batch(examples))
    if type(sampling) is FixedSize:
        return FixedSizeSampler(sampling, rng)
    if type(sampling) in (BallsInBins, Shuffle):
        return EpochSampler(sampling, examples, rng, key)  # type: ignore[arg-type]
    if type(sampling) is CyclicPoisson:
        return CyclicPoissonSampler(sampling, examples, rng, key)
    raise NotApplicable(f"no sampler draws batches by sampling={kind_of(sampling)}.")


def resume_refusal(sampling: Sampling) -> str:
    """Why a run of this scheme cannot go on that has lost the key of what its steps share."""
    return (
        f"sampling={kind_of(sampling)} decides for several steps at once who joins which, and the file draws.key, "
        "which knows how, is not there or not whole. The run cannot go on."
    )
