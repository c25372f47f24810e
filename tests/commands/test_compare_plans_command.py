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
data: {{source: blobs}}
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
    assert [one["plan"]["examples"] for one in content["plans"]] == [1600, 1600]
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
        ((a, write(tmp_path / "b.yaml", 4, 400), "--n", "50"), "training.batch_size=100 exceeds the 50"),
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
