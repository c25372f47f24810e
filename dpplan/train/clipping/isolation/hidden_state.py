"""What a model holds besides the parameters that are trained, and whether any of it has changed.

    state = HiddenState(model)
    ... the model runs ...
    state.changes() -> ["buffer 'mean'", ...]
    state.restore()

What a model keeps of the examples it has seen is released without noise: with the file that it is saved to, or by the
next step, which it takes part in. So whatever changes while the model runs ends the run. What is looked at is all that
the model reaches, see `Reached`.
"""

import types
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpplan.train.clipping.isolation.reachable_objects import Leaf, Leaves, Reached, dotted

GENERATOR = "random generator"  # how the names of generators begin


class HiddenState:
    """A copy of all that the model holds and does not train, as it is now."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        reached = Reached(model)
        self.held, self.opaque = reached.found, reached.opaque

    def changes(self, drawing: bool = True) -> list[str]:
        """Everything that is no longer as it was, each with its kind and name.

        drawing: whether a random generator of the model's own counts, from which it may have drawn.
        """
        now = leaves(self.model, copied=False)
        changed = [name for name in self.held | now if not _same(self.held.get(name), now.get(name))]
        return [name for name in changed if drawing or not name.startswith(GENERATOR)]

    def restore(self) -> None:
        """Buffers and frozen parameters with the values they had. Other attributes are never written to a file."""
        for layer_name, layer in self.model.named_modules():
            for held, kind in ((vars(layer)["_buffers"], "buffer"), (vars(layer)["_parameters"], "parameter")):
                for name in held:
                    was, kept = self.held.get(f"{kind} '{dotted(layer_name, name)}'", (None, None))
                    if isinstance(was, Tensor):  # in new tensors: what became of the old ones may not even be read
                        again = kept.clone()
                        held[name] = again if kind == "buffer" else nn.Parameter(again, requires_grad=False)


class Modes:
    """Torch's settings for the whole process, as they are now.

    A model that changes one, or breaks off before it has put it back, changes what the next example contributes.
    """

    def __init__(self) -> None:
        self.before = self._now()

    def changes(self) -> list[str]:
        now = self._now()
        return [f"torch's {name}" for name, value in self.before.items() if now[name] != value]

    def restore(self) -> None:
        """Those that later work rests on."""
        torch.set_grad_enabled(self.before["grad mode"])
        torch.set_default_dtype(self.before["default type"])

    @staticmethod
    def _now() -> dict[str, Any]:
        return {
            "grad mode": torch.is_grad_enabled(),
            "inference mode": torch.is_inference_mode_enabled(),
            "default type": torch.get_default_dtype(),
            "autocast": tuple(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")),
            "autocast's types": tuple(torch.get_autocast_dtype(kind) for kind in ("cpu", "cuda")),
            "matmul precision": torch.get_float32_matmul_precision(),
            "anomaly mode": torch.is_anomaly_enabled(),
            "deterministic mode": torch.are_deterministic_algorithms_enabled(),
            "number of threads": torch.get_num_threads(),
        }


def leaves(model: nn.Module, copied: bool = True) -> Leaves:
    """Kind and name -> what is held there."""
    return Reached(model, copied).found


def _same(before: Leaf | None, after: Leaf | None) -> bool:
    if before is None or after is None:
        return False
    was, now = before[1], after[1]
    if type(before[0]) is not type(after[0]):
        return False
    if isinstance(was, type | types.CodeType):
        return was is now
    try:
        if isinstance(was, Tensor) and isinstance(now, Tensor):
            if was.shape != now.shape or was.dtype != now.dtype or was.device != now.device:
                return False
            return bool(((was == now) | ((was != was) & (now != now))).all())  # NaN is NaN here
        if isinstance(was, np.ndarray):
            return was.dtype == now.dtype and np.array_equal(was, now, equal_nan=was.dtype.kind in "fc")
        return bool(was == now) or (was != was and now != now)
    except (RuntimeError, TypeError, ValueError):  # objects of the user's that cannot be compared
        return False
