"""The machine a run happens on: its device, its threads, and the person who presses Ctrl-C."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import torch

from dpplan.errors import UsageError


def device_named(name: str) -> torch.device:
    """auto, cpu, cuda or mps as a torch device. Raises UsageError when this machine or this torch lacks it.

    auto takes a CUDA device where there is one, else the CPU. It leaves Apple's GPUs alone: they have no
    float64, so clipping would go back to the CPU and win little.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        usable = ", ".join(device for device, usable in available.items() if usable)
        raise UsageError(f"device={name} is not available with this torch on this machine. Usable here: {usable}.")
    return torch.device(name)


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
def interrupt_asked() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed inside the block.

    The first press only asks, so that a step is never cut in two; the second one interrupts at once.
    """
    pressed = False

    def on_press(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    try:
        before = signal.signal(signal.SIGINT, on_press)
    except ValueError:  # only the main thread may listen to signals
        yield lambda: False
        return
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
