"""One private step, many times: sample, clip and sum, add noise, divide by a public constant, update."""

import torch
from torch import Tensor, nn

from dpplan.plan import Phase
from dpplan.recipe import Recipe, Training
from dpplan.train.data import Split
from dpplan.train.noise import GaussianNoise
from dpplan.train.privatize import BatchFacts, engine_for
from dpplan.train.randomness import Randomness
from dpplan.train.sampler import sampler_for


class Trainer:
    """Takes the steps of `phase` on `model`, and counts them.

    Guarantee: the parameters after k calls of `step` come from k releases of `phase.mechanism`, each on a batch
    drawn by `phase.sampling`, and from nothing else that looked at `data`. An empty batch is a step like any
    other: its sum is zero and noise is added all the same.
    """

    def __init__(self, model: nn.Module, data: Split, phase: Phase, recipe: Recipe, randomness: Randomness) -> None:
        self.data = data
        self.parameters = list(model.parameters())
        self.sampler = sampler_for(phase.sampling, data.examples, randomness.sampling)
        self.engine = engine_for(model, recipe.privacy, recipe.runtime, data.examples)
        self.noise = GaussianNoise(phase.mechanism, randomness.noise)
        self.optimizer = optimizer_for(recipe.training, self.parameters)
        self.steps = 0
        self.empty_batches = 0

    def step(self) -> BatchFacts:
        """One release. What it returns is private: it was seen without noise."""
        drawn = torch.from_numpy(self.sampler.draw()).to(self.data.targets.device)
        clipped = self.engine.clipped_sum(self.data.inputs[drawn], self.data.targets[drawn])
        self.steps += 1
        self.empty_batches += len(drawn) == 0
        self._update(self.noise.add(clipped) / self.sampler.expected_batch)
        return clipped.facts

    def finite(self) -> bool:
        """Whether every parameter is a number. Parameters are covered by epsilon, so asking costs nothing."""
        return all(bool(p.isfinite().all()) for p in self.parameters)

    def _update(self, gradient: Tensor) -> None:
        start = 0
        for parameter in self.parameters:
            part = gradient[start : start + parameter.numel()]
            parameter.grad = part.view_as(parameter).to(parameter)
            start += parameter.numel()
        self.optimizer.step()


def optimizer_for(training: Training, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of a recipe. It sees noisy gradients only, so any optimiser is post-processing."""
    if training.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=training.learning_rate)
    return torch.optim.SGD(parameters, lr=training.learning_rate, momentum=training.momentum or 0.0)
