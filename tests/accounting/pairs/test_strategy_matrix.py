"""Sensitivities of strategies that are any lower triangular matrix, against every pattern of tiny runs."""

import math
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.pairs import strategy_matrix
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import Gaussian, MatrixNoise, ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle

FULL = Poisson(1.0)
STEPS = 9


def strategy(bands: int, signed: bool = False, steps: int = STEPS) -> np.ndarray:
    rng = np.random.default_rng(bands)
    whole = rng.uniform(-0.5 if signed else 0.1, 1.0, (steps, steps)) + 2.0 * np.eye(steps)
    return np.where((np.tri(steps) - np.tri(steps, k=-bands)) > 0, whole, 0.0)


def noise(matrix: np.ndarray, bands: int, sigma: float = 4.0, **pattern: int) -> MatrixNoise:
    padded = np.concatenate([np.zeros((len(matrix), bands - 1)), matrix], axis=1)
    rows = [padded[row, row : row + bands] for row in range(len(matrix))]
    return MatrixNoise(sigma, tuple(np.concatenate(rows).tolist()), bands, **pattern)


def worst(matrix: np.ndarray, patterns: list[tuple[int, ...]]) -> float:
    gram = np.abs(matrix.T @ matrix)
    return max(float(gram[np.ix_(pattern, pattern)].sum()) for pattern in patterns)


def far_apart(most: int, apart: int) -> list[tuple[int, ...]]:
    return [
        pattern
        for count in range(1, most + 1)
        for pattern in combinations(range(STEPS), count)
        if all(b - a >= apart for a, b in pairwise(pattern))
    ]


@pytest.mark.parametrize("bands", [1, 2, 4, 9])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("most", "apart"), [(1, 1), (2, 1), (3, 2), (2, 4), (3, 4), (9, 1)])
def test_no_pattern_moves_it_further(bands: int, signed: bool, most: int, apart: int) -> None:
    matrix = strategy(bands, signed)
    found = strategy_matrix.any_pattern(noise(matrix, bands), STEPS, most, apart)
    truth = worst(matrix, far_apart(most, apart))
    assert found.squared >= truth * (1 - 1e-14)
    assert found.exact == (most == 1 or bands <= apart)
    assert found.squared == pytest.approx(truth, rel=1e-13) if found.exact else found.squared < 1.5 * truth


@pytest.mark.parametrize("bands", [1, 2, 4, 9])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("apart", [1, 2, 4, 20])
def test_a_place_that_is_kept_is_as_bad_as_the_worst_place(bands: int, signed: bool, apart: int) -> None:
    matrix = strategy(bands, signed)
    found = strategy_matrix.one_place(noise(matrix, bands), STEPS, apart)
    places = [tuple(range(at, STEPS, apart)) for at in range(min(apart, STEPS))]
    assert found.squared == pytest.approx(worst(matrix, places), rel=1e-13)
    assert found.exact or signed
    assert not (bands <= apart and not found.exact)


def test_a_bound_over_all_steps_is_no_smaller_than_that_over_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = strategy(9)
    finer = strategy_matrix.any_pattern(noise(matrix, 9), STEPS, 3, 2)
    monkeypatch.setattr(strategy_matrix, "MOST_WORK", 1.0)
    strategy_matrix._any_pattern.cache_clear()
    rough = strategy_matrix.any_pattern(noise(matrix, 9), STEPS, 3, 2)
    strategy_matrix._any_pattern.cache_clear()
    assert finer.squared <= rough.squared and not rough.exact


@pytest.mark.parametrize("scheme", [FULL, Shuffle(4, "once"), CyclicPoisson(0.3, 4, "place")])
@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE])
def test_a_matrix_that_is_the_same_along_its_diagonals_costs_what_its_coefficients_cost(
    scheme: object, adjacency: object
) -> None:
    column, steps = (1.0, 0.5, 0.375), 12
    matrix = sum(np.diag([c] * (steps - at), -at) for at, c in enumerate(column))
    told = {"participations": 3, "separation": 4} if scheme is FULL else {}
    both = (noise(np.asarray(matrix), 3, **told), ToeplitzNoise(4.0, coefficients=column, **told))  # type: ignore[arg-type]
    plans = [Plan((Phase(each, scheme, steps),), adjacency=adjacency) for each in both]  # type: ignore[arg-type]
    found = [accounting.epsilon(plan, 1e-6) for plan in plans]
    assert found[0].upper == pytest.approx(found[1].upper, rel=1e-6)
    assert found[0].lower == 0.0 or scheme is FULL  # no group has to have the longest column in each of its turns


def test_what_is_a_bound_is_from_above_alone() -> None:
    dense = Plan((Phase(noise(strategy(9), 9, participations=3, separation=2), FULL, STEPS),), adjacency=ZERO_OUT)
    found = accounting.epsilon(dense, 1e-6)
    assert found.upper is not None and 0.0 < found.lower < 0.99 * found.upper  # of the worst pattern that was found
    reach = math.sqrt(strategy_matrix.any_pattern(dense.only_phase.mechanism, STEPS, 3, 2).squared)  # type: ignore[arg-type]
    same = accounting.epsilon(Plan((Phase(Gaussian(4.0 / reach), FULL, 1),)), 1e-6)
    assert found.upper == pytest.approx(same.upper, rel=1e-8)


def test_what_does_not_fit_is_refused() -> None:
    made = noise(strategy(2), 2)
    with pytest.raises(NotApplicable, match="the strategy is for 9 steps, and the phase has 10"):
        accounting.epsilon(Plan((Phase(made, FULL, 10),), adjacency=ZERO_OUT), 1e-6)
    accounting.epsilon(Plan((Phase(made, FULL, 5),), adjacency=ZERO_OUT), 1e-6)  # the first steps of a run
    wide = accounting.epsilon(Plan((Phase(noise(strategy(4), 4), CyclicPoisson(0.3, 3, "place"), 9),), ZERO_OUT), 1e-6)
    assert wide.lower == 0.0  # bands are wider than the groups: known from above alone
    long = noise(np.eye(3000) + np.diag([0.5] * 2999, -1), 2, participations=2)
    with pytest.raises(NotApplicable, match="need every pair of columns, and 3000 steps are more than 2048"):
        accounting.epsilon(Plan((Phase(long, FULL, 3000),), adjacency=ZERO_OUT), 1e-6)
    for entries, bands, sentence in (
        ((1.0, 0.0), 1, "the diagonal is 0 in row 2"),
        ((0.5, 1.0, 0.5, 1.0), 2, "a number stands before the first column"),
        ((1.0, 2.0, 3.0), 2, "3 numbers are no rows of bands=2"),
        ((math.nan,), 1, "nan is not a number"),
    ):
        with pytest.raises(PlanError, match=sentence):
            MatrixNoise(1.0, entries, bands)


@pytest.mark.parametrize(("bands", "most", "apart"), [(1, 3, 2), (3, 3, 3), (3, 9, 4), (4, 2, 2)])
def test_sensitivities_are_those_of_every_pattern_in_exact_fractions(bands: int, most: int, apart: int) -> None:
    """Σ |G_ij| over each pattern, of entries that floats hold: reached to a rounding where it is said to be exact, else
    between what some pattern reaches and the bound; entries of very different size, some of them negative."""
    matrix = np.round(strategy(bands, True) * 2.0**20) / 2.0**20
    matrix[:, ::3] *= 2.0**-30
    matrix[:, 1::4] *= -1.0
    of_floats = [[Fraction(each) for each in row] for row in matrix.tolist()]
    gram = [[abs(sum(row[i] * row[j] for row in of_floats)) for j in range(STEPS)] for i in range(STEPS)]
    patterns = far_apart(most, apart)
    truth = max(sum(gram[i][j] for i in pattern for j in pattern) for pattern in patterns)
    found = strategy_matrix.any_pattern(noise(matrix, bands), STEPS, most, apart)
    unit = Fraction(2) ** (2 * found.exponent)
    assert Fraction(found.squared) * unit >= truth * (1 - Fraction(1, 10**14))
    assert not found.exact or Fraction(found.squared) * unit <= truth * (1 + Fraction(1, 10**14))
    assert found.exact or Fraction(found.reached) * unit <= truth * (1 + Fraction(1, 10**14))
    column = max(gram[i][i] for i in range(STEPS))
    longest = strategy_matrix.longest_column(noise(matrix, bands), STEPS)
    assert abs(Fraction(longest.squared) * Fraction(2) ** (2 * longest.exponent) / column - 1) <= Fraction(1, 10**14)
    place = max(
        sum(gram[i][j] for i in range(at, STEPS, apart) for j in range(at, STEPS, apart)) for at in range(apart)
    )
    one = strategy_matrix.one_place(noise(matrix, bands), STEPS, apart)
    assert abs(Fraction(one.squared) * Fraction(2) ** (2 * one.exponent) / place - 1) <= Fraction(1, 10**14)
