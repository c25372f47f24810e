"""MNIST and CIFAR-10 from their published files, with their own test sets. Nothing is downloaded."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import UsageError, file_error
from dpplan.recipe import Data
from dpplan.train.data import cifar_pickle
from dpplan.train.data.examples import Examples, Inputs, Targets
from dpplan.train.data.paths import elsewhere, folder_at

CLASSES = 10  # of either set
CIFAR_RECORD = 1 + cifar_pickle.PIXELS  # a label, then the pixels
MNIST_FILES = "train-images-idx3-ubyte[.gz] and its three companions"
CIFAR_FILES = "data_batch_1 to data_batch_5 and test_batch, all of them ending in .bin or all in nothing"


def mnist(data: Data) -> Examples:
    """60,000 images of 28 x 28 pixels and 10,000 to test on; bytes divided by 255.

    Sets of the same form, such as Fashion-MNIST, will do.
    """
    folder = folder_at(data, MNIST_FILES)
    training, held_out = (_idx_pair(folder, part) for part in ("train", "t10k"))
    return Examples(*training, CLASSES, held_out=held_out)


def cifar10(data: Data) -> Examples:
    """50,000 images of 3 x 32 x 32 pixels and 10,000 to test on; bytes divided by 255.

    From the binary version (cifar-10-batches-bin), or where there is none from the Python version
    (cifar-10-batches-py), whose pickles are read by `cifar_pickle`, which runs nothing.
    """
    folder = folder_at(data, CIFAR_FILES)
    names = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    if _found(folder, f"{names[0]}.bin") is not None:
        *parts, held_out = (_binary_cifar_batch(folder, f"{name}.bin") for name in names)
    elif (folder / names[0]).is_file():
        *parts, held_out = (_cifar_batch(folder, name) for name in names)
    else:
        hint = elsewhere(folder, f"{names[0]}*")
        raise UsageError(f"data.path={folder} holds neither {names[0]}.bin nor {names[0]}.{hint}")
    inputs, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Examples(inputs, targets, CLASSES, held_out=held_out)


def _idx_pair(folder: Path, part: str) -> tuple[Inputs, Targets]:
    images, labels = _idx(folder, f"{part}-images-idx3-ubyte", 3), _idx(folder, f"{part}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise UsageError(f"data.path={folder}: the {part} files hold {len(images)} images and {len(labels)} labels.")
    return _scaled(images[:, None]), _labels(folder / f"{part}-labels-idx1-ubyte", labels)


def _idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file: two zeros, the type (8: bytes), the number of dimensions, their sizes, the bytes."""
    raw, start = _read(folder, name), 4 + 4 * dimensions
    if raw[:4] != bytes((0, 0, 8, dimensions)) or len(raw) < start:
        raise UsageError(f"{folder / name} is not an IDX file of bytes in {dimensions} dimension(s).")
    shape = struct.unpack_from(f">{dimensions}I", raw, 4)
    if len(raw) - start != math.prod(shape):
        sizes = " x ".join(map(str, shape))
        raise UsageError(f"{folder / name} is not whole: it declares {sizes} bytes and holds {len(raw) - start:,}.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _cifar_batch(folder: Path, name: str) -> tuple[Inputs, Targets]:
    pixels, labels = cifar_pickle.batch(folder / name)
    if len(pixels) != len(labels):
        raise UsageError(f"{folder / name} holds {len(pixels)} images and {len(labels)} labels.")
    return _scaled(pixels.reshape(-1, 3, 32, 32)), _labels(folder / name, labels)


def _binary_cifar_batch(folder: Path, name: str) -> tuple[Inputs, Targets]:
    raw = np.frombuffer(_read(folder, name), np.uint8)
    if raw.size == 0 or raw.size % CIFAR_RECORD:
        raise UsageError(
            f"{folder / name} is not a batch of CIFAR-10: {raw.size:,} bytes are no multiple of {CIFAR_RECORD}."
        )
    records = raw.reshape(-1, CIFAR_RECORD)
    return _scaled(records[:, 1:].reshape(-1, 3, 32, 32)), _labels(folder / name, records[:, 0])


def _scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (pixels / np.float32(255)).astype(np.float32)


def _labels(file: Path, labels: NDArray[np.uint8] | NDArray[np.int64]) -> Targets:
    wrong = labels[(labels < 0) | (labels >= CLASSES)]
    if len(wrong):
        raise UsageError(f"{file} holds the label {wrong[0]}; this set has the labels 0 to {CLASSES - 1}.")
    return labels.astype(np.int64)


def _found(folder: Path, name: str) -> Path | None:
    """The file of this name, plain or packed; some tools write the first hyphen of its ending as a point."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{spelling}{packed}" for spelling in spellings for packed in ("", ".gz"))
    return next((file for file in candidates if file.is_file()), None)


def _read(folder: Path, name: str) -> bytes:
    file = _found(folder, name)
    if file is None:
        hint = elsewhere(folder, f"{name}*")
        raise UsageError(f"data.path={folder} holds neither {name} nor {name}.gz.{hint}")
    try:
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except OSError as error:
        raise file_error(f"{file} cannot be read", error) from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from None
    except MemoryError:
        raise UsageError(f"{file} holds more than the memory of this machine.") from None
