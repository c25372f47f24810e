import math

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.logspace import log1mexp, log_expm1, log_sub, log_sum


def relative_error(value: float, truth: mpf) -> float:
    return float(abs(mpf(float(value)) / truth - 1))


def test_log_sum_neither_overflows_nor_underflows():
    terms = np.array([[1e5, 1e5 + math.log(2)], [-1e5, -np.inf], [-np.inf, -np.inf]])
    assert np.allclose(log_sum(terms), [1e5 + math.log(3), -1e5, -np.inf], rtol=1e-15)


def test_log_sum_of_an_infinite_term_is_infinite_and_of_no_number_none():
    assert log_sum(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(log_sum(np.array([1.0, np.nan])))


def test_log_sum_along_an_axis_that_may_stay():
    terms = np.log(np.arange(1.0, 25.0)).reshape(2, 3, 4)
    for axis in (0, 1, -1):
        assert np.allclose(np.exp(log_sum(terms, axis=axis)), np.exp(terms).sum(axis=axis), rtol=1e-14)
        assert log_sum(terms, axis=axis, keepdims=True).shape == np.exp(terms).sum(axis=axis, keepdims=True).shape


def test_log_sub_of_equals_is_minus_infinity_and_refuses_a_negative_difference():
    assert log_sub(3.0, 3.0) == -math.inf
    assert log_sub(-1e4, -1e4 - 1) == pytest.approx(-1e4 + math.log(1 - math.exp(-1)), rel=1e-15)
    with pytest.raises(ValueError, match="smaller"):
        log_sub(1.0, 2.0)


@pytest.mark.parametrize("x", [-1e-300, -1e-12, -0.5, -0.6931, -0.6932, -30.0, -700.0])
def test_log1mexp_at_both_ends(x):
    with mp.workdps(400):
        assert relative_error(log1mexp(x), mp.log(-mp.expm1(mpf(x)))) < 1e-15


@pytest.mark.parametrize("x", [1e-300, 1e-9, 0.3, 0.999999, 1.0, 5.0, 700.0, 1e9])
def test_log_expm1_from_tiny_to_huge(x):
    truth = mpf(x) if x > 1000 else mp.log(mp.expm1(mpf(x)))
    assert abs(float(mpf(float(log_expm1(np.array(x)))) - truth)) < 1e-15 * max(1.0, abs(float(truth)))
