"""Many plans at once, and rare steps that come to nothing: held against one plan at a time."""

import math
import random

import numpy as np
import pytest

from dpplan import solve
from dpplan.accounting import exact, rdp
from dpplan.accounting.exact import event_lower_bound, many_plans_near_target, rdp_cross_check
from dpplan.accounting.exact.contour import many_plans, placement
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.many_plans_near_target import epsilons_near, excesses
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.errors import InternalError
from dpplan.plan import Plan, Settings


def families(seed, count):
    """Plans at random with two like them, of a little less and a little more noise."""
    rng = random.Random(seed)
    while count:
        sigma, rate = math.exp(rng.uniform(math.log(0.55), math.log(8))), math.exp(rng.uniform(math.log(1e-3), -1.5))
        steps = int((sigma / rate) ** 2 * math.exp(rng.uniform(-4.0, -0.5)))
        if 3 <= steps <= 300_000:
            count -= 1
            yield [Plan.from_rate(round(share * sigma, 4), round(rate, 6), steps) for share in (0.9, 1.0, 1.1)]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("delta", [1e-5, 1e-9])
def test_the_intervals_meet_those_of_one_plan_at_a_time(delta):
    answered = 0
    for family in families(3, 8):
        aim = exact.epsilon(family[1], delta).value
        for plan, found in zip(family, epsilons_near(family, aim, delta), strict=True):
            if found is not None:
                alone = exact.epsilon(plan, delta)
                assert found.lower <= alone.upper
                assert alone.lower <= found.upper
                assert found.guarantee == "certified"
                answered += 1
    assert answered >= 12


def test_near_what_was_aimed_at_they_are_narrow():
    several = [
        Settings(noise_multiplier=noise, examples=60000, batch_size=batch, epochs=epochs).plan()
        for noise, batch, epochs in ((0.6, 256, 3), (1.0, 512, 20), (1.5, 2048, 10), (3.0, 4096, 40), (0.9, 200, 90))
    ]
    for plan in several:
        epsilon = exact.epsilon(plan, 1e-5)
        found = epsilons_near([plan, *several], epsilon.value, 1e-5)[0]
        assert found is not None
        assert found.relative_width <= 1e-6


def test_so_they_are_where_large_losses_are_rare():
    """Moments soar there: a saddle is no place that Newton's rule finds by itself, and delta is little of its sum."""
    rows = [(0.6148, 64, 224750), (0.7438, 138, 446231), (0.9469, 1371, 10491), (1.349, 873, 80378), (0.57, 64, 15625)]
    several = [
        Settings(noise_multiplier=noise, examples=1_000_000, batch_size=batch, steps=steps).plan()
        for noise, batch, steps in rows
    ]
    for plan, found in zip(several, epsilons_near(several, 1.0, 1e-7), strict=True):
        alone = exact.epsilon(plan, 1e-7)
        assert found is not None
        assert max(found.lower, alone.lower) <= min(found.upper, alone.upper)
        assert found.relative_width <= 1e-6


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("epsilon", "delta"), [(0.3, 1e-5), (3.0, 1e-5), (3.0, 1e-12), (20.0, 1e-7)])
def test_an_estimate_of_many_says_how_far_they_are_from_what_they_may_spend(epsilon, delta):
    whole = Settings(examples=60000, batch_size=600, epochs=20)
    least = solve.noise(whole, epsilon, delta).value
    plans = [whole.with_(noise_multiplier=share * least).plan() for share in (0.8, 0.98, 1.0, 1.02, 1.25)]
    found = excesses([*plans, Plan.from_rate(1.0, 1.0, 10)], epsilon, delta)
    truth = [math.log(exact.epsilon(plan, delta).value / epsilon) for plan in plans]
    assert found[1:4] == pytest.approx(truth[1:4], abs=0.02)
    assert found[0] > truth[1]
    assert found[4] < truth[3]
    assert math.isnan(found[5])


def test_plans_of_several_phases_are_left_to_others():
    plan = Plan.from_rate(1.0, 0.01, 1000)
    mixed = Plan((*plan.phases, *Plan.from_rate(2.0, 0.01, 1000).phases))
    found = epsilons_near([mixed, plan, Plan.from_rate(1.0, 1.0, 10)], 2.0, 1e-5)
    assert found[0] is None
    assert found[2] is None
    assert found[1] is not None


@pytest.mark.slow
def test_the_chi_square_divergence_bounds_delta_at_zero():
    for sigma, rate, count in ((1.0, 1e-7, 1000), (0.7, 1e-5, 100), (3.0, 0.01, 10_000), (2.0, 0.1, 3)):
        bound = placement.delta_at_zero_above(Steps.of([(sigma, rate, count)]))
        assert exact.delta(Plan.from_rate(sigma, rate, count), 0.0).lower <= bound


def test_what_settles_the_add_direction_is_that_of_one_plan_at_a_time():
    steps = Steps.of(((0.7, 0.2, 9), (2.0, 1e-6, 5), (5.0, 0.3, 100_000)))
    rows = [many_plans.rows_of(steps, np.array([row])) for row in range(3)]
    alone = [placement.largest_added_loss(row) for row in rows]
    np.testing.assert_allclose(many_plans.largest_added_losses(steps), alone, rtol=1e-15)
    alone = [placement.delta_at_zero_above(row) for row in rows]
    np.testing.assert_allclose(many_plans.deltas_at_zero_above(steps), alone, rtol=1e-12)


def test_rare_steps_too_small_to_matter_spend_nothing():
    """Their total variations add up to 1e-4, and what they come to together is below 1e-5."""
    bound = exact.epsilon(Plan.from_rate(1.0, 3e-7, 1000), 1e-5)
    assert (bound.lower, bound.upper) == (0.0, 0.0)


def test_the_ceiling_of_each_is_renyi_dps_at_a_whole_order():
    plans = [(1.0, 0.01, 1000), (3.0, 0.1, 800), (0.5, 0.001, 1000), (20.0, 0.5, 100), (1.0, 1e-6, 10**6)]
    steps = Steps(*(np.array([column]).T.astype(float) for column in zip(*plans, strict=True)))
    orders = np.array([2.0, 7.0, 4.0, 30.0, 12.0])
    found = rdp_cross_check.renyi_epsilons(steps, orders - 1.0, 1e-5)
    for each, order, ceiling in zip(plans, orders, found, strict=True):
        divergence = each[2] * rdp.divergence(SampledGaussian(*each), np.array([order]))
        known = rdp.to_epsilon(divergence, np.array([order]), 1e-5)[0]
        assert known * (1.0 - 1e-9) <= ceiling <= known * (1.0 + 1e-5)


def test_the_floor_of_each_is_that_of_a_plain_event():
    plans = [(1.0, 0.01, 1000), (3.0, 0.1, 800), (0.5, 0.001, 1000), (20.0, 0.5, 100)]
    steps = Steps(*(np.array([column]).T.astype(float) for column in zip(*plans, strict=True)))
    for each, floor in zip(plans, event_lower_bound.epsilons_of_each(steps, 1e-5), strict=True):
        best = event_lower_bound.EventBound(Steps.of([each])).epsilon(1e-5)
        assert 0.3 * best < floor <= best


@pytest.mark.parametrize("factor", [1.5, 0.1])
def test_an_answer_that_other_proofs_contradict_is_none(monkeypatch, factor):
    """Of a whole batch, one row made wrong."""
    plans = [Plan.from_rate(sigma, 0.01, 1000) for sigma in (0.9, 0.95, 1.0)]
    ends = many_plans_near_target._ends

    def sabotaged(*arguments):
        lower, upper, tilts = ends(*arguments)
        lower[1], upper[1] = factor * lower[1], factor * upper[1]
        return lower, upper, tilts

    assert all(epsilons_near(plans, 2.0, 1e-5))
    monkeypatch.setattr(many_plans_near_target, "_ends", sabotaged)
    with pytest.raises(InternalError, match="exceeds the proven upper end"):
        epsilons_near(plans, 2.0, 1e-5)
