"""Whether an example adds to a real batch what it adds alone: it is done again, before anything of a step is released.

again = DoneAgain(engine, round_off)
again.start(device)                         # the generators are noted; then the batch is clipped and summed
again.check(made, portions, rule)           # TrainingStopped when the example counted for something else

Two ways, by what the engine is.

| engine                | done again                             | held against           | when                  |
|-----------------------|----------------------------------------|------------------------|-----------------------|
| one example at a time | first and last of the batch, after all | what each was before   | every step            |
| any other             | the first alone, and all without it    | the sum of the batch   | steps 1, 2, 4, 8, ... |

Which example that is goes by its place, never by what is in it. It draws the random numbers that it drew, and all
generators are then left as if nothing had been done again.

What it shows: for these examples, in this batch, the clipped gradient did not depend on what ran before or beside
them, wherever a model may have kept it: in objects, in the process's settings, in memory that it never filled, in
operators of torch's that were replaced. What it does not: that this holds for the other examples, at the steps
between (of engines that do not take one at a time), or of a model that tells the second time from the first. It stands
beside what isolation looks at, and in place of none of it.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dpplan.errors import TrainingStopped
from dpplan.train.clipping.engine_interface import ClippedSum, ClippingEngine
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.clipping.isolation.generator_states import GeneratorStates
from dpplan.train.clipping.rules import ClippingRule

# Of the sensitivity. The same float32 arithmetic on the same numbers, in the same rows, gives the same bits on most
# machines; where the order of its sums changes, about 1e-5. What an example does to another through a memory can be of
# the order of the sensitivity itself. A hundredth lies between the two; what is smaller than that is not met here.
# Where the arithmetic was found to be rougher, its margin is allowed twice: once in each of two sums.
TOLERANCE = 1e-2
DEPENDS = (
    "stopped: model: the gradient of an example depends on what ran before it or with it: done again, it is not what "
    "it was in its batch, so that no example's influence is bounded. Let the forward pass change nothing, read only "
    "its input and what the model holds, fill all memory that it makes (no torch.empty), and draw random numbers from "
    "torch's generators."
)

Portions = Callable[[], Iterable[tuple[Tensor, Tensor]]]  # inputs and targets of a batch, anew at every call


class DoneAgain:
    """Of one trainer, for all its steps."""

    def __init__(self, engine: ClippingEngine, round_off: float) -> None:
        self.engine, self.round_off = engine, round_off
        self.sums = 0

    def start(self, device: torch.device) -> None:
        """Before the batch is clipped."""
        self.sums += 1
        if isinstance(self.engine, OneAtATime):
            self.engine.ends.clear()
        elif self._due():
            self.before = GeneratorStates(device)

    def check(self, made: ClippedSum, portions: Portions, rule: ClippingRule) -> None:
        """After it. made: the sum of all portions. Raises TrainingStopped."""
        if isinstance(self.engine, OneAtATime):
            apart = self.engine.apart_again(rule)
        elif self._due() and made.facts.drawn:
            apart = self._apart(made, portions, rule)
        else:
            return
        allowed = max(TOLERANCE, 2 * self.round_off) * rule.sensitivity
        if not apart <= allowed:  # nor NaN
            raise TrainingStopped(DEPENDS)

    def _due(self) -> bool:
        """At 1, 2, 4, 8, ... of a session: of ten thousand steps at fourteen."""
        return self.sums & (self.sums - 1) == 0

    def _apart(self, made: ClippedSum, portions: Portions, rule: ClippingRule) -> float:
        """How far the whole sum is from the first example alone and all others without it, L2.

        All stand where they stood, with rows that are no examples in the places of those who are away.
        """
        total = torch.zeros_like(made.total)
        with self.before.once_more():
            for number, (inputs, targets) in enumerate(portions()):
                if number:
                    total += self.engine.clipped_sum(inputs, targets, rule).total
                    continue
                others, known = inputs.clone(), targets.clone()
                others[0], known[0] = 0, 0
                total += self.engine.clipped_sum(others, known, rule, first=False).total
        with self.before.once_more():
            inputs, targets = next(iter(portions()))
            total += self.engine.clipped_sum(inputs[:1], targets[:1], rule).total
        apart = float((made.total - total).norm())
        return apart if math.isfinite(apart) else math.inf
