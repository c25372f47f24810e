"""δ at small ε where jumps are rare, against a law of losses on a fine grid that is folded with itself."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf
from scipy.stats import norm

from dpplan import accounting
from dpplan.accounting.exact import invert
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import small_epsilon
from dpplan.accounting.exact.gaussian_lattice.near_zero_epsilon import COARSE, FINE, laid
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


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "q", "steps"), [(0.412, 0.00524, 25), (0.35, 0.02, 10)])
def test_delta_is_narrow_down_to_an_epsilon_of_0(sigma, q, steps):
    epsilons = (0.0, 1e-3)
    plan = Plan.from_rate(sigma, q, steps)
    for epsilon, (low, high) in zip(epsilons, folded(sigma, q, steps, epsilons), strict=True):
        bound = accounting.delta(plan, epsilon)
        assert bound.lower <= high
        assert bound.upper >= low
        assert bound.relative_width <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("direction", list(Direction))
def test_either_direction_is_known_from_one_contour(direction):
    sigma, q, steps = 0.412, 0.00524, 25
    law = Steps(np.array([[sigma]]), np.array([[q]]), np.array([[float(steps)]]))
    epsilons = (0.0, 0.003, 0.012, *((0.05,) if direction is Direction.ADD else ()))
    truth = folded(sigma, q, steps, epsilons, "remove" if direction is Direction.REMOVE else "add")
    for epsilon, (low, high) in zip(epsilons, truth, strict=True):
        with np.errstate(all="ignore"):
            found = small_epsilon.ends(law, direction, epsilon, lambda _: math.log(1e-3), 1e-6)
            narrow = None if epsilon > 0.02 else invert.delta_ends(law, direction, epsilon, 1.0)
        assert found is not None
        lower, upper, _ = found
        assert low - 1e-9 <= upper
        assert lower <= high + 1e-9
        assert upper - lower <= 2e-3 * upper
        assert upper - lower <= 1e-5 * upper or epsilon > 0.02
        assert narrow is None or narrow.relative_width <= 1e-4
    assert small_epsilon.ends(law, direction, 0.5, lambda _: math.log(1e-3), 1e-6) is None


@pytest.mark.slow
@pytest.mark.slow
def test_a_profile_of_rare_jumps_takes_few_contours():
    profile = Profile.of(Plan.from_rate(0.412, 0.00524, 25))
    epsilons = np.array([0.0, *np.geomspace(1e-4, 20.0, 30)])
    for direction in (1, 0):
        low, high = profile.ends(direction, epsilons)
        near = epsilons <= 0.05 if direction else epsilons >= 0.0
        assert np.all((high - low <= 1e-4 * high + 1e-12)[near])
        assert np.all(high[epsilons > -25 * math.log1p(-0.00524) + 1e-9] <= 1e-12) or direction == 0
        assert len(profile.directions[direction]._places) <= 16


def two_steps(sigma, q, epsilon, direction):
    """δ of two steps: the mean over the first one's output of one step's at what is left, good to 1e-9 relative."""

    def gains(log_alpha):  # one step's ∫(dP - α·dQ)₊, or ∫(1 - α·r)₊ dQ; what is small is never a difference of ones
        g, h = np.expm1(log_alpha), np.expm1(-log_alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            if direction is Direction.REMOVE:
                place = 0.5 + sigma**2 * np.log1p(g / q)
                value = q * (norm.sf((place - 1.0) / sigma) - norm.sf(place / sigma)) - g * norm.sf(place / sigma)
                return np.where(g > -q, value, -g)
            place = 0.5 + sigma**2 * np.log1p(h / q)
            below = norm.cdf(place / sigma)
            value = (1.0 + g) * q * (below - norm.cdf((place - 1.0) / sigma)) - g * below
            return np.where(h > -q, value, 0.0)

    points, weights = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(-9.0 * sigma, 1.0 + 9.0 * sigma, 3001)
    half = 0.5 * np.diff(edges)[:, None]
    x, mass = edges[:-1, None] + half * (1.0 + points), half * weights
    log_r = np.log1p(q * np.expm1((2.0 * x - 1.0) / (2.0 * sigma**2)))
    sign = 1.0 if direction is Direction.REMOVE else -1.0
    density = norm.pdf(x, 0.0, sigma) * (np.exp(log_r) if direction is Direction.REMOVE else 1.0)
    return float((mass * density * gains(epsilon - sign * log_r)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("direction", list(Direction))
def test_bounded_losses_hold_two_steps_in_many_digits(direction):
    sigma, q = 0.6, 3e-8
    law, losses = Steps.of([(sigma, q, 2)]), laid(Steps.of([(sigma, q, 2)]), COARSE)
    assert losses is not None
    for share in (0.0, 0.1, 0.3):
        with np.errstate(all="ignore"):
            lower, upper = losses.delta(direction, share * 2 * q)
            found = small_epsilon.ends(law, direction, share * 2 * q, lambda _: -60.0, 1e-4) if share == 0.1 else None
        truth = two_steps(sigma, q, share * 2 * q, direction)
        assert lower <= truth * (1.0 + 1e-8)
        assert truth <= upper * (1.0 + 1e-8)
        assert upper - lower <= 3e-3 * upper
        assert upper - truth <= 1e-5 * truth
        assert found is None or found[0] - 1e-8 * truth <= truth <= found[1] + 1e-8 * truth


@pytest.mark.parametrize("e", [0.3, 5.0])
def test_the_other_directions_delta_is_told_by_an_identity_that_holds_to_the_last_bit(e):
    """Of P = (a, b, 0, c) and Q = (d, e, f, 0), both directions by their sums over outcomes in mpmath: the ends made
    of the floats of the one hold the other."""
    with mp.workdps(40):
        grown = mp.exp(mpf(e))
        p = [(1 - mpf(2) ** -30) * grown / (1 + grown), (1 - mpf(2) ** -30) / (1 + grown), mpf(0), mpf(2) ** -30]
        q = [(1 - mpf(2) ** -20) / (1 + grown), (1 - mpf(2) ** -20) * grown / (1 + grown), mpf(2) ** -20, mpf(0)]

        def between(one, other, epsilon):
            return mp.fsum(max(a - mp.exp(mpf(epsilon)) * b, mpf(0)) for a, b in zip(one, other, strict=True))

        def of_p(epsilons):
            truths = [float(between(p, q, each)) for each in epsilons.tolist()]
            return np.nextafter(truths, 0.0), np.nextafter(truths, 2.0)

        asked = np.array([0.0, 1e-9, 0.1, 0.99 * e, e, 1.5 * e])
        low, high = small_epsilon.mirrored(asked, of_p)
        for epsilon, lower, upper in zip(asked.tolist(), low, high, strict=True):
            assert lower <= between(q, p, epsilon) <= upper
            assert upper - lower <= 1e-14 * (1.0 + math.exp(epsilon))


@pytest.mark.parametrize(("sigma", "q"), [(0.6, 0.01), (3.0, 1e-4)])
def test_where_delta_crosses_is_held_by_the_root_in_mpmath(sigma, q):
    """One step's δ(ε), in closed form, with ends a thousandth apart: each end of ε is where an end of δ crosses."""
    with mp.workdps(30):

        def at(epsilon):
            truth = oracle.step_delta(q, sigma, mpf(epsilon))
            return float(0.9995 * truth), float(1.0005 * truth)

        most = 50.0 * q
        for share in (0.9998, 0.5, 0.1):
            delta = float(share * oracle.step_delta(q, sigma, mpf(0)))
            lower, upper = small_epsilon.crossing(at, delta, most)
            above, below = (oracle.step_delta(q, sigma, mpf(end)) / delta for end in (lower, upper))
            assert 0.999 <= below <= 0.99951
            assert 1.0004 <= above <= 1.001 if share < 0.999 else lower == 0.0
        assert small_epsilon.crossing(at, 1.001 * at(0.0)[1], most) == (0.0, 0.0)
        assert small_epsilon.crossing(at, 0.5 * at(most)[0], most)[1] == most


def two_steps_precisely(sigma, q, direction, epsilon):
    """δ of two steps in 25 digits: remove by an integral over the first step, add as 1 - e^ε·(1 - δ_remove(-ε))."""
    with mp.workdps(25):
        if direction is Direction.REMOVE:
            return oracle.two_step_delta(q, sigma, epsilon)
        return 1 - mp.exp(mpf(epsilon)) * (1 - oracle.two_step_delta(q, sigma, -epsilon))


@pytest.mark.parametrize("direction", [Direction.ADD, pytest.param(Direction.REMOVE, marks=pytest.mark.slow)])
def test_bounded_losses_hold_two_steps_in_mpmath(direction):
    sigma, q = 0.5, 0.004
    losses = laid(Steps.of([(sigma, q, 2)]), COARSE)
    assert losses is not None
    truth = two_steps_precisely(sigma, q, direction, 0.4 * q)
    with np.errstate(all="ignore"):
        lower, upper = losses.delta(direction, 0.4 * q)
    assert lower <= truth <= upper
    assert upper - lower <= 3e-3 * upper


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "width"), [(Direction.REMOVE, 1e-3), (Direction.ADD, 0.2)])
@pytest.mark.parametrize(("sigma", "q"), [(0.5, 0.004), (0.6, 3e-8)])
def test_contours_farther_out_hold_two_steps_in_mpmath(sigma, q, direction, width):
    truth = two_steps_precisely(sigma, q, direction, 0.2 * q)
    with np.errstate(all="ignore"):
        steps = Steps.of([(sigma, q, 2)])
        found = small_epsilon.ends(steps, direction, 0.2 * q, lambda _: math.log(0.5 * truth), width)
    assert found is not None
    assert found[0] <= truth <= found[1]
    assert found[1] - found[0] <= width * found[1]


def test_a_lattice_too_coarse_for_the_losses_is_not_laid():
    """It took half a minute here, and told nothing: all losses lay within a hundredth of one cell."""
    with np.errstate(all="ignore"):
        assert laid(Steps.of([(35457.99, 1.09e-10, 54197)]), FINE) is None
        assert laid(Steps.of([(46.7, 2.51e-8, 4822)]), COARSE) is None
        assert laid(Steps.of([(46.7, 2.51e-8, 4822)]), FINE) is not None


# δ within a few percent of that at ε = 0: was up to the whole of the interval wide, or slow.
NEAR = [
    (0.88, 1.16e-9, 3, 9.4e-10),
    (0.771, 1.81e-6, 9, 3.16e-6),
    (0.2586829246, 5.511155807e-7, 3, 1.49e-6),
    (0.5060810746406279, 4.801719510572604e-09, 45, 5.1348763822745164e-08),
]


@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"), [NEAR[1], *(pytest.param(*NEAR[k], marks=pytest.mark.slow) for k in (0, 2, 3))]
)
def test_epsilon_is_narrow_where_delta_is_near_that_at_0(sigma, q, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    spent = accounting.epsilon(plan, asked)
    assert spent.relative_width <= 1e-3
    assert accounting.delta(plan, spent.upper).lower <= asked <= accounting.delta(plan, spent.lower).upper


def test_epsilon_is_0_where_delta_at_0_is_less():
    spent = accounting.epsilon(Plan.from_rate(0.386, 3.7e-8, 28), 6.3e-7)
    assert (spent.lower, spent.upper) == (0.0, 0.0)
