"""From a file to a finished run by the command, for every form of file; and a newcomer's mistakes, each one message."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from data_files import refusal, write, write_binary_cifar, write_mnist, write_python_cifar
from PIL import Image
from pyarrow import parquet
from unwrap import unwrapped

from dpplan import __main__ as program

RECIPE = """\
privacy: {{noise_multiplier: 4, clip_norm: 1, delta: 1e-4}}
data: {{source: {data}}}
model: {{{model}}}
training: {{batch_size: 8, steps: 3, optimizer: sgd, learning_rate: 0.1}}
runtime: {{device: cpu, threads: 1}}
"""
LOGISTIC = "kind: logistic"
CNN = "kind: cnn, hidden: [4], activation: tanh"
HALVES = np.arange(40) % 2
NUMBERS = np.random.default_rng(0).normal(size=(40, 3))


class Done(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process, in an empty folder, on a recipe with this data and model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(name: str, data: str, *more: str, model: str = LOGISTIC) -> Done:
        write(tmp_path, "r.yaml", RECIPE.format(data=data, model=model))
        capsys.readouterr()
        status = program.run([name, "r.yaml", *more])
        out, err = capsys.readouterr()
        return Done(status, out, unwrapped(err))

    return call


def csv(folder: Path) -> None:
    lines = (f"{a:.3f},{b:.3f},{('no', 'yes')[row % 2]}\n" for row, (a, b, _) in enumerate(NUMBERS))
    write(folder, "t.csv", "a,b,answer\n" + "".join(lines))


def table(folder: Path) -> None:
    parquet.write_table(pa.table({"a": NUMBERS[:, 0], "b": NUMBERS[:, 1], "answer": HALVES}), folder / "t.parquet")


def arrays(folder: Path) -> None:
    np.savez(folder / "a.npz", inputs=NUMBERS, targets=HALVES)


def words(folder: Path) -> None:
    np.savez(folder / "a.npz", inputs=np.arange(240).reshape(40, 6) % 9, targets=HALVES)


def images(folder: Path) -> None:
    for row in range(40):
        place = folder / "pets" / ("cat", "dog")[row % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (row, 2 * row, 3 * row)).save(place / f"{row}.png")


def function(folder: Path) -> None:
    source = "def load():\n    return [[0.5, row % 7] for row in range(40)], [row % 2 for row in range(40)]\n"
    write(folder, "own_examples_for_test.py", source)


@pytest.mark.parametrize(
    ("made", "data", "model"),
    [
        (csv, "file, path: t.csv, target: answer", LOGISTIC),
        (table, "file, path: t.parquet, target: answer", LOGISTIC),
        (arrays, "file, path: a.npz", LOGISTIC),
        (words, "file, path: a.npz", "kind: transformer, hidden: [4]"),
        (images, "images, path: pets", CNN),
        (function, "'own_examples_for_test:load'", LOGISTIC),
        (write_mnist, "mnist, path: .", CNN),
        (lambda folder: write_mnist(folder, packed=True), "mnist, path: .", LOGISTIC),
        (write_binary_cifar, "cifar10, path: .", CNN),
        (write_python_cifar, "cifar10, path: .", CNN),
    ],
    ids=["csv", "parquet", "npz", "words", "images", "function", "mnist", "packed", "cifar-bin", "cifar-py"],
)
def test_every_form_of_data_is_trained_on(
    tmp_path: Path, command: Command, made: Callable[[Path], None], data: str, model: str
) -> None:
    made(tmp_path)
    done = command("train", data, "--json", model=model)
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert (report["agrees_with_plan"], report["spent"]["steps"]) == (True, 3)
    assert report["planned"]["examples"] == (40 if data.startswith(("mnist", "cifar10")) else 32)
    assert 0 <= report["not_covered_by_epsilon"]["held_out_accuracy"] <= 1


TABLE = "file, path: t.csv, target: answer"


@pytest.mark.parametrize(
    ("data", "old", "new", "said"),
    [
        ("file, path: tt.csv", "", "", "data.path=tt.csv does not exist in {here}, where dpplan was started. Did you"),
        ("file, path: ~/t.csv", "", "", "A recipe does not know ~ as your home; write the whole path."),
        ("file, path: .", "", "", "data.path=. is a folder; source: file reads one file. For images: source: images."),
        ("file, path: t.txt", "", "", "data.path=t.txt does not end in one of: .npz, .csv, .parquet. For other files,"),
        ("file, path: t.csv", "", "", "t.csv has no column data.target=target. Its columns: a, b, answer."),
        (TABLE, "no", "yes", "t.csv: column 'answer': every target is 'yes'."),
        (TABLE, "0.", "nan", "t.csv:2: column 'a' holds 'nan126', which is not a number."),
        (TABLE, "\n0.126,", "\nnan,", "t.csv:2: column 'a' holds nan, not a finite number of float32."),
        (TABLE, "\n0.126,", "\n,", "t.csv:2: column 'a' is empty."),
        (TABLE, "\n0.126,", "\nlow,", "t.csv:2: column 'a' holds 'low', which is not a number."),
        ("mnist, path: t.csv", "", "", "data.path=t.csv is a file, not a folder. It should be the folder with"),
        ("cifar10, path: .", "", "", "data.path=. holds neither data_batch_1.bin nor data_batch_1."),
        ("images, path: .", "", "", "data.path=. should be the folder with a folder of images for each class;"),
        (f"{TABLE}, held_out: 0.99", "", "", "data.held_out=0.99 leaves none of the 40 examples to train on."),
        (f"{TABLE}, scale: 1e-40", "", "", "data.shift=0 and data.scale=1e-40 lead to numbers beyond float32."),
        ("'t:load', path: t.csv", "", "", "r.yaml:2: data.path has no meaning for source: t:load. Remove it."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(tmp_path: Path, command: Command, data: str, old: str, new: str, said: str) -> None:
    csv(tmp_path)
    write(tmp_path, "t.csv", (tmp_path / "t.csv").read_text(encoding="utf-8").replace(old, new))
    write(tmp_path, "t.txt", "")
    for name, *more in (("train", "--dry-run"), ("train",), ("check",)):
        done = command(name, data, *more)
        assert (done.status, done.out) == (2, "")
        assert done.err.startswith("error: ")
        assert said.format(here=tmp_path) in done.err
        assert "internal error" not in done.err
    assert not (tmp_path / "runs").exists()


def test_files_are_found_from_where_the_command_was_started(tmp_path: Path) -> None:
    assert refusal(tmp_path, "no.csv") == "data.path=no.csv does not exist."
    (tmp_path / "deep" / "down").mkdir(parents=True)
    assert refusal(tmp_path, "none/no.csv") == "data.path=none/no.csv does not exist."
    assert refusal(tmp_path, "x" * 300).endswith("x cannot be read: File name too long.")


# Numbers from the examples: only what is declared public, and never without a word.


@pytest.mark.parametrize("word", ["true", "yes", "mean", "Public"])
def test_scaling_by_the_examples_is_refused_unless_it_is_declared_public(
    tmp_path: Path, command: Command, word: str
) -> None:
    csv(tmp_path)
    for name in ("check", "train"):
        done = command(name, f"{TABLE}, standardize: {word}")
        assert (done.status, done.out) == (2, "")
        assert f"r.yaml:2: data.standardize={word} would read means and deviations of private data" in done.err


def test_scaling_that_is_declared_public_is_a_warning_for_data_of_ones_own(tmp_path: Path, command: Command) -> None:
    csv(tmp_path)
    done = command("check", f"{TABLE}, standardize: public", "--json")
    found = {one["code"]: one["severity"] for one in json.loads(done.out)["findings"]}
    assert (done.status, found["DP014"]) == (0, "warning")
    assert command("check", f"{TABLE}, standardize: public", "--strict").status == 1
    assert "warning: DP014 data.standardize" in command("train", f"{TABLE}, standardize: public", "--dry-run").err


@pytest.mark.parametrize("word", ["false", "off", "no"])
def test_not_scaling_may_be_said(tmp_path: Path, command: Command, word: str) -> None:
    csv(tmp_path)
    done = command("check", f"{TABLE}, standardize: {word}", "--json")
    assert done.status == 0
    assert "DP014" not in {one["code"] for one in json.loads(done.out)["findings"]}
