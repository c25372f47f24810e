"""Configurations of JAX Privacy: written, read back, and refused where they say too little or too much."""

import json
import math
from typing import Any

import pytest

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, PlanError
from dpplan.interop import jax_plan
from dpplan.mechanism import Gaussian, Laplace
from dpplan.mechanism.correlated import ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, TruncatedPoisson

GOOD: dict[str, Any] = {"iterations": 400, "strategy": [1.0, 0.5], "noise_multiplier": 2.0, "sampling_prob": 0.1}


@pytest.mark.sweep(slow=("plan3",))
@pytest.mark.parametrize(
    "plan",
    [
        Plan((Phase(Gaussian(1.1), Poisson(0.01), 1000),)),
        Plan((Phase(Gaussian(1.1), CyclicPoisson(0.1, 4, "place"), 400),), adjacency=ZERO_OUT),
        Plan((Phase(ToeplitzNoise(4.0, bands=4), CyclicPoisson(0.1, 4, "place"), 400),), adjacency=ZERO_OUT),
        Plan((Phase(Gaussian(1.0), TruncatedPoisson(0.01, 130, 10_000), 300),), adjacency=ZERO_OUT),
    ],
)
def test_what_is_written_is_read_back_as_the_same_law(plan: Plan) -> None:
    read = jax_plan.read(json.loads(json.dumps(jax_plan.write(plan))))
    assert read.adjacency == plan.adjacency
    assert accounting.epsilon(read, 1e-6).value == pytest.approx(accounting.epsilon(plan, 1e-6).value, rel=1e-9)


def test_expected_participations_give_the_rate() -> None:
    content = {key: value for key, value in GOOD.items() if key != "sampling_prob"} | {"expected_participations": 10}
    assert jax_plan.read(content).only_phase.sampling == CyclicPoisson(0.05, 2, "place")


def test_columns_that_are_scaled_to_length_1_keep_the_noise_of_the_strategy_as_it_was_given() -> None:
    """jax_privacy 2.0.0 with this strategy: the noise added to two steps of a vector of zeros had a standard deviation
    of 2.08 and 2.12 with column_normalize, 4.08 without, and all columns of its C were 1 long, the last ones too."""
    content = {"iterations": 100, "strategy": [0.5, 0.1], "noise_multiplier": 4, "sampling_prob": 0.5}
    for steps in (100, 101):
        scaled = jax_plan.read({**content, "iterations": steps, "column_normalize": True}).only_phase
        assert isinstance(scaled.mechanism, Gaussian) and scaled.steps == steps
        assert scaled.mechanism.noise_multiplier == pytest.approx(4 * math.hypot(0.5, 0.1), rel=1e-14)
        assert scaled.mechanism.noise_multiplier <= 4 * math.hypot(0.5, 0.1)
    bound = accounting.epsilon(jax_plan.read({**content, "column_normalize": True}), 1e-6)
    assert bound.value == pytest.approx(10.26175663, rel=1e-8)
    assert jax_plan.read({**content, "column_normalize": False}).only_phase.mechanism == Gaussian(4.0)


@pytest.mark.parametrize(
    ("steps", "strategy", "cut"),
    [
        (100, [1.0, 0.5, 0.375, 0.3125], False),
        (102, [1.0, 0.5, 0.375, 0.3125], True),
        (102, [1.0, 0.5, 0.0, 0.0], False),
        (101, [1.0, 0.5, 0.0, 0.0], True),
        (101, [-1.0, -0.5], True),
        (101, [2.0], False),
    ],
)
def test_a_last_column_that_the_end_of_the_run_cuts_is_no_gaussian_of_the_whole_one(
    steps: int, strategy: list[float], cut: bool
) -> None:
    content = GOOD | {"iterations": steps, "strategy": strategy, "sampling_prob": 0.05}
    read = jax_plan.read(content)
    mechanism, length = read.only_phase.mechanism, math.sqrt(math.fsum(each * each for each in strategy))
    assert mechanism.kind == ("toeplitz" if cut else "gaussian")
    if isinstance(mechanism, ToeplitzNoise):
        assert mechanism.coefficients == tuple(abs(each) for each in strategy if each)
        assert mechanism.noise_multiplier == pytest.approx(2.0 * length, rel=1e-14)
        assert accounting.epsilon(read, 1e-6).lower == 0.0, "of the last turn a part alone is seen"


def test_a_cyclic_plan_that_ends_within_a_turn_comes_back_as_it_was() -> None:
    """Read as Gaussians it was certified to cost 0.214840329 or more, and it costs 0.2140838 or less."""
    plan = Plan((Phase(ToeplitzNoise(6.0, bands=4), CyclicPoisson(0.05, 4, "place"), 102),), adjacency=ZERO_OUT)
    ours, theirs = (accounting.epsilon(each, 1e-6) for each in (plan, jax_plan.read(jax_plan.write(plan))))
    assert ours.lower == theirs.lower == 0.0
    assert theirs.upper == pytest.approx(ours.upper, rel=1e-12)


def test_groups_of_the_records_own_draw_are_known_where_no_column_is_cut() -> None:
    for steps, column_normalize in ((402, False), (401, True)):
        change = {"iterations": steps, "partition_type": "INDEPENDENT", "column_normalize": column_normalize}
        read = jax_plan.read(GOOD | change)
        assert read.adjacency == ADD_REMOVE and read.only_phase.sampling == CyclicPoisson(0.1, 2, "own")


def test_what_has_no_effect_on_the_figure_has_none() -> None:
    beside = {"l2_clip_norm": 5, "normalize_by": 10, "rescale_to_unit_norm": False, "noise_seed": None, "delta": None}
    for dtype in ("float32", "numpy.float64", "<class 'jax.numpy.float32'>"):
        assert jax_plan.read(GOOD | beside | {"dtype": dtype}) == jax_plan.read(GOOD)


@pytest.mark.parametrize("key", jax_plan.KEYS)
def test_every_key_is_read(key: str) -> None:
    """Whatever key is accepted: what makes no sense there is told by its name."""
    with pytest.raises(PlanError, match=key):
        jax_plan.read(GOOD | {key: ["nonsense"]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strategy": 3}, "strategy=3 is not a list"),
        ({"strategy": []}, "is not a list of numbers"),
        ({"iterations": 1.5}, "iterations=1.5"),
        ({"noise_multiplier": None}, "epsilon alone is no plan"),
        ({"sampling_prob": 2.0}, "sampling_prob=2"),
        ({"partition_type": "HALVES"}, "partition_type=HALVES is not one of"),
        ({"truncated_batch_size": 9}, "known with one band"),
        ({"truncated_batch_size": 9, "strategy": [1.0]}, "num_examples=None"),
        ({"sampling_probb": 0.1}, "Did you mean 'sampling_prob'"),
        ({"iterations": "many"}, "iterations=many"),
        ({"expected_participations": 3}, "expected_participations and sampling_prob say the same thing in two ways"),
        ({"epsilon": 1.0, "delta": 1e-6}, "epsilon=1 and noise_multiplier both say how much noise there is"),
        ({"noise_seed": 0}, "noise_seed=0: whoever knows it can take the noise away"),
        ({"dtype": "bfloat16"}, "dtype=bfloat16 is not one of: float32, float64"),
        ({"l2_clip_norm": 0}, "l2_clip_norm=0 is not a positive number"),
        ({"normalize_by": -1}, "normalize_by=-1 is not a positive number"),
        ({"column_normalize": 1}, "column_normalize=1 is not true or false"),
        ({"iterations": 1}, "it has no more bands than steps"),
        ({"iterations": 401, "partition_type": "INDEPENDENT"}, "costs no less: iterations=402"),
        ({"strategy": [0.0, 1.0]}, "the first number is 0 or beyond floats"),
        ({"strategy": [1.0, 1e300]}, "has a number of 1e\\+100 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        jax_plan.read(GOOD | change)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan((Phase(Laplace(1.0), Poisson(1.0), 3),)), "no configuration of laplace"),
        (Plan((Phase(Gaussian(1.0), Poisson(0.1), 3),) * 2), "of one run"),
        (Plan((Phase(Gaussian(1.0), Poisson(0.1), 3),), adjacency=REPLACE_ONE), "add-remove or zero-out"),
        (Plan((Phase(ToeplitzNoise(1.0, bands=4), Poisson(1.0), 9),), adjacency=ADD_REMOVE), "as many groups as bands"),
    ],
)
def test_what_has_no_configuration_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        jax_plan.write(plan)
