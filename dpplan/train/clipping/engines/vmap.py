"""Per-example gradients by torch.func: slower and larger than book-keeping, and right for almost any model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from dpplan.train.clipping.clip_weights import PieceSum, double_device, gather, weigh
from dpplan.train.clipping.engine_interface import ClippedSum, Piece, pieces
from dpplan.train.clipping.gradient_forms import Lengths, norms, squared_norms
from dpplan.train.clipping.precision import exactly, in_half
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.losses import loss_of_one

# (parameters, inputs, targets) -> gradients by name, and losses and logits; each with a row for each example.
PerExample = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[dict[str, Tensor], tuple[Tensor, Tensor]]]


class VmapClipping:
    """Clipping of per-example gradients made by torch.func.vmap(grad).

    Guarantee and treatment of examples as in `BookKeeping`. Works for every model whose examples do not meet, and
    there they cannot: each is a batch of its own. Keeps `physical_batch` per-example gradients in memory, and sums
    in float64.
    """

    def __init__(self, model: nn.Module, physical_batch: int, views: int = 1) -> None:
        self.model = model
        self.physical_batch = physical_batch
        self.views = views
        self.watched, self.half = True, False
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.size = sum(p.numel() for p in trained.values())
        owners = [name.rpartition(".")[0] for name in trained]
        self.layer_of = [sorted(set(owners), key=owners.index).index(owner) for owner in owners]
        self._per_example: PerExample = vmap(
            grad(self._loss, has_aux=True), in_dims=(None, 0, 0), randomness="different"
        )

    def clipped_sum(self, inputs: Tensor, targets: Tensor, rule: ClippingRule, first: bool = True) -> ClippedSum:
        parameters = self._parameters()
        with states_from_inputs(self.model):
            cut = pieces(inputs, targets, self.physical_batch, first)
            return gather((self._of_piece(parameters, piece, rule) for piece in cut), self.size, inputs, rule)

    def _parameters(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def _of_piece(self, parameters: dict[str, Tensor], piece: Piece, rule: ClippingRule) -> PieceSum:
        with in_half(piece.inputs.device, self.half):  # backward as well: vmap loses track of who was rounded
            gradients, facts = self._per_example(parameters, piece.inputs, piece.targets)
        return self._summed(gradients, facts, piece, rule)

    def _summed(
        self, gradients: dict[str, Tensor], facts: tuple[Tensor, Tensor], piece: Piece, rule: ClippingRule
    ) -> PieceSum:
        """The clipped sum of these. facts: losses and logits."""
        losses, logits = facts
        device = double_device(losses.device)
        # A parameter that is one number has a row of one number for each example.
        rows = [(g.flatten(1) if g.dim() > 1 else g.unsqueeze(1)).to(device) for g in gradients.values()]
        of_parameters = squared_norms([Lengths(norms(row), row.shape[1]) for row in rows])
        layers = of_parameters.new_zeros(1 + max(self.layer_of), len(losses)).unbind()
        for layer, square in zip(self.layer_of, of_parameters, strict=True):
            layers[layer].add_(square)
        squares = torch.stack(layers)
        weighed = weigh(squares, losses, logits.flatten(0, 1), piece, rule, watched=self.watched)
        parts = []
        for layer, row in zip(self.layer_of, rows, strict=True):
            # 0 × NaN is NaN
            kept = row if weighed.kept is None else row.masked_fill(~weighed.kept.unsqueeze(1), 0.0)
            weights = weighed.weights[layer if len(weighed.weights) > 1 else 0]
            parts.append(weights @ kept.to(torch.float64))
        return PieceSum(torch.cat(parts), weighed.extra, weighed.facts)

    def _loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rows = x if self.views > 1 else x.unsqueeze(0)
        logits = exactly(functional_call(self.model, parameters, (rows,)))
        loss = loss_of_one(logits, y)
        return loss, (loss, logits)


@contextmanager
def states_from_inputs(model: nn.Module) -> Iterator[None]:
    """Inside, recurrent layers have a first state that belongs to the example, zeros where they are given none.

    Zeros that they or the model make of nothing belong to no example, and vmap refuses to write examples into them.
    """

    def with_state(layer: nn.RNNBase, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if not args or not isinstance(args[0], Tensor):
            return args, kwargs
        x, given = args[0], args[1] if len(args) > 1 else kwargs.get("hx")
        if given is not None:
            own = x.new_zeros(())
            states = given + own if isinstance(given, Tensor) else tuple(state + own for state in given)
            return (x, states), {}
        rows = (x.shape[0 if layer.batch_first else 1],) if x.dim() == 3 else ()
        layers = layer.num_layers * (2 if layer.bidirectional else 1)
        hidden = x.new_zeros(layers, *rows, layer.proj_size or layer.hidden_size)
        if not isinstance(layer, nn.LSTM):
            return (x, hidden), kwargs
        return (x, (hidden, x.new_zeros(layers, *rows, layer.hidden_size))), kwargs

    def with_own(layer: nn.RNNCellBase, args: tuple[Any, ...]) -> Any:
        if len(args) < 2 or args[1] is None:
            return args
        own = args[0].new_zeros(())
        return args[0], args[1] + own if isinstance(args[1], Tensor) else tuple(state + own for state in args[1])

    recurrent = [layer for layer in model.modules() if isinstance(layer, nn.RNNBase)]
    cells = [layer for layer in model.modules() if isinstance(layer, nn.RNNCellBase)]
    with ExitStack() as stack:
        for layer in recurrent:
            stack.enter_context(layer.register_forward_pre_hook(with_state, with_kwargs=True))
        for cell in cells:
            stack.enter_context(cell.register_forward_pre_hook(with_own))
        # vmap has no rule for the fused layers of oneDNN and cuDNN, and goes through them one example at a time.
        for library in (torch.backends.mkldnn, torch.backends.cudnn) if recurrent else ():
            stack.callback(setattr, library, "enabled", library.enabled)
            setattr(library, "enabled", False)  # noqa: B010  (typed as what it is not)
        yield
