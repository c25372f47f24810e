"""Functions and methods of torch's in whose place somebody has put others, since this module was loaded, and what has
been hung on them.

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


# Where torch keeps, at the first call of a function that dynamo leaves alone, what is called from then on.
_KEPT_BY_TORCH = "__dynamo_disable"


def _found_in(space: Any) -> dict[str, Any]:
    """What is found under each name: of a class, what it inherits, too."""
    kinds = reversed(space.__mro__) if isinstance(space, type) else (space,)
    return {name: value for kind in kinds for name, value in vars(kind).items()}


def _functions(space: Any) -> dict[str, Any]:
    return {name: value for name, value in _found_in(space).items() if callable(value) and not isinstance(value, type)}


_FIRST = {title: _functions(space) for title, space in (_BENEATH | _ABOVE).items()}
_HANGING = {
    f"{title}.{name}": (function, dict(vars(function)))
    for title, functions in _FIRST.items()
    for name, function in functions.items()
    if isinstance(function, types.FunctionType)
}
_OPERATED = frozenset({"aten", "prims", "mkl", "mkldnn", "quantized"})  # namespaces that torch computes with
torch.func.vmap(torch.neg)(torch.zeros(1))  # at whose first call torch gives some operators Python code of its own
_FIRST_IMPLEMENTED = frozenset(vars(torch.library)["_impls"])
_FIRST_OPERATORS = frozenset(torch._C._dispatch_get_all_op_names())
_PYTHONS = frozenset({"__slotnames__", "__warningregistry__", "__annotations__"})  # which it makes when first needed
_NAMES = {title: frozenset(vars(space)) for title, space in (_BENEATH | _ABOVE).items()}


def replaced() -> dict[str, Any]:
    """Name of a function -> what is there now."""
    return {
        f"{title}.{name}": there.get(name)
        for title, space in (_BENEATH | _ABOVE).items()
        for there in (_found_in(space),)
        for name, first in _FIRST[title].items()
        if there.get(name) is not first and not _torchs(there.get(name)) and f"{title}.{name}" not in _HARMLESS
    }


def hung() -> dict[str, Any]:
    """Name -> what hangs there now: attributes of functions, and new names in classes and modules of torch's."""
    found = {
        f"{name}.{key}": value
        for name, (function, first) in _HANGING.items()
        for key, value in vars(function).items()
        if (key not in first or first[key] is not value) and not (key == _KEPT_BY_TORCH and _torchs(value))
    }
    for title, space in (_BENEATH | _ABOVE).items():
        for key in sorted(vars(space).keys() - _NAMES[title] - _PYTHONS):
            value = vars(space)[key]
            own = isinstance(value, types.FunctionType) and not _torchs(value)
            if own or not (callable(value) or isinstance(value, types.ModuleType)):
                found[f"{title}.{key}"] = value
    return found


def replaced_beneath() -> list[str]:
    """Those of them that this package computes with as well, so that nothing it says of a model would hold.

    Operators, too, below all functions, to which Python code was given by torch.library.
    """
    return [name for name in replaced() if name.rpartition(".")[0] in _BENEATH] + replaced_operators()


def replaced_operators() -> list[str]:
    """Operators that were there when this module was loaded, and have been given Python code since, by torch.library.

    For shapes alone (Meta) torch gives some itself, when its compiler is loaded; nothing is computed by these. Of what
    is registered in C++, or past torch.library, nothing is known here.
    """
    found = set()
    for key in vars(torch.library)["_impls"] - _FIRST_IMPLEMENTED:  # as aten/hardswish/CPU
        name, _, where = key.rpartition("/")
        if where != "Meta" and name.partition("/")[0] in _OPERATED and name.replace("/", "::", 1) in _FIRST_OPERATORS:
            found.add(f"torch.ops.{name.replace('/', '.')}")
    return sorted(found)


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
