"""What a run costs under every sampling scheme, as a picture: a bar from the proven lower to the proven upper end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.compare.samplers import SamplerComparison
from dpplan.plot.image_file import MILLIMETRE, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {"font.size": 7.0, "axes.spines.top": False, "axes.spines.right": False}
_LEAST = 0.006  # of the axis: a bar shorter than this would not be seen


def draw(found: SamplerComparison, path: Path) -> None:
    """A line for each scheme and relation that is accounted for, and a dotted line at the usual figure.

    Raises UsageError when `path` ends in neither .svg nor .png or cannot be written, MissingExtra without matplotlib.
    """
    rows = [row for row in found.rows if row.bound is not None]

    def fill(figure: "Figure") -> None:
        axes = figure.add_axes((0.4, 0.14, 0.56, 0.82))
        uppers = [row.bound.value for row in rows if row.bound is not None]
        for at, row in enumerate(rows):
            assert row.bound is not None  # chosen above
            lower, upper = row.bound.lower or 0.0, row.bound.value
            width = max(upper - lower, _LEAST * max(uppers))
            axes.barh(
                at, width, left=upper - width, height=0.5, color="#000000" if width > upper - lower else "#7F7F7F"
            )
        axes.axvline(found.usual.value, color="#7F7F7F", linewidth=0.6, linestyle=":")
        axes.set_yticks(range(len(rows)), [f"{row.sampling}, {row.adjacency}" for row in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=0.0)
        axes.set_xlabel("ε (nats)")

    save(path, fill, _STYLE, dpi=300, figsize=(120 * MILLIMETRE, (20 + 5 * len(rows)) * MILLIMETRE))
