"""Complex log, log1p and expm1 against mpmath, near the points where numpy's round to units of 1."""

import itertools

import numpy as np
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.numerics.complex_log import LOG_LARGEST, complex_expm1, complex_log, complex_log1p

ULP = 2.0**-52
SIZES = [0.0, 1e-200, -1e-200, 1e-18, -1e-9, 1e-9, 1e-4, -0.3, 0.6, 1.0, -2.5]
SMALL = [complex(x, y) for x, y in itertools.product(SIZES, SIZES)]
NEAR_MINUS_ONE = [complex(-1 + x, y) for x, y in itertools.product([1e-12, -1e-9, 1e-4, 0.1, -0.2], [0.0, 1e-9, -1e-3])]


def error(value: complex, truth: mpc) -> mpf:
    return abs(mpc(value) - truth)


@pytest.mark.parametrize("points", [SMALL, NEAR_MINUS_ONE], ids=["small", "near -1"])
def test_log1p_keeps_its_digits(points):
    with mp.workdps(420):
        for z, value in zip(points, complex_log1p(np.array(points)).tolist(), strict=True):
            truth = mp.log(1 + mpc(z))
            assert error(value, truth) <= 8 * ULP * abs(truth), z


def test_expm1_keeps_its_digits():
    points = [z for z in SMALL if z] + [complex(-800, 3), complex(3, -40.0), complex(600.0, 1.0)]
    with mp.workdps(600):
        for z, value in zip(points, complex_expm1(np.array(points)).tolist(), strict=True):
            truth = mp.exp(mpc(z)) - 1
            assert error(value, truth) <= 8 * ULP * max(abs(truth), abs(mp.exp(mpf(z.real))) * ULP), z


def test_log_near_and_far():
    points = [complex(1e-250, -1e-250), complex(-3.0, 1e-9), complex(1e200, 1e200), complex(0.0, -2.0)]
    with mp.workdps(60):
        for z, value in zip(points, complex_log(np.array(points)).tolist(), strict=True):
            assert error(value, mp.log(mpc(z))) <= 4 * ULP * (1 + abs(mp.log(mpc(z)))), z


def test_the_limits_that_keep_results_inside_floats():
    assert complex_log1p(np.array([-1.0 + 0j]))[0].real == -LOG_LARGEST
    assert complex_log1p(np.array([-1.0 + 0j]), 690.0)[0].real == -690.0
    assert complex_log(np.array([0j]))[0].real == np.log(1e-300)
    assert complex_expm1(np.array([1e9 + 0j]))[0] == np.exp(LOG_LARGEST) - 1
    assert complex_expm1(np.array([1e9 + 0j]), 2.0)[0].real == pytest.approx(np.expm1(2.0), rel=1e-15)


def test_an_infinite_part_does_not_spoil_the_other():
    assert complex_log1p(np.array([complex(0.5, 0.0)]))[0].imag == 0.0
    value = complex_expm1(np.array([complex(-np.inf, 0.3)]))[0]
    assert (value.real, value.imag) == (-1.0, 0.0)
