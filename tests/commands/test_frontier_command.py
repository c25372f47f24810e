"""dpplan frontier in a process of its own."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
SMALL = ("frontier", "--n", "60000", "--target-eps", "3", "--delta", "1e-5", "--workers", "1")
GRID = ("--batch", "2048:8192", "--epochs", "10,50,100")


def test_the_recommended_cell_comes_first_then_the_map_and_what_each_rule_takes(dpplan: Run) -> None:
    done = dpplan(*SMALL, *GRID, "--physical-batch", "512")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("batch = 4096, 50 epochs, σ = 2.71")
    assert "of 3 (certified)" in lines[0]
    assert max(map(len, lines)) <= 80
    assert "  passes per step    8                of at most 512 examples, for a mean batch" in lines
    at = lines.index("noise-batch ratio σ / batch, in 1e-5 clip norms")
    assert lines[at + 1 : at + 6] == [
        "epochs",
        "    100     131      91      64",
        "     50      97      66*     46",
        "     10      55·     35·     23·",
        "  batch    2048    4096    8192",
    ]
    header = next(line for line in lines if "σ/batch" in line and "effective" in line)
    assert header.split() == ["batch", "epochs", "steps", "σ", "σ/batch", "compute", "effective", "passes"]
    rules = [line.split()[0] for line in lines[lines.index(header) + 1 :][:3]]
    assert rules == ["constant-ratio", "least-noise", "saturation"]


def test_without_a_limit_on_compute_the_length_is_no_answer_and_the_option_is_named(dpplan: Run) -> None:
    asked = ("frontier", "--target-eps", "3", "--n", "60000", "--batch", "256:1024", "--epochs", "15,60")
    free, bound = (" ".join(dpplan(*asked, *more).stdout.split()) for more in ((), ("--compute", "3.7e6")))
    told = "Without a limit on compute every rule goes by the cells of the most epochs"
    assert (told in free, told in bound) == (True, False)
    assert "Give --compute" in free and "Widen --batch." in free
    assert "Widen --batch and --epochs, within --compute." in bound


def test_json_and_csv_hold_every_cell_and_the_recommended_plan(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan(*SMALL, *GRID, "--json", "--csv", "cells.csv", "--compute", "6e5", "--rule", "least_noise")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "dpplan.frontier/1"
    cells = answer["results"]
    assert [(cell["batch_size"], cell["recommended"]) for cell in cells] == [
        (2048, False), (4096, False), (8192, True), *[(2048, False), (4096, False), (8192, False)] * 2,
    ]  # fmt: skip
    assert [cell["within_compute"] for cell in cells] == [True] * 3 + [False] * 6
    assert all(cell["epsilon_upper"] <= 3 for cell in cells)
    chosen = answer["recommended"]
    assert (chosen["rule"], chosen["batch_size"], len(chosen["why"])) == ("least-noise", 8192, 2)
    assert answer["plan"]["noise_multiplier"] == chosen["noise_multiplier"] <= cells[2]["noise_multiplier"]
    assert chosen["epsilon"]["upper"] <= 3
    assert [each["what"] for each in chosen["doublings"]] == ["batch", "epochs", "n"]
    with (tmp_path / "cells.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["noise_batch_ratio"]) for row in rows] == [cell["noise_batch_ratio"] for cell in cells]


def test_ranges_double_or_take_so_many_values(dpplan: Run) -> None:
    done = dpplan(*SMALL, "--batch", "3000:8000:3", "--steps", "100:300", "--json")
    cells = json.loads(done.stdout)["results"]
    assert sorted({cell["batch_size"] for cell in cells}) == [3000, 4899, 8000]
    assert sorted({cell["steps"] for cell in cells}) == [100, 200, 300]


def test_a_picture_is_written_and_named(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan(*SMALL, *GRID, "--plot", "map.svg", "--cells")
    assert done.stdout.endswith("\nwritten to map.svg\n")
    assert (tmp_path / "map.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len([line for line in done.stdout.splitlines() if line.endswith(("e-5", "e-6"))]) == 3 + 9


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("call", "problems"),
    [
        (("--batch", "8:2", "--epochs", "1"), ["batch=8:2 is not a whole number"]),
        (("--batch", "1e5", "--epochs", "x,0"), ["batch=100000 exceeds n=60000", "epochs=x", "epochs=0"]),
        (("--batch", "64", "--epochs", "1", "--steps", "5"), ["give either epochs or steps"]),
        (("--epochs", "1", "--compute", "-1", "--workers", "0"), ["batch is missing", "compute=-1", "workers=0"]),
        (("--batch", "64", "--epochs", "1", "--rule", "tan"), ["rule=tan is not one of: constant-ratio"]),
        (("--batch", "64", "--epochs", "1", "--plot", "map.jpg"), ["plot=map.jpg does not end in"]),
        (("--batch", "64", "--epochs", "1", "--csv", "none/a.csv"), ["the folder none does not exist"]),
        (("--batch", "1:60000:20000", "--epochs", "1:2:3"), ["cells are more than 20000"]),
    ],
)
def test_every_mistake_is_told_before_anything_is_solved(
    dpplan: Run, call: tuple[str, ...], problems: list[str]
) -> None:
    done = dpplan(*SMALL[:-2], *call)
    assert (done.returncode, done.stdout) == (2, "")
    for problem in problems:
        assert problem in done.stderr


def test_what_is_missing_is_told_at_once(dpplan: Run) -> None:
    done = dpplan("frontier")
    assert done.returncode == 2
    for part in ("n is missing", "the target is missing", "batch is missing", "give either epochs or steps"):
        assert part in done.stderr


def test_a_compute_below_every_cell_is_status_1(dpplan: Run) -> None:
    done = dpplan(*SMALL, "--batch", "8192", "--epochs", "10", "--compute", "100")
    assert done.returncode == 1
    assert "compute=100 is out of reach" in done.stderr


def test_how_cells_draw_and_whom_they_protect_is_said_everywhere(dpplan: Run, tmp_path: Path) -> None:
    call = (*SMALL, "--batch", "4096", "--steps", "20,100", "--adjacency", "replace-one", "--unit", "user")
    done = dpplan(*call, "--plot", "map.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert "assumes            Poisson sampling, replace one user, drawn and clipped whole" in done.stdout
    assert "users processed" in done.stdout
    assert (tmp_path / "map.svg").exists()
    answer = json.loads(dpplan(*call, "--json").stdout)
    assert (answer["plan"]["adjacency"], answer["plan"]["privacy_unit"]) == ("replace_one", "user")


ONE_BY_ONE = ("--n", "40", "--target-eps", "2", "--delta", "1e-3", "--epochs", "1", "--json")
BY_TURNS = ("--sampling", "cyclic-poisson", "--groups", "2", "--assignment", "own")


@pytest.mark.slow
def test_a_cell_without_a_plan_of_a_scheme_whose_cells_are_solved_one_by_one(dpplan: Run) -> None:
    run = ONE_BY_ONE[:-1]
    done = dpplan("frontier", *run, *BY_TURNS, "--batch", "8,30", "--cells")
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(done.stdout.split()).count("- without a plan: batch=30 exceeds a group") == 2
    none = dpplan("frontier", *run, "--sampling", "balls-in-bins", "--batch", "12,15")
    assert (none.returncode, none.stdout) == (2, "") and "2 problems with this plan" in none.stderr
    unknown = dpplan("frontier", *run, "--sampling", "shuffle", "--batch", "20")
    assert (unknown.returncode, unknown.stdout) == (3, "") and "shuffle is not known under" in unknown.stderr


@pytest.mark.slow
def test_cells_that_are_solved_one_by_one_are_those_of_solve(dpplan: Run) -> None:
    run, drawn = ONE_BY_ONE, BY_TURNS
    answer = json.loads(dpplan("frontier", *run, *drawn, "--batch", "8,30").stdout)["results"]
    solved = json.loads(dpplan("solve", *run, *drawn, "--batch", "8").stdout)["plan"]
    for name in ("noise_multiplier", "sample_rate"):
        assert answer[0][name] == solved[name]
        assert answer[1][name] is None
    assert "batch=30 exceeds a group" in answer[1]["refusal"]


@pytest.mark.slow
def test_cells_of_a_fixed_size_are_recorded_too(dpplan: Run) -> None:
    call = ("frontier", "--n", "500", "--target-eps", "20", "--delta", "1e-3", "--batch", "50,500", "--epochs", "4")
    done = dpplan(*call, "--sampling", "fixed-size", "--workers", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert [cell["sample_rate"] for cell in answer["results"]] == [0.1, 1.0]
    assert answer["recommended"]["sample_rate"] in (0.1, 1.0)
