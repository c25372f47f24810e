"""The machine a run happens on: its device, its threads, and the person who presses Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch

from dpplan.errors import UsageError

CTRL_C = (signal.SIGINT,)
ENDING = (signal.SIGINT, signal.SIGTERM)  # torchrun sends the second to its processes when one of them died


def device_named(name: str, place: int = 0, processes: int = 1) -> torch.device:
    """auto, cpu, cuda or mps as a torch device. Raises UsageError when this machine or this torch lacks it.

    auto takes a CUDA device where there is one, else the CPU. It leaves Apple's GPUs alone: they have no
    float64, so clipping would go back to the CPU and win little. processes: of one run on this machine, each of which
    needs a GPU of its own. place: which of them this is, from 0.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {"cpu": True, "cuda": gpus >= processes, "mps": torch.backends.mps.is_available() and processes == 1}
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    if not available[name]:
        usable = ", ".join(device for device, usable in available.items() if usable)
        each = f" for each of {processes} processes" if processes > 1 else ""
        raise UsageError(
            f"device={name} is not available{each} with this torch on this machine. Usable here: {usable}."
        )
    return torch.device(name, place) if name == "cuda" and processes > 1 else torch.device(name)


@contextlib.contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """torch with this many CPU threads inside the block; None leaves the choice to torch."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Inside, cuDNN takes only algorithms that give the same bits when they are run again.

    Others add up in whatever order the GPU's threads arrive, so that taking one example away could change the last
    bits of every other one's gradient.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


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
