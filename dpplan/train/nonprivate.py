"""The same model without privacy: the accuracy that privacy is compared to."""

from collections.abc import Iterator

import torch
from torch import nn

from dpplan.recipe import Training
from dpplan.train.data import Split
from dpplan.train.loop import optimizer_for
from dpplan.train.randomness import Randomness


def train_without_privacy(
    model: nn.Module, data: Split, training: Training, steps: int, randomness: Randomness
) -> Iterator[int]:
    """Trains on shuffled batches with neither clipping nor noise; yields the number of each step done.

    Batch size, number of steps and optimiser settings are those of the private run. Nothing about the result is
    private: it may not leave the place where the data lie.
    """
    optimizer = optimizer_for(training, list(model.parameters()))
    batch = max(1, round(training.batch_size))
    order = torch.empty(0, dtype=torch.int64)
    for step in range(1, steps + 1):
        if len(order) == 0:
            shuffled = randomness.weights.permutation(data.examples)
            order = torch.from_numpy(shuffled).to(data.targets.device)
        chosen, order = order[:batch], order[batch:]
        loss = nn.functional.cross_entropy(model(data.inputs[chosen]), data.targets[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield step
