"""A picture in a file: the letters and lines that all of them share, and how one is written.

matplotlib is imported where a picture is drawn and nowhere else; no display is ever opened.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.durable_files import write_named
from dpplan.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
# What a file would say of itself by default, and says not, so that the same drawing gives the same bytes.
_SILENT: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
MILLIMETRE = 1 / 25.4  # in inches
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "dpplan",  # ids in the file depend on the picture alone
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # letters that can be searched and copied
}


def save(path: Path, draw: Callable[["Figure"], None], style: dict[Any, Any], dpi: int, **figure: Any) -> None:
    """Draws on an empty figure and writes it. style: in addition to what all pictures share. figure: of the Figure.

    The same drawing gives the same bytes: the file holds no date and no version.
    Raises UsageError when `path` ends in none of FORMATS or cannot be written, MissingExtra without matplotlib.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise UsageError(f"--plot={path} does not end in {known}. Give the file one of these endings.")
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
        image = io.BytesIO()
        drawn.savefig(image, format=suffix[1:], dpi=dpi, metadata=_SILENT[suffix])
        write_named(f"--plot={path}", path, image.getvalue())
