"""How the noise of a tree's prefix sums follows from that of the blocks before: numbers that depend on no run.

Every sum over a block of 2^j steps is released with noise of its own. A block's sum is then estimated from below, by
its own release and the estimates of its two halves, each weighted by its precision (Honaker 2015; Kairouz et al. 2021,
arXiv:2103.00039, App. D). With z of variance 1 on each release, the estimate E_v of a block of 2^v steps has variance
V_v, V_0 = 1 and 1 / V_v = 1 + 1 / (2 V_{v-1}), and

    E_v = V_v z_v + (1 - V_v) (E of the left half + E of the right half).

When step t = 2^v m (m odd) ends, blocks of 1, 2, ..., 2^v steps end with it, and their left halves, of 2^j steps ending
at t - 2^j for j < v, are known. So E_v = Σ_j p_j E_j + g z: p_j = (1 - V_v) ... (1 - V_{j+1}), and the rest, from
releases that end now, is new, with g² = V_v - Σ p_j² V_j. One normal number a step draws all of it.
"""

import math
from functools import cache


@cache
def variance(level: int) -> float:
    """V of a block of 2^level steps, in that of one release."""
    return 1.0 if level == 0 else 1.0 / (1.0 + 0.5 / variance(level - 1))


@cache
def from_left(level: int) -> tuple[float, ...]:
    """p: what the estimate of such a block takes of the left halves within it, from the smallest."""
    found = [1.0]
    for each in range(level, 0, -1):
        found.append(found[-1] * (1.0 - variance(each)))
    return tuple(reversed(found[1:]))


@cache
def new(level: int) -> float:
    """g: the deviation of what is new in it."""
    known = math.fsum(p * p * variance(j) for j, p in enumerate(from_left(level)))
    return math.sqrt(variance(level) - known)


def level_of(step: int) -> int:
    """v of step number step + 1, where steps are counted from 0."""
    return ((step + 1) & -(step + 1)).bit_length() - 1
