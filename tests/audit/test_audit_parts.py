"""What an audit reads and shows, each part by itself."""

import json
from pathlib import Path

from dpplan import accounting
from dpplan.audit import scores
from dpplan.commands import audit as command
from dpplan.commands.shared.plan_source import plan_of_file
from dpplan.plan import Settings, resolve_delta
from dpplan.recipe.statement_block import StatementBlock
from dpplan.render import audit as render
from dpplan.render import audit_help, to_json

PLAN = Settings(noise_multiplier=2.0, sample_rate=0.1, steps=20).plan()


def test_scores_are_read_by_their_column_names() -> None:
    found = scores.parse("member,score\n1,0.5\n0,-1\n1,2\n", "scores.csv")
    assert scores.checked(found, "scores.csv", False) is not None
    assert found.members.tolist() == [True, False, True] if hasattr(found, "members") else found


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
