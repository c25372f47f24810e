"""Each layer's rule against torch's own gradient of one example at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dpplan.train.clipping.gradient_forms import Ghost, Outer, Rows, Scattered, squared_norms
from dpplan.train.clipping.layer_gradients import PART, PARTS, RULES, SMALL_TABLE

EXAMPLES = 5
Made = Callable[[], nn.Module]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def words(count: int, *shape: int) -> Tensor:
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(1))


# Name -> the layer, its input, and the forms that its gradients come in.
CASES: dict[str, tuple[Made, Tensor, set[type]]] = {
    "linear": (lambda: nn.Linear(6, 4), normal(EXAMPLES, 6), {Outer}),
    "linear over a short sequence of wide vectors": (lambda: nn.Linear(60, 50), normal(EXAMPLES, 3, 60), {Ghost, Rows}),
    "linear over a long sequence": (lambda: nn.Linear(3, 2), normal(EXAMPLES, 40, 3), {Rows}),
    "linear without bias": (lambda: nn.Linear(6, 4, bias=False), normal(EXAMPLES, 2, 3, 6), {Ghost}),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, padding=2, dilation=2), normal(EXAMPLES, 3, 11), {Rows}),
    "conv2d with groups": (
        lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        normal(EXAMPLES, 4, 9, 7),
        {Rows},
    ),
    "conv2d, circular": (
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        normal(EXAMPLES, 2, 6, 6),
        {Rows},
    ),
    "conv2d, reflecting, in parts": (
        lambda: nn.Conv2d(2, 3, 3, padding="same", padding_mode="reflect"),
        normal(PART * PARTS + 3, 2, 5, 5),
        {Rows},
    ),
    "embedding, small table": (lambda: nn.Embedding(5, 3), words(5, EXAMPLES, 4), {Rows}),
    "embedding, large table": (lambda: nn.Embedding(50, 3), words(6, EXAMPLES, 8), {Scattered}),
    "embedding with padding": (lambda: nn.Embedding(50, 3, padding_idx=2), words(6, EXAMPLES, 8), {Scattered}),
    "layer norm": (lambda: nn.LayerNorm((4, 3)), normal(EXAMPLES, 2, 4, 3), {Rows}),
    "group norm": (lambda: nn.GroupNorm(2, 6), normal(EXAMPLES, 6, 4, 3), {Rows}),
}


def seen(name: str) -> tuple[nn.Module, Tensor, Tensor, tuple[str, ...]]:
    """The layer in float64 with parameters of no special value, its input, and a gradient at its output."""
    torch.manual_seed(0)
    layer = CASES[name][0]().to(torch.float64)
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_()
    inputs = CASES[name][1]
    back = torch.randn(layer(inputs).shape, dtype=torch.float64)
    return layer, inputs, back, tuple(dict(layer.named_parameters()))


def one_at_a_time(layer: nn.Module, inputs: Tensor, back: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Parameter -> (rows, numbers), by torch."""
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for x, g in zip(torch.split(inputs, 1), torch.split(back, 1), strict=True):
        gradients = torch.autograd.grad(layer(x), [layer.get_parameter(name) for name in names], g)
        for name, gradient in zip(names, gradients, strict=True):
            found[name].append(gradient.flatten())
    return {name: torch.stack(rows) for name, rows in found.items()}


def test_every_rule_is_tried() -> None:
    assert {type(made()) for made, _, _ in CASES.values()} == set(RULES)
    assert SMALL_TABLE * 4 >= 5
    assert SMALL_TABLE * 8 < 50


@pytest.mark.parametrize("name", CASES)
def test_norms_and_sums_are_those_of_one_example_at_a_time(name: str) -> None:
    layer, inputs, back, names = seen(name)
    examples = len(inputs)
    forms = RULES[type(layer)](layer, inputs, back, examples, names)
    assert {type(form) for form in forms} == CASES[name][2]
    wanted = one_at_a_time(layer, inputs, back, names)
    squares = squared_norms([form.lengths for form in forms]).sum(0)
    assert torch.allclose(squares, torch.stack([g.square().sum(1) for g in wanted.values()]).sum(0), rtol=1e-10)
    weights = normal(examples)
    sums = {part: total for form in forms for part, total in zip(form.names, form.weighted_sums(weights), strict=True)}
    assert sums.keys() == wanted.keys()
    for part, total in sums.items():
        assert torch.allclose(total, weights @ wanted[part], rtol=1e-10, atol=1e-12), part


@pytest.mark.parametrize("name", ["linear", "conv2d with groups", "layer norm", "group norm", "embedding, small table"])
def test_views_of_an_example_are_further_positions_of_it(name: str) -> None:
    layer, inputs, back, names = seen(name)
    inputs, back = inputs[:4], back[:4]  # two views of two examples
    forms = RULES[type(layer)](layer, inputs, back, 2, names)
    rows = one_at_a_time(layer, inputs, back, names)
    wanted = {part: g.reshape(2, 2, -1).sum(1) for part, g in rows.items()}
    squares = squared_norms([form.lengths for form in forms]).sum(0)
    assert torch.allclose(squares, torch.stack([g.square().sum(1) for g in wanted.values()]).sum(0), rtol=1e-10)


def test_a_parameter_that_is_frozen_has_no_form() -> None:
    layer, inputs, back, _ = seen("group norm")
    forms = RULES[nn.GroupNorm](layer, inputs, back, len(inputs), ("bias",))
    assert [form.names for form in forms] == [("bias",)]
