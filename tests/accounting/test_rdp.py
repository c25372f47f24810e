import csv
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import oracle
import pytest

from dpplan.accounting import Guarantee, gdp, rdp, zcdp
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.accounting.renyi_curves import RunMoments
from dpplan.errors import UsageError
from dpplan.plan import Plan

TRUTH = list(csv.DictReader((Path(__file__).parents[1] / "data" / "sgm_truth.csv").open()))


def step(sample_rate: float, sigma: float):
    return SampledGaussian(sigma, sample_rate, 1)


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(("sample_rate", "sigma"), [(1e-9, 2.0), (0.01, 0.3), (0.004, 1.1), (0.5, 12.0), (0.2, 0.07)])
@pytest.mark.parametrize("order", [1.0001, 1.25, 3.7, 33.3])
def test_divergence_against_high_precision(sample_rate, sigma, order):
    value = rdp.divergence(step(sample_rate, sigma), np.array([order]))[0]
    assert 0 <= float(value / oracle.renyi_divergence(sample_rate, sigma, order) - 1) < 1e-11


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(("sample_rate", "sigma"), [(1e-6, 1.0), (0.01, 0.5), (0.3, 1.5), (0.9, 3.0)])
@pytest.mark.parametrize("order", [1.3, 2.0, 6.5, 40.0])
def test_the_add_direction_is_never_larger(sample_rate, sigma, order):
    remove = rdp.divergence(step(sample_rate, sigma), np.array([order]))[0]
    assert oracle.reverse_renyi_divergence(sample_rate, sigma, order) <= remove


def test_full_batch_has_the_closed_form():
    orders = np.array([1.0001, 2.0, 7.5, 1e6])
    assert rdp.divergence(step(1.0, 2.0), orders) == pytest.approx(orders / 8, rel=2e-12)


def test_the_limit_of_full_batch_is_continuous():
    orders = np.array([1.01, 2.0, 30.0])
    nearly = rdp.divergence(step(1 - 1e-9, 2.0), orders)
    assert nearly == pytest.approx(orders / 8, rel=1e-7)
    assert (nearly <= orders / 8 * (1 + 1e-11)).all()


def test_an_order_of_one_or_less_is_refused_with_all_others():
    with pytest.raises(UsageError, match=r"order=1\.0 .*\n.*order=0\.5"):
        rdp.divergence(step(0.1, 1.0), np.array([2.0, 1.0, 0.5]))


@pytest.mark.parametrize("row", TRUTH, ids=lambda row: f"q{row['q']}-s{row['sigma']}-T{row['steps']}-d{row['delta']}")
def test_epsilon_is_never_below_the_truth_nor_far_above(row):
    q, sigma, steps = float(row["q"]), float(row["sigma"]), int(row["steps"])
    bound = rdp.epsilon(Plan.from_rate(sigma, q, steps), float(row["delta"]))
    assert bound.guarantee is Guarantee.UPPER
    truth = float(row["eps"])
    # The Rényi bound is known to lie within about 40 % here but for rare large losses and tiny epsilons.
    assert truth <= bound.upper <= (3 if truth < 2 else 1.4) * truth


@pytest.mark.sweep(every=4, slow=("300.0",))
@pytest.mark.parametrize("conversion", ["cks", "classic"])
@pytest.mark.parametrize(
    ("sigma", "sample_rate", "steps", "delta"),
    [
        (1.0, 0.001, 30_000, 1e-7),  # falls gently, then rises a millionfold within two orders
        (4.0, 0.01, 10_000, 1e-5),
        (0.1, 1e-5, 10**6, 1e-7),
        (0.05, 0.01, 10, 1e-5),
        (40.0, 0.01, 1000, 1e-5),
        (0.614, 1e-5, 100_000, 1e-12),
        (300.0, 0.5, 10**7, 1e-50),
    ],
)
def test_no_order_of_a_dense_scan_does_better(sigma, sample_rate, steps, delta, conversion):
    plan = Plan.from_rate(sigma, sample_rate, steps)
    orders = 1 + np.geomspace(1e-4, 1e6 - 1, 700)
    scan = rdp.to_epsilon(steps * rdp.divergence(step(sample_rate, sigma), orders), orders, delta, conversion).min()
    found = rdp.epsilon(plan, delta, conversion=conversion).upper
    assert scan * (1 - 0.02) < found <= scan * (1 + 1e-9)


def test_the_two_conversions_at_the_setting_of_the_first_paper():
    plan = Plan.from_rate(4.0, 0.01, 10_000)
    assert rdp.epsilon(plan, 1e-5, conversion="classic").upper == pytest.approx(1.2584, abs=5e-5)
    assert rdp.epsilon(plan, 1e-5, conversion="cks").upper == pytest.approx(1.0354, abs=5e-5)


def test_matches_zcdp_without_sampling():
    for sigma, steps, delta in ((5.0, 10, 1e-6), (0.5, 3, 1e-30), (100.0, 7, 1e-9)):
        plan = Plan.from_rate(sigma, 1.0, steps)
        assert rdp.epsilon(plan, delta).upper == pytest.approx(zcdp.epsilon(plan, delta).upper, rel=1e-9)
        assert rdp.epsilon(plan, delta).upper >= gdp.epsilon(plan, delta).lower


def test_a_delta_above_the_total_variation_distance_costs_nothing_and_says_why():
    plan = Plan.from_rate(100.0, 0.01, 1)  # peers print a negative epsilon here
    bound = rdp.epsilon(plan, 0.1)
    assert bound.upper == 0
    assert "total variation" in bound.why
    assert rdp.delta(plan, 0.0).upper <= 0.1


@pytest.mark.parametrize(("sample_rate", "sigma"), [(1e-9, 1.0), (0.01, 2.0), (0.3, 0.5), (1.0, 3.0)])
def test_total_variation_is_above_the_truth_and_not_far(sample_rate, sigma):
    # TV = q·(2Φ(1/(2σ)) − 1) for one step.
    truth = sample_rate * math.erf(0.5 / sigma / math.sqrt(2))
    assert truth <= rdp.total_variation(RunMoments((step(sample_rate, sigma),))) < 2.5 * truth


def test_the_end_of_the_order_range_is_reported():
    high = rdp.epsilon(Plan.from_rate(1000.0, 1e-9, 1), 1e-100)
    assert high.details["order"] == pytest.approx(1e6)
    assert "largest tried" in high.why
    assert 0 < high.upper < math.log(1e100) / 1e6
    low = rdp.epsilon(Plan.from_rate(0.05, 1.0, 10**9), 1e-5)
    assert low.details["order"] == pytest.approx(1.0001)
    assert "smallest tried" in low.why
    middle = rdp.epsilon(Plan.from_rate(1.0, 0.01, 1000), 1e-5)
    assert "tried" not in middle.why


def test_a_vacuous_delta_is_one_and_says_so():
    bound = rdp.delta(Plan.from_rate(0.1, 0.5, 1000), 1.0)
    assert bound.upper == 1.0
    assert "no order" in bound.why


def test_a_delta_too_small_for_a_float_is_not_rounded_to_zero():
    bound = rdp.delta(Plan.from_rate(5.0, 0.001, 10), 1e4)
    assert bound.upper > 0
    assert bound.details["log_delta"] < -1000


def test_tiny_sampling_keeps_its_digits():
    # At q = 1e-9 the divergence at order 2 is q²·(e^{1/σ²} − 1), sixteen digits below 1.
    value = rdp.divergence(step(1e-9, 1.0), np.array([2.0]))[0]
    assert value == pytest.approx(1e-18 * math.expm1(1.0), rel=1e-11)


def test_an_unknown_conversion_is_named():
    for ask in (rdp.epsilon, rdp.delta):
        with pytest.raises(UsageError, match="conversion=best"):
            ask(Plan.from_rate(1.0, 0.1, 1), 0.5, conversion="best")


@pytest.mark.parametrize("order", [1.5, 2.0, 7.0, 31.0])
def test_what_a_sum_over_many_phases_rounds_off_is_counted(order):
    gaussians = tuple(SampledGaussian(1.0, 0.03 + k / 9973.0, 1 + k % 7) for k in range(4000))
    whole = sum(
        Fraction(each.steps) * Fraction(float(rdp.divergence(each, np.array([order]))[0])) for each in gaussians
    )
    found = rdp._compose(RunMoments(gaussians), np.array([order]))[0]
    assert whole <= Fraction(float(found)) <= whole * (1 + Fraction(1, 10**12))


def test_one_sum_of_two_phases_is_rounded_up_too():
    one = SampledGaussian(1.0, 1.0, 1)
    for k in range(50):
        other = SampledGaussian(1.0 + k / 7.0, 1.0, 3 + k)
        parts = [
            Fraction(each.steps) * Fraction(float(rdp.divergence(each, np.array([3.0]))[0])) for each in (one, other)
        ]
        assert Fraction(float(rdp._compose(RunMoments((one, other)), np.array([3.0]))[0])) > sum(parts)
