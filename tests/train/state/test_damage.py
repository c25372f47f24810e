"""Files that cannot be read or written: one line, exit status 5, and nothing that was spent or trained is lost."""

import builtins
import contextlib
import errno
import json
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from several import tiny, written
from test_copies import begun, going_on
from unwrap import unwrapped

from dpplan import __main__ as command_line
from dpplan import durable_files, train
from dpplan.durable_files import write_whole
from dpplan.errors import DpplanError, InputOutputFailed, UsageError
from dpplan.train import Step
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.step_count import CountFile

RECIPE = """\
privacy: {noise_multiplier: 2, clip_norm: 1, delta: 1e-5}
data: {source: digits}
model: {kind: logistic}
training: {batch_size: 100, steps: 16, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1, checkpoint_every: 5}
"""


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Inside, the system refuses to write beyond so many bytes of a file, as it would with a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full(*arguments: Any, **more: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_line(message: str) -> bool:
    return "\n" not in message and "Traceback" not in message


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Writing


@pytest.mark.parametrize("write", [lambda s: torch.save({"a": torch.zeros(9000)}, s), lambda s: s.write(bytes(9000))])
def test_a_file_that_does_not_fit_leaves_the_one_before(tmp_path: Path, write: Callable[[Any], Any]) -> None:
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(InputOutputFailed, match=r"file: cannot be written: File too large\."), files_of_at_most(4096):
        write_whole(tmp_path / "file", write)
    assert content(tmp_path) == {"file": b"before"}


@pytest.mark.parametrize("name", ["fsync", "replace", "fdopen"])
def test_whatever_of_a_write_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "file").write_bytes(b"before")
    monkeypatch.setattr(durable_files.os, name, full)
    with pytest.raises(InputOutputFailed, match=r"file: cannot be written: No space left on device\.$"):
        write_whole(tmp_path / "file", lambda stream: stream.write(b"after"))
    monkeypatch.undo()
    assert content(tmp_path) == {"file": b"before"}


def test_a_count_that_is_half_written_is_no_lower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    for room in range(21):
        for before, after in ((99, 100), (0, 1), (1234567, 1234568), (19, 20)):
            path = tmp_path / f"{room}-{before}"
            file = CountFile(path, new=True)
            file.write(before)
            left = [room]

            def short(handle: int, data: bytes, place: int, left: list[int] = left) -> int:
                if not left[0]:
                    full()
                done = write(handle, data[: left[0]], place)
                left[0] -= done
                return done

            monkeypatch.setattr(os, "pwrite", short)
            with pytest.raises(InputOutputFailed, match="cannot be written: No space left"):
                file.write(after)
            monkeypatch.setattr(os, "pwrite", write)
            assert before <= int(path.read_bytes())
            assert file.count == before
            file.close()


def test_a_disk_that_is_full_before_the_first_step_costs_nothing(tmp_path: Path) -> None:
    nothing = "No step was taken, and nothing is spent"
    with pytest.raises(InputOutputFailed, match=nothing) as raised, files_of_at_most(6000):
        train.run(tiny(tmp_path), out=tmp_path / "run")
    assert one_line(str(raised.value))
    assert "checkpoint.pt: cannot be written: File too large." in str(raised.value)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("seed", [None, 3])
def test_a_disk_that_is_full_later_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    run = tmp_path / "run"
    happening = train.events(train.plan(tiny(tmp_path), seed=seed), out=run)
    with pytest.raises(InputOutputFailed) as raised:
        for event in happening:
            if isinstance(event, Step) and event.step == 12:
                resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    message = str(raised.value)
    assert one_line(message)
    assert "checkpoint.pt: cannot be written: File too large. 14 of 30 steps are counted, ε ≤ " in message
    assert f"The checkpoint of step 7 is whole: dpplan train --resume {run}" in message
    assert int((run / "steps").read_bytes()) == 14
    report = going_on(run)
    assert report is not None
    assert (report.status, report.steps, report.lost) == ("finished", 30, 7 if seed is None else 0)


def test_room_is_kept_for_the_last_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others fill the disk, and what was trained since the last checkpoint is saved all the same."""
    run, fsync = tmp_path / "run", os.fsync
    happening = train.events(train.plan(tiny(tmp_path)), out=run)
    needed, filled = [], False

    def filling(handle: int) -> None:
        if filled and (run / ".reserve").exists():
            full()
        fsync(handle)
        if filled:
            needed.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", filling)
    with pytest.raises(InputOutputFailed, match=r"No space left on device\. .* The checkpoint of step 14 is whole"):
        for event in happening:
            if isinstance(event, Step) and event.step == 13:
                kept, filled = (run / ".reserve").stat(), True
    assert kept.st_blocks * 512 >= kept.st_size > sum(needed) > 0
    assert written(run)["spent"] == {**written(run)["spent"], "steps": 14, "lost_steps": 0}
    assert not (run / ".reserve").exists()
    monkeypatch.undo()
    report = going_on(run)
    assert report is not None
    assert (report.steps, report.lost) == (30, 0)


def test_a_disk_with_little_room_is_left_to_others(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.reserve(shutil.disk_usage(tmp_path).free // 7)
    assert content(tmp_path) == {}
    folder.reserve(1000)
    folder.reserve(5000)
    assert (tmp_path / ".reserve").stat().st_size == 5000
    folder.release()
    folder.release()
    assert content(tmp_path) == {}


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("moment", ["log", "sync", "begin"])
def test_what_was_trained_is_saved_when_another_file_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Between two steps the state is whole, so a metric that does not fit costs no step."""
    run = tmp_path / "run"
    happening = train.events(train.plan(tiny(tmp_path)), out=run)
    expected = {"log": 15, "sync": 14, "begin": 13}[moment]
    with pytest.raises(InputOutputFailed) as raised:
        for event in happening:
            if not isinstance(event, Step) or event.step != 13:
                continue
            if moment == "log":
                os.symlink("/dev/full", run / "metrics.jsonl")
            elif moment == "begin":
                monkeypatch.setattr(os, "pwrite", full)
            else:
                monkeypatch.setattr(os, "fsync", full)
    monkeypatch.undo()
    assert "No space left on device. " in str(raised.value)
    assert one_line(str(raised.value))
    if moment == "log":
        (run / "metrics.jsonl").unlink()
        assert written(run)["status"] == "stopped"
    saved = Checkpoint.load(run / "checkpoint.pt")
    assert saved.steps == (7 if moment == "sync" else expected)  # nothing is written where the count is not
    assert int((run / "steps").read_bytes()) == expected
    report = going_on(run)
    assert report is not None
    assert (report.status, report.steps, report.lost) == ("finished", 30, 7 if moment == "sync" else 0)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", ["model.pt", "report.json"])
def test_a_last_file_that_does_not_fit_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run, replace = tmp_path / "run", os.replace

    def refuse(source: Any, target: Any) -> None:
        if Path(target).name == name:
            full()
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputOutputFailed, match=rf"{name}: cannot be written: .* 30 of 30 steps .*of step 30 is whole"):
        train.run(tiny(tmp_path), out=run)
    monkeypatch.undo()
    assert (run / "model.pt").exists() == (name != "model.pt")
    report = going_on(run)
    assert report is not None
    assert (report.status, report.steps, report.lost, report.agrees) == ("finished", 30, 0, True)


def test_the_command_tells_of_a_full_disk_in_one_line_with_status_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    with files_of_at_most(6000):
        status = command_line.run(["train", "r.yaml", "--json"])
    out, err = capsys.readouterr()
    err = unwrapped(err)
    assert (status, json.loads(out)["error"]["code"]) == (5, 5)
    assert err.startswith("error: runs/r-001/checkpoint.pt: cannot be written: File too large. No step was taken")
    assert err.count("\n") == 1


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("error", "status"),
    [(errno.EACCES, 5), (errno.EROFS, 5), (errno.ENOSPC, 5), (errno.EDQUOT, 5), (errno.EIO, 5), (errno.ENOTDIR, 2)],
)
def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: int, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    make = Path.mkdir

    def refuse(self: Path, *given: Any, **more: Any) -> None:
        if "dpplan" not in self.parts:
            raise OSError(error, os.strerror(error))
        make(self, *given, **more)

    monkeypatch.setattr(Path, "mkdir", refuse)
    for more, named in (((), "runtime.folder=runs cannot be used"), (("--out", "x"), "out=x cannot be made")):
        assert command_line.run(["train", "r.yaml", *more]) == status
        assert f"error: {named}: {os.strerror(error)}." in unwrapped(capsys.readouterr().err)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_run_on_a_disk_that_is_read_only_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: int
) -> None:
    run = tmp_path / "run"
    begun(run)
    before, opened = content(run), os.open

    def refuse(path: Any, flags: int, *more: Any, **given: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY) and str(path).startswith(str(run)):
            raise OSError(error, os.strerror(error))
        return opened(path, flags, *more, **given)

    monkeypatch.setattr(os, "open", refuse)
    assert command_line.run(["train", "--resume", str(run), "--json"]) == 5
    monkeypatch.undo()
    err = unwrapped(capsys.readouterr().err)
    assert err.startswith(f"error: {run}/steps: the count of steps cannot be opened: {os.strerror(error)}.")
    assert err.count("\n") == 1
    assert content(run) == before


# Reading


def garbage(whole: bytes, chance: random.Random) -> bytes:
    """The file cut, filled with something else, or with bits turned over."""
    kind = chance.randrange(5)
    if kind == 0:
        return whole[: chance.randrange(len(whole))]
    if kind == 1:
        return chance.randbytes(chance.randrange(2000))
    if kind == 2:
        start = chance.randrange(len(whole))
        return whole[:start] + bytes(len(whole) - start)
    damaged = bytearray(whole)
    for _ in range(chance.choice((1, 3, 100))):
        place = chance.randrange(len(damaged))
        damaged[place] ^= 1 << chance.randrange(8) if kind == 3 else chance.randrange(1, 256)
    return bytes(damaged)


def damaged_checkpoints(tmp_path: Path, number: int, seed: int) -> None:
    """None is taken for another one, and none leads to anything but a refusal or the state that was saved."""
    run = tmp_path / "run"
    begun(run)
    file, chance = run / "checkpoint.pt", random.Random(seed)
    whole, refused = file.read_bytes(), 0
    saved = Checkpoint.load(file)
    for _ in range(number):
        file.write_bytes(garbage(whole, chance))
        try:
            found = Checkpoint.load(file)
        except InputOutputFailed as error:
            assert one_line(str(error))
            refused += 1
            continue
        assert str(found) == str(saved)
        for name, value in saved.trainer["model"].items():
            assert torch.equal(found.trainer["model"][name], value)
    assert refused > 0.5 * number


def test_a_damaged_checkpoint_is_never_taken_for_one(tmp_path: Path) -> None:
    damaged_checkpoints(tmp_path, 400, seed=0)


@pytest.mark.slow
def test_no_damage_to_a_checkpoint_goes_unnoticed(tmp_path: Path) -> None:
    damaged_checkpoints(tmp_path, 10_000, seed=1)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "folder", "zip", "pickle"])
def test_a_run_whose_checkpoint_is_damaged_says_what_is_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    run = tmp_path / "run"
    begun(run)
    file = run / "checkpoint.pt"
    whole = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "zip":
        torch.save({"schema": "dpplan.checkpoint/3"}, file)
    elif damage == "pickle":
        torch.save([1], file)
    else:
        file.write_bytes({"empty": b"", "cut": whole[:-1000], "garbage": b"nonsense" * 100}[damage])
    before = None if damage == "folder" else content(run)
    assert command_line.run(["train", "--resume", str(run)]) == 5
    out, err = capsys.readouterr()
    err = unwrapped(err)
    assert out == ""
    assert err.count("\n") == 1
    assert "start a new one, and count the 20 steps or more that this one has spent" in err
    assert before is None or content(run) == before


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("damage", [b"", b"12\n", b"\xff" * 21, b"-%019d\n" % 3, b"%020d\n" % 20 + b"x", b"%021d" % 3])
def test_a_count_that_cannot_be_read_says_what_is_spent(tmp_path: Path, damage: bytes) -> None:
    run = tmp_path / "run"
    begun(run)
    (run / "steps").write_bytes(damage)
    before = content(run)
    with pytest.raises(InputOutputFailed, match=r"does not hold a count of steps.* 20 of its steps or more were begun"):
        going_on(run)
    assert content(run) == before
    shutil.move(run / "steps", run / "aside")
    (run / "steps").mkdir()
    with pytest.raises(InputOutputFailed, match="cannot be opened: Is a directory"):
        going_on(run)


@pytest.mark.sweep(every=9)
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"garbage\n",
        b"\xff\xfe\n",
        b"{}\n",
        b"[1]\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        b'{"epoch": "x"}\n',
        b"\n\n",
    ],
)
def test_damaged_metrics_are_one_line_and_no_step_is_lost(tmp_path: Path, damage: bytes) -> None:
    run = tmp_path / "run"
    begun(run, at=16)
    (run / "metrics.jsonl").write_bytes(damage)
    before = content(run)
    with pytest.raises(InputOutputFailed, match=r"metrics\.jsonl: line 1 is damaged. Nothing that was spent") as raised:
        going_on(run)
    assert one_line(str(raised.value))
    assert content(run)["metrics.jsonl"] == before["metrics.jsonl"]
    (run / "metrics.jsonl").unlink()
    report = going_on(run)
    assert report is not None
    assert (report.status, report.steps, report.lost) == ("finished", 40, 0)
    assert [epoch.epoch for epoch in report.epochs] == [2, 3]


def test_what_follows_the_metrics_of_the_checkpoint_may_be_anything(tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun(run, at=16)
    with (run / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"epoch": 2, "ste')
    report = going_on(run)
    assert report is not None
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]


@pytest.mark.sweep(every=9)
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"null", b'{"spent": 3}', b'{"spent": {"steps": "x"}}'])
def test_a_damaged_report_of_a_run_that_goes_on_is_written_anew(tmp_path: Path, damage: bytes) -> None:
    run = tmp_path / "run"
    begun(run)
    (run / "report.json").write_bytes(damage)
    assert going_on(run) is not None
    assert written(run)["spent"]["steps"] == 40


def test_a_checkpoint_of_another_model_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    begun(run)
    saved = Checkpoint.load(run / "checkpoint.pt")
    del saved.trainer["model"]["1.bias"]  # type: ignore[attr-defined]
    saved.save(run / "checkpoint.pt")
    with pytest.raises(UsageError, match="its checkpoint does not fit this model") as raised:
        going_on(run)
    assert one_line(str(raised.value))


@pytest.mark.parametrize(("resume", "status"), [("file", 2), ("nowhere", 2), ("empty", 2)])
def test_what_is_no_folder_of_a_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], resume: str, status: int
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    assert command_line.run(["train", "--resume", str(tmp_path / resume)]) == status
    err = unwrapped(capsys.readouterr().err)
    assert err.count("\n") == 1
    assert "internal error" not in err
    with pytest.raises(DpplanError):
        train.plan_resumed(tmp_path / resume)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    begun(run)
    opened = builtins.open

    for name in ("checkpoint.pt", "metrics.jsonl", "run.json"):

        def refuse(self: Path, *given: Any, name: str = name, **more: Any) -> Any:
            if self.name == name:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return opened(self, *given, **more)

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(InputOutputFailed, match=rf"{name}: cannot be read: Input/output error") as raised:
            going_on(run)
        assert one_line(str(raised.value))
        monkeypatch.undo()
    assert RunFolder(run).begun() == 20
    assert going_on(run) is not None
