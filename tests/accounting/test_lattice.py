"""One step on a lattice lies between its two polygons: held against the closed form of its curve."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.gaussian_lattice import step_law

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


@pytest.mark.sweep(every=2)
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
