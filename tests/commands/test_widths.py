"""Every command on screens of 40, 80 and 120 columns: nothing wider, no number cut, no column lost."""

import functools
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from dpplan import __main__ as program
from dpplan import accounting, frontier
from dpplan.commands import COMMANDS
from dpplan.commands.shared import output

RECIPES = Path(__file__).parents[2] / "recipes"
CALLS = [
    "epsilon --sigma 1.1 --n 60000 --batch 256 --epochs 60",
    "epsilon --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --delta 1e-6 --explain",
    "epsilon --phase sigma=1.1,n=60000,batch=256,epochs=60 --phase sigma=2,q=.1,steps=10 --accountant all",
    "delta --eps 3 --sigma 1.1 --n 60000 --batch 256 --epochs 60",
    "solve --target-eps 3 --sigma 1.1 --n 60000 --batch 256",
    "curve --sigma 4 --q .01 --steps 1e4 --points 3 --accountant exact --accountant rdp --accountant gdp",
    "curve --sigma 4 --q .01 --steps 1e4 --points 3",
    "frontier --n 6e4 --target-eps 3 --batch 512:2048 --epochs 1:4 --workers 1 --cells",
    "compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 2",
    "check --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5 --loader shuffle",
    "check --sigma 1.1 --n 60000 --batch 256 --epochs 60 --delta 1e-5 --loader torch-shuffle --claimed-eps 2.3",
    "help certificate",
    "help exit-codes",
    "help sampling",
    "help",
    "compare units --sigma 2 --q .01 --steps 1000 --delta 1e-6 --max-per-user 4",
    f"compare plans {RECIPES}/tutorial-20k-sgd.yaml {RECIPES}/tutorial-20k-adam.yaml",
    "compare",
]
# Durations differ from run to run; the number of cells on the map is that of the screen's width.
MOVING = re.compile(r"[\d.]+ m?s\b")
NUMBER = re.compile(r"\d[\d.]*(?:e[+-]?\d+)?")


@pytest.fixture(autouse=True)
def computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown in three widths is computed once."""
    for module, name in ((accounting, "epsilon"), (accounting, "delta"), (frontier, "frontier")):
        monkeypatch.setattr(module, name, remembered(getattr(module, name)))


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """By what the arguments look like; what is no dataclass, such as a bar of progress, is left out of that."""
    answers: dict[str, Any] = {}

    @functools.wraps(function)
    def asked(*arguments: Any, **more: Any) -> Any:
        key = repr([each for each in (*arguments, *more.items()) if not callable(each)])
        if key not in answers:
            answers[key] = function(*arguments, **more)
        return answers[key]

    return asked


def shown(call: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    program.run(shlex.split(call))
    said = capsys.readouterr()
    assert said.out, said.err
    return MOVING.sub("0 s", said.out)


@pytest.mark.sweep(every=2, slow=("call10",))
@pytest.mark.parametrize("call", CALLS)
def test_what_is_shown_fits_and_is_whole(
    call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = shown(call, 120, monkeypatch, capsys)
    for columns in (40, 80, 120):
        narrow = wide if columns == 120 else shown(call, columns, monkeypatch, capsys)
        assert [line for line in narrow.splitlines() if len(line) > columns and " " in line.strip()] == []
        if "frontier" not in call:  # of whose map fewer cells are shown, and that is said
            assert set(NUMBER.findall(wide)) == set(NUMBER.findall(narrow))
        assert set(wide.split()) - set(narrow.split()) <= ({"·"} if "frontier" in call else set())


@pytest.mark.parametrize("command", ["", "compare", *COMMANDS])
def test_help_fits_a_narrow_screen_to_its_last_option(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(f"{command} -h".strip(), 40, monkeypatch, capsys).splitlines()
    assert [line for line in lines if len(line) > 40 and " " in line.strip().removesuffix(" \\")] == []  # but paths


@pytest.mark.parametrize("command", ["", *(each for each in COMMANDS if each != "compare")])
def test_examples_in_help_are_folded_so_that_they_can_still_be_pasted(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not within what is quoted, where a shell would keep the break."""
    text, wide = (shown(f"{command} -h".strip(), columns, monkeypatch, capsys) for columns in (40, 120))
    lines = text.split("Options:")[0].splitlines()
    assert [line for line in lines if len(line) > 40 and " " in line.strip().removesuffix(" \\")] == []  # but paths
    assert pasted(text) == pasted(wide) != []


def pasted(text: str) -> list[list[str]]:
    """What a shell makes of the examples."""
    joined = text.partition("Options:")[0].replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in joined if line.startswith("    dpplan ")]


@pytest.mark.parametrize("command", ["", "compare", *COMMANDS])
def test_no_name_in_help_is_broken_at_a_hyphen(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for columns in (40, 80):
        text = shown(f"{command} -h".strip(), columns, monkeypatch, capsys)
        assert re.findall(r".*[\w-]-\n", text) == []
        assert "\N{NON-BREAKING HYPHEN}" not in text


@pytest.mark.parametrize(
    ("command", "first", "last"),
    [("audit", "one-run-fdp", "ESTIMATE, no verdict"), ("frontier", "constant-ratio", "(McKenna et al. 2025)")],
)
def test_lists_in_help_keep_the_text_of_an_entry_together(
    command: str, first: str, last: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a narrow screen it stands below the name, all of it as far to the right."""
    text = shown(f"{command} -h", 40, monkeypatch, capsys)
    entries = text[text.index(f"    {first}\n") : text.index(last)].splitlines()
    assert {len(line) - len(line.lstrip()) for line in entries} == {4, 6}
    assert all(" " not in line.strip() for line in entries if not line.startswith(" " * 5))


CASES_OF_COLOUR = {
    "compare samplers --sigma 2 --n 5000 --batch 250 --steps 100 --delta 1e-5 --without-noise": "1.0973",
    "compare units --sigma 2 --q .01 --steps 1000 --delta 1e-6 --max-per-user 4": "certified",
    "curve --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --points 3 --over steps": "certified",
    "risk --sigma 4 --q .01 --steps 1e4 --delta 1e-5": "certified",
    "check --sigma 4 --q .01 --steps 1e4 --delta 1e-5": "certified",
    f"train {RECIPES}/digits.yaml --dry-run": "certified",
    f"compare plans {RECIPES}/tutorial-20k-sgd.yaml {RECIPES}/tutorial-20k-adam.yaml": "= 0.541453 *",
}


@pytest.mark.parametrize("call", CASES_OF_COLOUR)
def test_a_narrow_screen_has_the_colours_of_a_wide_one(
    call: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where a table is stacked, so that its cells are folded; what is below the colours is the same."""
    plain = shown(call, 40, monkeypatch, capsys)
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm-256color"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    painted = shown(call, 40, monkeypatch, capsys)
    assert f"\x1b[32m{CASES_OF_COLOUR[call]}\x1b[0m" in re.sub(r"(\x1b\[32m) +", r"\1", painted)
    assert ("\x1b[1m" in painted) == ("─" * 20 in painted)  # over a table stand its names
    assert set(click.unstyle(painted).split()) - {"─" * 40} >= set(plain.split()) - {"─" * 40}
