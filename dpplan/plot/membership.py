"""The curves of membership attacks on logarithmic axes, under the most that the plan allows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dpplan.plot.image_file import MILLIMETRE, save
from dpplan.risk.trade_off import TradeOff

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 110 * MILLIMETRE, 100 * MILLIMETRE
_FONT_SIZE = 7.0
_STYLE: dict[Any, Any] = {"font.size": _FONT_SIZE, "axes.spines.top": False, "axes.spines.right": False}
# Told apart by everybody, and by the dashes in black and white (Okabe, Ito 2008).
_LINES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))
Rates = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def draw(curves: Mapping[str, Rates], trade_off: TradeOff, path: Path) -> None:
    """curves: by attack, false- and true-positive rates. Errors as for every picture (image_file.save)."""

    def fill(figure: "Figure") -> None:
        axes = figure.add_axes((0.14, 0.12, 0.82, 0.74))
        least = min(float(false[false > 0.0].min(initial=1.0)) for false, _ in curves.values())
        rates = np.geomspace(least, 1.0, 300)
        points = trade_off.curve()
        allowed = np.interp(rates, [p.false_positives for p in points], [p.true_positives for p in points])
        axes.plot(rates, allowed, color="#000000", linewidth=1.6, label="the plan allows at most")
        for (name, (false, true)), (colour, dashes) in zip(curves.items(), _LINES, strict=False):
            axes.plot(false, true, color=colour, linestyle=dashes, linewidth=1.1, drawstyle="steps-post", label=name)
        axes.plot(rates, rates, color="#999999", linewidth=0.8, linestyle=(0, (3, 2)), label="guessing")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(least, 1.0)
        axes.set_ylim(least, 1.0)
        axes.set_xlabel("false-positive rate")
        axes.set_ylabel("true-positive rate")
        axes.grid(color="#E5E5E5", linewidth=0.5)
        axes.legend(loc="lower right", frameon=False, fontsize=_FONT_SIZE)
        figure.text(0.14, 0.94, f"membership attacks: {trade_off.source.name}", va="center")
        private = "private: computed from members, not covered by ε"
        figure.text(0.14, 0.90, private, va="center", color="#555555", fontsize=_FONT_SIZE - 1)

    save(path, fill, _STYLE, dpi=300, figsize=(_WIDTH, _HEIGHT))
