"""What is read from reports that may be old, cut, garbage or altered: every claim, or a clear refusal."""

import contextlib
import io
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reports import DELTA, PLAN, STEPS, altered, printed, report, saved

from dpplan import verify
from dpplan.errors import ReportError
from dpplan.verify import report_reader


def problems(folder: Path, content: Any) -> tuple[str, ...]:
    with pytest.raises(ReportError) as caught:
        verify.read(saved(folder, content))
    return caught.value.problems


def test_a_report_holds_what_was_spent_and_what_was_planned(tmp_path: Path) -> None:
    document = verify.read(saved(tmp_path, report()))
    assert [(claim.name, claim.at, claim.plan) for claim in document.claims] == [
        ("spent", DELTA, document.claims[0].plan),
        ("planned", DELTA, document.claims[0].plan),
    ]
    assert document.claims[0].plan is not None
    assert document.claims[0].plan.phases == PLAN.phases
    assert (document.schema, document.version, document.remarks) == ("dpplan.train/1", "0.0.9", ())


def test_a_folder_and_the_report_in_it_are_the_same(tmp_path: Path) -> None:
    file = saved(tmp_path, report())
    assert verify.read(tmp_path) == verify.read(file)


def test_the_steps_that_were_really_taken_are_accounted(tmp_path: Path) -> None:
    early = {"status": "interrupted", "verdict": []}
    spent, planned = verify.read(saved(tmp_path, report(spent__steps=40, **early))).claims
    assert (spent.plan.steps, planned.plan.steps) == (40, STEPS)  # type: ignore[union-attr]
    spent, planned = verify.read(saved(tmp_path, report(spent__steps=140))).claims
    assert (spent.plan.steps, planned.plan.steps) == (140, 140)  # type: ignore[union-attr]
    spent, _ = verify.read(saved(tmp_path, report(spent__steps=0, **early))).claims
    assert spent.plan is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("steps", f"{STEPS + 20:020}\n"),
        ("metrics.jsonl", f'{{"counted": 7}}\n{{"counted": {STEPS + 20}}}\nnonsense\n{{"counted": "x"}}\n{{"cou'),
    ],
)
def test_a_count_beside_the_report_that_knows_of_more_steps_is_what_counts(
    tmp_path: Path, name: str, text: str
) -> None:
    file = saved(tmp_path, report())
    saved(tmp_path, text, name)
    for path in (file, tmp_path):
        document = verify.read(path)
        assert {claim.plan.steps for claim in document.claims if claim.plan} == {STEPS + 20}
        assert f"counts {STEPS + 20} steps, and the report only {STEPS}" in document.warnings[0]
    other = file.rename(tmp_path / "copy.json")
    assert {claim.plan.steps for claim in verify.read(other).claims if claim.plan} == {STEPS}


def test_a_count_that_is_garbage_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, report())
    for text in ("", "many\n", "-5\n", "9" * 30, "١٢"):
        saved(tmp_path, text, "steps")
        with pytest.raises(ReportError, match="does not hold a count of steps"):
            verify.read(tmp_path)


def test_a_count_that_is_gone_from_a_run_that_goes_on_is_refused(tmp_path: Path) -> None:
    for status in ("finished", "interrupted"):
        saved(tmp_path, report(status=status))
        assert verify.read(tmp_path).claims  # a copy of the report alone
        saved(tmp_path, report(spent=..., status=...), "run.json")
        assert verify.read(tmp_path).claims  # killed while it took away what only a run needs that goes on
        saved(tmp_path, "x", "checkpoint.pt")  # which is taken away first
        with pytest.raises(ReportError, match="steps: is gone, so nobody knows how many steps were taken"):
            verify.read(tmp_path)
        (tmp_path / "checkpoint.pt").unlink()


def test_a_report_of_a_version_that_wrote_fewer_keys_is_read(tmp_path: Path) -> None:
    optional = ("examples", "batch_size", "clip_norm")
    content = report(software=..., verdict=..., recipe=..., seed=..., **{f"planned__{key}": ... for key in optional})
    assert len(verify.read(saved(tmp_path, content)).claims) == 2


def test_a_run_that_says_it_did_not_do_as_planned_is_remarked_on(tmp_path: Path) -> None:
    early = {"status": "stopped", "message": "no loss", "agrees_with_plan": False, "verdict": [], "spent__steps": 40}
    ended = verify.read(saved(tmp_path, report(**early)))
    assert (
        ended.remarks == () and ended.ending == "the report says that the run was stopped (no loss): 40 of 100 steps."
    )
    document = verify.read(saved(tmp_path, report(agrees_with_plan=False)))
    assert "did not do as planned" in document.remarks[0]
    assert all("did not agree" in claim.doubts[0] for claim in document.claims)
    doubted = verify.read(saved(tmp_path, report(spent__holds=False))).claims[0].doubts
    assert doubted == ("the report itself says that what it spent does not hold",)


def test_a_dry_run_has_only_a_plan(tmp_path: Path) -> None:
    content = report(status=..., spent=..., verdict=..., not_covered_by_epsilon=...)
    assert [claim.name for claim in verify.read(saved(tmp_path, content)).claims] == ["planned"]


def test_json_of_the_planning_commands_is_read(tmp_path: Path) -> None:
    (claim,) = verify.read(saved(tmp_path, printed())).claims
    assert (claim.name, claim.quantity, claim.at, claim.accountant) == ("results[0]", "epsilon", DELTA, "exact")
    (claim,) = verify.read(saved(tmp_path, printed("delta"))).claims
    assert (claim.quantity, claim.at) == ("delta", 0.5)
    several = printed()
    several["results"] *= 3
    before = altered(several, spent_before={"phases": 1, "results": several["results"][:1]})
    assert [claim.name for claim in verify.read(saved(tmp_path, before)).claims] == [
        "results[0]", "results[1]", "results[2]", "spent_before.results[0]",
    ]  # fmt: skip


def test_refusals_and_lower_bounds_claim_nothing(tmp_path: Path) -> None:
    content = printed()
    (result,) = content["results"]
    figure = result["epsilon"]
    content["results"] += [
        {"accountant": "zcdp", "delta": DELTA, "epsilon": None, "refusal": "zcdp: refuses"},
        {**result, "epsilon": {**figure, "guarantee": "lower", "upper": None}},
    ]
    assert len(verify.read(saved(tmp_path, content)).claims) == 1
    content["results"] = content["results"][1:]
    assert "holds no figure that claims anything" in problems(tmp_path, content)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not the JSON of a report"),
        ("{", "is not the JSON of a report"),
        ("[1, 2]", "it holds no object with a schema"),
        ("null", "it holds no object with a schema"),
        ("{}", "is no report of dpplan: schema=null"),
        ('{"schema": 7}', "is no report of dpplan: schema=7"),
        ('{"schema": "dpplan.train/2"}', "is not known to this version of dpplan"),
        ('{"schema": "dpplan.curve/1"}', "has no plan beside each figure"),
        ('{"schema": "dpplan.verify/1"}', "has no plan beside each figure"),
        ('{"schema": "dpplan.train/1", "schema": "x"}', "the key 'schema' is given twice"),
        ('{"schema": "dpplan.train/1", "planned": NaN}', "NaN is not a number"),
        ('{"schema": "dpplan.train/1", "planned": -Infinity}', "-Infinity is not a number"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"schema": ' + "9" * 5000 + "}", "is n"),
    ],
)
def test_what_is_no_report_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert said in problem
    assert len(problem) < 400


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(ReportError, match="is not text"):
        verify.read(tmp_path / "report.json")


BAD = [
    ({"planned__noise_multiplier": value}, "planned.noise_multiplier")
    for value in ("x", True, -1, 0, 10**400, [], {}, ...)
]
BAD += [({"planned__sample_rate": value}, "planned.sample_rate") for value in ("0.1", -0.1, 1.5, 0, ...)]
BAD += [({"planned__steps": value}, "planned.steps") for value in (0, -5, 1.5, 2**60, 10**400, "many", ...)]
BAD += [({"spent__steps": value}, "spent.steps") for value in (-5, 1.5, 2**60, True, None, ...)]
BAD += [({"planned__delta": value}, "planned.delta") for value in (0, 1, 1.5, -1e-5, "tiny", None, ...)]
BAD += [({"spent__epsilon__upper": value}, "spent.epsilon.upper") for value in ("1", -1, False, 10**400, [1], ...)]
BAD += [({"spent__epsilon": value}, "spent.epsilon") for value in (1.5, None, [], ...)]
BAD += [({"spent__epsilon__guarantee": value}, "spent.epsilon.guarantee") for value in ("sure", None, 7, [], ...)]
BAD += [
    ({"spent__epsilon": {}}, "spent.epsilon holds nothing"),
    ({"spent__epsilon__upper": None}, "spent.epsilon.upper is null, and guarantee=certified promises one"),
    ({"spent__epsilon__lower": None}, "spent.epsilon.lower is null, and guarantee=certified promises one"),
    (
        {"spent__epsilon__upper": None, "spent__epsilon__lower": None, "spent__epsilon__estimate": 0.1},
        "spent.epsilon.estimate=0.1 beside guarantee=certified",
    ),
    ({"spent__epsilon__guarantee": "lower"}, "beside guarantee=lower"),
    ({"spent__epsilon__guarantee": "estimate"}, "spent.epsilon.estimate is null, and guarantee=estimate promises one"),
    ({"spent__epsilon__guarantee": "upper", "spent__epsilon__upper": None}, "spent.epsilon.upper is null"),
    ({"spent__steps": 10}, "spent.steps=10 contradicts status=finished and its verdict: planned.steps=100."),
    ({"spent__steps": 10, "verdict": ...}, "spent.steps=10 contradicts status=finished"),
    ({"spent__steps": 10, "status": "stopped"}, "spent.steps=10 contradicts its verdict"),
    ({"status": "interrupted", "agrees_with_plan": True}, "agrees_with_plan=true contradicts the rest"),
    ({"status": "failed"}, 'status="failed" is not finished or interrupted or stopped.'),
    ({"verdict": [3]}, "verdict[0]=3 is not an object"),
    ({"verdict": [{"name": "noise", "agrees": "yes"}]}, 'verdict[0].agrees="yes" is not true or false'),
    ({"spent": ...}, "spent is missing"),
    ({"spent": []}, "spent=[] is not an object"),
    ({"planned": ...}, "planned is missing"),
    ({"planned": 3}, "planned=3 is not an object"),
    ({"spent__lost_steps": STEPS + 1}, "spent.lost_steps=101 is more than spent.steps=100"),
    ({"seeded": "no"}, "seeded="),
    ({"planned__batch_size": 50.0}, "contradicts planned.batch_size / planned.examples"),
    ({"planned__noise_multiplier": 8.0}, "contradicts recipe.privacy.noise_multiplier"),
    ({"planned__delta": 1e-4}, "contradicts recipe.privacy.delta"),
    ({"recipe__training": {"steps": 200}}, "planned.steps=100 contradicts recipe.training.steps, which is 200"),
    ({"recipe__training": {"batch_size": 200}}, "planned.batch_size=100 contradicts recipe.training.batch_size"),
    ({"assumptions__adjacency": "replace_one"}, "assumptions.adjacency"),
    ({"assumptions__privacy_unit": "person"}, "assumptions.privacy_unit"),
    ({"assumptions__sampling": "shuffling"}, "assumptions.sampling"),
    ({"spent__epsilon__assumptions": "Poisson sampling, replace one example"}, "spent.epsilon.assumptions"),
]

BAD += [
    ({f"planned__{key}": value}, f"planned.{key}=")
    for key, values in {
        "examples": (0, -1, None, [], 1.5, True, "many", 2**60),
        "batch_size": (0, True, None, 1e300, 10**400, "x"),
        "clip_norm": ("NaN", 0, -1, None, {}),
        "max_epsilon": ("x", 0, -1, True, []),
        "target_epsilon": ("x", 0, -1, True, {}),
        "over_budget": (None, 1, "no"),
    }.items()
    for value in values
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_a_value_that_makes_no_sense_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    found = problems(tmp_path, report(**changes))
    assert any(said in problem for problem in found), found
    assert all(len(problem) < 200 for problem in found)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    content = report(planned__noise_multiplier=-1, planned__steps=0, spent__epsilon__upper="x", seeded=3)
    assert len(problems(tmp_path, content)) == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan": ...}, "plan is missing"),
        ({"plan__phases": []}, "plan.phases is missing"),
        ({"plan__phases": [7]}, "plan.phases[0].noise_multiplier is missing"),
        ({"plan__steps": "x"}, 'plan.steps="x" is not a whole number'),
        ({"plan__examples": 0}, "plan.examples=0 is not a whole number"),
        ({"plan__batch_size": True}, "plan.batch_size=true is not a positive number or null"),
        ({"results": [{"delta": DELTA, "epsilon": None, "refusal": 7}]}, "results[0].refusal=7 is not text"),
        ({"plan__steps": STEPS + 1}, "plan.steps=101 contradicts its phases"),
        ({"plan__noise_multiplier": 5.0}, "plan.noise_multiplier=5 contradicts a phase"),
        ({"plan__examples": 1000, "plan__batch_size": 500.0}, "contradicts batch_size / examples"),
        ({"results": ...}, "results is missing"),
        ({"results": {}}, "results is not a list"),
        ({"results": [3]}, "results[0] is not an object"),
        ({"results": [{}]}, "results[0] holds neither an epsilon at a delta"),
        ({"results": []}, "holds no figure that claims anything"),
        ({"spent_before": {}}, "spent_before"),
        ({"spent_before": {"phases": 9, "results": []}}, "spent_before"),
    ],
)
def test_json_of_a_planning_command_that_is_cut_or_altered_is_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    assert any(said in problem for problem in problems(tmp_path, altered(printed(), **changes)))


def test_a_delta_above_one_is_refused(tmp_path: Path) -> None:
    content = printed("delta")
    content["results"][0]["delta"]["upper"] = 1.5
    assert "results[0].delta.upper=1.5 is not in [0, 1]." in problems(tmp_path, content)


def test_a_folder_that_cannot_be_resumed_says_what_it_spent(tmp_path: Path) -> None:
    saved(tmp_path, f"{STEPS:020}\n", "steps")
    saved(tmp_path, report(), "run.json")
    with pytest.raises(ReportError) as caught:
        verify.read(tmp_path)
    said = str(caught.value)
    assert "cannot be resumed. 100 steps are counted, ε ≤ " in said
    assert "at δ = 1e-05 spent." in said
    assert "--resume" not in said
    for name, text, told in [
        ("run.json", "garbage", "100 steps are counted, and are spent."),
        ("run.json", json.dumps(report(planned__delta=7)), "100 steps are counted, and are spent."),
        *(("steps", text, "nobody can tell") for text in ("many", "-3\n", "1_0", " ", "9" * 50)),
    ]:
        saved(tmp_path, text, name)
        with pytest.raises(ReportError, match=told):
            verify.read(tmp_path)


@pytest.mark.slow
def test_no_mutilation_of_a_report_raises_anything_else(tmp_path: Path) -> None:
    """Each value in turn is replaced by each of many: a claim, or ReportError."""
    content = report()
    paths = [path for path in every_path(content) if path]
    values = (None, "", -1, 0, 1e308, 10**500, [], {}, True, "\ud800", math.pi)
    for path in paths:
        for value in values:
            file = saved(tmp_path, json.dumps(altered(content, **{path: value})))
            with contextlib.suppress(ReportError):
                assert verify.read(file).claims


def every_path(content: Any, above: str = "") -> list[str]:
    inner = (
        [every_path(value, f"{above}__{key}" if above else key) for key, value in content.items()]
        if isinstance(content, dict)
        else []
    )
    return [above, *(path for paths in inner for path in paths)]


def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = json.dumps(report()).encode("utf-8-sig")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(raw)))
    document = report_reader.read(report_reader.STDIN)
    assert document.name == "standard input"
    assert [claim.name for claim in document.claims] == ["spent", "planned"]


def test_what_is_too_large_for_a_report_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_reader, "MOST_BYTES", 99)
    file = saved(tmp_path, "x" * 99, "report.json")
    with pytest.raises(ReportError, match="JSON"):
        report_reader.read(file)
    file = saved(tmp_path, "x" * 100, "report.json")
    with pytest.raises(ReportError, match="is larger than 99 bytes; this is no report"):
        report_reader.read(file)
