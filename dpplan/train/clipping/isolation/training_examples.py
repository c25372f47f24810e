"""Whether a model reaches the training examples themselves, which each of its scores would then be made of."""

import hashlib
import types
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dpplan.train.clipping.isolation.reachable_objects import Reached, installed, outlived

Scaling = tuple[NDArray[np.float32], NDArray[np.float32]]
Rows = NDArray[Any]

# Fewer different examples than these are held by chance: zeros of a bias are half of all that one yes or no can say.
_SEVERAL = 16
_TELLING = 4  # different numbers in an example that is not met by chance; zeros and one-hot rows are
_BRANCHES = (list, tuple, dict)
_PIECE = 2**22  # numbers that are looked at in one go
_COLUMNS = 64  # numbers of an example by which most others are told from it


def holding(model: nn.Module, inputs: Tensor, scaling: Scaling | None = None) -> list[str]:
    """Names of the tensors, arrays and lists that the model reaches in which training examples are rows.

    Numbers are compared as float32 or words, as they are and scaled; of examples with few different numbers, half of
    the different ones have to be there, and where these are few, as many rows as half of the training set. Not found:
    what was computed from examples (a mean, a product), parts of them, examples of a lower precision, and what code
    reaches by a name that it makes up.

    inputs: (examples, ...). scaling: what was subtracted from the examples, and what they were divided by.
    """
    rows = _Known(inputs.detach().cpu().numpy(), scaling)
    return list(dict.fromkeys(name for name, array in _arrays(model) if rows.found_in(array)))


class _Known:
    """The training examples, by what tells them apart."""

    def __init__(self, inputs: Rows, scaling: Scaling | None) -> None:
        self.shape, self.scaling = inputs.shape[1:], scaling
        self.rows = inputs.reshape(len(inputs), -1)
        width = self.rows.shape[1]
        self.columns = np.unique(np.linspace(0, width - 1, min(width, _COLUMNS)).astype(np.int64))
        self.factors = np.random.default_rng(0).integers(1, 2**63, len(self.columns), np.uint64)
        self.keys = np.unique(self._keys(self.rows))
        self.digests: set[bytes] = set()

    def found_in(self, array: Rows) -> bool:
        if array.dtype.kind not in ("fiub" if self.rows.dtype == np.float32 else "iu"):
            return False
        width = self.rows.shape[1]
        turned = array.ndim == 2 and array.shape[0] == width  # examples are columns
        forms = (array, array.T) if turned else (array,)
        return any(self._found_in(each.reshape(-1, width)) for each in forms if each.size and each.size % width == 0)

    def _found_in(self, rows: Rows) -> bool:
        plain, scaled = Counter[bytes](), Counter[bytes]()
        most = max(1, _PIECE // rows.shape[1])
        for start in range(0, len(rows), most):
            with np.errstate(all="ignore"):
                piece = rows[start : start + most].astype(self.rows.dtype)
                if self._enough(piece, plain):
                    return True
                if self.scaling is not None:
                    shift, scale = self.scaling
                    piece = ((piece.reshape(-1, *self.shape) - shift) / scale).astype(self.rows.dtype)
                    if self._enough(piece.reshape(-1, rows.shape[1]), scaled):
                        return True
        return False

    def _enough(self, rows: Rows, met: Counter[bytes]) -> bool:
        """Adds to the examples that were met, and how often each was."""
        keys = self._keys(rows)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        near = np.flatnonzero(self.keys[places] == keys)
        if not len(near):
            return False
        times = np.ones(len(near), dtype=np.int64)
        if len(self.columns) == rows.shape[1]:  # equal keys are equal rows: each is looked at once
            _, first, times = np.unique(keys[near], return_index=True, return_counts=True)
            near = near[first]
        if not self.digests:
            self.digests = set(map(_digest, self.rows))
        for row, count in zip(rows[near], times.tolist(), strict=True):
            if (digest := _digest(row)) in self.digests:
                if digest not in met and len(np.unique(row)) >= _TELLING:
                    return True
                met[digest] += count
        by_chance = len(met) < _SEVERAL and 2 * met.total() < len(self.rows)
        return 2 * len(met) >= len(self.digests) and not by_chance

    def _keys(self, rows: Rows) -> NDArray[np.uint64]:
        """Equal for equal rows, and seldom for others."""
        chosen = np.ascontiguousarray(rows[:, self.columns]) + rows.dtype.type(0)  # -0.0 is another text of bits
        bits = chosen.view(np.uint32 if rows.dtype == np.float32 else np.uint64)
        found: NDArray[np.uint64] = bits.astype(np.uint64) @ self.factors
        return found


def _digest(row: Rows) -> bytes:
    return hashlib.blake2b((row + row.dtype.type(0)).tobytes(), digest_size=16).digest()


def _arrays(model: nn.Module) -> Iterator[tuple[str, Rows]]:
    """All numbers that the model reaches, those that are trained included."""
    reached = Reached(model, copied=False)
    passed_by = _unmentioned(reached)
    held: list[tuple[str, Any]] = [(f"parameter '{name}'", p) for name, p in model.named_parameters()]
    held += [(name, leaf[0]) for name, leaf in reached.found.items()]
    held += [(name, value) for value, name in reached.met.values() if isinstance(value, _BRANCHES)]
    for name, value in held:
        if passed_by and name.startswith(passed_by):
            continue
        if isinstance(value, Tensor):
            if _readable(value):
                yield name, value.detach().to("cpu", torch.float32 if value.is_floating_point() else None).numpy()
        elif isinstance(value, np.ndarray):
            yield name, np.asarray(value)
        elif isinstance(value, _BRANCHES):
            yield from ((name, rows) for rows in _rows_of(value))


def _rows_of(branch: Any) -> Iterator[Rows]:
    """Lists of numbers, and of lists of one length, at any depth."""
    todo, met = [branch], set[int]()
    while todo:
        value = todo.pop()
        if id(value) in met:
            continue
        met.add(id(value))
        parts = list(value.values()) if isinstance(value, dict) else value
        if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple | int | float):
            try:
                yield np.asarray(value)
                continue
            except Exception:  # not rows of one length, or of whatever they are made
                pass
        todo += [part for part in parts if isinstance(part, _BRANCHES)]


def _unmentioned(reached: Reached) -> tuple[str, ...]:
    """How the names begin of what lies in the modules that the model's code is written in, or imports, without that
    this code says its name anywhere: data beside a model that has nothing to do with them."""
    codes = [leaf[0] for leaf in reached.found.values() if isinstance(leaf[0], types.CodeType)]
    todo, said = [code for code in codes if not installed(code.co_filename)], set[str]()
    while todo:
        code = todo.pop()
        said.update(code.co_names, (each for each in code.co_consts if isinstance(each, str)))
        todo += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    names = [f"global '{module.__name__}.{key}" for module, key, _ in reached.swept if key not in said]
    return tuple(f"{name}{after}" for name in names for after in "'[.")


def _readable(tensor: Tensor) -> bool:
    if outlived(tensor) or is_lazy(tensor) or tensor.is_meta or tensor.is_nested or tensor.is_quantized:
        return False
    return tensor.layout is torch.strided and not tensor.is_complex()
