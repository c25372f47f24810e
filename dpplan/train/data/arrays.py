"""Arrays that somebody else made: what a function returned, or an .npz file."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train.data.examples import Examples
from dpplan.train.data.labels import Marks, numbered
from dpplan.train.data.users import numbered_users

MOST_WORDS = 10_000_000  # no vocabulary is larger; whole numbers beyond it are something else
_AS_SAVED = "numpy.savez(path, inputs=..., targets=...)"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def examples_from(where: str, inputs: Any, targets: Any, classes: int | None = None, users: Any = None) -> Examples:
    """Examples from whatever numpy can make arrays of. Whole numbers are words, but bytes are numbers like any other.

    classes: how many there are, where some may not occur. users: whose each example is. Raises
    UsageError, beginning with `where`, for what a model cannot be trained on.
    """
    values, marks = _as_array(where, "inputs", inputs), _as_array(where, "targets", targets)
    if values.ndim < 2 or values.dtype.kind not in "fiub":
        raise UsageError(
            f"{where}: inputs of shape {values.shape} and type {values.dtype} are not rows of numbers, a row for each "
            "example."
        )
    if values.shape[:1] != marks.shape[:1]:
        raise UsageError(
            f"{where}: inputs of shape {values.shape} and targets of shape {marks.shape} are not one target for each "
            "example."
        )
    if len(values) == 0:
        raise UsageError(f"{where}: holds no examples.")
    count = _count(where, classes)
    owners = None if users is None else numbered_users(where, users, len(values))
    if values.dtype.kind in "iu" and values.dtype != np.uint8:
        words = _words(where, values)
        return Examples(values.astype(np.int64), *numbered(where, marks, count), words, users=owners)
    with np.errstate(over="ignore"):  # the next lines say what is wrong
        floats = values.astype(np.float32)
    broken = np.flatnonzero(~np.isfinite(floats.reshape(len(floats), -1)).all(1))
    if len(broken):
        raise UsageError(
            f"{where}: {len(broken)} of {len(floats)} examples hold NaN, inf or numbers beyond float32, the first is "
            f"inputs[{broken[0]}]. Leave them out, or fill in a constant that is public."
        )
    return Examples(floats, *numbered(where, marks, count), users=owners)


def npz(file: Path, data: Data) -> Examples:
    """The arrays `inputs` and `targets` of an .npz file, and `classes`, their number, where it holds that too.

    Raises UsageError for what is not such a file. Arrays of Python objects are refused unread: they can run any code.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            for wanted in ("inputs", "targets", *([] if data.user is None else [data.user])):
                if wanted not in names:
                    there = ", ".join(names) or "nothing"
                    raise UsageError(f"{file} has no array '{wanted}', but: {there}. Save it by {_AS_SAVED}.")
            inputs, targets = (_read(archive, file, name) for name in ("inputs", "targets"))
            classes = _read(archive, file, "classes").tolist() if "classes" in names else None
            users = None if data.user is None else _read(archive, file, data.user)
    except UsageError:
        raise
    except zipfile.BadZipFile:
        raise UsageError(f"{file} is not an .npz file, or not a whole one. Save it by {_AS_SAVED}.") from None
    except MemoryError:
        raise UsageError(f"{file} holds more than the memory of this machine.") from None
    except Exception as error:  # a broken header can raise anything, up to the errors of Python's own tokenizer
        raise UsageError(f"{file} cannot be read: {error}.") from None
    return examples_from(str(file), inputs, targets, classes, users)


def _read(archive: zipfile.ZipFile, file: Path, name: str) -> NDArray[Any]:
    """One array, once its header says that it is one of numbers or text and as long as what follows."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as stream:
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise UsageError(f"{file}: array '{name}' has fields; save it as an array of numbers.")
        shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise UsageError(
            f"{file}: array '{name}' holds Python objects, which can run any code when they are read. Save numbers or "
            "text, as in inputs.astype('float32')."
        )
    if (declared := math.prod(shape) * dtype.itemsize) > entry.file_size:
        raise UsageError(f"{file}: array '{name}' declares {declared:,} bytes and holds {entry.file_size:,}.")
    with archive.open(entry) as stream:
        return npy.read_array(stream, allow_pickle=False)


def _as_array(where: str, name: str, given: Any) -> Marks:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length; tensors on a GPU
        raise UsageError(f"{where}: numpy makes no array of the {name}: {error}.") from None


def _count(where: str, classes: object) -> int | None:
    if classes is None:
        return None
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 2:
        raise UsageError(f"{where}: classes={classes} is not a whole number of at least 2.")
    return classes


def _words(where: str, values: NDArray[Any]) -> int:
    """How many words there are: one more than the largest number."""
    remedy = "If they are not words, save them as float32."
    if values.ndim != 2:
        raise UsageError(
            f"{where}: whole numbers in inputs are words, and words come in rows, not in shape {values.shape}. {remedy}"
        )
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    if least < 0:
        raise UsageError(f"{where}: whole numbers in inputs are words and count from 0; {least} is one. {remedy}")
    if most >= MOST_WORDS:
        raise UsageError(
            f"{where}: whole numbers in inputs are words; {most} is no word of at most {MOST_WORDS:,}. {remedy}"
        )
    return most + 1
