"""Files that are whole or absent, and the count of steps that is written first."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from dpplan import durable_files
from dpplan.durable_files import lock, remove_leftovers, write_named, write_whole
from dpplan.errors import InputOutputFailed, UsageError
from dpplan.train.state.step_count import StepCount


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (b"one", b"two"):
        write_whole(file, lambda stream, content=content: stream.write(content))
        assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def half(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise MemoryError

    file = tmp_path / "file"
    file.write_bytes(b"whole")
    with pytest.raises(MemoryError):
        write_whole(file, half)
    assert file.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_synced_does_not_make_a_file_unwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable_files, "sync_folder", fails)
    said = "is written, and whether it outlasts a power failure is not sure: Input/output error."
    for write, what in (
        (lambda file: write_whole(file, lambda stream: stream.write(b"new")), f"{tmp_path / 'file'}:"),
        (lambda file: write_named("--csv=file", file, b"new"), "--csv=file"),
    ):
        (tmp_path / "file").write_bytes(b"old")
        with pytest.raises(InputOutputFailed) as caught:
            write(tmp_path / "file")
        assert str(caught.value) == f"{what} {said}"
        assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="paths are shorter there")
@pytest.mark.parametrize("letter", ["a", "é", "😀"])
def test_the_longest_names_are_written_too(tmp_path: Path, letter: str) -> None:
    file = tmp_path / (letter * (durable_files.LONGEST_NAME // len(letter.encode())))
    write_named("--csv", file, b"whole")
    assert file.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [file]
    assert durable_files.name_too_long(file) == ""
    wrong = durable_files.name_too_long(file.with_name(f"{file.name}b" + letter))
    assert "255 are the most" in wrong


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="no names for open files")
def test_a_pipe_that_has_no_name_is_written_to() -> None:
    """As --csv /dev/stdout in a pipeline and --csv >(...) are."""
    reading, writing = os.pipe()
    try:
        write_named("--csv", Path(f"/dev/fd/{writing}"), b"whole")
        assert os.read(reading, 10) == b"whole"
    finally:
        os.close(reading)
        os.close(writing)


def test_what_a_killed_write_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".file.abc").write_bytes(b"half")
    (tmp_path / "other").write_bytes(b"")
    remove_leftovers(tmp_path, "file")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_file_is_held_until_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open("rb+") as first, (tmp_path / "file").open("rb+") as second:
        assert lock(first.fileno())
        assert not lock(second.fileno())
        first.close()
        assert lock(second.fileno())


def test_a_file_that_cannot_be_locked_is_not_taken_for_one_that_is_held(tmp_path: Path) -> None:
    file = os.open(tmp_path, os.O_RDONLY)
    os.close(file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        lock(file)


def test_a_step_is_on_disk_before_it_is_taken(tmp_path: Path) -> None:
    record = StepCount(tmp_path / "steps", new=True)
    for step in range(1, 12):
        record.begin()
        assert (record.counted, int((tmp_path / "steps").read_bytes())) == (step, step)
    record.close()
    assert StepCount(tmp_path / "steps", new=False).counted == 11


def test_a_repeated_step_never_lowers_the_count_on_disk(tmp_path: Path) -> None:
    record = StepCount(tmp_path / "steps", new=True)
    for _ in range(5):
        record.begin()
    record.counted = 2
    record.begin()
    assert (record.counted, int((tmp_path / "steps").read_bytes())) == (3, 5)


def test_a_record_is_never_begun_twice(tmp_path: Path) -> None:
    StepCount(tmp_path / "steps", new=True).close()
    with pytest.raises(UsageError, match="cannot be opened: File exists"):
        StepCount(tmp_path / "steps", new=True)
