"""The command as a person runs it: a process of its own, forked from one that has loaded what commands load."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import forked
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dpplan(tmp_path: Path) -> Run:
    """Runs `dpplan` with these arguments, in an empty folder or in `cwd`, with `env` added; unfolds stderr."""

    def run(*arguments: str, cwd: Path = tmp_path, **env: str) -> subprocess.CompletedProcess[str]:
        return forked.dpplan(*arguments, cwd=cwd, **env)

    return run
