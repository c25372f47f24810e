"""What an audit found wrong, and what went over its budget, stands at the head of a page and wherever it is cited."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dpplan import __main__ as program
from dpplan import recipe, report, verify
from dpplan.commands import report as report_command
from dpplan.commands import verify as verify_command
from dpplan.report import page_formats, page_standing
from dpplan.verify.run_outcome import over_budget

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "data" / "run-report.json"
RECIPE = ROOT / "recipes" / "digits-logistic.yaml"
FACTS = {"product": "Dataset", "publication_date": "2026-11-29"}
STATED = tuple(word for key, text in FACTS.items() for word in ("--state", f"{key}={text}"))

FURTHER = ("--sigma", "9", "--q", "0.1", "--steps", "9", "--delta", "1e-5")


def folder(at: Path, change: Callable[[Any], object] = lambda _: None) -> Path:
    content = json.loads(RUN.read_text(encoding="utf-8"))
    change(content)
    (at / "report.json").write_text(json.dumps(content), encoding="utf-8")
    (at / "recipe.yaml").write_text(RECIPE.read_text(encoding="utf-8"), encoding="utf-8")
    return at


def audit(of: Path, verdict: str, sha256: str = "", schema: str = "dpplan.audit-run/1") -> str:
    """A line of audits.jsonl, of the recipe of this run, or of the one that is named."""
    own = json.loads((of / "report.json").read_text(encoding="utf-8"))["recipe"]["sha256"]
    parts = {"gradient": {"verdict": verdict, "canaries": 5000, "epsilon_lower": 7.1, "delta": 1e-5}}
    named = (
        {"scores": parts, "measured": {"noise": verdict != "violation"}}
        if schema.startswith("dpplan.audit-run")
        else {}
    )
    said = {"schema": schema, "recipe": {"sha256": sha256 or own}, "verdict": verdict, "when": "2026-11-30T10:00:00"}
    return json.dumps({**said, **named, "attacks": {}}) + "\n"


def called(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), help_option_names=["-h", "--help"])


def not_to_be_published(page: report.Page) -> None:
    for text in (report.html(page), report.markdown(page)):
        assert text.index("Not to be published") < text.index("Statement")
        assert "VIOLATION" in text[: text.index("What it rests on")]
        assert "Certified" not in text
        assert "was trained with differential privacy" not in text
        assert "The run did what the plan said" not in text
        assert "Signed by whoever" not in text
    assert "dp_epsilon" not in report.markdown(page)
    front = yaml.safe_load(report.markdown(page).split("---")[1])
    assert front["dp_guarantee"] == "none, violation found by an audit"
    document = report.document(page)
    assert "VIOLATION" in document["paragraph"] and "ε ≤" not in document["paragraph"]
    assert document["violations"] == page.violations
    assert {each["publish"] for each in document["claims"]} == {None}
    assert any("VIOLATION" in each for each in page_formats.before_signing(page))
    assert "VIOLATION" in page_standing.outcome(page)


@pytest.mark.parametrize("name", ["audits.jsonl", "audits.private.jsonl"])
def test_a_violation_is_what_a_page_begins_with(tmp_path: Path, name: str) -> None:
    run = folder(tmp_path)
    members = name == "audits.private.jsonl"
    schema = "dpplan.audit-membership/1" if members else "dpplan.audit-run/1"
    (run / name).write_text(audit(run, "consistent", schema=schema) + audit(run, "violation", schema=schema))
    page = report.gather(run, {})
    assert page.standing is verify.Standing.STANDS and not page.holds
    not_to_be_published(page)
    for form in ("md", "registry", "json"):
        done = called(report_command.command, str(run), "--format", form, *STATED)
        assert done.exit_code == 1
        assert "VIOLATION" in done.stderr
        assert "dpplan verify" not in done.stderr
    assert called(report_command.command, str(run), "--format", "registry", *STATED).stdout.startswith("# No entry: ")


def test_verify_certifies_no_run_that_an_audit_found_wrong(tmp_path: Path) -> None:
    run = folder(tmp_path)
    (run / "audits.jsonl").write_text(audit(run, "consistent"))
    assert called(verify_command.command, str(run)).exit_code == 0
    (run / "audits.jsonl").write_text(audit(run, "violation"))
    done = called(verify_command.command, str(run))
    said = " ".join(done.stdout.split())
    assert done.exit_code == 3
    assert "warning VIOLATION: an audit of 2026-11-30" in said
    assert "because an audit of this recipe found what its plan does not allow" in said
    assert "publish nothing" in said and "as it is" not in said


@pytest.mark.parametrize(
    "call",
    [
        ("risk", "RUN"),
        ("epsilon", "RUN"),
        ("epsilon", "--spent", "RUN", *FURTHER),
        ("delta", "--eps", "3", "--spent", "RUN", *FURTHER[:-2]),
        ("solve", "--target-eps", "9", "--delta", "1e-5", "--spent", "RUN", *FURTHER[2:-2]),
        ("solve", "plan.yaml", "--target-eps", "9", "--delta", "1e-5", "--spent", "RUN"),
        ("check", "--spent", "RUN", *FURTHER),
        ("export", "RUN", "--to", "dp-accounting"),
    ],
)
def test_whoever_counts_a_run_is_told_what_speaks_against_it(
    call: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(
        "phases: [{name: counts, mechanism: {kind: gaussian}}]\n", encoding="utf-8"
    )  # fmt: skip
    arguments = [str(run) if each == "RUN" else each for each in call]
    assert program.run(arguments) == 0
    before = capsys.readouterr()
    assert "VIOLATION" not in before.err + before.out and "over its budget" not in before.err + before.out
    (run / "audits.jsonl").write_text(audit(run, "violation"))
    report_of = json.loads((run / "report.json").read_text(encoding="utf-8"))
    report_of["planned"]["max_epsilon"] = 1.0
    (run / "report.json").write_text(json.dumps(report_of), encoding="utf-8")
    program.run(arguments)
    said = " ".join("".join(capsys.readouterr()).split())
    assert said.count(f"{run}: VIOLATION on file: an audit of its recipe found what the plan does not allow") == 1
    assert said.count(f"{run}: over its budget: the run spent more than its budget of ε ≤ 1: ε ≤ ") == 1


def test_a_violation_in_a_file_that_is_named_counts_too(tmp_path: Path) -> None:
    run = folder(tmp_path)
    (tmp_path / "other.jsonl").write_text(audit(run, "violation"))
    assert called(report_command.command, str(run), "--format", "md").exit_code == 0
    done = called(report_command.command, str(run), "--format", "md", "--audit", str(tmp_path / "other.jsonl"))
    assert done.exit_code == 1 and "Not to be published" in done.stdout


@pytest.mark.parametrize(("verdict", "sha256"), [("consistent", ""), ("violation", "of another recipe")])
def test_what_is_consistent_or_of_another_recipe_takes_nothing_away(tmp_path: Path, verdict: str, sha256: str) -> None:
    run = folder(tmp_path)
    (run / "audits.jsonl").write_text(audit(run, verdict, sha256))
    page = report.gather(run, {})
    assert page.holds and page.violations == []
    assert "violations" not in report.document(page)


def over(content: Any) -> None:
    content["planned"]["max_epsilon"] = 1.0
    content["planned"]["over_budget"] = content["spent"]["over_budget"] = True


def over_and_silent(content: Any) -> None:
    content["planned"]["max_epsilon"] = 1.0


@pytest.mark.parametrize("change", [over, over_and_silent])
def test_a_run_over_its_budget_says_so_everywhere(tmp_path: Path, change: Callable[[Any], object]) -> None:
    run = folder(tmp_path, change)
    page = report.gather(run, FACTS)
    said = "Over its budget: the run spent more than its budget of ε ≤ 1: ε ≤ 3.65131 at δ = 1e-05."
    assert page.over_budget == said
    for text in (report.html(page), report.markdown(page)):
        assert said in text[: text.index("Statement")]
        assert text.count(said) >= 3
    assert yaml.safe_load(report.markdown(page).split("---")[1])["dp_over_budget"] is True
    document, entry = report.document(page), report.entry(page)["deployment"]
    assert document["over_budget"] == said and said in document["paragraph"]
    assert said in page_formats.before_signing(page)
    assert said in entry["administrative"]["notes"]
    assert said.rstrip(".") in entry["privacy_loss"]["privacy_parameters_details"]
    assert "over its budget" in " ".join(called(verify_command.command, str(run)).stdout.split())
    assert any("over its budget" in each for each in verify.read(run).remarks)
    warned = called(report_command.command, str(run), "--format", "md").stderr
    assert "Over its budget" in " ".join(warned.split())


def test_a_run_within_its_budget_says_nothing_of_it(tmp_path: Path) -> None:
    page = report.gather(folder(tmp_path), {})
    assert page.over_budget == ""
    assert "budget" not in report.markdown(page)
    assert "over_budget" not in report.document(page)


def test_a_recipe_whose_plan_is_over_its_budget_says_so_before_it_runs(tmp_path: Path) -> None:
    text = RECIPE.read_text(encoding="utf-8")
    text = text.replace("  noise_multiplier: 4 ", "  max_epsilon: 1\n  noise_multiplier: 4 ")
    text = text.replace("\ntraining:\n", "\ntraining:\n  on_budget: continue\n")
    page = report.of_recipe(recipe.parse(text, "capped.yaml"), 1437, {})
    assert page.over_budget.startswith("Over its budget: the steps that are planned cost more than its budget of ε ≤ 1")
    assert page.over_budget in report.markdown(page)


@pytest.mark.parametrize("content", [{}, {"planned": 3, "spent": []}, {"planned": {"max_epsilon": None}}])
def test_what_has_no_budget_is_not_over_it(content: dict[str, Any]) -> None:
    assert over_budget(content) == ""


def test_more_than_was_planned_is_over_a_budget_that_nobody_named() -> None:
    assert over_budget({"spent": {"over_budget": True}}) == "over its budget: the run spent more than was planned."


def test_a_report_that_says_so_is_believed_against_its_figures() -> None:
    planned = {"max_epsilon": 3.0, "over_budget": True, "epsilon": {"upper": 2.5}}
    assert over_budget({"planned": planned}) == (
        "over its budget, as the report itself says, although its figures are within it."
    )


def test_an_entry_of_what_has_not_run_says_so(tmp_path: Path) -> None:
    unrun = "It is of a plan that has not run"
    page = report.of_recipe(recipe.load(RECIPE), 1437, FACTS)
    assert unrun in report.checked_entry(page)["deployment"]["administrative"]["notes"]
    ran = report.gather(folder(tmp_path), FACTS)
    assert unrun not in report.checked_entry(ran)["deployment"]["administrative"]["notes"]
    assert dataclasses.replace(ran, run=None).ran is False
