"""--plot: the option, what can be wrong with it, and the drawing."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpplan.commands.shared import overwriting, waiting
from dpplan.commands.shared.parameter_types import FileName
from dpplan.commands.shared.plan_arguments import Decorator
from dpplan.errors import MissingExtra

if TYPE_CHECKING:
    from dpplan.curve import Curves


def plot_option(what: str) -> Decorator:
    """--plot. what: what is drawn, for its help."""
    said = f"{what}, as .svg, .png or .pdf."
    option = click.option("--plot", type=FileName(path_type=Path, dir_okay=False), help=said)
    return lambda command: option(overwriting.overwrite_option(command))


def problems(plot: Path | None) -> tuple[str, ...]:
    """What can be known to be wrong before minutes are spent on the curves."""
    if plot is None:
        return ()
    from dpplan.plot.image_file import FORMATS

    if plot.suffix.lower() not in FORMATS:
        return (f"plot={plot} does not end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}. Rename it.",)
    return overwriting.problems("plot", plot)


def needs_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("--plot", "plot")


def draw(curves: "Curves", plot: Path) -> None:
    from dpplan.plot import curves as drawing

    with waiting.status("drawing"):
        drawing.draw(curves, plot)
