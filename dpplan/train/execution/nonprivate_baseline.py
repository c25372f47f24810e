"""The same model without privacy: the accuracy that privacy is compared to."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from dpplan.train.data import Split
from dpplan.train.step.augmentation import Augmentation
from dpplan.train.step.optimizer import Optimization


def train_without_privacy(
    model: nn.Module,
    data: Split,
    batch_size: float,
    optimization: Optimization,
    augmentation: Augmentation | None,
    rng: np.random.Generator,
) -> Iterator[int]:
    """Trains on shuffled batches with neither clipping nor noise; yields the number of each step done.

    The steps are those that `optimization` was made for. Nothing about the result is private: it may not leave the
    place where the data lie.
    """
    batch = max(1, round(batch_size))
    order = torch.empty(0, dtype=torch.int64)
    while optimization.steps < optimization.planned:
        if len(order) == 0:
            order = torch.from_numpy(rng.permutation(data.examples)).to(data.targets.device)
        chosen, order = order[:batch], order[batch:]
        inputs, targets = data.inputs[chosen], data.targets[chosen]
        if augmentation:
            inputs = augmentation.apply(inputs, augmentation.draw(len(chosen))).reshape(-1, *inputs.shape[1:])
            targets = targets.repeat_interleave(augmentation.count)
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimization.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        optimization.follow()
        yield optimization.steps
