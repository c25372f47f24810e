"""The command in several processes, and under torchrun itself: what is printed, once, and how a run ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from several import HANG, LOCAL, TINY, together, written

from dpplan import __main__ as command_line


def speaking(*arguments: str) -> tuple[int, str, str]:
    """`dpplan ...` in one process of several, RANK being its number: its exit status and all it printed."""
    rank = os.environ["RANK"]
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{name}-{rank}", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        os.dup2(file, number)
    os.environ["TORCHELASTIC_ERROR_FILE"] = f"error-{rank}"
    status = command_line.run([argument.replace("RANK", rank) for argument in arguments])
    sys.stderr.flush()
    out, err = (Path(f"{name}-{rank}").read_text(encoding="utf-8") for name in ("out", "err"))
    return status, out, err


def test_a_mistake_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(TINY.replace("clip_norm", "clipnorm"), encoding="utf-8")
    Path("good.yaml").write_text(TINY.replace("STEPS", "5"), encoding="utf-8")
    (first, out, err), quiet = together(tmp_path, speaking, "train", str(tmp_path / "bad.yaml"))
    assert (first, out, quiet) == (2, "", (0, "", ""))
    assert err.count("privacy.clipnorm is not a known key. Did you mean 'clip_norm'?") == 1
    told = json.loads(Path("error-0").read_text(encoding="utf-8"))
    assert "privacy.clipnorm is not a known key" in told["message"]["message"]
    assert not Path("error-1").exists()
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good.yaml", "--out", str(tmp_path))
    assert (first, quiet) == (2, (0, "", ""))
    assert "exists already" in " ".join(err.split())
    Path("good-0.yaml").write_text(TINY.replace("STEPS", "5"), encoding="utf-8")
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good-RANK.yaml")
    assert (first, quiet) == (2, (0, "", ""))
    assert err.startswith("error: process 1: good-1.yaml: no such file. Name one that is there")
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good.yaml", "--dry-run")
    assert (first, quiet) == (0, (0, "", ""))
    assert re.search(r"(?m)^  processes +2 ", out)


def torchrun(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`torchrun --nproc-per-node 2 -m dpplan ...`, on a port that it finds itself."""
    where = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *where, "-m", "dpplan"]
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env={**os.environ, **LOCAL}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        process.terminate()  # it hands this on, and ends those that do not obey
        raise
    return process.returncode, out, err


@pytest.mark.slow
def test_torchrun_runs_a_recipe_in_two_processes(tmp_path: Path) -> None:
    made = TINY.replace("STEPS", "20").replace("source: digits", "source: blobs, examples: 1000")
    (tmp_path / "tiny.yaml").write_text(made, encoding="utf-8")
    status, out, err = outcome(torchrun(tmp_path, "train", "tiny.yaml", "--seed", "1", "--json"))
    assert status == 0, err
    report = json.loads(out)
    assert (report["processes"], report["status"], report["agrees_with_plan"]) == (2, "finished", True)
    assert all(check["agrees"] for check in report["not_covered_by_epsilon"]["verdict"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny-001"]
    assert written(tmp_path / "runs" / "tiny-001") == report
    assert "Traceback" not in err


@pytest.mark.slow
def test_torchrun_hands_on_ctrl_c_and_the_run_goes_on_later(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("STEPS", "1500"), encoding="utf-8")
    process = torchrun(tmp_path, "train", "tiny.yaml")
    begun(tmp_path, process)
    process.send_signal(signal.SIGINT)
    status, _, err = outcome(process)
    assert status == 1
    assert len(re.findall(r"(?m)^error: interrupted after \d+ of 1500 steps, ε ≤ \S+ spent\.", err)) == 1
    report = written(tmp_path / "runs" / "tiny-001")
    assert (report["status"], report["spent"]["lost_steps"]) == ("interrupted", 0)
    assert 0 < report["spent"]["steps"] < 1500
    status, out, _ = outcome(torchrun(tmp_path, "train", "--resume", "runs/tiny-001", "--json"))
    assert (status, json.loads(out)["spent"]["steps"]) == (0, 1500)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_torchrun_ends_a_run_of_which_a_process_died(tmp_path: Path, victim: int) -> None:
    (tmp_path / "mine.py").write_text(DEADLY.replace("VICTIM", str(victim)), encoding="utf-8")
    recipe = TINY.replace("STEPS", "100000").replace("source: digits", "source: 'mine:examples'")
    recipe = recipe.replace("noise_multiplier: 2", "noise_multiplier: 20")  # so many steps with less are an error
    (tmp_path / "tiny.yaml").write_text(recipe, encoding="utf-8")
    status, _, err = outcome(torchrun(tmp_path, "train", "tiny.yaml"))
    assert status == 1
    assert "Signal 9 (SIGKILL) received" in err, err
    folder = tmp_path / "runs" / "tiny-001"
    counted = int((folder / "steps").read_bytes())
    assert 0 < counted < 100_000
    if victim:
        assert len(re.findall(r"(?m)^error: stopped by the loss of a process after \d+ of 100000 steps", err)) == 1
        assert written(folder)["spent"]["steps"] == counted
    else:
        assert "error: " not in err
        assert not (folder / "report.json").exists()


@pytest.mark.slow
def test_under_torchrun_a_mistake_is_the_last_thing_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(TINY.replace("STEPS", "5").replace("clip_norm", "clipnorm"), encoding="utf-8")
    status, out, err = outcome(torchrun(tmp_path, "train", "bad.yaml"))
    assert (status, out) == (1, "")
    assert len(re.findall(r"(?m)^error: ", err)) == 1
    assert "privacy.clipnorm is not a known key" in err.splitlines()[-2]
    codes = re.findall(r"(?m)^  exitcode +: (-?\d+) ", err)  # in torchrun's report, the cause last
    assert codes in (["2"], [f"{-signal.SIGTERM}", "2"])  # it ends the other process, unless that was faster


def begun(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Waits until the run is under way."""
    metrics, give_up = folder / "runs" / "tiny-001" / "metrics.jsonl", time.monotonic() + HANG
    while not metrics.exists() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)


# A data set whose loading sets a trap: the process of this rank kills itself when the run is under way.
DEADLY = """\
import os, pathlib, signal, threading, time
import numpy

def examples():
    if os.environ.get("RANK") == "VICTIM":
        threading.Thread(target=end, daemon=True).start()
    rng = numpy.random.default_rng(0)
    return rng.standard_normal((1437, 5)).astype("float32"), numpy.arange(1437) % 3

def end():
    while not list(pathlib.Path("runs").glob("*/metrics.jsonl")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_processes_that_claim_nothing_say_so_once_and_refuse_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shuffled = TINY.replace("STEPS", "5").replace("delta: 1e-5", "delta: 1e-5, sampling: shuffle").replace("100", "500")
    Path("shuffled.yaml").write_text(shuffled, encoding="utf-8")
    (first, out, err), quiet = together(tmp_path, speaking, "train", "shuffled.yaml")
    assert (first, out, quiet) == (3, "", (0, "", ""))
    assert " ".join(err.split()).count("As a last resort, --unaccounted trains it and claims nothing") == 1
    (first, out, err), quiet = together(tmp_path, speaking, "train", "shuffled.yaml", "--unaccounted", "--out", "run")
    assert (first, quiet) == (0, (0, "", ""))
    assert out.startswith("unaccounted: no ε of this run is known")
    report = written(tmp_path / "run")
    assert (report["processes"], report["spent"]["epsilon"], report["agrees_with_plan"]) == (2, None, True)
