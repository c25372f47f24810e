"""Who was drawn, held against the law of the scheme that is claimed: sizes of batches, and how often who joins.

    batches = ledger_for(phase.sampling, examples)
    batches.drew(step, drawn)                       # once per step; step counts from 0
    batches.sizes_agree(level), batches.counts_agree(level)

What is kept tells who was drawn, so it stays inside the process, and only whether it agrees leaves. A right run fails a
test with probability `level` at most, after any number of steps.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import NotApplicable
from dpplan.mechanism import kind_of
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle, TruncatedPoisson
from dpplan.train.exact_tests import binomial_sides, binomial_tail, distance_tail, overlap_tail, uniform_tail

Indices = NDArray[np.int64]
NEVER = -2


class BatchLedger(Protocol):
    """What is remembered of the batches of one process."""

    @property
    def law(self) -> str:
        """What the size of a batch and the count of an example should be, in a few words."""
        ...

    def drew(self, step: int, drawn: Indices) -> None: ...

    def sizes_agree(self, level: float) -> bool: ...

    def counts_agree(self, level: float) -> bool: ...


@dataclass(slots=True)
class SizePlaces:
    """Where each size stands in its law, given all before it: independent uniform numbers, if the law is right.

    A size has a stretch of the unit interval for its own; a number of a generator of its own, which has no part in the
    run, says where in it.
    """

    _places: list[float] = field(default_factory=list)
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, size: int, trials: int, chance: float, cap: int | None = None) -> None:
        """cap: larger sizes count as this one."""
        if cap is not None and size > cap:
            self._places.append(1.0)
            return
        upto, from_here = (float(side[0]) for side in binomial_sides(np.array([size]), trials, chance))
        upto = 1.0 if size == cap else upto
        self._places.append(1.0 - from_here + self._rng.random() * max(0.0, upto + from_here - 1.0))

    def tail(self) -> float:
        return uniform_tail(np.array(self._places))


@dataclass(slots=True)
class IndependentSteps:
    """Each step draws anew: given the sizes, each batch is a uniform subset of the examples.

    Poisson sampling with a limit or without, and batches of a fixed size. Tested: that nobody is in a batch twice; that
    batches which follow each other overlap as independent ones do, which those of an epoch cut from shuffled data do
    not at all; and each example's count, by its law.
    """

    sampling: Poisson | TruncatedPoisson | FixedSize
    examples: int
    _sizes: list[int] = field(default_factory=list)
    _overlap: int = 0
    _counts: NDArray[np.int32] = field(init=False)
    _last: NDArray[np.int32] = field(init=False)
    _begun: int = NEVER

    def __post_init__(self) -> None:
        self._counts = np.zeros(self.examples, np.int32)
        self._last = np.full(self.examples, NEVER, np.int32)

    @property
    def law(self) -> str:
        if isinstance(self.sampling, FixedSize):
            return f"{self.sampling.batch_size} of {self.examples}, each step anew"
        limit = f", at most {self.sampling.cap}" if isinstance(self.sampling, TruncatedPoisson) else ""
        return f"Binomial({self.examples}, {self.sampling.sample_rate:.4g}){limit}, each step anew"

    def drew(self, step: int, drawn: Indices) -> None:
        self._overlap += int((self._last[drawn] == step - 1).sum())
        self._counts[drawn] += 1
        self._last[drawn] = step
        self._sizes.append(len(drawn))

    def sizes_agree(self, level: float) -> bool:
        scheme = self.sampling
        if isinstance(scheme, FixedSize):
            return all(size == scheme.batch_size for size in self._sizes)
        if scheme.sample_rate == 1.0:
            most = min(self.examples, getattr(scheme, "cap", self.examples))
            return all(size == most for size in self._sizes)
        places, cap = SizePlaces(), getattr(scheme, "cap", None)
        for size in self._sizes:
            places.add(size, self.examples, scheme.sample_rate, cap)
        return places.tail() > level

    def counts_agree(self, level: float) -> bool:
        if int(self._counts.sum()) != sum(self._sizes):  # somebody was in a batch twice
            return False
        sizes = np.array(self._sizes, np.int64)
        if not len(sizes) or not self.examples:
            return True
        together = overlap_tail(self._overlap, sizes[:-1], sizes[1:] / self.examples)
        return min(together, self._spread()) > level / 2

    def _spread(self) -> float:
        """Of the counts. Without a limit examples are independent of each other; else no two are more than unlikely
        together, and the extremes are held against the sum of all chances."""
        steps = len(self._sizes)
        values, counts = np.unique(self._counts.astype(np.int64), return_counts=True)
        if isinstance(self.sampling, Poisson):
            return distance_tail(counts, *binomial_sides(values, steps, self.sampling.sample_rate))
        chances = np.array(self._sizes) / self.examples
        ones = np.ones(steps, np.int64)
        ends = (overlap_tail(int(value), ones, chances) for value in (values[0], values[-1]))
        return min(1.0, 2 * self.examples * min(ends))


@dataclass(slots=True)
class OncePerEpoch:
    """Each example joins one step of each epoch: shuffled batches, or a bin for each example.

    Tested: that nobody joins an epoch twice and nobody misses a whole one; that what is kept from epoch to epoch is all
    of it, or no more than a fresh draw keeps; and sizes, which are cut by place or else those of independent bins.
    """

    sampling: BallsInBins | Shuffle
    examples: int
    _bins: NDArray[np.int32] = field(init=False)
    _epochs: NDArray[np.int32] = field(init=False)
    _left: int | None = None  # of an epoch that was seen from its first step: who has not joined
    _before: dict[int, int] = field(default_factory=dict)  # sizes of the steps of the epoch before
    _kept: dict[int, int] = field(default_factory=dict)
    _looked_for: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    _places: SizePlaces = field(default_factory=SizePlaces)
    _first: int | None = None  # the first whole epoch
    _cut_wrong: bool = False
    _joined_wrong: bool = False

    def __post_init__(self) -> None:
        self._bins, self._epochs = (np.full(self.examples, NEVER, np.int32) for _ in range(2))

    @property
    def keeps(self) -> bool:
        """Whether the first epoch's draw serves for all."""
        return (self.sampling.order if isinstance(self.sampling, Shuffle) else self.sampling.bins) in ("once", "same")

    @property
    def law(self) -> str:
        how = "cut in order" if isinstance(self.sampling, Shuffle) else "in bins"
        drawn = "drawn once" if self.keeps else "drawn each epoch"
        return f"{self.examples} over {self.sampling.steps_per_epoch} steps, {how}, {drawn}"

    def drew(self, step: int, drawn: Indices) -> None:
        per_epoch = self.sampling.steps_per_epoch
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            self._left = self.examples
            self._first = epoch if self._first is None else self._first
        self._size(epoch, place, len(drawn))
        last, there = self._epochs[drawn], self._bins[drawn] == place
        self._joined_wrong |= bool((last == epoch).any()) or len(np.unique(drawn)) < len(drawn)
        if self.keeps:
            known = last == epoch - 1
            self._joined_wrong |= bool((known & ~there).any())
        elif place in self._before:
            looked = self._looked_for.setdefault(place, [])
            looked.append((self._before[place], len(drawn) / self.examples))
            self._kept[place] = self._kept.get(place, 0) + int(((last == epoch - 1) & there).sum())
        self._before[place] = len(drawn)
        self._epochs[drawn], self._bins[drawn] = epoch, place
        if self._left is not None:
            self._left -= len(drawn)
            self._joined_wrong |= place == per_epoch - 1 and self._left != 0

    def _size(self, epoch: int, place: int, size: int) -> None:
        """Cut by place; or, given those before it in its epoch, binomial."""
        per_epoch = self.sampling.steps_per_epoch
        if isinstance(self.sampling, Shuffle):
            cut = self.examples * (place + 1) // per_epoch - self.examples * place // per_epoch
            self._cut_wrong |= size != cut
        elif self._left is not None and place < per_epoch - 1 and (not self.keeps or epoch == self._first):
            self._places.add(size, max(self._left, 0), 1.0 / (per_epoch - place))

    def sizes_agree(self, level: float) -> bool:
        return not self._cut_wrong and self._places.tail() > level

    def counts_agree(self, level: float) -> bool:
        """Given both sizes, a step shares with that of the epoch before what two uniform subsets share."""
        if self._joined_wrong:
            return False
        for place, looked in self._looked_for.items():
            taken, chances = np.array([each for each, _ in looked], np.int64), np.array([each for _, each in looked])
            if overlap_tail(self._kept[place], taken, chances) <= level / self.sampling.steps_per_epoch:
                return False
        return True


@dataclass(slots=True)
class GroupTurns:
    """Groups that take turns. Tested: that an example joins at the turns of one group only, by place of its own; sizes
    by the group's law where the groups are known, and each example's count where it draws its group."""

    sampling: CyclicPoisson
    examples: int
    _counts: NDArray[np.int32] = field(init=False)
    _groups: NDArray[np.int32] = field(init=False)
    _places: SizePlaces = field(default_factory=SizePlaces)
    _steps: list[int] = field(default_factory=list)
    _drawn: int = 0
    _out_of_turn: bool = False

    def __post_init__(self) -> None:
        self._counts = np.zeros(self.examples, np.int32)
        self._groups = np.full(self.examples, NEVER, np.int32)

    @property
    def law(self) -> str:
        return f"rate {self.sampling.sample_rate:.4g} in {self.sampling.groups} groups by turns"

    def drew(self, step: int, drawn: Indices) -> None:
        turn, groups = step % self.sampling.groups, self.sampling.groups
        if self.sampling.assignment == "place":
            self._out_of_turn |= bool((drawn % groups != turn).any())
            self._places.add(len(drawn), len(range(turn, self.examples, groups)), self.sampling.sample_rate)
        else:
            known = self._groups[drawn]
            self._out_of_turn |= bool(((known != NEVER) & (known != turn)).any())
            self._groups[drawn] = turn
        self._counts[drawn] += 1
        self._drawn += len(drawn)
        self._steps.append(step)

    def sizes_agree(self, level: float) -> bool:
        if self.sampling.assignment == "place":
            return self.sampling.sample_rate == 1.0 or self._places.tail() > level
        turns, further = divmod(len(self._steps), self.sampling.groups)
        return further > 0 or binomial_tail(self._drawn, self.examples * turns, self.sampling.sample_rate) > level

    def counts_agree(self, level: float) -> bool:
        if self._out_of_turn or int(self._counts.sum()) != self._drawn:
            return False
        if self.sampling.assignment == "place" or not self._steps:
            return True
        # A group of its own draw has one turn more with this chance, and each turn is a coin.
        turns, further = divmod(len(self._steps), self.sampling.groups)
        more = further / self.sampling.groups
        values, counts = np.unique(self._counts.astype(np.int64), return_counts=True)
        fewer, longer = (binomial_sides(values, each, self.sampling.sample_rate) for each in (turns, turns + 1))
        sides = [(1 - more) * few + more * many for few, many in zip(fewer, longer, strict=True)]
        return distance_tail(counts, sides[0], sides[1]) > level


def ledger_for(sampling: Sampling, examples: int) -> BatchLedger:
    """The ledger of this scheme, by exact type: a subclass may mean anything."""
    if type(sampling) in (Poisson, TruncatedPoisson, FixedSize):
        return IndependentSteps(sampling, examples)  # type: ignore[arg-type]
    if type(sampling) in (BallsInBins, Shuffle):
        return OncePerEpoch(sampling, examples)  # type: ignore[arg-type]
    if type(sampling) is CyclicPoisson:
        return GroupTurns(sampling, examples)
    raise NotApplicable(f"no verdict is known for batches by sampling={kind_of(sampling)}.")
