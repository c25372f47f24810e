"""Book-keeping behind a wall: the forward pass of each example inside a vmap of its own.

Book-keeping needs each layer's input and the gradient at its output. Both can be had for one example: zeros are added
to the output of each layer, the loss is differentiated by these zeros, and the inputs come along. Mapped over the
examples, nothing in the model can see more than one: a mean, a maximum or a branch over the batch has one example to
look at, or raises, and so does writing an example into a buffer. It holds at every step and not only in a trial.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from dpplan.errors import NotApplicable
from dpplan.train.clipping.engine_interface import Piece
from dpplan.train.clipping.engines.bookkeeping import BookKeeping, Tape
from dpplan.train.clipping.engines.vmap import states_from_inputs
from dpplan.train.clipping.layer_gradients import RULES, GradientForms
from dpplan.train.clipping.precision import EXACT, ROUGH, exactly, in_half
from dpplan.train.losses import loss_of_one

Output = tuple[torch.Size, torch.dtype]
Outputs = dict[str, Tensor]  # name of a layer -> zeros as large as its output for one example
# Rules that take the first dimension for rows; the others look at the last one, whatever stands before it.
BY_ROWS = (nn.Conv1d, nn.Conv2d, nn.GroupNorm)


class IsolatedBookKeeping(BookKeeping):
    """`BookKeeping`, with the same guarantee and results to round-off, for models whose own code is not known."""

    def __init__(self, model: nn.Module, physical_batch: int, views: int = 1) -> None:
        super().__init__(model, physical_batch, views)
        self._shapes: dict[tuple[torch.Size, bool], dict[str, Output]] = {}

    def tape(self) -> AbstractContextManager[Tape]:
        return nullcontext(Tape({}))  # it would listen from outside

    def _forms(
        self, model: Callable[[Tensor], Tensor], piece: Piece, tape: Tape
    ) -> tuple[dict[nn.Module, GradientForms], Tensor, Tensor]:
        names = {name: layer for layer, name in self.layers.items()}
        by_zeros = vmap(
            grad(functools.partial(self._loss, model), has_aux=True), in_dims=(None, 0, 0), randomness="different"
        )
        with torch.no_grad(), states_from_inputs(self.model), in_half(piece.inputs.device, self.half):
            back, (seen, losses, logits) = by_zeros(self._outputs(model, piece), piece.inputs, piece.targets)
        found: dict[nn.Module, GradientForms] = {layer: [] for layer in self.layers}
        while back:
            name, gradient = back.popitem()
            layer, inputs = names[name], exactly(seen.pop(name))
            rows = [values.flatten(0, 1) for values in (inputs, exactly(gradient))]
            found[layer] = RULES[type(layer)](layer, rows[0], rows[1], len(losses), tuple(self.starts[layer]))
        return found, losses, logits.flatten(0, 1)

    def _outputs(self, model: Callable[[Tensor], Tensor], piece: Piece) -> Outputs:
        """Zeros for every layer, whose shapes are those of a pass over an example of zeros."""
        key = (piece.inputs.shape[1:], self.half)
        if key not in self._shapes:
            found: dict[str, Output] = {}

            def note(name: str, inputs: Tensor, output: Tensor) -> Tensor:
                found[name] = output.shape, output.dtype
                return output

            def measured(x: Tensor) -> Tensor:
                with self._listening(note):
                    return model(self._rows(x))

            device = piece.inputs.device
            # What it draws here, a run that goes on from a checkpoint would not have drawn at this place.
            with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
                vmap(measured, randomness="different")(torch.zeros_like(piece.inputs[:1]))
            self._shapes[key] = found
        outputs, device = self._shapes[key], piece.inputs.device
        return {name: torch.zeros(shape, dtype=dtype, device=device) for name, (shape, dtype) in outputs.items()}

    def _loss(
        self, model: Callable[[Tensor], Tensor], zeros: Outputs, x: Tensor, y: Tensor
    ) -> tuple[Tensor, tuple[dict[str, Tensor], Tensor, Tensor]]:
        """The loss of one example, what its layers saw, the loss again, and its logits (views, classes)."""
        seen: dict[str, tuple[Tensor, int]] = {}

        def add(name: str, inputs: Tensor, output: Tensor) -> Tensor:
            if name in seen:
                raise NotApplicable(f"layer '{name}' is called twice in one forward pass")
            if name not in zeros or zeros[name].shape != output.shape:
                raise NotApplicable(f"layer '{name}' does not give the same shape in every forward pass")
            seen[name] = inputs, inputs._version
            return output + zeros[name]

        with self._listening(add):
            logits = exactly(model(self._rows(x)))
        for name, (inputs, version) in seen.items():
            if inputs._version != version:
                raise NotApplicable(f"layer '{name}' has its input or output changed in place")
        loss = loss_of_one(logits, y)
        return loss, ({name: inputs for name, (inputs, _) in seen.items()}, loss, logits)

    def _rows(self, x: Tensor) -> Tensor:
        return x if self.views > 1 else x.unsqueeze(0)

    @contextmanager
    def _listening(self, hear: Callable[[str, Tensor, Tensor], Any]) -> Iterator[None]:
        """Inside, `hear` gets name, input and output of every layer, and what it returns takes the output's place."""
        before = {layer: vars(layer).get("forward") for layer in self.layers}
        try:
            for layer, name in self.layers.items():
                vars(layer)["forward"] = functools.partial(self._call, layer, name, layer.forward, hear)
            yield
        finally:
            for layer, own in before.items():
                vars(layer).pop("forward", None)
                if own is not None:
                    vars(layer)["forward"] = own

    def _call(
        self, layer: nn.Module, name: str, forward: Callable[..., Any], hear: Any, *args: Any, **kwargs: Any
    ) -> Any:
        output = forward(*args, **kwargs)
        if len(args) != 1 or kwargs or not isinstance(output, Tensor):
            raise NotApplicable(f"layer '{name}' is not called with one tensor")
        inputs = args[0]
        if isinstance(layer, BY_ROWS) and inputs.shape[:1] != (self.views,):
            raise NotApplicable(f"layer '{name}' sees a first dimension that is not the batch")
        if inputs.dim() < (1 if isinstance(layer, nn.Embedding) else 2):
            raise NotApplicable(f"layer '{name}' sees an example without a dimension for rows")
        allowed = ROUGH if self.half else EXACT
        if output.dtype not in allowed or (inputs.is_floating_point() and inputs.dtype not in allowed):
            raise NotApplicable(f"layer '{name}' works in {output.dtype}, for whose round-off no margin is left")
        return hear(name, inputs, output)
