"""Curves as a picture: a line for each accountant, named at its end."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.compare.accountants import REFERENCE
from dpplan.curve import Curves
from dpplan.plan import Phase
from dpplan.plot.image_file import MILLIMETRE, save
from dpplan.quantities import by_word, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 80 * MILLIMETRE, 60 * MILLIMETRE
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.2, 0.98, 0.24, 0.91  # of width and height: the axes, and the names beside them
_CAPTION_SIZE = 5.0  # points
_LABELS = 1.11  # where the names of the lines begin, in widths of the axes
_CAPTION_WIDTH = 84  # letters
_LETTER = 0.6  # about how wide a letter is, in font sizes
# What can be read off an axis that rises by factors; what lies beyond is cut off, unless everything does.
_READABLE = {"epsilon": (1e-6, 1e4), "delta": (1e-15, 1.0)}
_FONT_SIZE = 7.0  # points, and between names a little more
_LINE_SPACING = 1.15 * _FONT_SIZE
_DECADES = 1.3  # a logarithmic axis from here on: a factor of 20 between the largest and the smallest
_SPARSE = 2.0  # decades below which powers of ten are too few to read an axis by
_BELOW = 1.5  # how far below the least value an axis of factors begins, as a factor
_VISIBLE = 0.01  # relative width from which an interval is drawn as a band
_UNKNOWN = "#7F7F7F"  # of a series that is no accountant
_STYLE: dict[Any, Any] = {"font.size": _FONT_SIZE, "axes.spines.top": False, "axes.spines.right": False}


def draw(data: Curves, path: Path) -> None:
    """A line for each accountant, named at its end, over whatever the curves run along.

    The exact accountant is the thick black line, with a band where its interval is wide enough to be seen; estimates
    are dashed and say so. The same data give the same bytes, made to be printed 80 mm wide.
    Raises UsageError when `path` ends in neither .svg, .png nor .pdf or cannot be written, MissingExtra without
    matplotlib.
    """

    def fill(figure: "Figure") -> None:
        width = _axes_width([label for name in data.series if (label := _label(data, name))])
        _draw(figure.add_axes((_LEFT, _BOTTOM, width, _TOP - _BOTTOM)), data)
        for place, line in enumerate(reversed(_caption(data))):
            figure.text(0.02, 0.02 + 0.035 * place, line, fontsize=_CAPTION_SIZE, color="#404040")

    save(path, fill, _STYLE, dpi=300, figsize=(_WIDTH, _HEIGHT))


def _axes_width(labels: Sequence[str]) -> float:
    """All of the room that the names of the lines leave, as a part of the figure."""
    if len(labels) < 2:
        return _RIGHT - _LEFT  # one line is named in the caption
    longest = max(map(len, labels)) * _LETTER * _FONT_SIZE / (72 * _WIDTH)
    return (_RIGHT - _LEFT - longest) / _LABELS


def _caption(data: Curves) -> list[str]:
    """What is proven of each line, and what all of them assume."""
    promised: dict[str, list[str]] = {}
    for name, bounds in data.series.items():
        for guarantee in dict.fromkeys(str(bound.guarantee) for bound in bounds if bound is not None):
            promised.setdefault(guarantee, []).append(name)
    proven = "; ".join(f"{guarantee}: {', '.join(names)}" for guarantee, names in promised.items())
    return [*textwrap.wrap(proven, _CAPTION_WIDTH), *textwrap.wrap(f"assumes {data.plan.assumptions}", _CAPTION_WIDTH)]


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


def _draw(axes: "Axes", data: Curves) -> None:
    figures = {name: [_figure(bound) for bound in bounds] for name, bounds in data.series.items()}
    shown = {name: values for name, values in figures.items() if any(map(math.isfinite, values))}
    positive = [value for values in shown.values() for value in values if 0 < value < math.inf]
    if positive and max(positive) > min(positive) * 10**_DECADES:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: _tick(value))
        shown = {name: [value if value > 0 else math.nan for value in values] for name, values in shown.items()}
        shown = {name: values for name, values in shown.items() if any(map(math.isfinite, values))}
    for name, values in shown.items():
        reference = name == REFERENCE
        axes.plot(
            data.x,
            values,
            color=_colour(name),
            linewidth=1.8 if reference else 0.9,
            linestyle=(0, (3, 1.5)) if _is_estimate(data.series[name]) else "-",
            marker="." if len(data.x) == 1 else None,
            zorder=4 if _is_estimate(data.series[name]) else 3,
        )
        _draw_band(axes, data.x, data.series[name], name)
    _scale_along(axes, data.x)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=0)
    else:
        _cut_to_readable(axes, data.quantity, positive)
    axes.set_xlabel(_axis(data.x_name))
    axes.set_ylabel(f"privacy spent, {_axis(data.quantity)}")
    axes.set_title(_title(data), loc="left", fontsize=_FONT_SIZE)
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
    _name_lines(axes, data, shown)


def _cut_to_readable(axes: "Axes", quantity: str, values: Sequence[float]) -> None:
    """Cuts off what lies beyond what can be read."""
    least, most = _READABLE[quantity]
    if not any(least <= value <= most for value in values):
        return
    low, high = axes.get_ylim()
    lowest = min(value for value in values if value >= least) / _BELOW  # a band that ends at 0 begins nowhere
    axes.set_ylim(max(low, least, lowest), min(high, most))


def _draw_band(axes: "Axes", x: Sequence[float], bounds: Sequence[Bound | None], name: str) -> None:
    """Between the proven ends, where they are far enough apart to be seen."""
    certified = [bound if bound is not None and bound.relative_width is not None else None for bound in bounds]
    if not any(bound is not None and (bound.relative_width or 0.0) > _VISIBLE for bound in certified):
        return
    ends = [(math.nan, math.nan) if bound is None else (bound.lower, bound.upper) for bound in certified]
    lower, upper = zip(*ends, strict=True)
    axes.fill_between(x, lower, upper, color=_colour(name), alpha=0.15, linewidth=0, zorder=2)


def _scale_along(axes: "Axes", x: Sequence[float]) -> None:
    """Logarithmic where the values rise by factors; from 0 where that leaves little empty."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = min(x), max(x)
    if rises_by_factors(x):
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        few = high < low * 10**_SPARSE
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=5))
        axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif low == high or low < 0.25 * high:
        axes.set_xlim(0, high)
    else:
        axes.set_xlim(low, high)


def _tick(value: float) -> str:
    """As short as it goes: 0.01, 1e-4, 1000."""
    return (
        f"{value:g}"
        if value == 0 or 1e-3 <= abs(value) < 1e4
        else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    )


def rises_by_factors(x: Sequence[float]) -> bool:
    """Whether the middle of some values is nearer to their geometric mean than to the arithmetic one."""
    low, high, middle = min(x), max(x), sorted(x)[len(x) // 2]
    if len(x) < 3 or low <= 0 or high < 2 * low:
        return False
    return abs(math.log(middle / math.sqrt(low * high))) < abs(math.log(middle / (0.5 * (low + high))))


def _name_lines(axes: "Axes", data: Curves, shown: dict[str, list[float]]) -> None:
    """The name of each line at its end; a thin line leads to it where names had to move apart."""
    if len(shown) < 2:
        return
    axes.autoscale_view()
    to_axes = axes.transScale + axes.transLimits
    ends = []
    for name, values in shown.items():
        last = max(i for i, value in enumerate(values) if math.isfinite(value))
        x, y = to_axes.transform((data.x[last], values[last]))
        ends.append((min(max(float(y), 0.0), 1.0), float(x), name))
    ends.sort()
    height = axes.get_position().height * _HEIGHT * 72  # points
    places = spread([y for y, _, _ in ends], _LINE_SPACING / height, 0.0, 1.0)
    for (y, x, name), place in zip(ends, places, strict=True):
        axes.plot(
            [x, 1.06, 1.09],
            [y, place, place],
            color=_colour(name),
            linewidth=0.6,
            transform=axes.transAxes,
            clip_on=False,
        )
        label = _label(data, name)
        weight = "bold" if name == REFERENCE else "normal"
        axes.text(_LABELS, place, label, transform=axes.transAxes, va="center", fontsize=_FONT_SIZE, fontweight=weight)


def _label(data: Curves, name: str) -> str:
    """The name of a line, "" where nothing of it is shown."""
    bounds = data.series[name]
    if not any(bound is not None and math.isfinite(bound.value) for bound in bounds):
        return ""
    return f"{name} (estimate)" if _is_estimate(bounds) else name


def _colour(name: str) -> str:
    """Of Okabe and Ito 2008, which colour-blind eyes tell apart, with black for the reference."""
    return accounting.describe(name).colour if name in accounting.ACCOUNTANTS else _UNKNOWN


def _axis(word: str) -> str:
    known = by_word(word)
    return known.axis or known.words


def _figure(bound: Bound | None) -> float:
    return math.nan if bound is None else bound.value


def _is_estimate(bounds: Sequence[Bound | None]) -> bool:
    return any(bound is not None and bound.guarantee is Guarantee.ESTIMATE for bound in bounds)


def _title(data: Curves) -> str:
    """What does not change along the curves."""
    delta = [] if data.at is None else [f"δ = {data.at:.3g}"]
    if len(data.plan.phases) > 1:
        return ", ".join([f"{len(data.plan.phases)} phases", *delta])
    phases = [plan.only_phase for plan in data.plans]
    facts = [
        *({_fact(name, phase) for phase in phases} for name in phases[0].settings),
        {f"{phase.steps} steps" for phase in phases},
    ]
    return ", ".join([*(fact.pop() for fact in facts if len(fact) == 1), *delta])


def _fact(name: str, phase: Phase) -> str:
    symbol, value = quantity(name).symbol, phase.settings.get(name)
    return f"{symbol} = {value:.4g}" if isinstance(value, float) else f"{symbol} = {value}"
