"""Folders of images: each folder is a class, and an image that does not fit is named."""

import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import load, refusal, write
from PIL import Image

SIZE = (6, 4)  # width and height, as Pillow has them


def draw(file: Path, mode: str = "L", size: tuple[int, int] = SIZE, shade: int = 0) -> None:
    """One shade all over."""
    file.parent.mkdir(parents=True, exist_ok=True)
    colour = shade if mode in {"1", "L", "P", "I;16", "I", "F"} else (shade,) * len(Image.new(mode, (1, 1)).getbands())
    Image.new(mode, size, colour).save(file)


def menagerie(folder: Path, mode: str = "L", ending: str = "png") -> None:
    """Three black cats and three white dogs."""
    for name, shade in (("cat", 0), ("dog", 255)):
        for number in range(3):
            draw(folder / name / f"{number}.{ending}", mode, shade=shade)


def said_of(folder: Path) -> str:
    return refusal(folder, "", source="images")


@pytest.mark.parametrize(
    ("mode", "ending", "channels"),
    [
        ("L", "png", 1),
        ("1", "png", 1),
        ("LA", "png", 1),
        ("RGB", "png", 3),
        ("RGBA", "png", 3),
        ("L", "jpg", 1),
        ("RGB", "JPEG", 3),
        ("CMYK", "jpg", 3),
        ("RGB", "bmp", 3),
        ("L", "pgm", 1),
        ("RGB", "ppm", 3),
    ],
)
def test_folders_of_images_are_classes(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    menagerie(tmp_path, mode, ending)
    made = load(tmp_path, "", source="images", held_out=0.01)
    assert (tuple(made.training.inputs.shape), made.classes) == ((5, channels, 4, 6), 2)
    assert made.training.inputs.dtype == torch.float32
    light = made.training.targets.float() if mode != "CMYK" else 1 - made.training.targets.float()  # full ink is black
    assert torch.allclose(made.training.inputs.flatten(1).mean(1), light, atol=0.02)


def test_a_palette_is_looked_up_and_its_transparency_left_out(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for name, index in (("cat", 0), ("dog", 1)):
        for number in range(2):
            image = Image.new("P", SIZE, index)
            image.putpalette([10, 20, 30, 255, 0, 51])
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{number}.png", transparency=bytes([0, 100]))
    made = load(tmp_path, "", source="images", held_out=0.01)
    dogs = made.training.inputs[made.training.targets == 1]
    assert torch.equal(dogs[0, :, 0, 0], torch.tensor([255, 0, 51]) / torch.tensor(255.0))
    assert [str(warning.message) for warning in recwarn] == []


def test_rows_and_columns_of_pixels_keep_their_places(tmp_path: Path) -> None:
    pixels = np.arange(4 * 6 * 3).reshape(4, 6, 3).astype(np.uint8)
    menagerie(tmp_path, "RGB")
    Image.fromarray(pixels).save(tmp_path / "cat" / "0.png")
    found = load(tmp_path, "", source="images", held_out=0.01)
    every = torch.cat([found.training.inputs, found.held_out.inputs])
    assert any(torch.equal((image * 255).round(), torch.tensor(pixels).permute(2, 0, 1)) for image in every)


def test_what_is_no_image_or_hidden_is_passed_over(tmp_path: Path) -> None:
    menagerie(tmp_path)
    write(tmp_path / "cat", "notes.txt", "no image")
    write(tmp_path / "cat", "._0.png", "left there by another system")
    (tmp_path / ".cache").mkdir()
    write(tmp_path, "labels.csv", "beside the folders")
    made = load(tmp_path, "", source="images")
    assert (made.training.examples + made.held_out.examples, made.classes) == (6, 2)


def test_folders_that_are_no_classes_are_told(tmp_path: Path) -> None:
    assert said_of(tmp_path).startswith("data.path=. should be the folder with a folder of images for each class;")
    (tmp_path / "cat").mkdir()
    write(tmp_path / "cat", "0.tiff", "an ending that is not read")
    assert "it has no folder with files that end in .png, .jpg, " in said_of(tmp_path)
    draw(tmp_path / "cat" / "0.png")
    assert said_of(tmp_path) == "data.path=. has one folder, cat. A classifier needs two classes."
    for name in ("dog", "emu"):
        (tmp_path / name).mkdir()
    assert "data.path=.: no images in dog, emu, so these classes have no examples." in said_of(tmp_path)


def test_the_folder_that_was_meant_is_guessed(tmp_path: Path) -> None:
    menagerie(tmp_path / "train")
    menagerie(tmp_path / "test")
    assert said_of(tmp_path).endswith("Did you mean path: test?")
    assert "data.path=trian does not exist." in refusal(tmp_path, "trian", source="images")
    assert refusal(tmp_path, "trian", source="images").endswith("Did you mean 'train'?")
    said = refusal(tmp_path, "train/cat/0.png", source="images")
    assert said.startswith(
        "data.path=train/cat/0.png is a file, not a folder. It should be the folder with a folder of"
    )


@pytest.mark.parametrize(
    ("mode", "size", "said"),
    [
        ("L", (5, 4), "dog/3.png is grey, 5 x 4 pixels; the first image, cat/0.png, is grey, 6 x 4 pixels. Make them"),
        ("RGB", SIZE, "dog/3.png is colour, 6 x 4 pixels; the first image, cat/0.png, is grey, 6 x 4 pixels."),
        ("I;16", SIZE, "dog/3.png has pixels of type I;16. Save it with eight bits a channel."),
    ],
)
def test_an_image_unlike_the_others_is_named(tmp_path: Path, mode: str, size: tuple[int, int], said: str) -> None:
    menagerie(tmp_path)
    draw(tmp_path / "dog" / "3.png", mode, size)
    assert said_of(tmp_path).startswith(said)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    menagerie(tmp_path, "RGB")
    file = tmp_path / "dog" / "2.png"
    whole = file.read_bytes()
    for content in (b"", b"no image", whole[:40], whole[:-30], whole[:20] + bytes(20) + whole[40:]):
        file.write_bytes(content)
        assert said_of(tmp_path).startswith("dog/2.png cannot be read as an image: ")
    file.unlink()
    file.mkdir()
    assert said_of(tmp_path).startswith("dog/2.png cannot be read as an image: ")


@pytest.mark.parametrize("side", [10_000, 60_000])  # 300 million bytes, and ten billion
def test_an_image_that_declares_too_many_pixels_is_refused_unread(tmp_path: Path, side: int) -> None:
    menagerie(tmp_path)
    header, pixels = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0), zlib.compress(bytes(100))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "dog" / "3.png").write_bytes(content)
    assert said_of(tmp_path) == "dog/3.png declares more pixels than can be trained on. Scale it down."


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_images_need_their_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert said_of(tmp_path) == "data.source=images needs Pillow: pip install 'dpplan[files]'"


def test_files_that_are_passed_over_are_named(tmp_path: Path) -> None:
    menagerie(tmp_path)
    (tmp_path / "dog" / ".cache").mkdir()
    for name in ("cat/x.tif", "dog/notes.txt", "dog/.hidden", "dog/.cache/y.png", ".z", "beside.txt"):
        (tmp_path / name).touch()
    draw(tmp_path / "top.png")
    draw(tmp_path / "cat" / "more" / "deep.png")
    skipped = load(tmp_path, "", source="images").skipped
    assert skipped == ("beside.txt", "cat/more/deep.png", "cat/x.tif", "dog/notes.txt", "top.png")
