"""Files that are there as a whole or not at all, whenever the process or the machine stops; and files that one process
holds.

What cannot be read or written is told in one sentence: `trouble` says which error that is.
"""

import contextlib
import errno
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from dpplan.errors import DpplanError, InputOutputFailed, UsageError, file_error

# What is wrong with the name that was given, and not with the disk or with who may use it.
_ENDING = 12  # letters that a file has while it is written, after its name
LONGEST_NAME = 255  # bytes, in the file systems of Linux and macOS; on Windows as many letters
_NAMING = {errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}


def trouble(what: str, error: OSError) -> DpplanError:
    """The error to raise for a file that could not be used. what: the file, and what could not be done with it."""
    sentence = f"{what}: {error.strerror or error}."
    return UsageError(sentence) if error.errno in _NAMING else InputOutputFailed(sentence)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Inside, what the system refuses is raised as one sentence that begins with `what`."""
    try:
        yield
    except OSError as error:
        raise InputOutputFailed(f"{what}: {error.strerror or error}.") from error


def write_whole(path: Path, write: Callable[[BinaryIO], object], mode: int = 0o666) -> None:
    """Replaces the file by what `write` writes, in one move, and returns when it would outlast a power failure.

    mode: who may do what with it, less what this process takes away from all its files.
    Written beside its place first, since only a move within one folder is atomic. Raises InputOutputFailed when that
    cannot be done; then the file is what it was, except where the error says that it is written.
    """
    with told(f"{path}: cannot be written"):
        _replace(path, write, mode & ~_UMASK, f"{path}:")


def write_named(what: str, path: Path, content: bytes) -> None:
    """A page, a picture or a table, under the name that the user gave: whole, or what was there stays as it was.

    what: the option or file, as errors begin with it. A link stays a link, and a file keeps its mode. Devices and
    pipes, and files in folders that take no other, are written to where they are. Raises UsageError where another name
    would do, else InputOutputFailed.
    """
    try:
        place = Path(os.path.realpath(path))
        there = path.exists()
        # What /dev/stdout or the shell's >(...) links to is a pipe, which is there and has no name.
        if there and not (place.is_file() and os.access(place.parent, os.W_OK)):
            path.write_bytes(content)
        else:
            mode = stat.S_IMODE(place.stat().st_mode) if there else 0o666 & ~_UMASK
            _replace(place, lambda stream: stream.write(content), mode, what)
    except OSError as error:
        raise file_error(f"{what} cannot be written", error) from error


def name_too_long(path: Path) -> str:
    """What is wrong with a path of which a part is too long to be a name, as the end of a sentence; "" of any other."""
    longest = max((len(part) if os.name == "nt" else len(os.fsencode(part)) for part in path.parts), default=0)
    if longest <= LONGEST_NAME:
        return ""
    return f"has a name of {longest} bytes, and {LONGEST_NAME} are the most. Choose a shorter one."


def _replace(path: Path, write: Callable[[BinaryIO], object], mode: int, what: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_beside(path.name))
    try:
        with os.fdopen(handle, "wb") as stream:
            attempt = _Attempt(stream)
            try:
                write(cast(BinaryIO, attempt))
            finally:
                attempt.check()
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)  # temporary files are readable by their owner only
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    with told(f"{what} is written, and whether it outlasts a power failure is not sure"):
        sync_folder(path.parent)


def _beside(name: str) -> str:
    """How the name begins under which a file of this name is written before it is moved: no longer than that one."""
    start = f".{name}"
    while len(os.fsencode(start)) > LONGEST_NAME - _ENDING:
        start = start[:-1]
    return f"{start}."


class _Attempt(io.RawIOBase):
    """Writes to a stream, and after an error pretends to.

    torch.save writes from C++, where an error of the system turns into another one that tells nothing, and aborts.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return self.stream.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def sync_folder(path: Path) -> None:
    """Makes the names in a folder outlast a power failure. Windows has no way to ask for it, and needs none."""
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def lock(file: int) -> bool:
    """Takes an open file for this process until it is closed, which a kill does too; False when another one has it.

    Raises OSError where the system has no locks, as some network file systems have none.
    """
    try:
        _locker()(file)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}:
            return False
        raise
    return True


def remove_leftovers(folder: Path, name: str) -> None:
    """Removes what a killed process left of writing the file of this name."""
    for path in folder.glob(f"{_beside(name)}*"):
        path.unlink(missing_ok=True)


def _locker() -> Callable[[int], None]:
    with contextlib.suppress(ImportError):
        import fcntl

        return lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    import msvcrt  # Windows

    return lambda file: msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()
