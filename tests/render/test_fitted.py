"""Lines and tables that are wider than the screen."""

import re

import pytest

from dpplan.render.table import Column, Table, TableCell, fitted, folded, plain, screen_width

TABLE = Table(
    (Column("accountant"), Column("ε", numeric=True), Column("guarantee"), Column("a long note")),
    tuple((TableCell(name), TableCell("2.69677"), TableCell("certified"), TableCell("x" * 20)) for name in ("a", "b")),
    ("a note",),
)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_a_table_is_folded_by_columns_and_loses_none(width: int) -> None:
    parts = folded(TABLE, width)
    lines = [line for part in parts for line in plain(part)]
    assert max(map(len, lines)) <= max(width, 36)
    assert {column.name for part in parts for column in part.columns} == {column.name for column in TABLE.columns}
    assert all(part.columns[0] == TABLE.columns[0] for part in parts)
    assert [part.notes for part in parts if part.notes] == [("a note",)]


@pytest.mark.parametrize("width", [30, 40, 60])
def test_no_number_is_cut_and_no_word_is_lost(width: int) -> None:
    line = "  sample rate        0.00426667       = 256 / 60000, certified: 2.69676235 ≤ ε ≤ 2.69676236"
    found = list(fitted(line, width))
    assert max(map(len, found)) <= width
    assert " ".join(found).split() == line.split()
    assert {"0.00426667", "2.69676235"} <= set(re.findall(r"[\d.]+\d", " ".join(found)))


def test_what_fits_stays_as_it_is() -> None:
    line = "  sample rate        0.00426667       = 256 / 60000"
    assert list(fitted(line, 80)) == [line]


def test_text_is_as_wide_as_the_screen_and_no_wider_than_80(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, width in (("40", 40), ("80", 80), ("200", 80), ("10", 30)):
        monkeypatch.setenv("COLUMNS", columns)
        assert screen_width() == width


@pytest.mark.parametrize("width", [24, 30])
def test_columns_that_tell_rows_apart_are_in_every_part(width: int) -> None:
    cells = [
        [TableCell(text) for text in row]
        for row in (("poisson", "zero-out", "1.5", "2.5"), ("poisson", "add", "3", "4"))
    ]
    columns = tuple(map(Column, ("sampling", "neighbours", "at most", "at least")))
    parts = folded(Table(columns, tuple(map(tuple, cells)), keys=2), width)
    assert [[column.name for column in part.columns] for part in parts] == [
        ["sampling", "neighbours", "at most"],
        ["sampling", "neighbours", "at least"],
    ]
    assert all(len({tuple(cell.text for cell in row[:2]) for row in part.rows}) == 2 for part in parts)


def test_a_heading_far_to_the_right_is_moved_and_not_broken() -> None:
    assert list(fitted(" " * 24 + "tutorial-20k-sgd", 36)) == [" " * 20 + "tutorial-20k-sgd"]
    assert list(fitted("    " + "x" * 50, 36)) == ["x" * 50]
