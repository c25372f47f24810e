"""A run that goes on twice spends twice: copies of its folder, and counts that were set back, are noticed."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from several import tiny, together, written
from whole_runs import interrupted

from dpplan import __main__ as command_line
from dpplan import train
from dpplan.errors import InputOutputFailed, UsageError
from dpplan.train import Step, TrainReport
from dpplan.train.execution import terminal_text
from dpplan.train.ranks import joined
from dpplan.train.state.os_user_record import UserRecord
from dpplan.train.state.run_identity import Lineage
from dpplan.train.state.spent_steps import SpentSteps
from dpplan.train.state.step_count import StepCount

STEPS = 40


def begun(folder: Path, at: int = 20, seed: int | None = None, **changes: Any) -> TrainReport:
    """A run that was interrupted after so many steps."""
    return interrupted(folder, tiny(folder.parent, training_steps=STEPS, **changes), at, seed)


def going_on(folder: Path, steps: int | None = None, moved: bool = False) -> TrainReport | None:
    """The run goes on, to its end or until it is killed after so many steps."""
    happening = train.events(train.plan_resumed(folder, moved=moved))
    for event in happening:
        if isinstance(event, TrainReport):
            return event
        if isinstance(event, Step):
            steps = None if steps is None else steps - 1
            if steps == 0:
                happening.close()  # type: ignore[attr-defined]
                return None
    raise AssertionError("a run ends with its report")


def refused(folder: Path) -> str:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError) as raised:
        going_on(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    return str(raised.value)


def steps_on_disk(folder: Path) -> int:
    return int((folder / "steps").read_bytes())


def test_a_copy_of_a_folder_is_refused_until_it_is_the_only_one(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    complaint = refused(copy)
    assert "is a copy, or was moved to another disk" in complaint
    assert "If no other copy goes on, --moved" in complaint
    assert "\n" not in complaint
    report = going_on(copy, moved=True)
    assert report is not None
    assert (report.steps, report.lost, report.agrees) == (STEPS, 0, True)
    (resume,) = written(copy)["run"]["resumes"]
    assert (resume["counted"], resume["elsewhere"], resume["moved"]) == (20, 0, True)


def test_a_run_that_goes_on_twice_is_noticed_and_both_are_paid_for(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    going_on(run, steps=8)
    complaint = refused(copy)
    assert complaint.startswith("3 problems")
    assert "is a copy, or was moved" in complaint
    assert "counts 20 steps, and 28 of this run were begun: 8 steps were spent from a copy of the folder" in complaint
    going_on(copy, steps=3, moved=True)
    assert steps_on_disk(copy) == 31  # 20 of both, 8 of the one, 3 of the other
    assert "counts 28 steps, and 31 of this run were begun" in refused(run)
    report = going_on(run, moved=True)
    assert report is not None
    assert (report.status, report.steps) == ("finished", STEPS)
    assert report.spent == report.planned.claim.epsilon
    assert written(run)["run"]["elsewhere_steps"] == 3
    assert "counts 31 steps, and 40 of this run were begun" in refused(copy)
    report = going_on(copy, moved=True)
    assert report is not None
    assert (report.steps, report.lost) == (STEPS, 40 - 21)  # nothing is left of the plan; its checkpoint is of step 21


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("seed", [None, 3])
def test_a_count_that_was_set_back_is_noticed(tmp_path: Path, seed: int | None) -> None:
    run = tmp_path / "run"
    begun(run, 20, seed)
    before = (run / "steps").read_bytes()
    going_on(run, steps=5)
    (run / "report.json").unlink()
    (run / "steps").write_bytes(before)  # in place: device and inode stay
    assert "fewer steps than the checkpoint: 20 steps, and 25 of this run were begun: 5 steps were" in refused(run)
    report = going_on(run, moved=True)
    assert report is not None
    assert report.steps == STEPS
    assert report.lost == (4 if seed is None else 0)  # those after the checkpoint of step 21


def test_a_folder_that_was_put_back_from_a_backup_is_noticed(tmp_path: Path) -> None:
    run, backup = tmp_path / "run", tmp_path / "backup"
    begun(run)
    shutil.copytree(run, backup)
    going_on(run, steps=1)
    shutil.rmtree(run)
    backup.rename(run)
    assert "counts 20 steps, and 21 of this run were begun: 1 step was spent" in refused(run)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("witness", ["report.json", "metrics.jsonl"])
def test_without_any_record_the_folder_itself_tells_of_a_count_that_was_set_back(
    tmp_path: Path, state_home: Path, witness: str
) -> None:
    run = tmp_path / "run"
    begun(run, 20, runtime_checkpoint_every=25)
    going_on(run, steps=10)  # an epoch was logged in these, and the report says how many there were
    shutil.rmtree(state_home)
    for other in {"report.json", "metrics.jsonl"} - {witness}:
        (run / other).unlink()
    (run / "steps").write_bytes(b"%020d\n" % 26)
    highest = {"report.json": 30, "metrics.jsonl": 29}[witness]
    assert f"counts 26 steps, and {highest} of this run were begun" in refused(run)


def test_a_folder_that_is_renamed_goes_on(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "other")
    report = going_on(tmp_path / "other")
    assert report is not None
    assert report.agrees
    assert written(tmp_path / "other")["run"]["resumes"][0]["moved"] is False


def test_what_belongs_to_another_copy_is_noticed(tmp_path: Path) -> None:
    """The checkpoint of a copy that went on, brought back without its count."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    going_on(copy, steps=9, moved=True)
    going_on(run, steps=9, moved=True)
    shutil.copy(copy / "checkpoint.pt", run / "checkpoint.pt")
    assert "its checkpoint comes from another copy of the run" in refused(run)
    (run / "run.json").unlink()
    assert "holds no run.json, so nobody can tell whether it is a copy" in refused(run)


def test_two_copies_cannot_go_on_at_once(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    happening = train.events(train.plan_resumed(run))
    next(happening)
    with pytest.raises(UsageError, match="this run is going on in another process"):
        going_on(copy, moved=True)
    happening.close()  # type: ignore[attr-defined]
    assert going_on(copy, moved=True) is not None


def refused_together(folder: Path) -> str:
    with joined() as ranks, pytest.raises(UsageError) as raised:
        list(train.events(train.plan_resumed(folder, ranks=ranks)))
    return f"{raised.type.__name__}: {raised.value}"


@pytest.mark.slow
def test_several_processes_refuse_a_copy_in_one_voice(tmp_path: Path) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    first, second = together(tmp_path, refused_together, copy)
    assert first.startswith(f"UsageError: {copy}: is a copy, or was moved")
    assert second == first.replace("UsageError", "ReportedByFirst")


@pytest.mark.slow
def test_reports_of_copies_show_where_they_parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On two machines nothing is noticed, and the reports say so; side by side, they tell."""
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    going_on(run, steps=2)
    shutil.copytree(run, copy)
    going_on(run)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    going_on(copy, moved=True)
    one, other = written(run)["run"], written(copy)["run"]
    assert one["id"] == other["id"]
    assert one["resumes"][0] == other["resumes"][0]
    assert one["resumes"][1]["id"] != other["resumes"][1]["id"]
    assert [each["counted"] for each in (one["resumes"][1], other["resumes"][1])] == [22, 22]
    assert "on another machine, by another user" in one["not_seen"]
    assert one["user_record_missing"] is None
    assert "knew nothing of this run" in other["user_record_missing"]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("state", ["none", "file", "unwritable"])
def test_without_a_home_a_run_goes_on_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    if state == "none":
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000 % 2**31)  # a container's user, whom nobody knows
        why = "there is no home folder"
    elif state == "file":
        (tmp_path / "home").write_text("")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        why = "Not a directory"
    else:
        monkeypatch.setenv("HOME", "/proc")
        why = "cannot be used"
    begun(tmp_path / "run")
    report = going_on(tmp_path / "run")
    assert report is not None
    assert report.agrees
    sentence = written(tmp_path / "run")["run"]["user_record_missing"]
    assert why in sentence
    assert "a copy of the folder that goes on cannot be noticed by it" in sentence
    assert any("unseen" in line for line in terminal_text.report_lines(report))


def test_a_record_that_can_no_longer_be_written_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path
) -> None:
    write = os.pwrite

    def full(file: int, data: bytes, place: int) -> int:
        entries = (state_home / "dpplan" / "runs").glob("*")
        if any(os.path.samestat(os.fstat(file), entry.stat()) for entry in entries):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data, place)

    monkeypatch.setattr(os, "pwrite", full)
    report = train.run(tiny(tmp_path), out=tmp_path / "run")
    assert report.agrees
    assert "No space left on device" in report.run["user_record_missing"]


def test_the_record_names_no_file_elsewhere(tmp_path: Path, state_home: Path) -> None:
    for wrong in ("../../x", "", "A" * 32, None, 3):
        with pytest.raises(ValueError, match="no ids"):
            Lineage.read({"id": wrong, "resumes": []})
    with pytest.raises(ValueError, match="no ids"):
        Lineage.read({"id": "a" * 32, "resumes": [{"id": "b" * 32, "counted": -1}]})
    begun(tmp_path / "run")
    (entry,) = (state_home / "dpplan" / "runs").iterdir()
    assert entry.name == json.loads((tmp_path / "run" / "run.json").read_text())["run"]["id"]
    assert int(entry.read_bytes()) == 20


def test_the_record_counts_a_step_after_the_folder_does_and_before_it_is_taken(tmp_path: Path) -> None:
    """Killed between the two, the folder is never the one that counts less: nobody is accused of a copy."""
    order = []

    class Listening(StepCount):
        def begin(self) -> None:
            super().begin()
            order.append(("folder", self.counted))

    class Noting(UserRecord):
        def note(self, counted: int) -> None:
            super().note(counted)
            order.append(("record", counted))

    record, ledger = Listening(tmp_path / "steps", new=True), Noting("a" * 32, new=True)
    spent_steps = SpentSteps(record, ledger, Lineage("a" * 32))
    spent_steps.begin()
    spent_steps.begin()
    assert order == [("folder", 1), ("record", 1), ("folder", 2), ("record", 2)]
    spent_steps.close()
    again = UserRecord("a" * 32, new=False)
    assert (again.counted, again.missing) == (2, "")
    again.close()


def test_a_damaged_identity_is_one_line(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    for content in (b"", b"{", b"[]", b"null", b'{"schema": "dpplan.run/1"}', b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "run" / "run.json").write_bytes(content)
        with pytest.raises(InputOutputFailed, match=r"run\.json: is damaged"):
            going_on(tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    assert going_on(tmp_path / "run", moved=True) is not None


def test_the_command_says_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, copy = tmp_path / "run", tmp_path / "copy"
    begun(run)
    shutil.copytree(run, copy)
    assert command_line.run(["train", "--resume", str(copy)]) == 2
    assert "--moved" in capsys.readouterr().err
    assert command_line.run(["train", "--resume", str(copy), "--moved", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["resumes"][0]["moved"] is True
    assert command_line.run(["train", str(copy / "recipe.yaml"), "--moved"]) == 2
    assert "--moved is about the folder of a run that goes on" in capsys.readouterr().err
