"""The budget in the loop: a step that would exceed it is not taken, unless recipe and caller both say so."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_recipe import small

from dpplan import accounting, train
from dpplan.errors import BudgetExceeded, RecipeError, Unreachable, UsageError
from dpplan.plan import Plan
from dpplan.recipe import Privacy
from dpplan.train.execution import terminal_text
from dpplan.train.step.trainer import Trainer

MOST = 1.0  # of the 60 steps below, this pays for some


def capped(**changes: Any) -> Any:
    return small(**{"privacy_max_epsilon": MOST, "training_steps": 60, **changes})


def test_a_run_ends_before_the_step_that_would_exceed_its_budget(tmp_path: Path) -> None:
    report = train.run(capped(), out=tmp_path / "run")
    phase = report.planned.claim.phase
    assert (report.status, report.steps, report.agrees) == ("finished", phase.steps, True)
    assert 1 < phase.steps < 60
    assert report.spent.upper is not None
    assert report.spent.upper <= MOST
    claim = report.planned.claim
    one_more = accounting.epsilon(Plan.from_rate(2.0, phase.sampling.sample_rate, phase.steps + 1), claim.delta.value)
    assert one_more.upper is not None
    assert one_more.upper > MOST
    assert not report.over_budget
    lines = "\n".join(terminal_text.plan_lines(report.planned))
    assert "every noisy step, not the final model only" in lines
    assert "= as many of 60 as ε ≤ 1 pays for" in lines
    assert "budget             ε ≤ 1" in lines


def test_a_budget_that_pays_for_all_steps_changes_nothing() -> None:
    assert small(privacy_max_epsilon=9.0).plan(1437) == small().plan(1437)


def test_a_budget_that_pays_for_no_step_is_refused() -> None:
    with pytest.raises(Unreachable):
        train.plan(capped(privacy_max_epsilon=1e-4))


def test_going_on_needs_consent_and_is_marked_everywhere(tmp_path: Path) -> None:
    recipe = capped(training_on_budget="continue")
    with pytest.raises(
        BudgetExceeded, match=r"all 60 steps would spend ε ≤ .* more than the budget of 1\. .*--over-budget"
    ):
        train.plan(recipe)
    planned = train.plan(recipe, over_budget=True)
    *_, report = train.events(planned, out=tmp_path / "run")
    assert isinstance(report, train.TrainReport)
    assert (report.steps, report.agrees, report.over_budget) == (60, True, True)
    written = report.to_json()
    assert (written["planned"]["over_budget"], written["spent"]["over_budget"]) == (True, True)
    for lines in (terminal_text.plan_lines(planned), terminal_text.report_lines(report)):
        assert next(iter(lines)) == "over budget: ε ≤ 1 was allowed"


def test_each_epoch_says_by_itself_whether_the_budget_was_exceeded(tmp_path: Path) -> None:
    planned = train.plan(capped(training_on_budget="continue"), over_budget=True)
    *_, report = train.events(planned, out=tmp_path / "run")
    assert isinstance(report, train.TrainReport)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["over_budget"] for line in lines] == [line["epsilon"]["upper"] > MOST for line in lines]
    assert [line["over_budget"] for line in lines] == [epoch.over_budget for epoch in report.epochs]
    assert (lines[0]["over_budget"], lines[-1]["over_budget"]) == (False, True)


def test_no_epoch_of_a_run_that_stops_at_its_budget_is_over_it(tmp_path: Path) -> None:
    for name, recipe in (("capped", capped()), ("free", small())):
        report = train.run(recipe, out=tmp_path / name)
        assert [epoch.over_budget for epoch in report.epochs] == [False] * len(report.epochs)


def test_consent_alone_does_not_change_the_recipe() -> None:
    with pytest.raises(UsageError, match="--over-budget needs on_budget: continue"):
        train.plan(capped(), over_budget=True)


def test_a_target_is_a_budget_and_leaves_no_room_for_another() -> None:
    with pytest.raises(RecipeError, match="max_epsilon has no meaning beside target_epsilon"):
        Privacy(clip_norm=1.0, target_epsilon=3.0, max_epsilon=2.0)
    solved = small(privacy_noise_multiplier=None, privacy_target_epsilon=1.0)
    assert solved.claim(1437).max_epsilon == 1.0


def test_the_budget_of_a_plan_without_one_is_what_it_claims() -> None:
    claim = small().claim(1437)
    assert claim.max_epsilon is None
    assert not claim.exceeded_by(claim.epsilon)
    assert claim.exceeded_by(claim.spent(5))


@pytest.mark.parametrize("twice", [3, 8], ids=["within", "at the end"])
def test_a_step_that_is_taken_uncounted_is_in_the_claim_all_the_same(
    twice: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens between two counts, what is told is never for fewer releases than were made."""
    inner, calls = Trainer.step, [0]

    def step(self: Trainer) -> Any:
        calls[0] += 1
        if calls[0] == twice:
            inner(self)
        return inner(self)

    monkeypatch.setattr(Trainer, "step", step)
    report = train.run(small(training_steps=8), out=tmp_path / "run")
    made = max(8, twice + 1)
    assert (report.steps, report.lost) == (made, 0)
    assert report.spent.upper == report.planned.claim.spent(made).upper
    assert report.agrees == (made == 8)
