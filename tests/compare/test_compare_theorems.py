"""Composition theorems as the steps of a run grow."""

import dataclasses

import pytest

from dpplan import accounting, compare
from dpplan.compare.theorems import composition_theorems, grid
from dpplan.errors import PlanError
from dpplan.plan import Plan
from dpplan.render import compare_theorems as render

DELTA = 1e-5
PLAN = Plan.from_rate(4.0, 1.0, 60)
GROWTH = compare.theorems(PLAN, DELTA)


@pytest.mark.parametrize(
    ("most", "steps"), [(1, [1]), (2, [1, 2]), (7, [1, 2, 5, 7]), (100, [1, 2, 5, 10, 20, 50, 100])]
)
def test_the_grid_rises_by_factors_and_ends_with_the_plan(most: int, steps: list[int]) -> None:
    assert grid(most) == steps


def test_every_row_holds_what_the_accountants_say_of_so_many_steps() -> None:
    assert [row.steps for row in GROWTH.rows] == [1, 2, 5, 10, 20, 50, 60]
    for row in GROWTH.rows[::3]:
        assert tuple(row.bounds) == composition_theorems()
        begun = Plan.from_rate(4.0, 1.0, row.steps)
        for name, bound in row.bounds.items():
            assert bound == accounting.epsilon(begun, DELTA, name)


def test_the_loosest_and_the_tightest_are_marked_with_how_far_apart_they_are() -> None:
    last = GROWTH.rows[-1]
    assert (last.loosest, last.tightest) == (("basic", "advanced"), ("rdp",))
    basic, exact = last.bounds["basic"], last.bounds["exact"]
    assert basic is not None
    assert exact is not None
    assert last.excess == basic.value / exact.value > 1


def test_equal_figures_share_a_mark() -> None:
    assert GROWTH.rows[0].tightest == ("basic", "advanced", "optimal")


def test_reigns_join_neighbouring_rows() -> None:
    reigns = GROWTH.reigns("tightest")
    assert reigns[0] == (("basic", "advanced", "optimal"), 1, 1)
    assert reigns[-1] == (("rdp",), 2, 60)
    assert GROWTH.reigns("loosest")[0] == (("moments",), 1, 1)


def test_nothing_is_compared_with_an_epsilon_of_zero() -> None:
    (row,) = compare.theorems(Plan.from_rate(50.0, 1e-9, 1), 0.1).rows
    assert row.excess is None


def test_phases_grow_one_after_another() -> None:
    phase = PLAN.only_phase
    two = dataclasses.replace(PLAN, phases=(dataclasses.replace(phase, steps=3), phase))
    assert [row.steps for row in compare.theorems(two, DELTA).rows] == [1, 2, 5, 10, 20, 50, 63]


def test_progress_counts_figures() -> None:
    seen: list[tuple[int, int]] = []
    compare.theorems(Plan.from_rate(4.0, 1.0, 2), DELTA, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * len(composition_theorems()), 2 * len(composition_theorems()))


def test_a_delta_outside_its_range_is_refused() -> None:
    with pytest.raises(PlanError, match="delta=1"):
        compare.theorems(PLAN, 1.0)


def test_the_table_rounds_up_and_marks() -> None:
    table = render.table(GROWTH)
    assert [column.name for column in table.columns] == ["steps", *composition_theorems(), "× exact"]
    for row, cells in zip(GROWTH.rows, table.rows, strict=True):
        for (name, bound), cell in zip(row.bounds.items(), cells[1:-1], strict=True):
            assert bound is not None
            assert bound.value <= float(cell.text.rstrip("^* ")) <= 1.001 * bound.value
            assert cell.text.endswith("^") == (name in row.loosest)
            assert cell.text.endswith("*") == (name in row.tightest and name not in row.loosest)
    assert "tightest: basic, advanced and optimal at 1 step; rdp from 2 to 60 steps." in table.notes


def test_json_is_unrounded() -> None:
    last = render.results(GROWTH)[-1]
    exact = GROWTH.rows[-1].bounds["exact"]
    assert exact is not None
    assert last["epsilon"]["exact"]["upper"] == exact.upper
    assert (last["steps"], last["loosest"], last["tightest"]) == (60, ["basic", "advanced"], ["rdp"])
