"""One run from its first step to its report."""

import copy
import time
from collections.abc import Callable, Generator, Iterator

import torch
from torch import nn

from dpplan.train import models
from dpplan.train.data import Split
from dpplan.train.folder import RunFolder
from dpplan.train.loop import Trainer
from dpplan.train.nonprivate import train_without_privacy
from dpplan.train.privatize import BatchFacts
from dpplan.train.randomness import Randomness
from dpplan.train.report import Epoch, Planned, Status, Step, TrainReport

Interrupted = Callable[[], bool]
Ending = tuple[Status, str]  # the status, and why the run ended early


class Session:
    """The model, the trainer and the books of one run."""

    def __init__(self, planned: Planned, folder: RunFolder) -> None:
        self.planned, self.folder = planned, folder
        self.dataset = dataset = planned.dataset.to(planned.device)
        self.recipe, self.claim = planned.recipe, planned.claim
        self.randomness = Randomness.of(planned.seed)
        inputs = dataset.training.inputs
        model = models.build(self.recipe.model, inputs.shape[1], dataset.classes, self.randomness.weights)
        self.model = model.to(inputs.device)
        self.untrained = copy.deepcopy(self.model)
        self.trainer = Trainer(self.model, dataset.training, self.claim.phase, self.recipe, self.randomness)
        self.epochs: list[Epoch] = []

    def events(self, interrupted: Interrupted) -> Iterator[Step | Epoch | TrainReport]:
        """Takes the steps of the plan; the last event is the report, which is also written to the folder.

        A run that breaks off for any reason leaves a report of what it had spent before the error goes on.
        """
        self.started = time.monotonic()
        try:
            ending = yield from self._steps(interrupted)
        except BaseException as error:
            broken = self._report(("stopped", f"broken off by {type(error).__name__}"))
            self.folder.close(broken, self.model)
            raise
        held_out = accuracy(self.model, self.dataset.held_out) if self.trainer.finite() else None
        nonprivate = self._nonprivate_accuracy(interrupted) if ending[0] == "finished" else None
        report = self._report(ending, held_out, nonprivate)
        self.folder.close(report, self.model)
        yield report

    def _report(self, ending: Ending, held_out: float | None = None, nonprivate: float | None = None) -> TrainReport:
        status, message = ending
        return TrainReport(
            planned=self.planned,
            status=status,
            message=message,
            steps=self.trainer.steps,
            spent=self.claim.spent(self.trainer.steps),
            folder=self.folder.path,
            epochs=tuple(self.epochs),
            empty_batches=self.trainer.empty_batches,
            held_out_accuracy=held_out,
            nonprivate_accuracy=nonprivate,
            seconds=time.monotonic() - self.started,
        )

    def _steps(self, interrupted: Interrupted) -> Generator[Step | Epoch, None, Ending]:
        steps, rate = self.claim.phase.steps, self.claim.phase.sample_rate
        facts = BatchFacts.none()
        for step in range(1, steps + 1):
            if interrupted():
                return "interrupted", "interrupted"
            facts += self.trainer.step()
            yield Step(step, steps)
            if not self.trainer.finite():
                return "stopped", "stopped on a parameter that is not finite (try a lower learning_rate)"
            if epoch_of(step, rate) > epoch_of(step - 1, rate) or step == steps:
                epoch = self._close_epoch(step, facts)
                facts = BatchFacts.none()
                yield epoch
                if epoch.drawn == epoch.dropped > 0:
                    return "stopped", "stopped because no example has a finite loss (try a lower learning_rate)"
        return "finished", ""

    def _close_epoch(self, step: int, facts: BatchFacts) -> Epoch:
        drawn, dropped = int(facts.drawn), int(facts.dropped)
        used = drawn - dropped
        epoch = Epoch(
            epoch=len(self.epochs) + 1,
            step=step,
            epsilon=self.claim.spent(step),
            drawn=drawn,
            dropped=dropped,
            loss=float(facts.loss) / used if used else None,
            accuracy=float(facts.correct) / drawn if drawn else None,
            clipped=float(facts.clipped) / used if used else None,
        )
        self.epochs.append(epoch)
        self.folder.log(epoch)
        return epoch

    def _nonprivate_accuracy(self, interrupted: Interrupted) -> float | None:
        """Accuracy of the same model trained without privacy; None when not asked for or interrupted."""
        if not self.recipe.training.compare_nonprivate:
            return None
        steps, model = self.claim.phase.steps, self.untrained
        for _ in train_without_privacy(model, self.dataset.training, self.recipe.training, steps, self.randomness):
            if interrupted():
                return None
        return accuracy(model, self.dataset.held_out)


def accuracy(model: nn.Module, split: Split) -> float:
    """The fraction of the examples that the model classifies right."""
    with torch.no_grad():
        pieces = zip(torch.split(split.inputs, 4096), torch.split(split.targets, 4096), strict=True)
        right = [(model(inputs).argmax(1) == targets).sum() for inputs, targets in pieces]
    return float(torch.stack(right).sum()) / split.examples


def epoch_of(step: int, sample_rate: float) -> int:
    """Expected passes over the data that are complete after this many steps."""
    return int(step * sample_rate * (1 + 1e-12))  # 56 steps of rate 1/56 are one pass in spite of rounding
