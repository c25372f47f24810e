"""How far one record can move the sums of a tree, by the steps it takes part in: the sum over the complete blocks of
2^j steps of (how many of them it is in)², the largest over patterns of at most k steps, any two at least b apart.

A run whose length is no power of two begins with the largest block, and a smaller tree follows: blocks of 2^j steps lie
side by side from the first step on, as many as are whole.

Steps that follow each other (b = 1): the first k. With so many steps in all, a sum of squares is the largest where as
many blocks as can be are full, and one holds the rest; of these that is so in every size of a block at once.

A multiple of 2^t apart: as in a tree of 2^t steps in one. A block of fewer steps has one of a pattern at most, so that
each of these is in t of them; of larger blocks no more is asked than in which 2^t steps it is, and these are b/2^t
apart. The first step of each shows that all such patterns are there. What is left at the end has one step at most.

Else by dynamic programming from block to block, over how many steps of a pattern are in it and how far its first and
its last are from its ends. That takes b³ for each two numbers of steps: where it is too long, b is made smaller, to the
next m·2^t with an m that is not, and every pattern that is b apart is that far apart too: from above. A pattern with
the next larger such distance is one that some record may have.
"""

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from dpplan.accounting.pairs.participation_sensitivity import LONGEST, MOST_NUMBERS, Sensitivity

Whole = npt.NDArray[np.signedinteger[Any]]
MOST_WORK = 3e9  # sums of two blocks, about a second at most
MOST_LAID = 100_000  # steps of one pattern that are laid one by one


@functools.lru_cache(64)
def tree(steps: int, participations: int, separation: int) -> Sensitivity:
    """The largest over patterns. Where that takes more than MOST_WORK, a bound from above.

    It falls with no larger k, and rises with no larger b: a larger k makes `most` no larger, a larger b makes it no
    smaller, and so it is with the distance in b's place, since all that were held to stay so.
    """
    count = min(participations, -(-steps // separation))
    largest = 1 << (steps.bit_length() - 1)
    if count == 1:
        return Sensitivity(float(largest.bit_length()), exact=True)
    small = 1 << (min(separation, largest).bit_length() - 1)  # in a block of so many steps a pattern has one at most
    levels = (largest // small).bit_length()
    most = max(1, int((MOST_WORK / (float(count) ** 2 * levels)) ** (1 / 3)))
    below, above = _neighbours(separation, most)
    found = _worst(steps, count, below)
    if below == separation:
        return Sensitivity(float(found), exact=True)
    found = min(found, _by_levels(steps, count, separation))
    reached = _worst(steps, min(count, -(-steps // above)), above)
    reached = max(reached, _laid(steps, count, separation))
    return Sensitivity(float(found), exact=found == reached, reached=float(reached))


def _neighbours(apart: int, most: int) -> tuple[int, int]:
    """The largest m·2^t with m <= most that is at most `apart`, and (m + 1)·2^t; `apart` twice where it is one."""
    odd = apart >> _twos(apart)
    if odd <= most:
        return apart, apart
    shift = 0
    while apart >> shift > most:
        shift += 1
    return apart >> shift << shift, (apart >> shift) + 1 << shift


def _twos(number: int) -> int:
    """How often it can be halved."""
    return (number & -number).bit_length() - 1


def _by_levels(steps: int, count: int, apart: int) -> int:
    """The most of each size of a block by itself: as many full blocks as there can be, and one with the rest."""
    total = 0
    for level in range(steps.bit_length()):
        most = -(-(1 << level) // apart)
        full, rest = divmod(count, most)
        total += full * most**2 + rest**2
    return total


def _laid(steps: int, count: int, apart: int) -> int:
    """Of the first of so many steps so far apart, where they are few enough to be looked at."""
    places, total = np.arange(min(count, MOST_LAID)) * apart, 0
    for level in range(steps.bit_length()):
        blocks = places[places < steps >> level << level] >> level
        total += int(np.sum(np.unique(blocks, return_counts=True)[1] ** 2))
    return total


@functools.lru_cache(64)  # a search asks for many distances near each other
def _worst(steps: int, count: int, apart: int) -> int:
    """The largest sum, without rounding. No pattern has more than `count` steps, and some have."""
    if count == 1:
        return steps.bit_length()
    shift = _twos(apart)
    coarse, rest = steps >> shift, steps & ((1 << shift) - 1)
    if apart >> shift == 1:
        return shift * count + _side_by_side(coarse, count, rest.bit_length() - shift)
    whole = _of_counts(coarse, count, apart >> shift, rest.bit_length() - shift if rest else None)
    return max(shift * each + total for each, total in enumerate(whole))


def _side_by_side(steps: int, count: int, last: int) -> int:
    """Of the first so many steps. last: what one step beyond the end is worth, where there is one more."""
    inside = min(count, steps)
    total = last * (count - inside)
    for level in range(steps.bit_length()):
        full, more = divmod(min(inside, steps >> level << level), 1 << level)
        total += full * (1 << level) ** 2 + more**2
    return total


def _of_counts(steps: int, count: int, apart: int, last: int | None) -> list[int]:
    """The largest sum of patterns of 0, 1, ... steps. last: what one step beyond the end is worth, None where there is
    none."""
    sizes = [1 << bit for bit in range(steps.bit_length() - 1, -1, -1) if steps >> bit & 1]
    numbers: type[np.signedinteger[Any]] = (
        np.int32 if count**2 * steps.bit_length() < 2**27 else np.int64
    )  # no sum is so large: `_never`
    complete, size = {}, 1
    while size <= min(apart, sizes[0]):
        complete[size], size = _one_at_most(size, np.zeros((apart, apart), numbers), size.bit_length()), 2 * size
    while size <= sizes[0]:
        complete[size] = _joined(complete[size // 2], complete[size // 2], (size // 2, size // 2), count)
        squares: Whole = np.square(np.arange(len(complete[size]))).astype(numbers)
        complete[size] += squares[:, np.newaxis, np.newaxis]
        size *= 2
    pieces = [(each, complete[each]) for each in sizes]
    if last is not None:
        pieces.append((1, _one_at_most(1, np.zeros((apart, apart), numbers), last)))
    length, whole = pieces[0]
    for size, table in pieces[1:]:
        whole, length = _joined(whole, table, (length, size), count), length + size
    return [int(each) for each in whole[:, 0, 0] if each > _never(whole) // 2]


def _one_at_most(size: int, none: Whole, worth: int) -> Whole:
    """[steps of the pattern, at least so far from the left end, and from the right] of a block with no more steps than
    lie between two of a pattern. none: the part of this table for no step."""
    places = np.arange(len(none))
    fits = places[:, np.newaxis] + places[np.newaxis, :] < size
    return np.stack([none, np.where(fits, none.dtype.type(worth), none.dtype.type(_never(none)))])


def _never(table: Whole) -> int:
    """Of a pattern that cannot be: with what is added to it far from any that can, and two of them do not overflow."""
    return int(np.iinfo(table.dtype).min // 4)


def _joined(left: Whole, right: Whole, sizes: tuple[int, int], count: int) -> Whole:
    """Of two neighbouring blocks, of so many steps, where no pattern has more than `count`."""
    apart, alike = left.shape[1], left is right
    found = np.full((min(count + 1, len(left) + len(right) - 1), apart, apart), _never(left), dtype=left.dtype)
    places = np.arange(apart)
    # The pattern within one side: how far it is from the other end is then seen from across the other side.
    np.maximum(found[: len(left)], left[:, :, np.maximum(places - sizes[1], 0)][: len(found)], out=found[: len(left)])
    alone = right[:, np.maximum(places - sizes[0], 0), :][: len(found)]
    np.maximum(found[: len(right)], alone, out=found[: len(right)])
    for one in range(1, len(left)):
        # Of two blocks that are alike what has more steps in the left one is the mirror of what has fewer.
        first, end = one if alike else 1, min(len(right), len(found) - one)
        if first >= end:
            continue
        into, others = found[one + first : one + end], right[first:end]
        for r in range(apart):
            # Far from the left block's right end by r, and from the right block's left end by b - 1 - r at least.
            more = left[one][:, r, np.newaxis] + others[:, apart - 1 - r, np.newaxis, :]
            np.maximum(into, more, out=into)
    np.maximum(found, _never(left), out=found)
    return np.maximum(found, found.transpose(0, 2, 1)) if alike else found


@functools.lru_cache(64)
def regular_tree(steps: int, apart: int) -> Sensitivity:
    """The same where a record's steps are all those of one place in every `apart`: the largest over the places.

    Of a place p, as many steps lie before an end e of a block as ⌊e/apart⌋, and one more where p < e mod apart: the sum
    changes at these p only.
    """
    if apart == 1 or apart >= steps or steps > LONGEST:
        return tree(steps, -(-steps // apart), apart)
    finest = apart.bit_length()  # of blocks that may hold two
    ends = np.arange((steps >> finest) + 1) << finest
    edges = np.array([steps >> level << level for level in range(finest)])  # one step at most: how many are in a block
    starts = np.unique(np.concatenate(([0], ends % apart, edges % apart)))
    most, together = 0, max(1, MOST_NUMBERS // (len(ends) + len(edges)))  # places at once
    for first in range(0, len(starts), together):
        places = starts[first : first + together]
        total = np.sum(_before(edges, places, apart), axis=0)
        counts = np.diff(_before(ends, places, apart), axis=0)
        while len(counts):  # and blocks twice as long; what is left over at the end begins a smaller tree
            total += np.sum(counts * counts, axis=0)
            pairs = len(counts) // 2
            counts = counts[0 : 2 * pairs : 2] + counts[1 : 2 * pairs : 2]
        most = max(most, int(np.max(total)))
    return Sensitivity(float(most), exact=True)


def _before(ends: Whole, places: Whole, apart: int) -> Whole:
    """[end, place]: how many steps of each place lie before each end."""
    return np.asarray((ends // apart)[:, np.newaxis] + (places < (ends % apart)[:, np.newaxis]))
