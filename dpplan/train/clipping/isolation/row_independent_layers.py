"""Layers that are known to treat the rows of a batch apart, so that a model made of them alone needs no wall.

A model's own `forward` may do anything with a batch; torch's layers do what their documentation says. Types are
compared exactly, since a subclass may do anything too.
"""

from typing import TypeVar

from torch import nn

from dpplan.train.clipping.isolation.reachable_objects import HOOKS
from dpplan.train.clipping.isolation.replaced_functions import AsTheyCame, replaced

Kind = TypeVar("Kind", bound=type[nn.Module])

_OURS: set[type[nn.Module]] = set()
_TORCHS: frozenset[type[nn.Module]] = frozenset(
    {
        *(nn.Sequential, nn.ModuleList, nn.Identity, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding),
        *(nn.LayerNorm, nn.GroupNorm, nn.Dropout, nn.AvgPool2d, nn.MaxPool2d),
        *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus),
    }
)

_FIRST = AsTheyCame({*_TORCHS, nn.Flatten, nn.LSTM})


def rows_apart(kind: Kind) -> Kind:
    """Marks a model of this package whose `forward` computes each row of its output from one row of its input."""
    _OURS.add(kind)
    return kind


def keeps_rows_apart(model: nn.Module) -> bool:
    """Whether every part of this model is known to, and nothing has been attached to it that may not."""
    hooked = nn.modules.module._has_any_global_hook()  # type: ignore[no-untyped-call]
    untouched = not hooked and not replaced() and _FIRST.unchanged()
    return untouched and all(_plain(layer) for layer in model.modules())


def _plain(layer: nn.Module) -> bool:
    attached = any(callable(part) for part in vars(layer).values()) or any(vars(layer).get(name) for name in HOOKS)
    if attached or layer._buffers or not _as_it_came(layer):
        return False
    if any(type(p) is not nn.Parameter for p in layer.parameters(recurse=False)):
        return False  # one of a kind of its own answers for what is computed with it
    if type(layer) is nn.Flatten:  # of examples with each other, if it starts with the first dimension
        return layer.start_dim == 1 and layer.end_dim == -1
    if type(layer) is nn.LSTM:
        return layer.batch_first
    return type(layer) in _TORCHS or type(layer) in _OURS


def _as_it_came(layer: nn.Module) -> bool:
    """Whether nobody has put another method in the place of torch's, for all layers of this kind."""
    methods = (type(layer).__call__, *(() if type(layer) in _OURS else (type(layer).forward,)))
    return all(getattr(method, "__module__", "").partition(".")[0] == "torch" for method in methods)
