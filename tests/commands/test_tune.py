"""dpplan tune at the terminal: what it refuses, and a search from its call to its report."""

import json
from pathlib import Path

import forked
import pytest

from dpplan import __main__ as program
from dpplan import lint
from dpplan.commands import tune as tune_command
from dpplan.commands.shared import run_check
from dpplan.mechanism import BestOfTrials

RECIPE = """\
privacy: {noise_multiplier: 1.5, clip_norm: 1.0, delta: 1e-5}
data: {source: blobs, examples: 200}
model: {kind: logistic}
training: {batch_size: 20, steps: 1, optimizer: sgd, learning_rate: 0.1}
runtime: {device: cpu, threads: 1}
"""
GRID = ("--grid", "learning_rate=0.1,0.5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blobs.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_a_search_does_not_take_the_folder_from_under_whoever_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for place in (".", "../here"):
        assert program.run(["tune", "../mine.yaml", *GRID, "--score-data", "public", "--out", place]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert f"out={place} is the folder that you are in. What a search releases goes into a folder" in told


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "grid is missing"),
        (GRID, "say --score-data public if anybody may know them, or --score-eps 0.1"),
        ((*GRID, "--score-data", "training"), "a score on the training examples without noise would tell about them"),
        ((*GRID, "--score-data", "private"), "has to be public, or a release that is paid for"),
        ((*GRID, "--score-data", "publik"), "Did you mean 'public'?"),
        ((*GRID, "--score-data", "public", "--score-eps", "1"), "is of noise on a score of private examples"),
        ((*GRID, "--score-eps", "0"), "score_eps=0 is not a positive number"),
        ((*GRID, "--score-eps", "x"), "score_eps=x"),
        ((*GRID, "--score-data", "public", "--trials", "geometrik"), "Did you mean 'geometric'?"),
        ((*GRID, "--score-data", "public", "--trials", "10"), "Their expected number is --mean 10"),
        ((*GRID, "--score-data", "public", "--mean", "1"), "mean=1 is not above 1, the fewest trials"),
        ((*GRID, "--score-data", "public", "--eta", "1"), "eta is of negative-binomial, and trials=geometric"),
        ((*GRID, "--score-data", "public", "--out", "."), "out=. exists"),
        ((*GRID, "--score-data", "public", "--jobs", "0"), "jobs=0 is not a whole number of at least 1."),
        (("--grid", "adjacency=add_remove,replace_one", "--score-data", "public"), "protects other neighbours"),
        (("--grid", "learning_rate=fast", "--score-data", "public"), "learning_rate=fast is not a number"),
        (("--grid", "learningrate=1", "--mean", "0"), "Did you mean 'training.learning_rate'?"),
    ],
)
def test_what_makes_no_sense_is_refused(folder: Path, words: tuple[str, ...], said: str) -> None:
    found = forked.dpplan("tune", "blobs.yaml", *words, cwd=folder)
    assert found.returncode == 2 and said in " ".join(found.stderr.split()), found.stderr
    assert sorted(each.name for each in folder.iterdir()) == ["blobs.yaml"]


def test_a_search_from_its_call_to_its_report(folder: Path) -> None:
    """What is printed is the same whatever number of trials there was, but for the winner."""
    found = forked.dpplan("tune", "blobs.yaml", *GRID, "--mean", "2", "--score-data", "public", cwd=folder)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("ε ≤ ") and "of a search nothing but its winner" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
    made = folder / "runs" / "blobs-tuned-001"
    assert sorted(each.name for each in made.iterdir()) == ["model.pt", "recipe.yaml", "report.json"]
    assert [each.name for each in (folder / "runs").iterdir()] == ["blobs-tuned-001"]
    content = json.loads((made / "report.json").read_text(encoding="utf-8"))
    assert content["winner"]["model"] == "model.pt" and "seconds" not in content
    verified = forked.dpplan("verify", "runs/blobs-tuned-001", cwd=folder)
    assert verified.returncode == 0 and "1 claim, 1 stands" in verified.stdout
    report = forked.dpplan("report", "runs/blobs-tuned-001", cwd=folder)
    assert (
        report.returncode == 0 and "is the winner of a search over settings with differential privacy" in report.stdout
    )
    (earlier,) = lint.runs_in(folder / "runs", "blobs", None)
    assert (earlier.name, earlier.seeded, earlier.steps) == ("blobs-tuned-001", False, 1)
    assert earlier.phase is not None and isinstance(earlier.phase.mechanism, BestOfTrials)
    assert tune_command.command.name == "tune" and run_check.TRYING


@pytest.mark.slow
def test_a_search_with_a_seed_is_refuted_and_an_altered_recipe_doubted(folder: Path) -> None:
    words = ("tune", "blobs.yaml", *GRID, "--mean", "1.5", "--score-data", "public", "--out", "won")
    assert forked.dpplan(*words, "--seed", "3", cwd=folder).returncode == 0
    seeded = forked.dpplan("verify", "won", cwd=folder)
    assert seeded.returncode == 1 and "the search had a seed" in seeded.stdout
    report = folder / "won" / "report.json"
    report.write_text(report.read_text(encoding="utf-8").replace('"seeded": true', '"seeded": false'), encoding="utf-8")
    recipe = folder / "won" / "recipe.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("steps: 1", "steps: 2"), encoding="utf-8")
    doubted = forked.dpplan("verify", "won", cwd=folder)
    assert doubted.returncode == 3 and "is not the recipe that the report records" in " ".join(doubted.stdout.split())


def test_dry_run_says_what_it_costs_and_makes_nothing(folder: Path) -> None:
    words = ("tune", "blobs.yaml", *GRID, "--score-data", "public", "--dry-run", "--json")
    found = forked.dpplan(*words, cwd=folder)
    content = json.loads(found.stdout)
    assert content["winner"] is None and content["results"][0]["epsilon"]["guarantee"] == "upper"
    assert sorted(each.name for each in folder.iterdir()) == ["blobs.yaml"]
