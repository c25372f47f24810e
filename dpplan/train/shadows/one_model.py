"""One model of an attack: the recipe's own run on those examples whose coins say so, and how sure it is of all labels.

An example that is out is no row of the data. The sums are divided by the same number whoever is in: the expected batch
of half of the examples. So two runs that differ in one example's coin are neighbours of the plan's kind, and the
plan's trade-off is a ceiling on every attack that guesses coins.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.train import models
from dpplan.train.data import Dataset, Split
from dpplan.train.machine.device import cpu_threads, repeatable
from dpplan.train.step.randomness import Randomness, TorchGenerators
from dpplan.train.step.sampler import sampler_for
from dpplan.train.step.trainer import Trainer

MOST_ROWS = 1024  # that go through the model at once


@dataclass(frozen=True)
class ShadowTask:
    """What a process needs to train one model. inputs, targets: of all examples. member: the coins of this model."""

    recipe: Recipe
    phase: Phase
    inputs: NDArray[np.generic]
    targets: NDArray[np.int64]
    classes: int
    words: int
    device: str
    member: NDArray[np.bool_]
    seed: int | None


class HalfTrainer(Trainer):
    """The reference trainer, on a set whose size is secret: its sums are divided by what a stated size expects."""

    def of_expected(self, examples: int, randomness: Randomness) -> None:
        """examples: the stated size."""
        sampling = self.statistics.phase.sampling
        self.sampler = sampler_for(sampling, examples, randomness.sampling, self.data.examples)


def trained(task: ShadowTask) -> NDArray[np.float64]:
    """log(p / (1 - p)) of every example's label, by the model of a whole run. Writes nothing."""
    device = torch.device(task.device)
    generators = TorchGenerators(device)
    with cpu_threads(task.recipe.runtime.threads), repeatable(), generators.left_alone():
        randomness = Randomness.of(task.seed, 0)
        shape = tuple(task.inputs.shape[1:])
        model = models.build(task.recipe.model, shape, task.classes, randomness.weights, task.words).to(device)
        inside = Split(torch.from_numpy(task.inputs[task.member]), torch.from_numpy(task.targets[task.member]))
        dataset = Dataset(inside, inside, task.classes, task.words).in_precision_of(model)
        trainer = HalfTrainer(model, dataset.training, task.phase, task.recipe, randomness)
        trainer.of_expected(len(task.member) // 2, randomness)
        generators.seed(randomness.model)
        for _ in range(task.phase.steps):
            trainer.step()
        with trainer.optimization.averaged():
            return confidences(model, torch.from_numpy(np.array(task.inputs)), torch.from_numpy(np.array(task.targets)))


def confidences(model: nn.Module, inputs: Tensor, targets: Tensor) -> NDArray[np.float64]:
    """log(p / (1 - p)) of each example's label: its logit less the log-sum-exp of all others."""
    parameter = next(model.parameters())
    model.eval()
    found = []
    with torch.no_grad():
        for rows, labels in zip(torch.split(inputs, MOST_ROWS), torch.split(targets, MOST_ROWS), strict=True):
            seen = rows.to(parameter.device, parameter.dtype if rows.is_floating_point() else None)
            logits = model(seen).double().cpu()
            own = logits.gather(1, labels[:, None])
            others = logits.scatter(1, labels[:, None], -torch.inf)
            found.append((own[:, 0] - others.logsumexp(1)).numpy())
    return np.concatenate(found)
