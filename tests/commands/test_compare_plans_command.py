"""dpplan compare plans in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan import __main__ as program

Run = Callable[..., CompletedProcess[str]]
RECIPE = """\
privacy: {{noise_multiplier: {sigma}, clip_norm: 1}}
data: {{source: blobs, examples: 6250}}
model: {{kind: logistic}}
training: {{batch_size: {batch}, epochs: 3, optimizer: sgd, learning_rate: 1}}
"""


def write(file: Path, sigma: float, batch: int) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(RECIPE.format(sigma=sigma, batch=batch), encoding="utf-8")
    return str(file)


def test_two_recipes_stand_side_by_side_with_what_differs(dpplan: Run, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.yaml", 4, 100), write(tmp_path / "b.yaml", 2, 400)
    done = dpplan("compare", "plans", a, b, "--n", "5000")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["a", "b"]
    assert any(line.split() == ["training.batch_size", "100", "400"] for line in lines)
    assert any(line.startswith("privacy: a with ") for line in lines)
    assert any(line.startswith("noise: b with 0.005, ") for line in lines)
    assert max(map(len, lines)) <= 80


def test_examples_are_counted_in_the_data_when_n_is_not_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, because torch takes seconds to start."""
    a, b = write(tmp_path / "a.yaml", 4, 100), write(tmp_path / "b.yaml", 4, 400)
    assert program.run(["compare", "plans", a, b, "--json", "--delta", "1e-7"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["schema"], content["delta"]) == ("dpplan.compare-plans/1", 1e-7)
    assert [one["plan"]["examples"] for one in content["plans"]] == [5000, 5000]
    assert content["winners"]["epsilon"] == ["a"]


def test_files_of_one_name_are_told_apart(dpplan: Run, tmp_path: Path) -> None:
    files = [write(tmp_path / folder / "r.yaml", 4, 100) for folder in ("x", "y")]
    content = json.loads(dpplan("compare", "plans", *files, "--n", "5000", "--json").stdout)
    assert [one["name"] for one in content["plans"]] == files
    assert content["differences"] == []


def test_mistakes_are_status_2(dpplan: Run, tmp_path: Path) -> None:
    a = write(tmp_path / "a.yaml", 4, 100)
    for call, said in (
        ((a,), "there is one recipe and nothing to compare it with."),
        ((a, "gone.yaml"), "gone.yaml: no such file."),
        ((a, a, "--n", "5000"), "are not all different"),
        ((a, write(tmp_path / "b.yaml", 4, 400), "--n", "0"), "n=0 is not a whole number"),
        ((a, write(tmp_path / "b.yaml", 4, 400), "--n", "50"), "n=50 is not the number of training examples"),
    ):
        done = dpplan("compare", "plans", *call)
        assert (done.returncode, done.stdout) == (2, ""), call
        assert said in done.stderr


def test_what_a_scheme_has_none_of_is_a_dash(dpplan: Run, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.yaml", 4, 100), write(tmp_path / "b.yaml", 4, 100)
    Path(b).write_text(Path(b).read_text().replace("privacy: {", "privacy: {sampling: fixed-size, "), encoding="utf-8")
    lines = [line.split() for line in dpplan("compare", "plans", a, b, "--n", "5000").stdout.splitlines()]
    assert ["sample", "rate", "0.02", "-"] in lines
    assert ["batch", "-", "100"] in lines
    assert not any("None" in line for line in lines)


PLAN = """\
adjacency: {adjacency}
n: 5000
phases:
  - {{name: counts, mechanism: {{kind: laplace, epsilon: 0.1}}, steps: 2}}
  - name: train
    mechanism: {{kind: gaussian, noise_multiplier: {sigma}}}
    sampling: {{kind: poisson, batch_size: 100}}
    steps: 150
"""


def plan_file(file: Path, sigma: float, adjacency: str = "add-remove", more: str = "") -> str:
    file.write_text(PLAN.format(sigma=sigma, adjacency=adjacency) + more, encoding="utf-8")
    return str(file)


def compared(capsys: pytest.CaptureFixture[str], *call: str) -> str:
    assert program.run(["compare", "plans", *call]) == 0
    return capsys.readouterr().out


def test_plan_files_stand_side_by_side_phase_by_phase(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "  - {name: last, mechanism: {kind: gaussian, noise_multiplier: 9}}\n"
    a, b = plan_file(tmp_path / "a.yaml", 4), plan_file(tmp_path / "b.yaml", 2, more=more)
    shown = compared(capsys, a, b)
    lines = {line[:18].strip(): line[18:].split() for line in shown.splitlines()}
    assert lines["counts"] == ["laplace", "ε", "=", "0.1", "×2"] * 2
    assert lines["last"] == ["-", "σ", "=", "9"]
    assert "privacy: a with " in shown and "protects" not in shown and "add/remove one example" in shown
    content = json.loads(compared(capsys, a, b, "--json"))
    assert content["comparable"] is True and content["winners"]["epsilon"] == ["a"] and content["delta"] == 1e-5
    assert [one["phases"] for one in content["plans"]] == [["counts", "train"], ["counts", "train", "last"]]
    assert content["plans"][0]["examples_processed"] == 5000 * (2 + 3)
    assert content["plans"][0]["noise_batch_ratio"] is None


def test_figures_for_other_neighbours_are_marked_and_nobody_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = plan_file(tmp_path / "a.yaml", 4), plan_file(tmp_path / "b.yaml", 4, "zero-out")
    shown = compared(capsys, a, b)
    (protects,) = (line for line in shown.splitlines() if line.startswith("protects"))
    assert "add/remove one example" in protects and "zero out one example" in protects
    assert "privacy: nobody wins" in shown and "*" not in shown
    content = json.loads(compared(capsys, a, b, "--json"))
    assert content["comparable"] is False and content["winners"]["epsilon"] == []


def test_a_recipe_stands_beside_a_plan_file_without_its_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write(tmp_path / "a.yaml", 4, 100), plan_file(tmp_path / "b.yaml", 4)
    shown = compared(capsys, a, b, "--n", "5000")
    (row,) = (line for line in shown.splitlines() if line.startswith("training "))
    assert row.split() == ["training", "σ", "=", "4", "q", "=", "0.02", "×150", "-"]
    assert "privacy: a with " in shown and "training." not in shown


def test_what_is_bounded_from_above_alone_is_not_said_to_be_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = "  - {repeat: {law: geometric, mean: 3, score: public}, phases: [{mechanism: {kind: zcdp, rho: 0.01}}]}\n"
    a, b = plan_file(tmp_path / "a.yaml", 4), plan_file(tmp_path / "b.yaml", 4, more=search)
    shown = " ".join(compared(capsys, a, b).split())
    assert "times as much; that b spends more is not proven." in shown
    assert "compute: not every plan draws from all examples, a known number of times." in shown
    assert "noise: not every plan is one phase of Gaussian noise." in shown
    assert "best of trials: geometric, mean 3" in shown and "accountant rdp, an upper bound" in shown


def test_mistakes_about_plan_files_are_told_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = plan_file(tmp_path / "a.yaml", 4), plan_file(tmp_path / "b.yaml", 4)
    bare = tmp_path / "c.yaml"
    bare.write_text("phases: [{mechanism: {kind: laplace, epsilon: 0.1}}]\n", encoding="utf-8")
    wrong = tmp_path / "d.yaml"
    wrong.write_text("phases: [{mechanism: {kind: laplace}}]\n", encoding="utf-8")
    for call, told in (
        ((a,), ["there is one plan and nothing to compare it with."]),
        ((a, b, "--n", "100"), ["--n is for recipes, and a plan file says its own n."]),
        ((str(bare), str(wrong)), ["says no n, from which a δ would follow", "mechanism.epsilon is missing"]),
    ):
        assert program.run(["compare", "plans", *call]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert all(each in said for each in told), said


def test_many_phases_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = "".join(f"  - {{name: c{at}, mechanism: {{kind: laplace, epsilon: 0.1}}}}\n" for at in range(15))
    a, b = plan_file(tmp_path / "a.yaml", 4, more=more), plan_file(tmp_path / "b.yaml", 4)
    lines = [line.split() for line in compared(capsys, a, b).splitlines()]
    assert ["more", "phases", "5", "0"] in lines
