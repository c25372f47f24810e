"""The count of steps begun, on disk before each step: a crash can count one step too many and never one too few.

record.begin()      # first this
trainer.step()      # then the release
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from dpplan.errors import UsageError

_DIGITS = 20  # of the count in the file: always overwritten in place, in one write


class StepRecord:
    """How many steps of a run were begun, by this process and by those before it.

    Guarantee: at every moment the file holds at least the number of steps that were begun, and at most one more.
    A killed process cannot undo what it handed to the operating system; `sync` makes it outlast a power failure as
    well, and is called before anything else of a step is written to disk or shown.

    While a process has the record open, no other can open it: two processes that continued one run would each
    release what the other does not count. Nothing can see a copy of the whole folder; who continues both spends twice.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        """Opens it. Raises UsageError when it is missing, not a count, or held by a running process."""
        self.path = path
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise UsageError(f"{path}: the count of steps cannot be opened: {error.strerror}.") from None
        try:
            _lock(self._file, path)
            self.counted = self._written = 0 if new else _count(os.read(self._file, 100), path)
        except UsageError:
            os.close(self._file)
            raise

    def begin(self) -> None:
        """Counts the step that is about to be taken."""
        self.counted += 1
        if self.counted > self._written:  # a seeded run that repeats steps repeats their releases
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, b"%0*d\n" % (_DIGITS, self.counted))
            self._written = self.counted

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        """Lets others open it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _count(content: bytes, path: Path) -> int:
    if not content:
        return 0  # made, and no step begun
    if len(content) != _DIGITS + 1 or not content[:-1].isdigit():
        raise UsageError(f"{path}: does not hold a count of steps; the run cannot be continued.")
    return int(content)


def _lock(file: int, path: Path) -> None:
    """Held until the file is closed, which happens also when the process is killed."""
    try:
        _locker()(file)
    except OSError:
        raise UsageError(f"{path}: this run is going on in another process.") from None


def _locker() -> Callable[[int], None]:
    with contextlib.suppress(ImportError):
        import fcntl

        return lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    import msvcrt  # Windows

    return lambda file: msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
