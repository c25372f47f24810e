"""The gradients of one parameter for many examples, in the cheapest form that gives their norms and weighted sum.

| form      | one example's gradient            | when                                             |
|-----------|-----------------------------------|--------------------------------------------------|
| Rows      | itself                            | small parameters; sequences and images           |
| Outer     | g aᵀ                              | a linear layer that sees one vector per example  |
| Ghost     | Σ_t g_t a_tᵀ, never formed        | large layers over short sequences                |
| Scattered | a few rows of a large table       | embeddings                                       |

Guarantee of each: the norms are those of the very numbers that `weighted_sums` adds up, in the real numbers; what
round-off takes from the norms and adds to the sums stays within the margin of the clipping rules. `where` leaves out
examples so thoroughly that their NaN or inf leave no trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from dpplan.train.clipping.rules import BLOCK, BLOCKS, SPAN

DOUBLE_ROUND_OFF = 2.0**-53
FLOOR = 2.0**-126  # the largest square that float32 may have flushed to zero


class GradientForm(Protocol):
    """Per-example gradients of one parameter, or of a weight and its bias.

    names: of the parameters within their layer. dtype: in which `weighted_sums` wants its weights.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def lengths(self) -> "Lengths": ...
    @property
    def dtype(self) -> torch.dtype: ...

    def where(self, kept: Tensor) -> Self:
        """The same with zeros for examples that are not kept."""
        ...

    def weighted_sums(self, weights: Tensor) -> tuple[Tensor, ...]:
        """Σ weights[i] × gradient i for each of `names`, flat. weights: (examples,)."""
        ...


@dataclass(frozen=True, slots=True)
class Lengths:
    """The norm of each example's gradient, as own × sqrt(factor² + one).

    own, factor: (examples,), L2 norms of `numbers` numbers at most; no factor counts as 1. one: 1 for the constant
    that a bias sees beside the input of its layer, else 0.
    """

    own: Tensor
    numbers: int
    factor: Tensor | None = None
    one: float = 0.0


@dataclass(frozen=True, slots=True)
class Rows:
    """values: (examples, numbers)."""

    names: tuple[str]
    values: Tensor

    @classmethod
    def of(cls, name: str, values: Tensor) -> "Rows":
        return cls((name,), values)

    @property
    def lengths(self) -> Lengths:
        return Lengths(norms(self.values), self.values.shape[1])

    @property
    def dtype(self) -> torch.dtype:
        return self.values.dtype

    def where(self, kept: Tensor) -> "Rows":
        return replace(self, values=_where(kept, self.values))

    def weighted_sums(self, weights: Tensor) -> tuple[Tensor, ...]:
        return (_product(weights.unsqueeze(1), self.values),)


@dataclass(frozen=True, slots=True)
class Outer:
    """activations: (examples, d); the bias sees a constant 1. gradients: (examples, p), at the layer's output."""

    names: tuple[str, ...]
    activations: Tensor
    gradients: Tensor

    @property
    def lengths(self) -> Lengths:
        numbers = max(self.activations.shape[1], self.gradients.shape[1])
        if "weight" not in self.names:
            return Lengths(norms(self.gradients), numbers)
        return Lengths(norms(self.gradients), numbers, norms(self.activations), 1.0 if "bias" in self.names else 0.0)

    @property
    def dtype(self) -> torch.dtype:
        return self.gradients.dtype

    def where(self, kept: Tensor) -> "Outer":
        return replace(self, activations=_where(kept, self.activations), gradients=_where(kept, self.gradients))

    def weighted_sums(self, weights: Tensor) -> tuple[Tensor, ...]:
        weighted = self.gradients * weights.unsqueeze(1)
        return tuple(
            _product(weighted, self.activations) if name == "weight" else _sum(weighted) for name in self.names
        )


@dataclass(frozen=True, slots=True)
class Ghost:
    """activations: (examples, T, d). gradients: (examples, T, p). Both float64.

    |Σ_t g_t a_tᵀ|² = Σ_{t,s} (a_t · a_s)(g_t · g_s) (Goodfellow 2015; Li et al. 2022). When the positions of an
    example cancel, this loses half of the digits there are; in float32 a norm could come out a tenth too small. Hence
    float64, and an allowance for what is lost even so, which grows with R = Σ_t |a_t| |g_t| as the loss does.
    """

    names: tuple[str]
    activations: Tensor
    gradients: Tensor

    @classmethod
    def of(cls, name: str, activations: Tensor, gradients: Tensor) -> "Ghost":
        return cls((name,), activations.to(torch.float64), gradients.to(torch.float64))

    @property
    def lengths(self) -> Lengths:
        a, g = self.activations, self.gradients
        like, alike = a @ a.mT, g @ g.mT
        each = (like.diagonal(dim1=1, dim2=2) * alike.diagonal(dim1=1, dim2=2)).sqrt()
        lost = 2 * (a.shape[1] ** 2 + 2 * max(a.shape[2], g.shape[2])) * DOUBLE_ROUND_OFF
        squares = (like * alike).sum((1, 2)).clamp(min=0.0) + lost * each.sum(1).square()
        return Lengths(squares.sqrt(), a.shape[2])

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64

    def where(self, kept: Tensor) -> "Ghost":
        return replace(self, activations=_where(kept, self.activations), gradients=_where(kept, self.gradients))

    def weighted_sums(self, weights: Tensor) -> tuple[Tensor, ...]:
        weighted = self.gradients * weights[:, None, None]
        return ((weighted.flatten(0, 1).mT @ self.activations.flatten(0, 1)).flatten(),)


@dataclass(frozen=True, slots=True)
class Scattered:
    """rows: (examples, T), distinct within an example where `values` is not zero. values: (examples, T, d).

    size: rows of the whole table.
    """

    names: tuple[str]
    rows: Tensor
    values: Tensor
    size: int

    @classmethod
    def of(cls, name: str, rows: Tensor, values: Tensor, size: int) -> "Scattered":
        return cls((name,), rows, values, size)

    @property
    def lengths(self) -> Lengths:
        flat = self.values.flatten(1)
        return Lengths(norms(flat), flat.shape[1])

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64

    def where(self, kept: Tensor) -> "Scattered":
        return replace(self, values=_where(kept, self.values))

    def weighted_sums(self, weights: Tensor) -> tuple[Tensor, ...]:
        table = weights.new_zeros(self.size, self.values.shape[2])
        weighted = self.values.to(torch.float64) * weights[:, None, None]
        return (table.index_add_(0, self.rows.flatten(), weighted.flatten(0, 1)).flatten(),)


def norms(rows: Tensor) -> Tensor:
    """(examples,): of (examples, numbers), L2; below the true ones by no more than the rules' margin allows.

    A row is squared and summed in its own precision over at most SPAN numbers at a time. What float32 cannot hold
    comes out as inf, and its example is left out. For what is too small for it, `squared_norms` has a floor.
    """
    numbers = rows.shape[1]
    if rows.dtype == torch.float64 or numbers <= SPAN:
        return torch.linalg.vector_norm(rows, dim=1)
    whole = numbers - numbers % SPAN
    spans = torch.linalg.vector_norm(rows[:, :whole].reshape(len(rows), -1, SPAN), dim=2)
    rest = torch.linalg.vector_norm(rows[:, whole:], dim=1, keepdim=True)
    return torch.linalg.vector_norm(torch.cat([spans, rest], 1), dim=1, dtype=torch.float64)


def squared_norms(lengths: Sequence[Lengths]) -> Tensor:
    """(forms, examples), float64: the squared norms of the gradients of all these forms, in few operations."""
    factors = [of for of in lengths if of.factor is not None]
    every = [of.own for of in lengths] + [of.factor for of in factors if of.factor is not None]
    squares = torch.stack(every).to(torch.float64).square().add_(max(of.numbers for of in lengths) * FLOOR)
    if not factors:
        return squares
    own, times = squares[: len(lengths)], squares[len(lengths) :]
    if len(factors) == len(lengths) and len({of.one for of in factors}) == 1:
        return own * (times + factors[0].one)
    found, rest = [], iter(times)
    for of, row in zip(lengths, own, strict=True):
        found.append(row if of.factor is None else row * (next(rest) + of.one))
    return torch.stack(found)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """leftᵀ right over the examples, flat: in float32 by blocks, as far as the rules' margin allows."""
    examples = len(left)
    if left.dtype == torch.float64 or examples <= BLOCK:
        return (left.mT @ right).flatten()
    if examples > BLOCK * BLOCKS:
        parts = zip(torch.split(left, BLOCK * BLOCKS), torch.split(right, BLOCK * BLOCKS), strict=True)
        return torch.stack([_product(*part) for part in parts]).sum(0, dtype=torch.float64)
    full = examples - examples % BLOCK
    shape = (full // BLOCK, BLOCK, -1)
    blocks = torch.bmm(left[:full].reshape(shape).mT, right[:full].reshape(shape)).sum(0)
    return (blocks if full == examples else blocks + left[full:].mT @ right[full:]).flatten()


def _sum(rows: Tensor) -> Tensor:
    """The sum over the examples, flat, by the same blocks."""
    examples = len(rows)
    if rows.dtype == torch.float64 or examples <= BLOCK:
        return rows.sum(0)
    if examples > BLOCK * BLOCKS:
        return torch.stack([_sum(part) for part in torch.split(rows, BLOCK * BLOCKS)]).sum(0, dtype=torch.float64)
    full = examples - examples % BLOCK
    blocks = rows[:full].reshape(full // BLOCK, BLOCK, -1).sum(1).sum(0)
    return blocks if full == examples else blocks + rows[full:].sum(0)


def _where(kept: Tensor, values: Tensor) -> Tensor:
    """Zeros where not kept; multiplying by zero would let NaN and inf through."""
    return values.masked_fill(~kept.view(-1, *(1,) * (values.dim() - 1)), 0.0)
