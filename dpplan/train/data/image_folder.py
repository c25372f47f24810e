"""A folder of images with a folder for each class."""

import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import UsageError, file_error
from dpplan.recipe import Data
from dpplan.train.data.examples import Examples
from dpplan.train.data.labels import listed
from dpplan.train.data.paths import folder_at

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm")
GREY = frozenset({"1", "L", "LA"})
COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})  # eight bits a channel, like GREY
_WANTED = "a folder of images for each class"


def folders(data: Data) -> Examples:
    """data.path: a folder with one folder of images for each class, all images of one size; bytes divided by 255.

    Grey images have one channel, all others three; transparency is left out. Files with other endings, those beside the
    folders of the classes or in folders within them, and whatever begins with a point, are passed over. Raises
    UsageError, naming the file, for an image that does not fit.
    """
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("data.source=images needs Pillow: pip install 'dpplan[files]'") from None
    folder = folder_at(data, _WANTED)
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [_images_in(path) for path in classes]
    if not any(files):
        raise UsageError(
            f"data.path={folder} should be the folder with {_WANTED}; it has no folder with files that end in "
            f"{', '.join(ENDINGS)}.{_one_level_down(classes)}"
        )
    empty = [path.name for path, found in zip(classes, files, strict=True) if not found]
    if empty:
        raise UsageError(f"data.path={folder}: no images in {listed(empty)}, so these classes have no examples.")
    if len(classes) < 2:
        raise UsageError(f"data.path={folder} has one folder, {classes[0].name}. A classifier needs two classes.")
    pixels = _alike([file for found in files for file in found])
    targets = np.repeat(np.arange(len(classes)), [len(found) for found in files])
    skipped = tuple(_others_in(folder, {file for found in files for file in found}))
    inputs = (pixels / np.float32(255)).astype(np.float32)
    return Examples(inputs, targets.astype(np.int64), len(classes), skipped=skipped)


def _images_in(folder: Path) -> list[Path]:
    found = (file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and not file.name.startswith("."))
    return sorted(found)


def _others_in(folder: Path, read: set[Path]) -> list[str]:
    """The files that are passed over: beside the folders of the classes, deeper than in them, or no image by name.

    Not those that begin with a point, or are in a folder that does.
    """
    found = []
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files = (Path(place, name) for name in names if not name.startswith("."))
        found += [file.relative_to(folder).as_posix() for file in files if file not in read]
    return sorted(found)


def _one_level_down(folders: list[Path]) -> str:
    """A remedy sentence when a folder here, as `train` beside `test`, is the one that was meant, else nothing."""
    for path in folders:
        if any(_images_in(inner) for inner in path.iterdir() if inner.is_dir()):
            return f" Did you mean path: {path}?"
    return ""


def _alike(files: list[Path]) -> NDArray[np.uint8]:
    """The pixels of all files, (files, channels, height, width)."""
    first = _pixels(files[0])
    pixels = np.empty((len(files), *first.shape), np.uint8)
    for place, file in zip(pixels, files, strict=True):
        found = _pixels(file)
        if found.shape != first.shape:
            raise UsageError(
                f"{file} is {_size(found)}; the first image, {files[0]}, is {_size(first)}. Make them alike."
            )
        place[:] = found
    return pixels


def _pixels(file: Path) -> NDArray[np.uint8]:
    """(channels, height, width). Raises UsageError for what is no image of eight bits."""
    from PIL import Image

    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(file) as image,
        ):
            if image.mode not in GREY | COLOUR:
                raise UsageError(f"{file} has pixels of type {image.mode}. Save it with eight bits a channel.")
            opaque = image.convert("RGBA") if image.mode in {"P", "PA"} else image  # a palette can hold transparency
            return _channels_first(opaque.convert("L" if image.mode in GREY else "RGB"))
    except OSError as error:
        raise file_error(f"{file} cannot be read as an image", error) from None
    except (ValueError, SyntaxError, EOFError, struct.error) as error:  # what Pillow's decoders raise besides
        raise UsageError(f"{file} cannot be read as an image: {error}.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise UsageError(f"{file} declares more pixels than can be trained on. Scale it down.") from None


def _channels_first(image: Any) -> NDArray[np.uint8]:
    found = np.asarray(image)
    return found[None] if found.ndim == 2 else np.moveaxis(found, 2, 0)


def _size(pixels: NDArray[np.uint8]) -> str:
    channels, height, width = pixels.shape
    return f"{'grey' if channels == 1 else 'colour'}, {width} x {height} pixels"
