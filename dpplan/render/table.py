"""A table: built once, shown as plain aligned text or in colour. Colour repeats what a cell says, never adds to it."""

import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from dpplan.quick_dataclass import dataclass

if TYPE_CHECKING:
    from rich.table import Table as RichTable

WIDTH = 80
LEAST_WIDTH = 30  # below that a word to a line is no help
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
    """Rows of cells under named columns. notes: sentences that are too long for a cell; they stand below. keys: how
    many of the first columns it takes to tell rows apart."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()
    keys: int = 1


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


def folded(table: Table, width: int) -> list[Table]:
    """The table where it is no wider than that, else its columns in several tables, each with the keys again.

    A table of one column beside the keys may still be wider: its cells are sentences, which `say` can fold.
    """
    widths = [
        max(len(text) for text in (column.name, *(row[at].text for row in table.rows)))
        for at, column in enumerate(table.columns)
    ]
    groups: list[list[int]] = []
    keys = list(range(table.keys))
    for at in range(table.keys, len(widths)):
        beside = groups[-1] if groups else None
        if beside and sum(2 + widths[each] for each in (*keys, *beside, at)) - 2 <= width:
            beside.append(at)
        else:
            groups.append([at])
    if len(groups) < 2:
        return [table]
    parts = [[*keys, *group] for group in groups]
    return [
        Table(
            tuple(table.columns[at] for at in part),
            tuple(tuple(row[at] for at in part) for row in table.rows),
            table.notes if part is parts[-1] else (),
            table.keys,
        )
        for part in parts
        if any(table.columns[at].name or any(row[at].text for row in table.rows) for at in part[table.keys :])
    ]


def notes(table: Table) -> Iterator[str]:
    """The notes, wrapped, with an empty line before the first."""
    if table.notes:
        yield ""
    for note in table.notes:
        yield from wrapped(note)


def screen_width() -> int:
    """Columns for what is read as text: those of the terminal (or COLUMNS), and no more than 80."""
    return max(LEAST_WIDTH, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def wrapped(sentence: str, indent: int = 0) -> list[str]:
    """The sentence at no more than 80 columns, with the lines it goes on to indented by two more."""
    return list(fitted(textwrap.indent(sentence, " " * indent)))


def fitted(message: str, width: int | None = None) -> Iterator[str]:
    """A message of several lines at no more columns than the screen has; each line keeps its indentation.

    No word is broken, so that a path or a number stays one.
    """
    columns = screen_width() if width is None else width
    for line in message.splitlines():
        if len(line) <= columns:
            yield line
            continue
        lead, text = len(line) - len(line.lstrip()), line.lstrip()
        # A heading over one column is moved to its left rather than broken.
        lead = max(min(lead, columns - len(text.split(maxsplit=1)[0])), 0)
        indent = " " * (lead + 2)
        for part, begin in _cells_fitted(" " * lead + text, columns, indent):
            yield from textwrap.wrap(
                part,
                columns,
                initial_indent=begin,
                subsequent_indent=begin if begin == indent else indent,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _cells_fitted(line: str, width: int, indent: str) -> Iterator[tuple[str, str]]:
    """Pieces of a line, each with its indentation: a break comes before a cell (after two spaces) if it can."""
    begin = line[: len(line) - len(line.lstrip())]
    kept = ""
    for piece in re.split(r"(?<=\S)( {2,})(?=\S)", line.strip()):
        if piece.isspace() or len(begin) + len(kept) + len(piece) <= width or not kept.strip():
            kept += piece
            continue
        yield kept.strip(), begin
        begin, kept = indent, piece
    yield kept.strip(), begin


def _aligned(texts: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> Iterator[str]:
    for text, width, column in zip(texts, widths, columns, strict=True):
        yield text.rjust(width) if column.numeric else text.ljust(width)
