"""Values out of JSON that anybody may have written, and what runs and figures say of themselves."""

import json
from pathlib import Path

import pytest

from dpplan import accounting
from dpplan.adjacency import ZERO_OUT
from dpplan.checks import Problems
from dpplan.errors import ReportError
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.plan import Phase, Plan, resolve_delta
from dpplan.render import to_json
from dpplan.sampling import BallsInBins, CyclicPoisson, Poisson
from dpplan.verify import allowed_report_values, json_fields
from dpplan.verify.figure_reader import figure
from dpplan.verify.recorded_claim import RecordedClaim
from dpplan.verify.report_reader import read
from dpplan.verify.run_outcome import outcome
from dpplan.verify.unfinished_run import begun_in, cost, steps_begun, unfinished

CERTIFIED = {"lower": 1.0, "upper": 2.0, "estimate": None, "guarantee": "certified", "accountant": "exact"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "holds no object with a schema"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1, "a": 2}', "the key 'a' is given twice"),
        ("{", "is not the JSON of a report: line 1, column 2 is no JSON"),
        ("\n<!doctype html>", "it is a page, and a page is no report.json"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_no_report_is_refused(text: str, told: str) -> None:
    with pytest.raises(ReportError, match=told):
        json_fields.parse(text, "a file")


@pytest.mark.parametrize(
    ("value", "read", "told"),
    [
        (3, 3, []),
        (3.0, 3, []),
        (None, None, ["a.steps is missing."]),
        ("3", None, ['a.steps="3" is not a finite number.']),
        (0, None, ["a.steps=0 is not a whole number of at least 1."]),
        (2**60, None, [f"a.steps={2**60:g} is more than any run takes."]),
    ],
)
def test_a_count_is_read_or_told(value: object, read: int | None, told: list[str]) -> None:
    problems = Problems(ReportError)
    assert json_fields.count(problems, {"steps": value}, "a.steps") == read
    assert [each.partition("=")[0] for each in problems.found] == [each.partition("=")[0] for each in told]


def test_numbers_that_follow_from_others_have_to() -> None:
    problems = Problems(ReportError)
    json_fields.same(problems, "a", 0.5, 0.5, "b")
    json_fields.same(problems, "a", None, 0.5, "b")
    json_fields.same(problems, "a", 0.5, 0.4, "b")
    assert problems.found == ["a=0.5 contradicts b, which is 0.4."]
    assert json_fields.finite(10**400) is None
    assert json_fields.shown("x" * 100).endswith("…")


def test_a_value_is_held_against_its_rule() -> None:
    problems = Problems(ReportError)
    allowed_report_values.check(
        problems, {"name": "noise", "agrees": "yes"}, allowed_report_values.CHECK, "verdict[0]."
    )
    assert len(problems.found) == 1
    assert problems.found[0].startswith('verdict[0].agrees="yes" is not')


@pytest.mark.parametrize(
    ("changes", "value"),
    [({}, 2.0), ({"guarantee": "upper", "lower": None}, 2.0), ({"guarantee": "lower", "upper": None}, None)],
)
def test_a_figure_claims_its_upper_end_and_a_lower_bound_nothing(
    changes: dict[str, object], value: float | None
) -> None:
    problems, plan = Problems(ReportError), Plan.from_rate(4.0, 0.1, 7)
    claims = list(figure(problems, {"epsilon": {**CERTIFIED, **changes}}, "epsilon", "epsilon", 1e-5, plan))
    assert problems.found == []
    assert [claim.value for claim in claims] == ([] if value is None else [value])


def test_a_figure_that_lacks_what_it_promises_is_told() -> None:
    problems = Problems(ReportError)
    list(figure(problems, {"epsilon": {**CERTIFIED, "upper": None}}, "epsilon", "epsilon", 1e-5, None))
    assert problems.found == ["epsilon.upper is null, and guarantee=certified promises one."]


def test_ends_that_exclude_each_other_contradict_the_claim() -> None:
    claim = RecordedClaim("epsilon", "epsilon", 1e-5, 1.0, None, lower=2.0)
    assert claim.contradiction == "epsilon contradicts itself: lower=2 is above upper=1."
    assert RecordedClaim("epsilon", "epsilon", 1e-5, 1.0, None, lower=0.5).contradiction == ""


def test_a_run_that_had_a_seed_claims_nothing_and_one_that_disagreed_is_doubted() -> None:
    seeded = outcome(Problems(ReportError), {"seed": 1, "status": "finished"}, 7, 7)
    assert seeded[0].startswith("the run had a seed")
    wrong = {"verdict": [{"name": "noise", "agrees": False}], "agrees_with_plan": False, "status": "finished"}
    broken, doubts, _ = outcome(Problems(ReportError), wrong, 7, 7)
    assert (broken, doubts) == ("", ("the report itself says that its noise disagreed",))
    problems = Problems(ReportError)
    outcome(problems, {"status": "finished", "agrees_with_plan": True}, 7, 3)
    assert problems.found[0].startswith("spent.steps=3 contradicts status=finished and agrees_with_plan=true")


def test_an_empty_count_is_none_unless_the_run_left_something_else(tmp_path: Path) -> None:
    assert begun_in(tmp_path) == 0
    for makes in (False, True):
        if makes:
            (tmp_path / "steps").touch()
        assert begun_in(tmp_path) == 0  # killed while its count was made
        for name in ("run.json", "checkpoint.pt", "metrics.jsonl", "model.pt"):
            (tmp_path / name).touch()
            assert begun_in(tmp_path) is None  # such a run had a count
            (tmp_path / name).unlink()
    (tmp_path / "steps").write_text("7", encoding="utf-8")
    (tmp_path / "metrics.jsonl").write_text('{"counted": 9}\n{"counted": 1e30}\n{"cou', encoding="utf-8")
    assert begun_in(tmp_path) == 9
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    assert begun_in(tmp_path) == 7


def test_a_folder_without_a_report_tells_what_was_spent(tmp_path: Path) -> None:
    assert "it holds no report.json" in unfinished(tmp_path)
    (tmp_path / "steps").write_text("7", encoding="utf-8")
    assert cost(tmp_path, None) == "How many of its steps are spent, nobody can tell."
    assert unfinished(tmp_path).endswith("7 steps are counted, and are spent.")
    phase = {"noise_multiplier": 4.0, "sample_rate": 0.1, "delta": 1e-5, "steps": 100}
    (tmp_path / "run.json").write_text(json.dumps({"planned": phase}), encoding="utf-8")
    assert "7 steps are counted, ε ≤ " in unfinished(tmp_path)
    asked = f"`dpplan epsilon {tmp_path}` counts all that was planned, and takes no step."
    assert unfinished(tmp_path).endswith(asked)
    (tmp_path / "checkpoint.pt").touch()
    told = unfinished(tmp_path)
    with pytest.raises(ReportError) as named:
        read(tmp_path / "report.json")
    assert str(named.value) == told
    assert "spent if nothing that was seen decided when to stop; otherwise the planned ε ≤ " in told
    assert "7 steps are counted, ε ≤ " in told and asked in told
    assert f"`dpplan train --resume {tmp_path}` goes on with it, spends more," in told
    for text in ("", "0", "101", "abc", "-3", "1_0"):  # `epsilon` refuses it, or counts more than was planned
        (tmp_path / "steps").write_text(text, encoding="utf-8")
        assert "dpplan epsilon" not in unfinished(tmp_path)
        assert ("--resume" in unfinished(tmp_path)) is (text != "" and steps_begun(text.encode()) is not None)
    (tmp_path / "steps").write_text("7", encoding="utf-8")
    (tmp_path / "run.json").write_text(json.dumps({"planned": phase | {"delta": 7}}), encoding="utf-8")
    assert "dpplan epsilon" not in unfinished(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"planned": phase, "seeded": True}), encoding="utf-8")
    assert "no ε may be claimed of it" in unfinished(tmp_path) and "epsilon" not in unfinished(tmp_path)
    (tmp_path / "steps").unlink()
    (tmp_path / "run.json").write_text(json.dumps({"planned": phase}), encoding="utf-8")
    planned = "the 100 planned at most, unless a copy of the folder went on."
    assert unfinished(tmp_path).endswith(f"How many of its steps are spent, nobody can tell: {planned}")
    (tmp_path / "metrics.jsonl").write_text('{"counted": 62}', encoding="utf-8")
    assert unfinished(tmp_path).endswith(f"nobody can tell: 62 or more are, and {planned}")
    (tmp_path / "metrics.jsonl").write_text('{"counted": 101}', encoding="utf-8")  # more than one folder plans
    assert unfinished(tmp_path).endswith("nobody can tell: 101 or more are.")


def test_a_count_of_steps_is_decimal_digits_and_nothing_else() -> None:
    for said, count in ((b"", 0), (b"0", 0), (b"%020d\n" % 42, 42), (b" 7 ", 7)):
        assert steps_begun(said) == count
    for said in (b" ", b"abc", b"-3", b"+3", b"1_0", b"1 0", b"1.0", "٣".encode(), b"9" * 50, b"0" * 5000 + b"1"):
        assert steps_begun(said) is None


@pytest.mark.parametrize(
    "sampling",
    [
        CyclicPoisson(0.5, 3, "own"),
        *(pytest.param(each, marks=pytest.mark.slow) for each in (BallsInBins(10, "same"), Poisson(0.1))),
    ],
    ids=repr,
)
def test_an_answer_about_a_search_is_read_whatever_its_trials_draw(sampling: object, tmp_path: Path) -> None:
    run = Phase(Gaussian(2.0), sampling, 3)  # type: ignore[arg-type]
    plan = Plan((Phase(BestOfTrials("geometric", 2.0, (run,)), Poisson(1.0), 1), run), ZERO_OUT)
    spent = to_json.spent_epsilon(resolve_delta(1e-5, None), accounting.epsilon(plan, 1e-5))
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(to_json.document("epsilon", plan, [spent], [])), encoding="utf-8")
    (claim,) = read(file).claims
    assert claim.plan is not None and claim.plan.phases == plan.phases
