"""Book-keeping rules: from what a layer saw and what came back, to its parameters' per-example gradients.

A rule takes the layer, its input, the gradient at its output, the number of examples, and the names of the parameters
that are trained; it returns forms for these. Rows of a batch belong to examples in order: with several views of
each example, the views of one example stand next to each other, and count as further positions of that example.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from dpplan.train.clipping.gradient_forms import Ghost, GradientForm, Outer, Rows, Scattered

Names = tuple[str, ...]  # ("weight", "bias") or one of them
GradientForms = list[GradientForm]
Rule = Callable[[nn.Module, Tensor, Tensor, int, Names], GradientForms]

# Forming T positions into a d x p gradient costs T d p products of the batch kind; the two Gram matrices of the
# ghost norm cost T² (d + p) and run in float64. Measured on one CPU thread, they break even near this ratio.
GHOST_PAYS = 16

# Of convolutions: so many examples at a time, at least; and at most so many times, for the sake of overhead.
PART, PARTS = 16, 4

SMALL_TABLE = 2  # rows of an embedding for each position; up to there, all of its gradient is formed


def linear(layer: nn.Module, inputs: Tensor, gradients: Tensor, examples: int, names: Names) -> GradientForms:
    """out = x Wᵀ + b. x: (rows, ..., d)."""
    if inputs.dim() == 2 and len(inputs) == examples:
        return [Outer(names, inputs, gradients)]
    a = inputs.reshape(examples, -1, inputs.shape[-1])
    g = gradients.reshape(examples, -1, gradients.shape[-1])
    return [_product(a, g) if name == "weight" else Rows.of(name, g.sum(1)) for name in names]


def conv(layer: nn.Module, inputs: Tensor, gradients: Tensor, examples: int, names: Names) -> GradientForms:
    """Conv1d and Conv2d with any padding, stride, dilation and groups. x: (rows, channels, [height,] width).

    A convolution is a linear layer over patches; `unfold` makes the patches.
    """
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    around = layer._reversed_padding_repeated_twice
    padded = functional.pad(inputs, around, mode=mode) if any(around) else inputs
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    if isinstance(layer, nn.Conv1d):  # an image of height 1
        padded = padded.unsqueeze(2)
        kernel, stride, dilation = ((1, *size) for size in (kernel, stride, dilation))
    views = len(padded) // examples

    def weight(images: Tensor, back: Tensor) -> Tensor:
        patches = functional.unfold(images, kernel, dilation=dilation, stride=stride)
        a, g = (_positions_last(values, len(images) // views) for values in (patches, back.flatten(2)))
        a, g = (values.reshape(len(a), layer.groups, -1, values.shape[2]) for values in (a, g))
        return (g @ a.mT).flatten(1)

    made = {
        "weight": lambda: _by_parts(weight, padded, gradients, views),
        "bias": lambda: gradients.flatten(2).sum(2).reshape(examples, views, -1).sum(1),
    }
    return [Rows.of(name, made[name]()) for name in names]


def _by_parts(made: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, gradients: Tensor, views: int) -> Tensor:
    """Patches are many times larger than the image: made for a part of the examples at a time, they stay in caches."""
    size = views * max(PART, -(-len(inputs) // views // PARTS))
    parts = zip(torch.split(inputs, size), torch.split(gradients, size), strict=True)
    first = made(*next(parts))
    if size >= len(inputs):
        return first
    rows = first.new_empty(len(inputs) // views, first.shape[1])
    rows[: len(first)] = first
    for at, part in enumerate(parts, start=1):
        rows[at * len(first) : (at + 1) * len(first)] = made(*part)
    return rows


def embedding(layer: nn.Module, inputs: Tensor, gradients: Tensor, examples: int, names: Names) -> GradientForms:
    """Rows of a table. x: (rows, ...) of whole numbers. A row used twice by one example is summed before squaring."""
    assert isinstance(layer, nn.Embedding)
    rows = inputs.reshape(examples, -1)
    g = gradients.reshape(examples, rows.shape[1], -1)
    if layer.padding_idx is not None:  # torch trains this row never
        g = g.masked_fill((rows == layer.padding_idx).unsqueeze(2), 0.0)
    if layer.num_embeddings <= SMALL_TABLE * rows.shape[1]:  # then a product is faster than sorting, in little memory
        chosen = functional.one_hot(rows, layer.num_embeddings).to(g.dtype)
        return [Rows.of(name, (chosen.mT @ g).flatten(1)) for name in names]
    rows, order = rows.sort(dim=1)
    starts = torch.nn.functional.pad(rows[:, 1:] != rows[:, :-1], (1, 0))
    run = starts.cumsum(1)  # which run of equal rows each position belongs to
    g = g.gather(1, order.unsqueeze(2).expand_as(g))
    values = torch.zeros_like(g).scatter_add_(1, run.unsqueeze(2).expand_as(g), g)
    distinct = torch.zeros_like(rows).scatter_(1, run, rows)
    return [Scattered.of(name, distinct, values, layer.num_embeddings) for name in names]


def layer_norm(layer: nn.Module, inputs: Tensor, gradients: Tensor, examples: int, names: Names) -> GradientForms:
    """out = normalised × w + b. x: (rows, ..., *normalized_shape)."""
    assert isinstance(layer, nn.LayerNorm)
    normal = functional.layer_norm(inputs, layer.normalized_shape, eps=layer.eps)
    size = layer.weight.numel()
    g = gradients.reshape(examples, -1, size)
    made = {"weight": lambda: (g * normal.reshape(examples, -1, size)).sum(1), "bias": lambda: g.sum(1)}
    return [Rows.of(name, made[name]()) for name in names]


def group_norm(layer: nn.Module, inputs: Tensor, gradients: Tensor, examples: int, names: Names) -> GradientForms:
    """out = normalised × w + b for each channel. x: (rows, channels, ...)."""
    assert isinstance(layer, nn.GroupNorm)
    normal = functional.group_norm(inputs, layer.num_groups, eps=layer.eps)
    shape = (examples, -1, layer.num_channels, inputs[0, 0].numel())
    g = gradients.reshape(shape)
    made = {"weight": lambda: (g * normal.reshape(shape)).sum((1, 3)), "bias": lambda: g.sum((1, 3))}
    return [Rows.of(name, made[name]()) for name in names]


# By exact type: a subclass may do anything in its forward.
RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: conv,
    nn.Conv2d: conv,
    nn.Embedding: embedding,
    nn.LayerNorm: layer_norm,
    nn.GroupNorm: group_norm,
}


def _product(a: Tensor, g: Tensor) -> GradientForm:
    """The weight's Σ_t g_t a_tᵀ for each example, in the form that takes the least time."""
    positions, d, p = a.shape[1], a.shape[2], g.shape[2]
    if positions**2 * (d + p) < GHOST_PAYS * d * p:
        return Ghost.of("weight", a, g)
    return Rows.of("weight", (g.mT @ a).flatten(1))


def _positions_last(values: Tensor, examples: int) -> Tensor:
    """(rows, channels, positions) -> (examples, channels, views × positions)."""
    if len(values) == examples:
        return values
    return values.reshape(examples, -1, *values.shape[1:]).transpose(1, 2).flatten(2)
