"""Saddle points: moments against mpmath, and a search that ends where it says. Good enough to choose by."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.saddle_point import TOLERANCE, PlanSaddles, log_chernoff_factor

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
CASES = [
    (1.0, 0.01, 1000, 4.0, Direction.REMOVE),
    (0.5, 0.2, 20, 0.3, Direction.REMOVE),
    (5.0, 1e-5, 10**6, 150.0, Direction.REMOVE),
    (1.0, 0.1, 200, 3.0, Direction.ADD),
    (0.7, 0.9, 50, 1.2, Direction.ADD),
]


def saddles(sigma, q, count, direction, tilt=0.0):
    reach = max(direction.exponent(tilt), 1.0) + 12.0 * sigma
    return PlanSaddles(Steps.of([(sigma, q, count)]), direction, np.array([[reach]]))


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("sigma", "q", "count", "tilt", "direction"), CASES)
def test_moments_are_those_of_the_composed_loss(sigma, q, count, tilt, direction):
    saddle = saddles(sigma, q, count, direction, tilt).at(tilt)
    with mp.workdps(50):
        a, h = direction.exponent(tilt), mpf(10) ** -8
        below, middle, above = (oracle.transforms(q, sigma, [mpc(a + k * h)])[0].real for k in (-1, 0, 1))
        log_moment, slope = count * mp.log(middle), direction.value * count * (mp.log(above / below)) / (2 * h)
        curvature = count * (mp.log(above) - 2 * mp.log(middle) + mp.log(below)) / h**2
    assert saddle.log_moment == pytest.approx(float(log_moment), rel=1e-9, abs=1e-12)
    assert saddle.slope == pytest.approx(float(slope), rel=1e-8)
    assert saddle.curvature == pytest.approx(float(curvature), rel=1e-6)


@pytest.mark.parametrize(("sigma", "q", "count", "tilt", "direction"), CASES)
def test_a_saddles_epsilon_is_where_the_integrand_is_flat(sigma, q, count, tilt, direction):
    """log of M(t)·e^(-εt)/t(1 + t): its derivative at the tilt, in units of its curvature."""
    plan = saddles(sigma, q, count, direction, 2 * tilt)
    saddle, h = plan.at(tilt), 1e-4

    def log_integrand(t):
        return plan.at(t).log_moment - saddle.epsilon * t - math.log(t) - math.log1p(t)

    slope = (log_integrand(tilt * (1 + h)) - log_integrand(tilt * (1 - h))) / (2 * h * tilt)
    assert abs(slope) <= 1e-3 * math.sqrt(saddle.spread)


@pytest.mark.parametrize(("sigma", "q", "count", "tilt", "direction"), CASES)
def test_a_saddle_is_found_again_from_its_epsilon_and_from_its_delta(sigma, q, count, tilt, direction):
    plan = saddles(sigma, q, count, direction, 4 * tilt)
    saddle = plan.at(tilt)
    found = plan.for_epsilon(saddle.epsilon)
    assert abs(saddle.epsilon - found.epsilon) / math.sqrt(found.spread) <= TOLERANCE
    assert abs(plan.for_log_delta(saddle.log_delta).log_delta - saddle.log_delta) <= TOLERANCE


def test_first_order_estimate_is_near_the_true_delta():
    """Of a Gaussian composition, whose curve is known."""
    plan = saddles(10.0, 0.999999999, 25, Direction.REMOVE, 30.0)
    for epsilon in (1.0, 2.5):
        saddle = plan.for_epsilon(epsilon)
        truth = float(oracle.gaussian_log_delta(0.5, saddle.epsilon))
        assert saddle.log_delta == pytest.approx(truth, abs=0.3)
        assert truth <= saddle.log_chernoff(saddle.epsilon) <= truth + 4.0


def test_enough_ends_the_search_early_and_far_tilts_end_it():
    plan = saddles(1.0, 0.01, 1000, Direction.REMOVE, 8.0)
    assert plan.for_epsilon(3.0, log_floor=-1.0).log_chernoff(3.0) < -1.0
    assert math.isfinite(plan.for_epsilon(1e9).tilt)


@pytest.mark.parametrize("tilt", [1e-12, 1e-3, 0.5, 1.0, 7.0, 1e3, 1e8])
def test_chernoff_factor_is_the_best_constant(tilt):
    """sup over y of (1 - e^-y)·e^-ty, reached at e^-y = t/(1 + t)."""
    with mp.workdps(40):
        t = mpf(tilt)
        truth = t * mp.log(t / (1 + t)) - mp.log(1 + t)
        assert abs(mpf(log_chernoff_factor(tilt)) - truth) <= 4e-16 * (1 + abs(truth))
    assert log_chernoff_factor(0.0) == 0.0
