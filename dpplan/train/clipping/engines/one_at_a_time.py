"""Per-example gradients by one forward and one backward pass for each example: slow, and right for any model."""

from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import DpplanError, TrainingStopped, out_of_memory
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.isolation.derandomize import seeded
from dpplan.train.clipping.isolation.outside_memory import watched
from dpplan.train.clipping.isolation.refusal_messages import kept, outside
from dpplan.train.clipping.isolation.untrained_state import HiddenState, Modes, TrainedState
from dpplan.train.recipe_function import let_through


class OneAtATime(VmapClipping):
    """Clipping as in `VmapClipping`, for models that vmap cannot run: each example is a batch of its own.

    A model may look at numbers here and branch on them, since they are those of one example. What it keeps for the
    next example is not prevented, and is looked for after each: TrainingStopped is raised when anything that the model
    reaches is not as it was, or when it writes files or starts threads or processes, which it could read again or ask.
    What it computes only once, a mask say, it computes before that, from zeros.

    An example on which the model raises counts as one whose gradient is not finite: it adds nothing to the sum, and the
    others are computed as if it had not been there. A model that raises on zeros as well ends the run.
    """

    def __init__(self, model: nn.Module, physical_batch: int, views: int = 1) -> None:
        super().__init__(model, physical_batch, views)
        self._per_example = self._in_turn
        self._ready = False
        self._like: tuple[Tensor, ...] = ()  # loss and logits of an example, for their shapes

    def _in_turn(
        self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """What vmap(grad) gives. Parameters are copied for each example, so that nothing written to them stays."""
        found, seen = [], []
        state, modes, trained = self._settled(parameters, inputs, targets), Modes(), TrainedState(self.model)
        seeds = torch.randint(2**32, (len(targets),)).tolist()  # so that no example decides what the next one draws
        for x, y, seed in zip(inputs, targets, seeds, strict=True):
            own = {name: p.clone().requires_grad_() for name, p in parameters.items()}
            with seeded(seed), watched() as done:
                gradients, facts = self._of_one(own, x.clone(), y)
            if changes := [*state.changes(), *modes.changes(), *trained.changes()]:
                modes.restore()
                state.restore()
                raise TrainingStopped(f"stopped: {kept(changes)}")
            if done:
                raise TrainingStopped(f"stopped: {outside(done)}")
            found.append(gradients)
            seen.append(facts)
        together: list[Any] = [torch.stack(each) for each in zip(*found, strict=True)]
        losses, logits = (torch.stack(each) for each in zip(*seen, strict=True))
        return dict(zip(parameters, together, strict=True)), (losses, logits)

    def _of_one(self, own: dict[str, Tensor], x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients, and loss and logits; NaN where the model raises on this example."""
        try:
            loss, facts = self._loss(own, x, y)
            gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True, materialize_grads=True)
        except BaseException as error:  # a model of the user's may raise anything
            let_through(error)
            if out_of_memory(error) or isinstance(error, DpplanError):
                raise
            nothing: list[list[Tensor]] = [
                [torch.full_like(like, torch.nan) for like in each] for each in (own.values(), self._like)
            ]
            return nothing[0], nothing[1]
        return [gradient.detach() for gradient in gradients], [fact.detach() for fact in facts]

    def _settled(self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> HiddenState:
        """What the model reaches, once it has computed what it computes only once."""
        if not self._ready and len(targets):
            with seeded(0), torch.no_grad():
                _, self._like = self._loss(parameters, torch.zeros_like(inputs[0]), targets[0])
            self._ready = True
        return HiddenState(self.model)
