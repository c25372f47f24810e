"""MNIST and CIFAR-10 from files in their published forms, and what is said of files that are not."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import (
    CIFAR_BATCHES,
    cifar_pixels,
    idx,
    python_cifar,
    refusal,
    write_binary_cifar,
    write_mnist,
    write_python_cifar,
)
from data_files import load as load_file

from dpplan.train import data

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def load(folder: Path, source: str) -> data.Dataset:
    return load_file(folder, "", source=source)


def said_of(folder: Path, source: str = "mnist") -> str:
    return refusal(folder, "", source=source)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spelling", ["-idx", ".idx"])  # as published, and as some tools unpack it
def test_mnist_is_read_from_its_files_with_its_test_set(tmp_path: Path, packed: bool, spelling: str) -> None:
    write_mnist(tmp_path, packed, spelling)
    made = load(tmp_path, "mnist")
    assert (tuple(made.training.inputs.shape), made.held_out.examples, made.classes) == ((40, 1, 28, 28), 10, 10)
    assert made.training.inputs.dtype == torch.float32
    assert made.training.targets.tolist() == [*range(10)] * 4
    pixels = np.random.default_rng(0).integers(256, size=(40, 28, 28))
    assert torch.allclose(made.training.inputs[:, 0], torch.tensor(pixels) / 255)


def test_mnist_files_that_are_missing_are_named(tmp_path: Path) -> None:
    said = refusal(tmp_path, "mnist", source="mnist")
    assert said.startswith("data.path=mnist does not exist. It should be the folder with train-images-idx3-ubyte[.gz]")
    assert said_of(tmp_path) == f"data.path=. holds neither {IMAGES} nor {IMAGES}.gz."
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)  # where torchvision puts them
    write_mnist(tmp_path / "MNIST" / "raw")
    assert said_of(tmp_path).endswith(f"nor {IMAGES}.gz. Did you mean path: MNIST/raw?")
    assert load(tmp_path / "MNIST" / "raw", "mnist").classes == 10


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (IMAGES, b"", "is not an IDX file of bytes in 3 dimension(s)."),
        (IMAGES, b"\x00\x00\x08\x03\x00\x00", "is not an IDX file of bytes in 3 dimension(s)."),
        (IMAGES, idx(np.zeros((40, 28, 28)))[:-1], "is not whole: it declares 40 x 28 x 28 bytes and holds 31,359."),
        (IMAGES, idx(np.zeros((40, 28, 28))) + b"\0", "is not whole: it declares 40 x 28 x 28 bytes and holds 31,361."),
        (IMAGES, b"\0\0\x08\x03" + struct.pack(">3I", 4_000_000, 28, 28), "declares 4000000 x 28 x 28 bytes and"),
        (IMAGES, b"\0\0\x08\x03" + 12 * b"\xff", "declares 4294967295 x 4294967295 x 4294967295 bytes"),
        (IMAGES, b"\0\0\x0d\x03" + idx(np.zeros((40, 28, 28)))[4:], "is not an IDX file of bytes in 3 dimension(s)."),
        (IMAGES, idx(np.zeros(40)), "is not an IDX file of bytes in 3 dimension(s)."),
        (LABELS, idx(np.zeros((40, 28, 28))), "is not an IDX file of bytes in 1 dimension(s)."),
        (LABELS, idx(np.zeros(39)), "data.path=.: the train files hold 40 images and 39 labels."),
        (LABELS, idx(np.arange(40)), f"{LABELS} holds the label 10; this set has the labels 0 to 9."),
        (IMAGES, idx(np.zeros((40, 14, 14))), "has examples of shape (1, 14, 14) to train on and of shape (1, 28, 28)"),
    ],
)  # fmt: skip
def test_mnist_files_that_are_broken_say_how(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert said in said_of(tmp_path)


def test_an_empty_test_set_is_told(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 28, 28))))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(0)))
    assert "gives no examples to train on, or none to test on." in said_of(tmp_path)


def test_packed_files_that_are_broken_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=True)
    file = tmp_path / f"{IMAGES}.gz"
    whole = file.read_bytes()
    for content in (b"", b"not packed", whole[:-20], whole[:3000] + bytes(500) + whole[3500:]):
        file.write_bytes(content)
        said = said_of(tmp_path)
        assert said.startswith(f"{IMAGES}.gz cannot be read: ") or "is not an IDX file" in said


def test_cifar_is_read_from_its_binary_version(tmp_path: Path) -> None:
    write_binary_cifar(tmp_path)
    made = load(tmp_path, "cifar10")
    assert (tuple(made.training.inputs.shape), made.held_out.examples, made.classes) == ((40, 3, 32, 32), 8, 10)
    assert made.training.targets.tolist() == [*range(8)] * 5
    pixels = np.concatenate([cifar_pixels(name) for name in CIFAR_BATCHES[:5]])
    assert torch.allclose(made.training.inputs.flatten(1), torch.tensor(pixels) / 255)


def test_both_versions_of_cifar_are_the_same_examples(tmp_path: Path) -> None:
    for name, write in (("bin", write_binary_cifar), ("py", write_python_cifar)):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    binary, python = load(tmp_path / "bin", "cifar10"), load(tmp_path / "py", "cifar10")
    for part in ("training", "held_out"):
        first, second = getattr(binary, part), getattr(python, part)
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)


def test_where_both_versions_are_no_pickle_is_opened(tmp_path: Path) -> None:
    write_binary_cifar(tmp_path)
    for name in CIFAR_BATCHES:
        (tmp_path / name).write_bytes(b"no pickle")
    assert load(tmp_path, "cifar10").classes == 10


def test_cifar_files_that_are_missing_are_named(tmp_path: Path) -> None:
    assert said_of(tmp_path, "cifar10") == "data.path=. holds neither data_batch_1.bin nor data_batch_1."
    for name, write in (("cifar-10-batches-bin", write_binary_cifar), ("cifar-10-batches-py", write_python_cifar)):
        folder = tmp_path / name
        folder.mkdir()
        write(folder)
        last = folder / ("test_batch.bin" if name.endswith("bin") else "test_batch")
        last.unlink()
        assert last.name in refusal(tmp_path, name, source="cifar10")
    assert refusal(tmp_path, name, source="cifar10") == f"{name}/test_batch cannot be read: No such file or directory."
    assert "Did you mean path: cifar-10-batches-" in said_of(tmp_path, "cifar10")


def test_cifar_files_that_are_broken_say_how(tmp_path: Path) -> None:
    write_binary_cifar(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(b"short")
    assert (
        said_of(tmp_path, "cifar10") == "data_batch_2.bin is not a batch of CIFAR-10: 5 bytes are no multiple of 3073."
    )
    (tmp_path / "data_batch_2.bin").write_bytes(b"\x0a" + bytes(3072))
    assert "data_batch_2.bin holds the label 10; this set has the labels 0 to 9." in said_of(tmp_path, "cifar10")
    (tmp_path / "data_batch_1.bin").unlink()
    write_python_cifar(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(python_cifar([0, 1], cifar_pixels("data_batch_2")))
    assert said_of(tmp_path, "cifar10") == "data_batch_2 holds 8 images and 2 labels."
    (tmp_path / "data_batch_2").write_bytes(python_cifar([-1] * 8, cifar_pixels("data_batch_2")))
    assert "data_batch_2 holds the label -1" in said_of(tmp_path, "cifar10")
