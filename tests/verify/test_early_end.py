"""Which of the two figures of a run that ended early is safe: the planned one, and the smaller with its condition."""

import pytest

from dpplan.verify.early_end import CONDITION, early_end, figures


@pytest.mark.parametrize(
    ("taken", "planned", "status", "words"),
    [
        (24, 85, "interrupted", "interrupted after 24 of 85 steps"),
        (1, 2, "stopped", "stopped after 1 of 2 steps"),
        (84, 85, None, "not finished after 84 of 85 steps"),
        (84, 85, "finished", "not finished after 84 of 85 steps"),  # whatever it says of itself
    ],
)
def test_a_run_that_took_fewer_steps_than_planned_counts_them_all(
    taken: int, planned: int, status: object, words: str
) -> None:
    found = early_end(taken, planned, status)
    assert found is not None
    assert (found.words, found.counted) == (words, planned)
    assert CONDITION in found.advice


@pytest.mark.parametrize(
    ("taken", "planned"), [(85, 85), (86, 85), (0, 85), (None, 85), (3, None), (True, 85), ("3", 85), (3.0, 85)]
)
def test_whole_runs_and_those_that_took_no_step_did_not_end_early(taken: object, planned: object) -> None:
    assert early_end(taken, planned, "interrupted") is None  # type: ignore[arg-type]


def test_both_figures_are_rounded_up_and_told_apart() -> None:
    assert figures(1.4816531, 3.0) == f"ε ≤ 1.48166 if {CONDITION}; otherwise the planned ε ≤ 3"
    assert figures(2.0000001, 2.0000002).startswith("ε ≤ 2.0000001 if")
