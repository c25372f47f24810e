"""Classes as numbers from 0, from whatever marks them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import UsageError
from dpplan.train.data.examples import Targets

SHOWN = 5  # values in a sentence
_MARKS = "Whole numbers from 0 do, and names."
Marks = NDArray[Any]


def numbered(where: str, marks: Marks, classes: int | None = None) -> tuple[Targets, int]:
    """Each example's class, counted from 0, and the number of classes.

    Whole numbers stay what they are, names become their place in sorted order. Both the names and their number are
    read from all examples and taken for public; `classes` says instead how many there are. Raises UsageError for marks
    that are no classes, leave numbers out, or leave nothing to learn.
    """
    if marks.ndim != 1:
        raise UsageError(
            f"{where}: targets of shape {marks.shape} are not one class for each example. "
            "If each row has a 1 at its class, save targets.argmax(1)."
        )
    if marks.dtype.kind in "OSU":
        return named(where, _names(where, marks), classes)
    if marks.dtype.kind == "f":
        marks = _whole(where, marks)
    elif marks.dtype.kind not in "biu":
        raise UsageError(f"{where}: targets of type {marks.dtype} mark no classes. {_MARKS}")
    present = [int(value) for value in np.unique(marks)]
    if classes is None:
        _worth_learning(where, present, len(marks))
        _without_gaps(where, present)
    elif present and not (present[0] >= 0 and present[-1] < classes):
        wrong = [value for value in present if not 0 <= value < classes]
        raise UsageError(f"{where}: targets hold {listed(wrong)}; {classes} classes are numbered 0 to {classes - 1}.")
    return marks.astype(np.int64), len(present) if classes is None else classes


def named(where: str, names: Sequence[str], classes: int | None = None) -> tuple[Targets, int]:
    """Names as their place in sorted order; sorted by value where all of them are numbers."""
    present = sorted(set(names), key=_order(names))
    if classes is None:
        _worth_learning(where, [repr(name) for name in present], len(names))
    elif len(present) > classes:
        raise UsageError(f"{where}: targets have {len(present)} names, which are more than {classes} classes.")
    place = {name: number for number, name in enumerate(present)}
    targets = np.fromiter((place[name] for name in names), np.int64, len(names))
    return targets, len(present) if classes is None else classes


def listed(values: Sequence[object]) -> str:
    """The first few, and how many more."""
    first = ", ".join(str(value) for value in values[:SHOWN])
    return first if len(values) <= SHOWN else f"{first} and {len(values) - SHOWN} more"


def _worth_learning(where: str, present: Sequence[object], examples: int) -> None:
    if examples and len(present) == 1:
        raise UsageError(
            f"{where}: every target is {present[0]}. A classifier needs at least two classes to tell apart."
        )
    if 2 * len(present) > examples > 0:
        raise UsageError(
            f"{where}: {examples} examples have {len(present)} different targets ({listed(present)}), fewer than two "
            "for each. These look like measurements or names of rows; dpplan learns classes."
        )


def _without_gaps(where: str, present: Sequence[int]) -> None:
    if present and (present[0], present[-1]) != (0, len(present) - 1):
        raise UsageError(
            f"{where}: targets are {listed(present)}, and not all of 0 to {len(present) - 1}. Number the classes from "
            "0, give them as names, or, if some never occur, say how many there are: `classes`."
        )


def _names(where: str, marks: Marks) -> list[str]:
    names = [mark.decode("latin-1") if isinstance(mark, bytes) else mark for mark in marks.tolist()]
    for name in names:
        if not isinstance(name, str):
            raise UsageError(f"{where}: targets hold {name!r} ({type(name).__name__}), which marks no class. {_MARKS}")
    return names


def _whole(where: str, marks: Marks) -> Marks:
    """Floats that stand for whole numbers, as those. Labels that went through a table of floats look so."""
    with np.errstate(invalid="ignore"):
        whole = marks.astype(np.int64)
    wrong = np.flatnonzero(whole != marks)
    if len(wrong):
        raise UsageError(
            f"{where}: targets[{wrong[0]}] is {marks[wrong[0]]}, which is no class. dpplan learns classes: give whole "
            "numbers from 0, or names."
        )
    return whole


def _order(names: Iterable[str]) -> Any:
    try:
        values = {name: float(name) for name in set(names)}
    except ValueError:
        return None
    return (lambda name: (values[name], name)) if all(map(np.isfinite, values.values())) else None
