"""What is on the screen while somebody waits."""

import contextlib
import importlib
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from dpplan.commands.shared import waiting

pty = pytest.importorskip("pty")


@contextlib.contextmanager
def screen(encoding: str = "utf-8") -> Iterator[Callable[[], str]]:
    """A terminal in the place of stderr; what it shows."""
    parent, child = pty.openpty()
    drawn_on = io.TextIOWrapper(io.FileIO(child, "w"), encoding, errors="backslashreplace", write_through=True)
    before, sys.stderr = sys.stderr, drawn_on

    def shown() -> str:
        there, _, _ = select.select([parent], [], [], 1.0)
        if there:
            time.sleep(0.05)  # the rest of what is being drawn
        return os.read(parent, 65536).decode(errors="replace") if there else ""

    try:
        yield shown
    finally:
        sys.stderr.close()
        sys.stderr = before
        os.close(parent)


@pytest.fixture(autouse=True)
def a_terminal_that_can_be_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def wait() -> None:
    """Until it has to be there, with what it takes to load the screen; a busy machine has a second more to draw it."""
    import rich.progress  # noqa: F401

    time.sleep(waiting.PATIENCE + 0.1)


def test_the_real_total_is_there_before_anything_is_done() -> None:
    with screen() as shown, waiting.progress("cells", 1234):
        wait()
        assert "0/1234" in shown()


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("encoding", "said"), [("utf-8", "looking for ε"), ("ascii", "looking for eps")])
def test_what_turns_and_what_is_said_is_what_the_screen_can_write(encoding: str, said: str) -> None:
    with screen(encoding) as shown, waiting.status("looking for ε"):
        wait()
        drawn = shown()
    assert said in drawn
    assert "\\u" not in drawn
    assert any("⠀" <= each <= "⣿" for each in drawn) == (encoding == "utf-8")


def test_what_was_said_before_it_was_shown_is_shown() -> None:
    with screen() as shown, waiting.progress("cells", 10) as report:
        assert report is not None
        report(7, 10)
        wait()
        assert "7/10" in shown()


def test_a_line_says_what_is_being_done() -> None:
    with screen() as shown, waiting.status("searching") as say:
        say("for n")
        wait()
        assert "searching: for n" in shown()


def test_what_is_done_at_once_shows_nothing() -> None:
    with screen() as shown:
        with waiting.status("searching"):
            pass
        print("end", file=sys.stderr)
        assert shown().strip() == "end"


def test_nobody_waits_where_stderr_is_no_terminal() -> None:
    with waiting.progress("cells", 3) as report:
        assert report is None


COMPUTING = (
    "audit compare_accountants compare_plans compare_samplers compare_theorems compare_tuning compare_units curve"
)
COMPUTING += " check delta epsilon frontier report risk solve train tune verify"


@pytest.mark.parametrize("command", COMPUTING.split())
def test_every_command_that_computes_says_so(command: str) -> None:
    shown = importlib.import_module(f"dpplan.commands.{command}")
    assert shown.waiting is waiting
