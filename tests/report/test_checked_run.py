"""Every command that makes something of a run reads it held against what lies beside its report."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpplan import __main__ as program
from dpplan import report, verify
from dpplan.commands.shared import page_verdict
from dpplan.report import checked_run
from tests.report.test_violations import FURTHER, STATED, audit, folder, over

PAGES = ("export", "report")
VIOLATION = "VIOLATION on file: an audit of its recipe found what the plan does not allow"
OTHER = "recipe.yaml is not the recipe that the report records: training.epochs is 7 in the file"
DAMAGED = "audits.jsonl: line 2 is no audit of a recipe, so nobody can tell what it found"
Captured = pytest.CaptureFixture[str]


def called(capsys: Captured, *arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, and all that went to standard error, in one line."""
    status = program.run([str(each) for each in arguments])
    said = capsys.readouterr()
    return status, said.out, " ".join(said.err.split())


def violated(at: Path) -> Path:
    run = folder(at)
    (run / "audits.jsonl").write_text(audit(run, "violation"), encoding="utf-8")
    return run


def damaged(at: Path) -> Path:
    run = folder(at)
    (run / "audits.jsonl").write_text(audit(run, "consistent") + "{cut off", encoding="utf-8")
    return run


def changed(at: Path) -> Path:
    run = folder(at)
    text = (run / "recipe.yaml").read_text(encoding="utf-8")
    (run / "recipe.yaml").write_text(text.replace("  epochs: 30", "  epochs: 7"), encoding="utf-8")
    assert "epochs: 7" in (run / "recipe.yaml").read_text(encoding="utf-8")
    return run


def entry_of(command: str, source: Path) -> tuple[object, ...]:
    form = ("--to", "registry") if command == "export" else ("--format", "registry")
    return (command, source, *form, *STATED)


def test_an_entry_of_a_run_is_the_same_by_export_and_by_report(tmp_path: Path, capsys: Captured) -> None:
    run = folder(tmp_path)
    exported, reported = (called(capsys, *entry_of(each, run)) for each in PAGES)
    assert exported == reported
    status, text, _ = exported
    assert status == 0 and "has not run" not in text and "No run of it" not in text
    assert yaml.safe_load(text)["deployment"]["basic"]["name"] == "digits-logistic"


@pytest.mark.parametrize(("made", "status"), [(violated, 1), (changed, 3), (damaged, 3)])
def test_there_is_no_entry_of_a_run_that_must_not_be_claimed(
    made: Any, status: int, tmp_path: Path, capsys: Captured
) -> None:
    run = made(tmp_path)
    exported, reported = (called(capsys, *entry_of(each, run)) for each in PAGES)
    assert exported == reported and exported[0] == status
    assert exported[1].startswith("# No entry: ") and "publish nothing" in exported[2]
    code, text, _ = called(capsys, *entry_of("export", run), "--json")
    document = json.loads(text)
    assert code == status and document["text"].startswith("# No entry: ")
    assert any("publish nothing" in each for each in document["warnings"])


@pytest.mark.parametrize(("made", "status"), [(violated, 1), (changed, 3), (damaged, 3)])
@pytest.mark.parametrize("more", ["--n", "--phases", "--spent"])
def test_nor_is_there_one_whatever_else_is_said_beside_it(
    more: str, made: Any, status: int, tmp_path: Path, capsys: Captured
) -> None:
    run = made(tmp_path)
    named = {"--n": (run, "--n", 1437), "--phases": ("--phases", run), "--spent": ("--spent", run, *FURTHER)}[more]
    code, text, told = called(capsys, "export", *named, "--to", "registry", *STATED)
    assert code == (2 if code == 2 and made is violated else status)  # such a run is refused as a plan, too
    assert "deployment" not in text and told


def test_what_was_computed_is_no_run_on_record(tmp_path: Path, capsys: Captured) -> None:
    computed = tmp_path / "e.json"
    computed.write_text(
        called(capsys, "epsilon", "--sigma", 2, "--q", 0.01, "--steps", 9, "--delta", 1e-6, "--json")[1]
    )
    status, text, _ = called(capsys, "export", "--to", "registry", *STATED, *FURTHER, "--spent", computed)
    assert status == 0 and "No run of it is on record here." in text and "e.json" not in text


def test_an_entry_of_a_run_over_its_budget_says_so(tmp_path: Path, capsys: Captured) -> None:
    status, text, told = called(capsys, *entry_of("export", folder(tmp_path, over)))
    assert status == 0 and "Over its budget" in text and "Over its budget" in told


def test_a_page_that_may_not_be_published_has_no_entry_and_says_why(tmp_path: Path) -> None:
    page = report.gather(violated(tmp_path), dict(each.split("=") for each in STATED[1::2]))
    assert page_verdict.registry_entry(page) == f"# No entry: {report.outcome(page)}\n"
    assert list(page_verdict.warnings(page, Path("run"))) == [f"run: {report.outcome(page)}"]


def test_an_entry_of_a_plan_says_what_is_known_of_its_runs(tmp_path: Path, capsys: Captured) -> None:
    run = folder(tmp_path)
    options = ("export", "--to", "registry", *STATED, *FURTHER)
    notes = [
        yaml.safe_load(called(capsys, *options, *more)[1])["deployment"]["administrative"]["notes"]
        for more in ((), ("--spent", run))
    ]
    assert not any("nothing was released" in each for each in notes)
    assert notes[0].endswith("It is of a plan. No run of it is on record here.")
    assert notes[1].endswith(f"It is of a plan that counts these runs on record: {run.name}.")


@pytest.mark.parametrize("made", [folder, violated, changed, damaged])
def test_a_report_as_json_has_the_standings_of_verify(made: Any, tmp_path: Path, capsys: Captured) -> None:
    run = made(tmp_path)
    page, verified = (json.loads(called(capsys, *each)[1]) for each in (
        ("report", run, "--format", "json"), ("verify", run, "--json"),
    ))  # fmt: skip
    standings = [each["standing"] for each in verified["claims"]]
    assert [each["standing"] for each in page["claims"]] == standings
    assert [each["reasons"] for each in page["claims"]] == [each["reasons"] for each in verified["claims"]]
    assert [page["standing"]] == list(dict.fromkeys(standings))


@pytest.mark.parametrize(
    "call", [("risk",), ("epsilon",), ("delta", "--eps", "3"), ("export", "--to", "dp-accounting"), ("curve",)]
)
def test_what_claims_a_figure_of_a_run_that_an_audit_found_wrong_is_refused(
    call: tuple[str, ...], tmp_path: Path, capsys: Captured
) -> None:
    run = violated(tmp_path)
    named = ("--phases", run) if call[0] == "curve" else (run,)
    status, text, told = called(capsys, *call, *named)
    assert (status, text) == (2, "")
    assert told.count("VIOLATION") == 1 and f"{run}: {VIOLATION}, so no figure of it can be claimed." in told


def test_an_attack_on_such_a_run_is_still_held_against_what_it_claims(tmp_path: Path, capsys: Captured) -> None:
    scores = Path(__file__).parents[2] / "recipes" / "scores.csv"
    status, _, told = called(capsys, "audit", scores, "--against", violated(tmp_path))
    assert status in (0, 1) and VIOLATION in told


@pytest.mark.parametrize(("made", "doubt"), [(changed, OTHER), (damaged, DAMAGED)])
@pytest.mark.parametrize(
    "call",
    [
        ("risk", "RUN"),
        ("epsilon", "RUN"),
        ("epsilon", *FURTHER, "--spent", "RUN"),
        ("curve", "--phases", "RUN"),
        ("check", *FURTHER, "--spent", "RUN"),
        ("export", "RUN", "--to", "dp-accounting"),
    ],
)
def test_what_makes_a_figure_of_a_run_that_verify_does_not_certify_says_so(
    call: tuple[str, ...], made: Any, doubt: str, tmp_path: Path, capsys: Captured
) -> None:
    run = made(tmp_path)
    arguments = [str(run) if each == "RUN" else each for each in call]
    status, _, told = called(capsys, *arguments)
    assert status == 0 and told.count(doubt) == 1 and f"{run}: no claim of it is certified: " in told
    text = called(capsys, *arguments, "--json")[1]
    assert any(doubt in each for each in json.loads(text)["warnings"])


def test_what_an_audit_found_of_a_run_that_was_killed_is_told_too(tmp_path: Path, capsys: Captured) -> None:
    run = violated(tmp_path)
    (run / "report.json").rename(run / "run.json")
    (run / "steps").write_text("3")
    assert VIOLATION in called(capsys, "epsilon", *FURTHER, "--spent", run)[2]
    status, _, told = called(capsys, "epsilon", run)
    assert status == 2 and told.count("VIOLATION") == 1


def test_audits_that_cannot_be_read_are_not_passed_over(tmp_path: Path, capsys: Captured) -> None:
    run = folder(tmp_path)
    (run / "audits.jsonl").mkdir()
    for call in (("epsilon", run), ("verify", run), ("risk", run)):
        assert called(capsys, *call)[0] == 5


def test_a_sound_run_is_told_nothing_of(tmp_path: Path, capsys: Captured) -> None:
    run = folder(tmp_path)
    (run / "audits.jsonl").write_text(audit(run, "consistent"), encoding="utf-8")
    document = checked_run.read(run)
    assert (document.violations, document.unsure, document.warnings, document.over_budget) == ((), (), (), "")
    assert called(capsys, "epsilon", run)[::2] == (0, "")


def test_a_violation_beside_a_line_that_cannot_be_told_counts(tmp_path: Path) -> None:
    run = folder(tmp_path)
    (run / "audits.jsonl").write_text("{\n" + audit(run, "violation") + "[]\n", encoding="utf-8")
    document = checked_run.read(run)
    assert len(document.violations) == 1
    assert len(document.unsure) == 1 and "line 1 is no audit of a recipe, as 1 more are" in document.unsure[0]
    assert {verify.verify(each).standing for each in document.claims} == {verify.Standing.UNCERTAIN}


def test_a_damaged_line_beside_a_sound_run_is_no_certificate(tmp_path: Path, capsys: Captured) -> None:
    status, text, _ = called(capsys, "verify", damaged(tmp_path))
    assert status == 3 and DAMAGED in " ".join(text.split())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("verify", "link.yaml"), "link.yaml: no such file. It is a link that leads nowhere."),
        (("report", "link.json"), "link.json: no such file. It is a link that leads nowhere."),
        (("risk", "digits"), "digits: no such file. `dpplan recipes copy digits` writes"),
        (("report", "scores.csv"), "scores.csv: no such file. `dpplan recipes copy scores.csv` writes"),
        (("verify", "nowhere.json"), "nowhere.json: no such file. Name a report.json, or the folder of a run."),
    ],
)
def test_what_is_not_there_is_told_as_for_every_other_file(
    call: tuple[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("link.yaml", "link.json"):
        (tmp_path / name).symlink_to("gone")
    status, _, told = called(capsys, *call)
    assert status == 2 and said in told
