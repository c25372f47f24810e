"""What a model does outside its process's objects while it runs: files, other processes, connections.

with watched() as done: model(example)
done                # {"open for writing"}: what one example leaves there, another may read

Told by Python's audit events, and by torch.save, which writes files without one. Reading is allowed; so are imports,
compilers (their caches are written when code first meets a shape) and the null device. What code in C++ writes, and
files that were open before, are not met here.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from dpplan.train.clipping.isolation.reachable_objects import installed

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


class _Watch:
    """done: what was met. others: threads that were there before, whose doing is not the model's."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        own, threads = threading.get_ident(), threading.enumerate()
        self.others = {each.ident for each in threads if not isinstance(each, threading._DummyThread)} - {own}

    def note(self, what: str) -> None:
        if threading.get_ident() not in self.others and not _compiling(sys._getframe(2)):
            self.done.add(what)


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
        with _saving(watch):
            yield watch.done
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
