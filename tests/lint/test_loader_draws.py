"""Which phases a loader has to draw in a certain way."""

import pytest

from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.lint import loader_draws
from dpplan.mechanism import BestOfTrials, Gaussian, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

EVERY = Poisson(1.0)
TREE = Phase(TreeAggregation(6.0, participations=4, separation=10), EVERY, 100)


@pytest.mark.parametrize(
    ("times", "apart", "matters"), [(100, 1, False), (200, 1, False), (99, 1, True), (100, 2, True), (1, 1, True)]
)
def test_noise_that_steps_share_matters_where_a_record_is_not_in_every_step(
    times: int, apart: int, matters: bool
) -> None:
    phase = Phase(TreeAggregation(6.0, participations=times, separation=apart), EVERY, 100)
    assert loader_draws.declares(phase) is matters
    assert list(loader_draws.by_chance(Plan((phase,)))) == [phase] * matters


def test_full_batches_of_other_noise_are_drawn_by_any_loader() -> None:
    assert not any(loader_draws.by_chance(Plan((Phase(Gaussian(2.0), EVERY, 100),))))
    assert loader_draws.drawn_by(Plan((Phase(Gaussian(2.0), EVERY, 100),)), "torch-shuffle")


def test_a_search_has_the_phases_of_its_trials() -> None:
    search = Phase(BestOfTrials("geometric", 3.0, (TREE,)), EVERY, 1)
    assert list(loader_draws.drawn_otherwise(Plan((search,)), "opacus")) == [TREE]


def test_one_order_is_kept_for_neighbours_of_equally_many_records_alone() -> None:
    assert loader_draws.drawn_by(Plan((TREE,), adjacency=ZERO_OUT), loader_draws.FIXED_ORDER)
    assert not loader_draws.drawn_by(Plan((TREE,), adjacency=ADD_REMOVE), loader_draws.FIXED_ORDER)
