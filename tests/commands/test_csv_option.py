"""--csv: the same in every command that has it."""

import shlex
from pathlib import Path

import pytest

from dpplan import __main__ as program

CALLS = [
    "curve --sigma 4 --q .01 --steps 1e4 --points 2",
    "frontier --n 6e4 --target-eps 3 --batch 2048 --epochs 1 --workers 1",
]


@pytest.mark.sweep(slow=("frontier",))
@pytest.mark.parametrize("call", CALLS)
def test_a_dash_is_standard_output_and_a_name_a_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.run([*shlex.split(call), "--csv", "-"]) == 0
    printed = capsys.readouterr().out
    assert program.run([*shlex.split(call), "--csv", "a.csv"]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == printed
    assert printed.count("\n") >= 2
    assert "written to a.csv" in shown
    assert "Poisson sampling" in shown
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_that_is_not_there_is_told_first(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.run([*shlex.split(call), "--csv", "none/a.csv"]) == 2
    assert "the folder none does not exist" in capsys.readouterr().err
