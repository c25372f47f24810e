"""Names of files that are typed: what is found out at once, and what by whoever reads the file."""

import os
from pathlib import Path

import pytest

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
