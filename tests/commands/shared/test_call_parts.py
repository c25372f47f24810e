"""What is said of a call that click refuses, in words and as JSON; where CSV goes; what a record of a run is."""

import json
from pathlib import Path

import click
import pytest

from dpplan.commands.shared.call_errors import sentence
from dpplan.commands.shared.csv_option import problems, write
from dpplan.commands.shared.json_error import document, one_call, wanted
from dpplan.commands.shared.recorded_runs import is_record
from dpplan.errors import PlanError


def test_an_error_as_json_names_command_code_and_problems() -> None:
    found = json.loads(document(["epsilon", "--json"], 2, "sigma is missing", PlanError(["sigma is missing"])))
    assert found["schema"] == "dpplan.epsilon/1"
    assert (found["error"]["code"], found["error"]["problems"]) == (2, ["sigma is missing"])
    with one_call():
        assert wanted(["epsilon", "--json"])
        assert not wanted(["epsilon"])


@pytest.mark.parametrize(
    ("options", "on_screen"),
    [
        (["--format", "json"], True),
        (["--format=JSON"], True),
        (["--format", "md"], False),
        (["--format", "json", "-o", "page.json"], False),
        (["--format", "json", "--output=page.json"], False),
    ],
)
def test_a_report_in_json_that_fails_is_told_in_json(options: list[str], on_screen: bool) -> None:
    with one_call():
        assert wanted(["report", "runs/none", *options]) == on_screen
        assert not wanted(["verify", "runs/none", *options])


def test_csv_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("-"), "a,b\n")
    assert capsys.readouterr().out == "a,b\n"
    write(tmp_path / "x.csv", "a,b\n")
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == "a,b\n"
    assert problems(tmp_path / "y.csv", False) == ()
    assert "is there, and was left alone" in problems(tmp_path / "x.csv", False)[0]
    assert problems(Path("-"), True) != ()


def test_click_s_own_refusals_are_sentences() -> None:
    said = sentence(click.UsageError("Got unexpected extra argument (x)"), ["epsilon", "x"])
    assert said
    assert not said.startswith("Got")


def test_a_file_of_phases_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "phases.csv"
    file.write_text("sigma,q,steps\n1,.1,10\n", encoding="utf-8")
    assert not is_record(file)
