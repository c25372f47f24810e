"""dpplan audit in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from dpplan import __main__ as program
from dpplan.audit import on_file

Run = Callable[..., CompletedProcess[str]]
PLAN = ("--sigma", "10", "--q", "1", "--steps", "100", "--delta", "1e-5")  # μ = 1


def written(file: Path, shift: float, canaries: int = 1000, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    member = rng.integers(0, 2, canaries)
    scores = rng.standard_normal(canaries) + shift * member
    lines = [f"{one},{score!r}" for one, score in zip(member.tolist(), scores.tolist(), strict=True)]
    file.write_text("\n".join(["member,score", *lines, ""]), encoding="utf-8")
    return file


def test_scores_of_a_sound_run_are_consistent(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("audit", written(tmp_path / "scores.csv", 1.0), *PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("consistent: the plan allows these scores")
    assert "does not prove the plan" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_claim_below_the_bound_that_scores_do_not_refute_is_no_plain_consistent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scores = written(tmp_path / "scores.csv", 5.0, canaries=500)
    assert program.run(["audit", str(scores), "--eps", "3.76", "--delta", "1e-6"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("consistent with (ε, δ) alone: ε = 3.76 at δ = 1e-06 allows these scores\n")
    assert "name its plan in place of --eps: that decides" in " ".join(said.split())


def test_scores_too_few_to_refute_anything_are_told_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for canaries, few in ((4, True), (5, False)):  # coins guess five of five right with chance 0.03
        file = tmp_path / f"{canaries}.csv"
        file.write_text("\n".join(["member,score", *["1,3", "0,1"] * 2, "1,4"][: canaries + 1]), encoding="utf-8")
        assert program.run(["audit", str(file), *PLAN]) == 0
        assert ("no scores of so few could have refuted anything" in " ".join(capsys.readouterr().out.split())) is few
    (tmp_path / "bad.csv").write_text("member,score\n1,x\n0,y\n", encoding="utf-8")
    assert program.run(["audit", str(tmp_path / "bad.csv"), *PLAN]) == 2
    assert capsys.readouterr().err.startswith("error: 2 problems with this file of scores")


def test_scores_that_tell_too_much_are_a_violation(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("audit", written(tmp_path / "scores.csv", 5.0), *PLAN, "--json")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert (answer["schema"], answer["verdict"]) == ("dpplan.audit/1", "violation")
    assert answer["epsilon_lower"] > answer["claim"]["epsilon_upper"] > 4.377
    assert any(each["refuted"] and each["p_value"] < 0.005 for each in answer["attempts"])


def test_a_recipe_and_a_stated_claim_are_held_against_the_same_scores(dpplan: Run, tmp_path: Path) -> None:
    scores = written(tmp_path / "scores.csv", 5.0)
    recipe = Path(__file__).parents[2] / "recipes" / "audit.yaml"
    assert dpplan("audit", scores, "--against", recipe, "--n", "1437").returncode == 1
    done = dpplan("audit", scores, "--eps", "1", "--delta", "1e-5", "--method", "one-run")
    assert done.returncode == 1
    assert "any (ε, δ) mechanism" in " ".join(done.stdout.split())
    alone = dpplan("audit", scores, "--delta", "1e-5")
    assert alone.returncode == 0
    assert alone.stdout.startswith("ε ≥ ")


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("member\n1\n", "member and score are needed"),
        ("", "has no first line"),
        ("x" * 200_000 + "\n1,1\n", "is not CSV"),
        ("member,score\n2,1\n1,x\n0,nan\n", "member='2' is not 1 or 0"),
        ("member,score\n1,1\n1,2\n", "Both kinds are needed"),
        ("member,score\n" + "1,1\n" * 99 + "0,0\n", "which fair coins do with chance"),
        ("member,score\n1\n0\n", "score='' is not a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_line_by_line(dpplan: Run, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "scores.csv").write_text(text, encoding="utf-8")
    done = dpplan("audit", "scores.csv", "--delta", "1e-5")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_all_that_is_wrong_with_a_call_at_once(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("audit", "none.csv", "--confidence", "2", "--method", "onerun", "--guesses", "0", "--threshold", "a")
    assert done.returncode == 2
    for part in ("confidence=2", "Did you mean 'one-run'?", "guesses=0", "threshold=a", "delta is missing"):
        assert part in done.stderr
    both = dpplan("audit", "none.csv", "--eps", "1", "--sigma", "1", "--delta", "1e-5")
    assert both.returncode == 2
    assert "Leave all but one out" in both.stderr
    assert dpplan("audit", "none.csv", "--delta", "1e-5").returncode == 2
    many = dpplan("audit", written(tmp_path / "s.csv", 1.0, 50), "--delta", "1e-5", "--guesses", "51")
    assert "exceeds the 50 canaries" in many.stderr


def test_a_recipe_is_audited_by_a_run_that_leaves_nothing_behind(dpplan: Run, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "audit-digits.yaml"
    done = dpplan("audit", recipe, "--canaries", "400", "--mislabelled", "30", "--seed", "1", OMP_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("consistent: ")
    words = " ".join(done.stdout.split())
    assert "white box ε ≥ " in words
    assert "black box ε ≥ " in words
    assert "claimed ε ≤ 8 at δ = 1e-05" in words
    assert "pay nothing for the canaries" in words
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_folder_of_a_run_is_audited_by_its_recipe(dpplan: Run, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "audit-digits.yaml"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8")
    done = dpplan("audit", "run", "--canaries", "100", "--mislabelled", "0", "--seed", "2", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["schema"], answer["verdict"]) == (0, "dpplan.audit-run/1", "consistent")
    assert set(answer["scores"]) == {"gradient, by likelihood", "gradient, by spread"}
    assert all(answer["measured"].values())
    assert sorted(each.name for each in (tmp_path / "run").iterdir()) == ["audits.jsonl", "recipe.yaml"]
    assert on_file.kept(tmp_path / "run" / "audits.jsonl") == [answer]
    page = dpplan("report", recipe, "--n", "1437", "--audit", "run/audits.jsonl", "--format", "md")
    assert page.returncode == 0
    assert "with 100 gradient canaries that was thrown away, found nothing that the plan does not allow" in page.stdout
    other = dpplan("report", recipe.with_name("audit.yaml"), "--n", "1437", "--audit", "run/audits.jsonl")
    assert (other.returncode, "of a recipe that runs something else" in other.stderr) == (2, True)


def test_what_belongs_to_files_of_scores_is_refused_for_a_recipe(dpplan: Run, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "audit-digits.yaml"
    done = dpplan("audit", recipe, "--sigma", "1", "--method", "one-run", "--canaries", "2", "--seed", "-1")
    assert done.returncode == 2
    for part in ("and what goes with one was given: --method, --sigma.", "canaries=2", "seed=-1"):
        assert part in done.stderr
    scores = written(tmp_path / "scores.csv", 1.0, 50)
    assert "for the audit of a recipe" in dpplan("audit", scores, "--delta", "1e-5", "--seed", "1").stderr
    assert dpplan("audit", tmp_path).returncode == 2


def test_scores_are_held_against_a_plan_file(dpplan: Run, tmp_path: Path) -> None:
    plan, scores = tmp_path / "plan.yaml", written(tmp_path / "scores.csv", 1.0, 200)
    plan.write_text("phases: [{mechanism: {kind: laplace, epsilon: 0.1}}]\n", encoding="utf-8")
    found = json.loads(dpplan("audit", scores, "--against", plan, "--delta", "1e-5", "--json").stdout)
    typed = dpplan("audit", scores, "--against", plan, "--sigma", "1", "--delta", "1e-5")
    assert found["plan"]["phases"][0]["mechanism"] == "laplace"
    assert "a whole plan, and more of the run was said beside it" in " ".join(typed.stderr.split())


def test_other_methods_tell_more_and_what_they_rest_on(capsys: pytest.CaptureFixture[str]) -> None:
    call = ("audit", "recipes/scores.csv", *PLAN, "--method")
    bounds = {}
    for method in ("one-run-fdp", "order-statistics", "gauss"):
        assert program.run([*call, method, "--json"]) == (3 if method == "gauss" else 0)
        told = json.loads(capsys.readouterr().out)
        bounds[method] = told["epsilon_lower"]
        assert told["verdict"] == (None if method == "gauss" else "consistent")
        assert any("do not touch each other" in each for each in told["warnings"]) is (method == "order-statistics")
        assert told["guarantee"] == ("estimate" if method == "gauss" else "lower")
    assert bounds["order-statistics"] > 1.8 * bounds["one-run-fdp"]
    assert program.run([*call, "gauss"]) == 3  # a claim, and nothing proven beside it
    shown = capsys.readouterr().out
    assert "an ESTIMATE, and no verdict" in shown
    assert "consistent" not in shown
    assert program.run([*call, "gauss", "--guesses", "20"]) == 2
    assert "--method gauss looks at all scores" in capsys.readouterr().err


def test_decisions_in_place_of_scores_are_warned_of(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    rows = [f"{k % 2},{int(k % 5 > 1) if k % 2 else int(k % 5 > 3)}" for k in range(101)]
    file.write_text("\n".join(["member,score", *rows, ""]), encoding="utf-8")
    assert program.run(["audit", str(file), "--eps", "0.5", "--delta", "1e-5"]) == 0
    assert "101 of 101 scores are equal to that of a canary of the other kind" in " ".join(
        capsys.readouterr().err.split()
    )
    file.write_text("\n".join(["member,score", *(f"{k % 2},0.5" for k in range(100)), ""]), encoding="utf-8")
    assert program.run(["audit", str(file), "--eps", "0.5", "--delta", "1e-5"]) == 0
    assert "100 of 100 scores are equal" in " ".join(capsys.readouterr().err.split())


def test_decisions_are_warned_of_first_and_not_where_they_cost_nothing(dpplan: Run, tmp_path: Path) -> None:
    rows = [f"{k % 2},{k % 2 if k % 10 < 8 else 1 - k % 2}" for k in range(202)]
    (tmp_path / "decisions.csv").write_text("\n".join(["member,score", *rows, ""]), encoding="utf-8")
    call = ("audit", "decisions.csv", "--eps", "0.5", "--delta", "1e-5")
    for more, code, warned in (
        ((), 0, True),
        (("--guesses", "50"), 0, True),
        (("--guesses", "202"), 1, False),
        (("--guesses", "101", "--side", "in"), 1, False),
        (("--method", "many-runs", "--threshold", "0.5"), 1, False),
        (("--method", "gauss"), 3, False),
    ):
        done = dpplan(*call, *more)
        assert (done.returncode, "202 of 202 scores are equal" in " ".join(done.stderr.split())) == (code, warned), more
    out = subprocess.check_output(
        [sys.executable, "-m", "dpplan", *call], cwd=tmp_path, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    assert 0 <= out.index("warning: decisions.csv") < out.index("consistent: ")
    told = json.loads(dpplan(*call, "--json").stdout)["warnings"]
    assert "scores are equal" in told[0] and "exactly 101" in told[1]


def test_a_bound_above_a_claim_that_stands_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """It is for a Gaussian, and the claim for whatever has this ε and δ."""
    call = ["audit", "recipes/scores.csv", "--eps", "3", "--delta", "1e-5", "--method", "order-statistics"]
    assert program.run(call) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "name its plan in place of --eps: that decides" in shown
    assert "nothing was found" not in shown
    assert "116 %" not in shown
    assert program.run([*call, "--json"]) == 0
    assert any("the bound is above the claim" in each for each in json.loads(capsys.readouterr().out)["warnings"])


def test_the_theorem_of_a_recipe_is_not_chosen_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["audit", "recipes/audit-digits.yaml", "--method", "one-run-fdp"]) == 2
    assert "judged by the theorem that holds for it" in " ".join(capsys.readouterr().err.split())
