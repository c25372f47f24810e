"""A quick dataclass is told from one of the standard library by nothing but the time it takes to make it."""

import copy
import dataclasses
import inspect
import math
import pickle
from functools import cached_property
from typing import Any, ClassVar

import pytest

from dpplan.quick_dataclass import dataclass, frozen_dataclass


class Point:
    """A place."""

    x: float
    name: str = "none"
    seen: list[int] = dataclasses.field(default_factory=list, compare=False)
    secret: int = dataclasses.field(default=3, repr=False)
    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", float(self.x))


class Named:
    """With words, a comparison and a hash of its own."""

    word: str

    def __repr__(self) -> str:
        return f"<{self.word}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.word.lower() == other.word.lower()

    def __hash__(self) -> int:
        return hash(self.word.lower())


class Empty:
    """Nothing."""


OPTIONS = ({}, {"slots": True}, {"eq": False}, {"slots": True, "kw_only": True})


def _made(made: Any, kind: type, options: dict[str, Any]) -> Any:
    return made(frozen=True, **options)(type(kind.__name__, (), {**vars(kind), "__qualname__": kind.__qualname__}))


def _outcome(ask: Any) -> Any:
    try:
        return ask()
    except Exception as error:
        return type(error), str(error)


QUESTIONS = {
    "repr": lambda made: repr(made(x=1)),
    "defaults": lambda made: (made(x=1).name, made(x=1).seen, made(x=1).secret, made(x=1).x, made.kind),
    "own default": lambda made: made(x=1).seen is made(x=1).seen,
    "positions": lambda made: repr(made(1, "a", [2], 4)),
    "too few": lambda made: made(),
    "too many": lambda made: made(1, "a", [2], 4, 5),
    "unknown": lambda made: made(x=1, y=2),
    "equal": lambda made: (made(x=1) == made(x=1.0), made(x=1) == made(x=2), made(x=1) == 1, made(x=1) != made(x=1)),
    "equal but for what is not compared": lambda made: made(x=1, seen=[1]) == made(x=1, seen=[2]),
    "the same NaN": lambda made: made(x=math.nan) == made(x=math.nan),
    "hash": lambda made: len({hash(each) for each in [made(x=1), made(x=1.0)]}),  # both alive: ids differ
    "in a set": lambda made: len({made(x=1), made(x=1), made(x=2)}),
    "set": lambda made: setattr(made(x=1), "x", 2),
    # The standard library's own refusal fails with a TypeError where there are slots.
    "set another": lambda made: _outcome(lambda: setattr(made(x=1), "other", 2)) is not None,
    "delete": lambda made: delattr(made(x=1), "x"),
    "replace": lambda made: repr(dataclasses.replace(made(x=1), name="b")),
    "fields": lambda made: [(each.name, each.default, each.compare) for each in dataclasses.fields(made)],
    "asdict": lambda made: dataclasses.asdict(made(x=1)),
    "is one": dataclasses.is_dataclass,
    "match": lambda made: made.__match_args__,
    "parameters": lambda made: [(n, str(p.annotation)) for n, p in inspect.signature(made).parameters.items()],
    "signature": lambda made: [p.kind for p in inspect.signature(made).parameters.values()],
    "doc": lambda made: made.__doc__,
    "copy": lambda made: repr(copy.deepcopy(copy.copy(made(x=1)))),
    "dict": lambda made: hasattr(made(x=1), "__dict__"),
    "frozen": lambda made: made.__dataclass_params__.frozen,
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("question", QUESTIONS)
def test_it_answers_as_the_standard_librarys_does(question, options):
    ours, theirs = (_made(made, Point, options) for made in (frozen_dataclass, dataclasses.dataclass))
    assert _outcome(lambda: QUESTIONS[question](ours)) == _outcome(lambda: QUESTIONS[question](theirs))


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
def test_what_a_class_defines_itself_is_left(options):
    ours, theirs = (_made(made, Named, options) for made in (frozen_dataclass, dataclasses.dataclass))
    for made in (ours, theirs):
        assert repr(made(word="A")) == "<A>"
        assert made(word="A") == made(word="a")
        assert len({made(word="A"), made(word="a")}) == 1


def test_a_class_without_fields():
    made = _made(frozen_dataclass, Empty, {"slots": True})
    assert made() == made()
    assert hash(made()) == hash(())
    assert repr(made()) == "Empty()"


@dataclass(frozen=True, slots=True)
class Pickled:
    x: float
    y: tuple[int, ...] = ()


@dataclass(frozen=True)
class Square:
    side: float

    @cached_property
    def area(self) -> float:
        return self.side**2


@dataclass(frozen=True)
class Coloured(Square):
    colour: str = "red"


class Painted(Square):
    """No dataclass itself: what it adds may change."""

    def __init__(self, side: float) -> None:
        super().__init__(side)
        self.paint = "wet"


def test_pickles_and_cached_properties():
    assert pickle.loads(pickle.dumps(Pickled(1.0, (2,)))) == Pickled(1.0, (2,))
    assert Square(3.0).area == 9.0


def test_classes_may_inherit():
    assert repr(Coloured(2.0)) == "Coloured(side=2.0, colour='red')"
    assert Coloured(2.0) != Square(2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Coloured(2.0).colour = "blue"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Painted(2.0).side = 3.0  # type: ignore[misc]
    assert Painted(2.0).paint == "wet"


def test_what_it_is_not_made_for_goes_to_the_standard_library():
    @dataclass(slots=True)
    class Changing:
        x: int = 0

    changing = Changing()
    changing.x = 5
    assert changing == Changing(5)

    @dataclass(frozen=True)
    class Counted:
        x: int
        twice: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", 2 * self.x)

    assert repr(Counted(2)).endswith("Counted(x=2, twice=4)")
    with pytest.raises(TypeError, match="InitVar"):

        @dataclass(frozen=True)
        class Hidden:
            x: dataclasses.InitVar[int]
