"""In which steps an example takes part, held against what the claim says of it, before each step is released.

Where steps share noise, what an example can move depends on how often it takes part and how far apart: the claim is
for at most so many steps, each a multiple of a number of steps after the last. A batch that breaks it ends the run.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpplan.accounting.pairs.correlated import pattern, says_steps
from dpplan.errors import TrainingStopped
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase

NEVER = -1


@dataclass(slots=True)
class ParticipationGuard:
    """Of the examples that this process draws from. most, apart: of one of them, as the accountant has it."""

    most: int
    apart: int
    examples: int
    unit: str = "example"
    broken: bool = False
    _last: NDArray[np.int64] = field(init=False)
    _counts: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        self._last = np.full(self.examples, NEVER, np.int64)
        self._counts = np.zeros(self.examples, np.int32)

    @classmethod
    def of(cls, phase: Phase, examples: int, unit: str = "example") -> "ParticipationGuard | None":
        """None where steps share no noise, and how often who takes part is for the law of the batches to say; nor where
        batches are drawn so that nothing is claimed of such noise."""
        if type(phase.mechanism) is Gaussian or not says_steps(phase.sampling):
            return None
        return cls(*pattern(phase), examples, unit)

    @property
    def law(self) -> str:
        return f"at most {self.most} steps of one {self.unit}, a multiple of {self.apart} apart"

    def drew(self, step: int, drawn: NDArray[np.int64]) -> None:
        """Raises TrainingStopped, before anything of the step is released, for a batch that no claim covers."""
        last = self._last[drawn]
        since = np.where(last == NEVER, self.apart, step - last)
        self._counts[drawn] += 1
        self._last[drawn] = step
        alone = len(np.unique(drawn)) == len(drawn)
        kept = bool(((since > 0) & (since % self.apart == 0)).all()) and bool((self._counts[drawn] <= self.most).all())
        if not (alone and kept):
            self.broken = True
            raise TrainingStopped(
                f"step {step + 1} would draw an {self.unit} out of turn: the claim is for {self.law}. It was not "
                "released."
            )
