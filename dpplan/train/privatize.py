"""Per-example gradients, clipped and summed: the one place where an example's influence is bounded.

    engine.clipped_sum(inputs, targets) -> ClippedSum

A ClippedSum carries the sensitivity it was clipped to, so that the noise reads it instead of being told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy, pad

from dpplan.recipe import Privacy, Runtime

# Examples are clipped to C × (1 - 2^-23), so that round-off cannot carry the sum past C. Norms and sums are in
# float64 (u = 2^-53): a norm over P numbers is off by at most about P u, and two sums of B clipped vectors differ
# by at most about 2 B² u C beyond the one vector. 2^-23 covers both up to P = 10^8 and B = 20,000.
ROUND_OFF = 2.0**-23


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What was seen while clipping. Computed from private data without noise: not covered by any epsilon.

    Scalars on the device, so that reading them can wait until the end of an epoch. drawn: examples in the
    batch; dropped: those whose gradient is not finite and which were left out; clipped: those whose gradient was
    shortened; correct: those classified right; loss: the sum over the examples that were not dropped.
    """

    drawn: Tensor
    dropped: Tensor
    clipped: Tensor
    correct: Tensor
    loss: Tensor

    def __add__(self, other: "BatchFacts") -> "BatchFacts":
        pairs = zip(self._all(), other._all(), strict=True)
        return BatchFacts(*(mine + theirs for mine, theirs in pairs))

    def _all(self) -> tuple[Tensor, ...]:
        return (self.drawn, self.dropped, self.clipped, self.correct, self.loss)

    @classmethod
    def none(cls) -> "BatchFacts":
        return cls(*torch.zeros(5, dtype=torch.float64))  # a scalar on the CPU may be added to any device's


@dataclass(frozen=True, slots=True)
class ClippedSum:
    """total: the sum of clipped gradients, (parameters,), float64.

    sensitivity: adding or removing any one example moves `total` by at most this much (L2).
    """

    total: Tensor
    sensitivity: float
    facts: BatchFacts


class ClippingEngine(Protocol):
    """Bounds each example's influence on the summed gradient."""

    def clipped_sum(self, inputs: Tensor, targets: Tensor) -> ClippedSum:
        """The sum over the examples (n, ...) with targets (n,); n = 0 gives zeros."""
        ...


class VmapClipping:
    """Flat clipping of per-example gradients made by torch.func.vmap(grad).

    Guarantee: adding or removing one example moves the sum by at most `clip_norm` (L2).

    | example                    | what enters the sum                    |
    |----------------------------|----------------------------------------|
    | gradient norm <= clip_norm | the gradient                           |
    | gradient norm > clip_norm  | the gradient scaled to norm clip_norm  |
    | gradient has NaN or inf    | nothing; counted as dropped            |
    | the same example twice     | twice: each copy is an example         |
    | no example at all          | zeros                                  |

    Works for every model whose examples do not meet (BatchNorm makes them meet). Keeps `physical_batch`
    per-example gradients in memory. Every piece of a batch has that many rows, the last one filled with rows
    that are masked out, so that an example meets the same arithmetic wherever it stands in a batch.
    """

    def __init__(self, model: nn.Module, clip_norm: float, physical_batch: int) -> None:
        self.model = model
        self.clip_norm = clip_norm
        self.physical_batch = physical_batch
        self.parameters = {name: p.detach() for name, p in model.named_parameters()}
        self.size = sum(p.numel() for p in self.parameters.values())
        self._per_example = vmap(grad(self._loss, has_aux=True), in_dims=(None, 0, 0))

    def clipped_sum(self, inputs: Tensor, targets: Tensor) -> ClippedSum:
        device = double_device(inputs.device)
        total = torch.zeros(self.size, dtype=torch.float64, device=device)
        facts = BatchFacts.none()
        for piece_inputs, piece_targets, mask in self._pieces(inputs, targets):
            gradients, (losses, correct) = self._per_example(self.parameters, piece_inputs, piece_targets)
            rows = [g.reshape(len(g), -1).to(device) for g in gradients.values()]
            weights, norms = self._weights(rows, mask.to(device))
            kept = weights > 0
            _add_weighted(total, rows, weights, bool(kept.all()))
            facts += BatchFacts(
                drawn=mask.sum().to(device),
                dropped=mask.sum().to(device) - kept.sum(),
                clipped=(kept & (norms > self.clip_norm)).sum(),
                correct=(correct & mask).sum().to(device),
                loss=torch.where(kept, losses.to(device, torch.float64), 0.0).sum(),
            )
        return ClippedSum(total, self.clip_norm, facts)

    def _loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        logits = functional_call(self.model, parameters, (x.unsqueeze(0),))
        loss = cross_entropy(logits, y.unsqueeze(0))
        return loss, (loss, logits[0].argmax() == y)

    def _pieces(self, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for start in range(0, len(inputs), self.physical_batch):
            x, y = inputs[start : start + self.physical_batch], targets[start : start + self.physical_batch]
            missing = self.physical_batch - len(x)
            mask = torch.arange(self.physical_batch, device=x.device) < len(x)
            yield pad(x, (0, 0) * (x.dim() - 1) + (0, missing)), pad(y, (0, missing)), mask

    def _weights(self, rows: list[Tensor], mask: Tensor) -> tuple[Tensor, Tensor]:
        """What each example's gradient is multiplied by (0 for those left out), and its norm."""
        squares = [torch.linalg.vector_norm(r, dim=1, dtype=torch.float64).square() for r in rows]
        norms = torch.stack(squares).sum(0).sqrt()
        bound = self.clip_norm * (1 - ROUND_OFF)
        weights = torch.clamp(bound / norms, max=1.0)  # a zero gradient: bound / 0 = inf, clamped to 1
        return torch.where(mask & norms.isfinite(), weights, 0.0), norms


def engine_for(model: nn.Module, privacy: Privacy, runtime: Runtime, examples: int) -> ClippingEngine:
    """The engine that bounds the examples of this model as the privacy block asks; no batch exceeds `examples`."""
    return VmapClipping(model, privacy.clip_norm, min(runtime.physical_batch, examples))


def _add_weighted(total: Tensor, rows: list[Tensor], weights: Tensor, all_kept: bool) -> None:
    """Adds the weighted sum of the rows to `total`; a row of weight 0 adds nothing even when it holds NaN."""
    start = 0
    for row in rows:
        finite = row if all_kept else row.masked_fill((weights == 0).unsqueeze(1), 0.0)
        total[start : start + row.shape[1]] += weights @ finite.to(torch.float64)
        start += row.shape[1]


def double_device(device: torch.device) -> torch.device:
    """Where float64 is possible: the device itself, except that Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device
