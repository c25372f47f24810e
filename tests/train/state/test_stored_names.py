"""What a run leaves on disk keeps its names, whatever the code calls its parts: a run goes on under a later version."""

import json
from pathlib import Path
from typing import Any

import torch
from small_recipe import small
from whole_runs import interrupted

from dpplan.train.data import load
from dpplan.train.state.report import TrainReport

CHECKPOINT = "name basis seed steps counted epochs trainer generators lineage schema"
TRAINER = "model optimization clip_norm steps"
GENERATORS = "sampling noise weights views torch"
RUN = "id resumes elsewhere_steps user_record_missing not_seen"
METRICS = "epoch step counted epsilon over_budget not_covered_by_epsilon"
SEEN = "loss accuracy drawn dropped clipped"
PLAN = "schema recipe seeded seed seed_note assumptions planned device processes software"
PLANNED = (
    "noise_multiplier clip_norm sample_rate steps examples batch_size derivation delta delta_reason target_epsilon "
    "max_epsilon over_budget epsilon"
)
REPORT = (
    f"{PLAN} status message spent agrees_with_plan verdict not_covered_by_epsilon engine isolation isolation_why "
    "arithmetic folder run seconds"
)
NOT_COVERED = (
    "why verdict verdict_level held_out_accuracy nonprivate_accuracy evaluation empty_batches dropped clipped epochs"
)


def begun(folder: Path) -> TrainReport:
    """A seeded run that was interrupted in its second epoch."""
    examples = load(small().data).training.examples
    return interrupted(folder, small(training_batch_size=examples / 2), at=3, seed=1)


def content(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def missing(names: str, stored: dict[str, Any]) -> set[str]:
    """A later version may add names. It may not take one away."""
    return set(names.split()) - stored.keys()


def test_files_of_a_run_that_can_go_on(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    names = {"checkpoint.pt", "metrics.jsonl", "model.pt", "recipe.yaml", "report.json", "run.json", "steps"}
    assert {file.name for file in (tmp_path / "run").iterdir()} == names
    assert (tmp_path / "run" / "steps").read_bytes() == b"%020d\n" % 3


def test_names_in_a_checkpoint(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    stored = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert list(stored) == CHECKPOINT.split()
    assert stored["schema"] == "dpplan.checkpoint/3"
    assert list(stored["trainer"]) == TRAINER.split()
    assert [list(each) for each in stored["generators"]] == [GENERATORS.split()]
    assert list(stored["lineage"]) == ["id", "resumes"]


def test_names_in_run_report_and_metrics(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    run, report = (content(tmp_path / "run" / name) for name in ("run.json", "report.json"))
    assert missing(f"{PLAN} run steps_file", run) == set()
    assert (run["schema"], report["schema"]) == ("dpplan.run/1", "dpplan.train/1")
    assert missing(REPORT, report) == set()
    assert missing(PLANNED, report["planned"]) == set()
    assert missing(RUN, report["run"]) == set()
    assert missing(NOT_COVERED, report["not_covered_by_epsilon"]) == set()
    assert [each["name"] for each in report["verdict"]] == ["steps", "denominator", "epsilon"]
    assert [missing("name planned realised agrees", each) for each in report["verdict"]] == [set()] * 3
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert missing(METRICS, line) == set()
    assert missing(SEEN, line["not_covered_by_epsilon"]) == set()
