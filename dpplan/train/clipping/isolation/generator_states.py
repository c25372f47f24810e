"""Where every random generator stands from which a model may draw, so that it can draw the same numbers once more.

before = GeneratorStates(device)
... the model runs ...
with before.once_more(): ...    # it draws what it drew; afterwards all go on as if this had not been

Those that are everybody's: of Python, of numpy, and of torch on the CPU and on the device. What is drawn from a
generator of the model's own, or from the operating system's entropy, is not had again; a model that does so is refused
or stopped for other reasons before (see `Trial`, `tried`).
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

Settings = list[tuple[Callable[[Any], Any], Any]]  # what puts a state back, and the state


class GeneratorStates:
    """Of all generators, as they are now."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.settings = self._now()

    @contextmanager
    def once_more(self) -> Iterator[None]:
        """Inside, they start from where they were; afterwards they are where they were before the block."""
        after = self._now()
        _put(self.settings)
        try:
            yield
        finally:
            _put(after)

    def _now(self) -> Settings:
        found: Settings = [
            (random.setstate, random.getstate()),
            (np.random.set_state, np.random.get_state()),
            (torch.set_rng_state, torch.get_rng_state()),
        ]
        if self.device.type == "cuda":
            of_device = torch.cuda.default_generators[self.device.index or 0]
            found.append((of_device.set_state, of_device.get_state()))
        elif self.device.type == "mps":
            found.append((torch.mps.set_rng_state, torch.mps.get_rng_state()))
        return found


def _put(settings: Settings) -> None:
    for put, state in settings:
        put(state)
