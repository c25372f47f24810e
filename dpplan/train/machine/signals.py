"""Ctrl-C and requests to terminate, heard between two steps."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

CTRL_C = (signal.SIGINT,)
ENDING = (signal.SIGINT, signal.SIGTERM)  # torchrun sends the second to its processes when one of them died


@contextlib.contextmanager
def interrupt_asked(signals: Sequence[signal.Signals] = CTRL_C) -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed, or another of these signals came, inside the block.

    The first press only asks, so that a step is never cut in two; the second one interrupts at once.
    """
    pressed = False

    def on_press(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    with _handled(signals, on_press):
        yield lambda: pressed


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
