"""dpplan audit RECIPE --attack, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan.audit import membership_attacks
from dpplan.commands.shared import membership_audit
from dpplan.plot import membership as drawing
from dpplan.render import membership as render

Run = Callable[..., CompletedProcess[str]]
RECIPE = """\
privacy: {noise_multiplier: 5, clip_norm: 1, delta: 1e-5}
data: {source: blobs, examples: 300}
model: {kind: logistic}
training: {batch_size: 240, steps: 10, optimizer: sgd, learning_rate: 0.5}
runtime: {device: cpu, threads: 1}
"""


def test_attacks_are_shown_beside_the_ceiling_and_marked_private(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "blobs.yaml").write_text(RECIPE, encoding="utf-8")
    call = (
        "audit",
        "blobs.yaml",
        "--attack",
        "rmia",
        "--attack",
        "loss",
        "--shadows",
        "3",
        "--jobs",
        "1",
        "--seed",
        "1",
    )
    done = dpplan(*call, "--plot", "roc.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("consistent: the plan allows what the attacks find\n\n  private ")
    words = " ".join(done.stdout.split())
    assert "ε does not cover it" in words
    assert "4, each by the recipe's own trainer on its half of 300 examples" in words
    lines = [line.split() for line in done.stdout.splitlines()]
    rows = {line[0]: line for line in lines if line and line[0] in ("rmia", "loss", "at", "guessing")}
    assert [*rows] == ["rmia", "loss", "at", "guessing"]
    assert rows["loss"][4] == "-"  # 600 non-members do not tell one in a thousand
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert (tmp_path / "roc.svg").read_text(encoding="utf-8").count("<path") > 20
    (kept,) = (tmp_path / "runs").iterdir()
    assert kept.name.startswith("blobs-shadows-")
    times = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
    assert len(times) == 5
    answer = json.loads(dpplan(*call, "--json").stdout)
    assert (answer["schema"], answer["verdict"], answer["models"]) == ("dpplan.audit-membership/1", "consistent", 4)
    assert answer["private"] == render.PRIVATE
    assert set(answer["attacks"]) == {"rmia", "loss"}
    assert answer["attacks"]["loss"]["audit"]["claim"]["epsilon_upper"] > 1
    assert {file.name: file.stat().st_mtime_ns for file in kept.iterdir()} == times


def test_all_that_is_wrong_with_an_attack_at_once(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "blobs.yaml").write_text(RECIPE, encoding="utf-8")
    done = dpplan("audit", "blobs.yaml", "--attack", "lira", "--shadows", "1", "--jobs", "0", "--canaries", "60",
                  "--plot", "a.gif")  # fmt: skip
    assert done.returncode == 2
    for part in ("shadows=1", "jobs=0", "has no canaries", "a.gif does not end in"):
        assert part in " ".join(done.stderr.split())
    done = dpplan("audit", "blobs.yaml", "--shadows", "4")
    assert (done.returncode, "Add --attack all" in done.stderr) == (2, True)
    (tmp_path / "s.csv").write_text("member,score\n1,2\n0,1\n", encoding="utf-8")
    done = dpplan("audit", "s.csv", "--delta", "1e-5", "--attack", "all")
    assert (done.returncode, "--attack: for the audit of a recipe" in done.stderr) == (2, True)
    done = dpplan("audit", "blobs.yaml", "--attack", "lyra")
    assert (done.returncode, "Did you mean 'lira'?" in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_the_lists_of_attacks_are_one() -> None:
    assert membership_audit.ATTACKS == membership_attacks.ATTACKS
    assert callable(drawing.draw)


@pytest.mark.slow
def test_ctrl_c_is_told_in_a_line_and_keeps_what_was_trained(tmp_path: Path) -> None:
    (tmp_path / "blobs.yaml").write_text(RECIPE.replace("steps: 10", "steps: 400"), encoding="utf-8")
    call = [sys.executable, "-m", "dpplan", "audit", "blobs.yaml", "--attack", "loss", "--shadows", "40", "--jobs", "2"]
    process = subprocess.Popen(
        [*call, "--cache", "kept"], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    give_up = time.monotonic() + 120
    while not (tmp_path / "kept" / "0003.npz").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: all of them hear it
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (130, "", "error: interrupted.\n")
    assert len(list((tmp_path / "kept").glob("*.npz"))) < 41
