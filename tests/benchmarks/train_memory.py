"""The most memory that tensors take during a step, above what lies there between two steps: model, batch, optimiser.

Counted are activations, gradients, what the step computes with, and the buffers in which gradients stay; not what numpy
or a library takes for itself behind torch's back. On CNN and transformer the figures for the CPU agree to 2 % with the
resident memory of a fresh process.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import torch
from torch import nn
from torch.autograd.profiler import profile
from train_steps import Step

WARM = 2  # steps that may fill caches


def peak(step: Step, model: nn.Module, device: str) -> int:
    """Bytes."""
    for _ in range(WARM):
        step()
    return (_on_cuda(step) if device == "cuda" else _on_cpu(step)) + _lasting(model)


def _on_cuda(step: Step) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    level = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - level


def _on_cpu(step: Step) -> int:
    with _quiet(), profile(use_device=None, profile_memory=True) as seen:
        step()
    assert seen.kineto_results is not None
    events = [event for event in seen.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()  # negative where memory is given back
        most = max(most, now)
    return most


def _lasting(model: nn.Module) -> int:
    """Gradients that stay from step to step."""
    return sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, nobody writes to stderr: torch's profiler greets there at every start, whatever its log level is."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
