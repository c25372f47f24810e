"""dpplan: plan, account for and check training with differential privacy.

The public modules are `plan`, `accounting`, `solve`, `compare`, `recipe` and (with the train extra) `train`.
Importing the package loads none of them; each is loaded when it is first used, so that asking for an
epsilon never pays for a trainer.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "accounting",
    "compare",
    "curve",
    "mechanism",
    "plan",
    "recipe",
    "sampling",
    "solve",
    "train",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"dpplan.{name}")
    raise AttributeError(f"module 'dpplan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
