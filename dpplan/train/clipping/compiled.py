"""Book-keeping, compiled: the same sums from one piece of machine code for each piece of a batch.

The whole of `BookKeeping.of_piece`, with the backward pass and the clipping in it, is traced once into a graph of
tensor operations, on shapes alone, and the graph is compiled by torch. Pieces always have the same shape.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from dpplan.errors import RecipeError
from dpplan.train.clipping.bookkeeping import BookKeeping, Tape
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.clipping.sums import ClippedSum, Piece, pieces
from dpplan.train.clipping.weighing import PieceSum, gather

Graph = Callable[..., tuple[Tensor, Tensor, Tensor]]


class CompiledBookKeeping:
    """`BookKeeping` with the same guarantee and the same results to round-off; its first call takes up to a minute.

    What the model does in Python is settled once, at that call: a branch that looks at numbers is refused there, and
    one that looks at the model's own attributes is taken as it was. backend: of torch.compile; None runs the graph as
    it is.
    """

    def __init__(self, engine: BookKeeping, backend: str | None = "inductor") -> None:
        self.engine, self.backend = engine, backend
        self.size, self.watched = engine.size, True
        model = engine.model
        self.state: dict[str, Tensor] = {name: p.detach() for name, p in model.named_parameters()}
        self.state |= dict(model.named_buffers())
        self.graph: Graph | None = None

    def clipped_sum(self, inputs: Tensor, targets: Tensor, rule: ClippingRule) -> ClippedSum:
        size = self.engine.physical_batch
        found = (self._of_piece(piece, rule) for piece in pieces(inputs, targets, size))
        return gather(found, self.size, inputs, rule)

    def _of_piece(self, piece: Piece, rule: ClippingRule) -> PieceSum:
        rows = len(piece.targets)
        mask = piece.mask
        if mask is None:  # always one, so that there is one graph
            mask = torch.ones(rows, dtype=torch.bool, device=piece.targets.device)
        clip_norm = torch.tensor(rule.clip_norm, dtype=torch.float64, device=piece.targets.device)
        arguments = (list(self.state.values()), piece.inputs, piece.targets, mask, clip_norm)
        if self.graph is None:
            self.graph = self._traced(rule, arguments)
        with torch.no_grad():
            return PieceSum(*self.graph(*arguments))

    def _traced(self, rule: ClippingRule, arguments: tuple[Any, ...]) -> Graph:
        def of_piece(
            values: list[Tensor], inputs: Tensor, targets: Tensor, mask: Tensor, clip_norm: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            state = dict(zip(self.state, values, strict=True))
            same = dataclasses.replace(rule, clip_norm=clip_norm)  # type: ignore[type-var]  # so adaptive ones can move
            with Tape(self.engine.layers).attached() as tape:
                found = self.engine.of_piece(
                    lambda rows: functional_call(self.engine.model, state, (rows,)),
                    Piece(inputs, targets, mask),
                    same,
                    tape,
                    ask=False,
                )
            return found.total, found.extra, found.facts

        self.engine.watched = self.watched
        try:
            graph = make_fx(of_piece, tracing_mode="fake")(*arguments)
        except Exception as error:  # a model of the user's may raise anything here
            why = (str(error).splitlines() or [""])[0][:80]
            raise RecipeError(f"runtime.compile: this model cannot be traced: {type(error).__name__}: {why}.") from None
        if self.backend is None:
            return graph
        return torch.compile(graph, backend=self.backend, dynamic=False, fullgraph=True)
