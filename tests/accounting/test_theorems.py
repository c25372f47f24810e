import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import Guarantee, gdp, rdp
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.accounting.theorems import (
    advanced,
    amplified,
    basic,
    log_total_delta,
    optimal,
    slack,
    step_epsilon,
)
from dpplan.accounting.theorems.optimal import homogeneous_epsilon, homogeneous_log_delta, log_sums_from
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

PLANS = [
    Plan.from_rate(4.0, 0.01, 10_000),
    Plan.from_rate(1.0, 1.0, 10),
    Plan.from_rate(0.5, 0.001, 500),
    Plan((Phase(Gaussian(2.0), Poisson(0.02), 100), Phase(Gaussian(1.0), Poisson(0.01), 300))),
]


@pytest.mark.parametrize("sample_rate", [1e-9, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("step_delta", [1e-3, 1e-9, 1e-60])
def test_step_guarantee_is_the_exact_curve_amplified_by_sampling(sample_rate, step_delta):
    value = step_epsilon(SampledGaussian(1.5, sample_rate, 1), step_delta)
    if step_delta >= sample_rate:
        assert value == 0
        return
    base = gdp.epsilon_interval(1 / 1.5, step_delta / sample_rate)
    if base.upper == 0:
        assert value == 0
        return
    assert oracle.gaussian_log_delta(1 / 1.5, base.upper) <= mp.log(mpf(step_delta) / mpf(sample_rate))
    truth = mp.log1p(mpf(sample_rate) * mp.expm1(mpf(base.lower)))
    assert 0 <= float(mpf(value) / truth - 1) < 1e-11


@pytest.mark.parametrize("epsilon", [1e-12, 0.3, 20.0, 599.0, 601.0, 1e5])
@pytest.mark.parametrize("sample_rate", [1e-9, 0.5, 1.0])
def test_amplification_at_every_size(epsilon, sample_rate):
    truth = mp.log1p(mpf(sample_rate) * mp.expm1(mpf(epsilon)))
    assert float(abs(mpf(amplified(sample_rate, epsilon)) / truth - 1)) < 1e-13


def test_splits_of_delta_are_exact():
    rest = slack(1e-5, 1000, 4e-9)
    assert rest == pytest.approx(1 - (1 - 1e-5) / (1 - 4e-9) ** 1000, rel=1e-9)
    assert log_total_delta(math.log(rest), 1000, 4e-9) == pytest.approx(math.log(1e-5), abs=1e-9)
    assert slack(1e-5, 1000, 1.1e-8) < 0
    assert log_total_delta(-math.inf, 7, 1e-250) == pytest.approx(math.log(7e-250), rel=1e-14)
    assert log_total_delta(0.0, 7, 1e-9) == 0


@pytest.mark.parametrize(
    ("delta", "step_delta"),
    [
        (0.9997309813444744, 0.999729538311332),
        (0.9996878049169555, 0.999686157495679),
        (0.9998665532595555, 0.999865511725034),
    ],
)
def test_a_split_of_a_delta_near_one_leaves_no_more_than_there_is(delta, step_delta):
    with mp.workdps(40):
        assert slack(delta, 1, step_delta) <= 1 - (1 - mpf(delta)) / (1 - mpf(step_delta))


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 151])
@pytest.mark.parametrize("step_eps", [1e-4, 0.05, 0.9, 4.0, 25.0])
@pytest.mark.parametrize("share", [0.0, 1e-6, 0.05, 0.33, 0.8, 0.999])
def test_optimal_curve_against_all_outcomes(steps, step_eps, share):
    epsilon = share * steps * step_eps
    value = homogeneous_log_delta(step_eps, steps, epsilon)
    truth = mp.log(oracle.randomized_response_delta(step_eps, steps, epsilon))
    assert 0 <= float(mpf(value) - truth) < 1e-9


@pytest.mark.parametrize(
    ("step_eps", "steps", "epsilon"),
    [
        (0.008824210018905874, 7, 0.06176947013234112),
        (0.7449503774794796, 20, 14.89900754958959),
        (21.96810727104393, 3, 65.90432181313179),
    ],
)
def test_the_largest_loss_itself_is_not_rounded_away(step_eps, steps, epsilon):
    """steps·ε₀ is a little above ε, and rounds to it: δ is tiny and not 0."""
    truth = oracle.randomized_response_delta(step_eps, steps, epsilon)
    assert truth > 0
    assert homogeneous_log_delta(step_eps, steps, epsilon) >= mp.log(truth)


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 151])
@pytest.mark.parametrize("step_eps", [1e-4, 0.05, 0.9, 4.0])
@pytest.mark.parametrize("delta", [0.4, 1e-3, 1e-10, 1e-80])
def test_optimal_epsilon_is_the_least_that_holds(steps, step_eps, delta):
    epsilon = homogeneous_epsilon(step_eps, steps, math.log(delta))
    assert oracle.randomized_response_delta(step_eps, steps, epsilon) <= delta
    if epsilon > 0:
        assert oracle.randomized_response_delta(step_eps, steps, epsilon * (1 - 1e-9)) > delta


@pytest.mark.parametrize(("step_eps", "steps"), [(1.0, 1000), (0.1, 1029), (0.01, 2000), (0.01, 10**6), (3.0, 10**6)])
def test_optimal_composition_does_not_overflow(step_eps, steps):
    """Direct sums overflow at all of these; the values lie between the mean loss and all of the loss."""
    epsilon = homogeneous_epsilon(step_eps, steps, math.log(1e-5))
    mean = steps * step_eps * math.tanh(step_eps / 2)
    assert mean < epsilon < min(steps * step_eps, mean + step_eps * math.sqrt(2 * steps * math.log(1e5)))
    assert homogeneous_log_delta(step_eps, steps, epsilon) == pytest.approx(math.log(1e-5), abs=1e-4)


def test_a_billion_steps_approach_the_gaussian_limit():
    # k steps of ε₀ tend to a Gaussian mechanism with μ = ε₀·sqrt(k) as ε₀ falls (central limit theorem).
    epsilon = homogeneous_epsilon(3e-5, 10**9, math.log(1e-6))
    assert epsilon == pytest.approx(gdp.gaussian_epsilon(3e-5 * math.sqrt(1e9), 1e-6), rel=1e-4)


@pytest.mark.parametrize("steps", [3, 40, 1000])
@pytest.mark.parametrize("step_eps", [0.003, 0.2, 1.5])
@pytest.mark.parametrize("delta", [0.1, 1e-6, 1e-40])
def test_advanced_composition_is_never_below_the_optimum(steps, step_eps, delta):
    claimed = advanced.compose([(steps, step_eps)], math.log(delta))
    assert claimed >= homogeneous_epsilon(step_eps, steps, math.log(delta)) * (1 - 1e-12)
    needed = advanced.log_least_slack([(steps, step_eps)], claimed)
    assert needed == -math.inf or needed == pytest.approx(math.log(delta), rel=1e-9)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("delta", [0.3, 1e-5, 1e-30])
def test_the_three_are_upper_bounds_in_their_known_order(plan, delta):
    bounds = [module.epsilon(plan, delta) for module in (basic, advanced, optimal)]
    assert all(bound.guarantee is Guarantee.UPPER for bound in bounds)
    loosest, middle, tightest = (bound.upper for bound in bounds)
    assert middle <= loosest
    if len(plan.phases) == 1:
        assert tightest <= middle * (1 + 1e-6)
        assert tightest >= 0.4 * rdp.epsilon(plan, delta).upper


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("module", [basic, advanced, optimal])
def test_the_split_on_record_adds_up_to_delta(plan, module):
    bound = module.epsilon(plan, 1e-5)
    total = log_total_delta(
        math.log(bound.details["slack_delta"]) if bound.details["slack_delta"] else -math.inf,
        plan.steps,
        bound.details["step_delta"],
    )
    assert math.exp(total) <= 1e-5 * (1 + 1e-9)
    assert f"{bound.details['step_delta']:.3g}" in bound.why


def test_unequal_phases_take_the_worst_step_for_all_and_say_so():
    mild, harsh = Phase(Gaussian(8.0), Poisson(0.01), 50), Phase(Gaussian(2.0), Poisson(0.01), 50)
    bound = optimal.epsilon(Plan((mild, harsh)), 1e-5)
    same = optimal.epsilon(Plan((Phase(Gaussian(2.0), Poisson(0.01), 100),)), 1e-5)
    assert bound.upper == pytest.approx(same.upper, rel=1e-9)
    assert "largest" in bound.why
    assert "largest" not in same.why


def test_delta_of_one_is_the_honest_answer_when_nothing_is_proven():
    plan = Plan.from_rate(0.1, 0.5, 1000)
    for module in (basic, advanced, optimal):
        assert module.delta(plan, 0.5).upper == 1.0


@pytest.mark.parametrize("depth", [50.0, 2000.0])
def test_sums_from_each_place_on_keep_to_the_error_that_is_added(depth):
    """Also where the terms leave the floats."""
    logs = -np.linspace(0.0, depth, 3000) - 7.0
    found = log_sums_from(logs)
    for place in (0, 1500, 2999):
        with mp.workdps(30):
            truth = mp.log(sum(mp.exp(mpf(each)) for each in logs[place:].tolist()))
        assert abs(found[place] - truth) <= 1e-13 + 2.5e-16 * 3004 * abs(logs).max()


@pytest.mark.parametrize("steps", [10, 4000])
def test_where_less_than_the_mean_loss_is_spent_the_window_is_moved_down(steps):
    """A delta near D(0): the answer lies below the mean of the losses."""
    most = homogeneous_log_delta(1e-3, steps, 0.0)
    mean = steps * 1e-3 * math.tanh(5e-4)
    spent = homogeneous_epsilon(1e-3, steps, most - 1e-4)
    assert 0.0 <= spent < mean
    assert homogeneous_log_delta(1e-3, steps, spent) <= most - 1e-4 + 1e-9
