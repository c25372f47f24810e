"""Plan -> JSON -> plan gives the same plan, and whatever else is read is refused with its place."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpplan.adjacency import ADJACENCIES
from dpplan.errors import PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.plan_json import phase_from_json, phase_to_json, plan_from_json, plan_to_json
from dpplan.sampling import Poisson

positive = st.floats(1e-300, 1e300)
phases = st.builds(
    Phase, st.builds(Gaussian, positive), st.builds(Poisson, st.floats(1e-300, 1.0)), st.integers(1, 10**18)
)
plans = st.builds(
    Plan,
    phases=st.lists(phases, min_size=1, max_size=4).map(tuple),
    adjacency=st.sampled_from(list(ADJACENCIES.values())),
    privacy_unit=st.sampled_from(["example", "user"]),
    examples=st.none() | st.integers(1, 10**15),
    batch_size=st.none() | positive,
    derivation=st.dictionaries(st.sampled_from(["sample_rate", "steps"]), st.text(max_size=20)).map(
        lambda found: tuple(found.items())
    ),
)
GOOD: dict[str, Any] = phase_to_json(Phase(Gaussian(1.1), Poisson(0.01), 1000))


@settings(derandomize=True, deadline=None)
@given(plan=plans)
def test_a_plan_survives_the_way_through_text(plan: Plan) -> None:
    text = json.dumps(plan_to_json(plan), allow_nan=False)
    assert plan_from_json(json.loads(text)) == plan


def test_every_part_of_a_phase_names_its_kind() -> None:
    assert GOOD == {
        "mechanism": "gaussian",
        "noise_multiplier": 1.1,
        "sampling": "poisson",
        "sample_rate": 0.01,
        "steps": 1000,
    }


def test_a_file_that_names_no_kind_is_of_the_version_that_knew_one() -> None:
    old = {key: value for key, value in GOOD.items() if key not in ("mechanism", "sampling")}
    assert phase_from_json(old) == phase_from_json(GOOD)
    assert plan_from_json({"phases": [old]}) == Plan((phase_from_json(GOOD),))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mechanism": "gausian"}, "best-of-trials. Did you mean 'gaussian'?"),
        ({"sampling": ["poisson"]}, "phase.sampling=['poisson'] is not one of: poisson, "),
        ({"noise_multiplier": "1.1"}, "phase.noise_multiplier is '1.1', which does not belong there."),
        ({"noise_multiplier": None}, "phase.noise_multiplier is missing."),
        ({"sample_rate": True}, "phase.sample_rate is 'True', which does not belong there."),
        ({"sample_rate": 1.5}, "phase: sample_rate=1.5 is not in (0, 1]."),
        ({"noise_multiplier": math.nan}, "phase.noise_multiplier is 'nan'"),
        ({"steps": 1.5}, "phase: steps=1.5 is not a whole number"),
        ({"steps": "many"}, "phase.steps is 'many', which does not belong there."),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as error:
        phase_from_json(GOOD | changes)
    assert said in str(error.value)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(PlanError) as error:
        plan_from_json({"phases": [{"mechanism": "x"}, 7, GOOD]})
    for place in ("phases[0].mechanism=x", "phases[0].sample_rate", "phases[0].steps", "phases[1].noise_multiplier"):
        assert place in str(error.value)
    with pytest.raises(PlanError, match="phases is missing"):
        plan_from_json({})
    with pytest.raises(PlanError, match="adjacency=edge is not one of: add-remove, replace-one, zero-out"):
        plan_from_json({"phases": [GOOD], "adjacency": "edge"})
