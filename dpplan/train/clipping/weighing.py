"""From squared norms to weights: the step that every engine shares, so that no engine can clip differently."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.clipping.sums import BatchFacts, ClippedSum, Piece

# A gradient this many times its clip norm counts as not finite: its weight would leave the range in which float32
# rounds to 24 bits.
HUGE = 2.0**100


@dataclass(frozen=True, slots=True)
class Weighed:
    """What clipping decided about one piece.

    kept: (examples,), those that enter the sum. weights: (examples, 1) or (examples, layers), float64, 0 where not
    kept. extra: what the rule releases besides. facts: how many examples are kept, are shortened, are classified
    right, and the loss of the kept ones. finite: whether no NaN or inf was met, or None where nobody asked.
    """

    kept: Tensor
    weights: Tensor
    extra: Tensor
    facts: Tensor
    finite: bool | None

    def of_layer(self, layer: int) -> Tensor:
        """(examples,): the weights of the gradients of this layer."""
        return self.weights[:, min(layer, self.weights.shape[1] - 1)]


def weigh(
    squares: Tensor,
    losses: Tensor,
    logits: Tensor,
    piece: Piece,
    rule: ClippingRule,
    ask: bool = True,
    watched: bool = True,
) -> Weighed:
    """squares: (examples, layers), float64, of one piece; losses: (examples,); logits: (examples × views, classes).

    ask: whether to look if all is finite, which saves work on the CPU; it makes a GPU wait, and cannot be compiled.
    watched: whether to gather facts; without it, they are zeros.
    """
    norms = squares.sum(1).sqrt()
    kept = norms < HUGE * rule.sensitivity  # False for NaN
    if piece.mask is not None:
        kept = kept & piece.mask.to(kept.device)
    weights = rule.weights(norms, squares)
    ask = ask and not norms.is_cuda
    whole = ask and bool(kept.all())
    if not whole:
        weights = weights.masked_fill(~kept.unsqueeze(1), 0.0)
        losses = losses.to(kept.device).masked_fill(~kept, 0.0)
    finite = whole or bool(norms.isfinite().all()) if ask else None
    facts = _facts(kept, weights, losses, logits, piece) if watched else norms.new_zeros(4)
    return Weighed(kept, weights, rule.extra(norms, kept), facts, finite)


def _facts(kept: Tensor, weights: Tensor, losses: Tensor, logits: Tensor, piece: Piece) -> Tensor:
    """`Weighed.facts`; losses: 0 where not kept."""
    right = logits[:: len(logits) // len(losses)].argmax(1) == piece.targets  # by the first view of each example
    if piece.mask is not None:
        right = right & piece.mask
    shortened = (weights < 1).any(1) & kept
    counts = torch.stack([kept, shortened, right.to(kept.device)]).sum(1, dtype=torch.float64)
    return torch.cat([counts, losses.to(kept.device).sum(0, keepdim=True, dtype=torch.float64)])


@dataclass(frozen=True, slots=True)
class PieceSum:
    """What one piece gave: its clipped sum over all parameters, and `extra` and `facts` of Weighed."""

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
    kept, clipped, correct, loss = seen.unbind()
    facts = BatchFacts(len(inputs), len(inputs) - kept, clipped, correct, loss)
    return ClippedSum(torch.cat([total, extra]) if len(extra) else total, rule.sensitivity, facts)


def double_device(device: torch.device) -> torch.device:
    """Where float64 is possible: the device itself, except that Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device
