"""Paths with a rare jump, as a measure: line, moments and decay against their transforms in mpmath."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.rare_jumps.runs_with_a_jump import Rare

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
SIGMA, Q, TILT, POWER = 0.8, 1e-4, 5.0, 6.0
START, END = 1.0 + 1.2 * SIGMA, 1.0 + 5.0 * SIGMA
WIDTH = SIGMA**2 / POWER / 6  # the cut turns by y·p/σ²: within five of these it is tame
FREQUENCIES = np.linspace(0.0, 4.0, 2)


def weight(place):
    """exp(-e^g) with g = p·(x - place)/σ²."""
    return lambda x: mp.exp(-mp.exp(mpf(POWER) * (x - mpf(place)) / mpf(SIGMA) ** 2))


@pytest.fixture(scope="module")
def truths():
    """One step's transforms under the cut at END and at START, at the tilt and at each frequency."""
    with mp.workdps(30):
        exponents = [mpc(1 + TILT, u) for u in FREQUENCIES.tolist()]
        return [oracle.transforms(Q, SIGMA, exponents, weight(place), WIDTH, 45.0) for place in (END, START)]


def rare(count):
    one = np.ones(1)
    return Rare(Steps.of([(SIGMA, Q, count)]), POWER * one, START * one, END * one)


@pytest.mark.slow
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2, 1000])
def test_line_is_all_paths_less_those_in_the_bulk(truths, count):
    line = rare(count).line(TILT, FREQUENCIES)
    with mp.workdps(35):
        unit = mp.exp(mpf(line.log_unit))
        gaps = [whole**count - bulk**count for whole, bulk in zip(*truths, strict=True)]
        for value, error, gap in zip(line.values.tolist(), line.error.tolist(), gaps, strict=True):
            assert abs(mpc(value) - gap / unit) <= error
        assert np.all(line.error <= 1e-8 * abs(line.values[0]))


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_moments_and_decay_bound_them_from_above(truths, count):
    moments = rare(count).moments(np.array([TILT, 1.5 * TILT]))
    with mp.workdps(35):
        gaps = [whole**count - bulk**count for whole, bulk in zip(*truths, strict=True)]
        assert mp.log(gaps[0].real) <= moments.logs[0] <= mp.log(gaps[0].real) + 1e-7
        unit = mp.exp(mpf(moments.log_unit(0)))
        bounds = moments.log_decay(0, FREQUENCIES[1:])
        for k, bound in enumerate(bounds, start=1):
            assert all(abs(gap) / unit <= mp.exp(mpf(float(bound))) for gap in gaps[k:])
        assert np.all(np.diff(bounds) <= 0.0)


def test_paths_in_the_bulk_are_bounded_by_chernoff(truths):
    """Their own delta is at most the factor's times the moment, at each tilt."""
    table = rare(1000).without_jumps(np.array([TILT]))
    with mp.workdps(35):
        moment = truths[1][0].real ** 1000
        for epsilon in (0.5, 2.0):
            factor = mpf(TILT) ** TILT / mpf(1 + TILT) ** (1 + TILT)
            least = mp.log(moment * factor) - TILT * epsilon
            assert least <= table.log_delta(epsilon) <= least + 1e-6


def test_no_bound_is_infinite_and_not_a_number():
    """Tilts at which the bulk overflows."""
    logs = rare(10**6).moments(np.array([TILT, 1e6])).logs
    assert math.isfinite(logs[0])
    assert logs[1] == math.inf
