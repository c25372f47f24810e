"""Remainders of e^z and (1 + u)·log(1 + u) against mpmath: their digits where the plain formula has none left."""

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.exp_remainder import exp_remainder, log1p_remainder, scaled_exp_remainder

ULP = 2.0**-52
SEAMS = [0.02, -0.02, 0.3, -0.3]  # where the formulas change, with their neighbours
SEAMS += [float(np.nextafter(x, 0.0)) for x in SEAMS] + [float(np.nextafter(x, 10 * x)) for x in SEAMS]
ARGUMENTS = np.concatenate([np.geomspace(1e-150, 600, 61), -np.geomspace(1e-150, 600, 61), SEAMS])


def relative_error(value: float, truth: mpf) -> float:
    return float(abs(mpf(float(value)) / truth - 1))


def test_exp_remainder_is_good_to_forty_units():
    for y, value in zip(ARGUMENTS.tolist(), exp_remainder(ARGUMENTS).tolist(), strict=True):
        with mp.workdps(400):
            assert relative_error(value, mp.expm1(mpf(y)) - mpf(y)) < 40 * ULP


def test_scaled_exp_remainder_keeps_its_digits_where_the_direct_form_cancels():
    for z, value in zip(ARGUMENTS.tolist(), scaled_exp_remainder(ARGUMENTS).tolist(), strict=True):
        with mp.workdps(400):
            truth = (mp.expm1(mpf(z)) - mpf(z)) * mp.exp(-max(mpf(z), 0))
        assert relative_error(value, truth) < 1e-13


def test_log1p_remainder_keeps_its_digits_where_the_direct_form_cancels():
    arguments = np.concatenate([np.geomspace(1e-150, 1e300, 61), -np.geomspace(1e-150, 1.0, 41), SEAMS])
    for u, value in zip(arguments.tolist(), log1p_remainder(arguments).tolist(), strict=True):
        with mp.workdps(400):
            truth = (1 + mpf(u)) * mp.log1p(mpf(u)) - mpf(u) if u > -1 else mpf(1)
        assert relative_error(value, truth) < 1e-13


@pytest.mark.parametrize("remainder", [exp_remainder, scaled_exp_remainder, log1p_remainder])
def test_a_remainder_of_nothing_is_nothing(remainder):
    assert remainder(np.array([0.0, -0.0])).tolist() == [0.0, 0.0]
