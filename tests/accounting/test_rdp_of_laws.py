"""Rényi DP of what is no sampled Gaussian: records replaced, fixed-size batches, users; against mpmath and the exact
interval."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import Guarantee, least_upper, pairs, rdp, renyi_curves
from dpplan.accounting.exact.mixed.steps_of_law import decaying
from dpplan.accounting.pairs import allocated_rounds
from dpplan.accounting.pairs.allocation import Mean
from dpplan.accounting.pairs.dominating import Resolution
from dpplan.accounting.renyi_transforms import OfTransforms
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable
from dpplan.mechanism import DiscreteGaussian, Exponential, Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import BallsInBins, Poisson, RandomAllocation

RUN = Settings(2.0, examples=10_000, batch_size=100, steps=1000)
PLANS = {
    "replaced": RUN.with_(adjacency=REPLACE_ONE),
    "fixed-size": RUN.with_(sampling="fixed-size", adjacency=REPLACE_ONE),
    "fixed-size, zeroed": RUN.with_(sampling="fixed-size", adjacency=ZERO_OUT),
    "users": RUN.with_(unit="user", max_per_user=4),
    "cyclic": RUN.with_(
        sampling="cyclic-poisson", scheme_options=(("groups", 5), ("assignment", "place")), adjacency=REPLACE_ONE
    ),
}


@pytest.mark.sweep(every=8)
@pytest.mark.parametrize("name", PLANS)
def test_it_lies_above_the_exact_interval_and_not_far(name):
    plan = PLANS[name].plan()
    exact, found = accounting.epsilon(plan, 1e-5), accounting.epsilon(plan, 1e-5, "rdp")
    assert found.guarantee is accounting.Guarantee.UPPER and found.lower is None
    assert exact.upper <= found.upper <= 1.35 * exact.upper
    back = accounting.delta(plan, found.upper, "rdp")
    assert back.upper == pytest.approx(1e-5, rel=0.02)
    assert accounting.delta(plan, found.upper).upper <= back.upper


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", ["fixed-size", "users"])
def test_twice_as_many_steps_cost_twice_the_divergence_and_noise_saves(name):
    settings = PLANS[name]
    one = accounting.epsilon(settings.plan(), 1e-5, "rdp").upper
    assert one <= accounting.epsilon(settings.with_(steps=2000).plan(), 1e-5, "rdp").upper
    assert accounting.epsilon(settings.with_(noise_multiplier=3.0).plan(), 1e-5, "rdp").upper <= one
    assert one <= accounting.epsilon(settings.plan(), 1e-5, "rdp", conversion="classic").upper


@pytest.mark.parametrize("order", [1.5, 4.0, pytest.param(11.0, marks=pytest.mark.slow)])
def test_the_divergence_of_fixed_size_batches_is_the_mirrored_laws(order):
    """E_Q[(P/Q)^a] = 1 + ∫ φ·(r^a - r - 1 + r^(1 - a)) over x > 1/2, of sampling at σ/2."""
    sigma, q = 1.0, 0.01
    part = decaying(pairs.fixed_size_replaced(sigma, q).remove, 1)
    assert part is not None
    (tilted,) = part.at(np.array([order - 1.0]))
    with mp.workdps(25):
        s, rate = mpf(sigma) / 2, mpf(q)

        def grown(x):
            r = 1 - rate + rate * mp.exp((2 * x - 1) / (2 * s * s))
            return mp.npdf(x, 0, s) * (r**order - r - 1 + r ** (1 - order))

        edges = [mpf(1) / 2 + k * s for k in range(int((order + 12) / s) + 1)]
        truth = float(mp.log1p(mp.quad(grown, edges)))
    assert truth <= tilted.log_top <= truth * (1 + 1e-9)


def test_published_bounds_of_fixed_size_batches_are_not_exceeded():
    """Wang, Balle, Kasiviswanathan 2019, Thm 9, at whole orders, with the sensitivity of two clip norms."""
    sigma, q = 4.0, 0.01
    part = decaying(pairs.fixed_size_replaced(sigma, q).remove, 1)
    assert part is not None
    for order in (2, 3, 5, 8):
        rho = [2.0 * j / sigma**2 for j in range(order + 1)]  # j-th order's divergence, sensitivity 2
        total = q * q * math.comb(order, 2) * min(4 * math.expm1(rho[2]), 2 * math.exp(rho[2]))
        total += sum(2 * q**j * math.comb(order, j) * math.exp((j - 1) * rho[j]) for j in range(3, order + 1))
        (tilted,) = part.at(np.array([order - 1.0]))
        assert 0.0 < tilted.log_top <= math.log1p(total)


def test_the_larger_direction_counts_and_what_is_only_realised_does_not():
    pair, orders = pairs.grouped(1.0, 0.05, 3), np.array([1.2, 4.0, 9.0])
    whole = OfTransforms.of(pair)
    assert whole is not None and len(whole.steps) == 2
    single = [OfTransforms((step,))(orders) for step in whole.steps]
    assert np.array_equal(whole(orders), np.max(single, axis=0))
    assert OfTransforms.of(replace(pair, dominates=False)) is None


def mean_moment(noise: float, count: int, order: int) -> float:
    """The divergence of a mean of so many lognormals from 1: E[(Σ r)^a] / a! is the coefficient of x^a in the power of
    Σ_j E[r^j] x^j / j!, with E[r^j] = e^(j(j - 1)/2σ²). Positive terms alone."""
    one = np.array([math.exp(j * (j - 1) / (2 * noise**2) - math.lgamma(j + 1)) for j in range(order + 1)])
    power = np.array([1.0])
    for _ in range(count):
        power = np.convolve(power, one)[: order + 1]
    return (math.log(power[order]) + math.lgamma(order + 1) - order * math.log(count)) / (order - 1)


@pytest.mark.parametrize(
    ("noise", "count", "orders"), [(1.0, 20, (2, 3, 6)), (2.0, 100, (2, 8, 16)), (4.0, 9, (2, 12))]
)
def test_moments_of_an_allocation_are_those_of_a_mean(noise, count, orders):
    """Of whole orders in closed form; what is set aside as a chance is next to nothing."""
    plan = Plan((Phase(Gaussian(noise), BallsInBins(count), 3 * count),))
    run = renyi_curves.of(plan, "rdp")
    assert 0.0 < run.revealed < 1e-20
    found = run.divergence(np.array(orders, dtype=float))
    for value, order in zip(found, orders, strict=True):
        exact = 3.0 * mean_moment(noise, count, order)
        assert exact * (1.0 - 1e-12) <= value <= exact * 1.002


def test_added_moments_of_an_allocation_are_those_of_an_integral():
    """E[R^(1 - a)] of two lognormals."""
    noise, z = 0.9, np.linspace(-12.0, 12.0, 1501)
    weight = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    ratio = np.exp(z / noise - 0.5 / noise**2)
    ratios, weights = 0.5 * np.add.outer(ratio, ratio), np.multiply.outer(weight, weight)
    pair = allocated_rounds.allocated(Mean(((noise, 2),), 2), Resolution(4, 60))
    for order in (1.5, 3.0):
        exact = math.log(float((weights * ratios ** (1.0 - order)).sum())) / (order - 1.0)
        found = float(renyi_curves._atoms_divergence(pair.add, np.array([order]))[0])
        assert exact * (1.0 - 1e-9) <= found <= exact * 1.002


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("sampling", [BallsInBins(20), BallsInBins(20, "same"), RandomAllocation(20, 2)], ids=str)
def test_allocations_are_bounded_from_above(sampling):
    plan = Plan((Phase(Gaussian(1.0), sampling, 50),))
    found, exact = accounting.epsilon(plan, 1e-5, "rdp"), accounting.epsilon(plan, 1e-5)
    assert exact.upper <= found.value <= 1.25 * exact.upper
    assert accounting.delta(plan, found.value, "rdp").value == pytest.approx(1e-5, rel=1e-6)


def test_little_noise_on_allocations_is_refused():
    plan = Plan((Phase(Gaussian(0.02), BallsInBins(20), 40),))
    with pytest.raises(NotApplicable, match="Use the exact accountant"):
        accounting.epsilon(plan, 1e-5, "rdp")


def test_the_name_of_an_unknown_conversion_is_told():
    with pytest.raises(Exception, match="conversion=old is not one of"):
        rdp.epsilon(PLANS["users"].plan(), 1e-5, conversion="old")  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_no_two_answers_of_the_exponential_mechanism_are_told_apart_better_than_claimed(steps):
    """One answer's score rises and the other's falls, from every chance that it may have had: the worst there is (Dong,
    Durfee, Rogers 2020, arXiv:1909.13830). Of one release the claim is all but met."""
    plan, met = Plan((Phase(Exponential(1.0), Poisson(1.0), steps),)), []
    for place in (0.0, 0.3, 0.9, 1.7):
        spent = 0.0
        for chance in np.linspace(0.01, 0.99, 99):
            before, after = (np.array([chance, 1 - chance]) * np.exp([moved, -moved]) for moved in (0.0, 0.5))
            laws = before, after / after.sum()
            for p, q in (laws, laws[::-1]):
                runs = [1.0], [1.0]
                for _ in range(steps):
                    runs = np.outer(runs[0], p).ravel(), np.outer(runs[1], q).ravel()
                spent = max(spent, float(np.maximum(runs[0] - math.exp(place) * runs[1], 0).sum()))
        claimed = min(accounting.delta(plan, place, name).value for name in ("exact", "zcdp", "rdp"))
        assert spent <= claimed + 1e-12
        met.append(spent / claimed if claimed > 1e-300 else 1.0)
    assert max(met[:3]) > (0.99 if steps == 1 else 0.5)


@pytest.mark.parametrize("moved", [(3, 0), (2, 2), (1, 1)])
def test_the_lesser_upper_bound_is_above_what_some_record_is_told_in_mpmath(moved: tuple[int, int]) -> None:
    """Two counts of which the length alone is known have no pair, and moments stand in: against each change of them."""
    plan = Plan((Phase(DiscreteGaussian(4.0, l2_sensitivity=3.0), Poisson(1.0), 1),))
    bound = least_upper.epsilon(plan, 1e-3)
    assert bound.upper is not None and bound.guarantee is Guarantee.UPPER and bound.stands_in
    back = least_upper.delta(plan, bound.upper)
    assert back.upper is not None and back.upper <= 1e-3 * (1 + 1e-6)
    with mp.workdps(30):
        one = [mp.exp(-mpf(k * k) / 32) for k in range(-60, 61)]
        whole, factor, told = mp.fsum(one) ** 2, mp.exp(mpf(bound.upper)), mpf(0)
        for x in range(-50, 51):
            for y in range(-50, 51):
                p = one[x - moved[0] + 60] * one[y - moved[1] + 60]
                told += max(p - factor * one[x + 60] * one[y + 60], mpf(0))
        assert told / whole <= back.upper
