"""A phase gets the pair a theorem names; all else is refused, with the reason. Sampled pairs are their definitions."""

import dataclasses
import math

import numpy as np
import pytest

from dpplan.accounting import pairs
from dpplan.adjacency import ADJACENCIES, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson, Shuffle

PHASE = Phase(Gaussian(1.5), Poisson(0.02), 10)
ADD_REMOVE = Plan.from_rate(1.0, 0.5, 1).adjacency


class LouderGaussian(Gaussian):
    """A subclass may do anything."""


class ShuffledPoisson(Poisson):
    pass


@dataclasses.dataclass(frozen=True)
class Block:
    """Has all that a careless accountant would read."""

    sample_rate: float = 0.02
    noise_multiplier: float = 1.5
    assumption: str = "blocks"


def test_the_sampled_gaussian_has_its_pair_and_its_theorem():
    pair = pairs.of(PHASE, ADD_REMOVE, "example")
    assert pair.dominates
    assert "2106.08567" in pair.theorem
    assert pair.remove == pairs.Subsampled(pairs.GaussianLoss(1.5), 0.02)
    assert pair.add == pairs.Reversed(pair.remove)
    assert len(pair.directions) == 2


def test_without_sampling_both_directions_are_one():
    pair = pairs.of(Plan.from_rate(2.0, 1.0, 3).only_phase, ADD_REMOVE, "example")
    assert pair.directions == (pairs.GaussianLoss(2.0),)


@pytest.mark.parametrize("adjacency", ADJACENCIES.values(), ids=str)
def test_a_pair_moves_as_far_and_has_as_many_directions_as_its_relation_says(adjacency: Adjacency) -> None:
    moved = pairs.GaussianLoss(2.0 / adjacency.sensitivity)
    whole = [Phase(Gaussian(2.0), Poisson(1.0), 3), Phase(TreeAggregation(2.0), Poisson(1.0), 1)]
    if adjacency.public_size:
        whole.append(Phase(Gaussian(2.0), Shuffle(1, "fresh"), 3))
    for phase in whole:
        for pair, _ in pairs.terms(phase, adjacency, "example"):
            assert pair.remove == pair.add == moved
    sampled = pairs.of(PHASE, adjacency, "example")
    assert len(sampled.directions) == len(adjacency.directions) == (1 if adjacency.symmetric else 2)


@pytest.mark.parametrize(
    ("phase", "adjacency", "unit", "named"),
    [
        (Phase(LouderGaussian(1.5), Poisson(0.02), 10), ADD_REMOVE, "example", "mechanism=LouderGaussian"),
        (Phase(Gaussian(1.5), ShuffledPoisson(0.02), 10), ADD_REMOVE, "example", "sampling=ShuffledPoisson"),
        (Phase(Gaussian(1.5), Block(), 10), ADD_REMOVE, "example", "sampling=Block"),
        (Phase(Block(), Poisson(0.02), 10), ADD_REMOVE, "example", "mechanism=Block"),
        (PHASE, "replace_one", "example", "adjacency=replace_one"),
        (PHASE, "zero_out", "example", "adjacency=zero_out"),
        (PHASE, "add-remove", "example", "adjacency=add-remove"),
        (PHASE, ADD_REMOVE, "household", "privacy_unit=household"),
        (PHASE, ADD_REMOVE, "", "privacy_unit="),
    ],
)
def test_foreign_kinds_are_refused_by_name(phase, adjacency, unit, named):
    with pytest.raises(NotApplicable, match=named):
        pairs.of(phase, adjacency, unit)


def test_a_foreign_phase_is_refused():
    class Other(Phase):
        pass

    with pytest.raises(NotApplicable, match="Other"):
        pairs.of(Other(Gaussian(1.5), Poisson(0.02), 10), ADD_REMOVE, "example")


def test_all_that_is_foreign_is_named_at_once():
    with pytest.raises(NotApplicable) as refusal:
        pairs.of(Phase(Block(), Block(), 1), "swap", "household")
    assert all(name in str(refusal.value) for name in ("mechanism", "sampling", "adjacency", "privacy_unit"))


@pytest.mark.parametrize("q", [1e-6, 0.1, 0.7])
def test_a_sampled_pair_is_its_definition(q):
    """Finite laws, outcome by outcome."""
    rows = ((0.6, 0.2), (0.3, 0.3), (0.1, 0.4), (0.0, 0.1))
    table = np.array(rows)
    inner = pairs.DominatingPair(pairs.Finite(rows), pairs.Finite(tuple((b, a) for a, b in rows)), "by hand")
    sampled = pairs.subsampled(inner, q)
    p, other = table.T
    mixed = (1.0 - q) * other + q * p
    assert sorted(sampled.remove.atoms.loss) == pytest.approx(sorted(np.log(mixed / other)), rel=1e-13)
    assert sampled.remove.infinite == sampled.remove.vanishing == 0.0
    # add: the inner add pair (A, B) becomes A against (1 - q)·A + q·B; here A is `other`, B is p
    ratios = np.log(other / ((1.0 - q) * other + q * p))
    assert sorted(sampled.add.atoms.loss) == pytest.approx(sorted(ratios), rel=1e-12)
    order = np.argsort(ratios)
    assert sampled.add.atoms.p == pytest.approx(other[order], rel=1e-13)


def test_sampling_with_certainty_changes_nothing():
    pair = pairs.laplace(2.0)
    assert pairs.subsampled(pair, 1.0) is pair


def test_what_a_record_cannot_be_told_by_stays_finite_under_sampling():
    law = pairs.subsampled(pairs.stated(1.0, 0.01), 0.1).remove
    assert law.infinite == pytest.approx(0.001)
    assert law.vanishing == 0.0
    assert law.atoms.loss[0] == math.log1p(-0.1)
    assert law.bounds[0] == math.log1p(-0.1)


def test_a_pair_that_only_some_neighbours_realise_says_so():
    realised = dataclasses.replace(pairs.gaussian(1.0), dominates=False)
    assert not pairs.subsampled(realised, 0.5).dominates
    assert not pairs.mixed(((0.5, realised), (0.5, pairs.laplace(1.0)))).dominates
