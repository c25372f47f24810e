"""Text of a user's on a screen: nothing in it moves the cursor, changes a colour or the direction of writing."""

import json

import pytest

from dpplan import __main__ as program
from dpplan.commands.shared import output
from dpplan.render import to_json
from dpplan.render.table import Column, Table, TableCell
from dpplan.visible_text import visible

HIDDEN = (
    "\x00\x07\x08\x1b\x7f\x9b\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\u3164"
    "\ufeff\uffa0\ufff9\U000e0001\U000e0041\U000e007f"
)
RIGHT_TO_LEFT = "שלום عالم"


@pytest.mark.parametrize("hidden", HIDDEN, ids=[f"{ord(each):04x}" for each in HIDDEN])
def test_what_cannot_be_seen_is_written_out(hidden: str) -> None:
    number = f"\\U{ord(hidden):08x}" if ord(hidden) > 0xFFFF else f"\\u{ord(hidden):04x}"
    assert visible(f"a{hidden}b") == f"a{number}b"


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


@pytest.mark.parametrize(
    "code", ["\x1b[30m", "\x1b[32m", "\x1b[0m", "\x1b[1m", "\x1b[8m", "\x9b31m", "\x01", "\x02", "\x00\x02"]
)
def test_a_colour_that_a_text_brings_along_is_shown_and_not_obeyed(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Black text on a black terminal hid whatever followed, up to the next reset."""
    monkeypatch.setattr(output, "_is_painted", lambda: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    output.say([f"0.1.0{code} {output.paint('VIOLATION', 'bad')} {code}of 1"])
    told = visible(code)
    assert told.isprintable()
    assert capsys.readouterr().out == f"0.1.0{told} \x1b[31mVIOLATION\x1b[0m {told}of 1\n"


def test_json_holds_the_same_text_and_shows_it_escaped() -> None:
    text = to_json.dumps({"name": HIDDEN + RIGHT_TO_LEFT}, indent=2)
    assert json.loads(text) == {"name": HIDDEN + RIGHT_TO_LEFT}
    assert RIGHT_TO_LEFT in text
    assert not any(hidden in text for hidden in HIDDEN)
