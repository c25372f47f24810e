"""Two steps as one integral: against mpmath, against the contours, the lattice and the proof, and its bounds alone."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan import accounting
from dpplan.accounting.exact import gaussian_two_steps, invert, prove
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.exact.gaussian_lattice import step_law
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.pairs import unsampled_gaussian
from dpplan.plan import Plan

PLANS = [(1.0, 0.01), (0.3, 1e-4), (0.5, 0.9), (2.0, 0.3), (5.0, 1e-4), (0.1, 0.05), (30.0, 0.5)]


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


def _steps(*rows: tuple[float, float]) -> Steps:
    return Steps.of([(sigma, q, 1) for sigma, q in rows])


def _border_delta(one: tuple[float, float], two: tuple[float, float], epsilon: float, sign: int) -> mpf:
    """δ(ε) of two different steps in either direction: the closed form of the second, integrated over the first."""
    (s1, q1), (s2, q2) = ((mpf(s), mpf(q)) for s, q in (one, two))
    level = mp.exp(sign * mpf(epsilon))

    def ratio(x: mpf) -> mpf:
        return 1 - q1 + q1 * mp.exp((2 * x - 1) / (2 * s1**2))

    def beyond(x: mpf) -> mpf:  # of all (x, y) with r₁·r₂ beyond the level: the integral over y
        kept = level / ratio(x)
        if kept <= 1 - q2:
            return (ratio(x) - level) * mp.npdf(x, 0, s1) if sign > 0 else mpf(0)
        y = mpf(1) / 2 + s2**2 * mp.log((kept - 1 + q2) / q2)
        centred, moved = (mp.erfc(sign * (y - mean) / s2 / mp.sqrt(2)) / 2 for mean in (0, 1))
        own = (1 - q2) * centred + q2 * moved
        delta = ratio(x) * own - level * centred if sign > 0 else centred - own * ratio(x) / level
        return delta * mp.npdf(x, 0, s1)

    kink = mpf(1) / 2 + s1**2 * mp.log((level / (1 - q2) - 1 + q1) / q1)
    edges = [kink, *(kink + way * s1 * mpf(4) ** -k for k in range(16) for way in (-1, 1))]
    edges += [k * s1 / 2 for k in range(-28, 29)] + [1 + k * s1 / 2 for k in range(-26, 29)]
    edges = sorted(edges)
    return oracle._integrate(beyond, edges)


@pytest.mark.parametrize(
    ("sigma", "q", "delta"),
    [
        (1.0, 0.01, 1e-3),
        *(pytest.param(sigma, q, delta, marks=pytest.mark.slow) for sigma, q in PLANS for delta in (1e-3, 1e-9)),
    ],
)
def test_two_equal_steps_hold_what_mpmath_says_of_them(sigma: float, q: float, delta: float) -> None:
    two = TwoSteps(_steps((sigma, q), (sigma, q)), Direction.REMOVE)
    epsilon = two.near(delta * q, 0.0)
    value = two.at(epsilon)
    with mp.workdps(30):
        assert value.lower <= oracle.two_step_delta(q, sigma, epsilon) <= value.upper
    assert value.upper - value.lower <= 1e-9 * value.upper


@pytest.mark.sweep(every=3, slow=("one0",))
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("one", "two", "epsilon"),
    [
        ((1.0, 0.1), (1.0, 0.1), 0.1),
        ((0.6, 0.3), (2.0, 0.01), 0.2),
        pytest.param((3.0, 1e-3), (0.7, 0.5), 0.3, marks=pytest.mark.slow),
        pytest.param((8.0, 0.4), (5.0, 0.9), 0.8, marks=pytest.mark.slow),
        pytest.param((1.0, 0.2), (1.5, 0.2), 0.0, marks=pytest.mark.slow),
    ],
)
def test_either_direction_and_unlike_steps(one, two, epsilon, sign) -> None:
    direction = Direction.REMOVE if sign > 0 else Direction.ADD
    values = [TwoSteps(_steps(*rows), direction).at(epsilon) for rows in ((one, two), (two, one))]
    with mp.workdps(30):
        truth = _border_delta(one, two, epsilon, sign)
        for value in values:
            assert value.lower <= truth <= value.upper
            assert value.upper - value.lower <= 1e-9 * value.upper


def test_slope_is_the_derivative() -> None:
    for direction in Direction:
        two = TwoSteps(_steps((1.0, 0.1), (0.7, 0.2)), direction)
        difference = (two.at(0.2001).estimate - two.at(0.1999).estimate) / 0.0002
        assert two.at(0.2).slope == pytest.approx(difference, rel=1e-6)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(
    ("one", "two"), [((1.0, 0.1), (1.0, 0.1)), ((0.5, 0.3), (3.0, 0.01)), ((4.0, 1e-3), (1.0, 0.6))]
)
def test_the_bound_in_each_disc_holds_at_complex_points(one, two, direction) -> None:
    """Against the integrand itself, with complex arguments, on the disc's edge where it is largest."""
    first, second = gaussian_two_steps._Law(*one), gaussian_two_steps._Law(*two)
    log_level = 0.08 * direction.value
    gap = math.log1p(-first.q) - math.log1p(-second.q)
    log_e, _ = first.log_e(np.array([0.5 * (log_level + gap)]), np.zeros(1))
    end = float(first.place(log_e)[0])
    turn = min(gaussian_two_steps.WIDEST, gaussian_two_steps.ROOM / max(first.sigma, second.sigma))
    radius = turn * first.sigma**2
    for centre in (end - radius / 2, end - 5 * radius, -first.sigma):
        bound = float(gaussian_two_steps._most(first, second, np.array([[centre]]), (turn, radius), log_level)[0, 0])
        for part in range(24):
            z = centre + radius * mp.expj(2 * mp.pi * part / 24)
            assert abs(_integrand(first, second, z, log_level)) <= bound


def _integrand(one, two, z: mpc, log_level: float) -> mpc:
    ratio = 1 - one.q + one.q * mp.exp((2 * z - 1) / (2 * mpf(one.sigma) ** 2))
    raised = (mp.exp(log_level) / ratio - 1 + two.q) / two.q
    y = mpf(1) / 2 + mpf(two.sigma) ** 2 * mp.log(raised)
    sign = 1 if log_level >= 0 else -1
    shifted = mp.erfc(sign * (y - 1) / two.sigma / mp.sqrt(2)) / 2
    centred = mp.erfc(sign * y / two.sigma / mp.sqrt(2)) / 2
    density = mp.exp(-z * z / (2 * mpf(one.sigma) ** 2)) / (one.sigma * mp.sqrt(2 * mp.pi)) * ratio
    return density * two.q * sign * (shifted - raised * centred) * (1 if sign > 0 else mp.exp(-log_level))


def test_nodes_and_weights_are_as_good_as_the_bound_says() -> None:
    points, weights = gaussian_two_steps._gauss()
    with mp.workdps(40):
        for point, weight in zip(points, weights, strict=True):
            root = mp.findroot(lambda x: mp.legendre(gaussian_two_steps.NODES, x), mpf(float(point)))
            slope = gaussian_two_steps.NODES * mp.legendre(gaussian_two_steps.NODES - 1, root) / (1 - root**2)
            exact = 2 / ((1 - root**2) * slope**2)
            assert abs(point - root) <= gaussian_two_steps.NODE_ERROR
            assert abs(weight - exact) <= gaussian_two_steps.WEIGHT_ERROR * exact


@pytest.mark.parametrize(
    ("nodes", "error"),
    [
        *((nodes, unsampled_gaussian.WEIGHTS) for _, nodes in unsampled_gaussian.RULES),
        (step_law.NARROW_NODES, step_law.WEIGHTS),
        (step_law.WIDE_NODES, step_law.WEIGHTS),
    ],
)
def test_the_weights_of_other_rules_are_as_good_as_is_counted_with(nodes: int, error: float) -> None:
    points, weights = np.polynomial.legendre.leggauss(nodes)
    with mp.workdps(40):
        for point, weight in zip(points, weights, strict=True):
            root = mp.findroot(lambda x: mp.legendre(nodes, x), mpf(float(point)))
            slope = nodes * mp.legendre(nodes - 1, root) / (1 - root**2)
            exact = 2 / ((1 - root**2) * slope**2)
            assert abs(point - root) <= 4.0 * EPS
            assert abs(weight - exact) <= error * EPS * exact


@pytest.mark.parametrize(("sigma", "q"), PLANS[:4])
def test_other_methods_agree(sigma: float, q: float) -> None:
    steps, delta = _steps((sigma, q), (sigma, q)), 1e-5
    other, ends = (
        invert._many_epsilon(steps, Direction.REMOVE, delta),
        invert.epsilon_ends(steps, Direction.REMOVE, delta),
    )
    assert ends.method == "two steps"
    assert max(other.lower, ends.lower) <= min(other.upper, ends.upper)
    assert ends.relative_width <= 1e-9


@pytest.mark.sweep(every=2, slow=("0.5",))
@pytest.mark.parametrize(("sigma", "q"), PLANS[:4])
def test_the_proof_lies_inside(sigma: float, q: float) -> None:
    plan = Plan.from_rate(sigma, q, 2)
    proof = prove.epsilon(plan, 1e-5)
    lower, upper = accounting.epsilon(plan, 1e-5).details["proven"]
    with mp.workdps(40):
        assert lower <= mpf(proof.lower_digits) <= mpf(proof.upper_digits) <= upper
    assert upper - lower <= 1e-9 * upper


def test_outside_its_range_it_says_nothing() -> None:
    assert (
        TwoSteps(_steps((1.0, 0.1), (1.0, 0.1)), Direction.ADD).at(0.3) == gaussian_two_steps.NOTHING
    )  # beyond the largest loss
    assert TwoSteps(_steps((1.0, 0.1), (1.0, 0.1)), Direction.REMOVE).at(1e4) == gaussian_two_steps.NOTHING
    assert (
        TwoSteps(_steps((0.005, 0.1), (0.005, 0.1)), Direction.REMOVE).at(1.0) == gaussian_two_steps.NOTHING
    )  # too many panels
    assert not TwoSteps.serves(_steps((1.0, 0.1), (1.0, 1.0)))
    assert not TwoSteps.serves(Steps.of([(1.0, 0.1, 3)]))
