"""Where results go: tables and colour on a terminal, plain text elsewhere, remarks to stderr."""

import dataclasses
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from dpplan.accounting.bound import Bound
from dpplan.commands.shared import json_error
from dpplan.render.bound_text import headline
from dpplan.render.plain_words import aligned, can_write, in_words
from dpplan.render.table import COLOURS, Meaning, Table, TableCell, fitted, folded, notes, plain, rich, wrapped
from dpplan.visible_text import visible

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
explain_option = click.option("--explain", is_flag=True, help="Say how each figure came about.")
# `paint` begins and ends a colour by marks that no text of a user's can hold, as nobody can guess the word before them;
# when all else was made visible, only the last character is kept, a control that nothing else then has any more.
_WORD = f"\x00{os.urandom(8).hex()}"
_END, _BEGIN = (
    "\x01",
    MappingProxyType({colour: chr(2 + at) for at, colour in enumerate(filter(None, COLOURS.values()))}),
)
_COLOUR_OF = MappingProxyType({mark: colour for colour, mark in _BEGIN.items()})
_PAINTED = re.compile(f"{_WORD}([{_END}{''.join(_COLOUR_OF)}])")
_MARK = re.compile(f"[{_END}{''.join(_COLOUR_OF)}]")
PATIENCE = 1.0  # seconds of waiting that need no explanation


def is_terminal() -> bool:
    return sys.stdout.isatty()


def paint(text: str, meaning: Meaning) -> str:
    """The text in the colour of its meaning, where there is colour (see https://no-color.org). `say` and `as_shown`
    make colours of it: a code that a text brings along is none of ours, and is shown."""
    colour = COLOURS[meaning]
    return f"{_WORD}{_BEGIN[colour]}{text}{_WORD}{_END}" if colour and _is_painted() else text


def _is_painted() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns() -> int | None:
    """How wide the output may be: as the terminal, or as COLUMNS says; None where nobody looks."""
    return shutil.get_terminal_size((0, 0)).columns or None


def say(lines: Iterable[str]) -> None:
    """Prints lines; those that are wider than the terminal are folded between words."""
    for line in as_shown(lines):
        click.echo(line)


def as_shown(lines: Iterable[str]) -> Iterator[str]:
    """Lines in what the stream can write, folded where they are wider than the terminal, and in their colours."""
    limit, encoding = columns(), getattr(sys.stdout, "encoding", None)
    for line in lines:
        marked = aligned(_seen(line), encoding)
        bare = _MARK.sub("", marked)
        parts = list(fitted(bare, limit)) if limit and len(bare) > limit else [bare]
        yield from parts if bare == marked else _in_colour(parts, list(_colours(marked)))


def _seen(line: str) -> str:
    """The line with what cannot be seen written out, but for the marks of `paint`."""
    return "".join(part if number % 2 else visible(part) for number, part in enumerate(_PAINTED.split(line)))


def _colours(marked: str) -> Iterator[str]:
    """The colour of each character but spaces, "" for none."""
    colour = ""
    for each in marked:
        if _MARK.match(each):
            colour = _COLOUR_OF.get(each, "")
        elif not each.isspace():
            yield colour


def _in_colour(parts: Iterable[str], colours: Sequence[str]) -> Iterator[str]:
    """The parts that a line was folded into, which has these colours: spaces come and go, and nothing else does."""
    at = 0
    for part in parts:
        written, spaces, colour = "", "", ""
        for each in part:
            if each.isspace():
                spaces += each
                continue
            wanted, at = colours[at], at + 1
            if wanted != colour:
                end = click.style("", reset=True) if colour else ""
                written, spaces = written + end + spaces, ""
                written += click.style("", fg=wanted, reset=False) if wanted else ""
            written, spaces, colour = f"{written}{spaces}{each}", "", wanted
        yield written + (click.style("", reset=True) if colour else "") + spaces


def show(table: Table) -> None:
    """The table, and its notes below. What is wider than the terminal is shown a few columns at a time."""
    table, limit = _spelt(table), columns()
    for number, part in enumerate([table] if limit is None else folded(table, limit - 2 * is_terminal())):
        if number:
            say([""])
        widest = max(map(len, plain(dataclasses.replace(part, notes=()))))
        if not is_terminal():
            say(plain(part))
            continue
        if limit is not None and widest + 2 > limit:  # rich would cut its cells
            _say_stacked(part, "─" * min(widest, limit))
            continue
        screen = console()
        screen.width = max(screen.width, widest + 2)
        screen.print(rich(part))
        say(notes(part))


def _say_stacked(table: Table, rule: str) -> None:
    """A table that is too wide for the screen: its lines folded, in the colours that it has where there is room."""
    heading, *lines = plain(dataclasses.replace(table, notes=()))
    for part in as_shown([heading]):
        click.echo(click.style(part, bold=True) if _is_painted() else part)
    click.echo(rule)
    for row, line in zip(table.rows, lines, strict=True):
        say([_row_painted(line, row)])
    say(notes(table))


def _row_painted(line: str, row: Sequence[TableCell]) -> str:
    """The line of a row with its cells in their colours; they stand in it one after the other."""
    painted, rest = "", line
    for cell in (each for each in row if each.text):
        before, found, rest = rest.partition(cell.text)
        painted += before + paint(found, cell.meaning)
    return painted + rest


def _spelt(table: Table) -> Table:
    """The table in what the stream can write, before its columns are measured."""
    encoding = getattr(sys.stdout, "encoding", None)

    def spelt(text: str) -> str:
        return in_words(visible(text), encoding)

    return dataclasses.replace(
        table,
        columns=tuple(column._replace(name=spelt(column.name)) for column in table.columns),
        rows=tuple(tuple(cell._replace(text=spelt(cell.text)) for cell in row) for row in table.rows),
    )


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

    click.echo(dumps(content, indent=2, ascii_only=not can_write(getattr(sys.stdout, "encoding", None))))
    json_error.printed()


def warn(warnings: Iterable[str]) -> None:
    _remark("warning", warnings)


def note(notes: Iterable[str]) -> None:
    """What is no fault, and good to know before it is too late."""
    _remark("note", notes)


def _remark(label: str, remarks: Iterable[str]) -> None:
    for remark in remarks:
        for line in wrapped(in_words(visible(f"{label}: {remark}"), getattr(sys.stderr, "encoding", None))):
            click.echo(line, err=True)


def console(err: bool = False) -> "Console":
    from rich.console import Console

    return Console(stderr=err, highlight=False)
