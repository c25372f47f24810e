"""Events of dp_accounting: what is written is read back as the same law, and what is unknown or unsafe is refused.

That the library itself takes them and agrees is tests/benchmarks/interop.py.
"""

import json
from typing import Any

import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.interop import dp_event
from dpplan.mechanism import (
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    PermuteAndFlip,
    RandomizedResponse,
    Stated,
    StatedZcdp,
)
from dpplan.mechanism.correlated import TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle, TruncatedPoisson

FULL = Poisson(1.0)
GAUSSIAN = {"class_name": "GaussianDpEvent", "noise_multiplier": 1.1}


def sampled(event: dict[str, Any], rate: float = 0.01) -> dict[str, Any]:
    return {"class_name": "PoissonSampledDpEvent", "sampling_probability": rate, "event": event}


def repeated(event: dict[str, Any], count: object = 10) -> dict[str, Any]:
    return {"class_name": "SelfComposedDpEvent", "event": event, "count": count}


@pytest.mark.parametrize(
    ("mechanism", "scheme", "steps", "adjacency"),
    [
        (Gaussian(1.1), Poisson(0.01), 1000, ADD_REMOVE),
        (Gaussian(4.0), FULL, 1, ADD_REMOVE),
        (Laplace(0.25), FULL, 20, REPLACE_ONE),
        (Laplace(0.5), Poisson(0.1), 20, ADD_REMOVE),
        (DiscreteLaplace(0.5, 2), FULL, 3, ADD_REMOVE),
        (StatedZcdp(0.05), FULL, 2, REPLACE_ONE),
        (Gaussian(1.0), TruncatedPoisson(0.01, 130, 10_000), 300, ZERO_OUT),
    ],
)
def test_what_is_written_is_read_back(mechanism: Mechanism, scheme: Sampling, steps: int, adjacency: Adjacency) -> None:
    plan = Plan((Phase(mechanism, scheme, steps),), adjacency=adjacency)
    read = dp_event.read(json.loads(json.dumps(dp_event.write(plan))))
    assert (read.phases, read.adjacency) == (plan.phases, plan.adjacency)


def test_several_phases_are_composed_and_answers_written_one_by_one() -> None:
    answers = Phase(RandomizedResponse(0.5, 4), FULL, 3)
    plan = Plan((Phase(Gaussian(2.0), FULL, 5), answers), adjacency=ZERO_OUT)
    written = dp_event.write(plan)
    assert [each["class_name"] for each in written["event"]["events"]] == [
        "SelfComposedDpEvent", *["RandomizedResponseDpEvent"] * 3,
    ]  # fmt: skip
    read = dp_event.read(written)
    before, after = accounting.epsilon(plan, 1e-6), accounting.epsilon(read, 1e-6)
    assert before.value <= after.value * (1 + 1e-9) and after.value == pytest.approx(before.value, rel=1e-7)


@pytest.mark.parametrize(
    ("mechanism", "scheme", "adjacency"),
    [
        (Gaussian(1.1), CyclicPoisson(0.1, 4, "place"), ZERO_OUT),
        (Gaussian(3.0), FixedSize(10, 100), ADD_REMOVE),
        (TreeAggregation(8.83), FULL, ADD_REMOVE),
        (Gaussian(3.0), FULL, REPLACE_ONE),
    ],
)
def test_laws_that_are_sampled_gaussians_are_written_as_those(
    mechanism: Mechanism, scheme: Sampling, adjacency: Adjacency
) -> None:
    plan = Plan((Phase(mechanism, scheme, 100),), adjacency=adjacency)
    written = dp_event.write(plan)
    ours, theirs = accounting.epsilon(plan, 1e-6), accounting.epsilon(dp_event.read(written), 1e-6)
    assert theirs.value == pytest.approx(ours.value, rel=1e-8)


@pytest.mark.parametrize(
    ("event", "mechanism"),
    [
        ({"class_name": "EpsilonDeltaDpEvent", "epsilon": 0.5, "delta": 1e-9}, Stated(0.5, 1e-9)),
        ({"class_name": "ExponentialMechanismDpEvent", "epsilon": 0.5}, Exponential(0.5)),
        ({"class_name": "PermuteAndFlipDpEvent", "epsilon": 0.5}, PermuteAndFlip(0.5)),
        ({"class_name": "dp_accounting.dp_event.GaussianDpEvent", "noise_multiplier": 2}, Gaussian(2.0)),
    ],
)
def test_events_of_newer_releases_are_read(event: dict[str, Any], mechanism: Mechanism) -> None:
    assert dp_event.read(event).only_phase == Phase(mechanism, FULL, 1)


def test_a_tree_and_a_composition_inside_a_repetition_are_read() -> None:
    tree = {"class_name": "SingleEpochTreeAggregationDpEvent", "noise_multiplier": 8.83, "step_counts": [1600, 4]}
    assert [phase.steps for phase in dp_event.read(tree).phases] == [1600], "a record is in one of the trees"
    assert [phase.steps for phase in dp_event.read(repeated(tree, 3)).phases] == [1600] * 3
    both = {"class_name": "ComposedDpEvent", "events": [GAUSSIAN, sampled(GAUSSIAN), {"class_name": "NoOpDpEvent"}]}
    assert [(phase.steps, phase.sampling) for phase in dp_event.read(repeated(both)).phases] == [
        (10, FULL), (10, Poisson(0.01)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"class_name": "LaplaceDpEvent", "noise_multiplier": -1}, "noise_multiplier=-1 is not a positive number"),
        ({"class_name": "LaplaceDpEvent", "noise_multiplier": 0}, "noise_multiplier=0 is not a positive number"),
        (
            {"class_name": "DiscreteLaplaceDpEvent", "noise_parameter": -1, "sensitivity": 1},
            "noise_parameter=-1 is not a positive number",
        ),
        ({"class_name": "os.system", "command": "true"}, "class_name=system is no event"),
        ({"class_name": "GausianDpEvent", "noise_multiplier": 1}, "Did you mean 'GaussianDpEvent'"),
        ({"class_name": "NonPrivateDpEvent"}, "is no event that is known"),
        ({"class_name": "GaussianDpEvent"}, "GaussianDpEvent.noise_multiplier=None is not a number"),
        ({"class_name": "GaussianDpEvent", "noise_multiplier": "1"}, "is not a number"),
        ({"class_name": "GaussianDpEvent", "noise_multiplier": -1}, "^GaussianDpEvent: noise_multiplier=-1"),
        (
            {"class_name": "GaussianDpEvent", "noise_multiplier": 1e-310},
            "^GaussianDpEvent: noise_multiplier=1e-310 is below",
        ),
        (
            {"class_name": "LaplaceDpEvent", "noise_multiplier": 1e-310},
            "^LaplaceDpEvent.noise_multiplier=1e-310 is below",
        ),
        (
            {"class_name": "DiscreteLaplaceDpEvent", "noise_parameter": 1e-310, "sensitivity": 1},
            "^DiscreteLaplaceDpEvent.noise_parameter=1e-310 is below 1e-300, where numbers lose their digits",
        ),
        (
            {"class_name": "RandomizedResponseDpEvent", "noise_parameter": 1e-310, "num_buckets": 2},
            "^RandomizedResponseDpEvent.noise_parameter=1e-310 is below",
        ),
        (
            {"class_name": "SingleEpochTreeAggregationDpEvent", "noise_multiplier": 1e-310, "step_counts": 3},
            "^SingleEpochTreeAggregationDpEvent: noise_multiplier=1e-310 is below",
        ),
        (repeated(GAUSSIAN, 0), "count=0 is not a whole number"),
        (repeated(GAUSSIAN, 1.5), "count=1.5 is not a whole number"),
        (repeated(repeated(GAUSSIAN, 10**15), 10**15), "more than 1e\\+18"),
        (sampled(GAUSSIAN, 2), "sample_rate=2 is not in"),
        (sampled(sampled(GAUSSIAN)), "a sample of a sample"),
        (sampled(repeated(GAUSSIAN)), "several releases of one batch"),
        (sampled({"class_name": "ComposedDpEvent", "events": [GAUSSIAN, GAUSSIAN]}), "several releases of one batch"),
        ({"class_name": "ComposedDpEvent", "events": 3}, "is not a list"),
        ({"class_name": "ComposedDpEvent", "events": [3]}, "no object with a class_name"),
        ({"class_name": "NoOpDpEvent"}, "spends nothing"),
        (
            {"class_name": "SingleEpochTreeAggregationDpEvent", "noise_multiplier": 5, "step_counts": []},
            "SingleEpochTreeAggregationDpEvent.step_counts=",
        ),
        ({"class_name": "ZCDpEvent", "rho": 0.1, "xi": 0.2}, "with xi = 0"),
        ({"class_name": "RandomizedResponseDpEvent", "noise_parameter": 2, "num_buckets": 3}, "not in \\(0, 1\\)"),
        ({"neighboring_relation": "SIDEWAYS", "event": GAUSSIAN}, "neighboring_relation=SIDEWAYS"),
    ],
)
def test_what_is_no_event_is_refused(event: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        dp_event.read(event)


def test_a_record_is_in_one_tree_of_an_epoch() -> None:
    """dp_accounting 0.6.0: "each record occurs at most once across all trees"; a composition of all four was certified
    to cost 3.2332 or more."""
    event = {"class_name": "SingleEpochTreeAggregationDpEvent", "noise_multiplier": 5, "step_counts": [7, 3, 7, 7]}
    bound = accounting.epsilon(dp_event.read({"neighboring_relation": "REPLACE_SPECIAL", "event": event}), 1e-6)
    alone = accounting.epsilon(Plan((Phase(Gaussian(5 / 3**0.5), FULL, 1),), adjacency=ZERO_OUT), 1e-6)
    assert bound.value == pytest.approx(alone.value, rel=1e-9) and bound.value == pytest.approx(1.50977, rel=1e-5)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            {**sampled(GAUSSIAN), "count": 1000},
            "^PoissonSampledDpEvent has no field count: sampling_probability, event",
        ),
        ({**GAUSSIAN, "sensitivity": 5}, "^GaussianDpEvent has no field sensitivity: noise_multiplier"),
        ({**GAUSSIAN, "neighboring_relation": "REPLACE_ONE", "event": GAUSSIAN}, "^GaussianDpEvent has no field event"),
        (repeated({**GAUSSIAN, "neighboring_relation": "REPLACE_ONE"}), "has no field neighboring_relation"),
        ({"neighboring_relation": "REPLACE_ONE", "event": GAUSSIAN, "count": 3}, "has no field count"),
        ({"class_name": "ComposedDpEvent", "events": [GAUSSIAN], "count": 3}, "^ComposedDpEvent has no field count"),
        ({"class_name": "NoOpDpEvent", "event": GAUSSIAN}, "^NoOpDpEvent has no field event"),
    ],
)
def test_what_an_event_says_besides_its_fields_is_refused(event: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        dp_event.read(event)


def test_every_event_that_is_read_has_its_fields_listed_and_modules_may_be_named() -> None:
    assert set(dp_event._FIELDS) >= {*dp_event._READ, *dp_event._DRAWN}
    assert dp_event.read({**GAUSSIAN, "module_name": "dp_accounting.dp_event"}).only_phase.mechanism == Gaussian(1.1)


def test_events_that_are_nested_without_end_are_refused() -> None:
    event: dict[str, Any] = GAUSSIAN
    for _ in range(100):
        event = repeated(event, 1)
    with pytest.raises(PlanError, match="more than 40 deep"):
        dp_event.read(event)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan((Phase(Stated(0.5), FULL, 1),)), "no event for epsilon-delta under add"),
        (Plan((Phase(Laplace(0.5), Poisson(0.1), 1),), adjacency=REPLACE_ONE), "add-remove alone"),
        (
            Plan((Phase(Gaussian(1.0), Poisson(0.1), 1),), adjacency=REPLACE_ONE),
            "no event for gaussian with poisson under replace",
        ),
        (Plan((Phase(Gaussian(1.0), FULL, 1),), privacy_unit="user", max_per_user=3), "users with several examples"),
        (
            Plan((Phase(TreeAggregation(9.0), Shuffle(10, "once"), 64),), adjacency=ZERO_OUT),
            "no event for tree with shuffle under zero-out: its law is known here from above, by a Gaussian that no ",
        ),
        (
            Plan((Phase(Gaussian(1.0), Shuffle(10, "once"), 64),), adjacency=ZERO_OUT),
            "EpsilonDeltaDpEvent\\(epsilon, delta\\)\\.$",
        ),
    ],
)
def test_what_has_no_event_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        dp_event.write(plan)


@pytest.mark.parametrize(("p", "k"), [(0.8412496969262132, 7), (0.3, 3), (0.9999, 2), (1e-9, 1000)])
def test_the_epsilon_of_answers_is_read_from_above(p: float, k: int) -> None:
    event = {"class_name": "RandomizedResponseDpEvent", "noise_parameter": p, "num_buckets": k}
    mechanism = dp_event.read(event).phases[0].mechanism
    assert isinstance(mechanism, RandomizedResponse)
    with mp.workdps(40):
        truth = mp.log1p((1 - mpf(p)) * k / mpf(p))
        assert truth <= mpf(mechanism.epsilon) <= truth * (1 + mpf(1e-14))
