"""What is read from a folder of runs."""

import json
from pathlib import Path
from typing import Any

from dpplan import lint
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import Poisson


def report(folder: Path, source: str = "file", path: str | None = "mine.csv", steps: int = 7, **more: Any) -> None:
    folder.mkdir(parents=True)
    content = {
        "schema": "dpplan.train/1",
        "recipe": {"sha256": "abc", "data": {"source": source, "path": path}},
        "planned": {"noise_multiplier": 2.0, "sample_rate": 0.25, "steps": 10},
        "spent": {"steps": steps},
    } | more
    (folder / "report.json").write_text(json.dumps(content), encoding="utf-8")


def test_runs_on_the_same_examples_are_found_in_order_with_the_steps_they_took(tmp_path: Path) -> None:
    report(tmp_path / "mine-002")
    report(tmp_path / "mine-001", steps=0)
    phase = Phase(Gaussian(2.0), Poisson(0.25), 7)
    assert lint.runs_in(tmp_path, "file", "mine.csv") == (
        lint.Earlier("mine-001", None, "abc"),
        lint.Earlier("mine-002", phase, "abc"),
    )


def test_runs_on_other_examples_are_passed_over(tmp_path: Path) -> None:
    report(tmp_path / "a", source="images")
    report(tmp_path / "b", path="other.csv")
    report(tmp_path / "c", path=None)
    assert lint.runs_in(tmp_path, "file", "mine.csv") == ()


def test_one_path_written_in_two_ways_is_one_path(tmp_path: Path) -> None:
    report(tmp_path / "a", path="folder/../mine.csv")
    assert len(lint.runs_in(tmp_path, "file", "mine.csv")) == 1


def test_what_is_no_report_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, text in {"broken": "{", "list": "[1]", "other": '{"schema": "x"}', "none": "null"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(text, encoding="utf-8")
    report(tmp_path / "foreign", schema="other.tool/1")
    report(tmp_path / "impossible", planned={"noise_multiplier": -1, "sample_rate": 0.25})
    report(tmp_path / "partial", planned={})
    assert lint.runs_in(tmp_path, "file", "mine.csv") == ()
    assert lint.runs_in(tmp_path / "nowhere", "file", "mine.csv") == ()
