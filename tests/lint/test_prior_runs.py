"""What is read from a folder of runs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dpplan import lint
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson
from dpplan.verify.early_end import early_end


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
    report(tmp_path / "mine-001", steps=10)
    phase, early = Phase(Gaussian(2.0), Poisson(0.25), 10), early_end(7, 10, None)  # counted with all it planned
    assert lint.runs_in(tmp_path, "file", "mine.csv") == (
        lint.PriorRun("mine-001", phase, "abc"),
        lint.PriorRun("mine-002", phase, "abc", early=early),
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


def run_json(folder: Path, steps: int) -> None:
    """What a run leaves that was killed."""
    report(folder, schema="dpplan.run/1", spent={})
    (folder / "report.json").rename(folder / "run.json")
    (folder / "steps").write_bytes(b"%020d\n" % steps)


def test_a_run_that_was_killed_counts_with_its_plan_and_by_the_steps_it_began(tmp_path: Path) -> None:
    run_json(tmp_path / "killed", 5)
    run_json(tmp_path / "killed-at-once", 0)
    report(tmp_path / "resumed-and-killed", steps=3)
    (tmp_path / "resumed-and-killed" / "steps").write_bytes(b"%020d\n" % 6)
    run_json(tmp_path / "damaged", 4)
    (tmp_path / "damaged" / "report.json").write_text("{", encoding="utf-8")
    found = {run.name: (run.begun, run.steps) for run in lint.runs_in(tmp_path, "file", "mine.csv")}
    assert found == {"damaged": (4, 10), "killed": (5, 10), "resumed-and-killed": (6, 10)}  # and not the other one


def test_a_run_that_took_no_step_is_none_and_one_whose_steps_are_not_told_counts_whole(tmp_path: Path) -> None:
    report(tmp_path / "told", steps=0)
    for name, spent in {"untold": {}, "counted": {}, "counted-none": {}}.items():
        report(tmp_path / name, spent=spent)
    (tmp_path / "counted" / "steps").write_text("4", encoding="utf-8")
    (tmp_path / "counted-none" / "steps").write_text("0", encoding="utf-8")
    found = {run.name: run.steps for run in lint.runs_in(tmp_path, "file", "mine.csv")}
    assert found == {"untold": 10, "counted": 10}


def test_of_a_count_that_cannot_be_read_all_planned_steps_count(tmp_path: Path) -> None:
    for number, text in enumerate(("1_0", "abc", "-3", " ")):
        run_json(tmp_path / f"{number}", 0)
        (tmp_path / f"{number}" / "steps").write_text(text, encoding="utf-8")
    run_json(tmp_path / "gone", 0)
    (tmp_path / "gone" / "steps").unlink()
    run_json(tmp_path / "none", 0)
    run_json(tmp_path / "emptied", 0)
    (tmp_path / "emptied" / "steps").write_bytes(b"")
    report(tmp_path / "reported", steps=3)
    (tmp_path / "reported" / "steps").write_text("1_2", encoding="utf-8")
    found = {run.name: run.steps for run in lint.runs_in(tmp_path, "file", "mine.csv")}
    assert found == {"0": 10, "1": 10, "2": 10, "3": 10, "emptied": 10, "gone": 10, "reported": 10}
    for name in ("whole", "copy"):
        report(tmp_path / name, steps=12, run=ids(), status="stopped")
    for text, copy in (("12", True), ("1_2", False), ("-3", False), ("", False)):
        (tmp_path / "copy" / "steps").write_text(text, encoding="utf-8")
        assert lint.unchanged_copy(tmp_path / "copy", tmp_path / "whole") is copy


def test_a_count_that_was_emptied_or_taken_away_does_not_hide_what_was_spent(tmp_path: Path) -> None:
    def found() -> dict[str, int]:
        return {run.name: run.steps for run in lint.runs_in(tmp_path, "file", "mine.csv")}

    run_json(tmp_path / "emptied", 0)
    assert found() == {}  # killed before its first step
    (tmp_path / "emptied" / "steps").write_bytes(b"")
    report(tmp_path / "reported", steps=0, status="interrupted")
    assert found() == {"emptied": 10}
    run_json(tmp_path / "gone", 0)
    (tmp_path / "gone" / "run.json").rename(tmp_path / "reported" / "run.json")
    assert found() == {"emptied": 10}  # killed while it took away what only a run needs that goes on
    (tmp_path / "reported" / "checkpoint.pt").touch()  # which is taken away first
    assert found() == {"emptied": 10, "reported": 10}
    (tmp_path / "reported" / "steps").write_bytes(b"")
    assert found() == {"emptied": 10, "reported": 10}
    (tmp_path / "reported" / "steps").write_bytes(b"0")
    assert found() == {"emptied": 10}
    for name, steps in {"altered": -5, "worded": "0"}.items():
        report(tmp_path / name, spent={"steps": steps})
    assert found() == {"altered": 10, "emptied": 10, "worded": 10}
    (tmp_path / "worded" / "report.json").unlink()
    report(tmp_path / "behind", steps=0)
    (tmp_path / "behind" / "metrics.jsonl").write_text('{"counted": 12}\n', encoding="utf-8")
    (tmp_path / "emptied" / "metrics.jsonl").write_text('{"counted": 13}\n', encoding="utf-8")
    assert found() == {"altered": 10, "behind": 12, "emptied": 13}


def ids(*resumes: tuple[str, int]) -> dict[str, Any]:
    return {"id": "a", "resumes": [{"id": name, "counted": counted} for name, counted in resumes]}


def test_an_older_copy_of_a_run_counts_once_and_two_that_went_on_count_twice(tmp_path: Path) -> None:
    report(tmp_path / "1-first", steps=3, run=ids())
    report(tmp_path / "2-whole", steps=7, run=ids(("x", 3)))
    report(tmp_path / "3-copy", steps=7, run=ids(("x", 3)))
    report(tmp_path / "4-older", steps=5, run=ids(("x", 3)))
    assert [run.name for run in lint.runs_in(tmp_path, "file", "mine.csv")] == ["2-whole"]
    report(tmp_path / "5-other", steps=6, run=ids(("y", 3)))
    report(tmp_path / "6-beyond", steps=4, run=ids())  # one step more than the others knew of when they went on
    names = [run.name for run in lint.runs_in(tmp_path, "file", "mine.csv")]
    assert names == ["2-whole", "5-other", "6-beyond"]
    report(tmp_path / "7-foreign", steps=4, run={"id": "b", "resumes": []})
    assert len(lint.runs_in(tmp_path, "file", "mine.csv")) == 4


def test_of_equal_copies_the_oldest_is_named(tmp_path: Path) -> None:
    for name, seconds in {"backup": 30, "mine-001": 10, "other": 20}.items():
        report(tmp_path / name, run=ids())
        os.utime(tmp_path / name / "report.json", (seconds, seconds))
    assert [run.name for run in lint.runs_in(tmp_path, "file", "mine.csv")] == ["mine-001"]


def test_two_copies_that_went_on_by_as_many_steps_and_were_killed_count_twice(tmp_path: Path) -> None:
    """Their reports are those of the run before it went on, and run.json tells them apart."""
    for name in ("mine-001", "copy"):
        report(tmp_path / name, steps=3, run=ids())
        (tmp_path / name / "steps").write_text("5", encoding="utf-8")
        (tmp_path / name / "run.json").write_text(json.dumps({"run": ids((name, 3))}), encoding="utf-8")
    assert [run.name for run in lint.runs_in(tmp_path, "file", "mine.csv")] == ["copy", "mine-001"]
    (tmp_path / "copy" / "steps").write_text("3", encoding="utf-8")  # set back: it went on all the same
    assert not lint.unchanged_copy(tmp_path / "copy", tmp_path / "mine-001")


def test_reports_that_hold_anything_at_all_are_passed_over(tmp_path: Path) -> None:
    for number, more in enumerate(
        [{"run": 3}, {"run": {}}, {"run": {"id": "a", "resumes": [3]}}, {"spent": 3},
         {"recipe": []}, {"recipe": {"data": "x"}}, {"planned": 3}, {"planned": {"noise_multiplier": "x"}}]
    ):  # fmt: skip
        report(tmp_path / str(number), **more)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "report.json").write_text("[" * 100_000, encoding="utf-8")
    assert lint.runs_in(tmp_path, "file", "mine.csv") == ()


OWN = Plan((Phase(Gaussian(2.0), Poisson(0.25), 10),))


def own(file: Path, sha256: str = "abc", plan: Plan | None = OWN) -> str | None:
    folder = file.parents[1]
    found = lint.run_of_recipe(file, sha256, plan, folder, lint.runs_in(folder, "file", "mine.csv"))
    return None if found is None else found.name


@pytest.mark.parametrize("steps", [1, 7, 10])
def test_the_recipe_in_the_folder_of_a_run_is_of_that_run_alone(tmp_path: Path, steps: int) -> None:
    report(tmp_path / "mine-001", steps=steps)
    report(tmp_path / "mine-002")
    assert own(tmp_path / "mine-001" / "recipe.yaml") == "mine-001"
    assert own(tmp_path / "mine-002" / "recipe.yaml") == "mine-002"


def test_in_doubt_a_run_is_another_one(tmp_path: Path) -> None:
    report(tmp_path / "mine-001")
    report(tmp_path / "longer", steps=11)
    report(
        tmp_path / "users", planned={"noise_multiplier": 2.0, "sample_rate": 0.25, "steps": 10, "privacy_unit": "user"}
    )
    report(tmp_path / "louder", planned={"noise_multiplier": 1.0, "sample_rate": 0.25, "steps": 10})
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "mine-001" / "recipe.yaml"
    assert own(file) == "mine-001"
    assert own(file, sha256="changed since") is None
    assert own(file, plan=None) is own(file, plan=Plan((*OWN.phases, *OWN.phases))) is None
    for other in ("mine-001/mine.yaml", "longer/recipe.yaml", "users/recipe.yaml", "louder/recipe.yaml",
                  "elsewhere/recipe.yaml"):  # fmt: skip
        assert own(tmp_path / other) is None
