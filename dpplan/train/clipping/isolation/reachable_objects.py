"""All that a model can reach: what it holds, and what its code may read or write from one call to the next.

    reached = Reached(model)
    reached.found       kind and name -> the object, and a copy of what it can be compared by
    reached.opaque      objects that cannot be looked into, which a model may use as a memory
    reached.cut_short   whether there was more than is looked at, none of which is in `found`

Followed: attributes of layers and of tensors; elements of lists, dictionaries and the like; attributes of objects,
whoever's class they are of; classes of the user's; functions, with closures, defaults and the globals that they name,
also behind decorators; and the modules these were written in, with the modules of the user's that they import.
Not followed: files, and the insides of Python and of installed packages. What is reached only through these is opaque.
"""

import copy
import dis
import enum
import functools
import inspect
import itertools
import os
import random
import re
import sys
import sysconfig
import types
import weakref
from collections import deque
from collections.abc import Mapping
from gc import get_referents
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dpplan.train.clipping.isolation.object_parts import APART, LISTS, drawn, parts_of
from dpplan.train.clipping.isolation.plain_values import noted_by_pickle, plain, tree
from dpplan.train.clipping.isolation.replaced_functions import hung, replaced
from dpplan.train.clipping.isolation.vmap_escapes import own_operators

Leaf = tuple[Any, Any]  # the object itself, and a copy of it where it can be changed in place
Leaves = dict[str, Leaf]

# Attributes that every module has, which are looked at in other ways.
HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"})
_FLAT = frozenset({"_flat_weights", "_flat_weight_refs"})  # of recurrent layers: their parameters
_HOLDS = (Mapping, *LISTS)
_GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
_SIGNS = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__")
_WRAPPED = ("__wrapped__", "_torchdynamo_orig_callable", "__func__", "fget", "fset", "func")  # what decorators leave
_INSTALLED = ("site-packages", "dist-packages", sysconfig.get_path("stdlib"), "<frozen")
_FOREIGN = sys.stdlib_module_names | {"torch", "numpy", "builtins", "dpplan"}
_PYTHONS = frozenset(vars(types.SimpleNamespace)) | {
    *("__module__", "__dict__", "__weakref__", "__annotations__", "__qualname__", "__parameters__", "__orig_bases__"),
    *("__slots__", "__abstractmethods__", "__match_args__", "__dataclass_fields__", "__dataclass_params__"),
    *("__static_attributes__", "__firstlineno__", "__type_params__", "_abc_impl"),
}
# Of these nothing can change that a forward pass could read again.
_FIXED = (
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
    *(range, slice, re.Pattern, enum.Enum, types.CodeType),
    *(type(...), type(NotImplemented), types.GenericAlias, types.UnionType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(torch._ops.OpOverload, torch._ops.OpOverloadPacket, vars(torch.library)["CustomOpDef"]),  # own_operators
    *(types.ClassMethodDescriptorType, torch.jit.ScriptFunction, np.dtype, np.ufunc),
)
_LOCKS = ("_thread.lock", "_thread.RLock")
_FILES = frozenset({"open", "io", "pathlib", "shelve", "sqlite3", "socket", "tempfile", "mmap", "subprocess", "ctypes"})
_CACHES = frozenset({"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"})  # which torch sets when it is first needed
MOST = 100_000  # leaves; a model that reaches more cannot be watched at every example


class Reached:
    """copied: whether values that can be changed in place are copied, or only pointed to."""

    def __init__(self, model: nn.Module, copied: bool = True) -> None:
        self.found: Leaves = {}
        self.opaque: list[str] = []
        self.copied, self.names = copied, dict[str, int]()
        self.met: dict[int, tuple[Any, str]] = {}  # objects are kept alive, so that no other gets their id
        self.todo: deque[tuple[str, str, Any]] = deque()  # a label, the path that goes into it, and what is there
        # Only named by a module: visited last, and only for its data.
        self.swept: list[tuple[types.ModuleType, str, Any]] = []
        self.named: set[tuple[int, str]] = set()  # globals that code names, by the module's dictionary
        self.sweeping = False
        self.layers = {id(layer): name for name, layer in model.named_modules()}
        self._keep("the order of layers", list(self.layers.values()))
        for name, layer in model.named_modules():
            self._layer(name, layer)
        for key in HOOKS:
            self._later("hooks of all layers '_global{}'", key, vars(nn.modules.module).get(f"_global{key}"))
        for key, code in replaced().items():
            self._later("what is in the place of '{}'", key, code)
        for key, part in hung().items():
            self._later("what hangs on '{}'", key, part)
        for key, code in own_operators().items():
            self._later("operator '{}'", key, code)
        self._keep("environment variables", {name: value for name, value in os.environ.items() if name not in _CACHES})
        while self.todo and len(self.found) < MOST:
            self._visit(*self.todo.popleft())
        self.sweeping = not self.todo
        for module, key, value in self.swept if self.sweeping else ():
            if (id(vars(module)), key) not in self.named:
                self._later("global '{}'", f"{module.__name__}.{key}", value)
        while self.sweeping and self.todo and len(self.found) < MOST:
            self._visit(*self.todo.popleft())
        self.cut_short = bool(self.todo)

    def _layer(self, name: str, layer: nn.Module) -> None:
        for key, buffer in layer._buffers.items():
            self._tensor(f"buffer '{dotted(name, key)}'", buffer)
        for key, parameter in layer._parameters.items():
            self._tensor(f"parameter '{dotted(name, key)}'", parameter)
        for key, value in vars(layer).items():
            if key not in APART and not (key in _FLAT and isinstance(layer, nn.RNNBase)):
                self._later("attribute '{}'", dotted(name, key), value)
        self._class(type(layer))

    def _later(self, label: str, path: str, value: Any) -> None:
        self.todo.append((label, path, value))

    def _tensor(self, name: str, tensor: Tensor | None) -> None:
        if not (isinstance(tensor, nn.Parameter) and tensor.requires_grad):  # what is trained is looked at elsewhere
            self._keep(name, tensor)
            if tensor is not None and not outlived(tensor) and tensor.layout is torch.strided and not tensor.is_nested:
                self._keep(f"{name}'s form", (tensor.requires_grad, tensor.stride(), tensor.storage_offset()))
                self._later(f"{name}'s attribute '{{}}'", "grad", tensor.grad if tensor.is_leaf else None)
        if tensor is not None and (own := getattr(tensor, "__dict__", None)):
            for key, part in list(own.items()):
                self._later(f"{name}'s attribute '{{}}'", key, part)

    def _class(self, kind: type) -> None:
        """Attributes and methods of the user's classes; of others only what is plain data."""
        for each in itertools.chain(kind.__mro__, type.mro(type(kind))):
            if id(each) in self.met:
                continue
            self.met[id(each)] = each, each.__name__
            own = not foreign(each)
            if own:
                self._keep(f"the name of class {each.__name__}", _said_of(each))
            for key, value in list(vars(each).items()):
                if own and key not in _PYTHONS and not noted_by_pickle(each, key, value):
                    self._later(f"'{{}}' of class {each.__name__}", key, value)
                elif not own and not key.startswith("__") and plain(value):
                    self._keep(f"'{key}' of class {each.__name__}", value)
            if own and (module := sys.modules.get(each.__module__)) is not None:
                self._module(module)

    def _module(self, module: types.ModuleType) -> None:
        """Data in a module; functions and classes only where they are named by code that is reached."""
        if id(module) in self.met:
            return
        self.met[id(module)] = module, module.__name__
        own = not (installed(getattr(module, "__file__", None) or "<frozen") or foreign(module))
        if own:
            self._keep(f"the name of module {module.__name__}", _said_of(module))
        for key, value in list(vars(module).items()):
            if isinstance(value, types.ModuleType):
                if own and not installed(getattr(value, "__file__", None) or "<frozen"):
                    self._module(value)
            elif not key.startswith("__") and (
                plain(value) or (own and isinstance(value, (Tensor, np.ndarray, *_HOLDS)))
            ):
                self.swept.append((module, key, value))

    def _visit(self, label: str, path: str, value: Any) -> None:
        name = label.format(path)
        if isinstance(value, Tensor):
            self._tensor(name, value)
        elif isinstance(value, _GENERATORS):
            self._keep(f"random generator {name}", drawn(value))
        elif plain(value) or (isinstance(value, np.ndarray) and value.dtype != object):
            self._keep(name, value)
        elif id(value) in self.met or id(value) in self.layers:
            where = self.layers.get(id(value)) or self.met.get(id(value), (None, ""))[1]
            self._keep(name, ("the same as", where))
        elif (all_of_it := tree(value)) is not None:
            self._keep(name, all_of_it)
            self.met[id(value)] = value, name
        elif self.sweeping and (callable(value) or isinstance(value, types.ModuleType)):
            self._keep(name, ("the object at", id(value)))
            self.met[id(value)] = value, name
        elif isinstance(value, type):
            self._keep(name, value)
            self._class(value)
        elif isinstance(value, types.ModuleType):
            self._keep(name, value.__name__)
            self._module(value)
        elif (
            type(value) is not object
            and not isinstance(value, _FIXED)
            and f"{type(value).__module__}.{type(value).__name__}" not in _LOCKS
        ):
            self.met[id(value)] = value, name
            if not self.sweeping:
                self._class(type(value))
            self._inside(label, path, value)
        else:
            self._keep(name, repr(value) if isinstance(value, range | slice | enum.Enum) else type(value).__name__)

    def _inside(self, label: str, path: str, value: Any) -> None:
        """Looks into an object that is no plain data. Whatever has no inside that can be seen is opaque."""
        name = label.format(path)
        if inspect.isfunction(value):
            self._function(name, label, path, value)
            return
        parts = parts_of(value)
        if parts is None:
            if not self.sweeping and not any(each.startswith(f"{name}, a ") for each in self.opaque):
                self.opaque.append(f"{name}, a {type(value).__name__}")
            parts = [("", part) for part in get_referents(value)]
        for key, part in parts:
            if part is not value:
                self._later(label, f"{path}{key}", part)

    def _function(self, name: str, label: str, path: str, function: types.FunctionType) -> None:
        self._keep(name, function.__code__)
        if own := not installed(function.__code__.co_filename):
            self._keep(f"{name}'s name", _said_of(function))
        for key, part in vars(function).items():
            self._later(label, path if key in _WRAPPED else f"{path}.{key}", part)
        if vars(function).get("_torchdynamo_orig_callable"):
            return  # a compiler's wrapper, around what was just noted
        for cell in function.__closure__ or ():
            try:
                part = cell.cell_contents
            except ValueError:  # empty
                continue
            if own or callable(part) or (isinstance(part, _HOLDS) and not isinstance(part, _WEAK)):
                self._later(label, path, part)
        if own:
            self._later(label, path, list(function.__defaults__ or ()))
            self._later(label, path, dict(function.__kwdefaults__ or {}))
            self._outside(name, function)

    def _outside(self, name: str, function: types.FunctionType) -> None:
        """What a function of the user's reads from its module and from modules that it imports."""
        around, (names, modules) = function.__globals__, _named(function.__code__)
        for key in names:
            if key in around:
                self.named.add((id(around), key))
                self._later("global '{}'", key, around[key])
            module = around[key].__name__ if isinstance(around.get(key), types.ModuleType) else key
            if module in _FILES and not (key in around and module == "open") and function.__name__ != "__init__":
                self.opaque.append(f"{module} in {function.__qualname__}, and with it files")
        for key in modules:
            if key.partition(".")[0] in _FILES and function.__name__ != "__init__":
                self.opaque.append(f"{key} in {function.__qualname__}, and with it files")
            if isinstance(sys.modules.get(key), types.ModuleType):
                self._module(sys.modules[key])
        if isinstance(here := sys.modules.get(function.__module__ or ""), types.ModuleType):
            self._module(here)

    def _keep(self, name: str, value: Any) -> None:
        count = self.names[name] = self.names.get(name, -1) + 1
        name += "+" * min(count, 1) + (str(count) if count > 1 else "")  # one closure beside another
        if isinstance(value, Tensor) and outlived(value):
            self.found[name] = value, object()  # cannot be looked into, and is like nothing else
        elif isinstance(value, Tensor):
            self.found[name] = value, value.detach().clone() if self.copied else value.detach()
        else:
            self.found[name] = value, copy.copy(value) if self.copied else value


_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)


def outlived(tensor: Tensor) -> bool:
    """Whether it was left over by a vmap or grad that is done. Even to ask for its values may end the process."""
    keys, kinds = torch._C._dispatch_keys(tensor), torch._C.DispatchKey
    return bool(keys.has(kinds.FuncTorchBatched) or keys.has(kinds.FuncTorchGradWrapper))


def installed(file: str) -> bool:
    return any(place in file for place in _INSTALLED)


def foreign(thing: Any) -> bool:
    """Whether a class or a module is Python's, torch's, numpy's or this package's."""
    name = thing.__name__ if isinstance(thing, types.ModuleType) else thing.__module__
    return name.partition(".")[0] in _FOREIGN


def dotted(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def _said_of(named: Any) -> str:
    """What a function, class or module says of itself, which a program may change and read again."""
    try:
        return repr([getattr(named, key, None) for key in _SIGNS])
    except Exception:  # annotations that are made when they are asked for
        return ""


@functools.lru_cache(4096)
def _named(code: types.CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Globals that this code, or code defined inside it, looks up, and modules that it imports or has the name of."""
    names, modules = dict[str, None](), dict[str, None]()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"):
            names[instruction.argval] = None
        elif instruction.opname == "IMPORT_NAME":
            modules[instruction.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _named(constant)
            names |= dict.fromkeys(inner[0])
            modules |= dict.fromkeys(inner[1])
        elif isinstance(constant, str) and constant in sys.modules:
            modules[constant] = None
    return tuple(names), tuple(modules)
