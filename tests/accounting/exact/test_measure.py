"""Composed measures against mpmath: the line, the moments and what is cut away, each within what it states."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.composed_loss import Measure, cut_at, far_limit
from dpplan.accounting.exact.contour.privacy_loss import Cut, Direction, Steps

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
CASES = [
    (1.0, 0.01, 1000, 4.0, 2.0, Direction.REMOVE),
    (1.0, 1e-6, 10**7, 12.0, 20.0, Direction.REMOVE),
    (0.6, 0.3, 30, 0.7, 3.0, Direction.REMOVE),
    (1.0, 0.1, 200, 3.0, 4.0, Direction.ADD),
    (0.7, 0.9, 5, 1.2, 2.0, Direction.ADD),
]


def truths(sigma, q, tilt, direction, frequencies, weight=None, width=math.inf):
    """One step's M(t + iu) for each u."""
    exponents = [direction.exponent(tilt) + direction.value * mpc(0, u) for u in frequencies]
    return oracle.transforms(q, sigma, exponents, weight, width)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("sigma", "q", "count", "tilt", "top", "direction"), CASES)
def test_line_and_moments_of_a_whole_law(sigma, q, count, tilt, top, direction):
    measure, u = Measure(Steps.of([(sigma, q, count)]), direction), np.linspace(0.0, top, 7)
    line, moments = measure.line(tilt, u), measure.moments(np.array([tilt]))
    with mp.workdps(60):
        steps = truths(sigma, q, tilt, direction, u.tolist())
        unit = mp.exp(mpf(line.log_unit))
        for value, error, step in zip(line.values.tolist(), line.error.tolist(), steps, strict=True):
            assert abs(mpc(value) - step**count / unit) <= error
        assert np.all(line.error <= 1e-9)
        log_moment = count * mp.log(steps[0].real)
        assert log_moment <= moments.logs[0] <= log_moment + 1e-9 * (1 + abs(log_moment))
        assert abs(moments.rough[0] - log_moment) <= 1e-9 * (1 + abs(log_moment))


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("sigma", "q", "count", "tilt", "direction"), [(*CASES[k][:4], CASES[k][5]) for k in (0, 2, 3)]
)
def test_decay_bounds_the_line_from_each_edge_to_the_next(sigma, q, count, tilt, direction):
    measure = Measure(Steps.of([(sigma, q, count)]), direction)
    moments = measure.moments(np.array([tilt]))
    spread = math.sqrt(float((count * moments.first.curvature).sum()))
    edges = np.geomspace(0.5, 12.0, 5) / spread
    bounds = moments.log_decay(0, edges)
    with mp.workdps(40):
        unit = mp.exp(mpf(moments.log_unit(0)))
        for k, bound in enumerate(bounds[:-1]):
            for step in truths(sigma, q, tilt, direction, [float(edges[k]), float(edges[k + 1])]):
                assert abs(step) ** count / unit <= mp.exp(mpf(bound))
    assert bounds.min() < -1.0  # and it does fall


def test_paths_with_a_jump_are_the_whole_law_less_its_bulk():
    sigma, q, tilt, width = 0.6, 1e-3, 6.0, 0.06
    far, bulk = (Cut(np.array([[place]]), np.array([[width]])) for place in (1.0 + 5.5 * sigma, 1.0 + 1.5 * sigma))
    u = np.linspace(0.0, 4.0, 3)

    def below(cut):
        return lambda x: oracle.normal_tail((x - mpf(float(cut.at[0, 0]))) / mpf(width))

    with mp.workdps(35):
        whole, paths = (truths(sigma, q, tilt, Direction.REMOVE, u.tolist(), below(cut), width) for cut in (far, bulk))
        for count in (1, 3, 1000):
            measure = Measure(Steps.of([(sigma, q, count)]), Direction.REMOVE, far, bulk)
            line, moments = measure.line(tilt, u), measure.moments(np.array([tilt]))
            unit = mp.exp(mpf(line.log_unit))
            gaps = [g**count - b**count for g, b in zip(whole, paths, strict=True)]
            for value, error, gap in zip(line.values.tolist(), line.error.tolist(), gaps, strict=True):
                assert abs(mpc(value) - gap / unit) <= error
            assert np.all(line.error <= 1e-8 * abs(line.values[0]))
            assert mp.log(gaps[0].real) <= moments.logs[0] <= mp.log(gaps[0].real) + 1e-7
            for edge, bound in zip(u[1:], moments.log_decay(0, u[1:]), strict=True):
                assert abs(gaps[int(np.argmin(abs(u - edge)))]) / unit <= mp.exp(mpf(bound))


@pytest.mark.parametrize("count", [2, 1000])
def test_a_transform_too_coarse_shows_in_the_error_of_the_line(count):
    """Its own error is then most of all."""
    u = np.linspace(0.0, 3.0, 4)
    line = Measure(Steps.of([(1.0, 0.01, count)]), Direction.REMOVE, most=60).line(20.0, u)
    with mp.workdps(40):
        unit, steps = mp.exp(mpf(line.log_unit)), truths(1.0, 0.01, 20.0, Direction.REMOVE, u.tolist())
        offs = [abs(mpc(v) - step**count / unit) for v, step in zip(line.values.tolist(), steps, strict=True)]
        assert all(off <= error for off, error in zip(offs, line.error.tolist(), strict=True))
        assert max(offs) > 1e-11  # rounding alone is 1e-15


def test_two_kinds_of_steps_multiply():
    steps, u = Steps.of([(1.0, 0.01, 40), (2.0, 0.2, 3)]), np.linspace(0.0, 2.0, 4)
    line = Measure(steps, Direction.REMOVE).line(3.0, u)
    with mp.workdps(50):
        first, second = (truths(s, q, 3.0, Direction.REMOVE, u.tolist()) for s, q in ((1.0, 0.01), (2.0, 0.2)))
        for value, error, one, two in zip(line.values.tolist(), line.error.tolist(), first, second, strict=True):
            assert abs(mpc(value) - one**40 * two**3 / mp.exp(mpf(line.log_unit))) <= error


@pytest.mark.parametrize("log_probability", [-3.0, -40.0, -900.0])
@pytest.mark.parametrize(("sigma", "count"), [(1.0, 1), (0.3, 10**6), (20.0, 500)])
def test_far_limit_leaves_at_most_what_it_was_given(sigma, count, log_probability):
    steps = Steps.of([(sigma, 0.01, count)])
    with mp.workdps(40):
        for width in (0.0, 1.0 / 3.0):
            limit = float(far_limit(steps, log_probability, width)[0, 0])
            # The shifted law is the farther one; a cut of this width adds to its spread.
            left = mp.log(count * oracle.normal_tail((mpf(limit) - 1) / (mpf(sigma) * mp.hypot(1, width))))
            assert left <= log_probability * (1 - 1e-12)
            assert left >= log_probability - 1e-6


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "q"), [(1.0, 0.01), (0.3, 0.5), (4.0, 1e-6)])
def test_removed_is_the_probability_of_a_cut_and_not_below(sigma, q, direction):
    cut = Cut(np.array([[1.0 + 6.0 * sigma]]), np.array([[sigma / 3]]))
    found = Measure(Steps.of([(sigma, q, 100)]), direction, cut).removed
    with mp.workdps(40):
        spread = mpf(sigma) * mp.hypot(1, mpf(1) / 3)
        centred, shifted = (oracle.normal_tail((mpf(float(cut.at[0, 0])) - mean) / spread) for mean in (0, 1))
        truth = 100 * ((1 - mpf(q)) * centred + mpf(q) * shifted if direction is Direction.REMOVE else centred)
        assert truth <= found <= truth * (1 + 1e-11)


def test_a_measure_without_a_cut_removes_nothing():
    assert Measure(Steps.of([(1.0, 0.1, 5)]), Direction.REMOVE).removed == 0.0


@pytest.mark.parametrize("tilt", [3.0, 40.0, 3000.0])
@pytest.mark.parametrize(("sigma", "q"), [(1.0, 1e-5), (0.4, 0.01), (10.0, 1e-8)])
def test_a_cut_holds_the_tilted_law_down_right_of_it(sigma, q, tilt):
    steps = Steps.of([(sigma, q, 10)])
    cut = cut_at(steps, far_limit(steps, -40.0, 1.0 / 3.0), tilt, 1.0 / 3.0)
    assert 0.0 < cut.width[0, 0] <= sigma / 3
    x = np.linspace(0.0, float(cut.at[0, 0]) + 60.0 * sigma + tilt, 20001)[None, :]
    loss = np.logaddexp(np.log1p(-q), np.log(q) + (2 * x - 1) / (2 * sigma**2))
    weight = (1 + tilt) * loss - 0.5 * (x / sigma) ** 2
    if cut.width[0, 0] > 2.1e-4 * sigma:  # at the narrowest it does what it can
        left, right = x <= cut.at, x >= cut.at + 0.3 * sigma
        assert (weight + cut.log_weight(x))[right].max() <= weight[left].max()
