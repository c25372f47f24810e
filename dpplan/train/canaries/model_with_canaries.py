"""A model with canaries: examples whose gradient lies in one coordinate of their own, clipped like any other.

The flat input of a row ends with a number: 0 for an example of the data, k from 1 to the number of canaries for canary
k, and one more for a canary that was left out, whose gradient is zero: it is not there, as far as sums can tell.
"""

import torch
from torch import Tensor, nn

# How long a canary's gradient is, in clip norms: clipped in every step, and far above C where nothing clips.
LENGTH = 16.0


class WithCanaries(nn.Module):
    """`body`, and a parameter for each canary that moves nothing but its own logit's slope.

    A canary's logits are all 0 whatever its parameter is, so that its gradient is the same in every step: the slope of
    the first logit times 1 / classes, for every target but the first.
    """

    def __init__(self, body: nn.Module, shape: tuple[int, ...], classes: int, count: int, clip_norm: float) -> None:
        super().__init__()
        self.canaries = nn.Embedding(count + 2, 1)  # first, so that its gradients are the first of all
        self.body = body
        self.shape, self.classes, self.count = shape, classes, count
        self.slope = LENGTH * clip_norm * classes
        with torch.no_grad():
            self.canaries.weight.zero_()

    def forward(self, rows: Tensor) -> Tensor:
        number = rows[:, -1].long().clamp(0, self.count + 1)
        real = (number == 0).to(rows.dtype).unsqueeze(1)
        canary = ((number > 0) & (number <= self.count)).to(rows.dtype).unsqueeze(1)
        logits = self.body(rows[:, :-1].reshape(len(rows), *self.shape)) * real
        own = self.canaries(number)
        lean = self.slope * (own - own.detach()) * canary
        return logits + nn.functional.pad(lean, (0, self.classes - 1))
