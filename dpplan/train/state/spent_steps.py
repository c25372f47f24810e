"""What a run has spent, kept in three places: the folder's count, this user's record, and the ids of its resumes.

    with closing(open_spent_steps(planned, folder)) as spent_steps:
        spent_steps.begin()                         # before each step
        spent_steps.counted, spent_steps.lineage    # for checkpoint and report

A run that goes on has to be the only one that does: whoever resumes two copies of a folder spends twice, and each copy
counts what it took itself. What can be noticed of that without a server is noticed here, before the first step.
"""

from pathlib import Path

from dpplan.errors import InputOutputFailed, UsageError
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.state.os_user_record import UserRecord
from dpplan.train.state.report import Planned, Resumed
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.run_identity import UNSEEN, Lineage, RunIdentity
from dpplan.train.state.run_keys import NOISE_LOST, tied
from dpplan.train.state.step_count import StepCount

WENT_ON = (
    "Steps of this run share noise, and no theorem is known for a run of which two copies went on: this one cannot. "
    "Start a new run; both count."
)
REMEDY = "If no other copy goes on, --moved counts all of these steps and goes on here; else start a new run."


class SpentSteps:
    """Of a run that has begun or goes on: the folder's count, the user's record, and its lineage with this session."""

    def __init__(self, step_count: StepCount, user_record: UserRecord, lineage: Lineage) -> None:
        self.step_count, self.user_record, self.lineage = step_count, user_record, lineage

    @property
    def counted(self) -> int:
        """Steps begun, with those that copies of the folder are known to have begun."""
        return self.step_count.counted

    def begin(self) -> None:
        """Counts the step that is about to be taken; first in the folder, so that its count is never the lower one."""
        self.step_count.begin()
        self.user_record.note(self.step_count.counted)

    def repeat_from(self, counted: int) -> None:
        """A seeded run takes its later steps once more, and they release nothing new."""
        self.step_count.counted = counted

    def sync(self) -> None:
        self.step_count.sync()

    def close(self) -> None:
        """Lets others go on with the run."""
        self.step_count.close()
        self.user_record.close()

    def to_json(self) -> dict[str, object]:
        missing = self.user_record.missing or None
        spent = {"elsewhere_steps": self.lineage.elsewhere, "user_record_missing": missing, "not_seen": UNSEEN}
        return {**self.lineage.to_json(), **spent}


def open_spent_steps(planned: Planned, folder: RunFolder) -> SpentSteps:
    """Raises UsageError when the run goes on elsewhere or its folder is a copy, InputOutputFailed when files fail."""
    if planned.resumed is None:
        step_count, lineage = StepCount(folder.steps, new=True), Lineage.new()
        user_record = UserRecord(lineage.run, new=True)
    else:
        step_count, user_record, lineage = _resumed(folder, planned.resumed, tied(planned.claim.phase))
    spent_steps = SpentSteps(step_count, user_record, lineage)
    try:
        RunIdentity(lineage, step_count.file.place()).write(folder.path, planned.to_json())
    except BaseException:
        spent_steps.close()
        raise
    return spent_steps


def _resumed(folder: RunFolder, resumed: Resumed, noise_tied: bool) -> tuple[StepCount, UserRecord, Lineage]:
    """noise_tied: whether steps share noise, so that those of a copy are no further steps of this run."""
    checkpoint, moved = resumed.checkpoint, resumed.moved
    known = RunIdentity.read(folder.path)
    step_count = _record(folder, checkpoint)
    user_record = None
    try:
        user_record = UserRecord(checkpoint.lineage.run, new=False)
        highest = max(checkpoint.counted, user_record.counted, folder.reported())
        elsewhere = max(0, highest - step_count.counted)
        behind = _behind(folder, step_count.counted, highest, checkpoint)
        problems = [*_copied(folder.path, known, step_count, checkpoint), *behind]
        if noise_tied and (behind or (known is not None and not known.lineage.continues(checkpoint.lineage))):
            raise UsageError([*problems, WENT_ON] if len(problems) > 1 else f"{problems[0]} {WENT_ON}")
        if noise_tied and checkpoint.seed is None:
            _check_keys(folder, checkpoint.lineage if known is None else known.lineage, step_count.counted)
        if problems and not moved:
            raise UsageError([*problems, REMEDY] if len(problems) > 1 else f"{problems[0]} {REMEDY}")
        step_count.raise_to(highest)
        lineage = checkpoint.lineage if known is None else known.lineage
        return step_count, user_record, lineage.resumed(step_count.counted, elsewhere, bool(problems) or elsewhere > 0)
    except BaseException:
        step_count.close()
        if user_record is not None:
            user_record.close()
        raise


def _record(folder: RunFolder, checkpoint: Checkpoint) -> StepCount:
    try:
        return StepCount(folder.steps, new=False)
    except InputOutputFailed as error:
        user_record = UserRecord(checkpoint.lineage.run, new=False)
        user_record.close()
        known = max(checkpoint.counted, folder.reported(), user_record.counted)
        raise InputOutputFailed(f"{error} {known} of its steps or more were begun and are spent.") from error


def _check_keys(folder: RunFolder, lineage: Lineage, counted: int) -> None:
    """Raises UsageError where the noise of some steps came from a key that is not there: it was set back.

    Steps that go on would share with what was released only a part of its noise.
    """
    if not folder.keys.noise_known(each.counted for each in lineage.resumes if each.counted < counted):
        raise UsageError(f"{folder.path}: {NOISE_LOST} {counted} of its steps or more are spent.")


def _copied(path: Path, known: RunIdentity | None, step_count: StepCount, checkpoint: Checkpoint) -> list[str]:
    """Why this may be a second copy of the folder that the run began in."""
    if known is None:
        return [f"{path}: holds no run.json, so nobody can tell whether it is a copy."]
    if not known.lineage.continues(checkpoint.lineage):
        return [f"{path}: its checkpoint comes from another copy of the run."]
    if known.place != step_count.file.place():
        return [f"{path}: is a copy, or was moved to another disk; whoever goes on with two copies spends twice."]
    return []


def _behind(folder: RunFolder, counted: int, highest: int, checkpoint: Checkpoint) -> list[str]:
    """Why the folder's count is too low."""
    if highest <= counted:
        return []
    than = " fewer steps than the checkpoint:" if counted < checkpoint.counted else ""
    steps = "1 step was" if highest - counted == 1 else f"{highest - counted} steps were"
    return [
        f"{folder.steps}: counts{than} {counted} steps, and {highest} of this run were begun: {steps} spent from a "
        "copy of the folder, or the count was set back."
    ]
