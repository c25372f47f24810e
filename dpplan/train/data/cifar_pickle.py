"""The Python version of CIFAR-10, which is made of pickles, read without running anything that stands in them.

A pickle is a program: it names functions and calls them. The published files name three, all of numpy's, to make an
array of bytes again. Here those names lead to stand-ins that only keep what they are given, and any other name ends the
reading. No function that a file names is ever looked up, numpy's own included.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import UsageError

PIXELS = 3 * 32 * 32  # red, green and blue planes


class _Array:
    """In place of numpy's _reconstruct: what the file says of an array, unread."""

    def __init__(self, *_: object) -> None:
        self.content: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.content = state


class _Type:
    """In place of numpy's dtype. Its state is a byte order, which says nothing of single bytes."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None: ...


_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # its name from numpy 2 on
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _KNOWN[module, name]


def batch(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (images, 3072) and labels of one file of cifar-10-batches-py. Raises UsageError for any other content."""
    try:
        with file.open("rb") as stream:
            content = _Reader(stream, encoding="bytes").load()
    except OSError:
        raise
    except Exception as error:  # a broken pickle can raise anything; nothing in it has been run
        reason = str(error) or type(error).__name__
        raise UsageError(
            f"{file} was not read: {reason}. A pickle can run any code, so dpplan reads those that hold what "
            "CIFAR-10's own files hold, and no others."
        ) from None
    try:
        return _pixels(content[b"data"]), _labels(content[b"labels"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UsageError(f"{file} is not a batch of CIFAR-10: it lacks pixels or labels of their form.") from None


def _pixels(array: object) -> NDArray[np.uint8]:
    """Raises ValueError unless this is an array of bytes with a row for each image."""
    if not isinstance(array, _Array):
        raise TypeError
    _, (images, width), kind, by_columns, raw = array.content
    if not isinstance(kind, _Type) or kind.code not in {"u1", b"u1"} or width != PIXELS:
        raise ValueError
    return np.frombuffer(raw, np.uint8).reshape((images, width), order="F" if by_columns else "C")


def _labels(labels: object) -> NDArray[np.int64]:
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise TypeError
    return np.array(labels, np.int64)
