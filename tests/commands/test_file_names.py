"""Names of files that are typed: what is found out at once, and what by whoever reads the file."""

import os
from pathlib import Path

import pytest

from dpplan import __main__ as program
from dpplan import errors
from dpplan.commands.shared.parameter_types import FileName
from dpplan.errors import UsageError
from dpplan.interop import opacus_state
from dpplan.plan import Settings


def test_who_reads_a_file_finds_out_that_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """click would say so with exit code 2, where the help promises 5."""
    file = tmp_path / "secret.yaml"
    file.write_text("data:")
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert FileName(path_type=Path).convert(str(file), None, None) == file


def test_a_folder_is_no_file_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written: Is a directory\."):
        FileName(path_type=Path, dir_okay=False).convert(str(tmp_path), None, None)
    assert FileName(path_type=Path).convert(str(tmp_path), None, None) == tmp_path
    assert FileName(path_type=Path, dir_okay=False).convert(str(tmp_path / "new"), None, None) == tmp_path / "new"


def test_the_command_that_an_exported_state_names_takes_the_file_itself() -> None:
    plan = Settings(noise_multiplier=1.0, examples=100, batch_size=30, epochs=1).plan()
    assert "dpplan epsilon state.json --delta 0.001" in opacus_state.rounding(plan)["note"]


def test_a_link_that_leads_nowhere_is_called_one_and_a_wrong_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")
    for call in ("epsilon circle", "audit circle --sigma 1 --q 1 --steps 9 --delta 1e-5"):
        assert program.run(call.split()) == errors.EXIT_USAGE
        assert "It is a link that leads nowhere." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("--sigma 1 --n 1e400", "n=1e400 is not a whole number of at least 1. It is above the largest number there is"),
        ("--sigma -1", "sigma=-1 is not a positive number. It is a standard deviation; values between 0.5 and 10"),
        ("--sigma 0", "sigma=0 is not a positive number. Without noise epsilon is infinite; values between 0.5 and 10"),
    ],
)
def test_a_number_that_is_none_is_told_as_it_was_typed(
    call: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(["epsilon", *call.split(), "--q", "0.1", "--steps", "9", "--delta", "1e-5"]) == errors.EXIT_USAGE
    assert said in " ".join(capsys.readouterr().err.split())
