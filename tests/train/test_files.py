"""A user's own data and the published files: what is read, and what is said of files that cannot be."""

import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dpplan.errors import DpplanError
from dpplan.recipe import Data
from dpplan.train import data


def load(folder: Path, name: str, **changes: Any) -> data.Dataset:
    return data.load(Data(**{"source": "file", "path": str(folder / name), "held_out": 0.25, **changes}))


def refusal(folder: Path, name: str, **changes: Any) -> str:
    with pytest.raises(DpplanError) as caught:
        load(folder, name, **changes)
    return str(caught.value)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_arrays_are_read_as_they_are(tmp_path: Path) -> None:
    inputs = np.arange(24, dtype=np.float64).reshape(8, 3)
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=np.arange(8) % 3)
    made = load(tmp_path, "a.npz")
    assert (made.training.examples, made.held_out.examples, made.classes, made.words) == (6, 2, 3, 0)
    rows = {tuple(row) for split in (made.training, made.held_out) for row in split.inputs.tolist()}
    assert rows == {tuple(row) for row in inputs.tolist()}


def test_whole_numbers_are_words(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", inputs=np.arange(24).reshape(8, 3), targets=np.arange(8) % 2)
    made = load(tmp_path, "w.npz")
    assert (made.words, made.training.inputs.dtype.is_floating_point) == (24, False)
    assert "gives words; shift, scale and standardize are for numbers" in refusal(tmp_path, "w.npz", shift=1)


def test_a_table_has_a_column_of_classes_with_any_names(tmp_path: Path) -> None:
    write(tmp_path, "t.csv", "\ufeffage,kind,size\n1,cat,2.5\n2,dog,3\n3,cat,1e-1\n\n4,ant,0\n")
    made = load(tmp_path, "t.csv", target="kind")
    assert made.classes == 3
    rows = [
        (*x, y)
        for split in (made.training, made.held_out)
        for x, y in zip(split.inputs.tolist(), split.targets.tolist(), strict=True)
    ]
    assert sorted(rows) == [(1, 2.5, 1), (2, 3, 2), (3, float(np.float32(0.1)), 1), (4, 0, 0)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column 'target', but: a, b. Set data.target."),
        ("a,target\n1\n", "row 2 has 1 fields, the first row 2."),
        ("a,target\nx,1\n", "column 'a' holds something that is not a number."),
        ("a,target\nnan,1\n", "1 of 1 examples hold NaN, inf or numbers beyond float32."),
        ("a,target\n1e39,1\n", "1 of 1 examples hold NaN, inf or numbers beyond float32."),
        ("target\n1\n", "has no features or no rows."),
        ("a,target\n", "has no features or no rows."),
        ("", "has no column 'target'"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "t.csv", text)
    assert said in refusal(tmp_path, "t.csv")


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"a,target\n\xff,1\n")
    (tmp_path / "c.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "d.npz", x=np.zeros((3, 2)))
    np.savez(tmp_path / "e.npz", inputs=np.array([{}, {}], dtype=object), targets=np.zeros(2))
    np.savez(tmp_path / "f.npz", inputs=np.zeros((3, 2)), targets=np.zeros(4, np.int64))
    np.savez(tmp_path / "g.npz", inputs=np.zeros(3), targets=np.zeros(3, np.int64))
    np.savez(tmp_path / "h.npz", inputs=-np.ones((3, 2), np.int64), targets=np.zeros(3, np.int64))
    np.savez(tmp_path / "i.npz", inputs=np.zeros((3, 2)), targets=np.array([0, -1, 1]))
    for name, said in {
        "none.csv": "is not a file.",
        "a.txt": "does not end in one of: .npz, .csv, .parquet.",
        "b.csv": "is not text (UTF-8).",
        "c.npz": "cannot be read:",
        "d.npz": "has no array 'inputs', but: x.",
        "e.npz": "cannot be read: Object arrays cannot be loaded",
        "f.npz": "gives inputs (3, 2) and targets (4,).",
        "g.npz": "inputs (3,) of type float64 are not rows of numbers.",
        "h.npz": "some are negative.",
        "i.npz": "has targets outside 0 to 1.",
    }.items():
        assert said in refusal(tmp_path, name)


def test_parquet_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    assert "reading parquet needs pyarrow: pip install pyarrow." in refusal(tmp_path, "t.parquet")


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3), ("1", 1)])
def test_folders_of_images_are_classes(tmp_path: Path, mode: str, channels: int) -> None:
    for name in ("dog", "cat"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new(mode, (6, 4), "white" if name == "dog" else "black").save(tmp_path / name / f"{number}.png")
        write(tmp_path / name, "notes.txt", "no image")
    made = load(tmp_path, "", source="images", held_out=0.01)
    assert (tuple(made.training.inputs.shape[1:]), made.classes, made.training.examples) == ((channels, 4, 6), 2, 5)
    assert made.training.inputs.flatten(1).mean(1).tolist() == made.training.targets.tolist()  # white dogs, black cats


def test_images_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    said = "holds no folders with images in them, one folder for each class."
    assert said in refusal(tmp_path, "none", source="images")
    (tmp_path / "a").mkdir()
    assert said in refusal(tmp_path, "", source="images")
    Image.new("L", (6, 4)).save(tmp_path / "a" / "1.png")
    Image.new("L", (5, 4)).save(tmp_path / "a" / "2.png")
    assert "2.png has shape (4, 5), the first image (4, 6). Make them alike." in refusal(tmp_path, "", source="images")
    write(tmp_path / "a", "2.png", "no image")
    assert "2.png cannot be read as an image" in refusal(tmp_path, "", source="images")


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def write_mnist(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(rng.integers(256, size=(count, 28, 28))))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(count) % 10)))


def test_mnist_is_read_from_its_files_with_its_test_set(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    made = load(tmp_path, "", source="mnist")
    assert (tuple(made.training.inputs.shape), made.held_out.examples, made.classes) == ((12, 1, 28, 28), 5, 10)
    assert made.training.targets.tolist() == [*range(10), 0, 1]
    raw = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    assert float(made.training.inputs[0, 0, 0, 0]) == pytest.approx(raw[16] / 255)


def test_cifar_is_read_from_its_binary_version(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        (tmp_path / name).write_bytes(b"".join(bytes([3]) + rng.bytes(3072) for _ in range(2)))
    made = load(tmp_path, "", source="cifar10")
    assert (tuple(made.training.inputs.shape), made.held_out.examples) == ((10, 3, 32, 32), 2)
    assert set(made.training.targets.tolist()) == {3}


def test_published_files_that_are_missing_or_broken_say_so(tmp_path: Path) -> None:
    assert "is not a folder. It should hold train-images-idx3-ubyte[.gz]" in refusal(tmp_path, "x", source="mnist")
    assert "holds neither train-images-idx3-ubyte nor" in refusal(tmp_path, "", source="mnist")
    assert "holds neither data_batch_1.bin nor data_batch_1.bin.gz" in refusal(tmp_path, "", source="cifar10")
    (tmp_path / "data_batch_1.bin").write_bytes(b"short")
    assert "is not a CIFAR-10 batch: 5 bytes" in refusal(tmp_path, "", source="cifar10")
    write_mnist(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "is cut off: 9407 bytes instead of (12, 28, 28)" in refusal(tmp_path, "", source="mnist")
    file.write_bytes(b"\x00\x00\x08\x01" + whole[4:])
    assert "is not an IDX file of bytes in 3 dimension(s)" in refusal(tmp_path, "", source="mnist")
    file.unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(whole)
    assert "train-images-idx3-ubyte.gz cannot be read" in refusal(tmp_path, "", source="mnist")


def test_a_function_of_the_user_s_own_gives_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(
        tmp_path,
        "own_data_for_test.py",
        "def good(): return [[0.5, 1.0]] * 8, [0, 1] * 4, 3\ndef bad(): return 5\nthing = 1\n",
    )
    made = data.load(Data(source="own_data_for_test:good"))
    assert (made.training.examples, made.classes) == (6, 3)
    for name, said in {
        "own_data_for_test:bad": "returned int, not (inputs, targets[, classes])",
        "own_data_for_test:thing": "module 'own_data_for_test' has no function 'thing'",
        "no_such_module_at_all:f": f"there is no module 'no_such_module_at_all' in {tmp_path} or installed",
    }.items():
        with pytest.raises(DpplanError) as caught:
            data.load(Data(source=name))
        assert said in str(caught.value)
