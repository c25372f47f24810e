"""What of a model may be written down: the parameters that noisy steps have made, and all else as it was before them.

guard = ModelGuard(model, inputs[:0], walled)   # before the model meets the first example
with guard: ...         # a step's clipped sum; TrainingStopped when it left anything behind in the model
guard.state_dict()      # for model.pt and the checkpoint
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import DpplanError, RecipeError, TrainingStopped, out_of_memory
from dpplan.train.clipping.isolation.reachable_objects import outlived
from dpplan.train.clipping.isolation.refusal_messages import forgetting, kept
from dpplan.train.clipping.isolation.row_independent_layers import keeps_rows_apart
from dpplan.train.clipping.isolation.untrained_state import TRAINED, HiddenState
from dpplan.train.clipping.isolation.vmap_escapes import CustomRules

NEW = "something that was not there before"
# Which example it was is not told, but an end that another data set would not have had says something of it.
RAISED = (
    "stopped: the model raises {}, as it never did on trial. That step is counted and released nothing; model.pt holds "
    "what the steps before it released. That the run ended, and when, may tell of one example, which ε does not cover: "
    "keep it to yourself, and make the model accept every input."
)


class ModelGuard:
    """Watches a model for what it keeps of the examples it has seen.

    Guarantee: `state_dict` holds the parameters that are trained, as they are, and every other entry as it was when
    the guard was made; entries that came later are not in it. Inside `with`, nothing else may change, parameters
    included: what does is put back, and TrainingStopped is raised before anything of the step is released.
    """

    def __init__(self, model: nn.Module, inputs: Tensor, walled: bool) -> None:
        """inputs: only the shape and the type of one are looked at. Raises RecipeError as `Trial`
        does, and for a model whose state dict leaves out what is trained.

        walled: whether vmap keeps examples apart, so that no operation may have a rule of its own for it. A model of
        known layers keeps nothing, so only its state dict is guarded.
        """
        self.model, self.walled, self.custom = model, walled, CustomRules()
        self.state = None if keeps_rows_apart(model) else _settled(model, inputs)
        state = model.state_dict()
        if not isinstance(state, Mapping):
            raise RecipeError(f"model: its state_dict returns {type(state).__name__}, not a dictionary.")
        self.first = OrderedDict((name, _apart(value)) for name, value in state.items())
        self.before: dict[int, Tensor] = {}
        if unsaved := [name for name, p in model.named_parameters() if p.requires_grad and name not in self.first]:
            raise RecipeError(
                f"model: its state_dict has no '{unsaved[0]}', which is trained, so that model.pt would not hold what "
                "was learnt. Let no hook rename or leave out parameters there."
            )

    def state_dict(self) -> dict[str, Any]:
        trained = {n: p for n, p in self.model.named_parameters(remove_duplicate=False) if p.requires_grad}
        return OrderedDict(
            (name, trained[name].detach() if name in trained else value) for name, value in self.first.items()
        )

    def __enter__(self) -> None:
        if self.state is not None:
            trained = (p for p in self.model.parameters() if p.requires_grad)
            self.before = {id(p): p.detach().clone() for p in trained}
            self.watching = ExitStack()
            self.watching.enter_context(self.custom.watched())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state is not None:
            self._look_for_changes(self.state, error)
        if error is None or isinstance(error, DpplanError) or out_of_memory(error):
            return
        if not isinstance(error, KeyboardInterrupt):
            # Its text may hold what the model saw; it is told to who asks for the traceback.
            raise TrainingStopped(RAISED.format(type(error).__name__)) from error

    def _look_for_changes(self, state: HiddenState, error: BaseException | None) -> None:
        """Raises TrainingStopped, and puts back what changed."""
        self.watching.close()
        changes = state.changes(drawing=not self.walled)
        for layer in self.model.modules():
            for name, p in layer.named_parameters(recurse=False):
                before = self.before.get(id(p))
                if before is not None and (outlived(p) or not _equal(p, before)):
                    setattr(layer, name, nn.Parameter(before))
                    changes.append(TRAINED)
        if changes:
            state.restore()
            # A name that was not there before may have been made of what the model saw.
            told = [name if name in state.held or name == TRAINED else NEW for name in changes]
            raise TrainingStopped(f"stopped: {kept(told)}") from error
        if self.walled and self.custom.used:
            raise TrainingStopped(
                f"stopped: {self.custom}. The model did not call it on trial; let it do so in float64 on the CPU, too."
            ) from error
        if self.custom.unseen:
            raise TrainingStopped(f"stopped: the model {forgetting(sorted(self.custom.unseen))}") from error


def _settled(model: nn.Module, inputs: Tensor) -> HiddenState:
    """The state of the model once it has computed what it computes only once, a mask say, from random inputs."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for _ in range(2):
            rows = inputs.new_zeros(3, *inputs.shape[1:])
            state = HiddenState(model)
            model(rows.normal_() if rows.is_floating_point() else rows)
    if changes := state.changes(drawing=False):
        state.restore()
        raise RecipeError(kept(changes))
    return state


def _equal(p: Tensor, before: Tensor) -> bool:
    return p.shape == before.shape and bool(((p == before) | ((p != p) & (before != before))).all())  # NaN is NaN here


def _apart(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
