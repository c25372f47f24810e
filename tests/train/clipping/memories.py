"""Places where a model may keep what it saw, for the next example or the next step.

MEMORIES: name -> (how to read it, how to write it, what is said of a model that uses it). SEEN or OPAQUE.
"""

import argparse
import array
import collections
import contextvars
import functools
import logging
import os
import queue
import random
import struct
import sys
import threading
import types
from collections.abc import Callable, Generator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

SEEN = "changes .* while it runs"
OPAQUE = "whose state cannot be seen"
OUTSIDE = "writes files, or starts or reaches other processes"
MEMORIES: dict[str, tuple[Callable[[Any], float], Callable[[Any, float], Any], str]] = {}


class Remembering(nn.Module):
    """Turns its scores round when what it saw before was large. always: whether it keeps everything or only what is."""

    __shared__: ClassVar[dict[str, float]] = {"m": 0.0}

    def __init__(self, read: Callable[[Any], float], write: Callable[[Any, float], Any], always: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4)
        self.register_buffer("b", torch.zeros(1))
        self.space, self.config, self._flat_weights = types.SimpleNamespace(m=0.0), argparse.Namespace(m=0.0), [0.0]
        self.read, self.write, self.always = read, write, always
        self.generator = torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        before = self.read(self)
        size = float(x.detach().abs().max())
        if self.always or size > 1e4:
            self.write(self, size)
        return self.second(torch.tanh(self.first(x))) * (-1 if before > 1e4 else 1)


SPACE, STORE, CELL = types.SimpleNamespace(m=0.0), {"m": 0.0}, [0.0]
LOCAL, VARIABLE = threading.local(), contextvars.ContextVar("m", default=0.0)
QUEUE, SIMPLE, BYTES, ARRAY = queue.Queue[float](), queue.SimpleQueue[float](), bytearray(8), array.array("d", [0.0])
PARTIAL, LOGGER, ORDERED = functools.partial(print, m=0.0), logging.getLogger("memory"), collections.OrderedDict(m=0.0)
LOCAL.m, LOGGER.name = 0.0, "0.0"
DEEP: list[Any] = [0.0]
for _ in range(20):
    DEEP = [DEEP, DEEP] if _ % 5 == 4 else [DEEP]
RING: list[Any] = [0.0]
RING.append(RING)


def deepest() -> list[Any]:
    found = DEEP
    while isinstance(found[0], list):
        found = found[0]
    return found


@torch.no_grad()
def read_store() -> float:
    return STORE["m"]


@torch.no_grad()
def write_store(value: float) -> None:
    STORE["m"] = value


def closed() -> Callable[[float | None], float]:
    m = 0.0

    @torch.no_grad()
    def cell(value: float | None) -> float:
        nonlocal m
        m = m if value is None else value
        return m

    return cell


@functools.singledispatch
def dispatched(value: Any) -> float:
    return CELL[0]


@dispatched.register
def _(value: float) -> float:
    CELL[0] = value
    return value


@functools.lru_cache(None)
def cached() -> list[float]:
    return [0.0]


def generated() -> Generator[float, float, None]:
    m = 0.0
    while True:
        m = (yield m) or m


class Slotted:
    __slots__ = ("__m",)

    def __init__(self) -> None:
        self.__m = 0.0

    def get(self) -> float:
        return self.__m

    def set(self, value: float) -> None:
        self.__m = value


CLOSED, GENERATED, SLOTTED = closed(), generated(), Slotted()
next(GENERATED)


TURNED = {"a": 1, "b": 2}


def noted() -> None:
    """0"""


def turn() -> None:
    """The first key is the last then, as in a cache that has been asked for it."""
    first = next(iter(TURNED))
    TURNED[first] = TURNED.pop(first)


def graded(buffer: Tensor, value: float) -> None:
    buffer.grad = torch.full_like(buffer, value)


def memory(name: str, read: Callable[[Any], float], write: Callable[[Any, float], Any], said: str = SEEN) -> None:
    MEMORIES[name] = read, write, said


def imported() -> Any:
    import clipping_models

    return clipping_models


def read_file() -> float:
    with open("memory.txt") as file:
        return float(file.read())


def start_thread() -> None:
    threading.Thread(target=threading.Event().wait, args=(2.0,), daemon=True).start()


def write_file(value: float) -> None:
    with open("memory.txt", "w") as file:
        file.write(str(value))


memory("namespace", lambda s: SPACE.m, lambda s, v: setattr(SPACE, "m", v))
memory("namespace of the model", lambda s: s.space.m, lambda s, v: setattr(s.space, "m", v))
memory("argparse", lambda s: s.config.m, lambda s, v: setattr(s.config, "m", v))
memory("behind no_grad", lambda s: read_store(), lambda s, v: write_store(v))
memory("closure behind no_grad", lambda s: CLOSED(None), lambda s, v: CLOSED(v))
memory("behind singledispatch", lambda s: dispatched(None), lambda s, v: dispatched(v))
memory("lru_cache", lambda s: cached()[0], lambda s, v: cached().__setitem__(0, v))
memory("partial", lambda s: PARTIAL.keywords["m"], lambda s, v: PARTIAL.keywords.__setitem__("m", v))
memory("thread", lambda s: LOCAL.m, lambda s, v: setattr(LOCAL, "m", v))
memory("context", lambda s: VARIABLE.get(), lambda s, v: VARIABLE.set(v))
memory("queue", lambda s: QUEUE.queue[-1] if QUEUE.queue else 0.0, lambda s, v: QUEUE.put(v))
memory(
    "bytes", lambda s: struct.unpack("d", BYTES)[0], lambda s, v: BYTES.__setitem__(slice(None), struct.pack("d", v))
)
memory("array", lambda s: ARRAY[0], lambda s, v: ARRAY.__setitem__(0, v))
memory("ordered", lambda s: ORDERED["m"], lambda s, v: ORDERED.__setitem__("m", v))
memory("deep", lambda s: deepest()[0], lambda s, v: deepest().__setitem__(0, v))
memory("ring", lambda s: RING[1][1][0], lambda s, v: RING.__setitem__(0, v))
memory("logger", lambda s: float(LOGGER.name), lambda s, v: setattr(LOGGER, "name", str(v)))
memory("slots", lambda s: SLOTTED.get(), lambda s, v: SLOTTED.set(v))
memory("tensor's attribute", lambda s: getattr(s.b, "m", 0.0), lambda s, v: setattr(s.b, "m", v))
memory("dunder of a class", lambda s: s.__shared__["m"], lambda s, v: s.__shared__.__setitem__("m", v))
memory("name of torch's", lambda s: s._flat_weights[0], lambda s, v: s._flat_weights.__setitem__(0, v))
memory("globals()", lambda s: globals().get("LATE", 0.0), lambda s, v: globals().__setitem__("LATE", v))
memory("import", lambda s: getattr(imported(), "m", 0.0), lambda s, v: setattr(imported(), "m", v))
memory(
    "sys.modules",
    lambda s: getattr(sys.modules["clipping_models"], "n", 0.0),
    lambda s, v: setattr(sys.modules["clipping_models"], "n", v),
)
memory("torch", lambda s: getattr(torch, "_m", 0.0), lambda s, v: setattr(torch, "_m", v))
memory("environment", lambda s: float(os.environ.get("M", "0")), lambda s, v: os.environ.__setitem__("M", str(v)))
memory(
    "generator's seed",
    lambda s: s.generator.initial_seed(),
    lambda s, v: s.generator.manual_seed(int(v)),
    "draws|changes",
)
memory("generator", lambda s: GENERATED.send(0.0), lambda s, v: GENERATED.send(v), f"{SEEN}|{OPAQUE}")
memory(
    "simple queue", lambda s: SIMPLE.get() if SIMPLE.qsize() else 0.0, lambda s, v: SIMPLE.put(v), f"{SEEN}|{OPAQUE}"
)
memory("annotations", lambda s: noted.__annotations__.get("m", 0.0), lambda s, v: noted.__annotations__.update(m=v))
memory("text of a function", lambda s: float(noted.__doc__ or 0), lambda s, v: setattr(noted, "__doc__", str(v)))
memory("text of a class", lambda s: float(Slotted.__doc__ or 0), lambda s, v: setattr(Slotted, "__doc__", str(v)))
memory("order", lambda s: 1e9 * (next(iter(TURNED)) == "b"), lambda s, v: turn())
memory("gradient of a buffer", lambda s: 0.0 if s.b.grad is None else float(s.b.grad), lambda s, v: graded(s.b, v))
memory("form of a buffer", lambda s: 1e9 * s.b.requires_grad, lambda s, v: s.b.requires_grad_(not s.b.requires_grad))
memory(
    "attribute of a function of torch's",
    lambda s: getattr(nn.functional.softmax, "m", 0.0),
    lambda s, v: setattr(nn.functional.softmax, "m", v),
)
memory(
    "name among torch's functions",
    lambda s: getattr(nn.functional, "m", 0.0),
    lambda s, v: setattr(nn.functional, "m", v),
)
memory("running threads", lambda s: 1e9 * (threading.active_count() > 999), lambda s, v: start_thread())
memory("array's file", lambda s: 1e9 * os.path.exists("m.npy"), lambda s, v: np.save("m.npy", v), OUTSIDE)
memory("tensor's file", lambda s: 1e9 * os.path.exists("m.pt"), lambda s, v: torch.save(v, "m.pt"), OUTSIDE)
memory("folder", lambda s: 1e9 * os.path.isdir("m"), lambda s, v: os.makedirs("m", exist_ok=True), OUTSIDE)
memory(
    "file",
    lambda s: read_file() if os.path.exists("memory.txt") else 0.0,
    lambda s, v: write_file(v),
    f"{OPAQUE}|calls",
)


class LayerDrop(Remembering):
    """Its passes cannot be compared, as it draws random numbers by Python's generator."""

    def __init__(self) -> None:
        super().__init__(lambda s: SPACE.m, lambda s, v: None, True)

    def forward(self, x: Tensor) -> Tensor:
        before = SPACE.m
        SPACE.m = 0.9 * before + 0.1 * float(x.detach().abs().max())
        h = torch.tanh(self.first(x)) if random.random() < 0.9 else x
        return self.second(h) * (-1 if before > 10 else 1)


class PingPong(nn.Module):
    """Forgets what it kept at every second example, and only when it is differentiated. on: a trial may miss it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4)
        self.kept: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        if float(x.detach().abs().max()) > 1e4:
            self.kept = float(h.detach().mean())
        elif self.kept is not None:
            h, self.kept = h * (1 + 10 * self.kept), None
        return self.second(h)
