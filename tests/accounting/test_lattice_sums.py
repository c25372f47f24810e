"""delta of a composed lattice at many ε by one transform, against the sum over all frequencies at each."""

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.gaussian_lattice import composition
from dpplan.accounting.exact.gaussian_lattice.tabulated_sums import TabulatedSums
from dpplan.accounting.numerics import QUIET

CASES = [(0.8, 1e-3, 10000, 0.5, -8.0), (0.35, 0.5, 30, 20.0, -1.0), (1.0, 0.01, 1000, 0.7, -5.0)]


def test_every_sum_is_that_of_the_masses_beyond():
    rng = np.random.default_rng(5)
    points, h, tilt = 64, 0.3, 0.7
    masses = rng.random(points)
    angles = 2.0 * np.pi / points * np.arange(points // 2 + 1)
    weights = np.full(len(angles), 2.0 / points)
    weights[[0, -1]] = 1.0 / points
    near_exponent, far_exponent = 1j * angles - tilt * h, 1j * angles - (1.0 + tilt) * h
    second = -1.0 / np.expm1(far_exponent)
    composed = np.fft.rfft(masses)
    sums = TabulatedSums.of(composed, np.zeros(len(angles)), weights, -second / np.expm1(near_exponent), second)
    beyond = np.arange(4000)  # all periods, until e^(-t·h·j) is nothing
    for point, gap in ((0, 0.1), (5, 0.3), (63, 0.2), (64 + 7, 0.05), (-3, 0.29)):
        # The transform of the masses runs backwards: e^(iθn) takes the masses from -n on.
        found, error = sums.at(point, gap, h, tilt, 0.0)
        there = masses[(-point - beyond) % points], masses[(point + beyond) % points]
        weight = np.exp(-tilt * h * beyond) * -np.expm1(-gap - h * beyond)
        truths = [float((each * weight).sum()) for each in there]
        assert min(abs(found - truth) for truth in truths) <= error
        assert error <= 1e-11 * found


@pytest.mark.parametrize(("h", "tilt"), [(0.3, 0.7), (1e-4, 50.0), (20.0, 0.01)])
def test_every_sum_is_within_its_error_of_one_in_forty_digits(h, tilt):
    """Σ over n >= 0 of masses at point + n, all periods of them, times e^(-t·h·n)·(1 - e^(-g - h·n)): by two geometric
    series for each mass; and within it too where each value of the transform is moved by all of its own error."""
    rng = np.random.default_rng(11)
    points = 32
    masses = np.exp(rng.uniform(-30.0, 0.0, points))
    angles = 2.0 * np.pi / points * np.arange(points // 2 + 1)
    weights = np.full(len(angles), 2.0 / points)
    weights[[0, -1]] = 1.0 / points
    second = -1.0 / np.expm1(1j * angles - (1.0 + tilt) * h)
    near = -second / np.expm1(1j * angles - tilt * h)
    composed = np.fft.rfft(masses)
    off = np.full(len(angles), 1e-9)
    exact_sums = TabulatedSums.of(composed, np.zeros(len(angles)), weights, near, second)
    moved = composed + off * np.exp(1j * np.where(weights == weights[0], 0.0, rng.uniform(0.0, 7.0, len(angles))))
    moved_sums = TabulatedSums.of(moved, off, weights, near, second)
    with mp.workdps(40):
        fall, steeper = mp.exp(-mpf(tilt) * mpf(h)), mp.exp(-(1 + mpf(tilt)) * mpf(h))
        for point, share in ((0, 0.5), (7, 0.01), (31, 1.0), (-5, 0.999), (points + 3, 0.3)):
            gap = share * h
            truth = mpf(0)
            for n in range(points):
                whole, less = fall**n / (1 - fall**points), steeper**n / (1 - steeper**points)
                truth += mpf(masses[(point + n) % points]) * (whole - mp.exp(-mpf(gap)) * less)
            found, error = exact_sums.at(point, gap, h, tilt, 0.0)
            assert abs(mpf(found) - truth) <= error <= 1e-11 * truth / min(h * tilt, 1.0)
            found, error = moved_sums.at(point, gap, h, tilt, 0.0)
            assert abs(mpf(found) - truth) <= error
            found, error = exact_sums.at(point, gap * (1.0 - 1e-7), h, tilt, 1e-7 * gap)  # an ε off by as much
            assert abs(mpf(found) - truth) <= error


@pytest.mark.parametrize(("sigma", "rate", "steps", "epsilon", "log_delta"), CASES)
def test_the_ends_are_those_of_the_sum_over_frequencies(sigma, rate, steps, epsilon, log_delta):
    laws = Steps.of([(sigma, rate, steps)])
    with np.errstate(**QUIET):
        grid = composition.near(laws, Direction.REMOVE, epsilon, log_delta, composition.ROUGH)
    rng = np.random.default_rng(7)
    for x in (0.0, *(epsilon * rng.uniform(0.0, 2.0, 12)), grid.origin + 40.0 * grid.h):
        with np.errstate(**QUIET):
            value, (lower, upper) = grid.at(float(x)), grid.ends(float(x))
        assert max(lower, value.lower) <= min(upper, value.upper)
        assert lower == pytest.approx(value.lower, rel=1e-8)
        assert upper == pytest.approx(value.upper, rel=1e-8)
        assert upper - value.upper >= -1e-12 * upper  # its rounding is bounded no less


def test_the_first_point_beyond_an_epsilon_is_one_step_away_at_most():
    """At a point of the lattice it may seem farther by rounding: then what that point adds was left out, which on a
    fine lattice is more than the bound on ε's own rounding."""
    laws = Steps.of([(1.0, 0.01, 1000)])
    with np.errstate(**QUIET):
        grid = composition.near(laws, Direction.REMOVE, 0.7, -5.0, composition.LEAST)
        for number in range(2000):
            point = grid.origin + number * grid.h
            for epsilon in (np.nextafter(point, -1.0), point, np.nextafter(point, 9.0)):
                spot = grid._spot(float(epsilon))
                assert spot is not None and 0.0 < spot[1] <= grid.h
