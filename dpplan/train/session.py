"""One run from its first step, or from its last checkpoint, to its report."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

from dpplan.errors import DpplanError, InputOutputFailed, TrainingStopped
from dpplan.render.number_format import up
from dpplan.train.books import Books
from dpplan.train.checkpoint import Checkpoint, basis_of
from dpplan.train.clipping import BatchFacts
from dpplan.train.evaluation import NOT_YET, Evaluation, accuracy, brief
from dpplan.train.folder import RunFolder
from dpplan.train.nonprivate import train_without_privacy
from dpplan.train.optimize import Optimization
from dpplan.train.process import Process
from dpplan.train.ranks import Lost, Word
from dpplan.train.report import SEEN, Epoch, Planned, Status, Step, TrainReport
from dpplan.train.views import views_for

Interrupted = Callable[[], bool]
Ending = tuple[Status, str]  # the status, and why the run ended early


class Session:
    """The model, the trainer and the books of one run. Of several processes, the first has one."""

    def __init__(self, planned: Planned, folder: RunFolder, books: Books) -> None:
        self.planned, self.folder, self.books = planned, folder, books
        self.recipe, self.claim, self.ranks = planned.recipe, planned.claim, planned.ranks
        self.process = Process.of(planned)
        self.model, self.trainer = self.process.model, self.process.trainer
        self.held_out = self.process.dataset.held_out.to(planned.device)
        self.epochs: list[Epoch] = []
        self.closed = 0  # epochs, with those whose metrics are gone
        self.saved: int | None = None  # the step of the checkpoint on disk
        self.look = 50 if planned.device.type == "cuda" else 1  # steps between two looks, each of which a GPU waits for

    def events(self, interrupted: Interrupted) -> Iterator[Step | Epoch | TrainReport]:
        """Takes the steps of the plan; the last event is the report, which is also written to the folder.

        A run that breaks off for any reason leaves a report of what it had spent before the error goes on.
        """
        self.started = time.monotonic()
        try:
            if self.planned.resumed is not None:
                self._go_on_from(self.planned.resumed.checkpoint)
            else:
                self._save()
            self.folder.reserve(self._size())
            yield from self._events(interrupted)
        except InputOutputFailed as error:
            raise InputOutputFailed(f"{error} {self._standing()}") from error
        finally:
            self.folder.release()

    def _events(self, interrupted: Interrupted) -> Iterator[Step | Epoch | TrainReport]:
        try:
            ending = yield from self._ending(interrupted)
            with self.trainer.optimization.averaged():
                self.folder.save_model(self.trainer.guard)
            self.folder.save_report(self._report(ending, NOT_YET))
        except BaseException as error:
            self._break_off(error)
            raise
        # What was trained is on disk now, and so is what it cost: nothing that fails from here on can lose them.
        evaluation = self._evaluated(ending, interrupted)
        report = self._report(ending, evaluation)
        self.folder.save_report(report)
        if (ending[0] == "finished" and not evaluation.failed) or not self.folder.checkpoint.exists():
            self.books.close()
            self.folder.forget()
        yield report

    def _size(self) -> int:
        """More bytes than the last checkpoint, the model and the report take: Adam and an average are four copies."""
        numbers = [*self.model.parameters(), *self.model.buffers()]
        return 6 * sum(number.numel() * number.element_size() for number in numbers) + 2**18

    def _break_off(self, error: BaseException) -> None:
        """Leaves what can still be written: model and report, whatever of it fails."""
        self.folder.release()
        with suppress(DpplanError):
            self.books.sync()
        if isinstance(error, InputOutputFailed):  # between two steps: the state is that of a whole number of them
            with suppress(DpplanError):
                self._save()
        with suppress(InputOutputFailed), self.trainer.optimization.averaged():
            self.folder.save_model(self.trainer.guard)
        why = str(error) if isinstance(error, TrainingStopped) else f"broken off by {type(error).__name__}"
        with suppress(InputOutputFailed):
            self.folder.save_report(self._report(("stopped", why)))

    def _standing(self) -> str:
        """What is spent and what is safe, for the message of an error that ended the run."""
        counted = self.books.counted
        if not counted:
            return "No step was taken, and nothing is spent."
        spent = up(self.claim.spent(counted).upper)
        taken = f"{counted} of {self.claim.phase.steps} steps are counted, ε ≤ {spent} spent."
        if self.saved is None:
            return taken
        return f"{taken} The checkpoint of step {self.saved} is whole: dpplan train --resume {self.folder.path}"

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        """The state of the checkpoint; of an unseeded run with all later steps counted."""
        if checkpoint.generators is not None:
            self.books.repeat_from(checkpoint.counted)
        self.saved, self.closed = checkpoint.steps, checkpoint.epochs
        self.process.restore(checkpoint)
        self.epochs = [self._epoch_from(line) for line in self.folder.epochs(checkpoint.epochs)]

    def _save(self) -> None:
        """A checkpoint, unless the recipe says off. The count of steps reaches the disk first."""
        self.books.sync()
        if self.recipe.runtime.checkpoint_every is None:
            return
        Checkpoint(
            name=self.recipe.name,
            basis=basis_of(self.recipe, self.claim),
            seed=self.planned.seed,
            steps=self.trainer.steps,
            counted=self.books.counted,
            epochs=self.closed,
            trainer=self.trainer.state(),
            generators=self._generators() if self.planned.seed is not None else None,
            lineage=self.books.lineage,
        ).save(self.folder.checkpoint)
        self.saved = self.trainer.steps

    def _generators(self) -> tuple[Any, ...]:
        self.ranks.say(Word.STATES)
        return self.ranks.gathered(self.process.generators())

    def _report(self, ending: Ending, evaluation: Evaluation = NOT_YET) -> TrainReport:
        status, message = ending
        counted = self.books.counted
        return TrainReport(
            planned=self.planned,
            status=status,
            message=message,
            engine=str(self.trainer.clipping),
            isolation=self.trainer.clipping.isolation,
            arithmetic=self.trainer.arithmetic,
            round_off=self.trainer.round_off,
            steps=counted,
            lost=counted - self.trainer.steps,
            spent=self.claim.spent(counted),
            folder=self.folder.path,
            run=self.books.to_json(),
            epochs=tuple(self.epochs),
            measured=tuple(self.trainer.measured.checks()),
            empty_batches=self.trainer.empty_batches if self.recipe.runtime.private_logs else None,
            held_out_accuracy=evaluation.held_out,
            nonprivate_accuracy=evaluation.nonprivate,
            seconds=time.monotonic() - self.started,
            evaluation=evaluation.failed,
        )

    def _ending(self, interrupted: Interrupted) -> Generator[Step | Epoch, None, Ending]:
        """All steps, or those until another process is lost; what they came to is saved."""
        try:
            ending = yield from self._steps(interrupted)
        except Lost:
            if self.planned.seed is None:  # else the generators of the other processes are lost as well
                self._save()
            return "stopped", "stopped by the loss of a process"
        with suppress(Lost):
            self.ranks.say(Word.END)
        return ending

    def _steps(self, interrupted: Interrupted) -> Generator[Step | Epoch, None, Ending]:
        steps, sampling = self.claim.phase.steps, self.claim.phase.sampling
        every = self.recipe.runtime.checkpoint_every
        facts = BatchFacts.none()
        while self.trainer.steps < steps and self._affordable():
            if interrupted():
                self._save()
                return "interrupted", "interrupted"
            self.books.begin()
            self.ranks.say(Word.STEP)
            facts += self.trainer.step()
            step = self.trainer.steps
            yield Step(step, steps)
            closing = sampling.complete_epochs(step) > sampling.complete_epochs(step - 1) or step == steps
            if (closing or step % self.look == 0) and not self.trainer.finite():
                return "stopped", "stopped on a parameter that is not finite (try a lower learning_rate)"
            if closing:
                epoch = self._close_epoch(step, facts)
                facts = BatchFacts.none()
                yield epoch
            if every is not None and step % every == 0:
                self._save()
        self._save()
        return "finished", ""

    def _affordable(self) -> bool:
        """Whether one more step stays within the plan, and so within its epsilon. Asked before every step."""
        return self.planned.past_budget or self.books.counted < self.claim.phase.steps

    def _close_epoch(self, step: int, facts: BatchFacts) -> Epoch:
        counted = self.books.counted
        seen = _seen(facts) if self.recipe.runtime.private_logs else dict.fromkeys(SEEN)
        self.closed += 1
        epoch = self._epoch(self.closed, step, counted, seen)
        self.epochs.append(epoch)
        self.books.sync()
        self.folder.log(epoch)
        return epoch

    def _epoch_from(self, line: dict[str, Any]) -> Epoch:
        """An epoch as it was logged before an interruption."""
        seen = {name: line["not_covered_by_epsilon"][name] for name in SEEN}
        return self._epoch(line["epoch"], line["step"], line["counted"], seen)

    def _epoch(self, number: int, step: int, counted: int, seen: dict[str, Any]) -> Epoch:
        spent = self.claim.spent(counted)
        return Epoch(number, step, counted, spent, self.claim.exceeded_by(spent), **seen)

    def _evaluated(self, ending: Ending, interrupted: Interrupted) -> Evaluation:
        """The accuracies; why there are none, when the model fails on the held-out examples or the twin fails."""
        if not self.trainer.finite():
            return Evaluation()
        held_out, doing = None, "the last evaluation failed"
        try:
            with self.trainer.optimization.averaged():
                held_out = accuracy(self.model, self.held_out, self.trainer.looked_at)
            doing = "the twin without privacy failed"
            nonprivate = self._nonprivate_accuracy(interrupted) if ending[0] == "finished" else None
        except Exception as error:  # a model of the user's may raise anything
            return Evaluation(held_out, None, f"{doing}: {brief(error)}")
        return Evaluation(held_out, nonprivate)

    def _nonprivate_accuracy(self, interrupted: Interrupted) -> float | None:
        """Accuracy of the same model trained without privacy; None when not asked for or interrupted."""
        model, steps = self.process.untrained, self.claim.phase.steps
        if model is None:
            return None
        optimization = Optimization([p for p in model.parameters() if p.requires_grad], self.recipe.training, steps)
        data, batch = self.process.dataset.training.to(self.planned.device), self.recipe.training.batch_size
        randomness = self.process.randomness
        views = views_for(self.recipe.training, data.inputs.shape[1:], randomness.views)
        for _ in train_without_privacy(model, data, batch, optimization, views, randomness.weights):
            if interrupted():
                return None
        with optimization.averaged():
            return accuracy(model, self.held_out, self.trainer.looked_at)


def _seen(facts: BatchFacts) -> dict[str, Any]:
    drawn, dropped = int(facts.drawn), int(facts.dropped)
    used = drawn - dropped
    return {
        "drawn": drawn,
        "dropped": dropped,
        "loss": float(facts.loss) / used if used else None,
        "accuracy": float(facts.correct) / drawn if drawn else None,
        "clipped": float(facts.clipped) / used if used else None,
    }
