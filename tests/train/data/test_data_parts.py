"""The sources of examples one by one, before they are split: shapes, ranges, classes, and where a path leads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import write, write_binary_cifar, write_mnist

from dpplan.errors import RecipeError, UsageError
from dpplan.recipe import Data
from dpplan.recipe.schema import MADE_EXAMPLES
from dpplan.train.data import image_folder, mnist_and_cifar, own_file, paths, scikit_learn, synthetic, tables
from dpplan.train.data.examples import Examples


def data(path: Path | str = "any", **changes: Any) -> Data:
    return Data(**{"source": "file", "path": str(path), "held_out": 0.25, **changes})


def made_up(examples: int | None = None) -> Data:
    return Data(source="blobs", held_out=0.25, examples=examples)


# examples, scikit_learn, synthetic


def test_examples_have_no_words_and_no_test_set_unless_they_say_so() -> None:
    made = Examples(np.zeros((3, 2), np.float32), np.zeros(3, np.int64), 2)
    assert (made.words, made.held_out) == (0, None)


def test_digits_are_scaled_by_what_is_public() -> None:
    made = scikit_learn.digits(data())
    assert (made.inputs.shape, made.inputs.dtype, made.classes) == ((1797, 1, 8, 8), np.float32, 10)
    assert (float(made.inputs.min()), float(made.inputs.max())) == (0.0, 1.0)
    assert set((16 * made.inputs).ravel().tolist()) <= set(map(float, range(17)))
    assert np.bincount(made.targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_are_sklearns_own() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    made = scikit_learn.digits(data())
    assert np.array_equal(made.inputs[:, 0] * 16, found.images.astype(np.float32))
    assert np.array_equal(made.targets, found.target)


def test_tumours_are_divided_by_published_maxima() -> None:
    made = scikit_learn.breast_cancer(data())
    assert (made.inputs.shape, made.classes) == ((569, 30), 2)
    assert len(scikit_learn.BREAST_CANCER_MAXIMA) == 30
    assert made.inputs.max(axis=0).tolist() == pytest.approx([1.0] * 30, rel=2e-2)
    assert np.bincount(made.targets).tolist() == [212, 357]


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [(synthetic.blobs, (10,), 4), (synthetic.linear, (20,), 2), (synthetic.names, (10,), 4)],
)
def test_made_up_examples_are_the_same_every_time_and_as_many_as_asked(make: Any, shape: Any, classes: int) -> None:
    first, again = make(made_up(57)), make(made_up(57))
    assert np.array_equal(first.inputs, again.inputs)
    assert np.array_equal(first.targets, again.targets)
    assert (first.inputs.shape, first.classes) == ((57, *shape), classes)
    assert len(make(made_up()).targets) == MADE_EXAMPLES
    assert set(make(made_up()).targets.tolist()) == set(range(classes))


def test_blobs_are_apart_and_names_are_told_by_their_endings() -> None:
    made = synthetic.blobs(made_up(400))
    centres = np.array([made.inputs[made.targets == k].mean(axis=0) for k in range(4)])
    nearest = np.argmin(((made.inputs[:, None] - centres) ** 2).sum(axis=2), axis=1)
    assert np.mean(nearest == made.targets) > 0.97
    names = synthetic.names(made_up(50))
    assert (names.words, names.inputs.dtype) == (27, np.int64)
    for row, kind in zip(names.inputs.tolist(), names.targets.tolist(), strict=True):
        word = "".join(chr(ord("a") + letter - 1) for letter in row if letter)
        assert word.endswith(synthetic.ENDINGS[kind])
        assert row[len(word) :] == [0] * (10 - len(word))


# paths


def test_a_path_leads_to_a_file_or_to_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "mine.csv", "a")
    assert paths.file_at(data(tmp_path / "mine.csv")) == tmp_path / "mine.csv"
    assert paths.folder_at(data(tmp_path), "images") == tmp_path
    for path, function, said in (
        (tmp_path, "file", "is a folder; source: file reads one file"),
        (tmp_path / "mine.csv", "folder", "is a file, not a folder. It should be the folder with images."),
        (tmp_path / "mine.cvs", "file", "Did you mean 'mine.csv'?"),
        ("~/mine.csv", "file", "does not know ~ as your home"),
        (tmp_path / "no" / "x.csv", "file", "does not exist."),
    ):
        with pytest.raises(UsageError) as caught:
            paths.file_at(data(path)) if function == "file" else paths.folder_at(data(path), "images")
        assert said in str(caught.value)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="where dpplan was started"):
        paths.file_at(data("gone.csv"))


def test_a_file_further_down_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path / "a" / "b", "data_batch_1.bin", "")
    assert paths.elsewhere(tmp_path, "data_batch_1*") == f" Did you mean path: {tmp_path / 'a' / 'b'}?"
    assert paths.elsewhere(tmp_path, "test_batch*") == ""


# own_file, tables


def test_a_file_is_read_by_its_ending(tmp_path: Path) -> None:
    write(tmp_path, "x.CSV", "a,target\n1,yes\n2,no\n3,no\n4,yes\n")
    made = own_file.own(data(tmp_path / "x.CSV"))
    assert (made.inputs.tolist(), made.targets.tolist(), made.classes) == (
        [[1.0], [2.0], [3.0], [4.0]],
        [1, 0, 0, 1],
        2,
    )
    write(tmp_path, "x.tsv", "")
    with pytest.raises(UsageError, match=r"does not end in one of: .npz, .csv, .parquet"):
        own_file.own(data(tmp_path / "x.tsv"))


def test_a_table_keeps_its_rows_in_order_and_its_columns_as_they_stand(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", "b,kind,a\n1,2,0.5\n-3,1,1e-2\n5,1,0\n6,2,0\n")
    made = tables.from_csv(tmp_path / "x.csv", data(target="kind"))
    assert made.inputs.tolist() == [[1.0, 0.5], [-3.0, pytest.approx(0.01)], [5.0, 0.0], [6.0, 0.0]]
    assert made.targets.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,target\n1,x\ncat,y\n", "x.csv:3: column 'a'"),
        ("a,target\n1,x\n,y\n", "x.csv:3: column 'a'"),
        ("a,target\n1,x\n1e39,y\n", "x.csv:3: column 'a'"),
        ("a,target\n", "has a line with names and no rows"),
        ("target\nx\ny\n", "has no column besides 'target'"),
        ("1,2\n3,4\n", "the first line is data"),
    ],
)
def test_what_no_model_can_take_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "x.csv", text)
    with pytest.raises(UsageError) as caught:
        tables.from_csv(tmp_path / "x.csv", data())
    assert said in str(caught.value)


def test_only_the_first_few_columns_are_told(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(9)]
    write(tmp_path, "x.csv", f"{','.join(names)},target\n{'x,' * 9}y\n{'x,' * 9}z\n")
    with pytest.raises(RecipeError) as caught:
        tables.from_csv(tmp_path / "x.csv", data())
    assert len(caught.value.problems) == tables.MOST_PROBLEMS + 1
    assert caught.value.problems[-1].endswith("4 more columns cannot be used.")


# image_folder, mnist_and_cifar


def picture(file: Path, mode: str, size: tuple[int, int], colour: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    file.parent.mkdir(exist_ok=True)
    image.new(mode, size, colour).save(file)


def test_images_are_classes_by_folder_in_the_order_of_names(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "b.png", "RGB", (3, 2), (255, 0, 51))
    picture(tmp_path / "cat" / "a.png", "RGB", (3, 2), (0, 255, 0))
    picture(tmp_path / ".hidden" / "a.png", "RGB", (3, 2), (0, 0, 0))
    write(tmp_path / "dog", "notes.txt", "")
    made = image_folder.folders(data(tmp_path, source="images"))
    assert (made.inputs.shape, made.targets.tolist(), made.classes) == ((2, 3, 2, 3), [0, 1], 2)
    assert made.inputs[1, :, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.2])


def test_images_have_to_be_alike_and_of_two_classes(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "a.png", "L", (3, 2), 7)
    with pytest.raises(UsageError, match="A classifier needs two classes"):
        image_folder.folders(data(tmp_path, source="images"))
    picture(tmp_path / "dog" / "b.png", "RGB", (3, 2), (0, 0, 0))
    with pytest.raises(UsageError, match=r"is colour, 3 x 2 pixels; the first image, .*, is grey, 3 x 2"):
        image_folder.folders(data(tmp_path, source="images"))
    write(tmp_path / "dog", "b.png", "no image")
    with pytest.raises(UsageError, match="cannot be read as an image"):
        image_folder.folders(data(tmp_path, source="images"))


def test_published_sets_come_with_their_own_test_set(tmp_path: Path) -> None:
    for name, make, writer, shape in (
        ("m", mnist_and_cifar.mnist, write_mnist, (40, 1, 28, 28)),
        ("c", mnist_and_cifar.cifar10, write_binary_cifar, (40, 3, 32, 32)),
    ):
        (tmp_path / name).mkdir()
        writer(tmp_path / name)
        made = make(data(tmp_path / name))
        assert (made.inputs.shape, made.classes) == (shape, 10)
        assert made.held_out is not None
        assert len(made.held_out[0]) == len(made.held_out[1]) < 40
        assert 0.0 <= float(made.inputs.min()) < float(made.inputs.max()) <= 1.0


def test_a_set_that_is_cut_or_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write_mnist(tmp_path / "inner")
    with pytest.raises(UsageError, match=r"holds neither train-images-idx3-ubyte nor .*Did you mean path: .*inner"):
        mnist_and_cifar.mnist(data(tmp_path))
    file = tmp_path / "inner" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match="is not whole: it declares 40 x 28 x 28 bytes"):
        mnist_and_cifar.mnist(data(tmp_path / "inner"))
    with pytest.raises(UsageError, match=r"holds neither data_batch_1.bin nor data_batch_1"):
        mnist_and_cifar.cifar10(data(tmp_path))
