"""What is inside an object that is no plain data: elements, attributes, slots, or what it would be pickled as."""

import contextvars
import functools
import io
import itertools
import logging
import random
import types
import warnings
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from gc import get_referents
from typing import Any

import numpy as np
import torch
from torch import nn

# Attributes that every module has, which are looked at in other ways.
APART = frozenset({"_parameters", "_buffers", "_modules"})
LISTS = (list, tuple, set, frozenset, deque)
_LOGGING = frozenset({"manager", "parent", "handlers", "_cache"})  # of a logger, which lead to all of them


def parts_of(value: Any) -> list[tuple[str, Any]] | None:
    """What is inside, and how it is reached; None where that cannot be seen."""
    if isinstance(value, nn.Module):  # one that is not registered as a layer
        held = [*value._buffers.items(), *value._modules.items(), *vars(value).items()]
        return [(f".{key}", part) for key, part in held if key not in APART]
    if isinstance(value, np.ndarray):
        return [("", value.tolist())]
    if isinstance(value, io.IOBase):  # attributes and all: where a file stands, and what it holds, is not among them
        if not isinstance(value, io.StringIO | io.BytesIO) or value.closed:
            return None
        return [(" holds", value.getvalue()), (" stands", value.tell()), *(_held(value) or [])]
    if isinstance(value, functools.partial):
        return [("", part) for part in (value.func, list(value.args), value.keywords, vars(value))]
    if isinstance(value, types.MethodType | staticmethod | classmethod):
        return [("", value.__func__), ("", getattr(value, "__self__", None))]
    if isinstance(value, property):
        return [("", part) for part in (value.fget, value.fset, value.fdel, value.__doc__)]
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
        return [("", value.__self__)] if not isinstance(value.__self__, types.ModuleType) else []
    if type(value).__name__ == "_lru_cache_wrapper":
        return [(" cached", part) for part in get_referents(value) if not isinstance(part, type)]
    if type(value).__name__ == "cell":
        return [("", part) for part in get_referents(value)]
    if isinstance(value, contextvars.ContextVar):
        return [("", value.get(None))]
    if isinstance(value, weakref.ref):
        return [("", value())]
    return _reduced(value) if (inside := _held(value)) is None else inside


def _held(value: Any) -> list[tuple[str, Any]] | None:
    """Elements, attributes and slots; None where there are neither."""
    found: list[tuple[str, Any]] | None = None
    if isinstance(value, Mapping):
        found = [(f"[{key!r}]", part) for key, part in list(value.items())]
        found = [("", [place for place, _ in found]), *found]  # in their order, which a cache changes at every look
    elif isinstance(value, LISTS):
        found = [("", len(value)), *((f"[{place}]", part) for place, part in enumerate(list(value)))]
    own = getattr(value, "__dict__", None)
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    if isinstance(own, Mapping) or slots:
        skipped = _LOGGING if isinstance(value, logging.Logger) else ()
        attributes = {name: getattr(value, name, None) for name in slots} | dict(own or {})
        found = (found or []) + [(f".{key}", part) for key, part in attributes.items() if key not in skipped]
    return found


@functools.lru_cache(4096)
def _slots(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    names = [slots] if isinstance(slots, str) else list(slots)
    return [f"_{kind.__name__.lstrip('_')}{n}" if n.startswith("__") and not n.endswith("__") else n for n in names]


def _reduced(value: Any) -> list[tuple[str, Any]] | None:
    """Objects of C: by their bytes, or by what they would be pickled as."""
    if isinstance(value, itertools.count):
        return [("", repr(value))]
    if isinstance(value, types.GeneratorType | types.CoroutineType):
        return None
    try:
        return [("", bytes(memoryview(value)))]
    except (TypeError, ValueError, BufferError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reduced: Any = value.__reduce_ex__(4)
    except Exception:
        return None
    if not isinstance(reduced, tuple):
        return []  # the name of something global
    rest = [list(part) if isinstance(part, Iterator) else part for part in reduced[1:]]
    return [("", part) for part in rest] if any(part for part in rest if part != (type(value),)) else None


def drawn(generator: Any) -> Any:
    """The state of a random generator, as plain data."""
    if isinstance(generator, torch.Generator):
        return bytes(generator.get_state().numpy()) + str(generator.initial_seed()).encode()
    if isinstance(generator, random.Random):
        return str(generator.getstate())
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    return repr(generator.get_state())
