"""The noise that was really added, held against the planned law: its size and, where steps share noise, how they do.

    ledger = noise_ledger_for(phase)
    ledger.saw(step, added, deviation)      # once per step, counted from 0
    ledger.agrees(level)

Correlated noise w is made independent again by the strategy that it came from, each coordinate by itself: the new part
of a step, given all steps before, has to be standard normal. Two things are tested of these parts, both by laws that
hold exactly: the sum of their squares is chi-square, and along the direction of what was added j steps before each is
one standard normal number, whatever that was, so that the sum of these is normal and that of their squares chi-square.
Noise of the right size whose steps are not tied as planned fails the first, noise with ties besides the others.

A right run fails with probability `level` at most, after any number of steps. After an interruption what was added
before is not known here: steps are passed over until what they share is.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, TreeAggregation, kind_of, multiplier_of
from dpplan.plan import Phase
from dpplan.train.exact_tests import chi_square_tail
from dpplan.train.strategy_rows import StrategyRows, rows_of
from dpplan.train.tree_weights import from_left, level_of, new

LAGS = 16  # steps back that are tested; noise lasts longer than that in vain where its bands are more

Innovation = tuple[Tensor, list[tuple[int, Tensor]]]  # what is new in a step; lag -> what it should not depend on


class Ties(Protocol):
    """How the noise of a step is made independent of that of all before."""

    @property
    def words(self) -> str:
        """In a few words."""
        ...

    def new_in(self, step: int, added: Tensor) -> Innovation | None:
        """From what was added in a step, in planned deviations, to one step after the other; linear in all of them.
        None where not all is known that the step shares noise with."""
        ...


class NoiseLedger(Protocol):
    """What is remembered of the noise of one process. Nothing but whether it agrees may leave."""

    @property
    def law(self) -> str:
        """What is planned, in a few words."""
        ...

    def saw(self, step: int, added: Tensor, deviation: float) -> None:
        """added: to a sum of this planned deviation. float64, on any device."""
        ...

    def agrees(self, level: float) -> bool: ...


@dataclass(slots=True)
class Squares:
    """The sum of squares of what should be standard normal numbers."""

    total: Tensor | None = None
    count: int = 0

    def add(self, squares: Tensor, count: int) -> None:
        self.total = squares if self.total is None else self.total + squares
        self.count += count

    def tail(self) -> float:
        return 1.0 if self.total is None else chi_square_tail(float(self.total), self.count)


@dataclass(slots=True)
class Normals:
    """What should be independent standard normal numbers: their sum, and that of their squares."""

    total: float | Tensor = 0.0
    squares: Squares = field(default_factory=Squares)

    def add(self, number: Tensor) -> None:
        self.total = self.total + number
        self.squares.add(number * number, 1)

    def tail(self) -> float:
        of_sum = math.erfc(abs(float(self.total)) / math.sqrt(2.0 * max(1, self.squares.count)))
        return min(1.0, 2 * min(of_sum, self.squares.tail()))


@dataclass(slots=True)
class IndependentNoise:
    """Drawn anew for each step: the sum of its squares is chi-square."""

    noise_multiplier: float
    _squares: Squares = field(default_factory=Squares)

    @property
    def law(self) -> str:
        return f"std {self.noise_multiplier:.6g} × sensitivity"

    def saw(self, step: int, added: Tensor, deviation: float) -> None:
        self._squares.add(torch.dot(added, added) / deviation**2, len(added))

    def agrees(self, level: float) -> bool:
        return self._squares.tail() > level


@dataclass(slots=True)
class TiedNoise:
    """Correlated noise: what is new in each step, and that it depends on nothing before."""

    noise_multiplier: float
    ties: Ties
    _squares: Squares = field(default_factory=Squares)
    _along: dict[int, "Normals"] = field(default_factory=dict)  # by lag

    @property
    def law(self) -> str:
        return f"std {self.noise_multiplier:.6g} × sensitivity of what is new, {self.ties.words}"

    def saw(self, step: int, added: Tensor, deviation: float) -> None:
        found = self.ties.new_in(step, added / deviation)
        if found is None:
            return
        fresh, before = found
        self._squares.add(torch.dot(fresh, fresh), len(fresh))
        for lag, earlier in before:
            self._along.setdefault(lag, Normals()).add(torch.dot(fresh, earlier) / torch.linalg.vector_norm(earlier))

    def agrees(self, level: float) -> bool:
        share = level / 2 / max(1, len(self._along))
        return self._squares.tail() > level / 2 and all(each.tail() > share for each in self._along.values())


@dataclass(slots=True)
class BandedTies:
    """Row t of C w."""

    rows: StrategyRows
    _last: list[Tensor] = field(default_factory=list)  # the latest first
    _first: int | None = None  # the step that was seen first

    @property
    def words(self) -> str:
        return f"tied over {self.rows.bands} bands"

    def new_in(self, step: int, added: Tensor) -> Innovation | None:
        self._first = step if self._first is None else self._first
        first, *others = self.rows.row(step)
        fresh = added * first
        known = step - self._first >= len(others)
        if known:
            for coefficient, earlier in zip(others, self._last, strict=True):
                fresh.add_(earlier, alpha=coefficient)
        before = list(enumerate(self._last[:LAGS], 1))
        kept = self.rows.bands - 1
        self._last = [added, *self._last[: kept - 1]] if kept else []
        return (fresh, before) if known else None


@dataclass(slots=True)
class TreeTies:
    """The sum over the block that a step completes, less what the halves on its left say of it (`tree_weights`)."""

    _blocks: dict[int, Tensor | None] = field(
        default_factory=dict
    )  # by level; None: began before the first that was seen
    _first: int | None = None

    @property
    def words(self) -> str:
        return "tied as in a tree"

    def new_in(self, step: int, added: Tensor) -> Innovation | None:
        if self._first is None:
            self._first = step
            self._blocks = {level: None for level in range(step.bit_length()) if step >> level & 1}
        level = level_of(step)
        lower = [self._blocks.pop(each) for each in range(level)]
        whole: Tensor | None = added
        fresh = added.clone()
        before = list[tuple[int, Tensor]]()
        for each, (weight, block) in enumerate(zip(from_left(level), lower, strict=True)):
            if block is None or whole is None:
                whole = None
                continue
            whole = whole + block
            fresh.add_(block, alpha=1.0 - weight)
            before.append((each, block))
        self._blocks[level] = whole
        return (fresh.div_(new(level)), before) if whole is not None else None


def ties_of(phase: Phase) -> Ties | None:
    """How the steps of this phase share noise; None where each draws its own. Raises NotApplicable for noise that
    nobody here could test."""
    mechanism = phase.mechanism
    if type(mechanism) is Gaussian:
        return None
    if type(mechanism) is TreeAggregation:
        return TreeTies()
    rows = rows_of(mechanism, phase.steps)
    if rows is not None:
        return BandedTies(rows)
    raise NotApplicable(f"no verdict is known for noise of mechanism={kind_of(mechanism)}.")


def noise_ledger_for(phase: Phase) -> NoiseLedger:
    """The ledger of this phase's noise. Raises NotApplicable for noise that nobody here could test."""
    ties, noise_multiplier = ties_of(phase), multiplier_of(phase.mechanism)
    return IndependentNoise(noise_multiplier) if ties is None else TiedNoise(noise_multiplier, ties)
