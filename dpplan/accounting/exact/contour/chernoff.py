"""Stage 3, invert: Chernoff's bounds on delta and on aliases of it, in logarithms, each rounded up to a proven bound.

For every s > 0, delta(ε) <= M(s)·c(s)·e^{-sε} with c(s) the largest value of (1 - e^-y)·e^{-sy}, and
for every s ≠ t the aliases e^{kΛt}·delta(ε + kΛ), k >= 1 where s > t and k <= -1 where s < t, sum to at most that times
Σ_{k>=1} e^{-k|s - t|Λ}.

Rounding. One operation is off by a unit u = 2^-53 at most, relative, an elementary function by 4u (outward.py). A
logarithm here is a sum of a few terms that may cancel, so that it is off relative to the sum S of their sizes: by 3u·S
for adding three of them up, and by what each of them is off,

    log c(s) = -s·log1p(1/s) - log1p(s)    by 7u of the first, which lies between 0 and 1, and 5u of the second
    s·ε                                    by u of it
    -x = -|s - t|·Λ                        by 2u of it
    log(1 - e^-x)                          by 4u of it, by 4u for expm1, and by 2u for x, since x·e^-x/(1 - e^-x) <= 1
    log(e^a + e^b)                         by u of the larger and of itself, 4u·log 2 for log1p, 5u of e^-|a - b| <= 1

None of these comes to more than 12u·(1 + S). ROUNDING = 8·EPS = 16u times 1 + S leaves 4u·(1 + S) for adding it and for
computing itself.

Symbols: s one of the tilts at which moments are known; t the contour's; Λ the period.
"""

import math

import numpy as np

from dpplan.accounting.numerics import Array, outward

ROUNDING = 16.0 * outward.UNIT
NEAREST = 1e-12  # a tilt nearer to the contour's, in units of 1/Λ, says nothing of its aliases


def log_tops(tilts: Array, log_moments: Array) -> Array:
    """log of M(s)·c(s), from upper bounds on log M(s), of arrays of one shape; s >= 0."""
    factors = log_factors(tilts)
    return np.asarray(log_moments + factors + ROUNDING * (1.0 + np.abs(log_moments) + np.abs(factors)))


def log_factors(tilts: Array) -> Array:
    """log c(s), as saddle_point.log_chernoff_factor has it."""
    positive = np.where(tilts > 0.0, tilts, 1.0)
    return np.where(tilts > 0.0, -positive * np.log1p(1.0 / positive) - np.log1p(positive), 0.0)


def log_deltas(tops: Array, tilts: Array, epsilon: Array | float) -> Array:
    """log of each tilt's bound on delta(ε)."""
    tilted = tilts * epsilon
    return np.asarray(tops - tilted + ROUNDING * (1.0 + np.abs(tops) + np.abs(tilted)))


def log_aliases(log_bounds: Array, distance: Array) -> Array:
    """log of each tilt's bound on the aliases on its side, from that on delta and x = |s - t|·Λ; inf where x is 0."""
    fade = -np.maximum(distance, NEAREST)
    missing = np.log(-np.expm1(fade))
    sizes = 1.0 + np.abs(log_bounds) + np.abs(fade) + np.abs(missing)
    return np.where(distance > NEAREST, log_bounds + fade - missing + ROUNDING * sizes, np.inf)


def log_sum_above(first: Array | float, second: Array | float) -> Array:
    """log of the sum of what two logarithms stand for, rounded up."""
    total = np.logaddexp(first, second)
    return np.asarray(total + ROUNDING * (1.0 + np.abs(total)))


def log_above(x: float) -> float:
    """log x, rounded up; of 0 the least there is."""
    if x <= 0.0:
        return -math.inf
    log_x = math.log(x)
    return log_x + ROUNDING * (1.0 + abs(log_x))


def probability(log_bound: float) -> float:
    """The probability that a bound on a logarithm stands for: at least e^log_bound, or 1."""
    return min(outward.up(math.exp(min(log_bound, 0.0)), outward.FEW), 1.0)
