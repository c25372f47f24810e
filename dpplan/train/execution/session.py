"""One run from its first step, or from its last checkpoint, to its report."""

import shlex
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

from dpplan.errors import DpplanError, InputOutputFailed, TrainingStopped
from dpplan.render.number_format import up
from dpplan.train.clipping import BatchFacts
from dpplan.train.execution.evaluation import NOT_YET, Evaluation, accuracy, brief
from dpplan.train.execution.memorisation_watch import MemorisationWatch
from dpplan.train.execution.nonprivate_baseline import train_without_privacy
from dpplan.train.execution.worker import Worker
from dpplan.train.ranks import Command, PeerLost
from dpplan.train.recipe_function import let_through, raised_by_theirs
from dpplan.train.state.checkpoint import Checkpoint, basis_of, steps_between
from dpplan.train.state.report import LOST, SEEN, Epoch, Planned, Status, Step, TrainReport
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.run_keys import NoiseKeys
from dpplan.train.state.spent_steps import SpentSteps
from dpplan.train.step.augmentation import augmentation_for
from dpplan.train.step.optimizer import Optimization
from dpplan.verify.early_end import CONDITION
from dpplan.verify.unaccounted import UNKNOWN

Interrupted = Callable[[], bool]
Ending = tuple[Status, str]  # the status, and why the run ended early


class Session:
    """The model, the trainer and the books of one run. Of several processes, the first has one."""

    def __init__(
        self,
        planned: Planned,
        folder: RunFolder,
        spent_steps: SpentSteps,
        key: str = "",
        noise_keys: NoiseKeys = (),
    ) -> None:
        self.planned, self.folder, self.spent_steps = planned, folder, spent_steps
        self.recipe, self.claim, self.ranks = planned.recipe, planned.claim, planned.ranks
        self.worker = Worker.of(planned, key, noise_keys)
        self.model, self.trainer = self.worker.model, self.worker.trainer
        self.held_out = self.worker.dataset.held_out.to(planned.device)
        self.watch = self._watch()
        self.epochs: list[Epoch] = []
        self.closed = 0  # epochs, with those whose metrics are gone
        self.before = (0, 0)  # steps that were counted, and updates of the model, when this process began
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
        except TrainingStopped as error:
            if type(error) is not TrainingStopped:  # told by who raised it
                raise
            raise TrainingStopped(f"{error} {self._counted()}") from error
        except KeyboardInterrupt as error:  # a second Ctrl-C: the step that it cut in two is counted
            raise KeyboardInterrupt(self._standing()) from error
        except BaseException as error:
            if raised_by_theirs(error):  # its text may hold what the model saw
                what = type(error).__name__
                raise TrainingStopped(f"stopped: the model raises {what} in a method. {self._counted()}") from error
            raise
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
            self.spent_steps.close()
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
            self.spent_steps.sync()
        if isinstance(error, InputOutputFailed):  # between two steps: the state is that of a whole number of them
            with suppress(DpplanError):
                self._save()
        with suppress(Exception), self.trainer.optimization.averaged():  # a model of the user's may raise anything
            self.folder.save_model(self.trainer.guard)
        why = str(error) if isinstance(error, TrainingStopped) else _broken_off_by(error)
        with suppress(InputOutputFailed):
            self.folder.save_report(self._report(("stopped", why)))

    @property
    def _spent(self) -> int:
        """Steps counted before each was taken, or as many as were released since, should those be more."""
        counted, updates = self.before
        made = max(self.trainer.statistics.releases, self.trainer.steps - updates)
        return max(self.spent_steps.counted, counted + made)

    def _counted(self) -> str:
        """What is spent, for the message of what ended the run, and on what condition: examples may have ended it."""
        counted = self._spent
        if not counted:
            return "No step was taken, and nothing is spent."
        spent = self.claim.spent(counted)
        said = UNKNOWN if spent is None else f"ε ≤ {up(spent.upper)} spent"
        said += f" if {CONDITION}" if spent is not None else ""
        return f"{counted} of {self.claim.phase.steps} steps are counted, {said}."

    def _standing(self) -> str:
        """The same, and what is safe."""
        goes_on = self.folder.resumable(self.claim.phase, self.planned.seed is not None)
        if self.saved is None or not self.spent_steps.counted or not goes_on:
            return self._counted()
        folder = shlex.quote(str(self.folder.path))
        return f"{self._counted()} The checkpoint of step {self.saved} is whole: dpplan train --resume {folder}"

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        """The state of the checkpoint; of an unseeded run with all later steps counted."""
        if checkpoint.generators is not None:
            self.spent_steps.repeat_from(checkpoint.counted)
        self.saved, self.closed = checkpoint.steps, checkpoint.epochs
        self.before = self.spent_steps.counted, checkpoint.steps
        self.worker.restore(checkpoint, self.spent_steps.counted)
        self.epochs = [self._epoch_from(line) for line in self.folder.epochs(checkpoint.epochs)]

    def _watch(self) -> MemorisationWatch | None:
        """On as many examples as the recipe's audit block says, or those of a run that goes on; None for none."""
        count, training, resumed = self.recipe.audit.watch, self.worker.dataset.training, self.planned.resumed
        watch = MemorisationWatch(training, count, self.planned.seed, self.folder.path)
        if resumed is not None:
            watch.go_on(training, resumed.checkpoint.steps)
        return watch if len(watch.chosen) else None

    def _save(self) -> None:
        """A checkpoint, unless the recipe says off. The count of steps reaches the disk first."""
        self.spent_steps.sync()
        if self.recipe.runtime.checkpoint_every is None:
            return
        Checkpoint(
            name=self.recipe.name,
            basis=basis_of(self.recipe, self.claim),
            seed=self.planned.seed,
            steps=self.trainer.steps,
            counted=self.spent_steps.counted,
            epochs=self.closed,
            trainer=self.trainer.state(),
            generators=self._generators() if self.planned.seed is not None else None,
            lineage=self.spent_steps.lineage,
            unaccounted=self.claim.unaccounted,
        ).save(self.folder.checkpoint)
        self.saved = self.trainer.steps

    def _generators(self) -> tuple[Any, ...]:
        self.ranks.say(Command.STATES)
        return self.ranks.gathered(self.worker.generators())

    def _report(self, ending: Ending, evaluation: Evaluation = NOT_YET) -> TrainReport:
        status, message = ending
        counted = self._spent
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
            run=self.spent_steps.to_json(),
            epochs=tuple(self.epochs),
            measured=tuple(self.trainer.statistics.measurements()),
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
        except PeerLost:
            if self.planned.seed is None:  # else the generators of the other processes are lost as well
                self._save()
            return "stopped", LOST
        with suppress(PeerLost):
            self.ranks.say(Command.END)
        return ending

    def _steps(self, interrupted: Interrupted) -> Generator[Step | Epoch, None, Ending]:
        steps, sampling = self.claim.phase.steps, self.claim.phase.sampling
        every = steps_between(self.recipe.runtime.checkpoint_every, steps)
        facts = BatchFacts.none()
        while self.trainer.steps < steps and self._affordable():
            if interrupted():
                self._save()
                return "interrupted", "interrupted"
            self.spent_steps.begin()
            self.ranks.say(Command.STEP)
            facts += self.trainer.step()
            while self.spent_steps.counted < self._spent:  # whatever was released uncounted is counted after all
                self.spent_steps.begin()
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
        return self.planned.past_budget or self.spent_steps.counted < self.claim.phase.steps

    def _close_epoch(self, step: int, facts: BatchFacts) -> Epoch:
        counted = self.spent_steps.counted
        seen = _seen(facts) if self.recipe.runtime.private_logs else dict.fromkeys(SEEN)
        self.closed += 1
        epoch = self._epoch(self.closed, step, counted, seen)
        self.epochs.append(epoch)
        self.spent_steps.sync()
        self.folder.log(epoch)
        if self.watch is not None:
            self.watch.look(self.model, step)
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
        except BaseException as error:  # a model of the user's may raise anything
            let_through(error)
            return Evaluation(held_out, None, f"{doing}: {brief(error)}")
        return Evaluation(held_out, nonprivate)

    def _nonprivate_accuracy(self, interrupted: Interrupted) -> float | None:
        """Accuracy of the same model trained without privacy; None when not asked for or interrupted."""
        model, steps = self.worker.untrained, self.claim.phase.steps
        if model is None:
            return None
        optimization = Optimization([p for p in model.parameters() if p.requires_grad], self.recipe.training, steps)
        data = self.worker.dataset.training.to(self.planned.device)
        batch = self.recipe.training.batch_size * data.examples / data.units
        randomness = self.worker.randomness
        augmentation = augmentation_for(self.recipe.training, data.inputs.shape[1:], randomness.views)
        for _ in train_without_privacy(model, data, batch, optimization, augmentation, randomness.weights):
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


def _broken_off_by(error: BaseException) -> str:
    """What ended a run that no limit of its own did, in plain words where there are some."""
    if isinstance(error, GeneratorExit | BrokenPipeError):  # whoever took its events, or read what it printed, is gone
        return "its output was closed"
    return f"broken off by {type(error).__name__}"
