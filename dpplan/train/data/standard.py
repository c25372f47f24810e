"""MNIST and CIFAR-10 from their published files, with their own test sets. Nothing is downloaded."""

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train.data.examples import Examples, Inputs, Targets

CIFAR_RECORD = 1 + 3 * 32 * 32  # a label, then red, green and blue planes


def mnist(data: Data) -> Examples:
    """60,000 images of 28 x 28 pixels and 10,000 to test on; bytes divided by 255."""
    folder = _folder(data, "train-images-idx3-ubyte[.gz] and its three companions")
    training, held_out = (_idx_pair(folder, part) for part in ("train", "t10k"))
    return Examples(*training, 10, held_out=held_out)


def cifar10(data: Data) -> Examples:
    """50,000 images of 3 x 32 x 32 pixels and 10,000 to test on; bytes divided by 255.

    From the binary version (cifar-10-batches-bin); the Python version is a pickle, which can run any code.
    """
    folder = _folder(data, "data_batch_1.bin to data_batch_5.bin and test_batch.bin, the binary version")
    parts = [_cifar_batch(folder / f"data_batch_{number}.bin") for number in range(1, 6)]
    inputs, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Examples(inputs, targets, 10, held_out=_cifar_batch(folder / "test_batch.bin"))


def _folder(data: Data, wanted: str) -> Path:
    if data.path is None:
        raise UsageError(f"data.source={data.source} needs data.path: the folder with {wanted}.")
    folder = Path(data.path)
    if not folder.is_dir():
        raise UsageError(f"data.path={folder} is not a folder. It should hold {wanted}.")
    return folder


def _idx_pair(folder: Path, part: str) -> tuple[Inputs, Targets]:
    images, labels = _idx(folder, f"{part}-images-idx3-ubyte", 3), _idx(folder, f"{part}-labels-idx1-ubyte", 1)
    return (images[:, None] / np.float32(255)).astype(np.float32), labels.astype(np.int64)


def _idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file: two zeros, the type (8: bytes), the number of dimensions, their sizes, the bytes."""
    raw = _read(folder, name)
    if raw[:4] != bytes((0, 0, 8, dimensions)):
        raise UsageError(f"{folder / name} is not an IDX file of bytes in {dimensions} dimension(s).")
    shape = struct.unpack_from(f">{dimensions}I", raw, 4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape, dtype=np.int64):
        raise UsageError(f"{folder / name} is cut off: {values.size} bytes instead of {shape}.")
    return values.reshape(shape)


def _cifar_batch(file: Path) -> tuple[Inputs, Targets]:
    raw = np.frombuffer(_read(file.parent, file.name), np.uint8)
    if raw.size == 0 or raw.size % CIFAR_RECORD:
        raise UsageError(f"{file} is not a CIFAR-10 batch: {raw.size} bytes are no multiple of {CIFAR_RECORD}.")
    records = raw.reshape(-1, CIFAR_RECORD)
    return (records[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255)).astype(np.float32), records[:, 0].astype(np.int64)


def _read(folder: Path, name: str) -> bytes:
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        return plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"data.path={folder} holds neither {name} nor {name}.gz.") from None
    except (OSError, EOFError) as error:
        raise UsageError(f"{packed} cannot be read: {error}.") from None
