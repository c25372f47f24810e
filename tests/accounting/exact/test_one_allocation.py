"""Bins that are kept for a whole run, at so little noise that one bin's ratio is nearly all of the mean's."""

import math

import mpmath
import numpy as np
import pytest

from dpplan.accounting import exact
from dpplan.accounting.exact import other_laws
from dpplan.accounting.exact.one_allocation import OneBin
from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, Poisson


def kept(sigma, bins, steps, adjacency=ADD_REMOVE):
    return Plan((Phase(Gaussian(sigma), BallsInBins(bins, "same"), steps),), adjacency)


@pytest.mark.parametrize(
    ("sigma", "bins", "steps", "delta", "before"),
    [
        (0.5, 1000, 100_000, 1e-4, (264.37, 273.46)),
        (0.2, 997, 10_000, 1e-15, (241.5, 268.4)),
        (0.2, 7, 1000, 1e-2, (1908.6, 1925.6)),
        (0.5, 7, 700, 1e-10, (323.8, 326.4)),
        (1.5, 3, 10**6, 1e-10, (76481.9, 76521.8)),
    ],
)
def test_little_noise_has_a_narrow_interval_within_the_wide_one(sigma, bins, steps, delta, before):
    found = exact.epsilon(kept(sigma, bins, steps), delta)
    assert before[0] < found.lower <= found.upper < before[1]
    assert found.relative_width < 2e-4
    assert "one bin's Gaussian" in found.why
    back = exact.delta(kept(sigma, bins, steps), found.upper)
    assert back.lower <= delta and back.upper >= delta * 0.9


@pytest.mark.parametrize("delta", [1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize("row", [(0.4, 5, 5), (0.5, 20, 20), (0.6, 10, 25), (0.35, 4, 3)])
def test_it_meets_the_lattice_where_that_tells(row, delta):
    plan = kept(*row)
    known = dominating_pairs(plan, "exact")
    lattice, one = other_laws.epsilon_ends(known, delta), OneBin.of(plan).epsilon_ends(delta)
    assert one[0] <= lattice.upper and lattice.lower <= one[1]
    for epsilon in (0.0, 1.0, lattice.upper, 3.0 * lattice.upper):
        lower, upper = OneBin.of(plan).delta_ends(epsilon)
        told = other_laws.delta_ends(known, epsilon)
        assert lower <= told.upper and told.lower <= upper


@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
def test_it_holds_what_draws_say(epsilon):
    """A million runs of a few bins, in both directions."""
    sigma, bins, draws = 0.45, 4, 400_000
    rng = np.random.default_rng(7)
    x = rng.normal(0.0, sigma, (draws, bins))
    log_q = np.log(np.mean(np.exp((2.0 * x - 1.0) / (2.0 * sigma**2)), axis=1))
    x[:, 0] += 1.0
    log_p = np.log(np.mean(np.exp((2.0 * x - 1.0) / (2.0 * sigma**2)), axis=1))
    gains = np.maximum(-np.expm1(epsilon - log_p), 0.0), np.maximum(-np.expm1(epsilon + log_q), 0.0)
    lower, upper = OneBin.of(kept(sigma, bins, bins)).delta_ends(epsilon)
    for gain in gains:
        assert gain.mean() <= upper + 5.0 * gain.std() / math.sqrt(draws)
    assert lower <= gains[0].mean() + 5.0 * gains[0].std() / math.sqrt(draws)


def test_other_plans_have_none():
    phase = Phase(Gaussian(1.0), BallsInBins(5, "same"), 20)
    assert OneBin.of(Plan((phase, phase))) is None
    assert OneBin.of(Plan((Phase(Gaussian(1.0), Poisson(0.1), 20),))) is None
    assert OneBin.of(Plan((Phase(Gaussian(1.0), BallsInBins(5), 20),))) is None
    assert OneBin.of(kept(1.0, 5, 20, REPLACE_ONE)) is None


@pytest.mark.parametrize(("sigma", "steps"), [(0.3, 2), (0.5, 8), (0.25, 3)])
@pytest.mark.parametrize("epsilon", [0.5, 4.0, 11.0])
def test_two_bins_lie_in_it_by_one_integral(sigma, steps, epsilon):
    """Given the one bin's ratio, what the other adds is a Gaussian's; in both directions, in 30 digits."""
    with mpmath.workdps(30):
        first, second = (mpmath.mpf(sigma) / mpmath.sqrt(times) for times in (steps - steps // 2, steps // 2))
        e = mpmath.e**epsilon

        def beyond(a, moved):  # chance of r > a, and with moved=1 the mean of r there, under N(0, s²)
            return mpmath.ncdf((mpmath.mpf(moved) - 0.5) / second - second * mpmath.log(a)) if a > 0 else mpmath.mpf(1)

        def remove(z):  # E[(r1 + r2 - 2e)+]/2
            r = mpmath.e ** (z / first - 1 / (2 * first**2))
            a = 2 * e - r
            return mpmath.npdf(z) * (beyond(a, 1) - a * beyond(a, 0)) / 2

        def add(z):  # e/2·E[(2/e - r1 - r2)+]
            r = mpmath.e ** (z / first - 1 / (2 * first**2))
            a = 2 / e - r
            return mpmath.npdf(z) * e / 2 * (a * (1 - beyond(a, 0)) - (1 - beyond(a, 1))) if a > 0 else mpmath.mpf(0)

        places = [mpmath.mpf(k) / 2 for k in range(-30, 61)]
        kinks = [first * mpmath.log(at) + 1 / (2 * first) for at in (2 * e, 2 / e)]
        truth = max(mpmath.quad(each, sorted([*places, *kinks])) for each in (remove, add))
        lower, upper = OneBin.of(kept(sigma, 2, steps)).delta_ends(epsilon)
        assert lower <= truth <= upper
        least, most = OneBin.of(kept(sigma, 2, steps)).epsilon_ends(float(truth))
        assert least <= epsilon <= most or truth < 1e-250
