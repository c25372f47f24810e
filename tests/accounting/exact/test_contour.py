"""A contour by itself: its sum, its aliases and Chernoff's bounds against deltas known in closed form."""

import math
from dataclasses import replace

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour import sum_at_many_epsilons
from dpplan.accounting.exact.contour.composed_loss import Measure
from dpplan.accounting.exact.contour.delta_interval import Aim, Chernoff, Contour, ContourTolerance
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
SHARP = ContourTolerance(aliases=math.log(1e-14), rest=math.log(1e-13), most=8192)
# σ, tilt and ε of a Gaussian composition of so many steps, which has a closed form; q = 1 - 1e-16 and not 1.
NEARLY_ALL = 1.0 - 2.0**-53
GAUSSIAN = [(10.0, 25, 6.0, 1.5), (3.0, 9, 3.0, 2.0), (40.0, 400, 12.0, 3.0)]


def made(sigma, q, count, direction, tilt, epsilon, accuracy=SHARP, around=(-0.4, 0.3, 0.8)):
    """A contour, placed by hand; around: other tilts in the table, relative."""
    steps = Steps.of([(sigma, q, count)])
    moments = Measure(steps, direction).moments(tilt * (1.0 + np.array([0.0, *around])))
    spread = float(count * moments.first.curvature[0, 0]) + tilt**-2
    log_delta = (
        float(moments.logs[0]) - tilt * epsilon - math.log(tilt * (1.0 + tilt) * math.sqrt(2 * math.pi * spread))
    )
    return Contour(moments, 0, spread, Aim(epsilon, min(log_delta, 0.0)), accuracy)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "count", "tilt", "epsilon"), GAUSSIAN)
def test_the_interval_holds_the_gaussian_curve_near_and_far(sigma, count, tilt, epsilon, direction):
    contour = made(sigma, NEARLY_ALL, count, direction, tilt, epsilon)
    assert contour.reached
    for spent in (epsilon, 0.9 * epsilon, 1.1 * epsilon, 0.0, 3.0 * epsilon):
        found, truth = contour.at(spent), mp.exp(oracle.gaussian_log_delta(math.sqrt(count) / sigma, spent))
        slack = mpf(10) ** -13 * truth  # of the rate, which is not quite 1
        assert found.lower - slack <= truth <= found.upper + slack
        assert contour.log_chernoff(spent) >= mp.log(truth)
    value, truth = contour.at(epsilon), mp.exp(oracle.gaussian_log_delta(math.sqrt(count) / sigma, epsilon))
    assert value.upper - value.lower < 1e-9 * truth
    h = 1e-4
    rise = mp.exp(oracle.gaussian_log_delta(math.sqrt(count) / sigma, epsilon + h)) - mp.exp(
        oracle.gaussian_log_delta(math.sqrt(count) / sigma, epsilon - h)
    )
    assert value.slope == pytest.approx(float(rise) / (2 * h), rel=1e-6)


@pytest.mark.parametrize(("sigma", "q", "tilt", "epsilon"), [(1.0, 0.01, 5.0, 0.5), (0.5, 0.3, 1.5, 3.0)])
def test_one_step_is_held_however_short_the_sum(sigma, q, tilt, epsilon):
    """One step's transform hardly falls: what is left out has to be counted, whatever that makes of the width."""
    for most in (64, 512, 4096):
        contour = made(sigma, q, 1, Direction.REMOVE, tilt, epsilon, replace(SHARP, most=most))
        for spent in (0.5 * epsilon, epsilon, 1.5 * epsilon):
            value = contour.at(spent)
            assert value.lower <= oracle.step_delta(q, sigma, mpf(spent)) <= value.upper
    assert not contour.reached


def test_every_error_is_named_and_they_make_up_the_width():
    contour = made(10.0, NEARLY_ALL, 25, Direction.REMOVE, 6.0, 1.5)
    value = contour.at(1.5)
    sizes = dict(value.terms)
    assert value.upper - value.estimate <= sum(sizes.values()) * (1 + 1e-6) + 1e-15 * value.estimate
    assert value.estimate - value.lower <= sum(sizes.values()) * (1 + 1e-6) + 1e-15 * value.estimate
    assert sizes["aliases"] > 0.0
    assert sizes["transform and rounding"] > 0.0


def test_outside_the_range_of_floats_it_claims_nothing():
    contour = made(10.0, NEARLY_ALL, 25, Direction.REMOVE, 6.0, 1.5)
    value = contour.at(1e5)
    assert (value.lower, value.upper) == (0.0, math.inf)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "count", "tilt", "epsilon"), GAUSSIAN)
def test_many_epsilons_by_one_product_hold_the_curve_below_zero_too(sigma, count, tilt, epsilon, direction):
    contour, mu = made(sigma, NEARLY_ALL, count, direction, tilt, epsilon), math.sqrt(count) / sigma
    asked = np.array([epsilon, 0.0, -0.3 * epsilon, -0.01, 0.5 * epsilon, 2.0 * epsilon, 1e5])
    low, high = contour.ends(asked)
    for at, spent in enumerate(asked.tolist()):
        truth = mp.exp(oracle.gaussian_log_delta(mu, abs(spent)))
        if spent < 0.0:  # δ(-ε) = 1 - e^-ε·(1 - δ(ε)), both directions being alike
            truth = 1 - mp.exp(spent) * (1 - truth)
        slack = mpf(10) ** -13 * truth
        assert low[at] - slack <= truth <= high[at] + slack
        if 0.0 <= spent < 1e4:
            one = contour.at(spent)
            assert low[at] == pytest.approx(max(one.lower, 0.0), rel=1e-6, abs=1e-14 * float(truth))
            assert high[at] - low[at] <= 2.0 * (one.upper - one.lower) + 1e-12 * one.upper
    assert high[0] - low[0] < 1e-9 * high[0]
    assert low[-1] == 0.0


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_factored_sum_is_off_by_no_more_than_it_says(size):
    rng = np.random.default_rng(size)
    weights, h = rng.normal(size=size) + 1j * rng.normal(size=size), 0.037
    epsilons = np.array([0.0, 0.7, -3.0, 40.0])
    sums, units = sum_at_many_epsilons.real_sums(weights, h, epsilons)
    for epsilon, found in zip(epsilons.tolist(), sums.tolist(), strict=True):
        with mp.workdps(40):
            turns = [mp.expj(-mpf(h) * k * mpf(epsilon)) for k in range(size)]
            truth = mp.re(mp.fsum(mp.mpc(w) * turn for w, turn in zip(weights.tolist(), turns, strict=True)))
        phases = 2.0**-52 * h * abs(epsilon) * float((np.abs(weights) * np.arange(size)).sum())
        assert abs(found - truth) <= units * float(np.abs(weights).sum()) + phases
    assert units < 1e-10


def gaussian_table(mu, tilts):
    """Of N(μ²/2, μ²): log M(s) = s(s + 1)μ²/2."""
    return Chernoff.of(tilts, tilts * (tilts + 1.0) * mu * mu / 2.0)


@pytest.mark.parametrize("mu", [0.1, 1.0, 6.0])
def test_chernoff_is_above_the_curve_and_near_at_its_best_tilt(mu):
    table = gaussian_table(mu, np.geomspace(1e-3, 200.0, 400))
    for epsilon in (0.0, 0.5 * mu, 2 * mu, 5 * mu + mu * mu / 2):
        truth = float(oracle.gaussian_log_delta(mu, epsilon))
        assert truth <= table.log_delta(epsilon) <= truth + 5.0


@pytest.mark.parametrize(("tilt", "period"), [(2.0, 3.0), (1.0, 6.0), (4.0, 2.0)])
def test_aliases_are_bounded_by_the_best_tilt_on_either_side(tilt, period):
    """Σ over k != 0 of e^(kΛt)·δ(ε + kΛ), by direct summation; δ(ε) = 1 - e^ε·(1 - δ(-ε)) at negative ε."""
    mu, epsilon = 1.0, 1.2

    def delta(at):
        upper, lower = (mpf(at) / mu - mpf(mu) / 2), (mpf(at) / mu + mpf(mu) / 2)
        return oracle.normal_tail(upper) - mp.exp(at) * oracle.normal_tail(lower)

    with mp.workdps(60):
        truth = mp.fsum(mp.exp(k * period * tilt) * delta(epsilon + k * period) for k in range(-60, 20) if k)
        table = gaussian_table(mu, np.append(np.geomspace(0.05, 30.0, 60), 0.0))
        bound = table.log_aliases(tilt, period, epsilon)
        assert mp.log(truth) <= bound <= mp.log(truth) + 6.0


def test_without_a_tilt_on_one_side_aliases_have_no_bound():
    assert gaussian_table(1.0, np.array([0.5, 1.0])).log_aliases(1.0, 5.0, 1.0) == math.inf
