"""What an audit reads and shows, each part by itself."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dpplan import accounting
from dpplan.audit import AuditSettings, Hypothesis, audit, scores
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
        ("member;score\n1;0,5\n", "scores.csv:1: cells are separated by semicolons, and have to be by commas. Save it"),
        ("score\tmember\n0.5\t1\n", "scores.csv:1: cells are separated by tabs, and have to be by commas. Save it"),
        (
            "member score\n1 0.5\n",
            "scores.csv:1: cells are separated by blanks, and have to be by commas. Save it with",
        ),
        ("member|who\n1|2\n", "cells are separated by bars, and have to be by commas. Save it with commas, and points"),
        ("member,score\n1,0.5\n0;0.5\n", "scores.csv:3: cells are separated by semicolons, and have to be by commas."),
        ("member,guess\n1,2\n", "has the columns member, guess; member and score are needed"),
        ("member,score\n1,0.73\n\n0,0.2\n", "scores.csv:3: is empty, with rows below it. Remove it, or fill it in."),
        ("member,score\n\n  \n1,0.73\n", "scores.csv:2: is empty, with rows below it. Remove it, or fill it in."),
    ],
)
def test_a_file_that_could_be_read_in_two_ways_is_not_read(text: str, told: str) -> None:
    """A score of 0.73 is not to be taken for one of 0."""
    with pytest.raises(PlanError, match=re.escape(told)):
        scores.parse(text, "scores.csv")


def test_a_coin_that_counts_twice_is_told() -> None:
    rng = np.random.default_rng(2)
    member, score = rng.integers(0, 2, 60), rng.normal(size=60)
    lines = [f"{one},{value!r}" for one, value in zip(member.tolist(), score.tolist(), strict=True)]
    twice = scores.parse("\n".join(["member,score", *lines, *lines]), "scores.csv")
    named = [f"{k % 30},{member[k % 30]},{value!r}" for k, value in enumerate(score.tolist())]
    again = scores.parse("\n".join(["id,member,score", *named]), "scores.csv")
    fresh = [f"{k % 30},{line}" for k, line in enumerate(lines)]  # a coin of its own for each line of a canary
    several = scores.parse("\n".join(["canary,member,score", *fresh]), "scores.csv")
    for coins in (True, False):
        with pytest.raises(PlanError, match="every line is there 2 times"):
            scores.checked(twice, "scores.csv", coins)
    with pytest.raises(PlanError, match="30 lines are of canaries that have one above, and 30 of them repeat what"):
        scores.checked(again, "scores.csv", True)
    assert scores.checked(again, "scores.csv", False) == []  # runs of their own, where a canary may come again
    assert (again.again, several.again[0]) == ((30, 30), 30)
    assert scores.checked(several, "scores.csv", True) == []
    decided = scores.Scores(member == 1, (member == 1).astype(float))
    assert (decided.copies(), twice.copies(), several.copies()) == (1, 2, 1)


def test_a_bound_far_above_the_claim_is_told_in_times() -> None:
    member = np.arange(400) % 2 == 0
    table = scores.Scores(member, member + 0.1 * np.random.default_rng(1).random(400))
    found = audit(table, Hypothesis.of_stated(1e-300, 1e-5), AuditSettings(1e-5))
    (claimed,) = (line for line in render.rows(found) if "claimed" in line)
    assert "e+300 times as much" in claimed and len(claimed) <= 80


@pytest.mark.parametrize(
    ("claimed", "said"), [(0.01, r"[0-9]+ times what is claimed"), (4.0, r"[0-9]+ % of what is claimed")]
)
def test_a_run_whose_bound_is_far_above_its_claim_is_told_in_times_too(claimed: float, said: str) -> None:
    member = np.arange(400) % 2 == 0
    table = scores.Scores(member, member + 0.1 * np.random.default_rng(1).random(400))
    found = audit(table, Hypothesis.of_stated(claimed, 1e-5), AuditSettings(1e-5))
    (white,) = (line for line in render.run_rows({"gradient, by likelihood": found}, [], 0.05) if "white box" in line)
    assert re.search(f"{said}$", white) and len(white) <= 80


def test_of_many_wrong_lines_five_are_told_and_all_are_counted() -> None:
    with pytest.raises(PlanError) as caught:
        scores.parse("member,score\n" + "1,x\n" * 500, "scores.csv")
    assert str(caught.value).startswith("500 problems with this file of scores\n  scores.csv:2: score='x' is not")
    assert len(caught.value.problems) == 6 and caught.value.problems[-1] == "scores.csv: 495 more like these."


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


def test_equal_scores_are_told_where_they_cost_guesses_and_nowhere_else() -> None:
    member = np.arange(400) % 2 == 0
    decided = np.where(np.arange(400) % 10 < 8, member, ~member)  # 80 % of either kind are right
    found = scores.Scores(member, decided.astype(float))
    assert found.lost_to_ties(100, "both") == pytest.approx(2 * (50 * 0.8 - 10))
    assert found.lost_to_ties(100, "in") == pytest.approx(100 * 0.8 - 60)
    assert found.lost_to_ties(400, "both") == found.lost_to_ties(200, "in") == found.lost_to_ties(400, "in") == 0.0
    for guesses, side in ((100, "both"), (100, "in"), (30, "both")):  # against every order that does not know the coins
        named = guesses if side == "in" else guesses // 2
        by_lot = named * 0.8 * (1 if side == "in" else 2)
        assert found.lost_to_ties(guesses, side) == pytest.approx(by_lot - found.ranked(guesses, side)[1])
    (told,) = scores.equal_scores(found, "scores.csv", [(100, "both"), (400, "both")])
    assert "400 of 400 scores are equal" in told and "in 1 of the 2 attempts prove little" in told
    assert scores.equal_scores(found, "scores.csv", [(400, "both")]) == []
    different = scores.Scores(member, decided + np.arange(400) / 1000)
    assert different.lost_to_ties(100, "both") == 0.0
    assert scores.equal_scores(different, "scores.csv", [(100, "both")]) == []


def test_scores_that_look_upside_down_are_told_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(5)
    member = rng.random(1000) < 0.5
    noise = rng.normal(size=1000)
    for score, told in ((member + noise, False), (-1.0 * member + noise, True), (noise, False), (0.0 * noise, False)):
        for coins in (True, False):
            warnings = scores.checked(scores.Scores(member, np.asarray(score, float)), "scores.csv", coins)
            assert any("write minus the loss" in each for each in warnings) == told
