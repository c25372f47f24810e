"""Per-example gradients by one forward and one backward pass for each example: slow, and right for any model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import DpplanError, TrainingStopped, out_of_memory
from dpplan.train.clipping.clip_weights import PieceSum
from dpplan.train.clipping.engine_interface import Piece
from dpplan.train.clipping.engines.vmap import VmapClipping, states_from_inputs
from dpplan.train.clipping.isolation.derandomize import seeded
from dpplan.train.clipping.isolation.generator_states import GeneratorStates
from dpplan.train.clipping.isolation.outside_memory import watched
from dpplan.train.clipping.isolation.refusal_messages import kept, outside
from dpplan.train.clipping.isolation.untrained_state import HiddenState, Modes, TrainedState
from dpplan.train.clipping.precision import in_half
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.recipe_function import let_through

Found = tuple[list[Tensor], list[Tensor]]  # gradients, and loss and logits


@dataclass(frozen=True, slots=True)
class TakenExample:
    """One example at its turn: what it and its random numbers were, and what was found."""

    x: Tensor
    y: Tensor
    seed: int
    generators: GeneratorStates
    found: Found


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
        self._examples = 0  # in the piece; rows beyond fill it up
        self.ends: list[TakenExample] = []  # the first and the last example since this was cleared

    def apart_again(self, rule: ClippingRule) -> float:
        """How far the first or the last of `ends` is from what it was, each done again now: L2, after clipping."""
        apart, parameters = 0.0, self._parameters()
        for turn in self.ends:
            with states_from_inputs(self.model), in_half(turn.x.device, self.half), turn.generators.once_more():
                found = self._one_by_one(parameters, [(turn.x, turn.y, turn.seed)])[0]
            was, now = (self._alone(turn, each, rule) for each in (turn.found, found))
            apart = max(apart, float((was - now).norm()))
        return apart

    def _alone(self, turn: TakenExample, found: Found, rule: ClippingRule) -> Tensor:
        """What one example adds to the sum, and to the numbers released with it."""
        rows: list[list[Tensor]] = [[part.unsqueeze(0) for part in each] for each in found]
        piece = Piece(turn.x.unsqueeze(0), turn.y.unsqueeze(0), None)
        made = self._summed(dict(zip(self._parameters(), rows[0], strict=True)), (rows[1][0], rows[1][1]), piece, rule)
        return torch.cat([made.total.to(torch.float64), made.extra])

    def _of_piece(self, parameters: dict[str, Tensor], piece: Piece, rule: ClippingRule) -> PieceSum:
        self._examples = len(piece.targets) if piece.mask is None else int(piece.mask.sum())
        return super()._of_piece(parameters, piece, rule)

    def _in_turn(
        self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor
    ) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor]]:
        """What vmap(grad) gives. Parameters are copied for each example, so that nothing written to them stays."""
        self._settle(parameters, inputs, targets)
        seeds = torch.randint(2**32, (len(targets),)).tolist()  # so that no example decides what the next one draws
        turns = self._one_by_one(parameters, list(zip(inputs, targets, seeds, strict=True)), keep=True)
        found, seen = zip(*turns, strict=True)
        together: list[Any] = [torch.stack(each) for each in zip(*found, strict=True)]
        losses, logits = (torch.stack(each) for each in zip(*seen, strict=True))
        return dict(zip(parameters, together, strict=True)), (losses, logits)

    def _one_by_one(
        self, parameters: dict[str, Tensor], turns: list[tuple[Tensor, Tensor, int]], keep: bool = False
    ) -> list[Found]:
        """Each example, with its seed. keep: whether the first and the last are put into `ends`."""
        every: list[Found] = []
        state, modes, trained = HiddenState(self.model), Modes(), TrainedState(self.model)
        for place, (x, y, seed) in enumerate(turns):
            generators = GeneratorStates(x.device) if keep and place in (0, self._examples - 1) else None
            own = {name: p.clone().requires_grad_() for name, p in parameters.items()}
            with seeded(seed), watched() as done:
                gradients, facts = self._of_one(own, x.clone(), y)
            if changes := [*state.changes(), *modes.changes(), *trained.changes()]:
                modes.restore()
                state.restore()
                raise TrainingStopped(f"stopped: {kept(changes)}")
            if done:
                raise TrainingStopped(f"stopped: {outside(done)}")
            every.append((gradients, facts))
            if generators is not None:
                self.ends = [*self.ends[:1], TakenExample(x, y, seed, generators, (gradients, facts))]
        return every

    def _of_one(self, own: dict[str, Tensor], x: Tensor, y: Tensor) -> Found:
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

    def _settle(self, parameters: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> None:
        """Lets the model compute what it computes only once."""
        if not self._ready and len(targets):
            with seeded(0), torch.no_grad():
                _, self._like = self._loss(parameters, torch.zeros_like(inputs[0]), targets[0])
            self._ready = True
