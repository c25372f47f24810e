"""Book-keeping, compiled: the same sums from one piece of machine code for each piece of a batch.

The whole of `BookKeeping.of_piece`, with the backward pass and the clipping in it, is traced once into a graph of
tensor operations, on shapes alone, and the graph is compiled by torch. Pieces always have the same shape.
"""

import dataclasses

import torch
from torch import Tensor
from torch.func import functional_call

from dpplan.errors import RecipeError
from dpplan.train.clipping.clip_weights import PieceSum, gather
from dpplan.train.clipping.engine_interface import ClippedSum, Piece, pieces
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.precision import whole_products
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.machine.inductor import Graph, compiled_graph, traced
from dpplan.train.recipe_function import let_through


class CompiledBookKeeping:
    """`BookKeeping` with the same guarantee and the same results to round-off; its first call takes up to a minute.

    What the model does in Python is settled once, at that call: a branch that looks at numbers is refused there, and
    one that looks at the model's own attributes is taken as it was. translated: False runs the graph as it was traced.
    """

    def __init__(self, engine: BookKeeping, translated: bool = True) -> None:
        self.engine, self.translated = engine, translated
        self.size, self.watched, self.half = engine.size, True, False
        self.state = [*engine.model.parameters(), *engine.model.buffers()]
        self.graph: Graph | None = None
        self.traced_for: ClippingRule | None = None  # all of the rule is settled in the graph but its clip norm
        self._whole: Tensor | None = None

    def clipped_sum(self, inputs: Tensor, targets: Tensor, rule: ClippingRule, first: bool = True) -> ClippedSum:
        cut = pieces(inputs, targets, self.engine.physical_batch, first)
        return gather((self.of_piece(piece, rule) for piece in cut), self.size, inputs, rule)

    def of_piece(self, piece: Piece, rule: ClippingRule) -> PieceSum:
        """The clipped sum of one piece."""
        device = piece.targets.device
        clip_norm = torch.full((), rule.clip_norm, dtype=torch.float64, device=device)  # a GPU need not wait
        arguments = (piece.inputs, piece.targets, self._mask(piece), clip_norm, *self.state)
        settled = dataclasses.replace(rule, clip_norm=0.0)  # type: ignore[type-var]
        with torch.no_grad(), whole_products(device):
            if self.graph is None or settled != self.traced_for:
                self.graph, self.traced_for = self._traced(rule, arguments), settled
            return PieceSum(*self.graph(*arguments))

    def _mask(self, piece: Piece) -> Tensor:
        """Always one, so that there is one graph."""
        if piece.mask is not None:
            return piece.mask
        if self._whole is None:
            self._whole = torch.ones(len(piece.targets), dtype=torch.bool, device=piece.targets.device)
        return self._whole

    def _traced(self, rule: ClippingRule, arguments: tuple[Tensor, ...]) -> Graph:
        model = self.engine.model
        names = [name for name, _ in model.named_parameters()] + [name for name, _ in model.named_buffers()]

        def of_piece(
            inputs: Tensor, targets: Tensor, mask: Tensor, clip_norm: Tensor, *values: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            state = {name: value.detach() for name, value in zip(names, values, strict=True)}
            same = dataclasses.replace(rule, clip_norm=clip_norm)  # type: ignore[type-var]  # so adaptive ones can move
            with self.engine.tape() as tape:
                found = self.engine.of_piece(
                    lambda rows: functional_call(model, state, (rows,)),
                    Piece(inputs, targets, mask),
                    same,
                    tape,
                    ask=False,
                )
            return found.total.to(torch.float64), found.extra, found.facts

        self.engine.watched, self.engine.half = self.watched, self.half
        try:
            graph = traced(of_piece, arguments)
        except BaseException as error:  # a model of the user's may raise anything here
            let_through(error)
            why = (str(error).splitlines() or [""])[0][:80]
            raise RecipeError(f"runtime.compile: this model cannot be traced: {type(error).__name__}: {why}.") from None
        return compiled_graph(graph, arguments) if self.translated else graph
