"""The least value of a convex function of which intervals are known, from both sides: chords, extended, lie below it.

Between two places a convex function lies above the chords on either side of them, extended; where two such meet is the
least that is still possible there, and where to look next (Rote 1992, "The convergence rate of the sandwich
algorithm"). A corner is met at once, which a parabola through three places circles for long.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dpplan.accounting.numerics import Array

SMALL = 4e-15  # relative, of a chord's ends and of what is extended: a few roundings


class Sample(NamedTuple):
    """lower <= F(at) <= upper."""

    at: float
    lower: float
    upper: float


class Least(NamedTuple):
    """lower <= the least of F over all a > 0 <= upper, which is an upper end of F(at)."""

    lower: float
    upper: float
    at: float


def least(samples: Sequence[Sample], value: Callable[[float], Sample], enough: float, rounds: int) -> Least:
    """samples: three or more, by ascending places, all positive. enough: the relative width that will do.

    Guarantee: `lower` and `upper` hold for every convex F that lies in all the intervals, however few the rounds.
    """
    known = list(samples)
    lower, place = _possible(known)
    for _ in range(rounds):
        best = min(sample.upper for sample in known)
        if best - lower <= enough * best or any(math.isclose(place, each.at, rel_tol=1e-15) for each in known):
            break
        bisect.insort(known, value(place))
        lower, place = _possible(known)
    best_sample = min(known, key=lambda sample: sample.upper)
    return Least(lower, best_sample.upper, best_sample.at)


def _possible(known: Sequence[Sample]) -> tuple[float, float]:
    """(the least that F can still be, where)."""
    at, lower, upper = np.array(known).T
    lower = _raised(at, lower, upper)
    ahead, behind = _slopes(at, lower, upper)
    # Left of the first place a > 0 ends it; right of the last nothing is known, unless F rises there.
    found = [(float(_extended(lower[0], -max(behind[0], 0.0) * at[0])), float(at[0]))]
    found.append((float(lower[-1]) if ahead[-1] >= 0.0 else -math.inf, float(at[-1])))
    meets, way = _meet(lower[:-1], ahead[:-1], lower[1:], behind[1:], np.diff(at))
    lowest = int(np.argmin(meets))
    found.append((float(meets[lowest]), float(at[lowest] + way[lowest])))
    return min(found)


def _slopes(at: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The least slope with which F goes on to the right of each place, and the largest with which it came there:
    by whichever earlier or later place is known best."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = (lower[:, None] - upper) / (at[:, None] - at)
    earlier = np.tri(len(at), k=-1, dtype=bool)
    ahead = np.max(np.where(earlier, slopes, -np.inf), axis=1)
    return ahead, np.min(np.where(earlier.T, slopes, np.inf), axis=1)


def _raised(at: Array, lower: Array, upper: Array) -> Array:
    """Lower ends of places that are known badly, by the lines through the others."""
    ahead, behind = _slopes(at, lower, upper)
    away = at - at[:, None]  # from each place, a row, to every other
    with np.errstate(invalid="ignore"):
        lines = np.where(away > 0.0, ahead[:, None] * away, behind[:, None] * away)
    found = _extended(lower[:, None], np.where(np.isnan(lines), 0.0, lines))
    return np.maximum(lower, np.max(found, axis=0))


def _extended(start: Array, change: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(change), -np.inf, start + change - SMALL * (np.abs(start) + np.abs(change)))


def _meet(left: Array, ahead: Array, right: Array, behind: Array, width: Array) -> tuple[Array, Array]:
    """(the least of the larger of two lines, how far from the left) on each stretch: from its left end with the slope
    `ahead`, and from its right end with the slope `behind`."""
    ahead, behind = np.minimum(ahead, 0.0), np.maximum(behind, 0.0)  # one that rises from an end is least at the end
    with np.errstate(invalid="ignore", divide="ignore"):
        way = (right - left - behind * width) / (ahead - behind)
        met = np.clip(np.where(np.isfinite(way), way, np.where(np.isinf(ahead), 0.0, width)), 0.0, width)
        first, second = ahead * met, -behind * (width - met)
    first, second = (np.where(np.isnan(each), -np.inf, each) for each in (first, second))
    one_line = np.isinf(ahead) | np.isinf(behind)  # at the far end, which is known already: look halfway
    return np.maximum(_extended(left, first), _extended(right, second)), np.where(one_line, 0.5 * width, met)
