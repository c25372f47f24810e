"""dpplan compare units, and solve for what has no place among the quantities, as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan.commands.shared import solve_named
from dpplan.errors import PlanError
from dpplan.plan import Settings

Run = Callable[..., CompletedProcess[str]]
RUN = ("--sigma", "2", "--q", "0.01", "--steps", "20", "--delta", "1e-6")


def test_units_side_by_side(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user\na\na\nb\n", encoding="utf-8")
    shown = dpplan("compare", "units", *RUN, "--users", "r.csv:user", "--json")
    content = json.loads(shown.stdout)
    assert shown.returncode == 0 and content["max_per_user"] == content["users"]["most"] == 2
    wrong = dpplan("compare", "units", *RUN)
    assert wrong.returncode == 2 and "max_per_user is missing" in wrong.stderr


@pytest.mark.slow
def test_what_solve_names(dpplan: Run) -> None:
    shown = dpplan("solve", "--solve", "max-per-user", "--target-eps", "1", *RUN, "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["results"][0]["unknown"] == "max_per_user"
    wrong = dpplan("solve", "--solve", "cap", "--target-eps", "1", *RUN)
    assert wrong.returncode == 2 and "--target-eps is a target that --solve cap does not have" in wrong.stderr
    alone = dpplan("solve", "--cap-cost", "0.1", *RUN)
    assert alone.returncode == 2 and "cap_cost goes with --solve cap" in alone.stderr


def test_what_solve_names_is_explained_where_that_is_asked_for(dpplan: Run) -> None:
    plain = dpplan("solve", "--solve", "max-per-user", "--target-eps", "1", *RUN)
    shown = dpplan("solve", "--solve", "max-per-user", "--target-eps", "1", *RUN, "--explain", "--accountant", "exact")
    assert shown.returncode == 0 and shown.stdout.startswith(plain.stdout)
    assert "\n  errors in δ " in shown.stdout and "\n  theorem " in shown.stdout


def test_all_that_is_wrong_beside_a_name_is_told_at_once() -> None:
    target = {"target_epsilon": None, "delta": 1e-6, "max_tpr": "0.1@0.01"}
    named = solve_named.NamedSolve("max-per-user", 0.1, target, ("--accept-estimate",), False)
    with pytest.raises(PlanError) as error:
        solve_named.run(Settings(sample_rate=0.01, steps=9), (), ((), ["spent 1: is wrong."]), named, False)
    assert error.value.problems == (
        "cap_cost goes with --solve cap. Give both, or neither.",
        "--max-tpr is a target that --solve max-per-user does not have. Leave it out.",
        "--accept-estimate beside --solve max-per-user: the exact accountant finds it, which estimates nothing. "
        "Leave it out.",
        "the target is missing: give --target-eps.",
        "sigma is missing: give --sigma.",
        "spent 1: is wrong.",
    )


def test_a_file_without_a_line_is_told_to_be_empty(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "none.csv").touch()
    plan = ("--sigma", "2", "--q", ".01", "--steps", "100", "--delta", "1e-6")
    done = dpplan("compare", "units", "--users", "none.csv:who", *plan)
    assert done.returncode == 2
    assert "users=none.csv: is empty. Its first line has to name the columns." in done.stderr
