"""Tails and density of the standard normal law against mpmath, each to the error it claims."""

import math

import numpy as np
from mpmath import mp, mpf

from dpplan.accounting.numerics.normal import (
    FAR_TAIL,
    half_erfc,
    log_normal_density,
    log_normal_tail,
    log_normal_tails,
    normal_tail,
)

ULP = 2.0**-52
PLACES = [-36.9, -20.0, -9.0, -8.9999, -3.3, -1e-9, 0.0, 1e-300, 0.7, 1.0, 4.2, 12.5, 25.0, 36.99]
FAR = [FAR_TAIL, float(np.nextafter(FAR_TAIL, 0.0)), float(np.nextafter(FAR_TAIL, 99.0)), 38.4, 60.0, 1e3, 1e6]


def tail(x: float) -> mpf:
    return mp.erfc(mpf(x) / mp.sqrt(2)) / 2


def test_tail_keeps_its_relative_accuracy_to_where_it_underflows():
    with mp.workdps(60):
        for x in PLACES:
            # The argument x/√2 is rounded, which moves the tail by the hazard rate, at most x + 1, times x.
            allowed = ULP * (4 + 2 * abs(x) * (abs(x) + 1))
            assert abs(mpf(normal_tail(x)) / tail(x) - 1) < allowed


def test_log_tail_is_good_to_a_few_units_of_half_the_square():
    with mp.workdps(60):
        for x in PLACES + FAR:
            assert abs(mpf(log_normal_tail(x)) - mp.log(tail(x))) <= 4 * ULP * (1 + x * x / 2)


def test_half_erfc_is_the_tail_of_what_is_scaled():
    places = np.array([-40.0, *PLACES])
    with mp.workdps(60):
        for y, value in zip(places.tolist(), half_erfc(places).tolist(), strict=True):
            truth = mp.erfc(mpf(y)) / 2
            assert abs(mpf(value) - truth) <= 8 * ULP * truth + mpf("5e-324")
    assert half_erfc(np.empty((0, 2))).shape == (0, 2)
    assert half_erfc(places.reshape(1, -1)).tolist() == [half_erfc(places).tolist()]


def test_log_tails_elementwise_are_the_same_and_zero_far_left():
    places = np.array([-1e9, -36.0, -9.0, *PLACES, *FAR])
    with mp.workdps(60):
        for x, value in zip(places.tolist(), log_normal_tails(places).tolist(), strict=True):
            if x <= -9.0:
                assert value == 0.0
                assert -mp.log(tail(x)) < 1.2e-19
            else:
                assert abs(mpf(value) - mp.log(tail(x))) <= 4 * ULP * (1 + x * x / 2)
    assert log_normal_tails(places.reshape(3, -1)).shape == (3, len(places) // 3)


def test_tails_fall_across_the_seams():
    seam = np.nextafter(FAR_TAIL, [0.0, 99.0])
    assert np.all(np.diff(log_normal_tails(np.array([-9.5, -8.9, *seam, 40.0]))) <= 0.0)
    assert log_normal_tail(math.inf) == -math.inf


def test_density():
    with mp.workdps(40):
        for x, sigma in ((0.0, 1.0), (3.0, 0.05), (-41.0, 2.0), (1e-8, 1e6), (2e3, 30.0)):
            truth = mp.log(mp.npdf(mpf(x), 0, mpf(sigma)))
            value = float(log_normal_density(np.array(x), np.array(sigma)))
            assert abs(mpf(value) - truth) <= 4 * ULP * (2 + (x / sigma) ** 2 + abs(math.log(sigma)))
