"""Users: what all examples of one cost together, and that a figure says who it is for."""

import csv
import json
from pathlib import Path

import pytest

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, PlanError
from dpplan.plan import Plan, Settings
from dpplan.plan_json import plan_from_json, plan_to_json
from dpplan.solve import noise

with (Path(__file__).parents[2] / "data" / "claims_points.csv").open(encoding="utf-8", newline="") as file:
    POINTS = [row for row in csv.DictReader(file) if row["id"].startswith("E_els_")]
RUN = Settings(noise_multiplier=2.0, sample_rate=0.01, steps=50, unit="user")


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row["id"])
def test_published_figures(row: dict[str, str]) -> None:
    given = json.loads(row["parameters"])
    settings = Settings(given["sigma"], given["q"], given["steps"], unit="user", max_per_user=given["K"])
    found = accounting.epsilon(settings.plan(), given["delta"])
    assert found.lower is not None and found.upper is not None and found.relative_width is not None
    assert found.lower * (1 - 1e-5) <= float(row["value"]) <= found.upper * (1 + 1e-5)
    assert found.relative_width < 1e-4


def test_a_user_drawn_whole_is_a_record() -> None:
    found = accounting.epsilon(RUN.plan(), 1e-6)
    assert found.value == accounting.epsilon(Plan.from_rate(2.0, 0.01, 50), 1e-6).value
    assert str(found.assumptions) == "Poisson sampling, add/remove one user, drawn and clipped whole"
    one = accounting.epsilon(RUN.with_(max_per_user=1).plan(), 1e-6)
    assert one.value == found.value
    assert str(one.assumptions) == "Poisson sampling, add/remove one user of at most 1 examples"


def test_more_examples_of_a_user_never_cost_less() -> None:
    uppers = [accounting.epsilon(RUN.with_(max_per_user=k).plan(), 1e-6).value for k in (1, 2, 6)]
    assert uppers == sorted(uppers) and uppers[0] < uppers[-1]
    every = accounting.epsilon(RUN.with_(max_per_user=3, sample_rate=1.0).plan(), 1e-6)
    assert every.value == accounting.epsilon(Plan.from_rate(2.0 / 3.0, 1.0, 50), 1e-6).value


def test_zeroing_out_a_user_is_removing_one() -> None:
    removed, zeroed = (
        accounting.epsilon(RUN.with_(max_per_user=3, adjacency=each).plan(), 1e-6) for each in (ADD_REMOVE, ZERO_OUT)
    )
    assert removed.value == zeroed.value


def test_what_is_not_known_is_refused() -> None:
    for settings in (
        RUN.with_(max_per_user=3, adjacency=REPLACE_ONE),
        RUN.with_(max_per_user=3, sampling="fixed-size", examples=100),
    ):
        with pytest.raises(NotApplicable, match="max_per_user=3 is known for Gaussian noise"):
            accounting.epsilon(settings.plan(), 1e-6)
    with pytest.raises(PlanError, match=r"max_per_user=3 is about users.*--unit user"):
        Settings(2.0, 0.01, 50, max_per_user=3).plan()
    with pytest.raises(PlanError, match="unit=household is not one of"):
        RUN.with_(unit="household").plan()


def test_the_unit_is_stored_with_the_plan() -> None:
    plan = RUN.with_(max_per_user=4).plan()
    stored = json.loads(json.dumps(plan_to_json(plan)))
    assert stored["privacy_unit"] == "user" and stored["max_per_user"] == 4
    assert plan_from_json(stored) == plan
    assert "max_per_user" not in plan_to_json(Plan.from_rate(1.0, 0.1, 2))


@pytest.mark.slow
def test_noise_is_solved_for_users() -> None:
    found = noise(RUN.with_(noise_multiplier=None, max_per_user=2, steps=5), 1.0, 1e-6)
    assert found.plan.max_per_user == 2 and found.spent.upper is not None and found.spent.upper <= 1.0
    alone = noise(Settings(sample_rate=0.01, steps=5), 1.0, 1e-6)
    assert found.value > alone.value
