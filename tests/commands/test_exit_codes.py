"""Exit codes 4 and 5: a bug is told from a machine that fails, and neither from a mistake of the call."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import forked
import numpy as np
import pytest
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan import accounting, errors
from dpplan.errors import DpplanError, InputOutputFailed, InternalError, UsageError, file_error

Run = Callable[..., CompletedProcess[str]]
EPSILON = ["epsilon", "--sigma", "4", "--q", "0.01", "--steps", "10000", "--delta", "1e-5"]
FULL = Path("/dev/full")
UNREADABLE = "/proc/self/mem"  # is there, and reading its beginning fails, for root too
needs_linux = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full and /proc")


def through_a_shell(redirection: str, *arguments: str) -> CompletedProcess[str]:
    """`python -m dpplan` with these redirections."""
    script = f'"{sys.executable}" -m dpplan "$@" {redirection}'
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as users have it
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        env={**buffered, "OMP_NUM_THREADS": "1"},
        capture_output=True, check=False, text=True, timeout=60, encoding="utf-8",
    )  # fmt: skip


def test_every_class_of_errors_has_the_code_that_its_tree_says() -> None:
    tree = (errors.__doc__ or "").splitlines()
    stated = {
        line.split("exit")[0].strip("│├└─ "): int(line.split("exit")[1].split()[0])
        for line in tree
        if "exit " in line and "──" in line
    }
    classes = {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, DpplanError)
    }
    assert {name: classes[name].exit_code for name in stated} == stated
    assert {"InternalError", "InputOutputFailed", "NotCertified"} <= set(stated)


@pytest.mark.sweep(every=3)
@needs_linux
@pytest.mark.parametrize("more", [(), ("--json",), ("--accountant", "all")])
def test_an_answer_that_cannot_be_written_is_5(more: tuple[str, ...]) -> None:
    done = through_a_shell("> /dev/full", *EPSILON, *more)
    assert (done.returncode, done.stderr) == (5, "error: input or output failed: No space left on device.\n")


@pytest.mark.sweep(every=2)
@needs_linux
@pytest.mark.parametrize("call", [["--help"], ["check", "--explain", "all"], ["help", "certificate"], ["--version"]])
def test_help_that_cannot_be_written_is_5(call: list[str]) -> None:
    assert through_a_shell("> /dev/full", *call).returncode == 5


@needs_linux
def test_an_error_that_cannot_be_told_keeps_its_code() -> None:
    assert through_a_shell("2> /dev/full", *EPSILON, "--max-eps", "0.9").returncode == 1
    assert through_a_shell("2> /dev/full", *EPSILON, "--accountant", "zcdp").returncode == 3
    assert through_a_shell("2> /dev/full", "epsilon").returncode == 2
    assert through_a_shell("> /dev/full 2>&1", *EPSILON).returncode == 5


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_closed_output_is_5_and_a_closed_input_or_error_stream_is_nothing() -> None:
    closed = through_a_shell(">&-", *EPSILON)
    assert (closed.returncode, closed.stdout) == (5, "")
    assert closed.stderr == "error: standard output is closed, so there is no place for the answer.\n"
    fine = through_a_shell("<&- 2>&-", *EPSILON)
    assert (fine.returncode, fine.stdout.split(" at")[0]) == (0, "ε = 0.946867")
    assert through_a_shell("2>&-", *EPSILON, "--max-eps", ".9").returncode == 1
    assert through_a_shell("<&- >&- 2>&-", *EPSILON).returncode == 5


@needs_linux
@pytest.mark.parametrize(
    "call",
    [
        ["check", UNREADABLE, "--n", "1000"],
        ["train", UNREADABLE, "--dry-run"],
        ["compare", "plans", UNREADABLE, UNREADABLE],
        ["verify", UNREADABLE],
        ["risk", UNREADABLE],
        ["report", UNREADABLE],
    ],
)
def test_a_file_that_is_there_and_cannot_be_read_is_5(dpplan: Run, call: list[str]) -> None:
    done = dpplan(*call)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"error: {UNREADABLE}: cannot be read: Input/output error.\n"


@needs_linux
def test_phases_that_cannot_be_read_are_5(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "phases.json").symlink_to(UNREADABLE)
    done = dpplan("epsilon", "--phases", "phases.json", "--delta", "1e-5")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "error: phases.json: cannot be read: Input/output error.\n"


@needs_linux
def test_a_table_or_a_picture_that_cannot_be_written_is_5(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(FULL)
    (tmp_path / "a.svg").symlink_to(FULL)
    small = ("--target-eps", "3", "--n", "60000", "--batch", "2048", "--epochs", "10", "--workers", "1")
    done = dpplan("frontier", *small, "--csv", "a.csv")
    assert (done.returncode, "--csv=a.csv cannot be written: No space left on device." in done.stderr) == (5, True)
    drawn = dpplan("curve", *EPSILON[1:-2], "--over", "delta", "--points", "2", "--plot", "a.svg")
    assert (drawn.returncode, "--plot=a.svg cannot be written: No space left on device." in drawn.stderr) == (5, True)


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", ["nowhere.yaml", "folder", "file/below.yaml", "x" * 300])
def test_a_name_that_leads_nowhere_stays_a_mistake_of_the_call(dpplan: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for command in ("check", "verify", "risk", "report"):
        assert dpplan(command, name).returncode == 2


def test_what_the_user_can_mend_is_told_from_what_the_machine_does() -> None:
    mistakes = (
        FileNotFoundError(2, "no"),
        IsADirectoryError(21, "no"),
        NotADirectoryError(20, "no"),
        OSError("bad content"),
    )
    assert {type(file_error("x", error)) for error in mistakes} == {UsageError}
    machine = (PermissionError(13, "no"), OSError(5, "no"), OSError(28, "no"), OSError(24, "no"), OSError(122, "no"))
    assert {type(file_error("x", error)) for error in machine} == {InputOutputFailed}
    assert (
        str(file_error("x.yaml: cannot be read", PermissionError(13, "Permission denied")))
        == "x.yaml: cannot be read: Permission denied."
    )


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(accounting, "epsilon", fail)
    monkeypatch.delenv("DPPLAN_TRACEBACK", raising=False)
    return program.run(EPSILON)


class OutOfMemoryError(RuntimeError):
    """What torch raises for a GPU."""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InternalError("two proofs contradict each other"), 4, "error: two proofs contradict each other"),
        (AssertionError("never"), 4, "internal error: AssertionError: never."),
        (RecursionError("too deep"), 4, "internal error: RecursionError: too deep."),
        (OverflowError("too large"), 4, "internal error: OverflowError: too large."),
        (InputOutputFailed("disk full"), 5, "error: disk full"),
        (PermissionError(13, "Permission denied", "/x/y"), 5, "error: /x/y: Permission denied."),
        (OSError(28, "No space left on device"), 5, "error: input or output failed: No space left on device."),
        (MemoryError(), 5, "error: memory ran out; nothing was certified."),
        (OutOfMemoryError("CUDA out of memory"), 5, "error: memory ran out; nothing was certified."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 5, "error: memory ran out; nothing was"),
        (RuntimeError("anything else"), 4, "internal error: RuntimeError: anything else."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)  # fmt: skip
def test_each_failure_has_its_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    assert failing(monkeypatch, error) == code
    out, err = capsys.readouterr()
    err = unwrapped(err)
    assert (out, len(err.splitlines()), err.startswith(said)) == ("", 1, True)


def test_an_array_that_does_not_fit_is_told_as_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(2**60, dtype=np.uint8)
    assert failing(monkeypatch, caught.value) == 5
    assert capsys.readouterr().err.startswith("error: memory ran out")


@needs_linux
def test_a_run_learns_of_a_full_disk_before_its_first_step(tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "digits.yaml"
    (tmp_path / "empty").mkdir()
    told = tmp_path / "err"
    process = forked.started("train", str(recipe), cwd=tmp_path / "empty", streams=[FULL, told])
    process.join(forked.PATIENCE)
    assert process.exitcode == 5
    *notes, error = told.read_text(encoding="utf-8").splitlines()
    assert error == "error: input or output failed: No space left on device."
    assert not notes or notes[0].startswith("note: DP001")  # of the recipe, which has one
    assert list((tmp_path / "empty").iterdir()) == []
