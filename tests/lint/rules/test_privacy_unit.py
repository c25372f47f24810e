"""The rule on an example's part in the sum: it fires where it should, and only there."""

import dataclasses
import math
from typing import Any

import pytest
from lint_runs import figure, found, looping, of_plan, of_recipe, only, searching, tied

from dpplan import accounting, lint
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable
from dpplan.lint import Severity
from dpplan.lint.rules import privacy_unit
from dpplan.mechanism import Gaussian, ToeplitzNoise
from dpplan.plan import Phase, Plan
from dpplan.sampling import (
    BallsInBins,
    CyclicPoisson,
    FixedSize,
    Poisson,
    RandomAllocation,
    Sampling,
    Shuffle,
    TruncatedPoisson,
)

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


@pytest.mark.parametrize(
    ("drawn", "larger"),
    [
        (BallsInBins(10), BallsInBins(5)),
        (BallsInBins(10, "same"), BallsInBins(5, "same")),
        (Shuffle(235, "fresh"), Shuffle(118, "fresh")),
        (FixedSize(10, 100), FixedSize(20, 100)),
        (CyclicPoisson(0.1, 4, "own"), CyclicPoisson(0.2, 4, "own")),
        (RandomAllocation(20, 2), RandomAllocation(10, 2)),
        (Poisson(0.01), Poisson(0.02)),
        (Poisson(1.0), Poisson(1.0)),
    ],
)
def test_each_scheme_draws_larger_batches_by_its_own_arithmetic(drawn: Sampling, larger: Sampling) -> None:
    assert privacy_unit._larger(Phase(Gaussian(2.0), drawn, 100), 2) == Phase(Gaussian(2.0), larger, 100)


@pytest.mark.parametrize(
    ("drawn", "times", "why"),
    [
        (BallsInBins(10), 3, "no whole number of updates"),
        (BallsInBins(2), 4, "more than once"),
        (Shuffle(2, "fresh"), 4, "more than once"),
        (Poisson(0.3), 4, "more than once"),
        (FixedSize(60, 100), 2, "more than once"),
        (RandomAllocation(6, 3), 3, "more than once"),
        (TruncatedPoisson(0.1, 20, 100), 2, "more than the batch"),
    ],
)
def test_where_larger_batches_have_no_figure_none_is_told(drawn: Sampling, times: int, why: str) -> None:
    with pytest.raises(NotApplicable, match=why):
        privacy_unit._larger(Phase(Gaussian(2.0), drawn, 100), times)


def test_micro_batches_of_allocated_steps_cost_what_the_larger_batches_do() -> None:
    """0.1733 was told to be 0.1733 in truth, too."""
    run = of_plan(Phase(Gaussian(2.0), BallsInBins(100), 100), micro_batches=2)
    whole = accounting.epsilon(Plan((Phase(Gaussian(2.0), BallsInBins(50), 100),)), DELTA).upper
    assert whole is not None and run.epsilon is not None and whole > 2 * run.epsilon.value
    assert whole <= figure("and ε ≤", only(run, "DP015").message) <= 1.001 * whole


def test_micro_batches_without_a_figure_have_none_beside_the_reason() -> None:
    message = only(of_plan(Phase(Gaussian(2.0), Poisson(0.4), 10), micro_batches=3), "DP015").message
    assert "ε" not in message and "since an example would be in an update more than once" in message
    assert "ε" not in only(of_plan(tied(1, Poisson(0.5)), micro_batches=2), "DP015").message


def owning(owned: int, unit: str = "example", most: int | None = None, **plan: Any) -> lint.LintContext:
    run = of_plan(Phase(Gaussian(4.0), plan.pop("sampling", Poisson(0.01)), 100))
    assert run.plan is not None
    changed = dataclasses.replace(run.plan, privacy_unit=unit, max_per_user=most, **plan)
    return dataclasses.replace(run, plan=changed, owned=owned)


def test_who_owns_several_examples_is_a_user_of_so_many() -> None:
    finding = only(owning(3), "DP015")
    assert (finding.severity, finding.where) == (Severity.WARNING, "--owners")
    alone = Plan((Phase(Gaussian(4.0), Poisson(0.01), 100),), privacy_unit="user", max_per_user=3)
    user = accounting.epsilon(alone, DELTA).upper
    assert user is not None and user <= figure("it is ε =", finding.message) <= 1.001 * user
    assert "--max-per-user 3" in finding.fix
    assert found(owning(1), "DP015") == []


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "other", [{"sampling": Shuffle(100, "fresh"), "adjacency": ZERO_OUT}, {"adjacency": REPLACE_ONE}]
)
def test_where_no_pair_of_users_is_known_an_owner_is_told_what_a_group_costs(other: dict[str, Any]) -> None:
    """(ε, δ) of one example says (2 ε, (1 + e^ε) δ) of two."""
    run = owning(2, **other)
    assert run.plan is not None
    told = figure("it is ε ≤", only(run, "DP015").message)
    spent = accounting.delta(run.plan, told / 2).upper
    assert spent is not None and spent * (1 + math.exp(told / 2)) <= DELTA
    less = accounting.delta(run.plan, 0.99 * told / 2).upper
    assert less is not None and less * (1 + math.exp(0.99 * told / 2)) > DELTA


def test_an_owner_of_more_than_are_bounded_refutes_the_figure_of_users() -> None:
    assert found(owning(2, "user", 2), "DP015") == []
    finding = only(owning(3, "user", 2), "DP015")
    assert finding.severity is Severity.ERROR and "up to 3 examples, and the figure is for at most 2" in finding.message
    assert figure("and ε =", finding.message) == figure("it is ε =", only(owning(3), "DP015").message)
    whole = only(owning(2, "user"), "DP015")
    assert (
        whole.severity is Severity.ERROR and "in the sums of all of them" in whole.message and "ε" not in whole.message
    )


def test_of_schemes_without_a_quick_figure_an_owner_is_told_that_nothing_is_proven() -> None:
    message = only(owning(2, sampling=BallsInBins(10)), "DP015").message
    assert message.endswith("nothing is proven here for all of theirs.")
    assert "under Poisson sampling" in only(owning(2, sampling=BallsInBins(10)), "DP015").fix
    assert "under Poisson sampling" not in only(owning(60_001), "DP015").fix
    assert "ε" not in only(owning(60_001), "DP015").message  # there are 60,000
