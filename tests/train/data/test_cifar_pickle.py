"""The Python version of CIFAR-10 is read as it is published, and no pickle gets to run anything."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import python_cifar, text, whole

from dpplan.errors import UsageError
from dpplan.train.data import cifar_pickle

PIXELS = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
GOOD = python_cifar([3, 9], PIXELS)


def read(tmp_path: Path, content: bytes) -> tuple[Any, Any]:
    (tmp_path / "data_batch_1").write_bytes(content)
    return cifar_pickle.batch(tmp_path / "data_batch_1")


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content)
    return str(caught.value)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_published_batch_is_read_as_numpy_reads_it(tmp_path: Path) -> None:
    pixels, labels = read(tmp_path, GOOD)
    theirs = pickle.loads(GOOD, encoding="bytes")
    assert theirs[b"filenames"] == [b"image_0.png", b"image_1.png"]
    assert np.array_equal(pixels, theirs[b"data"])
    assert (labels.tolist(), theirs[b"labels"]) == ([3, 9], [3, 9])


def test_arrays_may_lie_by_columns(tmp_path: Path) -> None:
    by_columns = GOOD.replace(b"\x89T", b"\x88T").replace(PIXELS.tobytes(), PIXELS.tobytes(order="F"))
    assert np.array_equal(read(tmp_path, by_columns)[0], PIXELS)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_does_not(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    for content in (Runs(mark), {"data": Runs(mark), "labels": []}, [{"x": (Runs(mark),)}]):
        said = refusal(tmp_path, pickle.dumps(content, protocol))
        assert f"it asks for {os.mkdir.__module__}.mkdir. A pickle can run any code" in said
        assert not mark.exists()
    pickle.loads(pickle.dumps(Runs(mark), protocol))
    assert mark.exists()  # it would have


@pytest.mark.parametrize(
    "asked",
    [
        b"cbuiltins\neval\n" + text("1") + b"\x85R.",
        b"(cbuiltins\neval\n" + text("1") + b"o.",  # the old way to make an object
        b"(" + text("1") + b"ibuiltins\neval\n.",  # and the one before
        b"cnumpy.testing\nrundocs\n" + text("x") + b"\x85R.",  # numpy's own, too
        b"cnumpy\nload\n" + text("x") + b"\x85R.",
        b"cnumpy\nndarray.tofile\n.",
        b"\x80\x04" + text("numpy") + text("ndarray.tofile") + b"\x93.",
        b"ccopyreg\n_reconstructor\n.",
        b"\x80\x02\x82\x01.",  # a registered extension
        b"Psomething\n.",  # an object kept elsewhere
        b"cnumpy\nndarray\n" + text("x") + b"\x85R.",  # calling what is no function here
        b"cnumpy\ndtype\n}" + text("x") + whole(1) + b"sb.",  # changing a stand-in
        b"cnumpy\ndtype\nN}" + text("__setstate__") + whole(1) + b"s\x86b.",
    ],
)
def test_what_the_published_files_do_not_ask_for_is_refused(tmp_path: Path, asked: bytes) -> None:
    assert "A pickle can run any code, so dpplan reads those that hold what CIFAR-10's" in refusal(tmp_path, asked)
    assert np.array_equal(read(tmp_path, GOOD)[0], PIXELS)  # and has left nothing behind


def test_pickles_of_another_content_are_named(tmp_path: Path) -> None:
    raw = PIXELS.tobytes()
    for content in (
        pickle.dumps([1, 2]),
        pickle.dumps({b"labels": [1]}),
        pickle.dumps({b"data": b"raw", b"labels": [1]}),
        GOOD.replace(text("u1"), text("f8")),
        GOOD.replace(whole(3072), whole(1024)),
        GOOD.replace(whole(2), whole(3)),
        GOOD.replace(whole(2), whole(-1)).replace(b"T\x00\x18", b"T\x00\x14").replace(raw, raw[:5120]),
        GOOD.replace(text("labels") + b"](" + whole(3), text("labels") + b"](" + text("3")),
    ):
        assert "data_batch_1 is not a batch of CIFAR-10: it lacks pixels or labels" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "content", [b"", b"no pickle", GOOD[:-500], GOOD[:50], b"\x80\x02q\xff\xff", b"r\xff\xff\xff\x7f"]
)
def test_broken_pickles_are_named(tmp_path: Path, content: bytes) -> None:
    assert "data_batch_1 was not read: " in refusal(tmp_path, content)
