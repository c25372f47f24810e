"""The law of one step's loss: its ratio, its cuts, and what rounding does to them, against mpmath."""

import itertools
import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.contour.privacy_loss import (
    Band,
    Cut,
    Direction,
    Steps,
    grown_error,
    log_characteristic,
    log_ratio,
    loss_rounding,
    lowest_mode,
)

EPS = 2.0**-52
RATES = [1e-200, 1e-20, 1e-9, 0.01, 0.3, 0.5, 0.7, 0.999, 1 - 2.0**-53, 1.0]
# Around 0, where r is near 1; far left, where only 1 - q is left; at the seam of the formulas; far right.
EXPONENTS = [-1e6, -700.0, -40.0, -0.5, -1e-3, -1e-12, 0.0, 1e-15, 1e-4, 0.7, 29.9, 30.0, 31.0, 300.0, 1e5]


def at(values):
    return np.array(values, dtype=float)


@pytest.mark.parametrize("q", RATES)
def test_log_ratio_is_good_to_a_few_units(q):
    """Of what is added up: the loss itself, but for q near 1 on the left, where log(1 - q) and e may cancel."""
    values = log_ratio(at(EXPONENTS), at(q))
    with mp.workdps(400):
        for e, value in zip(EXPONENTS, values.tolist(), strict=True):
            r = 1 - mpf(q) + mpf(q) * mp.exp(mpf(e))
            truth = mp.log(r)
            apart = 0.0 if e < 30.0 and (q < 0.5 or e > -0.5) else abs(math.log(q)) + abs(e)
            assert abs(mpf(value) - truth) <= 8 * EPS * (abs(truth) + apart), (q, e)


@pytest.mark.parametrize("sigma", [0.05, 0.6, 3.0, 200.0])
@pytest.mark.parametrize("q", [1e-12, 1e-3, 0.4, 0.99])
def test_loss_rounding_covers_a_loss_at_an_x_known_to_a_unit_of_its_reach(sigma, q):
    x = np.array([-9.0 * sigma, -1.0, 0.0, 0.5, 0.5000001, 1.0, 2.0, 1.0 + 9.0 * sigma, 1.0 + 40.0 * sigma])
    reach = np.abs(x).max()
    e = (2.0 * x - 1.0) / (2.0 * sigma**2)
    loss = log_ratio(e, at(q))
    allowed = EPS * loss_rounding(x, e, loss, sigma, at(q), at(reach))
    with mp.workdps(60):
        for place, value, bound in zip(x.tolist(), loss.tolist(), allowed.tolist(), strict=True):
            for moved in (-0.5, 0.0, 0.5):  # to nearest
                exact = mpf(place) + moved * EPS * mpf(reach)
                truth = mp.log1p(mpf(q) * mp.expm1((2 * exact - 1) / (2 * mpf(sigma) ** 2)))
                assert abs(mpf(value) - truth) <= bound


@pytest.mark.parametrize(("sigma", "q"), [(1.0, 0.01), (0.4, 0.999), (3.0, 1 - 1e-9), (0.05, 0.5)])
def test_lowest_mode_lies_left_of_the_root_and_not_far(sigma, q):
    a = at([[-40.0], [-3.0], [-0.1], [0.0], [5.0]])
    mode = lowest_mode(a, at([[sigma]] * 5), at([[q]] * 5))
    for power, found in zip(a[:, 0].tolist(), mode[:, 0].tolist(), strict=True):
        if power >= 0.0:
            assert found == 0.0
            continue
        # The root of x = a·s(x): left of it x - a·s(x) < 0.
        sampled = float(np.exp(-np.logaddexp(0.0, -((2 * found - 1) / (2 * sigma**2) + math.log(q) - math.log1p(-q)))))
        assert power <= found <= power * sampled * (1 - 1e-12) + 1e-300
        assert q > 0.5 or found > 0.5 * power


def test_log_characteristic_is_within_the_error_it_adds():
    sizes = [0.0, 1e-18, 1e-9, 1e-3, 0.2, 0.29, 0.7, 1.0, 1.5]
    pairs = [(d, t) for d, t in itertools.product(sizes, [0.0, 1e-15, -1e-6, 0.1, 0.9]) if (1 - d) ** 2 + t * t <= 1.0]
    drop, turn = (at(column) for column in zip(*pairs, strict=True))
    log_phi, added = log_characteristic(drop, turn)
    with mp.workdps(80):
        for (d, t), value, extra in zip(pairs, log_phi.tolist(), added.tolist(), strict=True):
            phi = mp.mpc(1 - mpf(d), mpf(t))
            if abs(phi) < 1e-300:
                assert value.real == math.log(1e-300)
                continue
            off = abs(mp.exp(mp.mpc(value) - mp.log(phi)) - 1)
            # Relative to 1 - φ where that is small: T·log φ would feel a unit of 1 in T places.
            assert off <= 8 * EPS * min(abs(1 - phi), 1) + extra / abs(phi)
            assert extra <= 16 * 2.0**-53


def test_log_characteristic_never_exceeds_one_and_passes_on_what_is_no_number():
    log_phi, _ = log_characteristic(at([-1e-3, 0.0, np.nan]), at([0.0, 1e-3, 0.1]))
    assert log_phi.real[:2].tolist() == [0.0, 0.0]
    assert np.isnan(log_phi.real[2])


@pytest.mark.parametrize("off", [0.0, 1e-300, 1e-18, 1e-9, 0.5, 3.0])
@pytest.mark.parametrize("log_size", [-690.0, -3.0, 0.0, 200.0])
def test_grown_error_is_the_growth_of_an_error_in_the_logarithm(off, log_size):
    with mp.workdps(40):
        truth = mp.exp(mpf(log_size)) * mp.expm1(mpf(off))
        found = mpf(float(grown_error(at(log_size), at(off))))
        assert truth * (1 - 1e-13) <= found <= truth * (1 + 1e-13) + 1.01e-305


def test_equal_steps_are_merged():
    steps = Steps.of([(1.0, 0.01, 3), (2.0, 0.01, 1), (1.0, 0.01, 4)])
    assert np.column_stack((steps.sigma, steps.q, steps.count)).tolist() == [[1.0, 0.01, 7.0], [2.0, 0.01, 1.0]]
    assert steps.total == 8.0


def test_the_exponents_of_both_directions():
    assert (Direction.REMOVE.exponent(3.0), Direction.ADD.exponent(3.0)) == (4.0, -3.0)


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_what_a_cut_removes_is_its_integral(mean):
    cut, sigma = Cut(at([[4.0]]), at([[0.3]])), 1.3
    with mp.workdps(30):
        truth = mp.quad(
            lambda x: mp.npdf(x, mean, sigma) * oracle.normal_tail((4 - x) / mpf(0.3)), [-15, 0, 3, 4, 5, 20]
        )
        assert abs(mpf(float(cut.removed(at([[sigma]]), mean)[0, 0])) / truth - 1) < 1e-13


@pytest.mark.parametrize(("kind", "start"), [(Cut, 1.0), (Band, 1.0), (Band, 3.7)])
def test_weights_of_cuts_keep_their_digits_on_either_side(kind, start):
    end, width = 4.0, 0.2
    cut = Cut(at([[end]]), at([[width]])) if kind is Cut else Band(at([[end]]), at([[width]]), at([[start]]))
    x = at([[-3.0, 0.0, 0.9, 1.0, 2.5, 3.9, 4.0, 4.6, 9.0]])
    with mp.workdps(400):
        for place, value, least in zip(x[0].tolist(), cut.log_weight(x)[0], cut.log_fall(x)[0], strict=True):
            truth = oracle.normal_tail((mpf(place) - end) / mpf(width))
            if kind is Band:
                truth -= oracle.normal_tail((mpf(place) - start) / mpf(width))
            squares = max((place - end) ** 2, (place - start) ** 2) / width**2
            assert abs(mpf(float(value)) - mp.log(truth)) <= 16 * EPS * (1 + squares) + 1e-18
            assert least >= value - 1e-13 * (1 + abs(value))  # nowhere below the weight itself


def test_a_fall_falls():
    band = Band(at([[4.0]]), at([[0.2]]), at([[1.0]]))
    assert np.all(np.diff(band.log_fall(np.linspace(-2.0, 9.0, 500)[None, :])) <= 0.0)
