"""dpplan compare in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
ABADI = ("compare", "accountants", "--sigma", "4", "--q", "0.01", "--delta", "1e-5", "--steps", "10000")


def test_one_table_shows_what_every_accountant_says_and_promises(dpplan: Run) -> None:
    done = dpplan(*ABADI)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "at δ = 1e-05"
    assert lines[1].split() == ["accountant", "ε", "vs", "exact", "guarantee", "time", "note"]
    assert max(map(len, lines)) <= 80
    assert lines[2].split()[:4] == ["exact", "0.946867", "1.000", "certified"]
    assert "gdp: its ε ≈ 0.942441 is below the certified " in done.stdout
    said = " ".join(done.stdout.split())
    assert "elsewhere: Opacus's prv (its default) and dp_accounting's PLD compute what the exact row certifies" in said
    assert "prv adds its error (eps_error, 0.01)" in said
    assert "elsewhere: " not in dpplan(*ABADI, "--adjacency", "replace-one").stdout  # of which Opacus knows nothing


def test_json_holds_each_row_with_its_time_and_ratio(dpplan: Run) -> None:
    answer = json.loads(dpplan(*ABADI, "--json", "--conversion", "classic").stdout)
    assert answer["schema"] == "dpplan.compare/1"
    rows = {row["accountant"]: row for row in answer["results"]}
    assert rows["gdp"]["under_reports"]
    assert not rows["rdp"]["under_reports"]
    assert rows["rdp"]["details"]["conversion"] == "classic"
    assert round(rows["rdp"]["epsilon"]["upper"], 6) == 1.258376
    assert rows["rdp"]["ratio_to_exact"] == rows["rdp"]["epsilon"]["upper"] / rows["exact"]["epsilon"]["upper"]
    assert (rows["zcdp"]["epsilon"], rows["zcdp"]["ratio_to_exact"]) == (None, None)
    assert all(row["seconds"] >= 0 for row in rows.values())


@pytest.mark.slow
def test_a_plot_is_drawn_and_its_points_are_in_the_json(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan(*ABADI[:-1], "8", "--plot", "curves.svg", "--json")  # a point for each step
    assert (done.returncode, done.stderr) == (0, "")
    assert "<svg" in (tmp_path / "curves.svg").read_text(encoding="utf-8")
    curves = json.loads(done.stdout)["curves"]
    exact = [figure["upper"] for figure in curves["series"]["exact"]]
    assert len(exact) == len(curves["x"])
    assert exact == sorted(exact)
    assert set(curves["series"]["zcdp"]) == {None}


def test_a_plot_that_cannot_be_written_is_told_before_anything_is_computed(dpplan: Run) -> None:
    done = dpplan(*ABADI, "--plot", "curves.gif")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: plot=curves.gif does not end in .svg, .png or .pdf. Rename it.\n"
    assert "the folder nowhere does not exist" in dpplan(*ABADI, "--plot", "nowhere/curves.svg").stderr
