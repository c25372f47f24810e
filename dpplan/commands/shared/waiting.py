"""What is on the screen while somebody waits: a bar where the work is counted, else a line. On stderr, and only there.

Nothing is shown for what is done at once, and something within half a second of the start of what is not.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dpplan.render.plain_words import can_write, in_words

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE = 0.25  # seconds before anything is shown; loading what shows it takes as long again


class _Later:
    """Something that is shown once PATIENCE is over, with what was said last until then, and taken away at the end."""

    def __init__(self, show: Callable[[], contextlib.AbstractContextManager[Callable[..., None]]]) -> None:
        self._show, self._over = show, False
        self._said: tuple[object, ...] = ()
        self._update: Callable[..., None] | None = None
        self._open, self._lock = contextlib.ExitStack(), threading.Lock()
        self._timer = threading.Timer(PATIENCE, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def say(self, *what: object) -> None:
        with self._lock:
            self._said = what
            if self._update is not None:
                self._update(*what)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            self._open.close()

    def _begin(self) -> None:
        with self._lock:
            if self._over:
                return
            self._update = self._open.enter_context(self._show())
            if self._said:
                self._update(*self._said)


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int, int], None] | None]:
    """A bar, for work that is counted: report(done, total). total: as far as it is known before anything is done."""
    if not sys.stderr.isatty():
        yield None
        return
    later = _Later(lambda: _bar(what, total))
    try:
        yield later.say
    finally:
        later.end()


@contextlib.contextmanager
def status(what: str, needed: bool = True) -> Iterator[Callable[[str], None]]:
    """A line that says what is being done, and at what it is: say(sentence). Nothing where it is not needed."""
    if not needed or not sys.stderr.isatty():
        yield lambda sentence: None
        return
    later = _Later(lambda: _line(what))
    try:
        yield later.say
    finally:
        later.end()


@contextlib.contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"  {what}"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console(), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextlib.contextmanager
def _line(what: str) -> Iterator[Callable[..., None]]:
    encoding = getattr(sys.stderr, "encoding", None)
    turning = "dots" if can_write(encoding, "⠋") else "line"  # which rich writes whether the screen can or not
    with _console().status(in_words(f"  {what}", encoding), spinner=turning) as shown:
        yield lambda sentence: shown.update(in_words(f"  {what}: {sentence}", encoding))


def _console() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)
