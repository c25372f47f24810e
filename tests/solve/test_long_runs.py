"""Unknowns of runs that are longer than anything: within what a plan may be, and within a time."""

import pytest

from dpplan import accounting
from dpplan.checks import MOST_WHOLE
from dpplan.errors import NotApplicable
from dpplan.plan import Plan, Settings
from dpplan.solve import bracket, candidate_values


@pytest.mark.parametrize("epochs", [1.0, 1e6, 1e9, 1e15])
def test_no_candidate_needs_more_steps_than_a_plan_may_have(epochs: float) -> None:
    for settings, candidates_of in (
        (Settings(noise_multiplier=1.0, batch_size=1, epochs=epochs), candidate_values.examples),
        (Settings(noise_multiplier=1.0, epochs=epochs), candidate_values.sample_rate),
        (Settings(noise_multiplier=1.0, examples=1000, epochs=epochs), candidate_values.batch_size),
    ):
        found = candidates_of(settings)
        for index in {found.first, found.start, found.last}:
            if found.first <= index <= found.last:
                assert found.plan(index).steps <= MOST_WHOLE


def test_ruling_out_ends_after_a_while_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from dpplan import solve

    settings = Settings(noise_multiplier=1.0, batch_size=10, epochs=3.0)
    whole = solve.examples(settings, 1.0, 1e-5)
    monkeypatch.setattr(bracket, "PATIENCE", -1.0)
    short = solve.examples(settings, 1.0, 1e-5)
    assert not any("was not ruled out" in remark for remark in whole.remarks)
    assert any("was not ruled out" in remark for remark in short.remarks)


def test_optimal_composition_refuses_what_takes_minutes() -> None:
    with pytest.raises(NotApplicable, match=r"^optimal: steps=1000000000000 is more than 2e\+09"):
        accounting.epsilon(Plan.from_rate(1.0, 1e-7, 10**12), 1e-6, "optimal")
    with pytest.raises(NotApplicable, match=r"Use the advanced accountant, or exact\.$"):
        accounting.delta(Plan.from_rate(1.0, 1e-7, 10**12), 1.0, "optimal")
