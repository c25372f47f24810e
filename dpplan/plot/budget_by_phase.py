"""Where the budget of a plan goes, as a picture: what each phase costs alone, what it adds to the others, the total."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import SYMBOLS, Bound, Guarantee
from dpplan.checks import show
from dpplan.plot.image_file import MILLIMETRE, save
from dpplan.rounding import down, up

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _LEFT, _RIGHT, _HEAD, _FOOT, _ROW = 150.0, 42.0, 132.0, 16.0, 12.0, 9.0  # millimetres
_FONT_SIZE, _SMALL = 8.0, 6.5  # points
_NAME_WIDTH, _NAME_LINES, _CAPTION_WIDTH = 24, 2, 116  # letters, lines
_MOST_IN_LEGEND = 5  # groups, for one line; the names of the phases say their groups too
_ALL = "all records"
_BETWEEN_BOUNDS = "adds ≈: by how much the phase raises the bound; how far the others are below theirs is not known"
# Okabe and Ito 2008, which people who see colours differently tell apart; black is the total's, grey that of all.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
_SHARED, _TOTAL = "#7F7F7F", "#000000"
_STYLE: dict[Any, Any] = {"font.size": _FONT_SIZE, "axes.spines.top": False, "axes.spines.right": False}


@dataclass(frozen=True, slots=True)
class BudgetPart:
    """A phase. group: whose phase it is, "" where it is for all. alone: of the phase by itself. adds: at least and at
    most what it adds to all the others; NaN where that end is not proven. about: by how much it raises the bound, where
    that is known in place of the most. unknown: why neither is."""

    name: str
    group: str
    alone: Bound
    adds: tuple[float, float]
    about: float | None = None
    unknown: str = ""

    @property
    def said(self) -> str:
        """What it adds, as the table has it."""
        if self.about is not None:
            return f"adds ≈ {self.about:.3g}"
        return f"adds: {self.unknown}" if self.unknown else f"adds ≤ {up(max(self.adds[1], 0.0), 4)}"


def draw(parts: Sequence[BudgetPart], whole: Bound, at: float, path: Path, public: Sequence[str] = ()) -> None:
    """Two bars for each phase, in the colour of its group, and the total below. public: what costs nothing.

    What a phase adds is drawn full as far as it is proven to add that much, and hatched up to the most that it may.
    Errors as for every picture (image_file.save).
    """
    captions = _captions(parts, whole, public)
    foot = _FOOT + 3.0 * len(captions)
    height = _HEAD + _ROW * (len(parts) + 1) + foot

    def fill(figure: "Figure") -> None:
        axes = figure.add_axes(
            (_LEFT / _WIDTH, foot / height, (_RIGHT - _LEFT) / _WIDTH, (height - _HEAD - foot) / height)
        )
        _draw(axes, parts, whole)
        for line, caption in enumerate(reversed(captions)):
            figure.text(2 / _WIDTH, (2 + 3.0 * line) / height, caption, fontsize=_SMALL, color="#404040",
                        parse_math=False)  # fmt: skip
        title = f"Where the budget goes: {_total(whole, at)}"
        figure.text(2 / _WIDTH, 1 - 5 / height, title, fontsize=_FONT_SIZE + 1, va="center")
        _legend(figure, parts, 1 - 11 / height)

    save(path, fill, _STYLE, dpi=200, figsize=(_WIDTH * MILLIMETRE, height * MILLIMETRE))


def _total(whole: Bound, at: float) -> str:
    other = "δ" if whole.quantity == "epsilon" else "ε"
    return f"{SYMBOLS[whole.quantity]} {whole.relation} {_figure(whole, 6)} at {other} = {show(at)} ({whole.guarantee})"


def _figure(bound: Bound, digits: int = 4) -> str:
    return down(bound.lower, digits) if bound.guarantee is Guarantee.LOWER else up(bound.value, digits)


def _draw(axes: "Axes", parts: Sequence[BudgetPart], whole: Bound) -> None:
    colours = _by_group(parts)
    for at, part in enumerate(parts):
        colour = colours[part.group]
        ends = part.adds if part.about is None else (part.adds[0], part.about)
        least, most = (max(0.0, end) if end == end else 0.0 for end in ends)
        axes.barh(at - 0.19, part.alone.value, height=0.34, color=colour, alpha=0.35, linewidth=0)
        axes.barh(at + 0.19, least, height=0.34, color=colour, linewidth=0)
        axes.barh(at + 0.19, most - least, left=least, height=0.34, facecolor="none", edgecolor=colour, linewidth=0,
                  hatch="//////")  # fmt: skip
        about = "" if part.alone.relation == "=" else f"{part.alone.relation} "
        _name(axes, part.alone.value, at - 0.19, f"{about}{_figure(part.alone)} alone")
        _name(axes, most, at + 0.19, part.said)
    axes.barh(len(parts), whole.value, height=0.5, color=_TOTAL, linewidth=0)
    _name(axes, whole.value, len(parts), f"{whole.relation} {_figure(whole, 6)}")
    axes.axvline(whole.value, color=_SHARED, linewidth=0.6, linestyle=":", zorder=0)
    names = [_shortened(part.name, part.group) for part in parts]
    axes.set_yticks(range(len(parts) + 1), [*names, "all together"], parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(parts) + 0.5, -0.6)
    axes.set_xlim(0.0, 1.05 * max(whole.value, *(part.alone.value for part in parts)) or 1.0)
    axes.set_xlabel("ε (nats)" if whole.quantity == "epsilon" else SYMBOLS[whole.quantity])


def _name(axes: "Axes", x: float, y: float, text: str) -> None:
    """Beside the end of a bar, over the edge of the axes if need be: there is room to the right of them."""
    paper = {"facecolor": "white", "linewidth": 0, "pad": 0.6}  # so that no line runs through the letters
    axes.annotate(
        text,
        (x, y),
        (3, 0),
        textcoords="offset points",
        va="center",
        fontsize=_SMALL,
        annotation_clip=False,
        bbox=paper,
    )


def _shortened(name: str, group: str) -> str:
    lines = textwrap.wrap(f"{name} ({group})" if group else name, _NAME_WIDTH)
    return "\n".join([*lines[: _NAME_LINES - 1], lines[_NAME_LINES - 1] + "…"] if lines[_NAME_LINES:] else lines)


def _by_group(parts: Sequence[BudgetPart]) -> dict[str, str]:
    """A colour for each group; beyond the last they begin anew, and the names of the phases tell the groups apart."""
    groups = list(dict.fromkeys(part.group for part in parts if part.group))
    if not groups:
        return {"": _COLOURS[0]}
    return {"": _SHARED, **{group: _COLOURS[at % len(_COLOURS)] for at, group in enumerate(groups)}}


def _legend(figure: "Figure", parts: Sequence[BudgetPart], y: float) -> None:
    from matplotlib.patches import Patch

    said = [Patch(color="#999999", alpha=0.35, linewidth=0, label="alone"), Patch(color="#999999", label="adds")]
    if any(not part.adds[0] >= 0.98 * part.adds[1] > 0.0 for part in parts):
        said.append(Patch(facecolor="none", edgecolor="#999999", linewidth=0, hatch="//////", label="may add"))
    colours = _by_group(parts)
    shown = [group for group in colours if any(part.group == group for part in parts)]
    if 1 < len(shown) <= _MOST_IN_LEGEND:
        said += [Patch(color=colours[each], label=f"group {each}" if each else _ALL) for each in shown]
    figure.legend(
        handles=said, loc="center left", bbox_to_anchor=(1 / _WIDTH, y), ncols=len(said), frameon=False,
        fontsize=_SMALL, handlelength=1.2, columnspacing=1.2, borderaxespad=0.0,
    )  # fmt: skip


def _captions(parts: Sequence[BudgetPart], whole: Bound, public: Sequence[str]) -> list[str]:
    """What is proven of the figures, what all of them assume, and what costs nothing."""
    promised: dict[str, list[str]] = {str(whole.guarantee): ["all together"]}
    for part in parts:
        promised.setdefault(str(part.alone.guarantee), []).append(part.name)
    alike = [f"{guarantee}: every figure" for guarantee in promised]
    proven = alike[0] if len(promised) == 1 else "; ".join(f"{each}: {', '.join(promised[each])}" for each in promised)
    told = [f"{proven}; accountant: {whole.accountant}", f"assumes {whole.assumptions}"]
    told += [_BETWEEN_BOUNDS] if any(part.about is not None for part in parts) else []
    told += [f"public, costs nothing: {', '.join(public)}"] if public else []
    return [line for each in told for line in textwrap.wrap(each, _CAPTION_WIDTH)]
