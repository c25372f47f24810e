"""A picture in a file: the letters and lines that all of them share, and how one is written.

matplotlib is imported where a picture is drawn and nowhere else; no display is ever opened.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.errors import MissingExtra, UsageError, file_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
MILLIMETRE = 1 / 25.4  # in inches
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "dpplan",  # ids in the file depend on the picture alone
    "svg.fonttype": "path",
}


def save(path: Path, draw: Callable[["Figure"], None], style: dict[Any, Any], dpi: int, **figure: Any) -> None:
    """Draws on an empty figure and writes it. style: in addition to what all pictures share. figure: of the Figure.

    The same drawing gives the same bytes: the file holds no date and no version.
    Raises UsageError when `path` ends in neither .svg nor .png or cannot be written, MissingExtra without matplotlib.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"--plot={path} does not end in {' or '.join(FORMATS)}. Give the file one of these endings.")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("--plot", "plot") from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's own style, the picture is the same
        matplotlib.rcParams.update(_STYLE | style)
        drawn = Figure(**figure)
        draw(drawn)
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
        try:
            drawn.savefig(path, format=suffix[1:], dpi=dpi, metadata=metadata)
        except OSError as error:
            raise file_error(f"--plot={path} cannot be written", error) from error
