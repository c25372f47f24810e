"""How far one record can move C·x, by the steps it takes part in: the sensitivity of correlated noise.

With clipped vectors u_i at the steps i of a pattern, ‖Σ C_i u_i‖² = Σ (CᵀC)_ij·<u_i, u_j>, at most Σ |(CᵀC)_ij|, which
is reached by equal u_i where no entry of CᵀC on the pattern is negative (Choquette-Choo et al. 2023, arXiv:2211.06530).
The run is then one Gaussian release: noise σ on a vector that moves by the sensitivity, however each gradient was
chosen by what was released before (Denisov et al. 2022, arXiv:2202.08312).

Patterns have at most k steps, any two at least b apart.
"""

import math
import sys
from dataclasses import replace

import numpy as np

from dpplan.accounting.numerics import Array, outward
from dpplan.errors import NotApplicable
from dpplan.quick_dataclass import dataclass

Column = Array | tuple[float, ...]  # the first of a strategy
MOST_NUMBERS = 4_000_000  # in memory at once
TOGETHER = 65_536  # numbers that are objects at once
LONGEST = 50_000_000  # steps that are looked at one by one
MOST_TRIED, MOST_STARTS = 256, 24  # rows of C in which patterns are tried where none is known to be the worst
MOST_CANCELLED = 1e3  # times the sum are the sizes of what is added to it: then it is known to 1e-11
# A strategy whose largest entry is between these is squared as it is: what underflows is nothing beside that one's.
SMALLEST, LARGEST = 2.0**-400, 2.0**400


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """squared: of the largest pattern. exact: whether some record reaches it; else it is a bound from above.
    exponent: squared is that of C/2^exponent, where the squares of C itself are beyond floats. reached: at most what
    some pattern reaches, in the same unit, where it is not exact; 0 where none was looked at."""

    squared: float
    exact: bool
    exponent: int = 0
    reached: float = 0.0


def scaled(entries: Array) -> tuple[Array, int]:
    """The entries over a power of two, without rounding, and its exponent: 0 where their squares are within floats.

    An entry that underflows here is nothing beside the largest.
    """
    largest = float(np.max(np.abs(entries)))
    if SMALLEST <= largest <= LARGEST or largest == 0.0:
        return entries, 0
    exponent = math.frexp(largest)[1]
    return np.ldexp(entries, -exponent), exponent


def square_root_coefficients(count: int) -> tuple[float, ...]:
    """The first of 1, 1/2, 3/8, ...: binomial(2j, j)/4^j, each to the nearest float, by whole numbers over 2^256: what
    a hundred thousand divisions round away is of them 2^-230 at most."""
    one = 1 << 256
    found, now = [1.0], one
    for j in range(1, count):
        now = now * (2 * j - 1) // (2 * j)
        found.append(now / one)
    return tuple(found)


def buffered_coefficients(decays: tuple[float, ...], scales: tuple[float, ...], count: int) -> Array:
    """The first of 1 and then Σ scales·decays^(j - 1).

    Raises NotApplicable where scales of different signs cancel so far that floats lose digits that are claimed.
    """
    powers = np.array(decays)[np.newaxis, :] ** np.arange(count - 1, dtype=np.float64)[:, np.newaxis]
    found = np.concatenate(([1.0], powers @ np.array(scales)))
    if min(scales) < 0.0 and _size(powers @ np.abs(scales)) > MOST_CANCELLED * _size(found):
        raise NotApplicable(
            f"blt: scales={list(scales)} cancel all but one part in {MOST_CANCELLED:g} or less, and floats lose the "
            "digits. Say the same with fewer buffers"
        )
    return found


def buffered_length(decays: tuple[float, ...], scales: tuple[float, ...], steps: int) -> int:
    """How many of these matter in so many steps: what the others move a sum by, over 1, of which it moves at least, is
    below 2^-80, in whichever steps a record is."""
    slowest, sizes = max(decays), math.fsum(abs(each) for each in scales)
    if slowest == 0.0 or sizes == 0.0:
        return min(steps, 2)
    least = -80.0 * math.log(2.0) + 0.5 * math.log1p(-(slowest**2)) - math.log(steps) - math.log(sizes)
    return min(steps, 2 + max(0, math.ceil(least / math.log(slowest))))


def _size(entries: Array) -> float:
    """The norm, also where the squares are beyond floats."""
    if not len(entries):
        return 0.0
    kept, exponent = scaled(entries)
    return float(np.ldexp(np.linalg.norm(kept), exponent))


def toeplitz(coefficients: Column, steps: int, participations: int, separation: int) -> Sensitivity:
    """Of the lower triangular Toeplitz matrix with this first column, zeros after it.

    Where bands are no wider than the separation, the columns of a pattern have no row in common, and the first columns
    are the longest: exact. Where the coefficients fall and none is negative, the pattern of steps 1, 1 + b, 1 + 2b, ...
    is the worst: exact (Kalinin, Lampert 2024, arXiv:2405.13763, Thm 2). For the entry of CᵀC at steps i <= j of n is
    Σ c_s·c_(s + j - i) over s <= n - j, which falls in j and in j - i; and the m-th step of a pattern is no earlier
    than in that one, its steps no nearer. Else their falling majorant, the largest |c_l| from l = j on, has no smaller
    entry of CᵀC anywhere, and bounds it.
    """
    given = np.asarray(coefficients[:steps])
    column, exponent = scaled(np.abs(given))
    count = min(participations, -(-steps // separation))
    if len(column) <= separation or count == 1:
        last = column[: steps - (count - 1) * separation]  # the run may end before it does
        return Sensitivity((count - 1) * float(np.sum(column**2)) + float(np.sum(last**2)), True, exponent)
    # From where all columns overlap that can, up to the last one, rows are the same in every `separation` of them.
    alike = max(0, count + (-len(column) // separation))
    inside, kept = count - alike, steps - alike * separation
    rows = min(kept, (inside - 1) * separation + len(column))
    if rows > LONGEST:
        raise NotApplicable(f"toeplitz: {rows} steps that share noise are too many to add up")
    falling = np.maximum.accumulate(column[::-1])[::-1]
    exact = bool(np.all(falling == column) and np.all(given >= 0.0))
    total = _rows(falling, max(rows, inside * separation) if alike else rows, inside, separation)
    squared = _sum_of_squares(total[:rows])
    if alike:
        squared += alike * _sum_of_squares(total[(inside - 1) * separation : inside * separation])
    found = Sensitivity(squared, exact, exponent)
    if exact:
        return found
    tried = min(steps, MOST_TRIED)
    signed = np.ldexp(given[:tried], -exponent)
    block = np.zeros((tried, tried))
    for below, entry in enumerate(signed.tolist()):
        block[np.arange(below, tried), np.arange(tried - below)] = entry
    return replace(found, reached=reached(block, count, separation))


def _rows(falling: Array, steps: int, count: int, separation: int) -> Array:
    """[row] of the sum of so many columns so far apart: of twice as many the sum and itself further down, so that no
    row of millions, none of them negative, is off by more roundings than their number has binary digits, twice."""
    total, many = np.zeros(steps), 1
    total[: len(falling)] = falling[:steps]
    for bit in format(count, "b")[1:]:
        begin = many * separation
        total[begin:] += total[: steps - begin].copy()
        many *= 2
        if bit == "1":
            kept = falling[: steps - many * separation]
            total[many * separation : many * separation + len(kept)] += kept
            many += 1
    return total


def reached(block: Array, count: int, separation: int) -> float:
    """At most what some pattern of at most `count` columns, any two so far apart, moves the sum by, squared: of equal
    vectors, in the rows of this block, the first of C. What it looks at are patterns that grow step by step from each
    of the first steps, by whichever column adds most, and those of equal distances."""
    gram, most = block.T @ block, 0.0
    columns = len(block)
    for first in range(min(columns, MOST_STARTS)):
        most = max(most, _moved(block, _grown(gram, first, count, separation)))
    for apart in range(separation, min(columns, separation + MOST_STARTS)):
        most = max(most, _moved(block, list(range(0, columns, apart))[:count]))
    return most


def _grown(gram: Array, first: int, count: int, separation: int) -> list[int]:
    places, chosen = np.arange(len(gram)), [first]
    gain = np.where(np.abs(places - first) < separation, -np.inf, np.diagonal(gram) + 2.0 * gram[first])
    while len(chosen) < count and gain.max() > 0.0:
        at = int(np.argmax(gain))
        chosen.append(at)
        gain = np.where(np.abs(places - at) < separation, -np.inf, gain + 2.0 * gram[at])
    return chosen


def _moved(block: Array, pattern: list[int]) -> float:
    """The square of the norm of these columns together, less what rounding may have added."""
    kept = block[:, pattern]
    sizes = np.sum(np.abs(kept), axis=1)
    whole = _sum_of_squares(np.sum(kept, axis=1)) - 8 * outward.UNIT * len(pattern) * _sum_of_squares(sizes)
    return max(outward.down(whole, outward.SERIES), 0.0)


def _sum_of_squares(values: Array) -> float:
    """To the nearest float, some at a time: as objects of Python they would take five times the memory."""
    pieces = (values[at : at + TOGETHER] for at in range(0, len(values), TOGETHER))
    return math.fsum(each for piece in pieces for each in (piece * piece).tolist())


def longest_column(coefficients: Column) -> Sensitivity:
    """Of a whole column, which is the longest."""
    column, exponent = scaled(np.asarray(coefficients))
    return Sensitivity(_sum_of_squares(column), True, exponent)


def noise_over(noise_multiplier: float, sensitivity: Sensitivity, reach: float) -> float:
    """The noise over how far the record moves what it is added to; rounded down where that is a bound already.

    Raises NotApplicable where its square is no normal float.
    """
    mantissa, exponent = math.frexp(noise_multiplier)
    over = math.frexp(mantissa / (reach * math.sqrt(sensitivity.squared)))
    power = over[1] + exponent - sensitivity.exponent
    if not sys.float_info.min_exp < 2 * power < sys.float_info.max_exp:
        raise NotApplicable(
            f"noise_multiplier={noise_multiplier:g} over how far a record moves C·x is about 2^{power}, whose square "
            "is beyond floats"
        )
    ratio = math.ldexp(over[0], power)
    return ratio if sensitivity.exact else outward.down(ratio, outward.SERIES)


def noise_over_reached(noise_multiplier: float, sensitivity: Sensitivity, reach: float) -> float | None:
    """The same over a pattern that some record may have, rounded up; None where none was found, or no float says it."""
    if sensitivity.reached <= 0.0:
        return None
    try:
        least = noise_over(noise_multiplier, replace(sensitivity, squared=sensitivity.reached, exact=True), reach)
    except NotApplicable:
        return None
    return outward.up(least, outward.SERIES)
