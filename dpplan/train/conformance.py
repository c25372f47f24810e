"""What was realised against what was planned, measured where batches are drawn and noise is added.

    statistics = StepStatistics(phase, examples, held)
    statistics.drew(step, drawn)                                # once per step, before
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
from torch import Tensor

from dpplan.checks import show
from dpplan.mechanism import multiplier_of
from dpplan.plan import Phase
from dpplan.sampling import Binomial, Poisson
from dpplan.train.added_noise import NoiseLedger, noise_ledger_for
from dpplan.train.batch_conformance import BatchLedger, Indices, ledger_for
from dpplan.train.exact_tests import binomial_tail, spread_tail
from dpplan.train.participation_guard import ParticipationGuard

LEVEL = 1e-6
TESTS = 5  # mean and spread of batch sizes, empty batches, counts of examples, noise; each two-sided


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
    """Batches, and the noise in planned standard deviations. Neither may leave.

    held: how many of the examples this process draws from, where several share a run; None: all. unit: what is drawn,
    example or user.
    """

    phase: Phase
    examples: int
    held: int | None = None
    unit: str = "example"
    _ledger: BatchLedger | None = None
    _guard: ParticipationGuard | None = None
    _noise: NoiseLedger | None = None
    _step: int = -1  # of the last batch
    _sizes: list[int] = field(default_factory=list)
    _denominators: set[float] = field(default_factory=set)

    def drew(self, step: int, drawn: Indices) -> None:
        """drawn: whom this process drew in this step, counted from 0. Raises TrainingStopped where that breaks what a
        claim for correlated noise says of them."""
        if self._ledger is None:
            examples = self.examples if self.held is None else self.held
            self._ledger = ledger_for(self.phase.sampling, examples)
            self._guard = ParticipationGuard.of(self.phase, examples, self.unit)
        self._ledger.drew(step, drawn)
        self._step = step
        if self._guard is not None:
            self._guard.drew(step, drawn)

    def saw(self, size: int, denominator: float, sensitivity: float, added: Tensor) -> None:
        """added: what was added to a sum of this sensitivity, whatever was meant to be. float64, on any device."""
        self._sizes.append(size)
        self._denominators.add(denominator)
        if self._noise is None:
            self._noise = noise_ledger_for(self.phase)
        step = self._step if self._ledger is not None else len(self._sizes) - 1
        self._noise.saw(step, added, multiplier_of(self.phase.mechanism) * sensitivity)

    @property
    def releases(self) -> int:
        """How many sums were released by this process."""
        return len(self._sizes)

    @property
    def expected_batch(self) -> float:
        return self.phase.sampling.expected_batch(self.examples)

    @property
    def _law(self) -> Binomial:
        return self.phase.sampling.batch_law(self.examples)

    def measurements(self) -> Iterator[Measurement]:
        """Of the steps of this process; nothing is known about those before an interruption."""
        steps = len(self._sizes)
        if self._guard is not None and (steps or self._guard.broken):
            yield Measurement("participation", self._guard.law, None, not self._guard.broken, covered=False)
        if not steps or self._noise is None:
            return
        tested = f"tested at {show(LEVEL)}, {steps} step{'s' if steps > 1 else ''}"
        if type(self.phase.sampling) is Poisson:
            law = self._law
            yield Measurement("batch sizes", f"{law}, {tested}", None, self._sizes_agree(), covered=False)
            empty = f"probability {law.chance_of_none:.3g}, {tested}"
            yield Measurement("empty batches", empty, None, self._empty_agree(), covered=False)
        elif self._ledger is not None:
            agrees = self._ledger.sizes_agree(LEVEL / TESTS)
            yield Measurement("batch sizes", f"{self._ledger.law}, {tested}", None, agrees, covered=False)
        if self._ledger is not None:
            agrees = self._ledger.counts_agree(LEVEL / TESTS)
            yield Measurement(f"{self.unit} counts", f"{self._ledger.law}, {tested}", None, agrees, covered=False)
        agrees = self._noise.agrees(LEVEL / TESTS)
        yield Measurement("noise", f"{self._noise.law}, {tested}", None, agrees, covered=False)
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
