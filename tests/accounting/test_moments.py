import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import Guarantee, moments, rdp
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.errors import UsageError
from dpplan.plan import Plan


@pytest.mark.parametrize("sample_rate", [1e-9, 1e-3, 0.3, 1 - 1e-9, 1.0])
@pytest.mark.parametrize("sigma", [0.05, 0.6, 4.0, 1000.0])
def test_log_moments_against_the_binomial_theorem(sample_rate, sigma):
    lambdas = np.array([1.0, 2.0, 7.0, 32.0])
    values = moments.log_moment(SampledGaussian(sigma, sample_rate, 1), lambdas)
    for lam, value in zip(lambdas.tolist(), values.tolist(), strict=True):
        order = int(lam) + 1
        if sample_rate == 1:
            truth = mpf(order * (order - 1)) / (2 * mpf(sigma) ** 2)
        else:
            truth = mp.log1p(oracle.whole_excess_moment(sample_rate, sigma, order))
        assert 0 <= float(mpf(value) / truth - 1) < 3e-12


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(("sample_rate", "sigma"), [(0.01, 4.0), (0.2, 0.8), (0.5, 1.5)])
@pytest.mark.parametrize("lam", [1, 4, 16])
def test_the_other_direction_is_never_larger(sample_rate, sigma, lam):
    forward = moments.log_moment(SampledGaussian(sigma, sample_rate, 1), np.array([float(lam)]))[0]
    assert lam * oracle.reverse_renyi_divergence(sample_rate, sigma, lam + 1.0) <= forward


def test_agrees_with_renyi_divergences_at_whole_orders():
    phase = SampledGaussian(1.1, 0.01, 1)
    lambdas = np.arange(1.0, 65.0)
    assert moments.log_moment(phase, lambdas) == pytest.approx(lambdas * rdp.divergence(phase, lambdas + 1), rel=1e-11)


def test_the_first_published_figure():
    bound = moments.epsilon(Plan.from_rate(4.0, 0.01, 10_000), 1e-5)
    assert bound.guarantee is Guarantee.UPPER
    assert bound.upper == pytest.approx(1.2586, abs=5e-5)
    assert bound.details["lambda"] == 19


def test_the_cap_is_mentioned_when_it_binds_and_only_then():
    plan = Plan.from_rate(4.0, 0.01, 100)
    capped, free = moments.epsilon(plan, 1e-5), moments.epsilon(plan, 1e-5, max_lambda=300)
    assert "largest allowed" in capped.why
    assert capped.details["lambda"] == 32
    assert "largest allowed" not in free.why
    assert free.upper < capped.upper


def test_delta_inverts_epsilon():
    plan = Plan.from_rate(4.0, 0.01, 10_000)
    assert moments.delta(plan, moments.epsilon(plan, 1e-5).upper).upper == pytest.approx(1e-5, rel=1e-9)


def test_a_vacuous_delta_is_one():
    assert moments.delta(Plan.from_rate(0.1, 0.5, 1000), 1.0).upper == 1.0


@pytest.mark.parametrize("max_lambda", [0, 2.5, 1001, math.nan, True])
def test_an_unusable_cap_is_refused(max_lambda):
    with pytest.raises(UsageError, match="max_lambda"):
        moments.epsilon(Plan.from_rate(1.0, 0.1, 1), 1e-5, max_lambda=max_lambda)
