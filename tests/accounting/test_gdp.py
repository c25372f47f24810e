import math

import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import Guarantee, gdp
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

MUS = [1e-6, 1e-3, 0.05, 0.3, 1.0, 1.99, 2.01, 7.0, 60.0, 1000.0]
DELTAS = [0.5, 0.05, 1e-5, 1e-15, 1e-50, 1e-100]


@pytest.mark.parametrize("mu", MUS)
@pytest.mark.parametrize("place", [-30, -3, -1.01, -0.99, 0, 0.7, 3, 9, 21, 40])
def test_log_delta_is_within_its_stated_error(mu, place):
    epsilon = max(place * mu + mu * mu / 2, 0.0)
    value = gdp.gaussian_log_delta(mu, epsilon)
    error = abs(float(mpf(value) - oracle.gaussian_log_delta(mu, epsilon)))
    assert error <= gdp.log_delta_margin(mu, epsilon, value) / 2


@pytest.mark.parametrize("mu", [0.01, 1.0, 20.0])
def test_log_delta_has_fourteen_digits_where_the_two_terms_nearly_cancel(mu):
    epsilon = 12 * mu + mu * mu / 2  # δ near 1e-34 of two terms near 1e-33
    truth = oracle.gaussian_log_delta(mu, epsilon)
    assert gdp.gaussian_log_delta(mu, epsilon) == pytest.approx(float(truth), rel=3e-14)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("mu", MUS)
def test_epsilon_interval_holds_the_truth_and_is_narrow(mu, delta):
    ends = gdp.epsilon_interval(mu, delta)
    target = mp.log(mpf(delta))
    assert ends.upper == 0 or ends.lower == 0 or oracle.gaussian_log_delta(mu, ends.lower) >= target
    assert oracle.gaussian_log_delta(mu, ends.upper) <= target
    assert ends.upper - ends.lower <= 1e-11 * ends.upper


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("mu", MUS)
def test_delta_interval_holds_the_truth(mu, epsilon):
    ends = gdp.delta_interval(mu, epsilon)
    if epsilon > 900 * mu:  # the oracle would need thousands of digits; the truth is far below any float
        assert ends.lower == 0
        assert ends.upper == pytest.approx(2.2250738585072014e-308)
        return
    truth = mp.exp(oracle.gaussian_log_delta(mu, epsilon))
    assert ends.lower <= truth <= ends.upper
    assert ends.upper > 0


def test_a_delta_above_the_total_variation_distance_costs_no_epsilon():
    assert gdp.epsilon_interval(0.1, 0.0399) == (0.0, 0.0)  # δ(0) = 0.039878
    assert gdp.epsilon_interval(0.1, 0.0398).lower > 0


def test_unsampled_phases_compose_to_one_gaussian():
    phases = tuple(Phase(Gaussian(sigma), Poisson(1.0), steps) for sigma, steps in ((5.0, 3), (8.0, 5)))
    bound = gdp.epsilon(Plan(phases), 1e-6)
    assert bound.guarantee is Guarantee.CERTIFIED
    assert bound.details["mu"] == pytest.approx(math.sqrt(3 / 25 + 5 / 64), rel=1e-14)
    assert bound.lower <= 1.984273919801572 <= bound.upper + 1e-12  # autodp's exact Gaussian


def test_sampling_makes_it_an_estimate_and_says_so():
    bound = gdp.epsilon(Plan.from_rate(1.06, 256 / 60000, 4688), 1e-5)
    assert bound.guarantee is Guarantee.ESTIMATE
    assert bound.lower is None
    assert bound.upper is None
    assert "not a bound" in bound.why
    assert bound.details["mu"] == pytest.approx(256 / 60000 * math.sqrt(4688 * math.expm1(1 / 1.06**2)))


def test_the_limit_refuses_to_overflow():
    with pytest.raises(NotApplicable, match=r"sigma=0\.02"):
        gdp.epsilon(Plan.from_rate(0.02, 0.5, 10), 1e-5)


def test_noise_so_small_that_mu_overflows_is_infinite_not_an_error():
    plan = Plan.from_rate(1e-300, 1.0, 10**18)
    assert gdp.epsilon(plan, 1e-5).upper == math.inf
    assert gdp.delta(plan, 3.0).upper == 1.0
