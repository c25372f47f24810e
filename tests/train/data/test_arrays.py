"""Arrays from an .npz or from a function: what becomes of them, and what is said of those that cannot be used."""

import io
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_files import load, refusal, rows, write

from dpplan.errors import UsageError
from dpplan.recipe import Data
from dpplan.train import data
from dpplan.train.data.arrays import examples_from

HALVES = np.arange(8) % 2
NUMBERS = np.arange(24.0).reshape(8, 3)


def saved(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "a.npz", **arrays)


def said_of(tmp_path: Path, **arrays: Any) -> str:
    saved(tmp_path, **arrays)
    return refusal(tmp_path, "a.npz")


def test_arrays_are_read_as_they_are(tmp_path: Path) -> None:
    saved(tmp_path, inputs=NUMBERS, targets=np.arange(8) % 3)
    made = load(tmp_path, "a.npz")
    assert (made.training.examples, made.held_out.examples, made.classes, made.words) == (6, 2, 3, 0)
    assert made.training.inputs.dtype == torch.float32
    assert rows(made) == sorted((*row, target) for row, target in zip(NUMBERS.tolist(), [0, 1, 2] * 3, strict=False))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, bool])
def test_numbers_of_every_kind_are_features(tmp_path: Path, dtype: Any) -> None:
    np.savez_compressed(tmp_path / "a.npz", inputs=(NUMBERS % 2).astype(dtype), targets=HALVES)
    assert (load(tmp_path, "a.npz").words, load(tmp_path, "a.npz").training.inputs.dtype) == (0, torch.float32)


def test_whole_numbers_are_words(tmp_path: Path) -> None:
    saved(tmp_path, inputs=np.arange(24).reshape(8, 3), targets=HALVES)
    made = load(tmp_path, "a.npz")
    assert (made.words, made.training.inputs.dtype) == (24, torch.int64)
    said = refusal(tmp_path, "a.npz", shift=1)
    assert "gives words; shift, scale and standardize are for numbers" in said


def test_a_file_can_tell_how_many_classes_there_are(tmp_path: Path) -> None:
    saved(tmp_path, inputs=NUMBERS, targets=HALVES, classes=7)
    assert load(tmp_path, "a.npz").classes == 7
    for classes in (1, 2.0, [2, 3], True):
        assert "is not a whole number of at least 2." in said_of(
            tmp_path, inputs=NUMBERS, targets=HALVES, classes=classes
        )


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": NUMBERS, "y": HALVES}, "a.npz has no array 'inputs', but: x, y. Save it by numpy.savez("),
        ({"inputs": NUMBERS}, "a.npz has no array 'targets', but: inputs. Save it by"),
        ({"inputs": NUMBERS, "targets": HALVES[:5]}, "inputs of shape (8, 3) and targets of shape (5,) are not one"),
        ({"inputs": NUMBERS, "targets": 3}, "inputs of shape (8, 3) and targets of shape () are not one"),
        ({"inputs": NUMBERS[:, 0], "targets": HALVES}, "inputs of shape (8,) and type float64 are not rows of numbers"),
        ({"inputs": 1.0, "targets": HALVES}, "inputs of shape () and type float64 are not rows of numbers"),
        ({"inputs": NUMBERS * 1j, "targets": HALVES}, "and type complex128 are not rows of numbers"),
        ({"inputs": NUMBERS.astype(str), "targets": HALVES}, "and type <U32 are not rows of numbers"),
        ({"inputs": NUMBERS[:0], "targets": HALVES[:0]}, "a.npz: holds no examples."),
        ({"inputs": -np.ones((8, 2), int), "targets": HALVES}, "are words and count from 0; -1 is one."),
        ({"inputs": np.full((8, 2), 10**9), "targets": HALVES}, "1000000000 is no word of at most 10,000,000"),
        ({"inputs": np.ones((8, 2, 2), int), "targets": HALVES}, "words come in rows, not in shape (8, 2, 2). If they"),
        ({"inputs": NUMBERS, "targets": HALVES + 1}, "a.npz: targets are 1, 2, and not all of 0 to 1."),
        ({"inputs": NUMBERS, "targets": 0 * HALVES}, "a.npz: every target is 0."),
        ({"inputs": np.array([[{}]] * 8), "targets": HALVES}, "array 'inputs' holds Python objects, which can run any"),
        ({"inputs": NUMBERS, "targets": np.array([{}] * 8)}, "array 'targets' holds Python objects, which can run any"),
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_used_say_why(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    assert said in said_of(tmp_path, **arrays)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_the_first_example_without_a_number_is_named(tmp_path: Path, bad: float) -> None:
    inputs = NUMBERS.copy()
    inputs[5, 1] = inputs[6, 0] = bad
    said = said_of(tmp_path, inputs=inputs, targets=HALVES)
    assert "2 of 8 examples hold NaN, inf or numbers beyond float32, the first is inputs[5]." in said


def test_no_object_in_an_array_is_unpickled(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.mkdir, (tmp_path / "ran",)

    assert "holds Python objects" in said_of(tmp_path, inputs=np.array([[Runs()]] * 8), targets=HALVES)
    assert not (tmp_path / "ran").exists()


def archive(folder: Path, name: str, header: bytes, content: bytes = b"") -> None:
    with zipfile.ZipFile(folder / name, "w") as made:
        made.writestr("inputs.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)
        stream = io.BytesIO()
        np.save(stream, HALVES)
        made.writestr("targets.npy", stream.getvalue())


def test_more_bytes_declared_than_there_are_is_refused_before_they_are_asked_for(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 400000), }\n"
    archive(tmp_path, "a.npz", header % 1000, bytes(80))
    assert "array 'inputs' declares 3,200,000,000 bytes and holds " in refusal(tmp_path, "a.npz")
    archive(tmp_path, "a.npz", header % 10**15, bytes(80))
    assert "array 'inputs' declares 3,200,000,000,000,000,000,000 bytes" in refusal(tmp_path, "a.npz")


def test_files_that_are_no_archive_of_arrays_say_so(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, inputs=np.random.default_rng(0).normal(size=(8, 300)), targets=HALVES)
    single = io.BytesIO()
    np.save(single, NUMBERS)
    raw = whole.read_bytes()
    broken = {"empty": b"", "text": b"no archive", "cut": raw[:1000], "array": single.getvalue()}
    for name, content in broken.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
        assert f"{name}.npz is not an .npz file, or not a whole one." in refusal(tmp_path, f"{name}.npz")
    (tmp_path / "bits.npz").write_bytes(raw[:500] + bytes(200) + raw[700:])
    assert "bits.npz" in refusal(tmp_path, "bits.npz")
    archive(tmp_path, "fields.npz", b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (8,), }\n", bytes(64))
    assert "are not rows of numbers" in refusal(tmp_path, "fields.npz")
    archive(tmp_path, "header.npz", b"{'descr': ")
    assert "header.npz cannot be read: " in refusal(tmp_path, "header.npz")


def test_whatever_numpy_makes_arrays_of_will_do() -> None:
    for inputs in ([[0.5, 1.0]] * 4, torch.rand(4, 2), np.ones((4, 2), np.float32)):
        made = examples_from("f", inputs, ["a", "b"] * 2)
        assert (made.inputs.shape, made.inputs.dtype, made.classes) == ((4, 2), np.float32, 2)
    for inputs in ([[1.0], [1.0, 2.0]], torch.rand(4, 2, requires_grad=True)):
        with pytest.raises(UsageError, match="f: numpy makes no array of the inputs: "):
            examples_from("f", inputs, [0, 1])


def test_a_function_of_the_user_s_own_gives_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(
        tmp_path,
        "own_data_for_test.py",
        "def good(): return [[0.5, 1.0]] * 8, [0, 1] * 4, 3\n"
        "def bad(): return 5\n"
        "def uneven(): return [[0.5], [1.0]], [0]\n"
        "thing = 1\n",
    )
    made = data.load(Data(source="own_data_for_test:good"))
    assert (made.training.examples, made.classes) == (6, 3)
    for name, said in {
        "own_data_for_test:bad": "returned int, not (inputs, targets[, classes[, users]])",
        "own_data_for_test:uneven": "data.source=own_data_for_test:uneven: inputs of shape (2, 1) and targets of shape",
        "own_data_for_test:thing": "module 'own_data_for_test' has no function 'thing'",
        "no_such_module_at_all:f": f"there is no module 'no_such_module_at_all' in {tmp_path} or installed",
    }.items():
        with pytest.raises(UsageError) as caught:
            data.load(Data(source=name))
        assert said in str(caught.value)
