"""Runs whose claim is for users: drawn whole, or at most so many examples of each; screen, report and verdict."""

import dataclasses
import json
from pathlib import Path

import pytest
from small_recipe import small

from dpplan import train, verify
from dpplan.errors import RecipeError
from dpplan.plan import Settings
from dpplan.recipe.user_keys import EXAMPLES_PER_USER, drawn_whole, most_kept
from dpplan.train.execution.terminal_text import plan_lines, report_lines
from dpplan.train.state.report import Planned

WHOLE = {"privacy_unit": "user", "data_user": "simulated", "training_batch_size": 40, "data_examples_per_user": 6}
SINGLE = {"privacy_unit": "user", "privacy_max_per_user": 3, "data_user": "simulated"}


@pytest.mark.parametrize("changes", [WHOLE, SINGLE], ids=["whole", "single"])
def test_a_run_for_users_does_what_it_claims_and_its_report_is_verified(
    changes: dict[str, object], tmp_path: Path
) -> None:
    planned = train.plan(small(**changes))
    *_, report = train.events(planned, out=tmp_path / "run")
    assert isinstance(report, train.TrainReport) and report.agrees
    content = json.loads((tmp_path / "run" / "report.json").read_text())
    assert content["planned"]["privacy_unit"] == "user"
    assert content["planned"].get("max_per_user") == changes.get("privacy_max_per_user")
    assert "neither labels nor inputs" in content["planned"]["examples_kept"]
    assert content["not_covered_by_epsilon"]["users_by_number_of_examples"]
    names = [each.name for each in report.verdict]
    assert ("user counts" if changes is WHOLE else "example counts") in names and "examples per user" in names
    document = verify.read(tmp_path / "run")
    assert {claim.plan.privacy_unit for claim in document.claims if claim.plan} == {"user"}
    assert {claim.plan.max_per_user for claim in document.claims if claim.plan} == {changes.get("privacy_max_per_user")}
    assert all(len(line) <= 80 for line in (*plan_lines(planned), *report_lines(report)) if "written to" not in line)
    assert any("made up: no real user is protected" in line for line in plan_lines(planned))


def test_of_users_drawn_whole_the_claim_counts_users_and_of_single_examples_those_that_count() -> None:
    whole, single = train.plan(small(**WHOLE)), train.plan(small(**SINGLE))
    assert whole.claim.plan.examples == 178 and whole.claim.phase.sampling.expected_batch(178) == 40
    assert single.claim.plan.examples == single.dataset.training.examples < 3 * 178
    plan = Settings(noise_multiplier=2.0, examples=178, batch_size=40, steps=4, unit="user").plan()
    assert whole.claim.plan.phases == plan.phases and whole.claim.plan.assumptions == plan.assumptions
    assert single.claim.plan.max_per_user == 3


def test_how_many_examples_of_one_user_count() -> None:
    for job, whole, most in (
        (small(), False, None),
        (small(**WHOLE), True, 6),
        (small(privacy_unit="user", data_user="simulated"), True, EXAMPLES_PER_USER),
        (small(**SINGLE), False, 3),
    ):
        assert drawn_whole(job.privacy) is whole and most_kept(job.privacy, job.data) == most


def test_a_verdict_catches_a_training_set_with_too_many_examples_of_one_user(tmp_path: Path) -> None:
    planned = train.plan(small(**SINGLE))
    assert planned.dataset.users is not None
    more = dataclasses.replace(planned.dataset.users, kept=4)
    altered: Planned = dataclasses.replace(planned, dataset=dataclasses.replace(planned.dataset, users=more))
    *_, report = train.events(altered, out=tmp_path / "run")
    assert isinstance(report, train.TrainReport) and not report.agrees


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"privacy_unit": "user"}, "data.user is missing"),
        ({"data_user": "simulated"}, "privacy.unit is example"),
        ({**SINGLE, "data_examples_per_user": 3}, "privacy.max_per_user limits them here"),
        ({"data_examples_per_user": 3}, "privacy.unit: user draws them here"),
        ({**WHOLE, "training_augment": "shift"}, "training.augment=shift is for single examples"),
        ({**WHOLE, "runtime_compile": True}, "runtime.compile is for single examples"),
        ({"privacy_max_per_user": 3}, "max_per_user is about users"),
        ({**WHOLE, "training_batch_size": 200}, "exceeds the 178 training users"),
    ],
)
def test_what_does_not_go_together_is_said_by_key(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        train.plan(small(**changes))
