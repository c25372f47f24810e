"""What an audit reads and shows, each part by itself."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dpplan import accounting
from dpplan.audit import scores
from dpplan.commands import audit as command
from dpplan.commands.shared.plan_source import plan_of_file
from dpplan.errors import PlanError
from dpplan.plan import Settings, resolve_delta
from dpplan.recipe.deployment_statement_block import StatementBlock
from dpplan.render import audit as render
from dpplan.render import audit_help, to_json

PLAN = Settings(noise_multiplier=2.0, sample_rate=0.1, steps=20).plan()


def test_scores_are_read_by_their_column_names() -> None:
    found = scores.parse("Score, name,MEMBER\n0.5,a,1\n-1,b,0.0\n2,c,True\n", "scores.csv")
    assert scores.checked(found, "scores.csv", False) == []
    assert found.member.tolist() == [True, False, True]
    assert found.score.tolist() == [0.5, -1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("member,score\n1,0,73\n0,0,2\n", "scores.csv:2: has 3 cells under 2 columns. A decimal comma"),
        ("member,score,Score\n1,2,3\n0,1,1\n", "has the column score more than once"),
        ('member,score,note\n1,0.5,a\n0,0.3,"b\n0,0.2,c\n', "is not CSV (unexpected end of data)"),
        ("member;score\n1;2\n", "has the columns member;score; member and score are needed"),
        ("member,score\n1,0.73\n\n0,0.2\n", "scores.csv:3: is empty, with rows below it. Remove it, or fill it in."),
        ("member,score\n\n  \n1,0.73\n", "scores.csv:2: is empty, with rows below it. Remove it, or fill it in."),
    ],
)
def test_a_file_that_could_be_read_in_two_ways_is_not_read(text: str, told: str) -> None:
    """A score of 0.73 is not to be taken for one of 0."""
    with pytest.raises(PlanError, match=re.escape(told)):
        scores.parse(text, "scores.csv")


def test_empty_lines_at_the_end_are_no_rows() -> None:
    assert scores.parse("member,score\n1,0.73\n0,0.2\n\n \n\n", "scores.csv").member.tolist() == [True, False]


def test_a_plan_is_found_in_what_a_command_printed(tmp_path: Path) -> None:
    bound = accounting.epsilon(PLAN, 1e-5)
    file = tmp_path / "plan.json"
    printed = to_json.document("epsilon", PLAN, [to_json.spent_epsilon(resolve_delta(1e-5, None), bound)], [])
    file.write_text(json.dumps(printed), encoding="utf-8")
    plan, delta, doubts = plan_of_file(file, None, None)
    assert (plan.phases, delta, doubts) == (PLAN.phases, 1e-5, [])


def test_bounds_are_shown_rounded_down_and_the_help_lists_every_sabotage() -> None:
    assert float(render.rounded_down(1.23456789)) <= 1.23456789
    text = "\n".join(audit_help.lines())
    assert all(each.mistake in text for each in audit_help.SABOTAGES)
    assert command.command.name == "audit"
    assert StatementBlock(curator="x").curator == "x"


def test_scores_that_look_upside_down_are_told_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(5)
    member = rng.random(1000) < 0.5
    noise = rng.normal(size=1000)
    for score, told in ((member + noise, False), (-1.0 * member + noise, True), (noise, False), (0.0 * noise, False)):
        for coins in (True, False):
            warnings = scores.checked(scores.Scores(member, np.asarray(score, float)), "scores.csv", coins)
            assert any("write minus the loss" in each for each in warnings) == told
