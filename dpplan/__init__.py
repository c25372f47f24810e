"""dpplan: plan, account for and check training with differential privacy.

    import dpplan

    dpplan.epsilon(sigma=1.1, n=60000, batch=256, epochs=60)       # what a run costs, as a Bound
    dpplan.delta(eps=3, sigma=1.1, n=60000, batch=256, epochs=60)

`epsilon` and `delta` take the words of the command line. The other public names are modules: `plan`, `accounting`,
`solve`, `frontier`, `curve`, `compare`, `check`, `risk`, `audit`, `verify`, `report`, `export`, `recipe` and (with the
train extra) `train` and `tune`. Importing the package loads none of them; each is loaded when it is first used, so that
asking for an epsilon never pays for a trainer.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpplan.cost import delta, epsilon

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "accounting",
    "audit",
    "check",
    "compare",
    "curve",
    "delta",
    "epsilon",
    "errors",
    "export",
    "frontier",
    "mechanism",
    "plan",
    "recipe",
    "report",
    "risk",
    "sampling",
    "solve",
    "train",
    "tune",
    "verify",
]
_FUNCTIONS = ("delta", "epsilon")
_MODULES = {"check": "lint", "export": "interop", "tune": "tuning"}  # of commands, where those are called otherwise


def __getattr__(name: str) -> Any:
    """A module, or a function of `cost`, when it is first asked for."""
    if name in _FUNCTIONS:
        return getattr(importlib.import_module("dpplan.cost"), name)
    if name in __all__:
        return importlib.import_module(f"dpplan.{_MODULES.get(name, name)}")
    raise AttributeError(f"module 'dpplan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
