"""Noise whose steps cancel in part: that of a strategy C, added to one clipped sum after the other as they come.

A run releases the noisy sums x + w, w = C⁻¹z with z independent, which tell no more than C·x + z does: one Gaussian
release of all steps, of deviation noise_multiplier × sensitivity, whose cost `accounting.pairs.correlated` knows. Here
w is made step by step, in units of that deviation, from the last few that were added: banded noise remembers as many
vectors as it has bands less one, a tree as many as its number of steps has binary digits.

A run that goes on has to remember what it added. None of it is written down: it is drawn once more, from the keys that
the run drew it from. Whoever reads a key can subtract the noise, so keys lie where only their owner reads them, and a
run that goes on draws from a new one: two copies of a run never add one noise to two sums.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dpplan.errors import NotApplicable
from dpplan.mechanism import TreeAggregation, kind_of, multiplier_of
from dpplan.plan import Phase
from dpplan.train.clipping import ClippedSum
from dpplan.train.step.box_muller import AddNormals, Uniforms, add_normals
from dpplan.train.strategy_rows import StrategyRows, rows_of
from dpplan.train.tree_weights import from_left, level_of, new

NOISE = 0x6E6F697365  # apart from what else is drawn of a key
Keys = Sequence[tuple[int, str]]  # from which step on, counted from 0, and the key, hexadecimal; the last one counts


class Memory(Protocol):
    """What was added before, and what follows from it."""

    def next(self, fresh: Tensor) -> Tensor:
        """w of the next step, from independent standard normals."""
        ...


class BandedMemory:
    """w_t = (z_t - Σ c_j w_{t-j}) / c_0 over the bands j = 1, 2, ...: row t of C w = z, solved for the last of w."""

    def __init__(self, rows: StrategyRows) -> None:
        self.rows, self.step = rows, 0
        self.last: list[Tensor] = []  # the latest first

    def next(self, fresh: Tensor) -> Tensor:
        first, *others = self.rows.row(self.step)
        self.step += 1
        for coefficient, before in zip(others, self.last, strict=True):
            fresh.sub_(before, alpha=coefficient)
        fresh.div_(first)
        kept = self.rows.bands - 1
        self.last = [fresh, *self.last[: kept - 1]] if kept else []
        return fresh


class TreeMemory:
    """w is what the estimate of all steps so far has more noise than that of all before, see `tree_weights`."""

    def __init__(self) -> None:
        self.step = 0
        self.blocks: dict[int, Tensor] = {}  # level -> noise of the estimate of the block of that size that stands last

    def next(self, fresh: Tensor) -> Tensor:
        level, self.step = level_of(self.step), self.step + 1
        block = fresh.mul_(new(level))
        added = block.clone()
        for weight, lower in zip(from_left(level), range(level), strict=True):
            known = self.blocks.pop(lower)
            block.add_(known, alpha=weight)
            added.add_(known, alpha=weight - 1.0)
        self.blocks[level] = block
        return added


class CorrelatedNoise:
    """Adds w × noise_multiplier × sensitivity to one clipped sum after the other.

    Guarantee: with exact arithmetic, the steps of a run together are one Gaussian mechanism on C·x, x the sums of all
    steps in units of what one example can move each of them by. That unit may follow from what was released before.

    rng: the system's generator, for noise that is never drawn once more; None for a generator of each key.
    """

    def __init__(self, phase: Phase, keys: Keys, adding: AddNormals = add_normals, rng: Uniforms | None = None) -> None:
        self.phase, self.keys, self.adding, self.rng = phase, sorted(dict(keys).items()), adding, rng
        self.noise_multiplier = multiplier_of(phase.mechanism)
        self.begun = 0
        self.skip_to(0)

    def add(self, clipped: ClippedSum) -> Tensor:
        """The noisy sum of the next step, of the size of `clipped.total`, float64."""
        while self.step < self.begun:  # those of earlier steps, which were added before this process began
            self._next(clipped.total)
        added = self._next(clipped.total)
        self.begun = self.step
        return clipped.total.add(added, alpha=self.noise_multiplier * clipped.sensitivity)

    def skip_to(self, step: int) -> None:
        """Goes on with this step, counted from 0, as if all noise before had been added."""
        self.step, self.begun = 0, step
        self.memory = memory_of(self.phase)
        self.drawing = self._generators()

    def _next(self, like: Tensor) -> Tensor:
        self.step += 1
        return self.memory.next(self.adding(torch.zeros_like(like), 1.0, next(self.drawing)))

    def _generators(self) -> Iterator[Uniforms]:
        """What each step draws from."""
        if self.rng is not None:
            yield from itertools.repeat(self.rng)
        ends = [start for start, _ in self.keys[1:]]
        for (start, key), end in itertools.zip_longest(self.keys, ends):
            rng = generator_of(key)
            yield from itertools.repeat(rng) if end is None else itertools.repeat(rng, end - start)


def memory_of(phase: Phase) -> Memory:
    """Before the first step. Raises NotApplicable for noise that nothing here makes."""
    mechanism = phase.mechanism
    if type(mechanism) is TreeAggregation:
        return TreeMemory()
    rows = rows_of(mechanism, phase.steps)
    if rows is not None:
        return BandedMemory(rows)
    raise NotApplicable(f"no trainer adds noise of mechanism={kind_of(mechanism)}.")


def generator_of(key: str) -> np.random.Generator:
    """What a run draws its noise from, for as long as it has this key."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(int(key, 16), spawn_key=(NOISE,))))
