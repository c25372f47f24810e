"""What a clipping engine takes in and gives out: pieces of a batch, and a sum that knows its sensitivity."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.losses import filled_up


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What was seen while clipping. Computed from private data without noise: not covered by any epsilon.

    drawn: examples in the batch. seen: four numbers on the device, so that reading them can wait until the end of an
    epoch: how many were dropped, how many shortened, how many classified right, and the sum of the losses.
    """

    drawn: int
    seen: Tensor

    @property
    def dropped(self) -> Tensor:
        """Examples whose gradient is not finite; they were left out."""
        return self.seen[0]

    @property
    def clipped(self) -> Tensor:
        """Examples whose gradient was shortened."""
        return self.seen[1]

    @property
    def correct(self) -> Tensor:
        """Examples classified right."""
        return self.seen[2]

    @property
    def loss(self) -> Tensor:
        """The sum over the examples that were not dropped."""
        return self.seen[3]

    def __add__(self, other: "BatchFacts") -> "BatchFacts":
        return BatchFacts(self.drawn + other.drawn, self.seen.to(other.seen.device, non_blocking=True) + other.seen)

    @classmethod
    def none(cls) -> "BatchFacts":
        return cls(0, torch.zeros(4, dtype=torch.float64))


@dataclass(frozen=True, slots=True)
class ClippedSum:
    """total: the sum of clipped gradients, then the numbers that the rule releases with it; float64.

    sensitivity: adding or removing any one example moves `total` by at most this much (L2).
    """

    total: Tensor
    sensitivity: float
    facts: BatchFacts

    def __add__(self, other: "ClippedSum") -> "ClippedSum":
        """The sum over both batches, which share no example: one example moves one of the two."""
        sensitivity = max(self.sensitivity, other.sensitivity)
        return ClippedSum(self.total + other.total, sensitivity, self.facts + other.facts)


class ClippingEngine(Protocol):
    """Bounds each example's influence on the summed gradient."""

    size: int  # numbers in one gradient: all parameters that are trained
    watched: bool  # whether facts are gathered; without it, they say nothing
    half: bool  # whether the model runs in bfloat16, see `precision`

    def clipped_sum(self, inputs: Tensor, targets: Tensor, rule: ClippingRule, first: bool = True) -> ClippedSum:
        """The sum over the examples (n, ...) with targets (n,); n = 0 gives zeros. Of users: `losses.of_users`.

        first: whether the first row is an example; where it is none, it only keeps the others in their places.
        """
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """`physical_batch` rows of a batch. Rows where `mask` is False fill it up and are no examples; None: none do."""

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None

    def rows(self, views: int) -> Tensor:
        """Inputs as a model takes them: the views of an example are neighbouring rows."""
        return self.inputs if views == 1 else self.inputs.flatten(0, 1)


def pieces(inputs: Tensor, targets: Tensor, size: int, first: bool = True) -> Iterator[Piece]:
    """The batch cut into pieces of `size` rows, the last one filled up.

    Every piece has the same shape, so that an example meets the same arithmetic wherever it stands, as far as the
    machine lets it (see `floating_point_trial`), memory is flat, and a compiled step is compiled once. No draw is ever
    shortened. first: whether the first row is an example.
    """
    for start in range(0, len(inputs), size):
        x, y = inputs[start : start + size], targets[start : start + size]
        missing, mask = size - len(x), None
        if missing:
            mask = torch.arange(size, device=x.device) < len(x)
            x, y = filled_up(x, missing), filled_up(y, missing)
        if start == 0 and not first:
            rows = torch.arange(size, device=x.device)
            mask = (rows > 0) & (rows < size - missing)
        yield Piece(x, y, mask)
