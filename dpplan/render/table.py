"""A table: built once, shown as plain aligned text or in colour. Colour repeats what a cell says, never adds to it."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table as RichTable

WIDTH = 80
Meaning = Literal["certified", "upper", "estimate", "lower", "bad", ""]
# What each meaning looks like on a terminal. A proven bound that may be loose needs no colour.
COLOURS: dict[Meaning, str] = {
    "certified": "green",
    "estimate": "yellow",
    "bad": "red",
    "upper": "",
    "lower": "",
    "": "",
}


class TableCell(NamedTuple):
    text: str
    meaning: Meaning = ""


class Column(NamedTuple):
    name: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under named columns. notes: sentences that are too long for a cell; they stand below."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()


def plain(table: Table) -> Iterator[str]:
    """Aligned text, the same every time."""
    names = [column.name for column in table.columns]
    texts = [names, *([cell.text for cell in row] for row in table.rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(names))]
    for row in texts:
        yield "  ".join(_aligned(row, widths, table.columns)).rstrip()
    yield from notes(table)


def rich(table: Table) -> "RichTable":
    """The same table for a terminal, without its notes."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for column in table.columns:
        drawn.add_column(column.name, justify="right" if column.numeric else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(cell.text, style=COLOURS[cell.meaning]) for cell in row))
    return drawn


def notes(table: Table) -> Iterator[str]:
    """The notes, wrapped, with an empty line before the first."""
    if table.notes:
        yield ""
    for note in table.notes:
        yield from wrapped(note)


def wrapped(sentence: str, indent: int = 0) -> list[str]:
    """The sentence at no more than 80 columns, with the lines it goes on to indented by two more."""
    return list(fitted(textwrap.indent(sentence, " " * indent)))


def fitted(message: str) -> Iterator[str]:
    """A message of several lines at no more than 80 columns; each line keeps its indentation."""
    for line in message.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        yield from textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _aligned(texts: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> Iterator[str]:
    for text, width, column in zip(texts, widths, columns, strict=True):
        yield text.rjust(width) if column.numeric else text.ljust(width)
