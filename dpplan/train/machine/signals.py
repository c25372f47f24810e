"""Ctrl-C and requests to terminate, heard between two steps."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

CTRL_C = (signal.SIGINT,)
# The second is what a cluster sends before it kills, and torchrun to its processes when one of them died.
ENDING = (signal.SIGINT, signal.SIGTERM)
_CLOSED = tuple(getattr(signal, name) for name in ("SIGHUP",) if hasattr(signal, name))  # the terminal; not on Windows


class _Presses:
    """How often Ctrl-C was pressed within a block of the main thread."""

    def __init__(self) -> None:
        self.count = 0


_open: list[_Presses] = []  # of the blocks that are open, from without to within
_nothing_kept: list[None] = []  # one for each block that is open of work of which nothing is kept


@contextlib.contextmanager
def interrupt_asked(signals: Sequence[signal.Signals] = CTRL_C) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed, or another of these signals came, inside the block.

    The first press only asks, so that a step is never cut in two; the second one interrupts at once. Where nothing of
    the work is kept, the first one does.
    """
    with _counted(signals, raising_at=1 if _nothing_kept else 2) as pressed:
        yield pressed


@contextlib.contextmanager
def nothing_kept() -> Iterator[None]:
    """Inside, blocks that Ctrl-C would only ask are interrupted at once: whatever is cut in two is thrown away."""
    _nothing_kept.append(None)
    try:
        yield
    finally:
        _nothing_kept.pop()


def every_end() -> tuple[signal.Signals, ...]:
    """Ctrl-C, and of all else that can be heard what would end this process now: not what it was started to ignore, as
    by nohup. For work that must take away what it made before it goes."""
    others = (each for each in (*ENDING, *_CLOSED) if each not in CTRL_C)
    return *CTRL_C, *(each for each in others if signal.getsignal(each) is not signal.SIG_IGN)


@contextlib.contextmanager
def interrupt_remembered(signals: Sequence[signal.Signals] = CTRL_C) -> Iterator[Callable[[], bool]]:
    """Ctrl-C, or another of these signals, interrupts at once, as ever. The function says whether it came, here or in a
    block inside this one: also where that one ended before it asked, and where what was interrupted went on
    regardless."""
    with _counted(signals, raising_at=1) as pressed:
        yield pressed


@contextlib.contextmanager
def interrupt_deferred(signals: Sequence[signal.Signals] = CTRL_C) -> Iterator[Callable[[], bool]]:
    """Ctrl-C, or another of these signals, interrupts nothing inside, and the function says whether it came. For what
    takes a moment, and must not be left half done."""
    with _counted(signals, raising_at=sys.maxsize) as pressed:
        yield pressed


@contextlib.contextmanager
def _counted(signals: Sequence[signal.Signals], raising_at: int) -> Iterator[Callable[[], bool]]:
    """Counts the presses inside, for this block and for those around it. From `raising_at` on they interrupt."""
    mine = _Presses()

    def on_press(signum: int, frame: FrameType | None) -> None:
        for each in _open:
            each.count += 1
        if mine.count >= raising_at:
            raise KeyboardInterrupt

    hears = threading.current_thread() is threading.main_thread()
    with _handled(signals, on_press):
        if hears:
            _open.append(mine)
        try:
            yield lambda: mine.count > 0
        finally:
            if hears:
                _open.remove(mine)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Inside, this process neither listens to Ctrl-C nor to a request to terminate."""
    with _handled(ENDING, signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(signals: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    """Inside, these signals go to the handler. In any but the main thread, which alone may listen, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, handler) for number in signals]
    try:
        yield
    finally:
        for number, handler_before in zip(signals, before, strict=True):
            signal.signal(number, handler_before)
