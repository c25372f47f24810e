"""Where data.path leads, or a sentence that says why it leads nowhere."""

from pathlib import Path

from dpplan.checks import did_you_mean
from dpplan.errors import UsageError
from dpplan.recipe import Data


def file_at(data: Data) -> Path:
    """The file that data.path names. Raises UsageError when there is none."""
    path = _there(data, "")
    if path.is_dir():
        raise UsageError(f"data.path={path} is a folder; source: file reads one file. For images: source: images.")
    return path


def folder_at(data: Data, wanted: str) -> Path:
    """The folder that data.path names; `wanted` says what should be in it. Raises UsageError when there is none."""
    path = _there(data, f" It should be the folder with {wanted}.")
    if not path.is_dir():
        raise UsageError(f"data.path={path} is a file, not a folder. It should be the folder with {wanted}.")
    return path


def elsewhere(folder: Path, name: str) -> str:
    """A remedy sentence when a file of this name lies one or two folders further down, else nothing."""
    for pattern in (f"*/{name}", f"*/*/{name}"):
        for found in folder.glob(pattern):
            return f" Did you mean path: {found.parent}?"
    return ""


def _there(data: Data, wanted: str) -> Path:
    path = Path(data.path or "")
    if path.exists():
        return path
    where = "" if path.is_absolute() else f" in {Path.cwd()}, where dpplan was started"
    raise UsageError(f"data.path={path} does not exist{where}.{wanted}{_meant(path)}")


def _meant(path: Path) -> str:
    if path.parts[:1] == ("~",):
        return " A recipe does not know ~ as your home; write the whole path."
    if not path.parent.is_dir():
        return ""
    return did_you_mean(path.name, [each.name for each in path.parent.iterdir()])
