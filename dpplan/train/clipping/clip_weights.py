"""From squared norms to weights: the step that every engine shares, so that no engine can clip differently."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dpplan.train.clipping.engine_interface import BatchFacts, ClippedSum, Piece
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.losses import first_targets

# A gradient this many times its clip norm counts as not finite: its weight would leave the range in which float32
# rounds to 24 bits.
HUGE = 2.0**100


@dataclass(frozen=True, slots=True)
class ClipWeights:
    """What clipping decided about one piece.

    kept: (examples,), those that enter the sum; None when it is known that all do. weights: (1, examples) or (layers,
    examples), float64, 0 where not kept. extra: what the rule releases besides. facts: how many examples were left
    out, are shortened, are classified right, and the loss of the kept ones. finite: whether it is known that no NaN
    and no inf was met.
    """

    kept: Tensor | None
    weights: Tensor
    extra: Tensor
    facts: Tensor
    finite: bool


def weigh(
    squares: Tensor,
    losses: Tensor,
    logits: Tensor,
    piece: Piece,
    rule: ClippingRule,
    ask: bool = True,
    watched: bool = True,
) -> ClipWeights:
    """squares: (layers, examples), float64, of one piece; losses: (examples,); logits: (examples × views, classes).

    ask: whether to look if all is finite, which saves work on the CPU; it makes a GPU wait, and cannot be compiled.
    watched: whether to gather facts; without it, they are zeros.
    """
    norms = squares.sum(0).sqrt()
    limit = HUGE * rule.sensitivity
    finite = ask and not norms.is_cuda and bool(norms.amax() < limit)  # False for NaN
    kept = piece.mask if finite else norms < limit
    if kept is not None and piece.mask is not None:
        kept = kept.to(norms.device) & piece.mask.to(norms.device)
    weights, losses = rule.weights(norms, squares), losses.to(norms.device)
    if kept is not None:
        weights, losses = weights.masked_fill(~kept, 0.0), losses.masked_fill(~kept, 0.0)
    facts = _facts(kept, weights, losses, logits, piece) if watched else norms.new_zeros(4)
    return ClipWeights(kept, weights, rule.extra(norms, kept), facts, finite)


def _facts(kept: Tensor | None, weights: Tensor, losses: Tensor, logits: Tensor, piece: Piece) -> Tensor:
    """`ClipWeights.facts`; losses: 0 where not kept."""
    right = (logits[:: len(logits) // len(losses)].argmax(1) == first_targets(piece.targets)).to(
        losses.device
    )  # by the first view
    shortened = weights < 1
    shortened = shortened[0] if len(shortened) == 1 else shortened.any(0)
    out = torch.zeros_like(right)
    if kept is not None:
        out, shortened = ~kept, shortened & kept
    if piece.mask is not None:
        out, right = (values & piece.mask.to(losses.device) for values in (out, right))
    counts = torch.stack([out, shortened, right]).sum(1, dtype=torch.float64)
    return torch.cat([counts, losses.sum(0, keepdim=True, dtype=torch.float64)])


@dataclass(frozen=True, slots=True)
class PieceSum:
    """What one piece gave: its clipped sum over all parameters, and `extra` and `facts` of ClipWeights."""

    total: Tensor
    extra: Tensor
    facts: Tensor


def gather(found: Iterable[PieceSum], size: int, inputs: Tensor, rule: ClippingRule) -> ClippedSum:
    """The clipped sum of a batch, from those of its pieces, which are added up in float64 as they come."""
    parts = iter(found)
    first = next(parts, None)
    if first is None:
        total = torch.zeros(size, dtype=torch.float64, device=double_device(inputs.device))
        none = total.new_zeros(0)
        extra, seen = rule.extra(none, none.to(torch.bool)), total.new_zeros(4)
    else:
        total, extra, seen = first.total.to(torch.float64), first.extra, first.facts
    for part in parts:
        total, extra, seen = total.add_(part.total), extra + part.extra, seen + part.facts
    facts = BatchFacts(len(inputs), seen)
    return ClippedSum(torch.cat([total, extra]) if len(extra) else total, rule.sensitivity, facts)


def double_device(device: torch.device) -> torch.device:
    """Where float64 is possible: the device itself, except that Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device
