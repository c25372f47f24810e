"""What of a model may be written down: the parameters that noisy steps have made, and all else as it was before them.

    guard = Guard(model, known)     # before the model meets the first example
    with guard: ...                 # a step's clipped sum; TrainingStopped when it left anything behind in the model
    guard.state_dict()              # for model.pt and the checkpoint
"""

import copy
from collections import OrderedDict
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import TrainingStopped
from dpplan.train.clipping.state import State
from dpplan.train.clipping.trial import kept


class Guard:
    """Watches a model for what it keeps of the examples it has seen.

    Guarantee: `state_dict` holds the parameters that are trained, as they are, and every other entry as it was when
    the guard was made; entries that came later are not in it. Inside `with`, nothing else may change, parameters
    included: what does is put back, and TrainingStopped is raised before anything of the step is released.
    """

    def __init__(self, model: nn.Module, thorough: bool) -> None:
        self.model, self.thorough = model, thorough
        self.state = State(model) if thorough else None
        self.first = OrderedDict((name, _apart(value)) for name, value in model.state_dict().items())
        self.before: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        trained = {n: p for n, p in self.model.named_parameters(remove_duplicate=False) if p.requires_grad}
        return OrderedDict(
            (name, trained[name].detach() if name in trained else value) for name, value in self.first.items()
        )

    def __enter__(self) -> None:
        if self.thorough:
            self.before = [p.detach().clone() for p in self._trained()]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state is None:
            return
        changes = self.state.changes()
        with torch.no_grad():
            for p, before in zip(self._trained(), self.before, strict=True):
                if not torch.equal(torch.nan_to_num(p), torch.nan_to_num(before)):
                    p.copy_(before)
                    changes.append("parameters that are trained")
        if changes:
            self.state.restore()
            raise TrainingStopped(f"stopped: {kept(list(dict.fromkeys(changes)))}") from error

    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad]


def _apart(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
