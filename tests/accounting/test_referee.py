"""Ends that were once on the wrong side of the truth, in laws that no ordinary plan has."""

import math

import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import pairs
from dpplan.accounting.exact import other_laws
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs import DominatingPair, GaussianLoss, LaplaceLoss, Reversed, StatedLoss, Subsampled
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE
from dpplan.errors import NotCertified, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson


def replaced_delta(sigma: float, q: float, epsilon: float) -> mpf:
    """Of one step, from the place where the losses begin to be larger."""
    with mp.workdps(60):
        s, rate, e = mpf(sigma), mpf(q), mpf(epsilon)
        x = s**2 * (mp.asinh(mp.exp(1 / (2 * s**2)) * (1 - rate) / rate * mp.sinh(e / 2)) + e / 2)
        none, up, down = (mp.erfc((x - mean) / s / mp.sqrt(2)) / 2 for mean in (0, 1, -1))
        return (1 - rate) * none + rate * up - mp.exp(e) * ((1 - rate) * none + rate * down)


@pytest.mark.parametrize(
    ("sigma", "q", "epsilon"),
    [(0.025, 0.3, 790), (0.02, 0.5, 1249), (1 / 30.3, 0.5, 699), (1 / 29, 0.5, 695), (0.05, 0.5, 150)],
)
def test_losses_beyond_what_floats_hold(sigma: float, q: float, epsilon: float) -> None:
    found = accounting.delta(Plan((Phase(Gaussian(sigma), Poisson(q), 1),), adjacency=REPLACE_ONE), epsilon)
    assert found.lower is not None and found.upper is not None
    assert found.lower <= replaced_delta(sigma, q, epsilon) <= found.upper


def test_epsilon_where_the_other_measure_underflows() -> None:
    plan = Plan((Phase(Gaussian(1 / 28), Poisson(0.5), 1),), adjacency=REPLACE_ONE)
    try:
        found = accounting.epsilon(plan, 2.2863548719214855e-26)
    except NotCertified:
        return
    assert found.lower is not None and found.upper is not None
    assert found.lower <= 685.0 <= found.upper


def test_a_reversed_law_knows_at_which_end_it_is_off() -> None:
    law = Reversed(Subsampled(GaussianLoss(0.1), 0.3))
    assert Composition.of([(law, 1)]).delta(0.35667494393873234).upper >= 2.36e-17


def test_a_direction_that_cannot_be_told_is_not_left_out() -> None:
    pair = DominatingPair(LaplaceLoss(1.0), StatedLoss(800.0, 1e-6), "")
    assert other_laws.epsilon_ends([(pair, 1)], 1e-5).upper >= 799.0
    found = Composition.of([(GaussianLoss(0.02), 1)]).epsilon(1e-5)
    assert not math.isnan(found.lower) and not math.isnan(found.upper)


def test_what_is_made_of_a_pair_that_is_not_realised_is_not_realised() -> None:
    pair = pairs.fixed_size_replaced(2.0, 0.1)
    for made in (pairs.mixed(((1.0, pair),)), pairs.subsampled(pair, 0.5)):
        assert not made.exact and len(made.realised) == len(pair.realised)
    alone, mixed = (other_laws.epsilon_ends([(each, 30)], 1e-5) for each in (pair, pairs.mixed(((1.0, pair),))))
    assert (mixed.lower, mixed.upper) == (pytest.approx(alone.lower, rel=1e-4), pytest.approx(alone.upper, rel=1e-4))


def test_a_batch_of_all_examples_leaves_open_what_the_smaller_data_set_does() -> None:
    found = accounting.epsilon(Plan((Phase(Gaussian(2.0), FixedSize(100, 100), 10),), adjacency=ADD_REMOVE), 1e-5)
    once, twice = (accounting.epsilon(Plan.from_rate(sigma, 1.0, 10), 1e-5) for sigma in (2.0, 1.0))
    assert found.lower == pytest.approx(once.lower, rel=1e-4)
    assert found.upper == pytest.approx(twice.upper, rel=1e-4)


def test_batches_of_a_fixed_size_are_of_one_data_set() -> None:
    phases = tuple(Phase(Gaussian(2.0), FixedSize(10, n), 10) for n in (100, 1000))
    with pytest.raises(PlanError, match="n=100 and 1000"):
        Plan(phases)
    with pytest.raises(PlanError, match="n=50 and 100"):
        Plan(phases[:1], examples=50)
