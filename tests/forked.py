"""The command as a person runs it, in a process of its own: in a fresh interpreter, or forked from one that has loaded
everything, which saves the seconds that loading takes and shows all but what is loaded. What stderr shows is unfolded.
"""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
from unwrap import unwrapped

PACKAGE = Path(__file__).parents[1] / "dpplan"
MODULES = [
    "dpplan." + ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    for file in sorted(PACKAGE.rglob("*.py"))
    if file.stem != "__init__" and "prove" not in file.parts  # those raise where flint is missing
]


class _Process(ForkServerProcess):
    def start(self) -> None:
        """The server begins with the first process. Its path has this folder, for forked_server.py, and no other of
        the tests."""
        with pytest.MonkeyPatch.context() as patch:
            path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parent)]))
            patch.setenv("PYTHONPATH", path)
            forkserver.ensure_running()
        super().start()


class _Context(ForkServerContext):
    Process = _Process


# Every test that forks uses this server; there is one for each pytest process. It runs no product of matrices itself:
# a fork of a process in which OpenMP has threads may hang.
PROCESSES = _Context()
PROCESSES.set_forkserver_preload(
    [
        *MODULES,
        *("flint", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.figure", "pytest"),
        *("rich.progress", "scipy.special", "sklearn.datasets", "torch._dynamo", "yaml", "forked_server"),
    ]
)
PATIENCE = 300  # seconds until a test gives up; some share a machine


def dpplan(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`dpplan` with these arguments, in `cwd` and with `env` added, in a forked process."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory(prefix="dpplan-tests-streams-") as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = started(*words, cwd=cwd, streams=streams, **env)
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            pytest.fail(f"dpplan {' '.join(words)}: not done after {PATIENCE} s")
        out, err = (stream.read_text(encoding="utf-8") for stream in streams)
    return subprocess.CompletedProcess(words, process.exitcode, out, unwrapped(err))


def started(*words: str, cwd: Path, streams: Sequence[Path], **env: str) -> ForkServerProcess:
    """The same, under way; streams: the files that are its standard output and error."""
    for stream in streams:
        if not stream.exists():
            stream.touch()
    process = PROCESSES.Process(target=_command, args=(words, cwd, _environment(env), streams))
    process.start()
    return process


def fresh_dpplan(*arguments: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The same in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "dpplan", *map(str, arguments)],
        cwd=cwd,
        env=_environment(env),
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
        encoding="utf-8",
    )
    done.stderr = unwrapped(done.stderr)
    return done


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def _command(words: Sequence[str], cwd: Path, env: dict[str, str], streams: Sequence[Path]) -> None:
    import torch

    from dpplan import __main__ as program

    assert "forked_server" in sys.modules, "the server has not found forked_server.py"
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    torch.set_num_threads(int(env["OMP_NUM_THREADS"]))
    for number, stream in enumerate(streams, 1):
        opened = os.open(stream, os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding="utf-8", line_buffering=number == 2)
        for number in (1, 2)
    )
    sys.argv = ["dpplan", *words]
    program.main()
