"""A user's own data: tables and folders of images."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train.data.examples import Examples

IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm"})


def table(data: Data) -> Examples:
    """data.path: .npz with arrays `inputs` and `targets`; .csv or .parquet, whose column data.target is the class.

    Every other column of a table is a feature and must hold numbers. Classes are numbered in the order of their
    sorted names; names and number of classes are taken for public.
    """
    file = Path(data.path or "")
    readers = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    if file.suffix.lower() not in readers:
        raise UsageError(f"data.path={file} does not end in one of: {', '.join(readers)}.")
    if not file.is_file():
        raise UsageError(f"data.path={file} is not a file.")
    return readers[file.suffix.lower()](file, data)


def images(data: Data) -> Examples:
    """data.path: a folder with one folder of images for each class, all images of one size; bytes divided by 255."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise UsageError("data.source=images needs Pillow: pip install pillow.") from None
    folder = Path(data.path or "")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    listed = [(file, target) for target, name in enumerate(classes) for file in sorted((folder / name).iterdir())]
    listed = [(file, target) for file, target in listed if file.suffix.lower() in IMAGE_ENDINGS]
    if not listed:
        raise UsageError(f"data.path={folder} holds no folders with images in them, one folder for each class.")
    arrays = []
    for file, _ in listed:
        try:
            with Image.open(file) as image:
                arrays.append(np.asarray(image.convert("L" if image.mode in {"1", "L", "I;16"} else "RGB")))
        except (UnidentifiedImageError, OSError) as error:
            raise UsageError(f"{file} cannot be read as an image: {error}.") from None
        if arrays[-1].shape != arrays[0].shape:
            raise UsageError(
                f"{file} has shape {arrays[-1].shape}, the first image {arrays[0].shape}. Make them alike."
            )
    stacked = np.stack(arrays)
    inputs = stacked[:, None] if stacked.ndim == 3 else np.moveaxis(stacked, 3, 1)
    targets = np.array([target for _, target in listed], np.int64)
    return Examples((inputs / np.float32(255)).astype(np.float32), targets, len(classes))


def examples_from(where: str, inputs: Any, targets: Any, classes: int | None = None) -> Examples:
    """Examples from whatever numpy can make arrays of. Whole-numbered inputs are words."""
    values, marks = np.asarray(inputs), np.asarray(targets)
    if values.ndim < 2 or values.dtype.kind not in "fiub":
        raise UsageError(f"{where}: inputs {values.shape} of type {values.dtype} are not rows of numbers.")
    names, numbers = np.unique(marks, return_inverse=True)
    numbers = numbers.reshape(marks.shape)
    if marks.dtype.kind in "iub":  # classes that are numbers keep them
        numbers, names = marks, np.arange(int(marks.max(initial=0)) + 1)
    count = len(names) if classes is None else int(classes)
    if values.dtype.kind in "iu" and values.dtype != np.uint8:
        if values.size and int(values.min()) < 0:
            raise UsageError(f"{where}: whole-numbered inputs are words and count from 0; some are negative.")
        words = int(values.max(initial=0)) + 1
        return Examples(values.astype(np.int64), numbers.astype(np.int64), count, words)
    with np.errstate(over="ignore"):  # the next lines say what is wrong
        floats = values.astype(np.float32)
    broken = len(floats) - int(np.isfinite(floats.reshape(len(floats), -1)).all(1).sum())
    if broken:
        raise UsageError(f"{where}: {broken} of {len(floats)} examples hold NaN, inf or numbers beyond float32.")
    return Examples(floats, numbers.astype(np.int64), count)


def _npz(file: Path, data: Data) -> Examples:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in ("inputs", "targets") if name not in arrays]
            if missing:
                raise UsageError(f"{file} has no array '{missing[0]}', but: {', '.join(arrays.files)}.")
            return examples_from(str(file), arrays["inputs"], arrays["targets"])
    except (ValueError, OSError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from None


def _csv(file: Path, data: Data) -> Examples:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            head, *rows = [row for row in csv.reader(stream) if row] or [[]]
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not text (UTF-8).") from None
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise UsageError(f"{file}: row {number} has {len(row)} fields, the first row {len(head)}.")
    return _columns(file, data, head, list(zip(*rows, strict=True)) or [()] * len(head))


def _parquet(file: Path, data: Data) -> Examples:
    try:
        from pyarrow import parquet  # optional, and unknown to most machines
    except ModuleNotFoundError:
        raise UsageError(f"{file}: reading parquet needs pyarrow: pip install pyarrow.") from None
    found = parquet.read_table(file)
    return _columns(file, data, found.column_names, [column.to_pylist() for column in found.columns])


def _columns(file: Path, data: Data, head: Sequence[str], columns: Sequence[Sequence[Any]]) -> Examples:
    if data.target not in head:
        raise UsageError(f"{file} has no column '{data.target}', but: {', '.join(head)}. Set data.target.")
    marks = columns[head.index(data.target)]
    features = []
    for name, column in zip(head, columns, strict=True):
        if name != data.target:
            try:
                features.append(np.array(column, dtype=object).astype(np.float64))
            except (ValueError, TypeError):
                raise UsageError(f"{file}: column '{name}' holds something that is not a number.") from None
    if not features or not len(marks):
        raise UsageError(f"{file} has no features or no rows.")
    return examples_from(str(file), np.stack(features, 1), [str(mark) for mark in marks])
