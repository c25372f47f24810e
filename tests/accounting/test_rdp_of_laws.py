"""Rényi DP of what is no sampled Gaussian: records replaced, fixed-size batches, users; against mpmath and the exact
interval."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import pairs, rdp
from dpplan.accounting.exact.mixed.decaying import decaying
from dpplan.accounting.renyi_transforms import OfTransforms
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable
from dpplan.plan import Settings

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


@pytest.mark.parametrize("name", PLANS)
def test_it_lies_above_the_exact_interval_and_not_far(name):
    plan = PLANS[name].plan()
    exact, found = accounting.epsilon(plan, 1e-5), accounting.epsilon(plan, 1e-5, "rdp")
    assert found.guarantee is accounting.Guarantee.UPPER and found.lower is None
    assert exact.upper <= found.upper <= 1.35 * exact.upper
    back = accounting.delta(plan, found.upper, "rdp")
    assert back.upper == pytest.approx(1e-5, rel=0.02)
    assert accounting.delta(plan, found.upper).upper <= back.upper


@pytest.mark.parametrize("name", ["fixed-size", "users"])
def test_twice_as_many_steps_cost_twice_the_divergence_and_noise_saves(name):
    settings = PLANS[name]
    one = accounting.epsilon(settings.plan(), 1e-5, "rdp").upper
    assert one <= accounting.epsilon(settings.with_(steps=2000).plan(), 1e-5, "rdp").upper
    assert accounting.epsilon(settings.with_(noise_multiplier=3.0).plan(), 1e-5, "rdp").upper <= one
    assert one <= accounting.epsilon(settings.plan(), 1e-5, "rdp", conversion="classic").upper


@pytest.mark.parametrize("order", [1.5, 4.0, 11.0])
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


def test_allocations_are_refused():
    plan = Settings(1.0, sample_rate=0.05, steps=40, sampling="balls-in-bins", adjacency=ADD_REMOVE).plan()
    with pytest.raises(NotApplicable, match="Use the exact accountant"):
        accounting.epsilon(plan, 1e-5, "rdp")


def test_the_name_of_an_unknown_conversion_is_told():
    with pytest.raises(Exception, match="conversion=old is not one of"):
        rdp.epsilon(PLANS["users"].plan(), 1e-5, conversion="old")  # type: ignore[arg-type]
