"""From noisy gradients to parameters. All of it is post-processing of what the noise has covered, and costs nothing.

optimization = Optimization(parameters, recipe.training, steps)
optimization.step(gradient)             # flat, in the order of the parameters
with optimization.averaged(): ...      # inside, the parameters are their moving average, if the recipe asks for one
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.recipe import Training

ALIGNED = 64  # a GPU's matrix units want parameters to start at multiples of this many numbers; CPUs do not mind


class Optimization:
    """A torch optimiser with its learning-rate schedule, and a moving average of the parameters.

    The parameters move into one vector for each precision that occurs and stay views of it, and so do their
    gradients: every rule here works number by number, so one call does for all of them.

    The average is that of De et al. 2022 (arXiv 2204.13650, §3.2): decay min(ema, (1 + t) / (10 + t)) at step t, so
    that the first, untrained parameters are soon forgotten.
    """

    def __init__(self, parameters: list[nn.Parameter], training: Training, steps: int) -> None:
        self.sizes = [p.numel() for p in parameters]
        self.gradients: list[Tensor] = [torch.empty(0)] * len(parameters)
        self.vectors = []
        for dtype in dict.fromkeys(p.dtype for p in parameters):
            places = [i for i, p in enumerate(parameters) if p.dtype == dtype]
            vector, gradients = _joined([parameters[i] for i in places])
            self.vectors.append(vector)
            for i, gradient in zip(places, gradients, strict=True):
                self.gradients[i] = gradient
        self.optimizer = optimizer_for(self.vectors, training)
        self.rate, self.factor = training.learning_rate, factor_of(training, steps)
        self.decay = training.ema
        self.average = [vector.clone() for vector in self.vectors] if self.decay is not None else []
        self.planned, self.steps = steps, 0

    def step(self, total: Tensor, denominator: float = 1.0) -> None:
        """One update from the flat gradient total / denominator of all parameters."""
        whole = self.vectors[0].grad
        if whole is not None and whole.shape == total.shape and whole.device == total.device:
            torch.mul(total, 1 / denominator, out=whole)
        else:
            torch._foreach_copy_(self.gradients, torch.split(total * (1 / denominator), self.sizes))
        self.follow()

    def clear(self) -> None:
        """Gradients of zero, for a backward pass to add to."""
        for vector in self.vectors:
            assert vector.grad is not None
            vector.grad.zero_()

    def follow(self) -> None:
        """One update from the gradients that the parameters hold."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.factor(self.steps)
        self.optimizer.step()
        self.steps += 1
        if self.decay is not None:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(self.average, self.vectors, 1 - decay)

    def finite(self) -> bool:
        """Whether every parameter is a number. Parameters are covered by epsilon, so asking costs nothing."""
        return all(math.isfinite(float(vector.sum())) or bool(vector.isfinite().all()) for vector in self.vectors)

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
        trained = [vector.clone() for vector in self.vectors] if self.average else []
        for vector, average in zip(self.vectors, self.average, strict=bool(self.average)):
            vector.copy_(average)
        try:
            yield
        finally:
            for vector, value in zip(self.vectors, trained, strict=bool(trained)):
                vector.copy_(value)


def _joined(parameters: list[nn.Parameter]) -> tuple[Tensor, list[Tensor]]:
    """One vector that these parameters become views of, and the views of its gradient, flat, which theirs become."""
    unit = ALIGNED if parameters[0].is_cuda else 1
    starts = list(itertools.accumulate((-(-p.numel() // unit) * unit for p in parameters), initial=0))
    vector = parameters[0].new_zeros(starts[-1], requires_grad=False)
    vector.grad = torch.zeros_like(vector)
    gradients = []
    for start, p in zip(starts, parameters, strict=False):
        place = slice(start, start + p.numel())
        vector[place] = p.detach().flatten()
        p.data = vector[place].view_as(p)
        p.grad = vector.grad[place].view_as(p)
        gradients.append(vector.grad[place])
    return vector, gradients


def optimizer_for(vectors: list[Tensor], training: Training) -> torch.optim.Optimizer:
    """The optimiser of a recipe."""
    rate, decay = training.learning_rate, training.weight_decay
    plain = training.optimizer == "sgd" and not training.momentum  # one operation in any case
    fused = not plain and all(vector.device.type in {"cpu", "cuda"} for vector in vectors)  # all of a rule in one pass
    if training.optimizer == "adam":
        return torch.optim.Adam(vectors, lr=rate, weight_decay=decay, fused=fused)
    if training.optimizer == "adamw":
        return torch.optim.AdamW(vectors, lr=rate, weight_decay=decay, fused=fused)
    return torch.optim.SGD(vectors, lr=rate, momentum=training.momentum or 0.0, weight_decay=decay, fused=fused)


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
