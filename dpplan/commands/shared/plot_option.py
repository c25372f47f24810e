"""--plot: what can be wrong with it, and the drawing."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from dpplan.errors import MissingExtra

if TYPE_CHECKING:
    from dpplan.curve import Curves


def problems(plot: Path | None) -> tuple[str, ...]:
    """What can be known to be wrong before minutes are spent on the curves."""
    if plot is None:
        return ()
    from dpplan.plot.curves import FORMATS

    if plot.suffix.lower() not in FORMATS:
        return (f"plot={plot} does not end in {' or '.join(FORMATS)}. Rename it.",)
    return () if plot.parent.is_dir() else (f"plot={plot}: the folder {plot.parent} does not exist. Make it first.",)


def needs_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("--plot", "plot")


def draw(curves: "Curves", plot: Path) -> None:
    from dpplan.plot import curves as plots

    plots.draw(curves, plot)
