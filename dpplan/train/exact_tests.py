"""How far out of its law something lies: tails that hold for any number of draws, with no limit law."""

import math

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Wholes = NDArray[np.int64]
_TILTS = np.concatenate([np.geomspace(1e-3, 30.0, 200), -np.geomspace(1e-3, 30.0, 200)])


def binomial_tail(seen: int, trials: int, chance: float) -> float:
    """The probability that Binomial(trials, chance) is as far out as `seen`: twice the smaller side's, at most 1."""
    below, above = (float(side[0]) for side in binomial_sides(np.array([seen]), trials, chance))
    return min(1.0, 2 * min(below, above))


def chi_square_tail(seen: float, freedom: int) -> float:
    """The probability that a chi-square variable is as far out as `seen`, likewise."""
    from scipy import special  # half a second, and only the end of a run needs it

    if not 0 < seen < math.inf:
        return 0.0
    below, above = special.gammainc(freedom / 2, seen / 2), special.gammaincc(freedom / 2, seen / 2)
    return min(1.0, 2 * float(min(below, above)))


def spread_tail(sizes: Wholes, trials: int, chance: float) -> float:
    """At least the probability that so many binomial draws lie so far from their law."""
    values, counts = np.unique(sizes, return_counts=True)
    return distance_tail(counts, *binomial_sides(values, trials, chance))


def distance_tail(counts: Wholes, at: Reals, from_here: Reals) -> float:
    """At least the probability that independent draws of one law lie so far from it.

    counts: of each value that occurred, in rising order. at, from_here: P(X <= value) and P(X >= value).
    Distance: the largest between the two distribution functions. Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of
    Massart 1990, which holds for every law and every number of draws.
    """
    draws = int(counts.sum())
    above = np.cumsum(counts) / draws
    below = above - counts / draws
    distance = float(max(np.abs(above - at).max(), np.abs(below - (1 - from_here)).max()))
    return min(1.0, 2 * math.exp(-2 * draws * distance**2))


def uniform_tail(places: Reals) -> float:
    """At least the probability that independent uniform numbers lie so far from their law.

    Twice the smaller of two: of the sum of squares of the normal numbers in their places, which is chi-square and small
    where places are too close to the middle, and of the largest distance.
    """
    from scipy import special

    if not len(places):
        return 1.0
    normal = special.ndtri(np.clip(places, 1e-300, 1 - 2.0**-53))
    values, counts = np.unique(places, return_counts=True)
    distance = distance_tail(counts, values, 1 - values)
    return min(1.0, 2 * min(chi_square_tail(float(normal @ normal), len(places)), distance))


def overlap_tail(seen: int, taken: Wholes, chances: Reals) -> float:
    """At least the probability that overlaps of independent uniform subsets add up to something as far out.

    taken: of each overlap, how many examples are looked for. chances: what share of all the subset has. Each overlap is
    hypergeometric, and its generating function at most that of the binomial law with as many trials (Hoeffding 1963,
    Thm 4); then Chernoff's bound, at the best of some tilts, each of which is one.
    """
    growth = np.log1p(np.outer(np.expm1(_TILTS), chances)) @ taken if len(taken) else np.zeros(len(_TILTS))
    return min(1.0, 2 * math.exp(min(0.0, float((growth - _TILTS * seen).min()))))


def binomial_sides(values: Wholes, trials: int, chance: float) -> tuple[Reals, Reals]:
    """P(X <= value) and P(X >= value), each with its own digits."""
    from scipy import special

    # Incomplete beta functions, which know no parameter 0: there the probability is 0 or 1.
    k = np.clip(values.astype(np.float64), 0, trials)
    at_most = special.betainc(np.maximum(trials - k, 1), k + 1, 1 - chance)
    at_least = special.betainc(np.maximum(k, 1), trials - k + 1, chance)
    below = np.where(values >= trials, 1.0, np.where(values < 0, 0.0, at_most))
    above = np.where(values <= 0, 1.0, np.where(values > trials, 0.0, at_least))
    return below, above
