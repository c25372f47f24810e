"""In which precision a model runs, and in which its gradients are clipped and summed.

A model may run in bfloat16, which has the range of float32 and 8 bits. Clipping never does: what its layers saw and
what came back to them is turned into float32 first, which loses nothing, and norms and sums are computed from the
very same numbers as ever. Rounding inside the model changes the gradient that an example has, not how far it counts.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

EXACT = frozenset({torch.float32, torch.float64})  # what the margin for round-off was worked out for
ROUGH = EXACT | {torch.bfloat16}


def in_half(device: torch.device, half: bool) -> AbstractContextManager[object]:
    """Inside, torch runs in bfloat16 what gains by it; where `half` is False, nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False) if half else nullcontext()


def exactly(values: Tensor) -> Tensor:
    """The same numbers, in float32 where they were in bfloat16."""
    return values.to(torch.float32) if values.dtype == torch.bfloat16 else values
