"""What a model holds besides the parameters that are trained, and whether any of it has changed.

    state = State(model)
    ... the model runs ...
    state.changes() -> ["buffer 'mean'", ...]
    state.restore()

What a model keeps of the examples it has seen is released without noise: with the file that it is saved to, or by the
next step, which it takes part in. So whatever changes while the model runs ends the run. Looked at: buffers, frozen
parameters, every other attribute of a layer (tensors, numbers, text, and lists, dictionaries and objects of these), and
what the code of the model's own classes reads from outside: globals, closures, defaults and attributes of classes.
"""

import copy
import functools
import inspect
import itertools
import random
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Leaf = tuple[Any, Any]  # the object itself, and a copy of it where it can be changed in place
Leaves = dict[str, Leaf]

# Attributes that every module has, which are looked at in other ways or not at all.
HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})
_INTERNAL = frozenset(vars(nn.Module())) - {"training"} - HOOKS | {"_flat_weights"}  # of recurrent layers, parameters
_VALUES = (int, float, complex, str, bytes, type(None), np.generic)
_APART = (types.ModuleType, types.BuiltinFunctionType, random.Random, np.random.Generator, torch.Generator)
_INSTALLED = ("site-packages", "dist-packages", sysconfig.get_path("stdlib"), "<frozen")
_FOREIGN = sys.stdlib_module_names | {"torch", "builtins"}
_DEPTH = 8  # of lists in dictionaries in objects ...


class State:
    """A copy of all that the model holds and does not train, as it is now."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.held = leaves(model)

    def changes(self) -> list[str]:
        """Everything that is no longer as it was, each with its kind and name."""
        now = leaves(self.model, copied=False)
        return [name for name in self.held | now if not _same(self.held.get(name), now.get(name))]

    def restore(self) -> None:
        """Buffers and frozen parameters with the values they had. Other attributes are never written to a file."""
        for layer_name, layer in self.model.named_modules():
            for held, kind in ((vars(layer)["_buffers"], "buffer"), (vars(layer)["_parameters"], "parameter")):
                for name in held:
                    was, kept = self.held.get(f"{kind} '{_dotted(layer_name, name)}'", (None, None))
                    if isinstance(was, Tensor):  # in new tensors: what became of the old ones may not even be read
                        again = kept.clone()
                        held[name] = again if kind == "buffer" else nn.Parameter(again, requires_grad=False)


def leaves(model: nn.Module, copied: bool = True) -> Leaves:
    """Kind and name -> what is held there."""
    return _Walk(model, copied).found


def outlived(tensor: Tensor) -> bool:
    """Whether it was left over by a vmap or grad that is done. Even to ask for its values may end the process."""
    keys, kinds = torch._C._dispatch_keys(tensor), torch._C.DispatchKey
    return bool(keys.has(kinds.FuncTorchBatched) or keys.has(kinds.FuncTorchGradWrapper))


class _Walk:
    def __init__(self, model: nn.Module, copied: bool) -> None:
        self.found: Leaves = {}
        self.copied = copied
        self.met: dict[int, Any] = {}  # kept alive, so that no other object gets its id
        self.layers = {id(layer) for layer in model.modules()}
        for name, layer in model.named_modules():
            self._layer(name, layer)

    def _layer(self, name: str, layer: nn.Module) -> None:
        content = vars(layer)
        for key, buffer in content["_buffers"].items():
            self._keep(f"buffer '{_dotted(name, key)}'", buffer)
        for key, parameter in content["_parameters"].items():
            if parameter is not None and not parameter.requires_grad:
                self._keep(f"parameter '{_dotted(name, key)}'", parameter)
        for key, value in content.items():
            if key not in _INTERNAL:
                self._value("attribute '{}'", _dotted(name, key), value)
        self._class(type(layer))

    def _class(self, kind: type) -> None:
        """Attributes and methods of the classes that are the user's own."""
        for each in kind.__mro__:
            if each.__module__.partition(".")[0] not in _FOREIGN and id(each) not in self.met:
                self.met[id(each)] = each
                for key, value in vars(each).items():
                    if not key.startswith("__") or inspect.isfunction(value):
                        self._value(f"'{{}}' of class {each.__name__}", key, _function(value))

    def _value(self, label: str, path: str, value: Any, depth: int = 0) -> None:
        """Everything that can be reached from here. label: what the path is put into."""
        if isinstance(value, (*_VALUES, Tensor, np.ndarray)) or _plain(value):
            if not (isinstance(value, nn.Parameter) and value.requires_grad):
                self._keep(label.format(path), value)
            return
        if id(value) in self.met or id(value) in self.layers or isinstance(value, _APART) or depth > _DEPTH:
            return
        if isinstance(value, type):
            self._class(value)
            return
        self.met[id(value)] = value
        self._class(type(value))
        if inspect.isfunction(value):
            for name, part in _globals(value):
                self._value("global '{}'", name, part, depth + 1)
        for key, part in _parts(value):
            self._value(label, f"{path}{key}", part, depth + 1)

    def _keep(self, name: str, value: Any) -> None:
        while name in self.found:  # a length beside what it is the length of, one closure beside another
            name += "+"
        if isinstance(value, Tensor) and outlived(value):
            self.found[name] = value, object()  # cannot be looked into, and is like nothing else
        elif isinstance(value, Tensor):
            self.found[name] = value, value.detach().clone() if self.copied else value.detach()
        else:
            self.found[name] = value, copy.copy(value) if self.copied else value


def _plain(value: Any) -> bool:
    """Whether this is a list, a dictionary or the like of nothing but numbers and text, to be compared as a whole."""
    if isinstance(value, dict):
        return all(isinstance(part, _VALUES) for part in value.values())
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(part, _VALUES) for part in value)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What is inside, and how it is reached."""
    if isinstance(value, nn.Module):  # one that is not registered as a layer
        yield from ((f".{key}", part) for key, part in [*value.named_buffers(recurse=False), *vars(value).items()])
        yield from ((f".{key}", part) for key, part in value.named_children())
    elif isinstance(value, Mapping):
        yield "", len(value)
        yield from ((f"[{key!r}]", part) for key, part in list(value.items()))
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield "", len(value)
        yield from ((f"[{place}]", part) for place, part in enumerate(list(value)))
    elif isinstance(value, functools.partial):
        yield from (("", part) for part in (value.func, list(value.args), value.keywords))
    elif isinstance(value, types.MethodType):
        yield "", value.__func__
        yield "", value.__self__
    elif inspect.isfunction(value):
        yield from _read_by(value)
    elif isinstance(value, itertools.count):
        yield "", repr(value)
    elif type(value).__module__.partition(".")[0] not in _FOREIGN:
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        yield from ((f".{name}", getattr(value, name, None)) for name in slots if isinstance(name, str))
        yield from ((f".{key}", part) for key, part in getattr(value, "__dict__", {}).items())


def _read_by(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Closures and defaults of a function, unless it belongs to Python or to an installed package."""
    if _installed(function):
        return
    yield "", list(function.__defaults__ or ())
    yield "", dict(function.__kwdefaults__ or {})
    yield from ((f".{key}", part) for key, part in vars(function).items())
    for cell in function.__closure__ or ():
        try:
            yield "", cell.cell_contents
        except ValueError:  # empty
            continue


def _globals(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function of the user's reads from its module, and from modules of the user's by their name."""
    if _installed(function):
        return
    names, around = list(dict.fromkeys(_names(function.__code__))), function.__globals__
    for name in names:
        yield name, around.get(name)
        if isinstance(around.get(name), types.ModuleType) and not _foreign(around[name]):
            yield from ((f"{name}.{key}", part) for key, part in vars(around[name]).items() if key in names)


def _foreign(module: types.ModuleType) -> bool:
    return any(place in (getattr(module, "__file__", None) or "<frozen") for place in _INSTALLED)


def _installed(function: types.FunctionType) -> bool:
    return any(place in function.__code__.co_filename for place in _INSTALLED)


def _names(code: types.CodeType) -> Iterator[str]:
    """Every name that this code, or code defined inside it, may look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _function(value: Any) -> Any:
    """The function behind a method, a property or one wrapped by a decorator."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _dotted(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def _same(before: Leaf | None, after: Leaf | None) -> bool:
    if before is None or after is None:
        return False
    was, now = before[1], after[1]
    if type(before[0]) is not type(after[0]):
        return False
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
