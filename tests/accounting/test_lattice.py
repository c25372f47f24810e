"""One step on a lattice lies between its two polygons: held against the closed form of its curve."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact import delta
from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.gaussian_lattice import step_law
from dpplan.accounting.numerics import QUIET
from dpplan.plan import Plan

CASES = [
    (0.01, 4.0, 1e-3),
    (0.3, 0.8, 1e-2),
    (1e-5, 0.614, 5e-5),
    (1e-5, 0.614, 1e-3),  # the whole bulk in one cell
    (0.9, 2.0, 3e-3),
    (1e-3, 30.0, 1e-5),
]


def curve(law: step_law.GaussianLatticeLaw, masses, tilt: float, h: float, epsilon: float) -> mpf:
    """∫(dA - e^ε dB)₊ of lattice masses."""
    y = law.origin + h * law.losses
    weights = masses * np.exp(law.shift - (1 + tilt) * y)
    return mpf(float((weights * np.maximum(np.exp(y) - math.exp(epsilon), 0.0)).sum()))


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("tilt", [0.5, 4.0])
@pytest.mark.parametrize(("q", "sigma", "h"), CASES)
def test_the_polygons_lie_above_and_below_the_curve(q, sigma, h, tilt, direction):
    ends = (-9.0 * sigma, 1.0 + 9.0 * sigma)
    law = step_law.discretise(q=q, sigma=sigma, direction=direction, tilt=tilt, h=h, kept=ends)
    y = law.origin + h * law.losses
    reached = y[np.cumsum(law.up) / law.up.sum() < 1 - 1e-12][-1]
    places = np.linspace(y[0], reached, 41) + 0.3 * h
    with mp.workdps(30):
        for place in places:
            truth = one_step(q, sigma, float(place), direction)
            slack = mpf(10) ** -13 * (1 + truth)
            left_out = mpf(2) * mp.erfc(mpf(9) / mp.sqrt(2))
            assert curve(law, law.up, tilt, h, float(place)) >= truth - left_out - slack
            assert curve(law, law.down, tilt, h, float(place)) <= truth + slack


def one_step(q: float, sigma: float, epsilon: float, direction: Direction) -> mpf:
    """Of (A, B) reversed: ∫(dB - e^ε dA)₊ = 1 - e^ε + e^ε·∫(dA - e^-ε dB)₊."""
    if direction is Direction.REMOVE:
        return oracle.step_delta(q, sigma, mpf(epsilon))
    return 1 - mp.exp(mpf(epsilon)) + mp.exp(mpf(epsilon)) * oracle.step_delta(q, sigma, -mpf(epsilon))


@pytest.mark.parametrize(("q", "sigma", "h"), CASES)
def test_the_polygons_close_in_as_the_square_of_the_step(q, sigma, h):
    def gap(step: float) -> float:
        law = step_law.discretise(sigma, q, Direction.REMOVE, 1.0, step, (-8.0 * sigma, 1.0 + 8.0 * sigma))
        y = law.origin + step * law.losses
        mean = (law.up * y).sum() / law.up.sum()
        spread = (law.up * (y - mean) ** 2).sum() / law.up.sum()
        mean_below = (law.down * y).sum() / law.down.sum()
        spread_below = (law.down * (y - mean_below) ** 2).sum() / law.down.sum()
        return spread - spread_below

    coarse, fine = gap(h), gap(h / 4)
    assert fine >= 0
    assert fine <= coarse / 3


def test_both_measures_are_kept():
    law = step_law.discretise(2.0, 0.1, Direction.REMOVE, 3.0, 1e-3, (-16.0, 17.0))
    y = law.origin + 1e-3 * law.losses
    for masses in (law.up, law.down):
        untilted = masses * np.exp(law.shift - 4.0 * y)
        assert untilted.sum() == pytest.approx(1.0, abs=1e-12)
        assert (untilted * np.exp(y)).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("nudge", range(-3, 4))
def test_all_of_the_lump_is_lumped_wherever_its_end_rounds_to(nudge):
    """Its last piece was taken for one beyond it where low + width rounded up: its mean was then not the lattice's, the
    lower polygon lay above the curve, and a δ was "certified" to be 6e-7 of itself larger than it is."""
    tilt, h, kept = 215671674153228.7, 9.865303538612939e-19, (-79428.55928532455, 79428.55928532447)
    h = float(h + nudge * np.spacing(h))
    law = step_law.discretise(5891.740754274835, 8.86665963942863e-12, Direction.REMOVE, tilt, h, kept)
    below, above = math.fsum(law.down), math.fsum(law.up)
    assert -2e-8 < below / above - 1.0 < 0.0  # the cells' width, squared: the tilted masses are those of one moment


@pytest.mark.parametrize(("sigma", "q"), [(0.02, 1e-9), (0.01, 1e-9)])
def test_a_bulk_in_one_cell_is_summed_to_the_last_digit(sigma, q):
    """Of thousands of intervals: one by one they were off by more than 24 units, which are counted."""
    with np.errstate(**QUIET):
        law = step_law.discretise(sigma, q, Direction.REMOVE, 0.05, 1.0, (-9.0 * sigma, 1.0 + 7.0 * sigma))
    untilted = law.up * np.exp(law.shift - 1.05 * (law.origin + law.losses))
    assert abs(math.fsum(untilted) - 1.0) <= 1e-15


@pytest.mark.slow
def test_delta_is_the_same_at_two_epsilons_that_a_rounding_sets_apart():
    plan = Plan.from_rate(5891.740754274835, 8.86665963942863e-12, 569)
    first, second = delta(plan, 2.704168951310008e-13), delta(plan, 2.704168951349406e-13)
    for found in (first, second):
        assert found.proven[0] <= 1.14601695e-28 <= found.proven[1]
        assert found.proven[1] <= (1.0 + 1e-5) * found.proven[0]


def test_a_corner_where_the_polygon_falls_just_far_enough_is_not_its_end() -> None:
    """Whether it is far enough is known up to the rounding of its sums: it ends one cell before."""
    n, growth, lift = 30, float(np.expm1(0.05)), float(np.exp(0.1))
    mass = np.exp(-0.5 * ((np.arange(n) - 12.0) / 4.0) ** 2)
    gap, last = 0.1 * mass, 24
    for share, kept in ((1.0 + 1e-5, last), (1.0 + 1e-9, last - 1), (1.0, last - 1)):
        excess = np.where(np.arange(n) < last, 0.5 * growth * mass, 0.0)
        excess[last] = share * gap[last - 1] * lift * growth / (1.0 + growth)
        masses, _ = step_law._lowered(mass, excess, gap, growth, lift)
        assert np.flatnonzero(masses)[-1] == kept
