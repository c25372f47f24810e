"""Each form of a gradient against the gradients themselves, formed one by one in float64."""

import pytest
import torch
from torch import Tensor

from dpplan.train.clipping.gradient_forms import (
    Ghost,
    GradientForm,
    Lengths,
    Outer,
    Rows,
    Scattered,
    norms,
    squared_norms,
)
from dpplan.train.clipping.rules import BLOCK, BLOCKS, NORMS, SPAN

EXAMPLES, POSITIONS, D, P, TABLE = 7, 5, 6, 4, 9
FORMS = ["rows", "outer", "outer without bias", "outer, bias alone", "ghost", "scattered"]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(form: str, examples: int = EXAMPLES) -> tuple[GradientForm, list[Tensor]]:
    """A form, and for each of its parameters the gradients of all examples, (examples, numbers)."""
    a, g = numbers(examples, POSITIONS, D), numbers(examples, POSITIONS, P, seed=1)
    if form == "rows":
        return Rows.of("weight", a.flatten(1)), [a.flatten(1)]
    if form == "ghost":
        return Ghost.of("weight", a, g), [torch.einsum("ntp,ntd->npd", g, a).flatten(1)]
    if form == "scattered":
        rows = torch.stack([torch.randperm(TABLE, generator=torch.Generator().manual_seed(i)) for i in range(examples)])
        rows = rows[:, :POSITIONS]
        whole = torch.zeros(examples, TABLE, D, dtype=torch.float64)
        for i in range(examples):
            whole[i, rows[i]] = a[i]
        return Scattered.of("weight", rows, a, TABLE), [whole.flatten(1)]
    names = {"outer": ("weight", "bias"), "outer without bias": ("weight",), "outer, bias alone": ("bias",)}[form]
    formed = {"weight": torch.einsum("np,nd->npd", g[:, 0], a[:, 0]).flatten(1), "bias": g[:, 0]}
    return Outer(names, a[:, 0], g[:, 0]), [formed[name] for name in names]


@pytest.mark.parametrize("form", FORMS)
def test_norms_are_those_of_the_gradients(form: str) -> None:
    summarised, formed = made(form)
    (found,) = squared_norms([summarised.lengths])
    wanted = torch.stack([g.square().sum(1) for g in formed]).sum(0)
    assert torch.allclose(found, wanted, rtol=1e-12)


def test_norms_of_several_forms_at_once_are_those_of_each() -> None:
    forms = [made(form)[0] for form in FORMS]
    together = squared_norms([form.lengths for form in forms])
    for row, form in zip(together, forms, strict=True):
        assert torch.allclose(row, squared_norms([form.lengths])[0], rtol=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_weighted_sums_are_those_of_the_gradients(form: str) -> None:
    summarised, formed = made(form)
    weights = numbers(EXAMPLES, seed=2)
    for name, found, g in zip(summarised.names, summarised.weighted_sums(weights), formed, strict=True):
        assert torch.allclose(found, weights @ g, rtol=1e-12), name


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("form", FORMS)
def test_an_example_that_is_left_out_leaves_no_trace(form: str, bad: float) -> None:
    summarised, formed = made(form)
    for name in ("values", "activations", "gradients"):
        if hasattr(summarised, name):
            getattr(summarised, name)[2] = bad
    kept = torch.arange(EXAMPLES) != 2
    weights = numbers(EXAMPLES, seed=2).masked_fill(~kept, 0.0)
    for found, g in zip(summarised.where(kept).weighted_sums(weights), formed, strict=True):
        assert torch.allclose(found, weights[kept] @ g[kept], rtol=1e-12)


@pytest.mark.parametrize("examples", [1, BLOCK, BLOCK + 1, BLOCK * BLOCKS, BLOCK * BLOCKS + 1, 3 * BLOCK * BLOCKS + 5])
def test_float32_sums_by_blocks_are_the_sums(examples: int) -> None:
    a, g, weights = numbers(examples, D), numbers(examples, P, seed=1), numbers(examples, seed=2)
    single = Outer(("weight", "bias"), a.float(), g.float())
    weight, bias = single.weighted_sums(weights.float())
    wanted = torch.einsum("n,np,nd->pd", weights, g, a).flatten()
    # Each of n summands of size up to about 4 rounds to 2^-24 of itself, and so do partial sums.
    assert float((weight.double() - wanted).abs().max()) < 4 * examples * 2.0**-22
    assert float((bias.double() - weights @ g).abs().max()) < 4 * examples * 2.0**-22


@pytest.mark.parametrize("size", [1, SPAN - 1, SPAN, SPAN + 1, 5 * SPAN + 3])
@pytest.mark.parametrize("scale", [1.0, 1e-15, 1e15])
def test_a_norm_in_float32_is_below_the_true_one_by_no_more_than_the_margin(size: int, scale: float) -> None:
    rows = (numbers(20, size) * scale).float()
    true = rows.double().norm(dim=1)
    found = norms(rows).double()
    assert bool((found >= true * (1 - NORMS)).all())
    assert bool((found <= true * (1 + NORMS)).all())


def test_a_ghost_norm_is_not_too_small_where_positions_cancel() -> None:
    a = torch.ones(1, 2, 3, dtype=torch.float64)
    g = torch.tensor([[[1.0], [-1.0 - 2.0**-30]]], dtype=torch.float64)
    formed = torch.einsum("ntp,ntd->npd", g, a).norm()
    assert float(Ghost.of("weight", a, g).lengths.own) >= float(formed)


def test_a_length_is_own_times_the_root_of_factor_squared_and_one() -> None:
    own, factor = torch.tensor([3.0]), torch.tensor([4.0])
    plain, scaled, biased = Lengths(own, 1), Lengths(own, 1, factor), Lengths(own, 1, factor, 1.0)
    assert [float(squared_norms([each])) for each in (plain, scaled, biased)] == pytest.approx([9, 144, 153])
