"""Estimates for laws of rare jumps, held against sums in mpmath: not claimed, but contours are placed by them."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.composed_loss import far_limit
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.rare_jumps.uncertified_moments import SHARES, SplitMoments, places_of

SIGMA, RATE, COUNT = 0.6, 1e-5, 200
RARE = Steps.of([(SIGMA, RATE, COUNT)])


def of_steps(steps: Steps, log_delta: float) -> SplitMoments:
    return SplitMoments(steps, log_delta, 1e-3, far_limit(steps, log_delta - 20.0, 0.0))


def bulk_moment(tilt: float, loss: float) -> mpf:
    """E_Q[r^(1 + t)] of one step's losses below a threshold, less E_Q[1 + (1 + t)(r - 1)] of all: of order q²."""
    q, s, a = mpf(RATE), mpf(SIGMA), 1 + mpf(tilt)
    end = mpf(1) / 2 + s**2 * mp.log((mp.expm1(loss) + q) / q)

    def excess(x: mpf) -> mpf:
        u = q * mp.expm1((2 * x - 1) / (2 * s * s))
        return ((1 + u) ** a - 1 - a * u) * mp.npdf(x, 0, s)

    inside = mp.quad(excess, [mpf(-4), mpf(0), mpf(1), end])
    centred, shifted = mp.erfc(end / s / mp.sqrt(2)) / 2, mp.erfc((end - 1) / s / mp.sqrt(2)) / 2
    return inside - (1 - a) * centred - a * (centred + q * (shifted - centred))


def test_a_loss_has_its_place() -> None:
    with mp.workdps(30):
        for loss in (0.01, 1.0, 5.0):
            (x,) = places_of(RARE, loss)
            ratio = 1 - mpf(RATE) + mpf(RATE) * mp.exp((2 * mpf(x) - 1) / (2 * mpf(SIGMA) ** 2))
            assert float(mp.log(ratio)) == pytest.approx(loss, rel=1e-9)


def test_paths_without_a_jump_add_what_their_moments_say() -> None:
    epsilon, shares = 2.0, np.array([0.5, 0.95])
    bounds, tilts = of_steps(RARE, math.log(1e-9)).bulk_bounds(epsilon, shares)
    with mp.workdps(30):
        for share, bound, tilt in zip(shares, bounds, tilts, strict=True):
            moment = COUNT * mp.log1p(bulk_moment(float(tilt), share * epsilon))
            factor = -tilt * math.log1p(1.0 / tilt) - math.log1p(tilt)
            assert bound == pytest.approx(float(moment) + factor - tilt * epsilon, abs=1.0)
    assert bounds[0] < bounds[1]  # fewer paths are below a lower threshold


@pytest.mark.sweep(slow=("2",))
@pytest.mark.parametrize("steps", [1, 2])
def test_delta_of_few_steps_is_about_right(steps: int) -> None:
    rows = Steps.of([(0.7, 1e-3, steps)])
    epsilon = 1.5
    with mp.workdps(30):
        exact = (oracle.step_delta if steps == 1 else oracle.two_step_delta)(1e-3, 0.7, epsilon)
    log_delta = float(mp.log(exact))
    assert of_steps(rows, log_delta).log_delta_at(epsilon) == pytest.approx(log_delta, abs=0.7)


def test_where_jumps_are_rare_there_is_a_place_and_where_they_are_not_there_is_none() -> None:
    log_delta = of_steps(RARE, math.log(1e-9)).log_delta_at(2.0)
    found = of_steps(RARE, log_delta).place(2.0)
    assert found is not None
    assert found.share in SHARES
    low, high = found.alias_tilts
    assert 0.0 < low < found.tilt < high
    assert found.log_error < 0.0
    assert found.period > 0.0
    common = Steps.of([(1.0, 0.1, 1000)])
    assert of_steps(common, math.log(1e-9)).place(30.0) is None


def test_over_jumps_and_over_the_bulk_are_two_places() -> None:
    split = of_steps(RARE, math.log(1e-9))
    jumps, bulk = split.over_jumps(2.0, 0.8, 5.0), split.over_bulk(2.0, 0.8)
    assert (jumps.share, bulk.share, jumps.bulk_tilt) == (0.8, 0.8, 5.0)
    assert math.isnan(bulk.bulk_tilt)
    assert bulk.tilt > jumps.tilt  # without jumps the moments rise later
