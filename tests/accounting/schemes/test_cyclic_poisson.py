"""Groups by turns: what a record's own turns cost, and who may be removed."""

from fractions import Fraction

import pytest

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import CyclicPoisson, Poisson


def plan_of(scheme: CyclicPoisson | Poisson, steps: int, adjacency: Adjacency) -> Plan:
    return Plan((Phase(Gaussian(1.0), scheme, steps),), adjacency=adjacency)


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE], ids=str)
def test_a_record_has_the_turns_of_the_first_group(adjacency: Adjacency) -> None:
    for steps, turns in ((100, 20), (101, 21), (104, 21), (3, 1)):
        found = accounting.epsilon(plan_of(CyclicPoisson(0.1, 5, "place"), steps, adjacency), 1e-5)
        assert found.value == accounting.epsilon(plan_of(Poisson(0.1), turns, adjacency), 1e-5).value


def test_who_is_removed_must_not_move_others() -> None:
    with pytest.raises(NotApplicable, match=r"goes by place.*--assignment own"):
        accounting.epsilon(plan_of(CyclicPoisson(0.1, 5, "place"), 100, ADD_REMOVE), 1e-5)
    found = accounting.epsilon(plan_of(CyclicPoisson(0.1, 5, "own"), 100, ADD_REMOVE), 1e-5)
    assert found.value == accounting.epsilon(Plan.from_rate(1.0, 0.1, 20), 1e-5).value


def test_a_turn_that_only_some_groups_have_is_a_public_coin() -> None:
    less, mixed, more = (
        accounting.epsilon(plan_of(CyclicPoisson(0.1, 5, "own"), steps, ADD_REMOVE), 1e-5) for steps in (20, 22, 25)
    )
    assert less.value < mixed.value < more.value
    one = accounting.delta(plan_of(CyclicPoisson(0.1, 5, "own"), 2, ADD_REMOVE), 0.1)
    whole = accounting.delta(Plan.from_rate(1.0, 0.1, 1), 0.1)
    assert one.value == pytest.approx(0.4 * whole.value, rel=1e-5)


def test_the_rate_is_that_inside_a_group() -> None:
    said = Settings(noise_multiplier=1.0, sampling="cyclic-poisson", epochs=3, adjacency=ZERO_OUT)
    grouped = said.with_(scheme_options=(("groups", 10),))
    plan = grouped.with_(examples=1000, batch_size=10).plan()
    assert plan.only_phase.sampling == CyclicPoisson(0.1, 10, "place")
    assert plan.steps == 300 and plan.only_phase.sampling.expected_batch(1000) == 10
    assert grouped.with_(sample_rate=Fraction(1, 10)).plan().steps == 300
    with pytest.raises(PlanError, match="groups is missing"):
        said.with_(sample_rate=0.1).plan()
    with pytest.raises(PlanError, match="batch=200 exceeds a group"):
        grouped.with_(examples=1000, batch_size=200).plan()
