"""Checkpoints of others: plain data is read, and what names a class is refused with nothing run."""

import os
from pathlib import Path

import pytest
import torch

from dpplan.errors import PlanError
from dpplan.train import foreign_accountant_state


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-checkpoint",)


def test_plain_data_is_read_and_objects_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"history": [(1.0, 0.1, 3)], "w": torch.ones(2)}, "good.pt")
    assert foreign_accountant_state.content(Path("good.pt"))["history"] == [(1.0, 0.1, 3)]
    torch.save({"history": Malicious()}, "bad.pt")
    with pytest.raises(PlanError, match="not loaded here"):
        foreign_accountant_state.content(Path("bad.pt"))
    assert not Path("made-by-a-checkpoint").exists()
    with pytest.raises(PlanError, match="cannot be read"):
        foreign_accountant_state.content(Path("none.pt"))
