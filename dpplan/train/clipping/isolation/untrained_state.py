"""What a model holds besides the parameters that are trained, and whether any of it has changed.

    state = HiddenState(model)
    ... the model runs ...
    state.changes() -> ["buffer 'mean'", ...]
    state.restore()

What a model keeps of the examples it has seen is released without noise: with the file that it is saved to, or by the
next step, which it takes part in. So whatever changes while the model runs ends the run. What is looked at is all that
the model reaches, see `Reached`.
"""

import decimal
import gc
import os
import signal
import sys
import threading
import types
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpplan.errors import RecipeError
from dpplan.train.clipping.isolation.plain_values import plain, same_bits, same_tensors
from dpplan.train.clipping.isolation.reachable_objects import Leaf, Leaves, Reached, dotted
from dpplan.train.clipping.isolation.refusal_messages import TOO_MUCH

GENERATOR = "random generator"  # how the names of generators begin
TRAINED = "parameters that are trained"
_SIGNALS = sorted(signal.valid_signals())


class HiddenState:
    """A copy of all that the model holds and does not train, as it is now.

    Raises RecipeError for a model that holds more than is looked at, the rest of which could change unseen.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        reached = Reached(model)
        if reached.cut_short:
            raise RecipeError(TOO_MUCH)
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
            for held, kind in ((layer._buffers, "buffer"), (layer._parameters, "parameter")):
                for name in held:
                    was, kept = self.held.get(f"{kind} '{dotted(layer_name, name)}'", (None, None))
                    if isinstance(was, Tensor):  # in new tensors: what became of the old ones may not even be read
                        again = kept.clone()
                        held[name] = again if kind == "buffer" else nn.Parameter(again, requires_grad=False)


class Modes:
    """Settings of torch, numpy and Python for the whole process, as they are now.

    A model that changes one, or breaks off before it has put it back, changes what the next example contributes.
    """

    def __init__(self) -> None:
        self.before, self.threads = self._now(), _threads()

    def changes(self) -> list[str]:
        now = self._now()
        started = ["the threads that run"] if _threads() - self.threads else []  # others may end at any time
        return [name for name, value in self.before.items() if now[name] != value] + started

    def restore(self) -> None:
        """Those that later work rests on."""
        torch.set_grad_enabled(self.before["torch's grad mode"])
        torch.set_default_dtype(self.before["torch's default type"])

    @classmethod
    def _now(cls) -> dict[str, Any]:
        return {**cls._of_torch(), **cls._of_python()}

    @staticmethod
    def _of_torch() -> dict[str, Any]:
        libraries: Any = torch.backends
        found = {
            "grad mode": torch.is_grad_enabled(),
            "inference mode": torch.is_inference_mode_enabled(),
            "default type": torch.get_default_dtype(),
            "default device": torch.get_default_device(),
            "autocast": tuple(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")),
            "autocast's types": tuple(torch.get_autocast_dtype(kind) for kind in ("cpu", "cuda")),
            "matmul precision": torch.get_float32_matmul_precision(),
            "anomaly mode": torch.is_anomaly_enabled(),
            "deterministic mode": (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            "number of threads": torch.get_num_threads(),
            "small numbers": float(torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1),
            "libraries": (
                (libraries.cudnn.enabled, libraries.cudnn.benchmark, libraries.cudnn.deterministic),
                libraries.mkldnn.enabled,  # tf32 is told by the matmul precision; to ask cudnn may raise
            ),
            "attention": (
                (libraries.cuda.flash_sdp_enabled(), libraries.cuda.math_sdp_enabled()),
                (libraries.cuda.mem_efficient_sdp_enabled(), libraries.cuda.cudnn_sdp_enabled()),
            ),
            "print options": repr(vars(torch._tensor_str.PRINT_OPTS)),
            "ways of computing": (torch.backends.opt_einsum.enabled, torch.backends.mha.get_fastpath_enabled()),
            "threads of autograd": torch._C._is_multithreading_enabled(),
            "warnings": torch.is_warn_always_enabled(),
        }
        return {f"torch's {name}": value for name, value in found.items()}

    @staticmethod
    def _of_python() -> dict[str, Any]:
        return {
            "numpy's handling of errors": repr(np.geterr()),
            "the precision of decimal numbers": repr(decimal.getcontext()),
            "numpy's settings": (np.getbufsize(), repr(np.get_printoptions())),
            "the working directory": os.getcwd(),
            "limits of Python's": (sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()),
            "the collection of garbage": (gc.isenabled(), gc.get_threshold()),
            "the handlers of signals": [signal.getsignal(each) for each in _SIGNALS],
            "what is told of every call": (sys.getprofile(), sys.gettrace()),
            "the rights of new files": _umask(),
            "the name of the thread": threading.current_thread().name,
            "the filters of warnings": list(warnings.filters),
        }


class TrainedState:
    """The parameters that are trained and the gradients that hang on them, as they are now."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.held = [(tensor, None if tensor is None else tensor.detach().clone()) for tensor in self._now()]

    def changes(self) -> list[str]:
        now = self._now()
        same = len(now) == len(self.held) and all(
            _same(before, (tensor, None if tensor is None else tensor.detach()))
            for before, tensor in zip(self.held, now, strict=True)
        )
        return [] if same else [TRAINED]

    def _now(self) -> list[Tensor | None]:
        return [part for p in self.model.parameters() if p.requires_grad for part in (p, p.grad)]


def _umask() -> str:
    """Of this process, without setting it; "" where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            return next((line for line in status if line.startswith("Umask:")), "")
    except OSError:
        return ""


def _threads() -> set[threading.Thread]:
    """Without those of autograd, which no Python code has started."""
    return {each for each in threading.enumerate() if not isinstance(each, threading._DummyThread)}


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
            return same_tensors(was, now)
        if isinstance(was, np.ndarray):
            return was.dtype == now.dtype and np.array_equal(was, now, equal_nan=was.dtype.kind in "fc")
        if plain(was) or isinstance(was, dict):
            return same_bits(was, now)
        return bool(was == now) or (was != was and now != now)
    except (RuntimeError, TypeError, ValueError):  # objects of the user's that cannot be compared
        return False
