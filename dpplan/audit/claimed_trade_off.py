"""What a claim allows: of two worlds that differ in one canary, how rare an event may be in one if it is likely in the
other.

    curve = curve_of(source)            # a plan's certified profile, a stated (ε, δ), a stated μ
    curve.inverse(0.3)                  # no event has probability 0.3 in one world and less than this in the other
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dpplan.risk import Source

# At which ε a line is drawn under the inverse. Between two of them a Gaussian's inverse is met within 7 % of the
# probability down to 1e-5, which is less than a hundredth of its ε. Where δ is below NEGLIGIBLE no further one is asked
# for: δ falls as ε grows, so the last one holds at all larger ε.
PLACES = (*np.geomspace(0.03, 0.6, 9).tolist(), *np.arange(0.9, 6.0, 0.3).tolist(), *np.arange(6.0, 30.0, 1.0).tolist())
NEGLIGIBLE = 1e-9
ROUNDING = 1e-15  # of 1 - e^-x (1 - δ)
SAFE = 1.0 - 1e-12  # of a product and a difference


class HypothesisCurve(Protocol):
    """How rarely an event may happen in one world that has this probability in the other."""

    def inverse(self, probability: float) -> float:
        """At most inf{Q(S) : P(S) = probability}, for either order of the two worlds: the inverse of 1 - f."""
        ...


@dataclass(frozen=True, slots=True)
class Lines:
    """P(S) <= e^x Q(S) + δ(x) at every x of a profile, so Q(S) >= e^-x (P(S) - δ(x)): the largest of such lines.

    The polygon of upper ends stays below the true inverse, and the largest of lines is convex, as the theorem needs.
    breaks: where the next line takes over, ascending; slopes, starts: of the lines between.
    """

    breaks: tuple[float, ...]
    slopes: tuple[float, ...]
    starts: tuple[float, ...]

    def inverse(self, probability: float) -> float:
        at = bisect_left(self.breaks, probability)
        return max(self.slopes[at] * (probability - self.starts[at]) * SAFE, 0.0)


def curve_of(source: Source) -> Lines:
    """The curve of a source, from the larger of both directions' upper ends: δ₀(-x) = 1 - e^-x (1 - δ₁(x))."""
    corners = [each for each in source.corners if 0.0 < each < 700.0]
    proven: list[tuple[float, float]] = []
    last = [1.0, 1.0]  # of either direction, at the largest x so far
    for x in sorted({0.0, *PLACES, *corners}):
        if max(last) > NEGLIGIBLE:
            last = [source.delta(direction, x)[1] for direction in (0, 1)]
        proven.append((math.exp(-x), max(last)))
        if x > 0.0:
            proven.append((math.exp(x), min(1.0 - math.exp(-x) * (1.0 - max(last)) + ROUNDING, 1.0)))
    return _envelope(sorted(proven))


def _envelope(lines: list[tuple[float, float]]) -> Lines:
    """The largest of the lines slope × (p - start); lines come by rising slope."""
    kept: list[tuple[float, float]] = []
    breaks: list[float] = []
    for slope, start in lines:
        while kept and start <= kept[-1][1]:  # above the one before wherever that is above 0
            kept.pop()
            if breaks:
                breaks.pop()
        if kept and kept[-1][0] == slope:
            continue  # of an ε that is no different from another one, or from 0, as a slope
        while kept:
            before, origin = kept[-1]
            meets = (slope * start - before * origin) / (slope - before)
            if not breaks or meets > breaks[-1]:
                breaks.append(meets)
                break
            kept.pop()
            breaks.pop()
        kept.append((slope, start))
    slopes, starts = zip(*kept, strict=True)
    return Lines(tuple(breaks), slopes, starts)


@dataclass(frozen=True, slots=True)
class MuCurve:
    """N(μ, 1) against N(0, 1): the inverse of 1 - f is Φ(Φ⁻¹(p) - μ) (Dong, Roth, Su 2022)."""

    mu: float

    def inverse(self, probability: float) -> float:
        from scipy import special

        if probability >= 1.0:
            return 1.0
        return float(special.ndtr(special.ndtri(probability) - self.mu)) * SAFE
