"""Classes as numbers from 0, and what is said of marks that are none."""

from typing import Any

import numpy as np
import pytest

from dpplan.errors import UsageError
from dpplan.train.data.labels import named, numbered


def given(marks: Any, classes: int | None = None) -> tuple[list[int], int]:
    targets, count = numbered("f", np.asarray(marks), classes)
    assert targets.dtype == np.int64
    return targets.tolist(), count


def refusal(marks: Any, classes: int | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        given(marks, classes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("marks", "targets", "classes"),
    [
        ([0, 1, 2, 1, 0, 2], [0, 1, 2, 1, 0, 2], 3),
        (np.array([0, 1, 1, 0], np.uint8), [0, 1, 1, 0], 2),
        ([True, False, True, True], [1, 0, 1, 1], 2),
        ([1.0, 0.0, 0.0, 1.0], [1, 0, 0, 1], 2),  # whole numbers that went through a table of floats
        (["dog", "cat", "cat", "dog"], [1, 0, 0, 1], 2),
        ([b"dog", b"cat", b"cat", b"dog"], [1, 0, 0, 1], 2),
        (np.array(["dog", "cat", "cat", "dog"], object), [1, 0, 0, 1], 2),  # as pandas keeps text
        (["10", "9", "10", "9"], [1, 0, 1, 0], 2),  # by value, where all names are numbers
        (["10", "9", "x", "10", "9", "x"], [0, 1, 2, 0, 1, 2], 3),  # else by letters
        (["nan", "1", "nan", "1"], [1, 0, 1, 0], 2),
    ],
)
def test_classes_count_from_0(marks: Any, targets: list[int], classes: int) -> None:
    assert given(marks) == (targets, classes)


def test_classes_that_never_occur_are_counted_when_their_number_is_given() -> None:
    assert given([1, 2, 2, 1], 4) == ([1, 2, 2, 1], 4)
    assert given(["b", "a"], 3) == ([1, 0], 3)
    assert given([0, 0], 2) == ([0, 0], 2)


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([1, 2, 3, 1, 2, 3], "f: targets are 1, 2, 3, and not all of 0 to 2. Number the classes from 0,"),
        ([-1, 1, -1, 1], "f: targets are -1, 1, and not all of 0 to 1."),
        ([0, 2, 0, 2], "f: targets are 0, 2, and not all of 0 to 1."),
        ([0, 10**18, 0, 10**18], "f: targets are 0, 1000000000000000000, and not all of 0 to 1."),
        ([*range(1, 9)] * 2, "f: targets are 1, 2, 3, 4, 5 and 3 more, and not all of 0 to 7."),
        ([7, 7, 7], "f: every target is 7. A classifier needs at least two classes to tell apart."),
        (["cat"] * 3, "f: every target is 'cat'. A classifier needs at least two classes"),
        ([0, 1, 2], "f: 3 examples have 3 different targets (0, 1, 2), fewer than two for each."),
        (["1.5", "2.5", "3.5", "3.5"], "f: 4 examples have 3 different targets ('1.5', '2.5', '3.5'), fewer than two"),
        ([0.0, 0.5, 1.0], "f: targets[1] is 0.5, which is no class."),
        ([0.0, float("nan")], "f: targets[1] is nan, which is no class."),
        ([0.0, float("inf")], "f: targets[1] is inf, which is no class."),
        ([[1, 0], [0, 1]], "f: targets of shape (2, 2) are not one class for each example."),
        (["a", None], "f: targets hold None (NoneType), which marks no class. Whole numbers from 0 do, and names."),
        (np.array(["2020-01-01"], "M8[D]"), "f: targets of type datetime64[D] mark no classes."),
    ],
)
def test_marks_that_are_no_classes_are_refused(marks: Any, said: str) -> None:
    assert refusal(marks).startswith(said)


def test_marks_beyond_the_number_that_was_given_are_refused() -> None:
    assert refusal([0, 5, -1], 5) == "f: targets hold -1, 5; 5 classes are numbered 0 to 4."
    assert refusal(["a", "b", "c"], 2) == "f: targets have 3 names, which are more than 2 classes."


def test_names_have_the_same_number_in_every_order() -> None:
    first, second = (named("f", names)[0].tolist() for names in (["b", "a", "a", "b"], ["a", "b", "b", "a"]))
    assert first == [1 - number for number in second]
