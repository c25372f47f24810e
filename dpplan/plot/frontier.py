"""A frontier as one picture: the noise on the mean gradient over batch and length, and the cell to take."""

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dpplan.checks import show
from dpplan.frontier import Frontier
from dpplan.frontier.recommendation import LITTLE
from dpplan.plot.image_file import MILLIMETRE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 160 * MILLIMETRE, 100 * MILLIMETRE  # half of a slide
_FONT_SIZE = 9.0
_MOST_TICKS = 9
_LINE = 100  # characters of the legend that the width has room for
_INK, _PAPER = "#1A1A1A", "#FFFFFF"
_MARK = "#D55E00"  # vermilion of Okabe and Ito 2008: apart from every colour of the map
_BEYOND = "#6B6B6B"
_LIGHTEST, _DARKEST = 0.04, 0.68  # the part of ColorBrewer's YlGnBu on which black lines and letters are legible
_FIXED = ("fixed-size", "shuffle", "full-batch")  # schemes whose batches are all of one size
Array = npt.NDArray[np.float64]


def draw(found: Frontier, path: Path) -> None:
    """The noise-batch ratio as a heat map with contours, the Pareto cells, and the recommended cell with its figures.

    The same frontier gives the same bytes. Raises UsageError when `path` ends in neither .svg, .png nor .pdf or cannot
    be written, MissingExtra without matplotlib.
    """

    def fill(figure: "Figure") -> None:
        _fill(figure, found)

    save(path, fill, {"font.size": _FONT_SIZE}, dpi=200, figsize=(_WIDTH, _HEIGHT), layout="constrained")


def _fill(figure: "Figure", found: Frontier) -> None:
    axes = figure.add_subplot()
    x, y = np.array(found.grid.batch_sizes, dtype=float), np.array(found.grid.lengths, dtype=float)
    ratios = _values(found, lambda cell: cell.noise_batch_ratio)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _draw_heat(figure, axes, (x, y, ratios))
    _draw_limit(axes, found, (x, y))
    _draw_cells(axes, found)
    _draw_choice(axes, found)
    _name_ticks(axes, found)
    _explain(figure, axes, found)
    axes.set_xlabel(f"{_batch_word(found)} batch ({found.grid.drawn.unit}s)")
    axes.set_ylabel("epochs" if found.grid.epochs else "steps")
    grid = found.grid
    target = f"ε = {show(grid.target_epsilon)}, δ = {show(grid.delta)}"
    axes.set_title(f"Noise on the mean gradient for {target}, n = {show(grid.examples)}", loc="left", fontsize=10)


def _batch_word(found: Frontier) -> str:
    return "fixed" if found.grid.drawn.sampling in _FIXED else "expected"


def _draw_heat(figure: "Figure", axes: "Axes", cells: tuple[Array, Array, Array]) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm

    x, y, ratios = cells
    low, high = float(np.nanmin(ratios)), float(np.nanmax(ratios))
    norm = LogNorm(low, max(high, 1.01 * low))
    colours = ListedColormap(colormaps["YlGnBu"](np.linspace(_LIGHTEST, _DARKEST, 256)))
    mesh = axes.pcolormesh(_edges(x), _edges(y), ratios, norm=norm, cmap=colours, rasterized=True)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("noise-batch ratio σ / batch (clip norms)")
    bar.outline.set_linewidth(0.6)
    levels = [level for level in _one_two_five(low, high) if low < level < high]
    bar.ax.minorticks_off()
    bar.set_ticks(levels, labels=[_power(level) for level in levels])
    if min(ratios.shape) >= 2 and levels:
        lines = axes.contour(x, y, ratios, levels=levels, colors=_INK, linewidths=0.7)
        axes.clabel(lines, fmt=_power, fontsize=7.5)


def _draw_limit(axes: "Axes", found: Frontier, ends: tuple[Array, Array]) -> None:
    """The line beyond which no batch, however large, lowers the noise by more than a tenth."""
    spare = _values(found, lambda cell: cell.effective_noise / found.floor)
    if min(spare.shape) < 2 or not np.nanmin(spare) < 1 + LITTLE < np.nanmax(spare):
        return
    axes.contour(*ends, spare, levels=[1 + LITTLE], colors=_PAPER, linewidths=2.6)
    axes.contour(*ends, spare, levels=[1 + LITTLE], colors=_MARK, linewidths=1.4, linestyles="--")


def _draw_cells(axes: "Axes", found: Frontier) -> None:
    worth = [cell for cell in found.cells if cell.place in found.pareto and not found.saturated(cell)]
    size = min(9.0, 1500 / max(len(found.cells), 1))
    axes.scatter(
        [cell.batch_size for cell in worth],
        [cell.length for cell in worth],
        s=size, c=_INK, linewidths=0, label="Pareto optimal, and a larger batch still pays",
    )  # fmt: skip
    beyond = [cell for cell in found.cells if cell.plan is not None and not found.within(cell)]
    if beyond:
        axes.scatter(
            [cell.batch_size for cell in beyond], [cell.length for cell in beyond],
            s=14, c=_BEYOND, marker="x", linewidths=0.9, label="more compute than allowed",
        )  # fmt: skip


def _draw_choice(axes: "Axes", found: Frontier) -> None:
    """The recommended cell, what it is, and what the other rules would take."""
    cell, sigma = found.recommended.cell, float(found.recommended.solution.value)
    others: dict[tuple[int, float], list[str]] = {}
    for name, other in found.by_rule:
        others.setdefault(other.place, []).append(name)
    names = others.pop(cell.place, [])
    for (batch, length), rules in others.items():
        axes.plot(batch, length, "o", mfc=_PAPER, mec=_MARK, mew=1.2, ms=6, clip_on=False, zorder=5)
        _say(axes, (batch, length), " and ".join(rules), 7.5)
    epochs = f"{show(cell.length)} epochs, " if found.grid.epochs else ""
    size, ratio = f"batch {show(cell.batch_size)}", f"σ / batch = {_power(sigma / cell.batch_size, 3)}"
    axes.plot(
        cell.batch_size, cell.length, "*", mfc=_MARK, mec=_PAPER, mew=0.8, ms=17, clip_on=False, zorder=6,
        label=f"recommended: {size}, {epochs}{show(cell.steps)} steps, σ = {show(sigma)}, {ratio}",
    )  # fmt: skip
    _say(axes, cell.place, f"{' and '.join(names) if others else 'every rule'}\nσ = {show(sigma)}", 8.5)


def _say(axes: "Axes", place: tuple[float, float], text: str, size: float) -> None:
    """A label beside a cell, on the side where there is room."""
    x, y = (axes.transScale + axes.transLimits).transform(place)
    right, up = x < 0.5, y < 0.5
    axes.annotate(
        text,
        place,
        xytext=(9 if right else -9, 9 if up else -9),
        textcoords="offset points",
        ha="left" if right else "right",
        va="bottom" if up else "top",
        fontsize=size,
        color=_INK,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": _PAPER, "edgecolor": _MARK, "linewidth": 0.8, "alpha": 0.92},
        zorder=7,
    )


def _name_ticks(axes: "Axes", found: Frontier) -> None:
    """Ticks at the grid's own values where they are few, else at round ones."""
    batches, lengths = found.grid.batch_sizes, found.grid.lengths
    doublings = [2.0**i for i in range(math.ceil(math.log2(batches[0])), math.floor(math.log2(batches[-1])) + 1)]
    rounds = [value for value in _one_two_five(lengths[0], lengths[-1]) if lengths[0] <= value <= lengths[-1]]
    for axis, values, round_ones in ((axes.xaxis, batches, doublings), (axes.yaxis, lengths, rounds)):
        shown = values if len(values) <= _MOST_TICKS else round_ones[:: -(-len(round_ones) // _MOST_TICKS)]
        axis.set_ticks([float(value) for value in shown], labels=[show(value) for value in shown])
        axis.set_ticks([], minor=True)


def _explain(figure: "Figure", axes: "Axes", found: Frontier) -> None:
    """What the lines and marks mean, what is proven and what that assumes, below."""
    from matplotlib.lines import Line2D

    limit = Line2D([], [], color=_MARK, linewidth=1.4, linestyle="--")
    limit.set_label(f"above it no larger batch has over {100 * LITTLE:.0f} % less noise in as many steps")
    solution = found.recommended.solution
    words = [f"{solution.spent.guarantee}: no cell spends more than the target; assumes {solution.plan.assumptions}"]
    if any(cell.plan is None for cell in found.cells):
        words.insert(0, "cells that are left blank have no plan: --cells says why")
    said = [Line2D([], [], linestyle="none", label=textwrap.fill(each, _LINE)) for each in words]
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(
        handles=[*reversed(handles), limit, *said],
        markerscale=0.8,
        loc="outside lower left",
        fontsize=7.5,
        frameon=False,
    )


def _values(found: Frontier, of: Any) -> Array:
    """A figure of every cell, a row for each length; nan where there is no plan."""
    return np.array([[math.nan if cell.plan is None else of(cell) for cell in row] for row in found.rows])


def _edges(values: Array) -> Array:
    """The borders of cells around these values on a logarithmic axis."""
    if len(values) == 1:
        return np.array([values[0] / math.sqrt(2), values[0] * math.sqrt(2)])
    middles = np.sqrt(values[1:] * values[:-1])
    return np.concatenate([[values[0] ** 2 / middles[0]], middles, [values[-1] ** 2 / middles[-1]]])


def _one_two_five(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{first}e{decade}") for decade in decades for first in (1, 2, 5)]


def _power(value: float, digits: int = 1) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"
