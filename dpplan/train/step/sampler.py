"""How the batch of one step is drawn, from the sampling object that the accountant reads.

sampler = sampler_for(phase.sampling, examples, rng)
sampler.draw() -> indices           sampler.expected_batch -> the public denominator

Where the steps of an epoch depend on each other a sampler keeps what it drew for all of them. Whoever knows that knows
when an example is in a batch, and the claim rests on nobody knowing; so only seeded runs write it down.
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

    def state(self) -> dict[str, Any]:
        """What the next batches depend on besides the generator, in numbers and lists."""
        ...

    def restore(self, state: State) -> None:
        """Goes on from such a state."""
        ...


class DrawnAnew:
    """The part that samplers share which keep nothing from step to step."""

    __slots__ = ()

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
    _step: int = 0
    _order: Indices | None = None  # the examples, batch by batch
    _ends: Indices = field(default_factory=lambda: np.empty(0, np.int64))  # of the batches, in that order

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.examples)

    @property
    def _keeps(self) -> bool:
        return (self.sampling.order if isinstance(self.sampling, Shuffle) else self.sampling.bins) in ("once", "same")

    def draw(self) -> Indices:
        place = self._step % self.sampling.steps_per_epoch
        if self._order is None or (place == 0 and not self._keeps):
            self._order, self._ends = self._dealt()
        self._step += 1
        start = int(self._ends[place - 1]) if place else 0
        return self.rng.permutation(self._order[start : int(self._ends[place])])

    def _dealt(self) -> tuple[Indices, Indices]:
        steps = self.sampling.steps_per_epoch
        if isinstance(self.sampling, Shuffle):
            return self.rng.permutation(self.examples), np.arange(1, steps + 1) * self.examples // steps
        bins = self.rng.integers(steps, size=self.examples)
        return np.argsort(bins, kind="stable"), np.cumsum(np.bincount(bins, minlength=steps))

    def state(self) -> dict[str, Any]:
        order = None if self._order is None else self._order.tolist()
        return {"step": self._step, "order": order, "ends": self._ends.tolist()}

    def restore(self, state: State) -> None:
        self._step = state["step"]
        self._order = None if state["order"] is None else np.array(state["order"], np.int64)
        self._ends = np.array(state["ends"], np.int64)


@dataclass(slots=True)
class CyclicPoissonSampler:
    """Poisson sampling in the group whose turn it is: every `groups`-th example by place, or those that drew it."""

    sampling: CyclicPoisson
    examples: int
    rng: np.random.Generator
    _step: int = 0
    _groups: Indices = field(default_factory=lambda: np.empty(0, np.int64))  # of each example, where it draws its own
    _order: Indices = field(init=False)  # the examples, group by group
    _ends: Indices = field(init=False)  # of the groups, in that order

    def __post_init__(self) -> None:
        groups, own = self.sampling.groups, self.sampling.assignment == "own"
        self._sort(self.rng.integers(groups, size=self.examples) if own else np.arange(self.examples) % groups)

    def _sort(self, groups: Indices) -> None:
        self._groups, self._order = groups, np.argsort(groups, kind="stable")
        self._ends = np.cumsum(np.bincount(groups, minlength=self.sampling.groups))

    @property
    def expected_batch(self) -> float:
        return self.sampling.expected_batch(self.examples)

    def draw(self) -> Indices:
        turn = self._step % self.sampling.groups
        self._step += 1
        start, end = int(self._ends[turn - 1]) if turn else 0, int(self._ends[turn])
        return self._order[start + drawn_by_coins(self.rng, self.sampling.sample_rate, end - start)]

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "groups": self._groups.tolist()}

    def restore(self, state: State) -> None:
        self._step = state["step"]
        self._sort(np.array(state["groups"], np.int64))


def begins_anew(sampling: Sampling) -> bool:
    """Whether each step draws anew, so that a run may go on, or be shared, without what was drawn before."""
    return type(sampling) in (Poisson, TruncatedPoisson, FixedSize)


def sampler_for(sampling: Sampling, examples: int, rng: np.random.Generator, held: int | None = None) -> Sampler:
    """The sampler of this scheme over examples 0 .. examples - 1.

    held: how many of them this process draws from, as 0 .. held - 1, while others draw from the rest; None: all.
    """
    if type(sampling) is Poisson:  # a subclass may mean anything
        return PoissonSampler(sampling, examples, rng, held)
    if held not in (None, examples):
        raise NotApplicable(shared_refusal(sampling))
    if type(sampling) in (TruncatedPoisson, FixedSize):
        own = int(getattr(sampling, "examples", examples))
        if own != examples:
            raise NotApplicable(f"sampling={kind_of(sampling)} draws from {own} examples, and there are {examples}.")
    if type(sampling) is TruncatedPoisson:
        return TruncatedPoissonSampler(sampling, rng, sampling.expected_batch(examples))
    if type(sampling) is FixedSize:
        return FixedSizeSampler(sampling, rng)
    if type(sampling) in (BallsInBins, Shuffle):
        return EpochSampler(sampling, examples, rng)  # type: ignore[arg-type]
    if type(sampling) is CyclicPoisson:
        return CyclicPoissonSampler(sampling, examples, rng)
    raise NotApplicable(f"no sampler draws batches by sampling={kind_of(sampling)}.")


def shared_refusal(sampling: Sampling) -> str:
    """Why several processes cannot share a run of this scheme."""
    return (
        f"sampling={kind_of(sampling)} is drawn in one process: each of several draws from its own part of the data, "
        "and only Poisson sampling is the same drawn in parts. Start without torchrun, or use sampling: poisson."
    )


def resume_refusal(sampling: Sampling) -> str:
    """Why a run of this scheme without a seed cannot go on."""
    return (
        f"sampling={kind_of(sampling)} decides for several steps at once who joins which, and a run without a seed "
        "keeps no record of that: whoever read it would know who is in a batch. The run cannot go on."
    )
