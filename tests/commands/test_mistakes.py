"""Calls that make no sense: each told whole, with its exit code, and in JSON where JSON was asked for."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mistakes import Mistake, mistakes, prepare
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan import commands
from dpplan.render.help import TOPICS

MISTAKES = list(mistakes())
# A topic of the name of a command comes first: recipes has a page of its own.
OWN_HELP = [name for name in commands.COMMANDS if " " not in name and name not in ("help", *TOPICS)]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_there_are_forty_mistakes_and_none_twice() -> None:
    assert len({mistake.typed for mistake in MISTAKES}) == len(MISTAKES) >= 40
    assert {mistake.code for mistake in MISTAKES} == {1, 2, 3}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.typed)
@pytest.mark.usefixtures("here")
def test_a_mistake_is_told_whole_with_its_exit_code(mistake: Mistake, capsys: pytest.CaptureFixture[str]) -> None:
    code = program.run(mistake.arguments)
    assert (code, capsys.readouterr().err) == (mistake.code, mistake.told)
    assert max(map(len, mistake.told.splitlines())) <= 80


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.typed)
@pytest.mark.usefixtures("here")
def test_the_same_in_json_holds_the_code_and_the_message(mistake: Mistake, capsys: pytest.CaptureFixture[str]) -> None:
    command, *rest = mistake.arguments
    arguments = mistake.arguments if "--json" in mistake.arguments else [command, "--json", *rest]
    code = program.run(arguments)
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert code == mistake.code
    assert content["schema"].startswith("dpplan.")
    if "error" not in content:  # the answer is there, and is above the limit
        assert (code, content["within"]) == (1, False)
        return
    assert content["error"]["code"] == code
    said = " ".join(content["error"]["message"].split())
    assert " ".join(err.split()) == f"error: {said}"
    assert not list(Path().glob("--*"))
    assert content["error"]["problems"]


@pytest.mark.parametrize("number", [3, 11, 33, 40])
def test_as_a_process_of_its_own_the_same_is_told(dpplan: Run, here: Path, number: int) -> None:
    mistake = MISTAKES[number]
    done = dpplan(*mistake.arguments, cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (mistake.code, "", unwrapped(mistake.told))


@pytest.mark.parametrize(
    ("call", "schema"),
    [
        ("epsilon --zzz --json", "dpplan.epsilon/1"),
        ("compare accountants --json", "dpplan.compare/1"),
        ("compare plans --json", "dpplan.compare-plans/1"),
        ("compare theorems --sigma x --json", "dpplan.compare-theorems/1"),
        ("train --json", "dpplan.train/1"),
        ("train x.yaml --device gpu --json", "dpplan.train/1"),
        ("nonsense --json", "dpplan.error/1"),
    ],
)
def test_an_error_in_json_has_the_schema_of_its_command(
    call: str, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = program.run(shlex.split(call))
    content = json.loads(capsys.readouterr().out)
    assert (content["schema"], content["error"]["code"], code) == (schema, 2, 2)


def test_a_bug_is_told_in_json_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from dpplan import accounting

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("far away")

    monkeypatch.setattr(accounting, "epsilon", fail)
    assert program.run(shlex.split("epsilon --sigma 1 --q .01 --steps 9 --delta 1e-5 --json")) == 4
    content = json.loads(capsys.readouterr().out)
    assert (content["error"]["code"], content["error"]["kind"]) == (4, "ZeroDivisionError")


def test_options_that_may_be_said_twice_still_may(capsys: pytest.CaptureFixture[str]) -> None:
    phase = "--phase sigma=1,q=.01,steps=9"
    assert program.run(shlex.split(f"epsilon {phase} {phase} --delta 1e-5 --delta 1e-6")) == 0
    assert "2 phases" in capsys.readouterr().out


@pytest.mark.parametrize("typed", ["-h", "--help", ""])
def test_help_is_found_however_it_is_asked_for(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(shlex.split(typed)) == 0
    assert "epsilon" in capsys.readouterr().out


@pytest.mark.parametrize("name", OWN_HELP)
def test_help_of_a_command_is_that_of_the_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for call in ([name, "-h"], [name, "--help"], ["help", name]):
        assert program.run(call) == 0
        shown.append(capsys.readouterr().out.strip())
    assert shown[0] == shown[1] == shown[2] != ""


def test_code_that_ends_the_process_does_not_look_like_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dpplan import accounting

    monkeypatch.setattr(accounting, "epsilon", lambda *_, **__: sys.exit(0))
    assert program.run(shlex.split("epsilon --sigma 1 --q .01 --steps 9 --delta 1e-5")) == 2
    assert "ends the process" in capsys.readouterr().err
