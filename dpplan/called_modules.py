"""What a module tells that is called like a function: `dpplan.solve(...)` has no one answer, `solve.noise` has."""

import sys
from types import ModuleType
from typing import NoReturn

_INSTEAD: dict[str, str] = {}  # name of a module -> what to write in place of a call of it


class CalledModule(ModuleType):
    """A module whose call says which function of it to call."""

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Raises TypeError, as the call of any module does, with a line that can be pasted."""
        raise TypeError(f"{self.__name__} is a module. {_INSTEAD[self.__name__]}`dpplan help python` shows more.")


def when_called(module: str, instead: str) -> None:
    """Lets the call of a module that is being imported end with these sentences."""
    _INSTEAD[module] = instead
    sys.modules[module].__class__ = CalledModule
