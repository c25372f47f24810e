"""Plain bounds used along the way: each against the figure it bounds, in mpmath."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def steps_of(*rows):
    return Steps.of(list(rows))


@pytest.mark.parametrize("rows", [((1.0, 0.01, 1),), ((0.2, 1e-6, 10),), ((30.0, 0.9, 7), (2.0, 1e-3, 10**6))])
def test_total_variations_add_up(rows):
    with mp.workdps(40):
        truth = mp.fsum(n * mpf(q) * (1 - 2 * oracle.normal_tail(1 / (2 * mpf(s)))) for s, q, n in rows)
        assert truth <= placement.total_variation_above(steps_of(*rows)) <= truth * (1 + 1e-12)


@pytest.mark.parametrize("rows", [((1.0, 0.01, 1),), ((1.0, 1e-12, 10**9),), ((30.0, 0.9, 7), (2.0, 1e-3, 10**6))])
def test_the_add_direction_never_loses_more_than_this(rows):
    with mp.workdps(40):
        truth = mp.fsum(-n * mp.log1p(-mpf(q)) for _, q, n in rows)
        assert truth <= placement.largest_added_loss(steps_of(*rows)) <= truth * (1 + 1e-12)
    assert placement.largest_added_loss(steps_of(*rows, (1.0, 1.0, 1))) == math.inf


@pytest.mark.parametrize(("sigma", "q", "epsilon"), [(1.0, 0.01, 0.5), (0.5, 0.3, 3.0), (3.0, 0.2, 0.1)])
def test_chernoff_at_the_saddle_is_above_delta_and_near(sigma, q, epsilon):
    steps, direction = steps_of((sigma, q, 1)), Direction.REMOVE
    with mp.workdps(40):
        truth = mp.log(oracle.step_delta(q, sigma, mpf(epsilon)))
    saddle = placement.plan_saddles(steps, direction, float(truth)).for_epsilon(epsilon)
    bound = placement.log_chernoff(steps, direction, saddle, epsilon)
    assert truth <= bound <= truth + 9.0  # a rare step is no Gaussian


@pytest.mark.parametrize(("sigma", "count", "epsilon"), [(1.0, 400, 50.0), (0.5, 9, 4.0), (3.0, 900, 20.0)])
def test_what_is_missing_from_one_is_bounded(sigma, count, epsilon):
    mu = math.sqrt(count) / sigma
    with mp.workdps(200):
        missing = mp.log(1 - mp.exp(oracle.gaussian_log_delta(mu, epsilon)))
    bound = placement.log_missing(steps_of((sigma, 1.0 - 2.0**-53, count)), epsilon)
    assert missing <= bound <= 0.1 * float(missing)


def test_a_contour_over_jumps_is_offered_where_jumps_decide():
    steps = steps_of((0.614, 1e-5, 100_000))
    contour = placement.over_jumps(steps, 1.23, math.log(1e-12))
    assert contour is not None
    assert contour.bulk is not None
    value = contour.at(1.23023)
    assert 0.99e-12 < value.lower <= value.upper < 1.01e-12
    assert np.isfinite(contour.log_chernoff(1.23))
