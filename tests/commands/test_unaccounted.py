"""A run of which nothing can be proven: refused without --unaccounted, and with it no door takes it for one that spent
nothing."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch

from dpplan import lint, verify
from dpplan.accounting import epsilon
from dpplan.errors import NotCertified, RecipeError, Unaccounted, UsageError
from dpplan.mechanism import TreeAggregation
from dpplan.recipe import parse
from dpplan.recipe.claim import Claim
from dpplan.report import other_runs
from dpplan.train import Step, TrainReport, events, plan, plan_resumed, run
from dpplan.train.execution.rank_consistency import shared_facts
from dpplan.train.execution.terminal_text import ending
from dpplan.verify import unaccounted
from dpplan.verify.unfinished_run import unfinished

Run = Callable[..., CompletedProcess[str]]
SHUFFLED = """\
privacy: {noise_multiplier: 4, clip_norm: 1, delta: 1e-4, sampling: shuffle, adjacency: add_remove}
data: {source: digits, held_out: 0.1}
model: {kind: logistic}
training: {batch_size: 400, steps: 8, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1, folder: runs, checkpoint_every: 2}
"""
KNOWN = SHUFFLED.replace(", sampling: shuffle, adjacency: add_remove", "")
WHY = "gaussian with shuffle is not known under add-remove"
AT = 3  # the step after which a run is interrupted
# Each recipe has no theorem for another reason: how it differs from SHUFFLED.
NO_THEOREM = {
    "bins": {"sampling: shuffle, adjacency: add_remove": "sampling: balls-in-bins, adjacency: replace_one"},
    "cut": {"sampling: shuffle": "sampling: truncated-poisson, cap: 420"},
    "by turns": {"sampling: shuffle": "sampling: cyclic-poisson, groups: 2"},
    "users": {
        "sampling: shuffle": "sampling: fixed-size, unit: user, max_per_user: 2",
        "0.1}": "0.1, user: simulated}",
        "400": "300",
    },
    "a tree by coins": {"sampling: shuffle": "sampling: poisson, noise: {kind: tree}"},
    "bands in bins": {"sampling: shuffle": "sampling: balls-in-bins, noise: {kind: banded, bands: 3}"},
    "bands in new orders": {"add_remove": "zero_out, noise: {kind: banded, bands: 3}"},
    "a tree, once": {"sampling: shuffle": "sampling: shuffle, order: once, noise: {kind: tree}"},
    "groups by a draw": {
        "sampling: shuffle, adjacency: add_remove": "sampling: cyclic-poisson, groups: 2, assignment: own, "
        "adjacency: zero_out, noise: {kind: banded, bands: 2}"
    },
}


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def interrupted(folder: Path, seed: int | None = None) -> TrainReport:
    for event in events(plan(parse(SHUFFLED), unaccounted=True, seed=seed), out=folder):
        if isinstance(event, Step) and event.step == AT:
            signal.raise_signal(signal.SIGINT)
    assert isinstance(event, TrainReport)
    return event


def one_line(text: str) -> str:
    return " ".join(text.split())


def content(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/marked, which finished, beside runs/killed, which left no report, and runs/known, which can be accounted."""
    folder = tmp_path_factory.mktemp("unaccounted")
    for name, text in (("shuffled", SHUFFLED), ("known", KNOWN)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for _ in events(plan(parse(SHUFFLED), unaccounted=True), out=folder / "runs" / "marked"):
        pass
    interrupted(folder / "runs" / "killed")
    (folder / "runs" / "killed" / "report.json").unlink()
    run(parse(KNOWN), out=folder / "runs" / "known")
    (folder / "scores.csv").write_text("member,score\n" + "1,2\n0,1\n" * 8, encoding="utf-8")
    return folder


def test_without_the_flag_it_is_refused_and_the_flag_is_named_last(dpplan: Run, made: Path) -> None:
    done = dpplan("train", "shuffled.yaml", "--dry-run", cwd=made)
    said = one_line(done.stderr)
    assert (done.returncode, done.stdout) == (3, "") and WHY in said
    assert said.index("Try privacy.adjacency: zero_out") < said.index(
        "As a last resort, --unaccounted trains it and claims"
    )


def test_the_screen_says_first_that_nothing_is_known_and_shows_no_figure(dpplan: Run, made: Path) -> None:
    done = dpplan("train", "shuffled.yaml", "--unaccounted", "--out", "seen", cwd=made)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("unaccounted: no ε of this run is known, and none is claimed\n")
    assert WHY in one_line(done.stdout) and "What is spent on these data is unknown with it." in done.stdout
    assert re.search(r"(?m)^  spent +unknown +8 steps: as planned", done.stdout)
    assert re.search(r"(?m)^ +2 +8 +unknown ", done.stdout)
    assert not re.search(r"ε [≤=≈] ", done.stdout) and "protected;" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    seen = "--out seen is not in runtime.folder=runs, where `dpplan train` and `check` look for runs on the same data: "
    assert f"{seen}later ones will not see this run, nor that no ε of it is known." in one_line(done.stderr)
    assert "`dpplan check RECIPE --runs .` does." in one_line(done.stderr)


def test_report_run_folder_and_metrics_hold_the_mark_and_no_figure(made: Path) -> None:
    report = content(made / "runs" / "marked" / "report.json")
    assert WHY in report["unaccounted"] and report["agrees_with_plan"] is True
    assert (report["planned"]["epsilon"], report["planned"]["over_budget"]) == (None, None)
    spent = report["spent"]
    assert (spent["steps"], spent["epsilon"], spent["over_budget"], spent["holds"]) == (8, None, None, False)
    assert "no ε of it is known, and none is claimed" in spent["note"]
    assert [each["name"] for each in report["verdict"]] == ["steps", "denominator"]
    lines = (made / "runs" / "marked" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["epsilon"] for line in lines] == [None, None]
    assert WHY in content(made / "runs" / "killed" / "run.json")["unaccounted"]
    assert "unaccounted" not in content(made / "runs" / "known" / "report.json")


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("name", NO_THEOREM)
def test_each_combination_without_a_theorem_trains_as_planned(name: str, tmp_path: Path) -> None:
    recipe = parse(replaced(SHUFFLED, NO_THEOREM[name]))
    with pytest.raises(NotCertified):
        plan(recipe)
    *_, report = events(plan(recipe, unaccounted=True), out=tmp_path / "run")
    assert isinstance(report, TrainReport)
    assert report.agrees and report.spent is None and not report.over_budget


def test_noise_that_steps_share_goes_on_without_a_claim(tmp_path: Path) -> None:
    text = replaced(SHUFFLED, {**NO_THEOREM["a tree by coins"], "steps: 8": "steps: 6"})
    folder = tmp_path / "run"
    for event in events(plan(parse(text), unaccounted=True), out=folder):
        if isinstance(event, Step) and event.step == AT:
            signal.raise_signal(signal.SIGINT)
    *_, report = events(plan_resumed(folder), out=folder)
    assert isinstance(report, TrainReport) and report.agrees and report.spent is None
    measured = {each.name for each in report.measured}
    assert "noise" in measured and "participation" not in measured  # no pattern is claimed
    mechanism = report.planned.claim.phase.mechanism
    assert isinstance(mechanism, TreeAggregation) and mechanism.participations == 6  # nor declared
    with pytest.raises(NotCertified, match="no theorem"):
        epsilon(report.planned.claim.plan, 1e-4)
    with pytest.raises(Unaccounted):
        verify.read(folder)


def test_what_cannot_run_without_a_claim_either_is_refused_for_that(dpplan: Run, tmp_path: Path) -> None:
    """Noise that grows from step to step, under sampling without a theorem."""
    np.save(tmp_path / "C.npy", np.eye(8) + 1e3 * np.eye(8, k=-1))
    noise = {"sampling: shuffle": "sampling: poisson, noise: {kind: matrix, strategy: C.npy}"}
    (tmp_path / "grows.yaml").write_text(replaced(SHUFFLED, noise), encoding="utf-8")
    for more in ((), ("--unaccounted",)):
        done = dpplan("train", "grows.yaml", "--dry-run", *more, cwd=tmp_path)
        assert done.returncode == 2 and "floats would lose it" in one_line(done.stderr), done.stderr
        assert "--unaccounted" not in done.stderr


def test_a_run_that_can_be_accounted_is_refused_with_it(dpplan: Run, made: Path) -> None:
    done = dpplan("train", "known.yaml", "--unaccounted", "--dry-run", cwd=made)
    said = one_line(done.stderr)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(r"can be accounted: it spends ε ≤ \d\.\d+\. --unaccounted is for .* Leave it out\.", said)


@pytest.mark.parametrize(("key", "advice"), [("target_epsilon", "Write noise_multiplier"), ("max_epsilon", "Leave it")])
def test_a_budget_cannot_be_held_and_is_refused_with_what_to_write(key: str, advice: str) -> None:
    noise = "" if key == "target_epsilon" else "noise_multiplier: 4, "
    recipe = parse(SHUFFLED.replace("noise_multiplier: 4, ", f"{noise}{key}: 3, "))
    with pytest.raises(NotCertified):
        plan(recipe)
    with pytest.raises(RecipeError, match=rf"privacy\.{key}=3 cannot be held with --unaccounted.* {advice}"):
        plan(recipe, unaccounted=True)


def test_a_claim_has_a_figure_or_a_reason_for_having_none() -> None:
    claim = parse(SHUFFLED).unaccounted_claim(1617)
    assert claim.epsilon is None and [claim.spent(steps) for steps in (0, 1, 8)] == [None] * 3
    for wrong in ((None, ""), (parse(KNOWN).claim(1617).epsilon, "why")):
        with pytest.raises(ValueError, match="either an epsilon or a reason"):
            Claim(claim.plan, claim.delta, wrong[0], 1.0, unaccounted=wrong[1])


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "call",
    [
        "verify runs/marked",
        "verify runs/marked/report.json --json",
        "epsilon runs/marked",
        "epsilon runs/killed",
        "epsilon runs/marked --accountant rdp",
        "epsilon --spent runs/marked --sigma 4 --q 0.01 --steps 9 --delta 1e-5",
        "epsilon --spent runs/killed --sigma 4 --q 0.01 --steps 9 --delta 1e-5",
        "delta runs/marked --eps 1",
        "solve --spent runs/marked --eps 3 --q 0.01 --steps 9 --delta 1e-5",
        "check --spent runs/marked --sigma 4 --q 0.01 --steps 9 --delta 1e-5",
        "report runs/marked",
        "risk runs/marked",
        "curve runs/marked",
        "export runs/marked --to dp-accounting",
        "export --spent runs/killed --sigma 4 --q 0.01 --steps 9 --to opacus",
        "audit scores.csv --against runs/marked",
    ],
)
def test_no_command_counts_it_as_nothing_or_passes_it_over(call: str, dpplan: Run, made: Path) -> None:
    done = dpplan(*call.split(), cwd=made)
    said = one_line(done.stderr)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "was made with --unaccounted: no ε of it is known, and none is claimed" in said and WHY in said
    assert f"It took {AT if 'killed' in call else 8} steps. What is spent on these data is unknown with it" in said


def test_an_audit_of_it_has_nothing_to_hold_against(dpplan: Run, made: Path) -> None:
    done = dpplan("audit", "runs/marked", cwd=made)
    said = one_line(done.stderr)
    assert (done.returncode, done.stdout) == (3, "")
    assert "An audit holds a claim against what an attack shows, and there is none." in said


def test_check_train_verify_and_report_name_it_beside_other_runs(dpplan: Run, made: Path) -> None:
    checked = dpplan("check", "known.yaml", cwd=made)
    said = one_line(checked.stdout)
    assert checked.returncode == 0
    assert (
        "killed, marked were trained with --unaccounted, of which no ε is known, so that what is spent on these "
        in said
    )
    assert "together" not in said and "Claim nothing of these data" in said
    assert (
        "killed, marked were trained with --unaccounted" in dpplan("train", "known.yaml", "--dry-run", cwd=made).stderr
    )
    verified = dpplan("verify", "runs/known", "--json", cwd=made)
    others = json.loads(verified.stdout)["other_runs"]
    assert verified.returncode == 0
    assert (others["together"], others["unaccounted"]) == (None, ["killed", "marked"])
    beside = other_runs.beside(parse(KNOWN).plan(1617), 1e-4, made / "runs" / "known", parse(KNOWN).content)  # on pages
    assert "killed, marked: trained with --unaccounted, so that no ε is known of it" in beside.words
    assert (beside.together, beside.unaccounted) == (None, ("killed", "marked"))


def test_the_recipe_in_its_folder_is_told_to_be_of_a_run_without_a_figure(dpplan: Run, made: Path) -> None:
    done = dpplan("check", "runs/marked/recipe.yaml", cwd=made)
    said = one_line(done.stdout)
    assert done.returncode == 1 and "error DP009" in said
    assert "the run marked, which was trained with --unaccounted: no ε of it is known" in said


def test_what_lies_in_a_folder_adds_up_to_nothing_known_with_it(made: Path) -> None:
    runs = lint.runs_in(made / "runs", "digits", None)
    assert [(each.name, each.unaccounted, each.begun) for each in runs] == [
        ("killed", True, AT),
        ("known", False, 8),
        ("marked", True, 8),
    ]
    (known,) = (each for each in runs if not each.unaccounted)
    known_plan = parse(KNOWN).plan(1617)
    assert lint.together(known_plan, [known], 1e-4) is not None
    assert lint.together(known_plan, runs, 1e-4) is None


def test_a_run_that_was_killed_says_so_and_goes_on_marked_without_the_flag(
    dpplan: Run, made: Path, tmp_path: Path
) -> None:
    said = unfinished(made / "runs" / "killed")
    assert f"{AT} steps are counted, of a run that was begun with --unaccounted: no ε of it is known" in said
    assert "dpplan epsilon" not in said
    folder = tmp_path / "run"
    early = interrupted(folder)
    assert ending(early) == f"interrupted after {AT} of 8 steps, no ε of it is known, and none is claimed."
    with pytest.raises(Unaccounted, match=f"It took {AT} steps"):
        verify.read(folder)
    refused = dpplan("train", "--resume", str(folder), "--unaccounted")
    assert (refused.returncode, refused.stdout) == (2, "") and "leave out --unaccounted" in refused.stderr
    done = dpplan("train", "--resume", str(folder), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and WHY in report["unaccounted"]
    assert (report["spent"]["steps"], report["spent"]["epsilon"]) == (8, None)


def test_a_marked_run_stays_marked_whatever_can_be_proven_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    interrupted(folder, seed=1)
    monkeypatch.setattr("dpplan.accounting.epsilon", lambda *_, **__: pytest.fail("was accounted"))
    planned = plan_resumed(folder)
    assert WHY in planned.claim.unaccounted and planned.claim.epsilon is None
    assert WHY in planned.to_json()["unaccounted"]
    assert WHY in str(shared_facts(planned)["--unaccounted"])


def test_a_checkpoint_without_the_mark_does_not_go_on_without_a_claim(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    interrupted(folder)
    stored = torch.load(folder / "checkpoint.pt", weights_only=True)
    del stored["unaccounted"]
    torch.save(stored, folder / "checkpoint.pt")
    with pytest.raises(NotCertified, match=WHY):
        plan_resumed(folder)


@pytest.mark.parametrize("mark", ["", "  ", 0, 1, True, [], {}, "why"])
def test_whatever_stands_as_the_mark_is_one(mark: object, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(made / "runs" / "known", folder)
    report = content(folder / "report.json") | {"unaccounted": mark}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(Unaccounted, match="none is claimed"):
        verify.read(folder)
    assert unaccounted.reason_in(folder) and unaccounted.reason({"unaccounted": None}) == ""


def test_without_its_mark_a_report_holds_no_figure_either(made: Path, tmp_path: Path) -> None:
    report = content(made / "runs" / "marked" / "report.json")
    del report["unaccounted"]
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(UsageError, match="epsilon is missing"):
        verify.read(tmp_path)


def test_one_that_took_no_step_spent_nothing(made: Path, tmp_path: Path) -> None:
    report = content(made / "runs" / "marked" / "report.json")
    report["spent"]["steps"] = 0
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(Unaccounted, match="No step of it was begun, so it spent nothing: leave it out"):
        verify.read(tmp_path)
