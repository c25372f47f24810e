import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting.sampled_gaussian_moments import kl_divergence, log_excess_moments

RATES = [1e-9, 1e-4, 0.01, 0.3, 0.95]
NOISES = [0.05, 0.4, 1.0, 4.0, 1000.0]


def relative_excess(log_value: float, truth: mpf) -> float:
    """How far log(1 + e^value) lies above the true log-moment, relatively."""
    with mp.workdps(60):
        return float(mp.log1p(mp.exp(mpf(log_value))) / mp.log1p(truth) - 1)


@pytest.mark.sweep(every=8, slow=("1e-09",))
@pytest.mark.parametrize("sigma", NOISES)
@pytest.mark.parametrize("sample_rate", RATES)
def test_fractional_moments_against_high_precision(sample_rate, sigma):
    """From order 1.0001, where the moment is a hundredth of a millionth of q², to half a million."""
    orders = [1.0001, 500_000.5] if sigma in (0.05, 1.0) else [1.3, 17.3]
    values = log_excess_moments(sample_rate, sigma, np.array(orders))
    for order, value in zip(orders, values.tolist(), strict=True):
        truth = oracle.excess_moment(sample_rate, sigma, order)
        assert 0 <= relative_excess(value, truth) < 1e-11


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0, 2.0, 10.0, 200.0])
@pytest.mark.parametrize("sample_rate", [1e-9, 1e-5, 0.01, 0.5, 0.9, 1 - 1e-6])
def test_whole_moments_against_the_binomial_theorem(sample_rate, sigma):
    orders = [2, 3, 10, 200]
    values = log_excess_moments(sample_rate, sigma, np.array(orders, dtype=float))
    for order, value in zip(orders, values.tolist(), strict=True):
        truth = oracle.whole_excess_moment(sample_rate, sigma, order)
        assert 0 <= relative_excess(value, truth) < 5e-11


def test_a_value_does_not_depend_on_the_orders_asked_with_it():
    orders = np.array([1.0001, 1.7, 3.0, 41.5, 900.0, 3e4, 1e6])
    for sample_rate, sigma in ((1e-6, 0.07), (0.01, 1.0), (1e-9, 300.0), (0.99, 2.0)):
        together = log_excess_moments(sample_rate, sigma, orders)
        alone = [log_excess_moments(sample_rate, sigma, orders[i : i + 1])[0] for i in range(len(orders))]
        assert together == pytest.approx(alone, rel=1e-10, abs=1e-11)


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("sigma", NOISES)
@pytest.mark.parametrize("sample_rate", RATES)
def test_kl_divergence_against_high_precision(sample_rate, sigma):
    truth = oracle.kl_divergence(sample_rate, sigma)
    assert 0 <= float(mpf(kl_divergence(sample_rate, sigma)) / truth - 1) < 5e-12


@pytest.mark.parametrize("sample_rate", [1e-200, 1e-9, 0.5])
@pytest.mark.parametrize("sigma", [1e-5, 0.0099, 0.0101, 1e3, 1e25])
def test_outside_the_quadrature_the_value_is_still_an_upper_bound(sample_rate, sigma):
    """Compared with (1 − q)^{a−k}·q^k terms of whole moments, a lower bound each."""
    order = 3
    value = log_excess_moments(sample_rate, sigma, np.array([float(order)]))[0]
    truth = mp.log(oracle.whole_excess_moment(sample_rate, sigma, order))
    assert mpf(float(value)) >= truth
    assert np.isfinite(value)


def test_moments_never_fall_as_sampling_rises_or_noise_falls():
    orders = np.array([1.01, 1.5, 2.0, 8.25, 60.0, 1e4])
    for grid in (np.geomspace(1e-9, 1, 40), 1 - np.geomspace(1e-9, 0.9, 20)[::-1]):
        for sigma in (0.05, 0.5, 3.0, 100.0):
            values = np.array([log_excess_moments(q, sigma, orders) for q in grid.tolist()])
            assert (np.diff(values, axis=0) >= -1e-10).all()
    values = np.array([log_excess_moments(0.01, sigma, orders) for sigma in np.geomspace(0.005, 1e3, 60).tolist()])
    assert (np.diff(values, axis=0) <= 1e-10).all()
