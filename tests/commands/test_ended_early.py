"""A run that was interrupted is told the same way by every command: both figures, and the condition of the smaller."""

import contextlib
import dataclasses
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan import accounting
from dpplan.commands.shared import recorded_runs
from dpplan.recipe import parse
from dpplan.train import Step, TrainReport, events, plan
from dpplan.train.execution.terminal_text import ending
from dpplan.verify.early_end import CONDITION

Run = Callable[..., CompletedProcess[str]]
SMALL = """\
privacy: {noise_multiplier: 4, clip_norm: 1, delta: 1e-4}
data: {source: digits, held_out: 0.1}
model: {kind: logistic}
training: {batch_size: 20, steps: 9, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1, folder: runs}
"""
K, T = 4, 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/whole, a run that finished, beside runs/early, which Ctrl-C ended after 4 of 9 steps; what train said of it
    is in said.txt."""
    made = tmp_path_factory.mktemp("early")
    (made / "early.yaml").write_text(SMALL, encoding="utf-8")
    for name, stop in (("whole", None), ("early", K)):
        for event in events(plan(parse(SMALL)), out=made / "runs" / name):
            if isinstance(event, Step) and event.step == stop:
                signal.raise_signal(signal.SIGINT)
            if isinstance(event, TrainReport):
                (made / "said.txt").write_text(ending(event), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def told(folder: Path) -> tuple[str, str]:
    """Both figures, as train printed them."""
    said = " ".join((folder / "said.txt").read_text(encoding="utf-8").split())
    found = re.fullmatch(
        rf"interrupted after {K} of {T} steps, ε ≤ (\S+) spent\. That figure holds if {CONDITION}; "
        r"otherwise the planned ε ≤ (\S+) holds\.",
        said,
    )
    assert found is not None, said
    return found[1], found[2]


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.sweep(every=2, slow=("report",))
@pytest.mark.parametrize(
    "call",
    [
        ("verify", "runs/early"),
        ("risk", "runs/early"),
        ("report", "runs/early"),
        pytest.param(("report", "runs/early", "--format", "html"), marks=pytest.mark.slow),
        pytest.param(("report", "runs/early", "--format", "json"), marks=pytest.mark.slow),
        ("report", "runs/early", "--format", "registry", "--state", "product=Dataset",
         "--state", "publication_date=2026-11-29"),
    ],
    ids=lambda call: " ".join(call[::2]),
)  # fmt: skip
def test_both_figures_are_told_with_the_condition(
    dpplan: Run, folder: Path, told: tuple[str, str], call: tuple[str, ...]
) -> None:
    done = dpplan(*call, cwd=folder)
    assert done.returncode == 0, done.stderr
    said = one_line(done.stdout + " " + done.stderr)
    assert f"interrupted after {K} of {T} steps" in said
    less, more = told
    assert f"ε ≤ {less} if {CONDITION}; otherwise the planned ε ≤ {more}" in said
    assert "did not do what the plan said" not in said


def test_check_beside_it_says_what_is_counted_as_epsilon_does(dpplan: Run, folder: Path) -> None:
    run = ("--sigma", "4", "--n", "1617", "--batch", "20", "--steps", "9", "--delta", "1e-4", "--spent", "runs/early")
    done = dpplan("check", *run, cwd=folder)
    said = f"interrupted after {K} of {T} steps: all {T} are counted."
    assert said in one_line(done.stderr)
    (warning,) = json.loads(dpplan("check", *run, "--json", cwd=folder).stdout)["warnings"]
    assert said in warning


def test_verify_gives_the_smaller_figure_for_publication_under_its_condition_alone(dpplan: Run, folder: Path) -> None:
    done = dpplan("verify", "runs/early", "--json", cwd=folder)
    spent, planned = json.loads(done.stdout)["claims"]
    assert (spent["name"], spent["publish"], spent["condition"]) == ("spent", None, CONDITION)
    assert spent["publish_if"] == spent["claimed"] < planned["publish"]
    assert "condition" not in planned
    said = one_line(dpplan("verify", "runs/early", cwd=folder).stdout)
    assert f"only if {CONDITION}; otherwise the planned figure" in said
    assert said.count("as it is") == 1


def test_verify_tells_once_how_the_run_ended(dpplan: Run, folder: Path) -> None:
    remarks = json.loads(dpplan("verify", "runs/early", "--json", cwd=folder).stdout)["remarks"]
    (told,) = [each for each in remarks if "interrupted" in each]
    assert f"interrupted after {K} of {T} steps: ε ≤ " in told
    report = json.loads((folder / "runs" / "early" / "report.json").read_text(encoding="utf-8"))
    (folder / "stopped.json").write_text(json.dumps({**report, "status": "stopped", "message": "no loss"}))
    remarks = json.loads(dpplan("verify", "stopped.json", "--json", cwd=folder).stdout)["remarks"]
    assert [each[:40] for each in remarks if "stopped" in each] == ["stopped after 4 of 9 steps (no loss): ε "]


@pytest.mark.slow
def test_verify_names_the_other_runs_on_the_same_data_as_check_and_report_do(dpplan: Run, folder: Path) -> None:
    said = one_line(dpplan("verify", "runs/early", cwd=folder).stdout)
    found = re.search(r"another run on the same data \(whole\), not counted in this ε; .* (ε ≤ \S+) together", said)
    assert found is not None, said
    assert found[0] in one_line(dpplan("report", "runs/early", cwd=folder).stdout)
    others = json.loads(dpplan("verify", "runs/early", "--json", cwd=folder).stdout)["other_runs"]
    assert others["names"] == ["whole"]
    assert "as it is That is the figure of this run alone. Of all runs on these data: ε ≤ " in said
    assert float(said.split("Of all runs on these data: ε ≤ ")[1].split()[0]) >= others["together"]


def test_risk_judges_the_planned_steps(dpplan: Run, folder: Path) -> None:
    both = [json.loads(dpplan("risk", f"runs/{name}", "--json", cwd=folder).stdout) for name in ("early", "whole")]
    assert both[0]["plan"] == both[1]["plan"]
    assert both[0]["plan"]["steps"] == T


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "call",
    [
        ("epsilon", "runs/early"),
        ("export", "runs/early", "--to", "opacus"),
        ("epsilon", "--spent", "runs/early", "--sigma", "4", "--q", "0.01", "--steps", "5"),
        ("solve", "--spent", "runs/early", "--sigma", "4", "--q", "0.01", "--delta", "1e-4", "--target-eps", "3"),
    ],
    ids=lambda call: call[0] + call[1],
)
def test_whatever_counts_the_run_counts_its_planned_steps_and_says_so(
    dpplan: Run, folder: Path, call: tuple[str, ...]
) -> None:
    done = dpplan(*call, cwd=folder)
    assert done.returncode == 0, done.stderr
    warned = (
        f"runs/early: interrupted after {K} of {T} steps: all {T} are counted. The {K} alone would do if {CONDITION}"
    )
    assert warned in one_line(done.stderr)
    whole = dpplan(*(word.replace("early", "whole") for word in call), cwd=folder)
    assert whole.stdout == done.stdout
    assert "all 9 are counted" not in one_line(whole.stderr)


def test_check_counts_it_as_planned_among_the_earlier_runs(dpplan: Run, folder: Path) -> None:
    said = one_line(dpplan("check", "early.yaml", cwd=folder).stdout)
    assert f"all planned steps are counted of early (interrupted after {K} of {T} steps): fewer would do if" in said
    whole = recorded_runs.plan_of(folder / "runs" / "whole")  # named thrice it would be refused: it is one run
    assert whole is not None
    upper = accounting.epsilon(dataclasses.replace(whole, phases=whole.phases * 3), 1e-4).upper
    together = re.search(r"they spend ε ≤ (\S+) together", said)
    assert together is not None
    assert float(together[1]) == pytest.approx(upper, rel=1e-3)


def test_a_run_whose_events_nobody_takes_any_more_is_told_in_plain_words(dpplan: Run, tmp_path: Path) -> None:
    going = events(plan(parse(SMALL)), out=tmp_path / "closed")
    for event in going:
        if isinstance(event, Step) and event.step == 2:
            break
    with contextlib.closing(going):  # type: ignore[type-var]
        pass
    said = one_line(dpplan("verify", "closed").stdout)
    assert "stopped after 2 of 9 steps (its output was closed): ε ≤ " in said
