"""δ at small ε where jumps are rare, against a law of losses on a fine grid that is folded with itself."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from dpplan import accounting
from dpplan.accounting.exact import invert
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import near_zero
from dpplan.accounting.exact.profile import Profile
from dpplan.plan import Plan

GRID = 1e-4


def folded(sigma, q, steps, epsilons, direction="remove"):
    """Lower and upper ends of δ: losses rounded down and up, those beyond 8 at that end or infinite."""
    first, last = math.floor(math.log1p(-q) / GRID), round(8.0 / GRID)
    ratio = np.exp(np.arange(first, last + 1) * GRID) - (1.0 - q)
    with np.errstate(divide="ignore"):
        places = 0.5 + sigma**2 * np.log(np.maximum(ratio, 0.0) / q)
    without = norm.sf(places / sigma)
    with_record = (1.0 - q) * without + q * norm.sf((places - 1.0) / sigma)
    tails = with_record if direction == "remove" else without
    masses, beyond = -np.diff(tails), tails[-1]
    size = 2 ** math.ceil(math.log2(steps * len(masses)))
    sums = np.fft.irfft(np.fft.rfft(masses, size) ** steps, size)[: steps * (len(masses) - 1) + 1]
    losses = (steps * first + np.arange(len(sums))) * GRID
    sign, beyond = (1.0, 1.0 - (1.0 - beyond) ** steps) if direction == "remove" else (-1.0, 0.0)
    found = []
    for epsilon in epsilons:
        nearest = [
            np.sum(sums * np.maximum(-np.expm1(epsilon - sign * (losses + moved)), 0.0))
            for moved in (0.0, steps * GRID)
        ]
        found.append((min(nearest) - 1e-12, max(nearest) + beyond + 1e-12))
    return found


@pytest.mark.parametrize(("sigma", "q", "steps"), [(0.412, 0.00524, 25), (0.35, 0.02, 10)])
def test_delta_is_narrow_down_to_an_epsilon_of_0(sigma, q, steps):
    epsilons = (0.0, 1e-3)
    plan = Plan.from_rate(sigma, q, steps)
    for epsilon, (low, high) in zip(epsilons, folded(sigma, q, steps, epsilons), strict=True):
        bound = accounting.delta(plan, epsilon)
        assert bound.lower <= high
        assert bound.upper >= low
        assert bound.relative_width <= 1e-4


@pytest.mark.parametrize("direction", list(Direction))
def test_either_direction_is_known_from_one_contour(direction):
    sigma, q, steps = 0.412, 0.00524, 25
    law = Steps(np.array([[sigma]]), np.array([[q]]), np.array([[float(steps)]]))
    epsilons = (0.0, 0.003, 0.012, *((0.05,) if direction is Direction.ADD else ()))
    truth = folded(sigma, q, steps, epsilons, "remove" if direction is Direction.REMOVE else "add")
    for epsilon, (low, high) in zip(epsilons, truth, strict=True):
        with np.errstate(all="ignore"):
            found = near_zero.ends(law, direction, epsilon, lambda _: math.log(1e-3), 1e-6)
            narrow = None if epsilon > 0.02 else invert.delta_ends(law, direction, epsilon, 1.0)
        assert found is not None
        lower, upper, _ = found
        assert low - 1e-9 <= upper
        assert lower <= high + 1e-9
        assert upper - lower <= 2e-3 * upper
        assert upper - lower <= 1e-5 * upper or epsilon > 0.02
        assert narrow is None or narrow.relative_width <= 1e-4
    assert near_zero.ends(law, direction, 0.5, lambda _: math.log(1e-3), 1e-6) is None


def test_a_profile_of_rare_jumps_takes_few_contours():
    profile = Profile.of(Plan.from_rate(0.412, 0.00524, 25))
    epsilons = np.array([0.0, *np.geomspace(1e-4, 20.0, 30)])
    for direction in (1, 0):
        low, high = profile.ends(direction, epsilons)
        near = epsilons <= 0.05 if direction else epsilons >= 0.0
        assert np.all((high - low <= 1e-4 * high + 1e-12)[near])
        assert np.all(high[epsilons > -25 * math.log1p(-0.00524) + 1e-9] <= 1e-12) or direction == 0
        assert len(profile.directions[direction]._places) <= 16
