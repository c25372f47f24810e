"""Tables: every row arrives with its class, and what cannot be used is told with its line and column."""

import datetime
import decimal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from data_files import load, refusal, rows, write
from pyarrow import parquet

# Eight rows; the classes are ant, cat and dog.
TABLE = """age,kind,size
1,cat,2.5
2,dog,3
3,cat,1e-1
4,ant,0
5,cat,-1
6,dog,7
7,ant,.5
8,ant,1
"""
KINDS = [1, 2, 1, 0, 1, 2, 0, 0]
SIZES = [2.5, 3, float(np.float32(0.1)), 0, -1, 7, 0.5, 1]
ROWS = sorted((age, size, kind) for age, size, kind in zip(range(1, 9), SIZES, KINDS, strict=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table,
        lambda table: "\ufeff" + table,  # as spreadsheets begin a file
        lambda table: table.replace("\n", "\r\n"),
        lambda table: table.replace("\n3", "\n\n3").rstrip("\n"),
        lambda table: table.replace(",", " , "),
        lambda table: table.replace("cat", '"cat"').replace("\n4,", '\n"4",').replace("kind", '"kind"'),
    ],
    ids=["plain", "mark", "windows", "empty lines", "spaces", "quotes"],
)
def test_a_table_is_read_however_it_was_written(tmp_path: Path, change: Callable[[str], str]) -> None:
    write(tmp_path, "t.csv", change(TABLE))
    made = load(tmp_path, "t.csv", target="kind")
    assert (made.classes, rows(made)) == (3, ROWS)


def test_quoted_names_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    names = {"cat": '"cat, small"', "dog": '"the ""dog"""', "ant": '"an\nant"'}
    text = TABLE
    for name, quoted in names.items():
        text = text.replace(name, quoted)
    write(tmp_path, "t.csv", text)
    assert rows(load(tmp_path, "t.csv", target="kind")) == ROWS
    write(tmp_path, "t.csv", text.replace("\n8,", "\nx,"))
    assert "t.csv:11: column 'age' holds 'x', which is not a number." in refusal(tmp_path, "t.csv", target="kind")


def test_classes_that_are_numbers_are_numbered_by_value(tmp_path: Path) -> None:
    write(tmp_path, "t.csv", "a,target\n" + "".join(f"{row},{8 + row % 3}\n" for row in range(9)))
    assert rows(load(tmp_path, "t.csv")) == [(row, row % 3) for row in range(9)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("3,cat", "3", "t.csv:4: has 2 fields, the first line 3."),
        ("3,cat", "3,cat,9", "t.csv:4: has 4 fields, the first line 3."),
        ("3,cat", ",cat", "t.csv:4: column 'age' is empty. Drop the row, or fill in a constant that is public."),
        ("3,cat", "NA,cat", "t.csv:4: column 'age' holds 'NA', which is not a number. Drop the column, or give each"),
        ("3,cat", "nan,cat", "t.csv:4: column 'age' holds nan, not a finite number of float32. Drop the row, or"),
        ("3,cat", "1e39,cat", "t.csv:4: column 'age' holds 1e+39, not a finite number of float32."),
        ("3,cat", "-inf,cat", "t.csv:4: column 'age' holds -inf, not a finite number of float32."),
        ("3,cat", '"3,5",cat', "t.csv:4: column 'age' holds '3,5', which is not a number."),
        ("3,cat", "3,", "t.csv:4: column 'kind' is empty, and is the class. Drop the row."),
        ("3,cat", "3,NaN", "t.csv:4: column 'kind' is NaN, and is the class. Drop the row."),
        ("3,cat", '"3,cat', "t.csv:4: this is not .csv: unexpected end of data."),
        ("3,cat", '3,"cat"s', "t.csv:4: this is not .csv: ',' expected after '\"'."),
        ("kind", "Kind", "t.csv has no column data.target=kind. Its columns: age, Kind, size. Set data.target"),
        ("age,", "size,", "t.csv: size names more than one column."),
        ("age,", ",", "t.csv: column 1 has no name. If it is the index that pandas writes, save with index=False."),
        (",", ";", "data.target=kind. Its first line is 'age;kind;size': cells are separated by semicolons, and have"),
        (",", "\t", "data.target=kind. Its first line is 'age\\tkind\\tsize': cells are separated by tabs, and"),
        (TABLE, "age;kind\n1,5;a\n2,5;b\n", "t.csv: its first line is 'age;kind': cells are separated by semic"),
        (TABLE[:13], "1,2,3", "t.csv: the first line is data (1, 2, 3); the names of the columns belong there."),
        (TABLE[14:], "\n", "t.csv has a line with names and no rows."),
        (TABLE, "", "t.csv is empty."),
        (TABLE, "\n\n", "t.csv is empty."),
        (TABLE, "kind\na\nb\na\nb\n", "t.csv has no column besides 'kind', so nothing to learn from."),
        (TABLE, "age,kind\n1,a\n2,a\n", "t.csv: column 'kind': every target is 'a'. A classifier needs at least two"),
        (TABLE, "age,kind\n1,1.5\n2,2.5\n", "t.csv: column 'kind': 2 examples have 2 different targets ('1.5', '2.5')"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_says_where_and_why(tmp_path: Path, old: str, new: str, said: str) -> None:
    write(tmp_path, "t.csv", TABLE.replace(old, new))
    assert said in refusal(tmp_path, "t.csv", target="kind")


def test_all_columns_that_cannot_be_used_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "t.csv", TABLE.replace("3,cat", "x,cat").replace("6,dog,7", "6,dog,").replace("ant", ""))
    assert refusal(tmp_path, "t.csv", target="kind").splitlines() == [
        "3 problems with this recipe",
        "  t.csv:4: column 'age' holds 'x', which is not a number. Drop the column, or give each of its values a "
        "column of 0 and 1.",
        "  t.csv:7: column 'size' is empty. Drop the row, or fill in a constant that is public.",
        "  t.csv:5: column 'kind' is empty, and is the class. Drop the row.",
    ]
    names = [f"c{number}" for number in range(9)]
    write(tmp_path, "t.csv", ",".join([*names, "target"]) + "\n" + "x," * 9 + "1\n")
    said = refusal(tmp_path, "t.csv").splitlines()
    assert (len(said), said[-1]) == (7, "  t.csv: 4 more columns cannot be used.")
    assert said[0] == "9 problems with this recipe"


def test_the_column_that_was_meant_is_guessed_but_not_from_the_default(tmp_path: Path) -> None:
    write(tmp_path, "t.csv", TABLE)
    assert refusal(tmp_path, "t.csv", target="kinds").endswith("Did you mean 'kind'?")
    assert refusal(tmp_path, "t.csv").endswith("Set data.target to the one with the class.")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,target\n\xff,1\n")
    assert refusal(tmp_path, "t.csv") == "t.csv is not text (UTF-8)."
    (tmp_path / "t.csv").write_bytes(b"a,target\n" + b"1" * 200_000 + b",1\n")
    assert "t.csv:2: this is not .csv: field larger than field limit" in refusal(tmp_path, "t.csv")


# Parquet. The same rows, in columns of many types.

NAMES = [("ant", "cat", "dog")[kind] for kind in KINDS]


def write_parquet(folder: Path, **columns: Any) -> None:
    """A file with these columns in place of, or beside, those of ROWS."""
    plain = {"age": pa.array(range(1, 9)), "size": pa.array(SIZES), "kind": pa.array(NAMES)}
    parquet.write_table(pa.table(plain | columns), folder / "t.parquet", row_group_size=3)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"age": pa.array(range(1, 9), pa.uint8()), "size": pa.array(SIZES, pa.float32())},
        {"age": pa.array([decimal.Decimal(age) for age in range(1, 9)])},
        {"age": pa.array(range(1, 9), pa.float16())},
        {"age": pa.array(range(1, 9)).dictionary_encode()},
        {"kind": pa.array(NAMES).dictionary_encode()},  # as pandas keeps categories
        {"kind": pa.array(NAMES, pa.large_string())},
        {"kind": pa.array(KINDS)},
        {"kind": pa.array([kind / 2 for kind in KINDS])},
    ],
    ids=["plain", "small", "decimal", "half", "dictionary", "categories", "large", "numbers", "halves"],
)
def test_parquet_is_read_whatever_plain_types_it_has(tmp_path: Path, columns: dict[str, Any]) -> None:
    write_parquet(tmp_path, **columns)
    made = load(tmp_path, "t.parquet", target="kind")
    assert (made.classes, rows(made)) == (3, ROWS)


def test_switches_in_parquet_are_0_and_1(tmp_path: Path) -> None:
    old = pa.array([age > 4 for age in range(1, 9)])
    write_parquet(tmp_path, age=old, kind=old)
    assert rows(load(tmp_path, "t.parquet", target="kind")) == sorted(
        (float(row >= 4), SIZES[row], int(row >= 4)) for row in range(8)
    )


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"age": pa.array([1, 2, None, 4, 5, None, 7, 8])}, "t.parquet, row 3: column 'age' is null, the first of 2."),
        ({"size": pa.array([1.0] * 7 + [float("nan")])}, "t.parquet, row 8: column 'size' holds nan, not a finite"),
        ({"size": pa.array([1e300] * 8)}, "t.parquet, row 1: column 'size' holds 1e+300, not a finite number"),
        ({"age": pa.array(["1"] * 8)}, "t.parquet: column 'age' holds string, not numbers. Drop the column, or"),
        ({"age": pa.array([[1.0, 2.0]] * 8)}, "column 'age' holds list<element: double>, not numbers. Give each"),
        ({"age": pa.array([{"x": 1}] * 8)}, "column 'age' holds struct<x: int64>, not numbers. Give each number"),
        ({"age": pa.array([datetime.date(2020, 1, 1)] * 8)}, "column 'age' holds date32[day], not numbers."),
        ({"age": pa.nulls(8)}, "column 'age' holds null, not numbers."),
        ({"kind": pa.array([None, *NAMES[1:]])}, "t.parquet, row 1: column 'kind' is null, the first of 1."),
        ({"kind": pa.array(["", *NAMES[1:]])}, "t.parquet, row 1: column 'kind' is empty, and is the class."),
        ({"kind": pa.array([float("nan"), *KINDS[1:]])}, "t.parquet, row 1: column 'kind' is nan, and is the class."),
        ({"kind": pa.array([["a"]] * 8)}, "t.parquet: column 'kind' holds list<element: string>, and is the class."),
        ({"kind": pa.array([b"a"] * 8)}, "t.parquet: column 'kind' holds binary, and is the class. Give it as text"),
        ({"__index_level_0__": pa.array(range(8))}, "column 4 has no name. If it is the index that pandas writes,"),
    ],
)  # fmt: skip
def test_parquet_that_cannot_be_used_says_where_and_why(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    write_parquet(tmp_path, **columns)
    assert said in refusal(tmp_path, "t.parquet", target="kind")


def test_parquet_files_that_are_none_or_empty_say_so(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    raw = (tmp_path / "t.parquet").read_bytes()
    for content in (b"", b"PAR1", raw[:300], raw[:100] + bytes(50) + raw[150:], raw.replace(b"dog", b"d\xffg")):
        (tmp_path / "t.parquet").write_bytes(content)
        assert "t.parquet cannot be read as .parquet: " in refusal(tmp_path, "t.parquet", target="kind")
    parquet.write_table(
        pa.table({"a": pa.array([], pa.int64()), "kind": pa.array([], pa.string())}), tmp_path / "e.parquet"
    )
    assert "e.parquet has columns and no rows." in refusal(tmp_path, "e.parquet", target="kind")
    parquet.write_table(pa.table({"kind": NAMES}), tmp_path / "e.parquet")
    assert "e.parquet has no column besides 'kind'" in refusal(tmp_path, "e.parquet", target="kind")


def test_parquet_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert ".parquet files need pyarrow: pip install 'dpplan[files]'" in refusal(tmp_path, "t.parquet", target="kind")
