"""What figures take for granted: the words beside them, above all of a record that is zeroed out."""

import json

import pytest

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, ZEROED, Adjacency
from dpplan.mechanism import (
    BestOfTrials,
    DiscreteGaussian,
    Gaussian,
    Laplace,
    Mechanism,
    NoisyMax,
    RandomizedResponse,
    ThresholdedCounts,
    ToeplitzNoise,
    TreeAggregation,
)
from dpplan.plan import Phase, Plan
from dpplan.plan_assumptions import ANSWERS_BY_CHANCE, AS_GOOD_AS_NONE, IN_NO_PARTITION, WHOEVER_ELSE
from dpplan.render import help_mechanisms, help_schemes, to_json
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson

FULL, DRAWN = Poisson(1.0), Poisson(0.1)
ANSWER = Phase(RandomizedResponse(0.7, 7), FULL, 1)


def told(*phases: Phase, adjacency: Adjacency = ZERO_OUT) -> str:
    return Plan(phases, adjacency=adjacency).assumptions.zeroed


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (ANSWER, ANSWERS_BY_CHANCE),
        (Phase(ThresholdedCounts(2.0, 20.0), FULL, 1), IN_NO_PARTITION),
        (Phase(Laplace(0.2), DRAWN, 1), AS_GOOD_AS_NONE),
        (Phase(NoisyMax(0.2), DRAWN, 1), AS_GOOD_AS_NONE),
        (Phase(DiscreteGaussian(2.0), DRAWN, 1), AS_GOOD_AS_NONE),
        (Phase(Laplace(0.2), FULL, 1), ""),
        (Phase(Gaussian(1.0), DRAWN, 1), ""),
        (Phase(Gaussian(1.0), FixedSize(10, 100), 1), ""),
        (Phase(TreeAggregation(4.0), FULL, 8), ""),
        (Phase(ToeplitzNoise(4.0, coefficients=(1.0, 0.5)), FULL, 8), ""),
    ],
    ids=lambda each: each if isinstance(each, str) else f"{each.mechanism.kind}, {each.sampling.assumption}",
)
def test_a_figure_says_what_a_zeroed_record_does_where_it_rests_on_it(phase: Phase, words: str) -> None:
    assert told(phase) == words
    assert told(phase, adjacency=ADD_REMOVE) == told(phase, adjacency=REPLACE_ONE) == ""
    search = BestOfTrials("geometric", 10.0, (phase,))
    assert told(Phase(search, FULL, 1)) == words  # what a trial rests on, its winner does


def test_several_are_told_each_once_and_beside_what_else_is_assumed() -> None:
    counts = Phase(ThresholdedCounts(2.0, 20.0), FULL, 1)
    plan = Plan((ANSWER, counts, ANSWER), adjacency=ZERO_OUT)
    assert plan.assumptions.zeroed == f"{ANSWERS_BY_CHANCE}, {IN_NO_PARTITION}"
    assert str(plan.assumptions) == f"full batch, zero out one example, {ANSWERS_BY_CHANCE}, {IN_NO_PARTITION}"


def test_json_and_the_figure_itself_say_it_and_nothing_where_nothing_rests_on_it() -> None:
    plan = Plan((ANSWER,), adjacency=ZERO_OUT)
    written = json.loads(json.dumps(to_json.document("epsilon", plan, [], [])))
    assert written["assumptions"] == {
        "sampling": "full batch", "adjacency": "zero_out", "privacy_unit": "example", "zeroed": ANSWERS_BY_CHANCE,
    }  # fmt: skip
    assert ANSWERS_BY_CHANCE in repr(accounting.epsilon(plan, 1e-5))
    assert "zeroed" not in Plan.from_rate(1.0, 0.1, 3).assumptions.to_json()


def test_the_pages_say_it() -> None:
    page = " ".join(help_mechanisms.MECHANISMS.split())
    assert "a zeroed record answers uniformly at random" in page and "A zeroed record is in no partition." in page
    assert ZEROED in " ".join(" ".join(help_schemes.adjacency()).split())
    assert help_schemes.adjacency_content()["zeroed"] == ZEROED


def asked(mechanism: Mechanism, steps: int, adjacency: Adjacency, delta: float) -> accounting.bound.Bound:
    return accounting.epsilon(Plan((Phase(mechanism, FULL, steps),), adjacency=adjacency), delta)


@pytest.mark.parametrize(("epsilon", "categories"), [(0.7274940014770971, 7), (0.1, 2), (3.0, 2), (5.0, 50)])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_record_that_is_replaced_costs_at_least_what_one_does_that_answers_by_chance(
    epsilon: float, categories: int, steps: int
) -> None:
    kind = RandomizedResponse(epsilon, categories)
    for delta in (1e-8, 1e-5, 1e-2):
        by_chance, replaced = (asked(kind, steps, each, delta) for each in (ZERO_OUT, REPLACE_ONE))
        assert by_chance.upper is not None and replaced.lower is not None and by_chance.upper <= replaced.lower


def test_the_two_readings_of_a_zeroed_answer_are_as_far_apart_as_is_told() -> None:
    kind = RandomizedResponse(0.7274940014770971, 7)
    by_chance, as_a_category = (asked(kind, 1, each, 1e-5).value for each in (ZERO_OUT, REPLACE_ONE))
    assert (round(by_chance, 6), round(as_a_category, 5)) == (0.585226, 0.72746)


@pytest.mark.parametrize(
    ("mechanism", "words"),
    [
        (TreeAggregation(4.0, 3, 20), f"each example in at most 3 steps, at least 20 apart, {WHOEVER_ELSE}"),
        (TreeAggregation(4.0, 1, 20), f"each example in at most 1 step, {WHOEVER_ELSE}"),
        (ToeplitzNoise(4.0, 2, (), 3), f"each example in at most 3 steps, {WHOEVER_ELSE}"),
        (ToeplitzNoise(4.0, 2, (), 60), "full batch"),
        (Gaussian(4.0), "full batch"),
    ],
)
@pytest.mark.parametrize("searched", [False, True])
def test_a_declared_pattern_is_told_in_place_of_full_batches(mechanism: Mechanism, words: str, searched: bool) -> None:
    """Batches cut from a list move where a record is removed: nine steps of ten may then move by two."""
    phase = Phase(mechanism, FULL, 60)
    plan = Plan((Phase(BestOfTrials("geometric", 10.0, (phase,)), FULL, 1),) if searched else (phase,))
    assert plan.assumptions.sampling.split(", of a search")[0] == words
    users = Plan(plan.phases, privacy_unit="user").assumptions.sampling
    assert users.startswith(words.replace("example", "user"))


def test_a_record_of_turns_is_told_by_its_scheme() -> None:
    turns = Phase(ToeplitzNoise(4.0, 2), CyclicPoisson(0.5, 4, "place"), 60)
    assert Plan((turns,), adjacency=ZERO_OUT).assumptions.sampling == turns.sampling.assumption
