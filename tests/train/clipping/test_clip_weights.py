"""From norms to weights: what is kept, how far it counts, and what is seen on the way."""

import math

import pytest
import torch
from torch import Tensor

from dpplan.train.clipping.clip_weights import HUGE, PieceSum, gather, weigh
from dpplan.train.clipping.engine_interface import Piece
from dpplan.train.clipping.rules import ROUND_OFF, Adaptive, ClippingRule, Flat, PerLayer

BOUND = 1 - ROUND_OFF  # of a clip norm of 1


def squares(*norms: float) -> Tensor:
    """Of one layer."""
    return torch.tensor([norms], dtype=torch.float64).square()


def piece(count: int, rows: int | None = None) -> Piece:
    rows = count if rows is None else rows
    mask = None if rows == count else torch.arange(rows) < count
    return Piece(torch.zeros(rows, 1), torch.zeros(rows, dtype=torch.int64), mask)


def logits(count: int, right: int) -> Tensor:
    """Of two classes; the first so many are classified as 0, which is right."""
    return torch.tensor([[1.0, 0.0]] * right + [[0.0, 1.0]] * (count - right))


def test_weights_are_the_rules_and_facts_count_what_was_shortened_and_right() -> None:
    losses = torch.tensor([1.0, 2.0, 4.0])
    found = weigh(squares(0.5, 2.0, 10.0), losses, logits(3, right=2), piece(3), Flat(1.0))
    assert found.weights.tolist() == [pytest.approx([1.0, BOUND / 2, BOUND / 10])]
    assert found.kept is None
    assert found.finite
    assert found.facts.tolist() == [0.0, 2.0, 2.0, 7.0]  # dropped, shortened, right, loss


@pytest.mark.parametrize("bad", [math.nan, math.inf, 2 * HUGE])
@pytest.mark.parametrize("rule", [Flat(1.0), Adaptive(1.0)])
def test_what_is_not_finite_or_too_long_for_float32_is_left_out(bad: float, rule: ClippingRule) -> None:
    losses = torch.tensor([1.0, math.nan, 4.0])
    found = weigh(squares(0.5, bad, 10.0), losses, logits(3, right=3), piece(3), rule)
    assert found.kept is not None
    assert found.kept.tolist() == [True, False, True]
    assert found.weights.tolist() == [pytest.approx([1.0, 0.0, BOUND / 10])]
    assert not found.finite
    assert found.facts.tolist() == [1.0, 1.0, 3.0, 5.0]
    without = weigh(squares(0.5, 10.0), losses[[0, 2]], logits(2, right=2), piece(2), rule)
    assert torch.equal(found.extra, without.extra)


def test_rows_that_fill_a_piece_up_are_no_examples() -> None:
    losses = torch.tensor([1.0, 2.0, 9.0, 9.0])
    found = weigh(squares(0.5, 2.0, 7.0, 0.1), losses, logits(4, right=4), piece(2, rows=4), Adaptive(1.0))
    whole = weigh(squares(0.5, 2.0), losses[:2], logits(2, right=2), piece(2), Adaptive(1.0))
    assert found.weights[:, 2:].tolist() == [[0.0, 0.0]]
    assert torch.equal(found.weights[:, :2], whole.weights)
    assert torch.equal(found.facts, whole.facts)
    assert torch.equal(found.extra, whole.extra)


def test_what_fills_a_piece_up_stays_out_beside_an_example_that_is_not_finite() -> None:
    losses = torch.tensor([1.0, math.nan, 9.0])
    found = weigh(squares(0.5, math.nan, 7.0), losses, logits(3, right=3), piece(2, rows=3), Adaptive(1.0))
    assert found.kept is not None
    assert found.kept.tolist() == [True, False, False]
    assert found.weights.tolist() == [[1.0, 0.0, 0.0]]
    assert found.facts.tolist() == [1.0, 0.0, 2.0, 1.0]  # the row that fills up is neither dropped nor right


def test_layers_are_weighed_apart_and_an_example_shortened_in_one_of_them_counts_as_such() -> None:
    layers = torch.tensor([[0.01, 4.0], [0.01, 0.01]], dtype=torch.float64)
    found = weigh(layers, torch.ones(2), logits(2, right=0), piece(2), PerLayer(1.0))
    each = BOUND / math.sqrt(2)
    assert found.weights.tolist() == [pytest.approx([1.0, each / 2]), [1.0, 1.0]]
    assert found.facts.tolist() == [0.0, 1.0, 0.0, 2.0]


def test_asking_whether_all_is_finite_changes_nothing_but_the_work() -> None:
    known, unknown = (
        weigh(squares(0.5, 2.0), torch.ones(2), logits(2, right=1), piece(2), Flat(1.0), ask=ask)
        for ask in (True, False)
    )
    assert torch.equal(known.weights, unknown.weights)
    assert torch.equal(known.facts, unknown.facts)
    assert (known.finite, unknown.finite) == (True, False)


def test_nothing_is_seen_where_nobody_watches() -> None:
    found = weigh(squares(0.5, 2.0), torch.ones(2), logits(2, right=1), piece(2), Flat(1.0), watched=False)
    assert found.facts.tolist() == [0.0] * 4


def test_a_batch_is_the_sum_of_its_pieces() -> None:
    parts = [PieceSum(torch.full((3,), 2.0**k), torch.ones(1).double() * k, torch.ones(4).double()) for k in range(3)]
    whole = gather(iter(parts), 3, torch.zeros(8, 2), Adaptive(2.0))
    assert whole.total.tolist() == [7.0, 7.0, 7.0, 3.0]
    assert whole.total.dtype == torch.float64
    assert whole.sensitivity == Adaptive(2.0).sensitivity
    assert (whole.facts.drawn, whole.facts.seen.tolist()) == (8, [3.0] * 4)


@pytest.mark.parametrize("rule", [Flat(2.0), Adaptive(2.0)])
def test_no_example_at_all_gives_a_sum_of_zeros_that_still_has_a_sensitivity(rule: ClippingRule) -> None:
    whole = gather(iter(()), 3, torch.zeros(0, 2), rule)
    assert whole.total.tolist() == [0.0] * (4 if isinstance(rule, Adaptive) else 3)
    assert (whole.sensitivity, whole.facts.drawn, whole.facts.seen.tolist()) == (rule.sensitivity, 0, [0.0] * 4)
