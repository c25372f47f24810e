"""Curves in closed form, as balls: each against the same integral in mpmath, slopes against differences."""

import math

import oracle
import pytest
from flint import arb
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove.balls import working_precision
from dpplan.accounting.exact.prove.closed_form import closed_curve, is_closed, working_bits
from dpplan.accounting.exact.prove.errors import NotProved
from dpplan.accounting.exact.prove.float_moments import ComposedSteps

BITS = 120


def holds(ball, truth, relative=1e-25):
    """Whether the ball meets the truth, itself known to so much, and is as narrow."""
    low, high = (mpf(end.mid().str(45, radius=False)) for end in (ball.lower(), ball.upper()))
    return low <= truth * (1 + relative) and truth * (1 - relative) <= high and high - low <= relative * truth


def added_delta(q, s, epsilon):
    kept = 1 - mp.exp(epsilon) * (1 - mpf(q))
    place = mpf(1) / 2 + mpf(s) ** 2 * mp.log(kept / (mpf(q) * mp.exp(epsilon)))
    own, other = oracle.normal_tail(-place / mpf(s)), oracle.normal_tail((1 - place) / mpf(s))
    return kept * own - mp.exp(epsilon) * mpf(q) * other


@pytest.mark.parametrize(("sigma", "q", "epsilon"), [(1.0, 0.1, 0.05), (0.3, 0.01, 0.005), (5.0, 0.7, 0.25)])
@pytest.mark.parametrize("direction", list(Direction))
def test_one_step(sigma, q, epsilon, direction):
    with working_precision(BITS), mp.workdps(45):
        curve = closed_curve((ComposedSteps(sigma, q, 1),), direction, BITS)
        truth = (oracle.step_delta if direction is Direction.REMOVE else added_delta)(q, sigma, mpf(epsilon))
        assert holds(curve.delta(arb(epsilon)), truth)
        assert curve.terms(arb(epsilon)) == ()


def test_the_add_direction_ends_where_its_losses_do():
    with working_precision(BITS):
        curve = closed_curve((ComposedSteps(1.0, 0.1, 1),), Direction.ADD, BITS)
        assert curve.delta(arb(-math.log(0.9) * 1.0001)) == 0
        assert curve.slope(arb(1)) == 0


@pytest.mark.parametrize(("phases", "mu"), [(((2.0, 9),), 1.5), (((1.0, 1), (0.5, 2)), 3.0)])
def test_without_sampling(phases, mu):
    rows = tuple(ComposedSteps(sigma, 1.0, count) for sigma, count in phases)
    assert is_closed(rows)
    with working_precision(BITS), mp.workdps(45):
        for epsilon in (0.0, 0.5, 6.0):
            truth = mp.exp(oracle.gaussian_log_delta(mu, epsilon))
            assert holds(closed_curve(rows, Direction.ADD, BITS).delta(arb(epsilon)), truth)


@pytest.mark.slow
def test_two_steps():
    phases = (ComposedSteps(1.5, 0.2, 2),)
    bits = working_bits(phases, 70)
    with working_precision(bits), mp.workdps(30):
        curve = closed_curve(phases, Direction.REMOVE, 70)
        assert holds(curve.delta(arb(0.5)), oracle.two_step_delta(0.2, 1.5, 0.5), 1e-12)
        assert dict(curve.terms(arb(0.5)))["tails in x"] < arb(2) ** -65


@pytest.mark.parametrize("direction", list(Direction))
def test_what_a_short_integral_leaves_out_is_in_the_ball(direction):
    phases = (ComposedSteps(1.5, 0.2, 2),)
    with working_precision(BITS):
        fine = closed_curve(phases, direction, 60).delta(arb(0.1))
        for bits in (4, 8, 16):
            short = closed_curve(phases, direction, bits)
            short.small = arb(2) ** -60  # of the integral's own error, which would hide what lies outside
            assert short.delta(arb(0.1)).overlaps(fine)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(
    "phases", [(ComposedSteps(1.0, 0.1, 1),), (ComposedSteps(2.0, 1.0, 4),), (ComposedSteps(1.5, 0.2, 2),)]
)
def test_slopes_are_the_derivative(phases, direction):
    with working_precision(BITS):
        curve, h = closed_curve(phases, direction, 60), arb(2) ** -20
        rise = (curve.delta(arb(0.05) + h) - curve.delta(arb(0.05) - h)) / (2 * h)
        assert float(curve.slope(arb(0.05)).mid()) == pytest.approx(float(rise.mid()), rel=1e-6)


def test_what_is_closed():
    assert is_closed((ComposedSteps(1.0, 0.1, 2),))
    assert is_closed((ComposedSteps(1.0, 0.1, 1), ComposedSteps(2.0, 0.1, 1)))
    assert not is_closed((ComposedSteps(1.0, 0.1, 3),))
    assert not is_closed((ComposedSteps(1.0, 1.0, 5), ComposedSteps(1.0, 0.5, 1)))


def test_two_steps_whose_losses_end_too_sharply_are_not_proved():
    with pytest.raises(NotProved, match="two steps"):
        working_bits((ComposedSteps(0.04, 0.1, 2),), 100)
