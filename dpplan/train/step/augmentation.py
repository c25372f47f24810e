"""Augmentation multiplicity: several random views of an example, whose gradients are averaged before clipping.

The privacy unit stays the example: however many views it has, one clipped vector of it enters the sum, so views cost
time and no epsilon (De et al. 2022, arXiv 2204.13650, §3.2).

    moves = augmentation.draw(len(batch))       # for a whole batch, so that pieces of any size see the same views
    augmentation.apply(inputs, moves)           # (n, *image) -> (n, views, *image)
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from dpplan.errors import RecipeError
from dpplan.recipe import Training


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Images moved by up to an eighth of their side in each direction, mirrored at the border; and flipped, if asked.

    An eighth is the usual padding of 4 for images of 32 x 32.
    """

    count: int
    flip: bool
    shape: tuple[int, int, int]
    rng: np.random.Generator

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels, down and right."""
        return self.shape[1] // 8, self.shape[2] // 8

    def draw(self, examples: int) -> Tensor:
        """(examples, views, 3): how far down, how far right, and whether flipped."""
        down, right = self.reach
        high = np.array([2 * down + 1, 2 * right + 1, 2 if self.flip else 1])
        return torch.from_numpy(self.rng.integers(0, high, size=(examples, self.count, 3)))

    def apply(self, inputs: Tensor, moves: Tensor) -> Tensor:
        """The views of each image: (n, views, *shape), or (n, *shape) when there is one of each."""
        down, right = self.reach
        _, height, width = self.shape
        moves = moves.to(inputs.device, non_blocking=True)
        padded = pad(inputs, (right, right, down, down), mode="reflect")
        rows = moves[..., 0, None] + torch.arange(height, device=inputs.device)
        columns = moves[..., 1, None] + torch.arange(width, device=inputs.device)
        columns = torch.where(moves[..., 2, None] == 1, columns.flip(-1), columns)
        example = torch.arange(len(inputs), device=inputs.device).view(-1, 1, 1, 1)
        found = padded[example, :, rows.unsqueeze(3), columns.unsqueeze(2)]  # (n, views, height, width, channels)
        found = found.movedim(-1, 2)
        return found if self.count > 1 else found.squeeze(1)


def augmentation_for(training: Training, shape: torch.Size, rng: np.random.Generator) -> Augmentation | None:
    """The views that a recipe asks for, None when it asks for none. shape: of one example."""
    if training.augment is None:
        return None
    if len(shape) != 3:
        raise RecipeError(
            f"training.augment={training.augment} needs images; these examples have shape {tuple(shape)}."
        )
    return Augmentation(training.views, training.augment == "flip-shift", (shape[0], shape[1], shape[2]), rng)
