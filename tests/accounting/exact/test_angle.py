"""Geometry beside the real line that every strip bound rests on: the argument of r, and cells' variation."""

import numpy as np
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.transform_integrand_bounds import Nodes, angle, log_width
from dpplan.accounting.exact.contour.transform_quadrature import Quadrature

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_angle_is_the_argument_of_the_ratio_and_rises_with_s():
    turns = np.array([0.0, 1e-9, 0.3, 1.5, 2.5, 3.1])
    shares = np.array([0.0, 1e-12, 0.01, 0.4, 0.5, 0.999, 1.0])
    for turn in turns.tolist():
        found = angle(shares, np.array(turn))
        with mp.workdps(40):
            for s, value in zip(shares.tolist(), found.tolist(), strict=True):
                truth = mp.arg(mpc(1 - mpf(s) + mpf(s) * mp.cos(turn), mpf(s) * mp.sin(turn)))
                assert abs(mpf(value) - truth) <= 1e-15 * (1 + 1 / (1e-3 + abs(np.pi - turn)))
                assert 0.0 <= value <= turn * (1 + 1e-15)
        assert np.all(np.diff(found) >= 0.0)


@pytest.mark.parametrize(("sigma", "q", "a"), [(1.0, 0.01, 5.0), (0.4, 0.3, 1.2), (3.0, 1e-4, 80.0), (0.8, 0.5, -3.0)])
def test_variation_right_of_the_range_is_bounded(sigma, q, a):
    """Of g = r^a·Q·σ²/s: the sum of its changes on a fine grid, over the range's end and beyond."""
    law = Quadrature(Steps.of([(sigma, q, 1)]), np.array([[a]]))
    x = np.linspace(law.high[0, 0], max(a, 2.0) + 30.0 * sigma, 20001)
    e = (2.0 * x - 1.0) / (2.0 * sigma**2)
    loss = np.logaddexp(np.log1p(-q), np.log(q) + e)
    log_g = a * loss - 0.5 * (x / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi)) + 2 * np.log(sigma)
    log_g -= np.log(q) + e - loss
    variation = np.abs(np.diff(np.exp(log_g))).sum()
    assert np.log(variation) <= law.strip.log_variation(law.range)[0, 0]


def test_rows_of_a_strip_are_the_rows():
    steps = Steps.of([(1.0, 0.01, 3), (2.0, 0.3, 4), (0.5, 0.1, 1)])
    law = Quadrature(steps, np.array([[4.0], [2.5], [-2.0]]), u_max=3.0)
    rows, height = np.array([2, 0]), np.array([[0.3], [0.3]])
    part = law.strip.of_rows(rows)
    whole = law.strip.log_tails(law.range, np.full((3, 1), 0.3), np.array([3.0]))
    within = type(law.range)(*(getattr(law.range, name)[rows] for name in ("low", "high", "first_cell", "mode", "h")))
    for some, all_rows in zip(part.log_tails(within, height, np.array([3.0])), whole, strict=True):
        assert np.array_equal(some, all_rows[rows])


def test_nodes_carry_density_times_step_and_their_cells_ends():
    steps = Steps.of([(1.5, 0.2, 1)])
    nodes = Nodes.at(np.array([[0.0, 0.5, 1.0]]), np.array([[0.5]]), steps, None)
    with mp.workdps(30):
        for x, value in zip([0.0, 0.5, 1.0], nodes.log_base[0].tolist(), strict=True):
            assert abs(mpf(value) - mp.log(mp.npdf(x, 0, mpf(1.5)) / 2)) < 1e-15
    left, right = nodes.ends(nodes.x)
    assert (left.tolist(), right.tolist()) == ([[0.0, 0.5]], [[0.5, 1.0]])
    probes = Nodes.at(nodes.x, nodes.h, steps, None, probes=True)
    assert probes.ends(probes.x)[0].shape == (1, 3)


def test_empty_cells_have_no_width():
    assert log_width(np.array([2.0, 0.0, -1e-17])).tolist() == [np.log(2.0), -np.inf, -np.inf]
