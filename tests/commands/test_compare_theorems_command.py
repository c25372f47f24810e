"""dpplan compare theorems in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Run = Callable[..., CompletedProcess[str]]
CALL = ("compare", "theorems", "--sigma", "4", "--q", "1", "--steps", "60", "--delta", "1e-5")


def test_a_row_for_each_number_of_steps_and_sentences_below(dpplan: Run) -> None:
    done = dpplan(*CALL)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "ε of the first steps at δ = 1e-05"
    assert lines[1].split() == ["steps", "basic", "advanced", "optimal", "moments", "rdp", "exact", "×", "exact"]
    assert [line.split()[0] for line in lines[2:9]] == ["1", "2", "5", "10", "20", "50", "60"]
    assert any(line.startswith("loosest: moments at 1 step;") for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_plot_is_drawn_and_json_has_the_figures(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan(*CALL, "--plot", "t.svg", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "<svg" in (tmp_path / "t.svg").read_text(encoding="utf-8")
    content = json.loads(done.stdout)
    assert (content["schema"], content["plot"]) == ("dpplan.compare-theorems/1", "t.svg")
    assert [row["steps"] for row in content["results"]] == [1, 2, 5, 10, 20, 50, 60]
    assert content["results"][-1]["epsilon"]["exact"]["guarantee"] == "certified"


def test_every_mistake_is_told_at_once(dpplan: Run) -> None:
    done = dpplan("compare", "theorems", "--q", "2", "--steps", "5", "--delta", "4", "--plot", "t.gif")
    assert (done.returncode, done.stdout) == (2, "")
    for said in ("sigma is missing", "q=2", "delta=4", "plot=t.gif does not end in"):
        assert said in done.stderr
