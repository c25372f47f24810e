"""Per-example gradients by one forward and one backward pass for each example: slow, and right for any model."""

from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import TrainingStopped
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.isolation.derandomize import seeded
from dpplan.train.clipping.isolation.hidden_state import HiddenState
from dpplan.train.clipping.isolation.refusal_messages import kept


class OneAtATime(VmapClipping):
    """Clipping as in `VmapClipping`, for models that vmap cannot run: each example is a batch of its own.

    A model may look at numbers here and branch on them, since they are those of one example. What it keeps for the
    next example is not prevented, and is looked for after each: TrainingStopped is raised when anything that the model
    reaches is not as it was. What it computes only once, a mask say, it computes before that, from zeros.
    """

    def __init__(self, model: nn.Module, physical_batch: int, views: int = 1) -> None:
        super().__init__(model, physical_batch, views)
        self._per_example = self._in_turn
        self._ready = False

    def _in_turn(
        self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """What vmap(grad) gives. Parameters are copied for each example, so that nothing written to them stays."""
        found, seen = [], []
        state = self._settled(parameters, inputs, targets)
        seeds = torch.randint(2**32, (len(targets),)).tolist()  # so that no example decides what the next one draws
        for x, y, seed in zip(inputs, targets, seeds, strict=True):
            own = {name: p.clone().requires_grad_() for name, p in parameters.items()}
            with seeded(seed):
                loss, facts = self._loss(own, x.clone(), y)
                gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True, materialize_grads=True)
            if changes := state.changes():
                state.restore()
                raise TrainingStopped(f"stopped: {kept(changes)}")
            found.append([gradient.detach() for gradient in gradients])
            seen.append([fact.detach() for fact in facts])
        together: list[Any] = [torch.stack(each) for each in zip(*found, strict=True)]
        losses, logits = (torch.stack(each) for each in zip(*seen, strict=True))
        return dict(zip(parameters, together, strict=True)), (losses, logits)

    def _settled(self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> HiddenState:
        """What the model reaches, once it has computed what it computes only once."""
        if not self._ready and len(targets):
            with seeded(0), torch.no_grad():
                self._loss(parameters, torch.zeros_like(inputs[0]), targets[0])
            self._ready = True
        return HiddenState(self.model)
