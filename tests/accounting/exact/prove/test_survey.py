"""What a proof is planned with: moments, ranges and paths, each near the truth. None of it is relied upon."""

import math

import numpy as np
import oracle
import pytest
from flint import arb
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import tail_decay
from dpplan.accounting.exact.prove.balls import working_precision
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, FloatMoments, log_ratio, phases_of, span
from dpplan.accounting.exact.prove.path_search import Path, best_path, estimate, highest
from dpplan.plan import Plan

PHASES = [ComposedSteps(1.0, 0.01, 100), ComposedSteps(0.5, 0.4, 3), ComposedSteps(3.0, 1e-5, 10**6)]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("direction", "tilt"), [(Direction.REMOVE, 2.5), (Direction.ADD, 1.5)])
def test_moments(phase, direction, tilt):
    found = FloatMoments((phase,), direction).at(tilt)
    with mp.workdps(50):
        a, h = direction.exponent(tilt), mpf(10) ** -8
        logs = [mp.log(g.real) for g in oracle.transforms(phase.q, phase.sigma, [mpc(a + k * h) for k in (-1, 0, 1)])]
        mean = direction.value * phase.count * (logs[2] - logs[0]) / (2 * h)
        variance = phase.count * (logs[2] - 2 * logs[1] + logs[0]) / h**2
    assert found.log_m == pytest.approx(float(phase.count * logs[1]), rel=1e-6, abs=1e-9 * phase.count)
    assert found.mean == pytest.approx(float(mean), rel=1e-5, abs=1e-9 * phase.count)
    assert found.variance == pytest.approx(float(variance), rel=1e-3)


@pytest.mark.parametrize("direction", list(Direction))
def test_saddle_is_where_the_exponent_is_flat(direction):
    survey, epsilon = FloatMoments((PHASES[0], PHASES[1]), direction), 0.4
    tilt = survey.saddle(epsilon)
    slopes = [survey.at(t).mean - epsilon - 1 / t - 1 / (1 + t) for t in (tilt, tilt * 1.002)]
    assert slopes[0] <= 0.0 <= slopes[1]


def test_estimates_of_a_gaussian_composition():
    survey = FloatMoments((ComposedSteps(10.0, 1.0, 25),), Direction.REMOVE)
    truth = float(oracle.gaussian_log_delta(0.5, 1.5))
    assert survey.log_estimate(1.5) == pytest.approx(truth, abs=0.2)
    assert truth <= survey.log_chernoff(survey.saddle(1.5), 1.5) <= truth + 4.0
    assert survey.log_chernoff(0.0, 1.5) == 0.0


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("a", [-6.0, 0.5, 9.0])
def test_span_leaves_nothing_outside(phase, a):
    low, high = span(phase, a, 9.0)
    x = np.linspace(low - 20 * phase.sigma, high + 20 * phase.sigma, 40001)
    terms = a * log_ratio(phase, x) - 0.5 * (x / phase.sigma) ** 2
    mass = np.exp(terms - terms.max())
    assert mass[(x < low) | (x > high)].sum() <= math.exp(-40.0) * mass.sum()


def test_span_begins_at_the_mode_and_not_far_left_of_it():
    """For a = -6 and so rare a step the mode is near 0, not near -6."""
    low, high = span(PHASES[0], -6.0, 9.0)
    assert -9.5 < low < -9.0
    assert high == 9.0


def test_equal_phases_are_merged():
    plan = Plan.from_rate(1.0, 0.01, 7)
    assert phases_of(plan) == (ComposedSteps(1.0, 0.01, 7),)


@pytest.mark.parametrize(("a", "u"), [(4.0, 3.0), (-2.0, 1.0)])
def test_a_paths_estimate_is_the_bound_it_stands_for(a, u):
    phase = ComposedSteps(0.9, 0.05, 40)
    tried = [Path(0.0), Path(1.0), Path(1.5, 1.0, 0.7), Path(0.4, -2.0, 2.0)]
    with working_precision(100):
        for path, value in zip(tried, estimate(phase, a, u, tried).tolist(), strict=True):
            bound = tail_decay.bound(phase, arb(a), arb(u), path, 30)
            assert value == pytest.approx(float(bound.log().mid()), abs=0.01)


@pytest.mark.parametrize(("a", "u"), [(3.0, 1.0), (3.0, 15.0), (-1.0, 4.0)])
def test_the_best_path_comes_near_the_transform_itself(a, u):
    phase = ComposedSteps(0.9, 0.05, 1)
    path, value = best_path(phase, a, u, None)
    assert 0.0 < path.height <= highest(phase)
    with mp.workdps(30):
        moving, still = oracle.transforms(phase.q, phase.sigma, [mpc(a, u), mpc(a)])
        truth = float(mp.log(abs(moving) / still.real))
    assert truth - 1e-6 <= value <= 0.98 * truth
    assert best_path(phase, a, u, None) == (path, value)  # the same question, the same proof


def test_without_sampling_a_path_is_exact():
    phase = ComposedSteps(2.0, 1.0, 1)
    path, value = best_path(phase, 3.0, 1.2, None)
    assert value == pytest.approx(-(1.2**2) / (2 * 4.0))
    assert estimate(phase, 3.0, 1.2, [path])[0] == pytest.approx((3.0 * 2.0 - 1.2**2) / (2 * 4.0))
