"""Files in the forms that people have them, with made-up contents, and what is said of those that cannot be used."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train import data

CIFAR_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def load(folder: Path, name: str, **changes: Any) -> data.Dataset:
    return data.load(Data(**{"source": "file", "path": str(folder / name), "held_out": 0.25, **changes}))


def refusal(folder: Path, name: str, **changes: Any) -> str:
    """What is said when this is loaded, without the folder: every such message is the user's to read, with exit 2."""
    with pytest.raises(UsageError) as caught:
        load(folder, name, **changes)
    return str(caught.value).replace(f"{folder}/", "").replace(str(folder), ".")


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def rows(made: data.Dataset) -> list[tuple[float, ...]]:
    """Every example with its class, wherever the split has put it, in order."""
    parts = (made.training, made.held_out)
    pairs = ((x, y) for part in parts for x, y in zip(part.inputs.tolist(), part.targets.tolist(), strict=True))
    return sorted((*x, y) for x, y in pairs)


def idx(values: np.ndarray) -> bytes:
    """As http://yann.lecun.com/exdb/mnist describes it: magic number, sizes, bytes, all big-endian."""
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def write_mnist(folder: Path, packed: bool = False, spelling: str = "-idx") -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("t10k", 10)):
        images, labels = rng.integers(256, size=(count, 28, 28)), np.arange(count) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            name, raw = f"{part}-{kind}-ubyte".replace("-idx", spelling), idx(values)
            (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(raw) if packed else raw)


def cifar_pixels(name: str) -> np.ndarray:
    """Made-up pixels of a batch, other ones for each."""
    return np.random.default_rng(CIFAR_BATCHES.index(name)).integers(256, size=(8, 3072)).astype(np.uint8)


def write_binary_cifar(folder: Path) -> None:
    for name in CIFAR_BATCHES:
        records = (bytes([label]) + row.tobytes() for label, row in enumerate(cifar_pixels(name)))
        (folder / f"{name}.bin").write_bytes(b"".join(records))


def write_python_cifar(folder: Path) -> None:
    for name in CIFAR_BATCHES:
        (folder / name).write_bytes(python_cifar(list(range(8)), cifar_pixels(name)))


def python_cifar(labels: list[int], pixels: np.ndarray) -> bytes:
    """A batch as the published files hold it: a pickle of protocol 2, written by Python 2 and numpy 1.

    Python 3 cannot write one, so it is put together from opcodes. Its text is what Python 3 calls bytes.
    """
    rows, width = pixels.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
        + b"(K\x01" + whole(rows) + whole(width) + b"\x86cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
        + b"(K\x03" + text("|") + b"NNN" + whole(-1) + whole(-1) + b"K\x00tb\x89"
        + b"T" + struct.pack("<I", pixels.size) + pixels.tobytes() + b"tb"
    )  # fmt: skip
    names = b"](" + b"".join(text(f"image_{row}.png") for row in range(rows)) + b"e"
    return (
        b"\x80\x02}(" + text("batch_label") + text("training batch 1 of 5")
        + text("labels") + b"](" + b"".join(map(whole, labels)) + b"e"
        + text("data") + array + text("filenames") + names + b"u."
    )  # fmt: skip


def text(value: str) -> bytes:
    return b"U" + bytes([len(value)]) + value.encode()


def whole(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
