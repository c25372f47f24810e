"""Tables with a row for each example: .csv and .parquet.

The column data.target is the class, every other one a feature. Nothing is filled in, dropped or encoded: what is
computed from the examples for that would be a release of its own.
"""

import csv
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpplan.checks import did_you_mean, other_separator
from dpplan.errors import FurtherProblems, RecipeError, UsageError, file_error
from dpplan.recipe import Data
from dpplan.train.data.arrays import examples_from
from dpplan.train.data.examples import Examples
from dpplan.train.data.labels import listed, named
from dpplan.train.data.users import numbered_users

LARGEST = float(np.finfo(np.float32).max)
MOST_PROBLEMS = 5  # in one message
_FILL = "Drop the row, or fill in a constant that is public."
_ENCODE = "Drop the column, or give each of its values a column of 0 and 1."


class Unusable(NamedTuple):
    """Why a column cannot be used, and what to do. row: of the first such value, from 0; None where it is the type."""

    row: int | None
    reason: str
    remedy: str


Numbers = NDArray[np.float64] | Unusable
Names = Sequence[str] | Unusable


def from_csv(file: Path, data: Data) -> Examples:
    """A .csv with the names of its columns in the first line, fields separated by commas.

    Raises RecipeError with the line of the first bad value of each column.
    """
    head, rows, lines = _rows(file)
    _check_head(file, head, data)
    if not rows:
        raise UsageError(f"{file} has a line with names and no rows.")
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    users = None if data.user is None else [name.strip() for name in columns.pop(data.user)]
    marks = _marks([mark.strip() for mark in columns.pop(data.target)])
    found = {name: _numbers(column) for name, column in columns.items()}
    made = _examples(file, data.target, found, marks, lambda row: f"{file}:{lines[row]}")
    return _of_users(file, data.user, made, users)


def from_parquet(file: Path, data: Data) -> Examples:
    """A .parquet file with plain columns. Raises RecipeError with the row of the first bad value of each column."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        raise UsageError(f"{file}: .parquet files need pyarrow: pip install 'dpplan[files]'") from None
    try:
        with parquet.ParquetFile(file) as stream:
            table = stream.read()
        _check_head(file, table.column_names, data)
        others = [name for name in table.column_names if name not in (data.target, data.user)]
        found = {name: _of_arrow(table[name], pyarrow) for name in others}
        users = None if data.user is None else _marks_of_arrow(table[data.user], pyarrow)
        marks = _marks_of_arrow(table[data.target], pyarrow)
    except OSError as error:
        raise file_error(f"{file} cannot be read as .parquet", error) from None
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read as .parquet: {error}.") from None
    if not table.num_rows:
        raise UsageError(f"{file} has columns and no rows.")
    made = _examples(file, data.target, found, marks, lambda row: f"{file}, row {row + 1}")
    return _of_users(file, data.user, made, users)


def _of_users(file: Path, column: str | None, made: Examples, users: Names | None) -> Examples:
    """The same examples, with whose each is where a column says it."""
    if users is None:
        return made
    if isinstance(users, Unusable):
        reason = users.reason.replace("is the class", "says whose each example is")
        raise RecipeError(f"{file}: column '{column}' {reason}. {users.remedy}")
    where = f"{file}: column '{column}'"
    return dataclasses.replace(made, users=numbered_users(where, users, len(made.targets)))


def _examples(
    file: Path, target: str, found: Mapping[str, Numbers], marks: Names, place: Callable[[int], str]
) -> Examples:
    """The examples, when every column can be used; else all that cannot, each with the place of its first value."""
    problems = [
        f"{file if bad.row is None else place(bad.row)}: column '{name}' {bad.reason}. {bad.remedy}"
        for name, bad in (*found.items(), (target, marks))
        if isinstance(bad, Unusable)
    ]
    if len(problems) > MOST_PROBLEMS:
        left = len(problems) - MOST_PROBLEMS
        problems[MOST_PROBLEMS:] = [FurtherProblems(f"{file}: {left} more columns cannot be used.", left)]
    if problems or isinstance(marks, Unusable):
        raise RecipeError(problems)
    features = [column for column in found.values() if not isinstance(column, Unusable)]
    if not features:
        raise UsageError(f"{file} has no column besides '{target}', so nothing to learn from.")
    targets, classes = named(f"{file}: column '{target}'", marks)
    return examples_from(str(file), np.stack(features, 1), targets, classes)


def _check_head(file: Path, head: Sequence[str], data: Data) -> None:
    target = data.target
    if target not in head and all(map(_is_number, head)):
        raise RecipeError(f"{file}: the first line is data ({listed(head)}); the names of the columns belong there.")
    problems = [
        f"{file}: column {number} has no name. If it is the index that pandas writes, save with index=False."
        for number, name in enumerate(head, start=1)
        if name == "" or name.startswith("__index_level_")
    ]
    twice = sorted({name for name in head if head.count(name) > 1 and name})
    if twice:
        problems.append(f"{file}: {listed(twice)} names more than one column.")
    if target not in head:
        problems.append(f"{file} has no column data.target={target}. {_columns_there(head, target)}")
    if data.user is not None and data.user not in head:
        problems.append(
            f"{file} has no column data.user={data.user}. Its columns: {listed(head)}. Set data.user to the one that "
            f"says whose each example is.{did_you_mean(data.user, head)}"
        )
    problems += [f"data.user={data.user} is data.target as well. Name two columns."] * (data.user == target)
    if problems:
        raise RecipeError(problems)


def _columns_there(head: Sequence[str], target: str) -> str:
    """What there is instead."""
    if len(head) == 1 and (other := other_separator(head[0], (target.lower(),))):
        return f"Its first line is {head[0]!r}: {other}"
    meant = did_you_mean(target, head) if target != "target" else ""  # the default is nobody's slip of the pen
    return f"Its columns: {listed(head)}. Set data.target to the one with the class.{meant}"


def _rows(file: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """The names, the rows, and the line on which each row begins. Empty lines are passed over."""
    head: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            for line, row in _fields(stream, file):
                if not head:
                    head = [name.strip() for name in row]
                    continue
                if len(row) != len(head):
                    if len(head) == 1 and (other := other_separator(head[0])):
                        raise UsageError(f"{file}: its first line is {head[0]!r}: {other}")
                    raise UsageError(f"{file}:{line}: has {len(row)} fields, the first line {len(head)}.")
                rows.append(row)
                lines.append(line)
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not text (UTF-8).") from None
    if not head:
        raise UsageError(f"{file} is empty.")
    return head, rows, lines


def _fields(stream: Any, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not an empty line, and the line on which it begins."""
    reader = csv.reader(stream, skipinitialspace=True, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{file}:{line}: this is not .csv: {error}.") from None


def _numbers(texts: Sequence[str]) -> Numbers:
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        row = next(row for row, text in enumerate(texts) if not _is_number(text))
        if not texts[row].strip():
            return Unusable(row, "is empty", _FILL)
        return Unusable(row, f"holds {texts[row]!r}, which is not a number", _ENCODE)
    return _within_float32(values)


def _within_float32(values: NDArray[np.float64]) -> Numbers:
    bad = np.flatnonzero(~(np.abs(values) <= LARGEST))
    if len(bad):
        return Unusable(int(bad[0]), f"holds {values[bad[0]]:g}, not a finite number of float32", _FILL)
    return values


def _marks(texts: Sequence[str]) -> Names:
    row = next((row for row, text in enumerate(texts) if text.lower() in {"", "nan"}), None)
    if row is None:
        return texts
    return Unusable(row, f"is {texts[row] or 'empty'}, and is the class", "Drop the row.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _of_arrow(column: Any, pyarrow: Any) -> Numbers:
    kinds = pyarrow.types
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    of = column.type
    if not (kinds.is_integer(of) or kinds.is_floating(of) or kinds.is_boolean(of) or kinds.is_decimal(of)):
        remedy = "Give each number a column of its own." if kinds.is_nested(of) else _ENCODE
        return Unusable(None, f"holds {of}, not numbers", remedy)
    if column.null_count:
        return _first_null(column)
    return _within_float32(column.to_numpy().astype(np.float64))


def _marks_of_arrow(column: Any, pyarrow: Any) -> Names:
    """The names of the classes, as text."""
    kinds = pyarrow.types
    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    of = column.type
    text = kinds.is_string(of) or kinds.is_large_string(of) or kinds.is_string_view(of)
    if not (text or kinds.is_integer(of) or kinds.is_floating(of) or kinds.is_boolean(of)):
        return Unusable(None, f"holds {of}, and is the class", "Give it as text or as whole numbers.")
    if column.null_count:
        return _first_null(column)
    return _marks([str(value).strip() for value in column.to_pylist()])


def _first_null(column: Any) -> Unusable:
    row = column.is_null().index(True).as_py()
    return Unusable(row, f"is null, the first of {column.null_count}", _FILL)
