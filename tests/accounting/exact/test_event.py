"""A plain event's lower bounds lie below the truth, and not far below it where one step decides."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.event_lower_bound import EventBound

SINGLE = [(1.0, 0.01), (0.2, 1e-4), (0.05, 0.5), (30.0, 0.9), (1.0, 1e-9)]


@pytest.mark.parametrize(("sigma", "q"), SINGLE)
def test_one_steps_bound_is_below_the_closed_form_and_near(sigma, q):
    bound = EventBound(Steps.of([(sigma, q, 1)]))
    with mp.workdps(60):
        for epsilon in (0.0, 0.01, 1.0, 10.0, 100.0):
            truth = oracle.step_delta(q, sigma, mpf(epsilon))
            found = bound.delta(epsilon)
            assert found <= truth
            if q >= 1e-4 and truth > 1e-3 * q:
                assert found >= 0.8 * truth
            if found > 1e-280:
                spent = bound.epsilon(found)
                assert oracle.step_delta(q, sigma, mpf(spent)) >= found


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 4), (3.0, 100), (50.0, 10**6), (0.1, 2)])
def test_many_steps_stay_below_the_gaussian_curve(sigma, steps):
    bound = EventBound(Steps.of([(sigma, 1.0, steps)]))
    mu = math.sqrt(steps) / sigma
    for epsilon in (0.0, 0.3, 3.0, 30.0):
        found = bound.delta(epsilon)
        if found > 0.0:
            assert mp.log(found) <= oracle.gaussian_log_delta(mu, epsilon)
            assert oracle.gaussian_log_delta(mu, bound.epsilon(found)) >= mp.log(found) - 1e-15


def test_two_kinds_of_steps_stay_below_the_gaussian_curve_of_both():
    bound = EventBound(Steps.of([(1.0, 1.0, 3), (0.4, 1.0, 2)]))
    mu = math.sqrt(3 + 2 / 0.4**2)
    for epsilon in (0.1, 1.0, 4.0, 20.0):
        assert 0.0 < bound.delta(epsilon) <= mp.exp(oracle.gaussian_log_delta(mu, epsilon))


def test_where_it_knows_nothing_it_says_nothing():
    bound = EventBound(Steps.of([(1.0, 0.01, 10)]))
    assert bound.delta(1e4) == 0.0
    assert bound.epsilon(1e-295) == 0.0
    assert bound.epsilon(0.999) == 0.0
    assert np.isfinite(bound.epsilon(1e-280))
