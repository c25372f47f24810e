"""Where results go: tables and colour on a terminal, plain text elsewhere, remarks to stderr."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from dpplan.accounting.bound import Bound
from dpplan.render.bound_text import headline
from dpplan.render.table import COLOURS, Meaning, Table, notes, plain, rich, wrapped

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
explain_option = click.option("--explain", is_flag=True, help="Say how each figure came about.")
PATIENCE = 1.0  # seconds of waiting that need no explanation


def is_terminal() -> bool:
    return sys.stdout.isatty()


def paint(text: str, meaning: Meaning) -> str:
    """The text in the colour of its meaning, where there is colour (see https://no-color.org)."""
    colour = COLOURS[meaning]
    if not colour or not is_terminal() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return click.style(text, fg=colour)


def say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def show(table: Table) -> None:
    """The table, and its notes below."""
    if not is_terminal():
        say(plain(table))
        return
    screen, widest = console(), max(map(len, plain(table)))
    screen.width = max(screen.width, widest + 2)  # on a narrow screen a line that wraps is better than a cut figure
    screen.print(rich(table))
    say(notes(table))


def answers(given: Sequence[tuple[float, Bound]]) -> None:
    """One answer as a headline, several as a table; then an empty line."""
    if len(given) == 1:
        (at, bound), *_ = given
        say([headline(bound, at, paint), ""])
        return
    from dpplan.render import cost

    show(cost.answers(given))
    say([""])


def as_json(content: dict[str, Any]) -> None:
    from dpplan.render.to_json import dumps

    click.echo(dumps(content, indent=2))


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        for line in wrapped(f"warning: {warning}"):
            click.echo(line, err=True)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr for work that takes longer than a second; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        update: Callable[[int, int], None] | None = None

        def report(done: int, total: int) -> None:
            nonlocal update
            spent = time.monotonic() - started
            if update is None and spent > 0.2 and spent * total > PATIENCE * done:
                update = stack.enter_context(_bar(what))
            if update is not None:
                update(done, total)

        yield report


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"  {what}"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def status(what: str, needed: bool = True) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is being done, while it is; nothing where it is not needed or nobody watches."""
    if not needed or not sys.stderr.isatty():
        yield lambda sentence: None
        return
    with console(err=True).status(f"  {what}") as shown:
        yield lambda sentence: shown.update(f"  {what}: {sentence}")


def console(err: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=err, highlight=False)
