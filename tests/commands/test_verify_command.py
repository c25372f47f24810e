"""dpplan verify in a process of its own: real outputs stand, altered ones do not, anything else is told."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from dpplan.recipe import parse
from dpplan.train import run as train

Run = Callable[..., CompletedProcess[str]]
PLAN = ("--sigma", "4", "--q", "0.01", "--steps", "10000")
SMALL = """\
privacy: {noise_multiplier: 4, clip_norm: 1, delta: 1e-4}
data: {source: blobs, examples: 200, held_out: 0.1}
model: {kind: logistic}
training: {batch_size: 20, steps: 5, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1}
"""


def saved(folder: Path, content: Any, name: str = "old.json") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def printed(dpplan: Run, *call: str) -> Any:
    return json.loads(dpplan(*call, "--json").stdout)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "call",
    [
        ("epsilon", *PLAN, "--delta", "1e-5", "--delta", "1e-7"),
        ("epsilon", *PLAN, "--delta", "1e-5", "--spent", "sigma=2,q=.01,steps=50"),
        ("epsilon", *PLAN, "--delta", "1e-5", "--accountant", "rdp"),
        ("delta", *PLAN, "--eps", "1"),
        pytest.param(
            ("solve", "--target-eps", "1", "--q", "0.01", "--steps", "100", "--delta", "1e-5"), marks=pytest.mark.slow
        ),
        ("check", *PLAN, "--n", "60000", "--delta", "1e-6"),
    ],
)
def test_what_is_printed_now_stands_now(dpplan: Run, tmp_path: Path, call: tuple[str, ...]) -> None:
    file = saved(tmp_path, printed(dpplan, *call))
    done = dpplan("verify", str(file), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["schema"], answer["stands"]) == ("dpplan.verify/1", True)
    assert {one["standing"] for one in answer["claims"]} == {"stands"}
    assert all(one["publish"] == one["claimed"] >= one["accounted"]["upper"] for one in answer["claims"])


def test_an_estimate_that_was_claimed_is_refuted(dpplan: Run, tmp_path: Path) -> None:
    call = ("epsilon", "--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")
    alone = dpplan("verify", str(saved(tmp_path, printed(dpplan, *call, "--accountant", "gdp"))))
    assert alone.returncode == 1
    assert "refuted  results[0] by gdp: ε ≈ 2.622" in alone.stdout
    assert re.search(r"^  publish +ε ≤ 2\.69677 at δ = 1e-06, instead$", alone.stdout, re.MULTILINE)
    table = json.loads(
        dpplan("verify", str(saved(tmp_path, printed(dpplan, *call, "--accountant", "all"))), "--json").stdout
    )
    standings = {one["claimed_accountant"]: one["standing"] for one in table["claims"]}
    assert standings.pop("gdp") == "refuted"
    assert set(standings.values()) == {"stands"}


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("share", [1e-1, 1e-4, 1e-8])
def test_a_figure_that_was_lowered_is_refuted_with_the_digits_that_show_it(
    dpplan: Run, tmp_path: Path, share: float
) -> None:
    content = printed(dpplan, "epsilon", *PLAN, "--delta", "1e-5")
    content["results"][0]["epsilon"]["upper"] *= 1 - share
    done = dpplan("verify", str(saved(tmp_path, content)))
    assert (done.returncode, done.stderr) == (1, "")
    claimed = re.search(r"^refuted  results\[0\]: ε ≤ (\S+) at δ = 1e-05$", done.stdout, re.MULTILINE)
    proven = re.search(r"^  (?:accounted|proven) +(?:ε ≥ )?(\S+)", done.stdout, re.MULTILINE)
    publish = re.search(r"^  publish +ε ≤ (\S+) at δ = 1e-05, instead$", done.stdout, re.MULTILINE)
    off = re.search(r"^  off by +-(\S+) +too low", done.stdout, re.MULTILINE)
    assert claimed and proven and publish and off
    assert float(claimed[1]) < float(proven[1]) <= float(publish[1])
    assert float(off[1]) == pytest.approx(0.946867 * share, rel=0.3)
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80


def test_a_false_certificate_of_another_version_is_judged_by_what_is_true(dpplan: Run, tmp_path: Path) -> None:
    """The true ε of this plan is 2.38168972614; ends that exclude it are false on either side."""
    content = printed(
        dpplan, "epsilon", "--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60", "--delta", "1e-5"
    )
    figure = content["results"][0]["epsilon"]
    figure["lower"], figure["upper"] = 2.3816880, 2.3816881
    assert dpplan("verify", str(saved(tmp_path, content))).returncode == 1
    figure["lower"], figure["upper"] = 2.3816990, 2.3816991
    above = dpplan("verify", str(saved(tmp_path, content)))
    assert above.returncode == 0
    assert "its lower end, 2.381699, is false as well" in above.stdout
    assert "ε ≤ 2.38169 would do" in above.stdout


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(parse(SMALL, "small"), out=tmp_path_factory.mktemp("runs") / "small-001").folder


def test_a_run_stands_as_a_folder_and_as_a_report(dpplan: Run, run_folder: Path) -> None:
    folder = dpplan("verify", str(run_folder))
    assert (folder.returncode, folder.stderr) == (0, "")
    lines = folder.stdout.splitlines()
    assert " ".join(lines).split("dpplan.train")[0].split(": ")[-1].split() == ["2", "claims,", "2", "stand"]
    assert any(line.startswith("stands  spent: ε ≤ ") for line in lines)
    assert re.search(r"^  plan +5 steps +σ = 4, q = 0\.111111$", folder.stdout, re.MULTILINE)
    assert dpplan("verify", str(run_folder / "report.json")).stdout == folder.stdout


def test_a_run_that_took_more_steps_than_its_report_says_is_refuted(
    dpplan: Run, run_folder: Path, tmp_path: Path
) -> None:
    report = (run_folder / "report.json").read_text(encoding="utf-8")
    saved(tmp_path, report, "report.json")
    saved(tmp_path, f"{9:020}\n", "steps")
    done = dpplan("verify", str(tmp_path))
    assert done.returncode == 1
    assert "counts 9 steps, and the" in done.stdout
    saved(tmp_path, report.replace('"steps": 5,\n    "lost_steps"', '"steps": 50,\n    "lost_steps"'), "other.json")
    assert dpplan("verify", "other.json").returncode == 1


def test_a_seeded_run_has_nothing_to_publish(dpplan: Run, tmp_path: Path) -> None:
    train(parse(SMALL, "small"), seed=1, out=tmp_path / "seeded")
    done = dpplan("verify", "seeded")
    assert done.returncode == 1
    assert re.search(
        r"^  because +the run had a seed: whoever knows it can subtract the noise$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^  publish +nothing +no figure can be claimed for this run$", done.stdout, re.MULTILINE)


def test_a_claim_inside_the_interval_is_3_without_a_proof_and_settled_with_one(dpplan: Run, tmp_path: Path) -> None:
    content = printed(dpplan, "epsilon", "--sigma", "1", "--q", "0.001", "--steps", "2", "--delta", "1e-5")
    figure = content["results"][0]["epsilon"]
    middle = (figure["lower"] + figure["upper"]) / 2
    assert figure["lower"] < middle < figure["upper"]
    figure["upper"] = middle
    file = str(saved(tmp_path, content))
    open_ = dpplan("verify", file, "--no-prove")
    assert (open_.returncode, open_.stderr) == (3, "")
    assert "not certified  results[0]: " in open_.stdout
    pytest.importorskip("flint")
    settled = dpplan("verify", file)
    assert settled.returncode in (0, 1)
    assert re.search(r"^  proven +ε ≥ \d", settled.stdout, re.MULTILINE)


def test_a_report_is_read_from_standard_input(dpplan: Run) -> None:
    shown = dpplan("epsilon", *PLAN, "--delta", "1e-5", "--json").stdout
    done = subprocess.run(
        [sys.executable, "-m", "dpplan", "verify", "-"],
        input=shown, env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True, check=False, text=True, timeout=60, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("standard input: 1 claim, 1 stands\n")


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.json", None, "nowhere.json: no such file. Name a report.json, or the folder of a run."),
        ("empty.json", "", "empty.json: is not the JSON of a report"),
        ("text.json", "not a report", "text.json: is not the JSON of a report"),
        ("other.json", '{"a": 1}', "other.json: is no report of dpplan: schema=null."),
        ("nan.json", '{"schema": "dpplan.epsilon/1", "results": NaN}', "nan.json: is not the JSON of a report: NaN"),
        (".", None, ".: is not the folder of a run: it holds no report.json."),
    ],
)
def test_what_is_no_report_is_2(dpplan: Run, tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        saved(tmp_path, content, name)
    done = dpplan("verify", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_run_that_was_killed_has_no_report_yet(dpplan: Run, tmp_path: Path) -> None:
    saved(tmp_path, f"{9:020}\n", "steps")
    saved(tmp_path, "", "checkpoint.pt")
    done = dpplan("verify", str(tmp_path))
    assert done.returncode == 2
    assert "dpplan train --resume" in done.stderr


def test_a_figure_that_is_gone_and_one_that_contradicts_itself_are_2(dpplan: Run, tmp_path: Path) -> None:
    content = printed(dpplan, "epsilon", *PLAN, "--delta", "1e-5")
    for ends, said in (({"upper": None}, "upper is null"), ({"lower": 5, "upper": 4}, "contradicts itself")):
        content["results"][0]["epsilon"] |= ends
        done = dpplan("verify", str(saved(tmp_path, content)))
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_contradiction_hides_no_refuted_claim(dpplan: Run, tmp_path: Path) -> None:
    content = printed(dpplan, "epsilon", *PLAN, "--delta", "1e-5", "--delta", "1e-6")
    content["results"][0]["epsilon"] |= {"lower": 5, "upper": 4}
    content["results"][1]["epsilon"] |= {"lower": 0.1, "upper": 0.1}
    done = dpplan("verify", str(saved(tmp_path, content)))
    assert done.returncode == 1
    assert "1 refuted" in done.stdout and "contradicts itself: lower=5 is above upper=4" in " ".join(
        done.stdout.split()
    )


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("verify", ""), "REPORT is empty"),
        (("check", ""), "RECIPE is empty"),
        (("train", "--resume", ""), "--resume is empty"),
        (("epsilon", "--phase", "", "--delta", "1e-5"), "--phase is empty"),
        (("epsilon", *PLAN, "--spent", " ", "--delta", "1e-5"), "--spent is empty"),
        (("train", "--resume", "."), ".: is not the folder of a run."),
        (("train", "--resume", "nowhere"), "nowhere: no such folder. Name one that"),
    ],
)
def test_a_name_that_is_empty_or_of_something_else_is_told(dpplan: Run, call: tuple[str, ...], said: str) -> None:
    done = dpplan(*call)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {said}"), done.stderr


def test_ball_arithmetic_is_assumed_where_it_was_used(dpplan: Run) -> None:
    call = ("epsilon", "--sigma", "4", "--q", "1", "--steps", "1", "--delta", "1e-5", "--explain")
    assert "ball arithmetic" not in " ".join(dpplan(*call).stdout.split())
    pytest.importorskip("flint")
    assert "ball arithmetic" in " ".join(dpplan(*call, "--prove").stdout.partition("assumed by every")[2].split())


def test_explain_says_how_the_new_figure_came_about(dpplan: Run, tmp_path: Path) -> None:
    file = saved(tmp_path, printed(dpplan, "epsilon", *PLAN, "--delta", "1e-5"))
    shown = dpplan("verify", str(file), "--explain").stdout
    assert re.search(r"^  method +contour: ", shown, re.MULTILINE)
    assert "dpplan help certificate" in shown
