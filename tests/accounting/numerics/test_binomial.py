import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.binomial import binomial_pmf, log_binomial_pmf
from dpplan.accounting.numerics.logspace import log_sum


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


@pytest.mark.parametrize(("n", "p"), [(1, 0.25), (8, 0.005), (40, 1e-12), (256, 0.3)])
def test_binomial_pmf_is_right_to_the_last_bit(n, p):
    with mp.workdps(700):
        for k, value in enumerate(binomial_pmf(n, p).tolist()):
            truth = mp.binomial(n, k) * mpf(p) ** k * (1 - mpf(p)) ** (n - k)
            assert value == float(truth)
