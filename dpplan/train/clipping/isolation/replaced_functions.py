"""Functions and methods of torch's in whose place somebody has put others, since this module was loaded.

It is loaded before any module of the user's. What torch, or this package, puts there itself is no replacement.
"""

import os
import sys
import types
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_OWN_FOLDERS = (os.path.dirname(torch.__file__) + os.sep,)
# What clipping and the wall between examples are computed with, and what layers are.
_BENEATH: dict[str, Any] = {
    "torch": torch, "torch.Tensor": Tensor, "torch.func": torch.func, "torch.linalg": torch.linalg,
    "torch.autograd": torch.autograd, "torch._functorch.apis": torch._functorch.apis,
}  # fmt: skip
_ABOVE: dict[str, Any] = {"torch.nn.functional": nn.functional, "torch._C._nn": torch._C._nn, "torch._VF": torch._VF}
# What people do replace, and nothing is computed with.
_HARMLESS = frozenset(
    {
        *("torch.load", "torch.save", "torch.compile", "torch.manual_seed", "torch.seed", "torch.set_printoptions"),
        *("torch.Tensor.__repr__", "torch.Tensor.__str__", "torch.Tensor.__format__", "torch.Tensor.__dir__"),
    }
)


def _found_in(space: Any) -> dict[str, Any]:
    """What is found under each name: of a class, what it inherits, too."""
    kinds = reversed(space.__mro__) if isinstance(space, type) else (space,)
    return {name: value for kind in kinds for name, value in vars(kind).items()}


def _functions(space: Any) -> dict[str, Any]:
    return {name: value for name, value in _found_in(space).items() if callable(value) and not isinstance(value, type)}


_FIRST = {title: _functions(space) for title, space in (_BENEATH | _ABOVE).items()}


def replaced() -> dict[str, Any]:
    """Name of a function -> what is there now."""
    return {
        f"{title}.{name}": there.get(name)
        for title, space in (_BENEATH | _ABOVE).items()
        for there in (_found_in(space),)
        for name, first in _FIRST[title].items()
        if there.get(name) is not first and not _torchs(there.get(name)) and f"{title}.{name}" not in _HARMLESS
    }


def replaced_beneath() -> list[str]:
    """Those of them that this package computes with as well, so that nothing it says of a model would hold."""
    return [name for name in replaced() if name.rpartition(".")[0] in _BENEATH]


class AsTheyCame:
    """Classes and the modules that they are written in, as they are now."""

    def __init__(self, kinds: Iterable[type]) -> None:
        classes = {each for kind in kinds for each in kind.__mro__ if each is not object}
        self.spaces: list[Any] = [*classes, *{sys.modules[each.__module__] for each in classes}]
        self.first = [_parts(space) for space in self.spaces]

    def unchanged(self) -> bool:
        """Whether all that their methods may call is what it was."""
        for space, first in zip(self.spaces, self.first, strict=True):
            now = _parts(space)
            for name in first.keys() | (now.keys() if isinstance(space, type) else set()):
                if now.get(name) is not first.get(name) and not _torchs(now.get(name)):
                    return False
        return True


def _parts(space: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(space).items()
        if callable(value) or isinstance(value, types.ModuleType | property | classmethod | staticmethod)
    }


def _torchs(value: Any) -> bool:
    if not isinstance(value, types.FunctionType):
        return False
    ours = value.__globals__.get("__name__", "").partition(".")[0] == "dpplan"
    return ours or value.__code__.co_filename.startswith(_OWN_FOLDERS)
