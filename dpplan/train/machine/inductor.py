"""Python functions of tensors as machine code: traced on shapes alone, then translated by torch.

    graph = traced(function, arguments)             # a graph of tensor operations; raises what the function raises
    fast = compiled_graph(graph, arguments)         # the same for tensors of the same shapes; takes seconds

torch.compile would look at every call, whether its arguments are still what they were; on small models this takes
longer than the work. Here they always are: pieces, parameters and noise never change their shapes.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

Graph = Callable[..., tuple[Tensor, ...]]


def traced(function: Callable[..., tuple[Tensor, ...]], arguments: tuple[Tensor, ...]) -> Any:
    """The graph of tensor operations that `function` is for arguments of these shapes."""
    # For functions with a backward pass in them, which has to happen where the tracer looks.
    with torch.enable_grad(), torch.autograd.set_multithreading_enabled(False):
        return make_fx(function, tracing_mode="fake")(*arguments)


def compiled_graph(graph: Any, arguments: tuple[Tensor, ...]) -> Graph:
    """The graph, translated for arguments of these shapes. What it returns has no gradients."""
    import torch._inductor as inductor  # takes a second to import

    with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of torch, about torch
        options = {"cpp_wrapper": True} if arguments[0].device.type == "cpu" else {}
        translated: Graph = inductor.compile(graph, list(arguments), options=options)
    return translated
