"""What a model does outside its process's objects while it runs: files, other processes, connections.

with watched() as done: model(example)
done                # {"open for writing"}: what one example leaves there, another may read

Told by Python's audit events; by what of Python's writes to a file, a terminal, a log or a socket that was open before,
which is not done then; by torch.save; and by where the files that are open stand afterwards, whoever wrote to them.
Reading is allowed; so are imports, compilers (their caches are written when code first meets a shape) and the null
device. Warnings are not written inside, so that they tell nothing.

Not met here: what code in C++ writes to other descriptors than those of files (terminals, pipes, connections), to what
was open before this module was loaded, which the process may have been started with and others may write to as well,
over what a file holds already without moving on in it, and through memory that is mapped to a file; and, while other
threads run, whose files they may be, all that C++ writes.
"""

import logging
import os
import socket
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import torch

from dpplan.train.clipping.isolation.reachable_objects import installed

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = frozenset(
    {
        *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime"),
        *("os.chmod", "os.chown", "os.setxattr", "os.removexattr", "os.system", "os.exec", "os.fork", "os.forkpty"),
        *("os.posix_spawn", "subprocess.Popen", "sqlite3.connect", "_thread.start_new_thread"),
        *("_thread.start_joinable_thread", "shutil.copyfile", "shutil.move", "shutil.rmtree", "shutil.copytree"),
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.__new__"),
    }
)
_COMPILERS = ("torch._dynamo", "torch._inductor", "triton", "importlib", "_frozen_importlib")
_AROUND = "torch._dynamo.eval_frame"  # around all that is compiled: also what runs there as plain Python
# What writes to a file or a connection that was open before.
_WRITERS: tuple[tuple[Any, str], ...] = (
    *((os, name) for name in ("write", "writev", "pwrite", "pwritev", "sendfile") if hasattr(os, name)),
    *((socket.socket, name) for name in ("send", "sendall")),
)
_STANDARD = 3  # descriptors that a process is started with, which others write to as well
_DESCRIPTORS = "/dev/fd"
_MOST = 64  # descriptors that are looked at where nothing lists them
_File = tuple[int, int, int]  # descriptor, device and number
PRINTS = "print"
LOGS = "logging"
OLD_FILE = "a file that was open before"


class _Watch:
    """done: what was met. others: threads that were there before, whose doing is not the model's."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        own, threads = threading.get_ident(), threading.enumerate()
        self.others = {each.ident for each in threads if not isinstance(each, threading._DummyThread)} - {own}

    def note(self, what: str) -> bool:
        """Whether it is the model's doing."""
        if threading.get_ident() in self.others or _compiling(sys._getframe(2)):
            return False
        self.done.add(what)
        return True


_now: list[_Watch] = []  # the last of them is told
_hooked: list[bool] = []


@contextmanager
def watched() -> Iterator[set[str]]:
    """Inside, what Python code does outside its process is noted in the set, in words without names of files."""
    if not _hooked:
        sys.addaudithook(_audited)  # for good: it cannot be taken away
        _hooked.append(True)
    watch = _Watch()
    _now.append(watch)
    try:
        with _saving(watch), _writing(watch), _unwarned():
            before = {} if watch.others else _open_files()
            yield watch.done
            after = _open_files() if before else {}
            if any(after.get(file, stood) != stood for file, stood in before.items() if file not in _inherited):
                watch.done.add(OLD_FILE)
    finally:
        _now.remove(watch)


def _audited(event: str, details: tuple[Any, ...]) -> None:
    if not _now:
        return
    if event == "open":
        path, mode, flags = details
        writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & _WRITING)
        if writes and not isinstance(path, int) and path not in (os.devnull, os.devnull.encode()):
            _now[-1].note("open for writing")
    elif event in _EVENTS:
        _now[-1].note(event)


@contextmanager
def _saving(watch: _Watch) -> Iterator[None]:
    """torch.save to a file of a name: the file is opened in C++."""
    writer: Any = getattr(torch.serialization, "_open_zipfile_writer_file", None)
    if writer is None:
        yield
        return
    first: Callable[..., None] = writer.__init__

    def opened(self: Any, *args: Any, **kwargs: Any) -> None:
        watch.note("torch.save")
        first(self, *args, **kwargs)

    writer.__init__ = opened
    try:
        yield
    finally:
        writer.__init__ = first


@contextmanager
def _writing(watch: _Watch) -> Iterator[None]:
    """Inside, what the model prints, logs or writes to what was open before is noted, and not done."""
    with ExitStack() as puts:
        for owner, name in _WRITERS:
            puts.enter_context(_put(owner, name, _noting(watch, getattr(owner, name), f"{owner.__name__}.{name}")))
        puts.enter_context(_put(logging.Handler, "handle", _noting(watch, logging.Handler.handle, LOGS)))
        streams = {id(each): each for each in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)}
        for stream in streams.values():
            for part in (stream, getattr(stream, "buffer", None)):
                for name in ("write", "writelines"):
                    if first := getattr(part, name, None):
                        puts.enter_context(_put(part, name, _noting(watch, first, PRINTS)))
        yield


def _noting(watch: _Watch, first: Callable[..., Any], what: str) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        if not watch.note(what):
            return first(*args, **kwargs)
        return len(args[-1]) if args and isinstance(args[-1], str | bytes) else 0

    return noted


@contextmanager
def _put(owner: Any, name: str, value: Any) -> Iterator[None]:
    """In the place of an attribute of a module, a class or an object. One that lets nobody do so keeps its own."""
    own = vars(owner) if hasattr(owner, "__dict__") else {}
    there, first = name in own, own.get(name)
    try:
        setattr(owner, name, value)
    except (AttributeError, TypeError):
        yield
        return
    try:
        yield
    finally:
        if there:
            setattr(owner, name, first)
        else:
            delattr(owner, name)


@contextmanager
def _unwarned() -> Iterator[None]:
    """Inside, no warning is written: its text may be the model's. Who records warnings gets them.

    torch's own are no doing of the model's, and were shown on trial.
    """
    shown: Any = warnings
    record = shown._showwarnmsg_impl

    def unwritten(message: Any) -> None:
        if shown._showwarnmsg_impl is not record:
            first(message)

    first = shown._showwarnmsg
    with _put(shown, "_showwarnmsg", unwritten):
        yield


def _open_files() -> dict[_File, tuple[int, int]]:
    """Each file that this process has open -> how long it is, 0 where it can only be read, and where it stands."""
    found: dict[_File, tuple[int, int]] = {}
    shared = set[tuple[int, int]]()
    try:
        descriptors = sorted(map(int, os.listdir(_DESCRIPTORS)))
    except OSError:
        descriptors = list(range(_MOST))
    for descriptor in descriptors:
        try:
            told = os.fstat(descriptor)
            if descriptor < _STANDARD:
                shared.add((told.st_dev, told.st_ino))
            elif stat.S_ISREG(told.st_mode) and (told.st_dev, told.st_ino) not in shared:
                size = told.st_size if _written_to(descriptor) else 0  # which others may make longer
                found[descriptor, told.st_dev, told.st_ino] = size, os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:  # closed meanwhile
            continue
    return found


def _written_to(descriptor: int) -> bool:
    """Whether it may be written to, as far as can be told."""
    return fcntl is None or fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


_inherited: set[_File] = set()  # what the process has from who started it, or from before it was forked


def _inherit() -> None:
    _inherited.clear()
    _inherited.update(_open_files())


_inherit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit)


def _compiling(frame: FrameType | None) -> bool:
    """Whether a compiler or an import does this: one is met on the way back to the code of the user's."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != _AROUND and any(name == each or name.startswith(f"{each}.") for each in _COMPILERS):
            return True
        if name.partition(".")[0] == "dpplan" or not installed(frame.f_code.co_filename):
            return False
        frame = frame.f_back
    return False
