"""`dataclass` for frozen classes, made in a third of the time: a start makes some 150, which took a quarter of it.

The standard library compiles six functions for a frozen class, each by itself, among them some that say in code what a
closure does as well. Here `__init__` alone is compiled, so that to make an object costs what it did. All else is
left to the standard library: fields, replace, asdict, copies and pickles take these classes for its own. So does mypy.

A class that this is not made for (not frozen, one that inherits from a dataclass, a field without init) goes to the
standard library as it is.
"""

import dataclasses
import operator
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "frozen_dataclass"]

Values = Callable[[Any], Any]
_LEFT_OUT: Any = object()  # stands for an argument whose default is made by a function
_KNOWN = frozenset({"frozen", "slots", "eq", "kw_only"})


def frozen_dataclass(cls: Any = None, /, **options: Any) -> Any:
    """As dataclasses.dataclass."""
    if cls is None:
        return lambda decorated: frozen_dataclass(decorated, **options)
    inherits = any(dataclasses.is_dataclass(base) for base in cls.__mro__[1:])
    without_init = any(isinstance(each, dataclasses.Field) and not each.init for each in vars(cls).values())
    if not options.get("frozen") or options.keys() - _KNOWN or inherits or without_init:
        return dataclasses.dataclass(cls, **options)
    slots, kw_only = options.get("slots", False), options.get("kw_only", False)
    made: Any = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
    _complete(made, dataclasses.fields(made), options)
    made.__dataclass_params__.frozen = True  # for classes that inherit from it
    return made


def _complete(cls: Any, fields: tuple["dataclasses.Field[Any]", ...], options: dict[str, Any]) -> None:
    """Gives a class what it does not define itself."""
    own, names = vars(cls), tuple(field.name for field in fields)
    if any(isinstance(each.type, dataclasses.InitVar) for each in cls.__dataclass_fields__.values()):
        raise TypeError(f"{cls.__qualname__}: InitVar is for the standard library's dataclass.")
    _refuse_changes(cls, frozenset(names))
    cls.__init__ = _init(cls, fields)
    if "__repr__" not in own:
        cls.__repr__ = _repr(tuple(field.name for field in fields if field.repr))
    if options.get("eq", True):
        hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]
        if own.get("__hash__") is None:
            cls.__hash__ = _hash(_values(hashed))
        if "__eq__" not in own:
            cls.__eq__ = _eq(_values(field.name for field in fields if field.compare))
    if options.get("slots") and "__getstate__" not in own:
        _keep_state(cls, names)


def _init(cls: Any, fields: tuple["dataclasses.Field[Any]", ...]) -> Any:
    known: dict[str, Any] = {"_set": object.__setattr__, "_left_out": _LEFT_OUT}
    parameters: dict[bool, list[str]] = {False: [], True: []}
    lines = []
    for field in fields:
        name, value, default = field.name, field.name, ""
        if field.default is not dataclasses.MISSING:
            known[f"_default_{name}"], default = field.default, f"=_default_{name}"
        elif field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"], default = field.default_factory, "=_left_out"
            value = f"_make_{name}() if {name} is _left_out else {name}"
        parameters[bool(field.kw_only)].append(f"{name}{default}")
        lines.append(f" _set(self, {name!r}, {value})\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    taken = ["self", *parameters[False], *(["*"] if parameters[True] else []), *parameters[True]]
    exec(f"def __init__({', '.join(taken)}):\n{''.join(lines) or ' pass'}", known)  # of names in the code alone
    made = known["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    made.__annotations__ = {**{field.name: field.type for field in fields}, "return": None}
    return made


def _refuse_changes(cls: Any, names: frozenset[str]) -> None:
    def __setattr__(self: Any, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = __setattr__, __delattr__


def _values(names: Iterable[str]) -> Values:
    """What tells two objects apart: always a tuple, which asks first whether two values are the same object."""
    known = tuple(names)
    if len(known) > 1:
        return operator.attrgetter(*known)
    return lambda value: tuple(getattr(value, name) for name in known)


def _repr(names: tuple[str, ...]) -> Any:
    def __repr__(self: Any) -> str:
        said = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({said})"

    return __repr__


def _eq(values: Values) -> Any:
    def __eq__(self: Any, other: object) -> Any:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    return __eq__


def _hash(values: Values) -> Any:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _keep_state(cls: Any, names: tuple[str, ...]) -> None:
    """Pickles and copies of a frozen class with slots."""

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    cls.__getstate__, cls.__setstate__ = __getstate__, __setstate__


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = frozen_dataclass
