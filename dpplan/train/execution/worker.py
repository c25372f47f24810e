"""What each process of a run has and does. A run in one process is that of the first rank, with no others."""

import copy
import dataclasses
import secrets
from dataclasses import dataclass
from typing import Any

from torch import nn

from dpplan.errors import UsageError
from dpplan.train import models
from dpplan.train.data import Dataset
from dpplan.train.execution.model_check import apart_from_data, enough
from dpplan.train.ranks import Command
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.state.report import Planned
from dpplan.train.state.run_keys import NoiseKeys
from dpplan.train.step.randomness import Randomness, TorchGenerators
from dpplan.train.step.sampler import in_parts
from dpplan.train.step.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Worker:
    """Model, data and trainer of one process.

    dataset: on the device; of several processes on the host, and each has its part of the training examples on its
    device. draws: what the model itself draws from. untrained: the model before its first step, for the twin without
    privacy; None where there will be none.
    """

    dataset: Dataset
    randomness: Randomness
    draws: TorchGenerators
    model: nn.Module
    untrained: nn.Module | None
    trainer: Trainer

    @classmethod
    def of(cls, planned: Planned, key: str = "", noise_keys: NoiseKeys = ()) -> "Worker":
        """Made as the plan says. All processes of a run come here together. key: of what steps share; "" makes one.

        noise_keys: of the first process, where noise is shared by steps; none makes one.
        """
        recipe, ranks, dataset = planned.recipe, planned.ranks, planned.dataset
        if ranks.size == 1:
            dataset = dataset.to(planned.device)
        randomness, data = Randomness.of(planned.seed, ranks.rank), dataset.training
        if key:
            randomness = dataclasses.replace(randomness, key=key)
        if noise_keys:
            randomness = dataclasses.replace(randomness, noise_keys=noise_keys)
        if ranks.size > 1 and not in_parts(planned.claim.phase.sampling):
            fresh = secrets.token_hex(16) if planned.seed is None else randomness.key
            randomness = randomness.drawing_alike(ranks.gathered(fresh)[0])
        shape, rng = data.inputs.shape[1:], randomness.weights
        model = models.build(recipe.model, shape, dataset.classes, rng, dataset.words)
        apart_from_data(recipe, model, planned.dataset)
        model = model.to(planned.device)
        dataset = dataset.in_precision_of(model)
        data = dataset.training
        untrained = copy.deepcopy(model) if recipe.training.compare_nonprivate and ranks.first else None
        trainer = Trainer(model, data, planned.claim.phase, recipe, randomness, ranks)
        enough(recipe, trainer.clipping.scores, dataset.classes)
        draws = TorchGenerators(planned.device)
        draws.seed(randomness.model)  # after all that was tried on the model
        return cls(dataset, randomness, draws, model, untrained, trainer)

    def generators(self) -> dict[str, Any]:
        """The state of all that this process draws from; of seeded runs only, see `Randomness.state`."""
        sampler = self.trainer.sampler.state()
        kept = {"sampler": sampler} if sampler else {}
        return {**self.randomness.state(), "torch": self.draws.state(), **kept}

    def restore(self, checkpoint: Checkpoint, begun: int = 0) -> None:
        """The state of the checkpoint; of an unseeded run with fresh randomness, after the steps that were begun.

        Raises UsageError when it is the state of another model.
        """
        try:
            if checkpoint.generators is not None:
                generators = checkpoint.generators[self.trainer.ranks.rank]
                self.randomness.restore(generators)
                self.draws.restore(generators["torch"])
                self.trainer.sampler.restore(generators.get("sampler", {}))
            self.trainer.restore(checkpoint.trainer)
            if checkpoint.generators is None:
                self.trainer.go_on_at(begun)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            why = (str(error).splitlines() or [""])[-1].strip()
            raise UsageError(f"the run cannot go on: its checkpoint does not fit this model ({why}).") from error


def follow(planned: Planned, key: str, begun: int) -> None:
    """Takes each step that the first rank begins, until that ends the run. Writes and prints nothing.

    key, begun: of the first rank. Raises PeerLost when another process is gone.
    """
    ranks, worker = planned.ranks, Worker.of(planned, key)
    if planned.resumed is not None:
        worker.restore(planned.resumed.checkpoint, begun)
    while (word := ranks.hear()) is not Command.END:
        if word is Command.STEP:
            worker.trainer.step()
        else:
            ranks.gathered(worker.generators())
