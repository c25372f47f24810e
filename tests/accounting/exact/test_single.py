"""One step in closed form: the ends against the same formula in mpmath, also where its two terms nearly cancel."""

import math

import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.gaussian_one_step import delta_ends

STEPS = [(1.0, 0.01), (0.3, 1e-4), (0.1, 0.5), (5.0, 0.9), (40.0, 0.3), (1.0, 1e-9), (2.0, 1.0), (0.7, 1 - 1e-12)]
SPENT = [0.0, 1e-9, 0.003, 0.5, 2.0, 20.0, 300.0, 699.0, 701.0]


def added_delta(q, s, epsilon):
    """δ(ε) of one step, add direction."""
    kept = 1 - mp.exp(epsilon) * (1 - mpf(q))
    if kept <= 0:
        return mpf(0)
    place = mpf(1) / 2 + mpf(s) ** 2 * mp.log(kept / (mpf(q) * mp.exp(epsilon)))
    own, other = oracle.normal_tail(-place / mpf(s)), oracle.normal_tail((1 - place) / mpf(s))
    return kept * own - mp.exp(epsilon) * mpf(q) * other


@pytest.mark.parametrize("epsilon", SPENT)
@pytest.mark.parametrize(("sigma", "q"), STEPS)
@pytest.mark.parametrize("direction", list(Direction))
def test_ends_hold_the_closed_form(sigma, q, direction, epsilon):
    lower, upper = delta_ends(sigma, q, direction, epsilon)
    with mp.workdps(80):
        truth = (oracle.step_delta if direction is Direction.REMOVE else added_delta)(q, sigma, mpf(epsilon))
        assert lower <= truth <= upper
        if 1e-250 < truth < 1 and q > 1e-6 and epsilon < 100:
            assert upper - lower <= 1e-6 * truth


@pytest.mark.parametrize("epsilon", [683.0, 690.0, 699.9, 700.0])
@pytest.mark.parametrize(("sigma", "q"), [(0.02, 1e-12), (0.02, 5e-12), (0.0265, 1e-12)])
def test_a_quotient_that_is_no_float_is_taken_as_a_logarithm(sigma, q, epsilon):
    lower, upper = delta_ends(sigma, q, Direction.REMOVE, epsilon)
    with mp.workdps(60):
        truth = oracle.step_delta(q, sigma, mpf(epsilon))
        assert 0.9 * truth < lower <= truth <= upper < 1.1 * truth


@pytest.mark.parametrize("q", [0.5, 0.1, 0.3, 1e-9, 0.9999, 1 - 2.0**-40])
@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_the_last_floats_before_the_largest_loss_spend_what_they_do(sigma, q):
    epsilon = math.nextafter(-math.log1p(-q), math.inf)
    for _ in range(5):
        lower, upper = delta_ends(sigma, q, Direction.ADD, epsilon)
        with mp.workdps(80):
            truth = added_delta(q, sigma, mpf(epsilon))
            assert lower <= truth <= upper <= truth * (1 + 1e-9) + 1e-300
        epsilon = math.nextafter(epsilon, 0.0)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("q", [1e-90, 1e-130, 1e-200, 1e-290])
@pytest.mark.parametrize("share", [0.0, 1e-30, 0.3, 0.5, 0.9995, 1 - 1e-12, 1.0])
def test_of_a_rate_that_is_nothing_beside_one_its_digits_are_kept(q, share):
    lower, upper = delta_ends(1.0, q, Direction.ADD, share * q)
    with mp.workdps(700):
        truth = added_delta(q, 1.0, mpf(share * q))
    assert lower <= truth <= upper <= truth * (1 + 1e-9) + 1e-300


def test_ends_are_narrow_where_people_are():
    lower, upper = delta_ends(1.0, 0.01, Direction.REMOVE, 0.5)
    assert upper - lower < 1e-11 * upper


def test_beyond_the_largest_loss_nothing_is_spent():
    largest = math.nextafter(-math.log1p(-0.3), math.inf)  # the float before it is below the largest loss
    assert delta_ends(1.0, 0.3, Direction.ADD, largest) == (0.0, 0.0)
    assert delta_ends(1.0, 0.3, Direction.ADD, math.nextafter(largest, 0.0))[1] >= 0.0


def test_both_directions_have_the_same_total_variation():
    for sigma, q in STEPS:
        ends = [delta_ends(sigma, q, direction, 0.0) for direction in Direction]
        assert max(ends[0][0], ends[1][0]) <= min(ends[0][1], ends[1][1])
