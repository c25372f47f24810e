"""Pictures of results, made to be printed 80 mm wide and written to a file; no display is ever opened.

matplotlib is imported where a picture is drawn and nowhere else.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan import compare
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")

_WIDTH, _HEIGHT = 80 / 25.4, 60 / 25.4  # inches
_LEFT, _LABELS = 0.17, 0.69  # the width: where the axes begin, and where the names of the lines do
_FONT_SIZE = 7.0  # points, and between names a little more
_LINE_SPACING = 1.15 * _FONT_SIZE
_DECADES = 1.3  # a logarithmic axis from here on: a factor of 20 between the largest and the smallest
# Okabe and Ito 2008: distinct to colour-blind eyes. Black is kept for the reference.
_COLOURS = {
    "exact": "#000000",
    "gdp": "#E69F00",
    "zcdp": "#56B4E9",
    "rdp": "#0072B2",
    "moments": "#009E73",
    "optimal": "#CC79A7",
    "advanced": "#D55E00",
    "basic": "#7F7F7F",
}
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so every machine draws the same letters
    "font.size": _FONT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "dpplan",  # ids in the file depend on the picture alone
    "svg.fonttype": "path",
}


def curves(data: compare.Curves, path: Path) -> None:
    """Epsilon against the length of training: one line for each accountant, named at its end.

    The exact accountant is the thick black line; estimates are dashed and say so. The same data give the same bytes.
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
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        _draw(figure.add_axes((_LEFT, 0.15, _LABELS - _LEFT, 0.75)), data)
        # No date and no version in the file: it changes when the picture does.
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if suffix == ".svg" else {"Software": None}
        try:
            figure.savefig(path, format=suffix[1:], dpi=300, metadata=metadata)
        except OSError as error:
            raise UsageError(f"--plot={path} cannot be written: {error.strerror}.") from error


def spread(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones (rising), at least `distance` apart, within [low, high] where there is room.

    The least squares answer: with i·distance taken off the i-th, they need only rise, which pooling the ones that
    fall solves (isotonic regression by adjacent violators).
    """
    blocks: list[tuple[float, int]] = []
    for i, position in enumerate(wanted):
        blocks.append((position - i * distance, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (right, many), (left, more) = blocks.pop(), blocks.pop()
            blocks.append(((right * many + left * more) / (many + more), many + more))
    shifted = [position for position, count in blocks for _ in range(count)]
    top = max(high - (len(wanted) - 1) * distance, low)
    return [min(max(position, low), top) + i * distance for i, position in enumerate(shifted)]


def _draw(axes: "Axes", data: compare.Curves) -> None:
    figures = {name: [_figure(bound) for bound in bounds] for name, bounds in data.series.items()}
    shown = {name: values for name, values in figures.items() if any(map(math.isfinite, values))}
    positive = [value for values in shown.values() for value in values if 0 < value < math.inf]
    if positive and max(positive) > min(positive) * 10**_DECADES:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        shown = {name: [value if value > 0 else math.nan for value in values] for name, values in shown.items()}
    for name, values in shown.items():
        reference = name == compare.REFERENCE
        axes.plot(
            data.x,
            values,
            color=_COLOURS.get(name, "#7F7F7F"),
            linewidth=1.8 if reference else 0.9,
            linestyle=(0, (3, 1.5)) if _is_estimate(data.series[name]) else "-",
            marker="." if len(data.x) == 1 else None,
            zorder=4 if _is_estimate(data.series[name]) else 3,
        )
    axes.set_xlim(0, max(data.x))
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    axes.set_xlabel(f"length of training ({data.x_name})")
    axes.set_ylabel("privacy spent, ε (nats)")
    axes.set_title(_title(data), loc="left", fontsize=_FONT_SIZE)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    _name_lines(axes, data, shown)


def _name_lines(axes: "Axes", data: compare.Curves, shown: dict[str, list[float]]) -> None:
    """The name of each line at its end; a thin line leads to it where names had to move apart."""
    to_axes = axes.transScale + axes.transLimits
    ends = []
    for name, values in shown.items():
        last = max(i for i, value in enumerate(values) if math.isfinite(value))
        x, y = to_axes.transform((data.x[last], values[last]))
        ends.append((float(y), float(x), name))
    ends.sort()
    height = axes.get_position().height * _HEIGHT * 72  # points
    places = spread([y for y, _, _ in ends], _LINE_SPACING / height, 0.0, 1.0)
    for (y, x, name), place in zip(ends, places, strict=True):
        axes.plot(
            [x, 1.06, 1.09],
            [y, place, place],
            color=_COLOURS.get(name, "#7F7F7F"),
            linewidth=0.6,
            transform=axes.transAxes,
            clip_on=False,
        )
        label = f"{name} (estimate)" if _is_estimate(data.series[name]) else name
        weight = "bold" if name == compare.REFERENCE else "normal"
        axes.text(1.11, place, label, transform=axes.transAxes, va="center", fontsize=_FONT_SIZE, fontweight=weight)


def _figure(bound: Bound | None) -> float:
    return math.nan if bound is None else bound.value


def _is_estimate(bounds: Sequence[Bound | None]) -> bool:
    return any(bound is not None and bound.guarantee is Guarantee.ESTIMATE for bound in bounds)


def _title(data: compare.Curves) -> str:
    if len(data.plan.phases) > 1:
        return f"{len(data.plan.phases)} phases, δ = {data.delta:.3g}"
    phase = data.plan.only_phase
    return f"σ = {phase.noise_multiplier:.4g}, q = {phase.sample_rate:.4g}, δ = {data.delta:.3g}"
