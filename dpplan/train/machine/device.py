"""What a run computes on: its device, its threads, and algorithms that repeat themselves."""

import contextlib
import os
from collections.abc import Iterator

import torch

from dpplan.errors import UsageError


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


def memory_of(device: torch.device) -> int | None:
    """Bytes that this device has, those in use included; None where nobody tells."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


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
