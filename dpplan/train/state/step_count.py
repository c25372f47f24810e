"""The count of steps begun, on disk before each step: a crash can count one step too many and never one too few.

count = StepCount(path, new=True)
count.begin()      # first this
trainer.step()      # then the release
"""

import os
from pathlib import Path

from dpplan.durable_files import lock, told, trouble
from dpplan.errors import InputOutputFailed, UsageError

_DIGITS = 20  # of the count in the file: always overwritten in place, in one write


class CountFile:
    """A count in a file of its own. While one process has it open, no other can open it.

    What was written stays when the process is killed; `sync` makes it outlast a power failure as well.
    """

    def __init__(self, path: Path, *, new: bool, what: str = "the count of steps") -> None:
        """Opens it. Raises UsageError when it is missing or held by a running process, InputOutputFailed when it
        cannot be used or holds something else.
        """
        self.path, self.what = path, what
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | (os.O_CREAT | os.O_EXCL if new else 0)
        try:
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise trouble(f"{path}: {what} cannot be opened", error) from error
        try:
            self._lock()
            with told(f"{path}: {what} cannot be read"):
                content = os.read(self._file, 100)
            self.empty, self.count = not content, self._read(content)
        except BaseException:
            self.close()
            raise

    def write(self, count: int) -> None:
        """Raises InputOutputFailed when the system refuses; what the file holds then is no lower than it was."""
        digits, done = b"%0*d\n" % (_DIGITS, count), 0
        try:  # not `told`: this happens before each step
            while done < len(digits):  # of a number that grows, any first part makes what was there larger
                done += _write_at(self._file, digits[done:], done)
        except OSError as error:
            raise InputOutputFailed(
                f"{self.path}: {self.what} cannot be written: {error.strerror or error}."
            ) from error
        self.count = count

    def sync(self) -> None:
        with told(f"{self.path}: {self.what} cannot be written"):
            os.fsync(self._file)

    def place(self) -> tuple[int, int]:
        """Device and inode: a copy of the file has others, the same file under another name has not."""
        with told(f"{self.path}: {self.what} cannot be read"):
            found = os.fstat(self._file)
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Lets others open it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, content: bytes) -> int:
        if not content:
            return 0  # made, and nothing written
        if len(content) != _DIGITS + 1 or not content[:-1].isdigit() or content[-1:] != b"\n":
            raise self.damaged()
        return int(content)

    def damaged(self) -> InputOutputFailed:
        return InputOutputFailed(f"{self.path}: does not hold a count of steps; the run cannot be continued.")

    def _lock(self) -> None:
        """Held until the file is closed, which happens also when the process is killed."""
        try:
            held = lock(self._file)
        except OSError as error:
            raise trouble(f"{self.path}: {self.what} cannot be locked", error) from error
        if not held:
            raise UsageError(f"{self.path}: this run is going on in another process.")


class StepCount:
    """How many steps of a run were begun, by this process and by those before it.

    Guarantee: at every moment the file holds at least the number of steps that were begun, and at most one more.
    `sync` is called before anything else of a step is written to disk or shown. Two processes that continued one run
    would each release what the other does not count; the file is held by one of them.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        """Opens it. Raises what `CountFile` raises."""
        self.path = path
        self.file = CountFile(path, new=new)
        try:
            if new:  # before all else that a run leaves: beside that, an empty count was emptied
                self.file.write(0)
                self.file.sync()
            elif self.file.empty:
                raise self.file.damaged()
        except BaseException:
            self.file.close()
            raise
        self.counted = self.file.count

    def begin(self) -> None:
        """Counts the step that is about to be taken. When it cannot be written, the step is not to be taken."""
        if self.counted + 1 > self.file.count:  # a seeded run that repeats steps repeats their releases
            self.file.write(self.counted + 1)
        self.counted += 1

    def raise_to(self, count: int) -> None:
        """Counts steps that were begun elsewhere."""
        if count > self.file.count:
            self.file.write(count)
        self.counted = max(self.counted, count)

    def sync(self) -> None:
        self.file.sync()

    def close(self) -> None:
        """Lets others open it."""
        self.file.close()


def _write_at(file: int, data: bytes, place: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, place)
    os.lseek(file, place, os.SEEK_SET)  # Windows
    return os.write(file, data)
