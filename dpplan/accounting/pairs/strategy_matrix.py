"""How far one record can move C·x for any lower triangular C: by the entries of CᵀC, over patterns of its steps.

‖Σ C_i u_i‖² over the steps i of a pattern, each ‖u_i‖ <= 1, is Σ G_ij <u_i, u_j> with G = CᵀC: at most Σ |G_ij|, and
equal u_i reach it where no G_ij of the pattern is negative (Choquette-Choo et al. 2023, arXiv:2211.06530). Patterns
have at most k steps, any two at least b apart:

- One step: the longest column. No two columns so far apart that have a row in common (bands no wider than b): the most
  that k columns so far apart add up to, by dynamic programming. Both exact.
- All steps of one place in every b, which an order that is kept gives: the worst of b patterns, exact where none of its
  G_ij is negative. A pattern that leaves steps of it out has a smaller sum.
- Else a bound: Σ_ij |G_ij| = Σ_i r_i with r_i = Σ_j |G_ij| over the pattern, and r_i is at most the largest such sum
  over all patterns that hold i, which dynamic programming finds; and so is the largest sum of these.
"""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs.participation_sensitivity import MOST_TRIED, Sensitivity, reached, scaled
from dpplan.errors import NotApplicable
from dpplan.mechanism import MatrixNoise

MOST_WORK = 3e8  # sums of a row: beyond, rows are added up whole
MOST_ROWS = 2048  # of a matrix whose every pair of columns is looked at


def columns(mechanism: MatrixNoise, steps: int) -> Array:
    """[column, how far below the diagonal]: of the first so many steps, what C has there.

    Raises NotApplicable where the run is longer than the strategy.
    """
    if steps > mechanism.rows:
        raise NotApplicable(f"matrix: the strategy is for {mechanism.rows} steps, and the phase has {steps}")
    bands = mechanism.bands
    rows = np.array(mechanism.entries[: steps * bands]).reshape(steps, bands)[:, ::-1]  # [row, how far left]
    found = np.zeros((steps, bands))
    for below in range(min(bands, steps)):
        found[: steps - below, below] = rows[below:, below]
    return found


def longest_column(mechanism: MatrixNoise, steps: int) -> Sensitivity:
    """Of the longest column."""
    of_column, exponent = scaled(columns(mechanism, steps))
    return Sensitivity(float(np.max(np.sum(of_column**2, axis=1))), True, exponent)


def any_pattern(mechanism: MatrixNoise, steps: int, participations: int, separation: int) -> Sensitivity:
    """The largest over patterns of at most so many steps so far apart."""
    return _any_pattern(_unscaled(mechanism), steps, participations, separation)


def one_place(mechanism: MatrixNoise, steps: int, apart: int) -> Sensitivity:
    """The same where a record's steps are those of one place in every `apart`, or some of them."""
    return _one_place(_unscaled(mechanism), steps, apart)


def _unscaled(mechanism: MatrixNoise) -> MatrixNoise:
    """Whatever its noise, a strategy is looked at once."""
    return replace(mechanism, noise_multiplier=1.0, participations=1, separation=1)


@lru_cache(16)
def _any_pattern(mechanism: MatrixNoise, steps: int, participations: int, separation: int) -> Sensitivity:
    of_column, exponent = scaled(columns(mechanism, steps))
    count = min(participations, -(-steps // separation))
    squares = np.sum(of_column**2, axis=1)
    if count == 1:
        return Sensitivity(float(np.max(squares)), True, exponent)
    if mechanism.bands <= separation:
        return Sensitivity(_heaviest(squares, count, separation), True, exponent)
    gram = np.abs(_gram(of_column))
    if float(steps) ** 2 * count > MOST_WORK:
        rows = np.sum(gram, axis=1)  # over all steps, whatever the pattern
    else:
        rows = np.array([_around(gram[at], at, count, separation) for at in range(steps)])
    most = _heaviest(rows, count, separation)
    tried = min(steps, MOST_TRIED)
    block = np.zeros((tried, tried))
    for below in range(min(mechanism.bands, tried)):
        block[np.arange(below, tried), np.arange(tried - below)] = of_column[: tried - below, below]
    return Sensitivity(most, False, exponent, reached(block, count, separation))


@lru_cache(16)
def _one_place(mechanism: MatrixNoise, steps: int, apart: int) -> Sensitivity:
    of_column, exponent = scaled(columns(mechanism, steps))
    if steps <= apart or mechanism.bands <= apart:
        squares = np.sum(of_column**2, axis=1)
        most = max(math.fsum(squares[at::apart].tolist()) for at in range(min(apart, steps)))
        return Sensitivity(most, True, exponent)
    gram, most, exact = _gram(of_column), 0.0, True
    for at in range(apart):
        within = gram[at::apart, at::apart]
        most, exact = max(most, float(np.sum(np.abs(within)))), exact and bool((within >= 0).all())
    return Sensitivity(most, exact, exponent)


def _gram(of_column: Array) -> Array:
    """CᵀC."""
    steps, bands = of_column.shape
    if steps > MOST_ROWS:
        raise NotApplicable(
            f"matrix: bands wider than a record's steps are apart need every pair of columns, and {steps} steps are "
            f"more than {MOST_ROWS}"
        )
    whole = np.zeros((steps + bands, steps))
    for below in range(bands):
        whole[np.arange(steps) + below, np.arange(steps)] = of_column[:, below]
    return np.asarray(whole.T @ whole)


def _heaviest(weights: Array, count: int, separation: int) -> float:
    """The most that at most so many of these add up to, any two so far apart."""
    return _by_count(weights, count, separation)[-1]


def _around(row: Array, at: int, count: int, separation: int) -> float:
    """The most that this row adds up to over patterns that hold step `at`: on its left, and on its right."""
    left, right = row[: max(0, at + 1 - separation)], row[at + separation :]
    sides = [_by_count(side, count - 1, separation) for side in (left, right)]
    return float(row[at]) + max(sides[0][k] + sides[1][count - 1 - k] for k in range(count))


def _by_count(weights: Array, count: int, separation: int) -> list[float]:
    """The most that at most 0, 1, ..., `count` of these add up to, any two so far apart. No weight is negative."""
    best, found = np.zeros(len(weights) + 1), [0.0]  # best: of so many first steps
    for _ in range(count if len(weights) else 0):
        more = weights + best[np.maximum(np.arange(len(weights)) + 1 - separation, 0)]
        best = np.concatenate([[0.0], np.maximum.accumulate(more)])
        found.append(float(best[-1]))
    return found if len(weights) else [0.0] * (count + 1)
