"""From noisy gradients to parameters. All of it is post-processing of what the noise has covered, and costs nothing.

optimization = Optimization(parameters, recipe.training, steps)
optimization.step(gradient)             # flat, in the order of the parameters
with optimization.averaged(): ...      # inside, the parameters are their moving average, if the recipe asks for one
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.recipe import Training


class Optimization:
    """A torch optimiser with its learning-rate schedule, and a moving average of the parameters.

    The average is that of De et al. 2022 (arXiv 2204.13650, §3.2): decay min(ema, (1 + t) / (10 + t)) at step t, so
    that the first, untrained parameters are soon forgotten.
    """

    def __init__(self, parameters: list[nn.Parameter], training: Training, steps: int) -> None:
        self.parameters = parameters
        sizes = [p.numel() for p in parameters]
        # One number for each parameter, in each precision that occurs; gradients are views of it.
        self.flat = {p.dtype: torch.empty(sum(sizes), dtype=p.dtype, device=p.device) for p in parameters}
        parts = {dtype: torch.split(numbers, sizes) for dtype, numbers in self.flat.items()}
        self.gradients = [parts[p.dtype][i].view_as(p) for i, p in enumerate(parameters)]
        self.optimizer = optimizer_for(parameters, training)
        self.rate, self.factor = training.learning_rate, factor_of(training, steps)
        self.decay = training.ema
        self.average = [p.detach().clone() for p in parameters] if self.decay is not None else []
        self.planned, self.steps = steps, 0

    def step(self, total: Tensor, denominator: float = 1.0) -> None:
        """One update from the flat gradient total / denominator of all parameters."""
        scaled = total * (1 / denominator)
        for gradients in self.flat.values():
            gradients.copy_(scaled)
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        self.follow()

    def follow(self) -> None:
        """One update from the gradients that the parameters hold."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.factor(self.steps)
        self.optimizer.step()
        self.steps += 1
        if self.decay is not None:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, [p.data for p in self.parameters], 1 - decay)

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here."""
        return {"optimizer": self.optimizer.state_dict(), "average": self.average, "steps": self.steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        for mine, saved in zip(self.average, state["average"], strict=True):
            mine.copy_(saved)
        self.steps = state["steps"]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the parameters are their moving average; without one, they are themselves."""
        trained = [p.detach().clone() for p in self.parameters] if self.average else []
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=bool(self.average)):
                parameter.copy_(average)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(self.parameters, trained, strict=bool(trained)):
                    parameter.copy_(value)


def optimizer_for(parameters: list[nn.Parameter], training: Training) -> torch.optim.Optimizer:
    """The optimiser of a recipe."""
    rate, decay = training.learning_rate, training.weight_decay
    fused = all(p.device.type in {"cpu", "cuda"} for p in parameters)  # all parameters in one call
    if training.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=fused)
    if training.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.SGD(parameters, lr=rate, momentum=training.momentum or 0.0, weight_decay=decay, fused=fused)


def factor_of(training: Training, steps: int) -> Callable[[int], float]:
    """Step (from 0) -> what the learning rate is multiplied by: up from 1/w over w steps, then constant or cosine."""
    warmup = training.warmup_steps

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if training.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return factor
