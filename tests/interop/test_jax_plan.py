"""Configurations of JAX Privacy: written, read back, and refused where they say too little or too much."""

import json
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
