"""What the shell offers, word by word, and that each shell's script is one that it understands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from dpplan import __main__ as program
from dpplan import accounting, lint
from dpplan.adjacency import ADJACENCIES
from dpplan.recipe import bundled
from dpplan.render.help import TOPICS
from dpplan.sampling import CHOICES

VARIABLE = "_DPPLAN_COMPLETE"
CODES = set(lint.RULES)
DIGITS = [name for name in bundled.names() if name.startswith("digits-")]


def offered(words: str) -> set[str]:
    """What is offered for the last of these words."""
    *before, last = words.split(" ")[1:]
    completer = BashComplete(program.group, {"help_option_names": ["-h", "--help"]}, "dpplan", VARIABLE)
    return {item.value for item in completer.get_completions(before, last)}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        *((f"dpplan {name} --accountant ", {*accounting.ACCOUNTANTS, "all"}) for name in ("epsilon", "delta")),
        *((f"dpplan {name} --accountant ", set(accounting.ACCOUNTANTS)) for name in ("solve", "check")),
        *((f"dpplan {name} --sampling ", set(CHOICES)) for name in ("epsilon", "delta", "solve", "curve")),
        *(
            (f"dpplan {name} --adjacency ", {each.replace("_", "-") for each in ADJACENCIES})
            for name in ("epsilon", "solve", "check", "compare accountants")
        ),
        ("dpplan check --explain ", CODES | {"all"}),
        ("dpplan check --explain DP00", {code for code in CODES if code.startswith("DP00")}),
        ("dpplan check --explain a", {"all"}),
        ("dpplan check --silence dp01", {code for code in CODES if code.startswith("DP01")}),
        ("dpplan recipes ", {"copy"}),
        ("dpplan recipes copy ", {*bundled.names(), *bundled.plans(), bundled.SCORES, "all"}),
        ("dpplan recipes copy digits-", set(DIGITS)),
        ("dpplan recipes copy digits aud", {"audit", "audit-digits"}),
        ("dpplan help ", set(TOPICS)),
        ("dpplan help lim", {"limits"}),
    ],
)
def test_what_has_a_name_is_offered(words: str, expected: set[str]) -> None:
    assert offered(words) == expected


def script(shell: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "dpplan"],
        env={**os.environ, VARIABLE: f"{shell}_source"},
        capture_output=True, check=True, text=True, timeout=60, encoding="utf-8",
    ).stdout  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `dpplan` is this one."""
    command = tmp_path / "dpplan"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dpplan "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


def shell(command: list[str], text: str, path: dict[str, str]) -> list[str]:
    done = subprocess.run(
        command, input=text, env=path, capture_output=True, check=True, text=True, timeout=120, encoding="utf-8"
    )
    return done.stdout.split()


def test_bash_completes_with_its_script(path: dict[str, str]) -> None:
    ask = "COMP_WORDS=(dpplan recipes copy digits-); COMP_CWORD=3; _dpplan_completion dpplan; echo ${COMPREPLY[@]}"
    assert shell(["bash", "--norc"], f"{script('bash')}\n{ask}\n", path) == DIGITS


def test_zsh_completes_with_its_script(path: dict[str, str]) -> None:
    text = script("zsh")
    assert f"{VARIABLE}=zsh_complete dpplan" in text
    assert "compdef _dpplan_completion dpplan" in text
    answer = {**path, VARIABLE: "zsh_complete", "COMP_WORDS": "dpplan recipes copy digits-", "COMP_CWORD": "3"}
    assert shell(["dpplan"], "", answer)[:2] == ["plain", "digits-bins"]
    if shutil.which("zsh"):
        ask = (
            "compdef() {}; _describe() { print -l -- ${completions_with_descriptions%%:*}; }\n"
            f"{text}\nwords=(dpplan recipes copy digits-); CURRENT=4; _dpplan_completion"
        )
        assert shell(["zsh", "-f"], ask, path) == DIGITS


def test_fish_completes_with_its_script(path: dict[str, str]) -> None:
    text = script("fish")
    assert f"{VARIABLE}=fish_complete" in text
    assert 'complete --no-files --command dpplan --arguments "(_dpplan_completion)"' in text
    answer = {**path, VARIABLE: "fish_complete", "COMP_WORDS": "dpplan recipes copy digits-", "COMP_CWORD": "digits-"}
    assert shell(["dpplan"], "", answer)[0] == "plain,digits-bins"
    if shutil.which("fish"):
        ask = f"{text}\ncomplete -C'dpplan recipes copy digits-'"
        assert {line for line in shell(["fish", "-N"], ask, path) if line.startswith("digits-")} == {
            *DIGITS,
        }  # fmt: skip
