"""Where a predicate turns from false to true: the one bisection, whose ends say on which side each was seen."""

from collections.abc import Callable
from typing import NamedTuple

MOST_HALVINGS = 2200  # any two doubles are neighbours after 2100: the range of exponents, then 53 digits


class Turn(NamedTuple):
    """Where a predicate was seen to turn. false: the last place where it was false; true: the first where it held."""

    false: float
    true: float


def first_true(
    holds: Callable[[float], bool],
    false: float,
    true: float,
    *,
    absolute: float = 0.0,
    relative: float = 0.0,
    most: int = MOST_HALVINGS,
) -> Turn:
    """The turn of `holds` between an end where it is false and one where it is true, which may be the lower one.

    The two ends are taken at the caller's word, and not asked for. Of the result each end is that or was seen: so one
    of them is the safe side whatever `holds` does in between; only where it turns once is it the turn. It stops where
    the ends are neighbouring doubles, or no further apart than `absolute` or `relative` times the `false` end, or after
    `most` questions.
    """
    for _ in range(most):
        middle = (false + true) / 2
        near = abs(true - false) <= max(absolute, relative * abs(false))
        if near or not min(false, true) < middle < max(false, true):
            break
        if holds(middle):
            true = middle
        else:
            false = middle
    return Turn(false, true)


def first_true_whole(holds: Callable[[int], bool], false: int, true: int) -> int:
    """The same for whole numbers, false < true: the first that holds, next to one that does not (or was given)."""
    while true - false > 1:
        middle = (false + true) // 2
        if holds(middle):
            true = middle
        else:
            false = middle
    return true
