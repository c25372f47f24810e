"""A model without its randomness: every random number is replaced by its expected value, in whatever layer it is drawn.

with without_randomness(): model(rows)      # dropout, say, lets everything pass

It works below autograd and vmap, at the operations that draw, so functional dropout, dropout between the layers of an
LSTM and noise added by hand are met as well. What has no useful expected value (a permutation, a random index) is left.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Replacement = Callable[..., Any]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, the generators that are everybody's (of Python, numpy and torch) start from this seed."""
    python, legacy, torchs = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.default_generator.set_state(torchs)


def without_randomness() -> AbstractContextManager[object]:
    """Inside, torch draws expected values."""
    return _Expected()  # type: ignore[no-untyped-call]


class _Expected(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        replacement = _REPLACED.get(func.name().partition(".")[0])
        return func(*args, **kwargs or {}) if replacement is None else replacement(func, *args, **kwargs or {})


def _filled(value: float) -> Replacement:
    """For what makes a tensor or fills one with numbers of this mean."""
    return lambda func, *args, **kwargs: func(*args, **kwargs).fill_(value)


def _bernoulli(func: Any, values: Tensor, p: float | Tensor | None = None, **kwargs: Any) -> Tensor:
    return values.clone() if p is None else torch.zeros_like(values) + p


def _bernoulli_(func: Any, values: Tensor, p: float | Tensor = 0.5, **kwargs: Any) -> Tensor:
    return values.zero_().add_(p)


def _uniform_(func: Any, values: Tensor, low: float = 0.0, high: float = 1.0, **kwargs: Any) -> Tensor:
    return values.fill_((low + high) / 2)


def _normal_(func: Any, values: Tensor, mean: float = 0.0, std: float = 1.0, **kwargs: Any) -> Tensor:
    return values.fill_(mean)


def _dropout(func: Any, values: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    return values.clone(), torch.ones_like(values, dtype=torch.bool)


def _dropout_backward(func: Any, gradient: Tensor, mask: Tensor, scale: float) -> Tensor:
    return gradient.clone()


def _rrelu(
    func: Any, values: Tensor, noise: Tensor, low: float = 1 / 8, high: float = 1 / 3, train: bool = False, *_: Any
) -> Tensor:
    slope = torch.where(values <= 0, (low + high) / 2, 1.0)
    if train:
        noise.copy_(slope)
    return values * slope


_REPLACED: dict[str, Replacement] = {
    "aten::bernoulli": _bernoulli,
    "aten::bernoulli_": _bernoulli_,
    "aten::native_dropout": _dropout,
    "aten::native_dropout_backward": _dropout_backward,
    "aten::rrelu_with_noise": _rrelu,
    "aten::rand": _filled(0.5),
    "aten::rand_like": _filled(0.5),
    "aten::randn": _filled(0.0),
    "aten::randn_like": _filled(0.0),
    "aten::uniform_": _uniform_,
    "aten::normal_": _normal_,
    "aten::exponential_": lambda func, values, rate=1.0, **kwargs: values.fill_(1 / rate),
}
