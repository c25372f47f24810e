import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.binomial import log_binomial_pmf
from dpplan.accounting.numerics.exp_remainder import log1p_remainder, scaled_exp_remainder
from dpplan.accounting.numerics.logspace import log1mexp, log_expm1, log_sub, log_sum


def relative_error(value: float, truth: mpf) -> float:
    return float(abs(mpf(float(value)) / truth - 1))


def test_log_sum_neither_overflows_nor_underflows():
    terms = np.array([[1e5, 1e5 + math.log(2)], [-1e5, -np.inf], [-np.inf, -np.inf]])
    assert np.allclose(log_sum(terms), [1e5 + math.log(3), -1e5, -np.inf], rtol=1e-15)


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


EXCESS_ARGUMENTS = np.concatenate([np.geomspace(1e-150, 600, 61), -np.geomspace(1e-150, 600, 61), [0.02, -0.02]])


def test_exp_excess_keeps_its_digits_where_the_direct_form_cancels():
    for z, value in zip(EXCESS_ARGUMENTS.tolist(), scaled_exp_remainder(EXCESS_ARGUMENTS).tolist(), strict=True):
        with mp.workdps(400):
            truth = (mp.expm1(mpf(z)) - mpf(z)) * mp.exp(-max(mpf(z), 0))
        assert relative_error(value, truth) < 1e-13


def test_log1p_excess_keeps_its_digits_where_the_direct_form_cancels():
    arguments = np.concatenate([np.geomspace(1e-150, 1e300, 61), -np.geomspace(1e-150, 1.0, 41), [0.02, -0.02]])
    for u, value in zip(arguments.tolist(), log1p_remainder(arguments).tolist(), strict=True):
        with mp.workdps(400):
            truth = (1 + mpf(u)) * mp.log1p(mpf(u)) - mpf(u) if u > -1 else mpf(1)
        assert relative_error(value, truth) < 1e-13


@pytest.mark.parametrize(
    ("n", "p", "counts"),
    [
        (1, 0.25, [0, 1]),
        (20, 1e-9, [0, 1, 2, 19, 20]),
        (1000, 0.7310585786300049, [0, 1, 15, 16, 500, 731, 999, 1000]),
        (10**6, 0.5, [400_000, 499_000, 500_000, 520_000, 10**6]),
        (10**9, 0.5000025, [500_000_000, 500_002_500, 500_500_000, 10**9 - 3]),
        (33, 1 - 1e-12, [0, 31, 32, 33]),
    ],
)
def test_log_binomial_pmf_against_high_precision(n, p, counts):
    values = log_binomial_pmf(np.array(counts, dtype=float), n, p, 1 - p)
    for k, value in zip(counts, values.tolist(), strict=True):
        truth = oracle.log_binomial_pmf(k, n, mpf(p))
        assert abs(float(mpf(value) - truth)) < 1e-13 + 4e-16 * (abs(float(truth)) + abs(k - n * p))


def test_log_binomial_pmf_sums_to_one():
    for n, p in ((5, 0.3), (400, 0.01), (10_000, 0.9)):
        assert float(log_sum(log_binomial_pmf(np.arange(n + 1.0), n, p, 1 - p))) == pytest.approx(0, abs=1e-12)
