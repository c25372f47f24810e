"""Chernoff's bounds in logarithms: at least the true ones of the numbers they are given, however much these cancel."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour import chernoff
from dpplan.accounting.exact.contour.saddle_point import log_chernoff_factor

DIGITS = 60


def sizes(count, low, high, rng):
    """Numbers of all sizes between, of either sign."""
    return rng.choice((-1.0, 1.0), count) * np.exp(rng.uniform(math.log(low), math.log(high), count))


def factor(tilt):
    return -tilt * mp.log1p(1 / tilt) - mp.log1p(tilt) if tilt else mpf(0)


def near(bound, truth, *parts):
    """Not below, and not further above than rounding explains."""
    truth = mpf(truth)
    assert truth <= mpf(float(bound)) <= truth + mpf(2) ** -47 * (1 + sum(abs(mpf(part)) for part in parts))


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


def test_a_factor_is_that_of_the_saddle_point():
    tilts = np.array([[1e-9, 0.3, 0.0], [4.0, 1e6, 1e19]])
    expected = [log_chernoff_factor(float(tilt)) for tilt in tilts.ravel()]
    assert chernoff.log_factors(tilts).ravel().tolist() == pytest.approx(expected, rel=1e-12)


def test_tops_are_rounded_up_also_where_moment_and_factor_cancel():
    rng = np.random.default_rng(1)
    tilts = np.abs(sizes(400, 1e-12, 1e19, rng))
    logs = np.concatenate((sizes(200, 1e-9, 1e12, rng), -chernoff.log_factors(tilts[200:])))
    for tilt, log, top in zip(tilts, logs, chernoff.log_tops(tilts, logs), strict=True):
        near(top, mpf(log) + factor(mpf(tilt)), log, factor(mpf(tilt)))


def test_bounds_on_delta_are_rounded_up_also_where_top_and_tilt_cancel():
    rng = np.random.default_rng(2)
    tilts, epsilon = np.abs(sizes(400, 1e-9, 1e9, rng)), np.abs(sizes(400, 1e-6, 1e6, rng))
    tops = tilts * epsilon + sizes(400, 1e-9, 1e9, rng)
    found = chernoff.log_deltas(tops, tilts, epsilon)
    for top, tilt, at, log in zip(tops, tilts, epsilon, found, strict=True):
        near(log, mpf(top) - mpf(tilt) * mpf(at), top, mpf(tilt) * mpf(at))


def test_bounds_on_aliases_are_rounded_up_and_none_comes_from_the_contours_own_tilt():
    rng = np.random.default_rng(3)
    distance, logs = np.abs(sizes(400, 1e-11, 1e9, rng)), sizes(400, 1e-6, 1e9, rng)
    found = chernoff.log_aliases(logs, distance)
    for log, x, bound in zip(logs, distance, found, strict=True):
        series = -mpf(x) - mp.log(-mp.expm1(-mpf(x)))
        near(bound, mpf(log) + series, log, x, mp.log(-mp.expm1(-mpf(x))))
    # So near that the series is larger than what its logarithm at NEAREST would be: nothing is known.
    assert np.all(np.isinf(chernoff.log_aliases(np.zeros(3), np.array([0.0, 1e-300, 1e-13]))))


def test_sums_and_logarithms_are_rounded_up():
    rng = np.random.default_rng(4)
    first = sizes(400, 1e-6, 1e6, rng)
    second = first + sizes(400, 1e-9, 1e3, rng)
    for one, other, total in zip(first, second, chernoff.log_sum_above(first, second), strict=True):
        larger, gap = max(mpf(one), mpf(other)), abs(mpf(one) - mpf(other))
        near(total, larger + mp.log1p(mp.exp(-gap)), one, other)
    for x in np.abs(sizes(400, 1e-300, 1e300, rng)):
        near(chernoff.log_above(float(x)), mp.log(mpf(x)), mp.log(mpf(x)))
    assert chernoff.log_above(0.0) == -math.inf


def test_a_probability_is_rounded_up_and_is_at_most_1():
    for log in (*-np.geomspace(1e-17, 700.0, 400), 0.0):
        assert mpf(chernoff.probability(float(log))) >= mp.exp(mpf(float(log)))
    assert chernoff.probability(3.0) == 1.0
    assert chernoff.probability(-math.inf) == 0.0
