"""Clipping: agreement with a float64 reference, and the sensitivity that the claim rests on."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dpplan.recipe import Model
from dpplan.train.models import build
from dpplan.train.privatize import ClippedSum, VmapClipping

FEATURES, CLASSES = 6, 4
MODELS = {
    "logistic": Model(kind="logistic"),
    "tanh": Model(kind="mlp", hidden=(8,), activation="tanh"),
    "relu": Model(kind="mlp", hidden=(8, 5), activation="relu"),
}


def model(name: str = "tanh") -> nn.Module:
    return build(MODELS[name], FEATURES, CLASSES, np.random.default_rng(0))


def batch(examples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.normal(size=(examples, FEATURES)).astype(np.float32))
    return inputs, torch.from_numpy(rng.integers(0, CLASSES, examples))


def clipped(inputs: Tensor, targets: Tensor, clip_norm: float, name: str = "tanh", piece: int = 4) -> ClippedSum:
    return VmapClipping(model(name), clip_norm, piece).clipped_sum(inputs, targets)


def reference(inputs: Tensor, targets: Tensor, clip_norm: float, name: str) -> Tensor:
    """One example at a time, in float64, with nothing clever."""
    net = model(name).double()
    total = torch.zeros(sum(p.numel() for p in net.parameters()), dtype=torch.float64)
    for x, y in zip(inputs.double(), targets, strict=True):
        gradients = torch.autograd.grad(cross_entropy(net(x[None]), y[None]), list(net.parameters()))
        flat = torch.cat([g.flatten() for g in gradients])
        if bool(flat.isfinite().all()):
            total += flat * min(1.0, clip_norm / max(float(flat.norm()), 1e-300))
    return total


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("clip_norm", [1e-6, 0.1, 1.0, 1e6])
def test_agrees_with_one_example_at_a_time_in_float64(name: str, clip_norm: float) -> None:
    inputs, targets = batch(37)
    ours = clipped(inputs, targets, clip_norm, name).total
    theirs = reference(inputs, targets, clip_norm, name)
    assert ours.dtype == torch.float64
    assert float((ours - theirs).norm()) <= 1e-6 * float(theirs.norm())


HOSTILE = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e15, -1e25, 3e38, float("nan"), float("inf"), float("-inf")])
EXAMPLE = st.lists(HOSTILE, min_size=FEATURES, max_size=FEATURES)


@settings(deadline=None, max_examples=100)
@given(st.lists(EXAMPLE, min_size=1, max_size=7), st.data(), st.sampled_from([1e-3, 0.5, 1.0, 40.0]))
def test_no_example_moves_the_sum_by_more_than_the_sensitivity(
    examples: list[list[float]], data: st.DataObject, clip_norm: float
) -> None:
    if data.draw(st.booleans(), label="duplicates"):
        examples = examples + examples
    inputs, targets = torch.tensor(examples), torch.arange(len(examples)) % CLASSES
    name = data.draw(st.sampled_from(sorted(MODELS)))
    whole = clipped(inputs, targets, clip_norm, name)
    assert bool(whole.total.isfinite().all())
    for i in range(len(examples)):
        others = torch.arange(len(examples)) != i
        rest = clipped(inputs[others], targets[others], clip_norm, name)
        assert float((whole.total - rest.total).norm()) <= whole.sensitivity


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_the_round_off_margin_holds_for_many_aligned_examples(copies: int, clip_norm: float, seed: int) -> None:
    inputs, targets = batch(1, seed)
    inputs, targets = inputs.repeat(copies, 1) * 50, targets.repeat(copies)
    whole = clipped(inputs, targets, clip_norm, piece=32).total
    rest = clipped(inputs[1:], targets[1:], clip_norm, piece=32).total
    assert float((whole - rest).norm()) <= clip_norm


@pytest.mark.parametrize("piece", [1, 5, 37, 64, 1000])
def test_physical_batch_does_not_change_the_result(piece: int) -> None:
    inputs, targets = batch(37)
    inputs[3] = float("nan")
    whole, cut = (clipped(inputs, targets, 0.5, piece=size) for size in (37, piece))
    assert float((whole.total - cut.total).norm()) <= 1e-6 * float(whole.total.norm())
    for name in ("drawn", "dropped", "clipped", "correct"):
        assert getattr(whole.facts, name) == getattr(cut.facts, name)
    assert float(whole.facts.loss) == pytest.approx(float(cut.facts.loss))


def test_an_example_meets_the_same_arithmetic_wherever_it_stands() -> None:
    """Bit for bit: neither its place nor its company changes an example's gradient, so removing one example
    changes that one summand and no other."""
    engine = VmapClipping(model(), 1.0, 16)
    inputs, targets = batch(64)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        here, there = rng.permutation(64)[:16], rng.permutation(64)[:16]
        there[5] = here[2]
        first, second = (engine._per_example(engine.parameters, inputs[i], targets[i])[0] for i in (here, there))
        assert all(torch.equal(first[name][2], second[name][5]) for name in first)


def test_an_empty_batch_is_a_sum_of_zeros() -> None:
    empty = clipped(*batch(0), clip_norm=2.0)
    assert empty.total.shape == (sum(p.numel() for p in model().parameters()),)
    assert float(empty.total.abs().max()) == 0
    assert (empty.sensitivity, float(empty.facts.drawn)) == (2.0, 0)


def test_the_sensitivity_travels_with_the_sum() -> None:
    assert clipped(*batch(3), clip_norm=0.7).sensitivity == 0.7


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    inputs, targets = batch(6)
    inputs[1, 0], inputs[4] = float("nan"), float("inf")
    whole = clipped(inputs, targets, 1.0)
    kept = torch.tensor([0, 2, 3, 5])
    assert float((whole.total - clipped(inputs[kept], targets[kept], 1.0).total).norm()) < 1e-12
    assert (float(whole.facts.drawn), float(whole.facts.dropped)) == (6, 2)
    assert bool(whole.facts.loss.isfinite())


def test_a_zero_gradient_stays_zero() -> None:
    """Inputs of zero and a model without bias give no gradient at all; 0 / 0 must not appear."""
    engine = VmapClipping(nn.Linear(FEATURES, CLASSES, bias=False), 1.0, 4)
    whole = engine.clipped_sum(torch.zeros(3, FEATURES), torch.zeros(3, dtype=torch.int64))
    assert float(whole.total.abs().max()) == 0
    assert (float(whole.facts.dropped), float(whole.facts.clipped)) == (0, 0)


def test_a_duplicate_counts_as_another_example() -> None:
    inputs, targets = batch(1)
    twice = clipped(inputs.repeat(2, 1), targets.repeat(2), 0.3).total
    assert torch.allclose(twice, 2 * clipped(inputs, targets, 0.3).total, rtol=1e-12)


def test_large_gradients_have_norm_clip_norm_and_small_ones_are_left_alone() -> None:
    inputs, targets = batch(1)
    true_norm = float(clipped(inputs, targets, 1e9).total.norm())
    cut = float(clipped(inputs, targets, true_norm / 10).total.norm())
    assert true_norm / 10 * (1 - 1e-6) < cut <= true_norm / 10
    assert float(clipped(inputs, targets, true_norm * 1.001).total.norm()) == true_norm
