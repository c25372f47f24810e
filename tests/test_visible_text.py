"""Text of a user's on a screen: nothing in it moves the cursor, changes a colour or the direction of writing."""

import json

import click
import pytest

from dpplan import __main__ as program
from dpplan.commands.shared import output
from dpplan.render import to_json
from dpplan.render.table import Column, Table, TableCell
from dpplan.visible_text import visible

HIDDEN = "\x00\x07\x08\x1b\x7f\x9b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff"
RIGHT_TO_LEFT = "שלום عالم"


@pytest.mark.parametrize("hidden", HIDDEN, ids=[f"{ord(each):04x}" for each in HIDDEN])
def test_what_cannot_be_seen_is_written_out(hidden: str) -> None:
    assert visible(f"a{hidden}b") == f"a\\u{ord(hidden):04x}b"


@pytest.mark.parametrize("text", ["ε ≤ 1", RIGHT_TO_LEFT, "two\n\tlines", "", "a family: 👨‍👩‍👧"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


def test_half_a_character_can_be_written_to_a_file() -> None:
    assert visible("a\ud800b").encode() == b"a\\ud800b"


def test_lines_tables_and_remarks_show_what_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    output.say([HIDDEN])
    output.show(Table((Column("name"),), ((TableCell(f"a{HIDDEN}"),),)))
    output.warn([HIDDEN])
    program._tell(HIDDEN)
    done = capsys.readouterr()
    for hidden in HIDDEN:
        assert hidden not in done.out + done.err
    assert (done.out + done.err).replace("\n", "").replace(" ", "").count("\\u202e") == 4


def test_colours_of_our_own_stay_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    painted = click.style("certified", fg="green")
    assert output._seen(f"{painted} \x1b[2J \u202e") == f"{painted} \\u001b[2J \\u202e"


def test_json_holds_the_same_text_and_shows_it_escaped() -> None:
    text = to_json.dumps({"name": HIDDEN + RIGHT_TO_LEFT}, indent=2)
    assert json.loads(text) == {"name": HIDDEN + RIGHT_TO_LEFT}
    assert RIGHT_TO_LEFT in text
    assert not any(hidden in text for hidden in HIDDEN)
