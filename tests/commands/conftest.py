"""The command as a person runs it: a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from unwrap import unwrapped

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dpplan(tmp_path: Path) -> Run:
    """Runs `python -m dpplan` with these arguments, in an empty folder or in `cwd`, with `env` added; unfolds stderr."""

    def run(*arguments: str, cwd: Path = tmp_path, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "dpplan", *arguments],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
            encoding="utf-8",
        )
        done.stderr = unwrapped(done.stderr)
        return done

    return run
