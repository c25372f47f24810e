"""Pictures as SVG that stands in a page: no script, no font of its own, colours from the page's style."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 430.0, 284.0, 66.0, 14.0, 12.0, 44.0
ROUNDED = 1e-9  # of a step between ticks, relative, by which it may be more than a nice number and still be that


@dataclass(frozen=True, slots=True)
class ChartLine:
    """kind: the class by which the page's style draws it. points: (x, y), from left to right."""

    kind: str
    points: Sequence[tuple[float, float]]
    name: str = ""


@dataclass(frozen=True, slots=True)
class ChartAxis:
    words: str
    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """From 0 at its beginning to 1 at its end."""
        if self.logarithmic:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            first, last = round(math.log10(self.low)), round(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = _nice((self.high - self.low) / 4.0)
        count = math.floor((self.high - self.low) / step + 1e-9)
        return [self.low + i * step for i in range(count + 1)]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= (1.0 - ROUNDED) * step)


def chart(title: str, across: ChartAxis, up: ChartAxis, lines: Sequence[ChartLine]) -> str:
    """One chart. title: what it shows, for who cannot see it."""
    x, y = _scales(across, up)
    parts = [
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(title)}" class="chart">',
        f"<title>{escape(title)}</title>",
    ]
    for tick in up.ticks():
        parts.append(f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6:g}" y="{y(tick) + 4:.1f}" text-anchor="end">{_text(tick)}</text>')
    for tick in across.ticks():
        parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 20:g}" text-anchor="middle">{_text(tick)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT:g} {TOP:g}V{HEIGHT - BOTTOM:g}H{WIDTH - RIGHT:g}"/>')
    for line in lines:
        drawn = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
        parts.append(f'<polyline class="{line.kind}" points="{drawn}"/>')
    middle = 0.5 * (LEFT + WIDTH - RIGHT)
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - 6:g}" text-anchor="middle">{escape(across.words)}</text>')
    half = 0.5 * (TOP + HEIGHT - BOTTOM)
    parts.append(
        f'<text x="12" y="{half:g}" text-anchor="middle" transform="rotate(-90 12 {half:g})">{escape(up.words)}</text>'
    )
    return "".join([*parts, "</svg>"])


def _scales(across: ChartAxis, up: ChartAxis) -> tuple[Callable[[float], float], Callable[[float], float]]:
    def x(value: float) -> float:
        return LEFT + min(max(across.share(value), 0.0), 1.0) * (WIDTH - RIGHT - LEFT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - min(max(up.share(value), 0.0), 1.0) * (HEIGHT - BOTTOM - TOP)

    return x, y


def _text(value: float) -> str:
    return f"{value:g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.0e}".replace("e-0", "e-")
