"""Pieces of a batch, and what two sums come to."""

import pytest
import torch

from dpplan.train.clipping.engine_interface import BatchFacts, ClippedSum, Piece, pieces


@pytest.mark.parametrize(("examples", "size"), [(0, 4), (1, 4), (4, 4), (5, 4), (12, 4), (3, 1)])
@pytest.mark.parametrize("shape", [(), (2,), (3, 2)])
def test_every_piece_has_one_shape_and_every_example_is_in_one(
    examples: int, size: int, shape: tuple[int, ...]
) -> None:
    inputs = torch.arange(1.0, 1 + examples).reshape(-1, *[1] * len(shape)).expand(examples, *shape)
    targets = torch.arange(examples)
    cut = list(pieces(inputs, targets, size))
    assert len(cut) == -(-examples // size)
    assert all(part.inputs.shape == (size, *shape) and part.targets.shape == (size,) for part in cut)
    kept = [slice(None) if part.mask is None else part.mask for part in cut]
    if cut:
        assert torch.equal(torch.cat([p.inputs[k] for p, k in zip(cut, kept, strict=True)]), inputs)
        assert torch.equal(torch.cat([p.targets[k] for p, k in zip(cut, kept, strict=True)]), targets)
    assert all(part.mask is None for part in cut[:-1])
    assert sum(size if part.mask is None else int(part.mask.sum()) for part in cut) == examples


def test_views_become_neighbouring_rows() -> None:
    inputs = torch.arange(12).reshape(2, 3, 2)
    assert Piece(inputs, torch.zeros(2), None).rows(3).tolist() == inputs.flatten(0, 1).tolist()
    assert Piece(inputs, torch.zeros(2), None).rows(1) is inputs


def test_sums_over_batches_that_share_no_example_have_the_larger_sensitivity() -> None:
    """An example is in one of the two, so that it moves the whole by what it moves that one."""
    one, other = (
        ClippedSum(torch.full((2,), value), sensitivity, BatchFacts(drawn, torch.full((4,), value)))
        for value, sensitivity, drawn in ((1.0, 2.0, 3), (10.0, 1.0, 4))
    )
    both = one + other
    assert (other + one).sensitivity == both.sensitivity
    assert (both.total.tolist(), both.sensitivity) == ([11.0, 11.0], 2.0)
    assert (both.facts.drawn, both.facts.seen.tolist()) == (7, [11.0] * 4)
    assert [float(of) for of in (both.facts.dropped, both.facts.clipped, both.facts.correct, both.facts.loss)] == [
        11.0
    ] * 4
