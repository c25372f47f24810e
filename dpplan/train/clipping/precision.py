"""In which precision a model runs, and in which its gradients are clipped and summed.

A model may run in bfloat16, which has the range of float32 and 8 bits. Clipping never does: what its layers saw and
what came back to them is turned into float32 first, which loses nothing, and norms and sums are computed from the
very same numbers as ever. Rounding inside the model changes the gradient that an example has, not how far it counts.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

EXACT = frozenset({torch.float32, torch.float64})  # what the margin for round-off was worked out for
ROUGH = EXACT | {torch.bfloat16}


def in_half(device: torch.device, half: bool) -> AbstractContextManager[object]:
    """Inside, torch runs in bfloat16 what gains by it; where `half` is False, nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False) if half else nullcontext()


@contextmanager
def whole_products(device: torch.device) -> Iterator[None]:
    """Inside, products of float32 are computed as such, whatever the program has allowed torch to do with them.

    After torch.set_float32_matmul_precision("medium"), say, or within autocast, processors that can round the factors
    to 8 or 10 bits; a sum of clipped gradients then exceeds its sensitivity by half a per cent.
    """
    switches = [torch.backends.mkldnn, torch.backends.cuda]
    before = None
    if hasattr(torch.backends.mkldnn, "matmul"):  # from torch 2.9 on
        before = [switch.matmul.fp32_precision for switch in switches]
        for switch in switches:
            switch.matmul.fp32_precision = "ieee"
    else:
        older = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
    try:
        if torch.is_autocast_enabled(device.type):
            with torch.autocast(device.type, enabled=False):
                yield
        else:
            yield
    finally:
        if before is None:
            torch.set_float32_matmul_precision(older)
        else:
            for switch, value in zip(switches, before, strict=True):
                switch.matmul.fp32_precision = value


def exactly(values: Tensor) -> Tensor:
    """The same numbers, in float32 where they were in bfloat16."""
    return values.to(torch.float32) if values.dtype == torch.bfloat16 else values
