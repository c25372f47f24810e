"""A page takes the judgement of dpplan verify: what does not stand is on it, and no figure in its place."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dpplan import report, verify
from dpplan.commands import report as report_command
from dpplan.commands import verify as verify_command
from dpplan.errors import PlanError, ReportError
from dpplan.recipe import load, recorded
from dpplan.report import page_standing
from dpplan.verify import Standing

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "data" / "run-report.json"
RECIPE = ROOT / "recipes" / "digits-logistic.yaml"
DISAGREED = "The run did not do what the plan said."


def folder(at: Path, change: Callable[[Any], object] = lambda _: None, recipe: tuple[str, str] = ("", "")) -> Path:
    content = json.loads(RUN.read_text(encoding="utf-8"))
    change(content)
    (at / "report.json").write_text(json.dumps(content), encoding="utf-8")
    (at / "recipe.yaml").write_text(RECIPE.read_text(encoding="utf-8").replace(*recipe), encoding="utf-8")
    return at


def more_steps(content: Any) -> None:
    content["spent"]["steps"] = 900
    content["agrees_with_plan"] = False


def lowered(content: Any) -> None:
    content["spent"]["epsilon"] |= {"lower": 1.9, "upper": 2}


def called(command: Any, *arguments: str) -> Result:
    # A command keeps the names of its help option from the first context that it is given.
    return CliRunner().invoke(command, list(arguments), standalone_mode=True, help_option_names=["-h", "--help"])


def forms(page: report.Page) -> tuple[str, str]:
    return report.html(page), report.markdown(page)


@pytest.mark.sweep(slow=("lowered",))
@pytest.mark.parametrize(
    ("change", "old", "code"),
    [
        (lambda _: None, "", 0),
        pytest.param(more_steps, "", 1, marks=pytest.mark.slow),
        (lowered, "", 1),
        (lambda _: None, "0.5 ", 3),
    ],
    ids=["as it was", "more steps", "lowered", "another recipe"],
)
def test_report_ends_as_verify_does(tmp_path: Path, change: Callable[[Any], object], old: str, code: int) -> None:
    run = str(folder(tmp_path, change, (old, "0.7 ") if old else ("", "")))
    for form in ("md", "json"):
        done = called(report_command.command, run, "--format", form)
        assert done.exit_code == code
        assert ("dpplan verify" in " ".join(done.stderr.split())) == (code > 0)
    assert called(verify_command.command, run).exit_code == code


def test_a_run_that_took_other_steps_is_certified_on_no_page(tmp_path: Path) -> None:
    page = report.gather(folder(tmp_path, more_steps), {})
    assert page.standing is Standing.REFUTED
    for text in forms(page):
        assert DISAGREED in text
        assert "Certified" not in text
        assert "Not to be published" in text
        assert "took 900 steps of 85" in text
    assert DISAGREED in report.document(page)["paragraph"]
    assert "dp_epsilon" not in report.markdown(page)


def test_every_claim_is_shown_with_what_came_of_it(tmp_path: Path) -> None:
    page = report.gather(folder(tmp_path, lowered), {})
    assert [str(each.standing) for each in page.verdicts] == ["refuted", "stands"]
    (below,) = (each for each in page_standing.reasons(page) if "is below what is proven" in each)
    least, bound = below.rpartition(" ")[2].removesuffix("."), page.verdicts[0].bound
    assert bound is not None and bound.lower is not None
    assert 2 < float(least) <= bound.lower and len(least) <= 8, "rounded down, and not spelt out to the last digit"
    for text in forms(page):
        assert "ε ≤ 2 at δ = 1e-05: refuted" in text
        assert "ε ≤ 3.65131 at δ = 1e-05: stands" in text
        assert "1 stands, 1 refuted" in text
    assert [each["standing"] for each in report.document(page)["claims"]] == ["refuted", "stands"]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("learning_rate: 0.5 ", "learning_rate: 5 ", "training.learning_rate is 5 in the file and 0.5 in the report"),
        ("noise_multiplier: 4 ", "target_epsilon: 8 ", "privacy.target_epsilon is 8 in the file and not given"),
        ("privacy:", "privacy: [", "is not the recipe that ran, or was damaged"),
    ],
)
def test_a_recipe_that_was_edited_is_told_and_not_printed(tmp_path: Path, old: str, new: str, said: str) -> None:
    run = folder(tmp_path, recipe=(old, new))
    found = recorded.checked(verify.read(run))
    assert said in found.warnings[0]
    assert {verify.verify(each).standing for each in found.claims} == {Standing.UNCERTAIN}
    page = report.gather(run, {})
    assert page.recipe == ""
    for text in forms(page):
        assert new not in text
        assert "is not the one that ran" in text.replace("&#39;", "'")


@pytest.mark.parametrize(("old", "new"), [("# Expect", "# Edited"), ("nonprivate: true", "nonprivate: false")])
def test_what_is_not_run_may_differ(tmp_path: Path, old: str, new: str) -> None:
    assert recorded.checked(verify.read(folder(tmp_path, recipe=(old, new)))).recipe_ran


@pytest.mark.slow
def test_both_hashes_of_a_recipe_are_named(tmp_path: Path) -> None:
    page = report.gather(folder(tmp_path), {})
    file = hashlib.sha256((tmp_path / "recipe.yaml").read_bytes()).hexdigest()
    for text in (*forms(page), *forms(report.of_recipe(load(RECIPE), 1437, {}))):
        assert f"sha256 of its file {file}" in text
        assert f"sha256 {load(RECIPE).sha256} of its canonical form" in text
    assert report.document(page)["recipe"]["file_sha256"] == file


@pytest.mark.parametrize(
    ("form", "name", "said"),
    [
        (None, "page.pdf", "print it from a browser"),
        ("html", "page.pdf", "print it from a browser"),
        (None, "page.txt", ".txt is not one of"),
        ("md", "page.html", "ends as html"),
    ],
)
def test_an_ending_that_contradicts_is_refused(form: str | None, name: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        report_command._form(form, Path(name))


def test_a_name_without_an_ending_gets_html() -> None:
    assert report_command._form(None, Path("page")) == "html"
    assert report_command._form("md", Path("page")) == report_command._form("md", Path("page.txt")) == "md"


def test_a_report_that_counts_less_than_its_folder_is_not_certified(tmp_path: Path) -> None:
    def fewer(content: Any) -> None:
        content["planned"]["steps"] = content["spent"]["steps"] = 80

    run = folder(tmp_path, fewer)
    (run / "metrics.jsonl").write_text('{"counted": 85}\n', encoding="utf-8")
    done = called(verify_command.command, str(run))
    assert done.exit_code == 3
    assert any(line.split()[:1] == ["warning"] for line in done.stdout.splitlines())


@pytest.mark.parametrize("text", ["privacy: {}", "a,b\n1,2\n", "", "[1]"])
def test_a_file_of_another_kind_is_told_what_may_be_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "wrong"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ReportError) as refusal:
        report.gather(file, {})
    said = str(refusal.value)
    assert "Expecting value" not in said
    assert "Name the folder of a run" in said
    assert "a recipe or a plan file" in said
