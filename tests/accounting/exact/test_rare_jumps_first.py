"""Where plans of rare jumps go first: to the contour over rare jumps, which is quicker there and narrower."""

import math

import numpy as np
import pytest

from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.delta_interval import Aim
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice, uncertified_moments
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Falling
from dpplan.accounting.exact.invert import epsilon_ends
from dpplan.accounting.numerics import QUIET


def _steps(sigma: float, q: float, count: float) -> Steps:
    return Steps(*(np.array([[value]]) for value in (sigma, q, count)))


@pytest.mark.parametrize(
    ("plan", "delta", "widest"),
    [
        ((1.0, 1e-4, 1000.0), 1e-5, 1e-7),  # 2e-6 by a plain contour of 7,799 frequencies
        ((2.0, 1e-3, 10.0), 1e-5, 1e-8),  # inf by one of 5,416, before others were tried
        ((0.731, 0.00222, 106.0), 1e-5, 1e-8),  # 3e-7 by one over jumps
        ((0.7, 3e-4, 1000.0), 1e-5, 1e-7),  # 0.9 s to find that there is none over jumps
    ],
)
def test_it_is_narrow_and_the_first_that_is_made(plan, delta, widest, monkeypatch):
    def not_asked(*_: object) -> None:
        raise AssertionError("a contour over jumps is asked for")

    monkeypatch.setattr(placement, "over_jumps", not_asked)
    with np.errstate(**QUIET):
        ends = epsilon_ends(_steps(*plan), Direction.REMOVE, delta)
    assert ends.method == "contour over jumps"
    assert 0.0 < ends.relative_width < widest


def test_no_plain_contour_is_placed_where_it_is_hardly_reached():
    rare, common = _steps(1.0, 3e-5, 1000.0), _steps(1.0, 0.01, 1000.0)
    with np.errstate(**QUIET):
        for steps, hardly in ((rare, True), (common, False)):
            saddle = placement.plan_saddles(steps, Direction.REMOVE, math.log(1e-5)).for_log_delta(math.log(1e-5))
            assert placement.hardly_reached(steps, saddle) is hardly
            found = placement.plain(steps, Direction.REMOVE, saddle, saddle.epsilon, math.log(1e-5))
            assert found.reached is not hardly


@pytest.mark.parametrize("plan", [(1.0, 3e-5, 1000.0), (0.6, 1e-3, 300.0), (2.0, 1e-3, 5.0)])
@pytest.mark.parametrize("level", cut_choice.LEVELS)
def test_halving_finds_the_nearest_cut_that_is_good(plan, level):
    steps, log_delta = _steps(*plan), math.log(1e-5)
    with np.errstate(**QUIET):
        epsilon = cut_choice.guess_epsilon(steps, log_delta)
        falling, aim = Falling(steps, cut_choice.FAR_TILTS / epsilon), Aim(epsilon, log_delta)
        found = cut_choice.far(falling, aim, level)
        goal = log_delta + math.log(level)
        nearer = [
            factor
            for factor in cut_choice.FARS
            if uncertified_moments.places_of(steps, factor * epsilon)[0] < found.end[0]
        ]
        for factor in nearer:
            end = uncertified_moments.places_of(steps, factor * epsilon)
            power = end + np.maximum(cut_choice.ROOM * steps.sigma[:, 0], cut_choice.ROOM_AT_LEAST)
            assert cut_choice.Beyond(steps, power, end, falling).short(epsilon) > goal
        assert (
            found.beyond.short(epsilon) <= goal
            or found.end[0] >= uncertified_moments.places_of(steps, 10.0 * epsilon)[0]
        )


def test_guesses_look_at_the_nodes_they_need_and_lose_nothing():
    steps = _steps(1.0, 1e-4, 1000.0)
    survey = uncertified_moments.SplitMoments(steps, math.log(1e-5), 1e-6, np.array([[9.0]]))
    tilts, losses, most = np.array([5.0, 50.0]), np.array([0.001, 0.01, 0.04]), 0.05
    loss, log_base = survey.loss[0], survey.log_base[0]
    for tilt, row in zip(tilts, survey._jumps_up_to(0, tilts, losses, most), strict=True):
        terms = np.where(loss <= most, np.exp((1.0 + tilt) * loss + log_base), 0.0)
        assert row == pytest.approx([terms[np.searchsorted(loss, each) :].sum() for each in losses], rel=1e-13)
    few, many = survey._log_bulk(0, tilts, losses[:2]), survey._log_bulk(0, tilts, np.append(losses, 1.0))
    assert np.array_equal(few, many[:, :2])


def test_little_noise_goes_to_the_contour_that_reaches_it():
    """There a tilt of the loss is small though it is far from its mean; by a lattice it is 1e-6 wide and takes 2 s."""
    with np.errstate(**QUIET):
        ends = epsilon_ends(_steps(0.06738629, 256 / 60000, 14062.0), Direction.REMOVE, 1e-5)
    assert ends.method == "contour"
    assert ends.relative_width < 1e-9
