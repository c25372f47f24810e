"""What a run has spent, kept in three places: the folder's count, this user's record, and the ids of its resumes.

    with closing(open_books(planned, folder)) as books:
        books.begin()                   # before each step
        books.counted, books.lineage    # for checkpoint and report

A run that goes on has to be the only one that does: whoever resumes two copies of a folder spends twice, and each copy
counts what it took itself. What can be noticed of that without a server is noticed here, before the first step.
"""

from pathlib import Path

from dpplan.errors import InputOutputFailed, UsageError
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.state.report import Planned
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.run_identity import UNSEEN, Identity, Lineage
from dpplan.train.state.step_count import StepRecord
from dpplan.train.state.user_record import Ledger

REMEDY = "If no other copy goes on, --moved counts all of these steps and goes on here; else start a new run."


class Books:
    """The record and the ledger of a run that has begun or goes on, and its lineage with this session in it."""

    def __init__(self, record: StepRecord, ledger: Ledger, lineage: Lineage) -> None:
        self.record, self.ledger, self.lineage = record, ledger, lineage

    @property
    def counted(self) -> int:
        """Steps begun, with those that copies of the folder are known to have begun."""
        return self.record.counted

    def begin(self) -> None:
        """Counts the step that is about to be taken; first in the folder, so that its count is never the lower one."""
        self.record.begin()
        self.ledger.note(self.record.counted)

    def repeat_from(self, counted: int) -> None:
        """A seeded run takes its later steps once more, and they release nothing new."""
        self.record.counted = counted

    def sync(self) -> None:
        self.record.sync()

    def close(self) -> None:
        """Lets others go on with the run."""
        self.record.close()
        self.ledger.close()

    def to_json(self) -> dict[str, object]:
        missing = self.ledger.missing or None
        spent = {"elsewhere_steps": self.lineage.elsewhere, "user_record_missing": missing, "not_seen": UNSEEN}
        return {**self.lineage.to_json(), **spent}


def open_books(planned: Planned, folder: RunFolder) -> Books:
    """Raises UsageError when the run goes on elsewhere or its folder is a copy, InputOutputFailed when files fail."""
    if planned.resumed is None:
        record, lineage = StepRecord(folder.steps, new=True), Lineage.new()
        ledger = Ledger(lineage.run, new=True)
    else:
        record, ledger, lineage = _resumed(folder, planned.resumed.checkpoint, planned.resumed.moved)
    books = Books(record, ledger, lineage)
    try:
        Identity(lineage, record.file.place()).write(folder.path, planned.to_json())
    except BaseException:
        books.close()
        raise
    return books


def _resumed(folder: RunFolder, checkpoint: Checkpoint, moved: bool) -> tuple[StepRecord, Ledger, Lineage]:
    known = Identity.read(folder.path)
    record = _record(folder, checkpoint)
    ledger = None
    try:
        ledger = Ledger(checkpoint.lineage.run, new=False)
        highest = max(checkpoint.counted, ledger.counted, folder.reported())
        elsewhere = max(0, highest - record.counted)
        problems = [
            *_copied(folder.path, known, record, checkpoint),
            *_behind(folder, record.counted, highest, checkpoint),
        ]
        if problems and not moved:
            raise UsageError([*problems, REMEDY] if len(problems) > 1 else f"{problems[0]} {REMEDY}")
        record.raise_to(highest)
        lineage = checkpoint.lineage if known is None else known.lineage
        return record, ledger, lineage.resumed(record.counted, elsewhere, bool(problems) or elsewhere > 0)
    except BaseException:
        record.close()
        if ledger is not None:
            ledger.close()
        raise


def _record(folder: RunFolder, checkpoint: Checkpoint) -> StepRecord:
    try:
        return StepRecord(folder.steps, new=False)
    except InputOutputFailed as error:
        ledger = Ledger(checkpoint.lineage.run, new=False)
        ledger.close()
        known = max(checkpoint.counted, folder.reported(), ledger.counted)
        raise InputOutputFailed(f"{error} {known} of its steps or more were begun and are spent.") from error


def _copied(path: Path, known: Identity | None, record: StepRecord, checkpoint: Checkpoint) -> list[str]:
    """Why this may be a second copy of the folder that the run began in."""
    if known is None:
        return [f"{path}: holds no run.json, so nobody can tell whether it is a copy."]
    if not known.lineage.continues(checkpoint.lineage):
        return [f"{path}: its checkpoint comes from another copy of the run."]
    if known.place != record.file.place():
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
