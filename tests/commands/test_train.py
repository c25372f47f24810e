"""dpplan train as a person runs it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import forked
import pytest

from dpplan import __main__ as program
from dpplan.train.execution import terminal_text
from dpplan.train.execution.evaluation import Evaluation
from dpplan.train.execution.session import Session
from dpplan.train.step.noise import GaussianNoise

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "recipes" / "digits.yaml"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
TINY = """\
privacy:
  noise_multiplier: 2
  clip_norm: 1
data:
  source: digits
model:
  kind: logistic
training:
  batch_size: 100
  {length}
  optimizer: sgd
  learning_rate: 0.5
runtime:
  device: cpu
  threads: 1
"""
COMMAND = [sys.executable, "-m", "dpplan", "train"]
# Puts a finder before all others that knows of no torch, then runs the command as `python -m dpplan` does.
WITHOUT_TORCH = """\
import runpy, sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NoTorch())
sys.argv[0] = "dpplan"
runpy.run_module("dpplan", run_name="__main__", alter_sys=True)
"""


def write(folder: Path, length: str = "steps: 16") -> Path:
    file = folder / "tiny.yaml"
    file.write_text(TINY.format(length=length), encoding="utf-8")
    return file


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return forked.dpplan("train", *arguments, cwd=folder)


def test_a_dry_run_prints_the_plan_and_leaves_nothing_behind(tmp_path: Path) -> None:
    larger = tmp_path / "digits.yaml"
    larger.write_text(DIGITS.read_text(encoding="utf-8").replace("  delta: 1e-5 ", "  delta: 1e-4 "), encoding="utf-8")
    less_careful = run(tmp_path, larger, "--dry-run")
    larger.unlink()
    noted = " ".join(less_careful.stderr.split())  # what dpplan check notes of it
    assert noted.startswith("note: DP001 privacy.delta: delta=0.0001 is close to 1/n")
    assert noted.endswith("(dpplan check --explain DP001)") and noted.count("note:") == 1
    done = run(tmp_path, DIGITS, "--dry-run")
    assert (less_careful.returncode, done.returncode, done.stderr) == (0, 0, "")
    headline, *rows = done.stdout.splitlines()
    stated = re.match(r"ε = (\S+) at δ = 1e-05 +certified: (\S+) ≤ ε ≤ (\S+)$", headline)
    assert stated
    assert float(stated[2]) <= float(stated[3]) <= 3
    text = "\n".join(rows)
    for row in (
        r"noise multiplier +\d\.\d+ +solved for ε ≤ 3$",
        r"sample rate +0\.356298 += 512 / 1437$",
        r"steps +85 += ⌈30 epochs × 1437 / 512⌉$",
        r"assumes +Poisson sampling, add/remove one example$",
    ):
        assert re.search(row, text, re.MULTILINE), row
    assert list(tmp_path.iterdir()) == []


def test_runs_print_their_course_and_lie_side_by_side(tmp_path: Path) -> None:
    file = write(tmp_path)
    first, second = run(tmp_path, file), run(tmp_path, file, "--seed", "1", "--json")
    assert (first.returncode, first.stderr, second.returncode) == (0, "", 0)
    assert "as planned" in first.stdout
    assert "not covered by ε" in first.stdout
    assert max(map(len, first.stdout.splitlines())) <= 80
    assert "\x1b" not in first.stdout
    report = json.loads(second.stdout)
    assert (report["seeded"], report["agrees_with_plan"], report["folder"]) == (True, True, "runs/tiny-002")
    assert json.loads((tmp_path / "runs/tiny-002/report.json").read_text(encoding="utf-8")) == report
    for folder in ("tiny-001", "tiny-002"):
        names = {path.name for path in (tmp_path / "runs" / folder).iterdir()}
        assert names == {"metrics.jsonl", "model.pt", "recipe.yaml", "report.json"}


def test_an_existing_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = run(tmp_path, write(tmp_path), "--out", "mine")
    assert done.returncode == 2
    assert "out=mine exists already" in done.stderr
    assert list((tmp_path / "mine").iterdir()) == []


def test_ctrl_c_ends_cleanly_with_what_was_spent(tmp_path: Path) -> None:
    file = write(tmp_path, "steps: 5000")
    streams = [tmp_path / "out", tmp_path / "err"]
    process = forked.started("train", str(file), cwd=tmp_path, streams=streams)
    metrics = tmp_path / "runs" / "tiny-001" / "metrics.jsonl"
    give_up = time.monotonic() + 90
    while not metrics.exists() and process.is_alive() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 1
    out, err = (" ".join(stream.read_text(encoding="utf-8").split()) for stream in streams)
    assert re.search(r"error: interrupted after \d+ of 5000 steps, ε ≤ \S+ spent\.", err)
    assert "It goes on, and spends more, with dpplan train --resume runs/tiny-001" in err
    assert "Traceback" not in err
    assert "interrupted" in out
    report = json.loads((metrics.parent / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "interrupted"
    assert 15 <= report["spent"]["steps"] < 5_000
    assert 0 < report["spent"]["epsilon"]["upper"] < report["planned"]["epsilon"]["upper"]


@pytest.mark.parametrize("where", ["within a step", "while it is shown"])
def test_a_second_ctrl_c_leaves_a_line_with_what_is_counted(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def twice(*told: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    if where == "within a step":
        monkeypatch.setattr(GaussianNoise, "add", twice)
    else:
        monkeypatch.setattr(terminal_text, "epoch_line", twice)
    monkeypatch.chdir(tmp_path)
    assert program.run(["train", str(write(tmp_path, "steps: 50"))]) == 130
    err = " ".join(capsys.readouterr().err.split())
    counted = (
        r"error: interrupted\. (1|15) of 50 steps are counted, ε ≤ \S+ spent if nothing that was seen decided when to "
    )
    assert re.search(rf"{counted}stop\. The checkpoint of step \d+ is whole: dpplan train --resume runs/tiny-001$", err)
    report = json.loads((tmp_path / "runs/tiny-001/report.json").read_text(encoding="utf-8"))
    assert report["message"] == "broken off by KeyboardInterrupt"


def test_a_request_to_end_is_heard_as_ctrl_c_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster sends it before it kills: the steps until then were made, and are paid."""
    shown = terminal_text.epoch_line

    def ending(event: Any) -> str:
        signal.raise_signal(signal.SIGTERM)
        return shown(event)

    monkeypatch.setattr(terminal_text, "epoch_line", ending)
    monkeypatch.chdir(tmp_path)
    assert program.run(["train", str(write(tmp_path, "steps: 500"))]) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert re.search(r"error: interrupted after \d+ of 500 steps, ε ≤ \S+ spent\.", err)
    assert (tmp_path / "runs/tiny-001/model.pt").exists()


def test_a_closed_pipe_ends_a_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(event: Any) -> str:
        raise BrokenPipeError

    monkeypatch.setattr(terminal_text, "epoch_line", gone)
    monkeypatch.chdir(tmp_path)
    assert program.run(["train", str(write(tmp_path, "steps: 500"))]) == 141
    assert "the run stopped there. dpplan verify of its folder says what it spent" in " ".join(
        capsys.readouterr().err.split()
    )
    report = json.loads((tmp_path / "runs/tiny-001/report.json").read_text(encoding="utf-8"))
    assert report["message"] == "its output was closed"


@pytest.mark.slow
def test_ctrl_c_after_the_last_step_is_told_and_the_run_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated = Session._evaluated

    def pressed(self: Session, *told: Any) -> Evaluation:
        signal.raise_signal(signal.SIGINT)
        return evaluated(self, *told)

    monkeypatch.setattr(Session, "_evaluated", pressed)
    monkeypatch.chdir(tmp_path)
    assert program.run(["train", str(write(tmp_path, "steps: 2"))]) == 0
    assert "came after the last step: the run is whole" in capsys.readouterr().err
    assert json.loads((tmp_path / "runs/tiny-001/report.json").read_text(encoding="utf-8"))["status"] == "finished"


@pytest.mark.slow
def test_a_killed_run_goes_on_and_counts_what_it_lost(tmp_path: Path) -> None:
    file = write(tmp_path, "steps: 1000")
    record, checkpoint = (tmp_path / "runs" / "tiny-001" / name for name in ("steps", "checkpoint.pt"))
    process = forked.started("train", str(file), cwd=tmp_path, streams=[tmp_path / "out", tmp_path / "err"])
    give_up = time.monotonic() + 90
    while process.is_alive() and time.monotonic() < give_up:
        if checkpoint.exists() and int(record.read_bytes() or b"0") > 200:
            break
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    counted = int(record.read_bytes())
    done = run(tmp_path, "--resume", "runs/tiny-001", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["spent"]["steps"], report["status"], report["recipe"]["name"]) == (1000, "finished", "tiny")
    assert 0 < report["spent"]["lost_steps"] == counted - 100 * (counted // 100) or counted % 100 == 0
    assert not checkpoint.exists()


def test_options_that_exclude_each_other_are_named(tmp_path: Path) -> None:
    file = write(tmp_path)
    for arguments, complaint in (
        ([], "RECIPE is missing"),
        (["--resume", "runs/x", "--seed", "1", "--out", "y"], "leave out --seed and --out"),
        ([file, "--over-budget"], "--over-budget needs on_budget: continue"),
        (["--resume", tmp_path], "is not the folder of a run"),
    ):
        done = run(tmp_path, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert complaint in done.stderr


def test_a_twin_without_privacy_is_trained_on_request(tmp_path: Path) -> None:
    file = write(tmp_path)
    for option in ("--twin", "--no-twin"):
        planned = json.loads(run(tmp_path, file, "--json", "--dry-run", option).stdout)
        assert planned["recipe"]["training"]["compare_nonprivate"] is (option == "--twin")


def test_mistakes_in_a_recipe_are_told_with_their_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text(encoding="utf-8").replace("clip_norm", "clipnorm"), encoding="utf-8")
    done = run(tmp_path, "tiny.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tiny.yaml:3: privacy.clipnorm is not a known key. Did you mean 'clip_norm'?" in done.stderr
    assert "tiny.yaml:1: privacy.clip_norm is missing." in done.stderr


def test_a_folder_that_is_there_is_refused_before_the_plan_is_shown(tmp_path: Path) -> None:
    write(tmp_path)
    done = run(tmp_path, "tiny.yaml", "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists already; a run never overwrites another. Name a new folder." in " ".join(done.stderr.split())


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "nowhere.yaml")
    told = "error: nowhere.yaml: no such file. Name one that is there; `dpplan recipes` lists those that can be copied."
    assert (done.returncode, " ".join(done.stderr.split())) == (2, told)


def test_without_torch_the_extra_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "train", str(DIGITS)],
        cwd=tmp_path, env=ONE_THREAD, capture_output=True, check=False, text=True, timeout=120, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 2
    assert " ".join(done.stderr.split()) == (
        "error: dpplan train needs the extra 'train': pip install 'dpplan[train]', or '.[train]' in a checkout. "
        "dpplan help training tells of smaller builds of torch"
    )
