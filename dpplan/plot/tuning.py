"""What a search costs under several laws of the number of trials, as a picture."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.compare.tuning import TuningComparison
from dpplan.plot.image_file import MILLIMETRE, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {"font.size": 7.0, "axes.spines.top": False, "axes.spines.right": False}
_HEIGHT = 0.34


def draw(found: TuningComparison, path: Path) -> None:
    """Two bars for each law, black by profile and grey by Rényi divergences; dotted lines at no search and, where it is
    proven, at a grid of as many settings.

    Raises UsageError when `path` ends in neither .svg nor .png or cannot be written, MissingExtra without matplotlib.
    """

    def fill(figure: "Figure") -> None:
        axes = figure.add_axes((0.24, 0.2, 0.72, 0.68))
        for at, row in enumerate(found.rows):
            for bound, offset, colour in ((row.profile, -0.5, "#000000"), (row.renyi, 0.5, "#9F9F9F")):
                if bound is not None:
                    axes.barh(at + offset * _HEIGHT, bound.value, height=_HEIGHT, color=colour)
        axes.set_yticks(range(len(found.rows)), [row.trials.law for row in found.rows])
        axes.invert_yaxis()
        marks = (
            (found.single, "no search ", "center"),
            (found.together, f"a grid of {math.ceil(found.mean)}", "right"),
        )
        for bound, words, side in marks:
            if bound is not None:
                axes.axvline(bound.value, color="#7F7F7F", linewidth=0.6, linestyle=":")
                axes.text(bound.value, 1.02, words, transform=axes.get_xaxis_transform(), ha=side)
        axes.set_xlim(left=0.0)
        axes.set_xlabel(f"ε of the search at δ = {found.delta:g}: by profile (black), by Rényi (grey)")

    save(path, fill, _STYLE, dpi=300, figsize=(120 * MILLIMETRE, (28 + 8 * len(found.rows)) * MILLIMETRE))
