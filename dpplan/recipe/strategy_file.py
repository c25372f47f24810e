"""The strategy of correlated noise in a file, .npy, .csv or .txt: a lower triangular matrix, or the first column of one
that is the same along its diagonals.

Read without numpy, which planning does not load for this: of a .npy file nothing but plain numbers is taken.
"""

import ast
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dpplan.checks import show
from dpplan.errors import PlanError, file_error
from dpplan.mechanism import MatrixNoise, Mechanism, ToeplitzNoise
from dpplan.mechanism.correlated import MOST_ENTRIES

ENDINGS = (".npy", ".csv", ".txt")
MOST_BYTES = 200_000_000  # of a dense matrix of 4000 rows in text; keeps anything else that was named out of memory
_TYPES = {"f8": "d", "f4": "f"}
Rows = list[Sequence[float]]


class Strategy(NamedTuple):
    """What a file holds. settings: coefficients of a ToeplitzNoise, or entries and bands of a MatrixNoise. rows: of a
    square matrix; None of a first column, which is that of a strategy of any length."""

    settings: dict[str, Any]
    rows: int | None


def read(file: Path) -> Strategy:
    """The settings of the mechanism, and how many steps they are for.

    Raises PlanError with what is wrong with the file.
    """
    if file.suffix.lower() not in ENDINGS:
        raise PlanError(f"{file}: does not end in {', '.join(ENDINGS)}. Say by its name what the file is.")
    try:
        size = file.stat().st_size
        raw = file.read_bytes() if size <= MOST_BYTES else b""
    except FileNotFoundError:
        raise PlanError(
            f"{file}: no such file. A strategy's path is seen from the folder of the file that names it."
        ) from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    if size > MOST_BYTES:
        raise PlanError(f"{file}: is larger than {MOST_BYTES:,} bytes. Give the bands of C alone, or kind: blt.")
    rows = _of_npy(raw, file) if file.suffix.lower() == ".npy" else _of_text(raw, file)
    for row, values in enumerate(rows, 1):
        for column, value in enumerate(values, 1):
            if not math.isfinite(value):
                raise PlanError(f"{file}: holds {value} in row {row}, column {column}: entries of C are numbers.")
    return _strategy(rows, file)


def kind_of(settings: Mapping[str, Any]) -> str:
    """The mechanism that has these settings."""
    return ToeplitzNoise.kind if "coefficients" in settings else MatrixNoise.kind


def length_problem(mechanism: Mechanism, steps: int) -> str | None:
    """Why a phase of so many steps cannot have this strategy."""
    return size_problem(mechanism.rows, steps) if isinstance(mechanism, MatrixNoise) else None


def size_problem(rows: int, steps: int) -> str | None:
    """The same of a square matrix of so many rows, also of one that is the same along its diagonals: what a longer one
    looks like it does not say. It may go on as it does, hold nothing more, or begin anew."""
    if rows == steps:
        return None
    return (
        f"the strategy has {rows} rows, and the phase {steps} step{'s' if steps > 1 else ''}. Give steps: {rows}, or a "
        "strategy of that size; of one that is the same along its diagonals, its first column alone holds for any."
    )


def _strategy(rows: Rows, file: Path) -> Strategy:
    if len(rows) == 1 or all(len(values) == 1 for values in rows):
        column = rows[0] if len(rows) == 1 else [values[0] for values in rows]
        return Strategy(_toeplitz(column, len(column), file), None)
    return Strategy(_of_matrix(rows, file), len(rows))


def _of_matrix(rows: Rows, file: Path) -> dict[str, Any]:
    for row, values in enumerate(rows, 1):
        if len(values) != len(rows):
            raise PlanError(f"{file}: is not square: {len(rows)} rows, and row {row} has {len(values)} columns.")
        above = next((at for at in range(row, len(values)) if values[at]), None)
        if above is not None:
            raise PlanError(
                f"{file}: is not lower triangular: {show(values[above])} stands in row {row}, column {above + 1}. A "
                "step would depend on one after it. Is it the transpose, or the inverse?"
            )
        if not values[row - 1]:
            raise PlanError(
                f"{file}: the diagonal is 0 in row {row}: C has no inverse, and noise cannot be made of it."
            )
    bands = max(row - next(at for at, value in enumerate(values) if value) for row, values in enumerate(rows)) + 1
    first = [values[0] for values in rows]
    if all(values[at] == first[row - at] for row, values in enumerate(rows) for at in range(row + 1)):
        return _toeplitz(first, bands, file)
    if len(rows) * bands > MOST_ENTRIES:
        raise PlanError(
            f"{file}: is too large: {len(rows)} rows of {bands} bands are more than {MOST_ENTRIES:,} numbers. Cut C to "
            "fewer bands, or use one that is the same along its diagonals."
        )
    entries = []
    for row, values in enumerate(rows):
        start = row + 1 - bands
        entries += [0.0] * max(0, -start) + list(values[max(0, start) : row + 1])
    return {"entries": tuple(entries), "bands": bands}


def _toeplitz(column: Sequence[float], bands: int, file: Path) -> dict[str, Any]:
    kept = [float(each) for each in column[:bands]]
    while len(kept) > 1 and kept[-1] == 0:
        kept.pop()
    if kept[0] <= 0:
        raise PlanError(f"{file}: begins with {show(kept[0])}: the diagonal of C has to be above 0.")
    return {"coefficients": tuple(kept)}


def _of_text(raw: bytes, file: Path) -> Rows:
    """Numbers between commas or spaces, a row in each line; what follows a # is a remark."""
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise PlanError(f"{file}: is not text (UTF-8).") from None
    rows: Rows = []
    for number, line in enumerate(lines, 1):
        said = line.partition("#")[0].strip().rstrip(",")
        cells = re.split(r"\s*,\s*|\s+", said) if said else []
        try:
            values = array("d", map(float, cells))
        except ValueError:
            wrong = next(cell for cell in cells if not _is_number(cell))
            raise PlanError(f"{file}:{number}: {wrong[:40] or 'an empty cell'} is not a number.") from None
        if cells:
            rows.append(values)
    if not rows:
        raise PlanError(f"{file}: is empty. Write the rows of C, or its first column, one number in each line.")
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _of_npy(raw: bytes, file: Path) -> Rows:
    """An array of floats of one or two dimensions, as numpy.save writes it."""
    try:
        if raw[:6] != b"\x93NUMPY":
            raise ValueError
        wide = raw[6] >= 2
        length = int.from_bytes(raw[8 : 12 if wide else 10], "little")
        start = (12 if wide else 10) + length
        header = ast.literal_eval(raw[start - length : start].decode("utf-8"))
        shape, kind, transposed = header["shape"], header["descr"], header["fortran_order"]
        sides = [int(side) for side in shape]
    except (ValueError, SyntaxError, KeyError, TypeError, IndexError, UnicodeDecodeError, MemoryError, RecursionError):
        raise PlanError(f"{file}: is not what numpy.save writes.") from None
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise PlanError(f"{file}: has the shape {show(list(sides))}; a strategy is a matrix, or its first column.")
    if not isinstance(kind, str) or kind[1:] not in _TYPES or kind[:1] not in "<>=|":
        raise PlanError(f"{file}: holds numbers of type {show(kind)}; a strategy is of float64 or float32.")
    values = array(_TYPES[kind[1:]])
    if len(raw) - start != math.prod(sides) * values.itemsize:
        raise PlanError(f"{file}: is not whole: {len(raw) - start} bytes for the shape {show(list(sides))}.")
    values.frombytes(raw[start:])
    if kind[0] == ">":
        values.byteswap()
    if len(sides) == 1:
        return [[value] for value in values]
    rows, columns = sides
    return [values[row::rows] if transposed else values[row * columns : (row + 1) * columns] for row in range(rows)]
