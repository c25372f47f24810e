"""The rule on an example's part in the sum: it fires where it should, and only there."""

import dataclasses

import pytest
from lint_runs import figure, found, looping, of_plan, of_recipe, only, searching

from dpplan import accounting
from dpplan.lint import Severity
from dpplan.lint.rules import privacy_unit
from dpplan.mechanism import Gaussian, ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

DELTA = 1e-6

# DP015


def test_micro_batches_are_a_warning_with_the_figure_of_the_other_reading() -> None:
    finding = only(looping(micro_batches=4), "DP015")
    assert (finding.severity, finding.where) == (Severity.WARNING, "--accumulate")
    larger = accounting.epsilon(Plan.from_rate(1.1, 1024 / 60_000, 14_063), DELTA).upper
    assert larger is not None
    assert larger <= figure("and ε =", finding.message) <= 1.001 * larger


def test_views_that_are_clipped_one_by_one_are_an_error() -> None:
    finding = only(looping(views=2), "DP015")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--views")
    louder = accounting.epsilon(Plan.from_rate(0.55, 256 / 60_000, 14_063), DELTA).upper
    assert louder is not None
    assert louder <= figure("and ε =", finding.message) <= 1.001 * louder


def test_views_and_micro_batches_are_held_against_the_trials_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Plan] = []  # and not answered: a search takes seconds
    monkeypatch.setattr(privacy_unit, "proven", lambda plan, delta: asked.append(plan))
    trial = Phase(Gaussian(4.0), Poisson(0.02), 50)
    assert len(list(privacy_unit.unit_changed(of_plan(searching(trial), views=2, micro_batches=3)))) == 2
    larger = dataclasses.replace(trial, sampling=Poisson(0.06))
    less = dataclasses.replace(trial, mechanism=Gaussian(2.0))
    assert [plan.only_phase for plan in asked] == [searching(larger), searching(less)]


def test_views_count_for_noise_that_steps_share() -> None:
    run, halved = (of_plan(Phase(ToeplitzNoise(noise, bands=2), Poisson(1.0), 3), views=2) for noise in (20.0, 10.0))
    assert halved.epsilon is not None
    upper = halved.epsilon.value
    assert upper <= figure("and ε =", only(run, "DP015").message) <= 1.001 * upper


def test_one_micro_batch_and_one_view_are_fine() -> None:
    assert found(looping(micro_batches=1, views=1), "DP015") == []
    assert found(of_recipe(), "DP015") == []
