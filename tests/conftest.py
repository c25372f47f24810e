"""Puts this folder on the import path, so that every test can `import oracle`. No test writes into a real home."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# For processes that are forked from a server which was started before any test.
_SESSION = tempfile.TemporaryDirectory(prefix="dpplan-tests-state-")
os.environ["XDG_STATE_HOME"] = _SESSION.name


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's runs are recorded."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    yield folder
