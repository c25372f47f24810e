"""The trade-off as a picture: linear and log-log, the diagonal of guessing, the region of (ε, δ), the proven curve."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dpplan.plot.image_file import MILLIMETRE, save
from dpplan.risk.trade_off import TradeOff, implied
from dpplan.rounding import up

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 170 * MILLIMETRE, 80 * MILLIMETRE
_FONT_SIZE = 7.0
_LEAST = 1e-6
_STYLE: dict[Any, Any] = {"font.size": _FONT_SIZE, "axes.spines.top": False, "axes.spines.right": False}


def draw(trade_off: TradeOff, stated: tuple[float, float] | None, path: Path) -> None:
    """Errors as for every picture (image_file.save)."""

    def fill(figure: "Figure") -> None:
        left = figure.add_axes((0.08, 0.15, 0.38, 0.68))
        right = figure.add_axes((0.58, 0.15, 0.38, 0.68))
        _draw(left, trade_off, stated, logarithmic=False)
        _draw(right, trade_off, stated, logarithmic=True)
        source = trade_off.source
        figure.text(0.08, 0.95, f"the most any attacker reaches: {source.name} ({source.guarantee})", va="center")
        figure.text(0.08, 0.90, source.assumes, va="center", color="#555555", fontsize=_FONT_SIZE - 1)

    save(path, fill, _STYLE, dpi=300, figsize=(_WIDTH, _HEIGHT))


def _draw(axes: "Axes", trade_off: TradeOff, stated: tuple[float, float] | None, logarithmic: bool) -> None:
    points = trade_off.curve()
    x = np.array([point.false_positives for point in points])
    y = np.array([point.true_positives for point in points])
    rates = np.geomspace(_LEAST, 1.0, 400) if logarithmic else np.linspace(0.0, 1.0, 400)
    axes.plot(rates, rates, color="#999999", linewidth=0.8, linestyle=(0, (3, 2)), label="guessing")
    if stated is not None:
        name = f"(ε, δ) = ({up(stated[0], 4)}, {stated[1]:.2g}) alone"
        region = np.array(implied(*stated, rates.tolist()))
        axes.fill_between(rates, rates, region, color="#E69F00", alpha=0.18, linewidth=0)
        axes.plot(rates, region, color="#E69F00", linewidth=0.9, label=name)
    axes.plot(rates, np.interp(rates, x, y), color="#000000", linewidth=1.6, label="proven")
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate, at most")
    axes.grid(color="#E5E5E5", linewidth=0.5)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(_LEAST, 1.0)
        axes.set_ylim(10.0 ** math.floor(math.log10(_LEAST)), 1.0)
    else:
        axes.set_xlim(0.0, 1.0)
        axes.set_ylim(0.0, 1.0)
        axes.legend(loc="lower right", frameon=False, fontsize=_FONT_SIZE)
