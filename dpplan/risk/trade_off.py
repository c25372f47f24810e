"""True positives at a false-positive rate: the most that any attacker reaches who must tell two neighbours apart.

For every event S and every real x, P(S) <= e^x·Q(S) + δ(x): so TPR(α) = min over x of e^x·α + δ(x), which is attained
(Dong, Roth, Su 2022, Prop 2.12, arXiv:1905.02383; the two are convex conjugates). Every x that is tried proves an upper
end, wherever it came from. From below: F(a) = a·α + δ(log a) is convex in a = e^x (δ is a maximum of functions linear
in a), so that three values around its least one bound it from below everywhere.

An attacker may look for members, or for those who are not: the worse of both directions counts.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dpplan.accounting.numerics import Array
from dpplan.risk.convex_minimum import Least, Sample, least
from dpplan.risk.source import Ends, Source

ROUNDING = 1e-14  # relative, of e^x·α + δ: an exponential, a product, a sum
# Where a first look is taken: x from 1e-4 to 40 on either side of 0, each 1.3 times the last. Beyond 40, e^-x is lost
# beside 1; below 1e-4 the trade-off is that of guessing but for as much.
LEAST_X, FLAT, GROWTH = 1e-4, 40.0, 1.3
LOOKS, CLOSER = 7, 6.0  # around the best one, each so many times closer
BRACKETS, LEAST_STEP = (1.0, 8.0, 64.0), 1e-4  # of the last look: from narrow ones the lower end loses least
# Losses that come in steps give F corners, which a parabola misses: an interval that is wider than LOOSE is narrowed by
# extended chords until it is as narrow as CLOSE, or so many rounds have passed.
LOOSE, CLOSE, ROUNDS = 1e-5, 1e-6, 10
DRAWN = (1e-6, 1.0 - 1e-6)  # false-positive rates of a curve


def first_looks() -> list[float]:
    """The x > 0 of a first look."""
    size = math.ceil(math.log(FLAT / LEAST_X) / math.log(GROWTH))
    return [LEAST_X * GROWTH**k for k in range(size + 1)]


class TruePositiveRate(NamedTuple):
    """The largest true-positive rate at a false-positive rate: lower <= truth <= upper. at: x, where it is least."""

    lower: float
    upper: float
    at: float


class Point(NamedTuple):
    """A corner of the polygon that bounds every attacker's rates from above."""

    false_positives: float
    true_positives: float


class TradeOff:
    """The rates of any attacker, by the profile of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        away = {*first_looks(), *(corner for corner in source.corners if corner > 0.0)}
        self._first = sorted({0.0, *away, *(-each for each in away)})
        self._known: dict[tuple[int, float], Ends] = {}
        for direction in (0, 1):
            self._delta(direction, 0.0)  # where a first contour serves most others

    def at(self, false_positive_rate: float) -> TruePositiveRate:
        """For a false-positive rate in (0, 1)."""
        found = [self._one_way(direction, false_positive_rate) for direction in (0, 1)]
        worst = max(found, key=lambda rate: rate.upper)
        return TruePositiveRate(max(each.lower for each in found), worst.upper, worst.at)

    def curve(self, points: int = 200) -> list[Point]:
        """Corners of the least polygon above both directions' trade-offs that so many x of each prove, from false
        positives near 0 to near 1."""
        (low, high), (other_low, other_high) = (self._drawn(direction) for direction in (0, 1))
        # A line of one direction is one of the other, mirrored, at -x: the same places serve both.
        spread = np.linspace(min(low, -other_high), max(high, -other_low), points)
        drawn = [self._corners(0, spread.tolist()), self._corners(1, (-spread).tolist())]
        rates = sorted({corner.false_positives for corners in drawn for corner in corners})
        above = np.max([_polygon(rates, corners) for corners in drawn], axis=0)
        return [Point(rate, min(float(each), 1.0)) for rate, each in zip(rates, above, strict=True)]

    def _delta(self, direction: int, x: float) -> Ends:
        if (direction, x) not in self._known:
            self._known[direction, x] = self.source.delta(direction, x)
        return self._known[direction, x]

    def _value(self, direction: int, x: float, alpha: float) -> Ends:
        """Ends of F at e^x."""
        low, high = self._delta(direction, x)
        rise = math.exp(x) * alpha
        return (rise + low) * (1.0 - ROUNDING), (rise + high) * (1.0 + ROUNDING)

    def _one_way(self, direction: int, alpha: float) -> TruePositiveRate:
        def upper(x: float) -> float:
            return self._value(direction, x, alpha)[1]

        top = math.log(1.0 / alpha)  # beyond it e^x·α exceeds 1
        looked = [x for x in self._first if x <= top]
        best = min(range(len(looked)), key=lambda k: upper(looked[k]))
        x = looked[best]
        width = max(looked[min(best + 1, len(looked) - 1)] - x, x - looked[max(best - 1, 0)])
        for _ in range(LOOKS):
            x, width = _closer(upper, x, width), width / CLOSER
        if upper(looked[best]) < upper(x):
            x = looked[best]
        lower, most = self._from_below(direction, x, alpha, width), upper(x)
        if most - lower > LOOSE * most:
            found = self._by_chords(direction, alpha, {*looked, x, top})
            lower, most, x = max(lower, found.lower), found.upper, math.log(found.at)
        most = min(most, 1.0)
        return TruePositiveRate(min(lower, most), most, x)

    def _by_chords(self, direction: int, alpha: float, looked: set[float]) -> Least:
        """The same from both sides, also at a corner."""

        def value(a: float) -> Sample:
            low, high = self._value(direction, math.log(a), alpha)
            return Sample(a, low, high)

        return least([value(math.exp(x)) for x in sorted(looked)], value, CLOSE, ROUNDS)

    def _from_below(self, direction: int, x: float, alpha: float, width: float) -> float:
        """A lower bound on F everywhere, by three of its values; an attacker who guesses reaches α."""
        low, high = self._value(direction, x, alpha)
        for factor in BRACKETS:
            step = factor * max(width, LEAST_STEP)
            left_low, left_high = self._value(direction, x - step, alpha)
            right_low, right_high = self._value(direction, x + step, alpha)
            if left_low < high or right_low < high:
                continue  # the least value may lie outside
            # By the chord from either side, as far as the other: on e^x·(1 - left, 1, 1 + right).
            left, right = -math.expm1(-step), math.expm1(step)
            falls = max(right_high - low, 0.0) * left / right, max(left_high - low, 0.0) * right / left
            return max(low - max(falls) * (1.0 + ROUNDING), alpha)
        return alpha

    def _drawn(self, direction: int) -> tuple[float, float]:
        """From which x to which the rates of a curve lie."""
        coarse = _meeting(self._lines(direction, self._first))
        within = [line.x for line, rate in coarse if DRAWN[0] <= rate.false_positives <= DRAWN[1] and line.slope]
        return (min(within), max(within)) if within else (-1.0, 1.0)

    def _corners(self, direction: int, spread: Sequence[float]) -> list[Point]:
        """Where the lines that so many x prove meet, one with the next: between two corners the upper bound is a line.

        Lines that are nowhere the least are left out: what remains is still a bound.
        """
        fine = _meeting(self._lines(direction, sorted({*spread, *self._first, *self.source.corners})))
        return [Point(0.0, min(fine[0][0].start, 1.0)), *(corner for _, corner in fine)]

    def _lines(self, direction: int, xs: Sequence[float]) -> "list[_Line]":
        """From steep to flat; the flat one says that no rate exceeds 1."""
        proven = [_Line(x, math.exp(x), self._delta(direction, x)[1]) for x in reversed(xs)]
        return [*proven, _Line(-math.inf, 0.0, 1.0)]


class _Line(NamedTuple):
    """TPR <= slope·FPR + start, proven at x = log slope."""

    x: float
    slope: float
    start: float


def _meeting(lines: "list[_Line]") -> "list[tuple[_Line, Point]]":
    """Of lines from steep to flat, those that are somewhere the least, each with where the next one takes over."""
    kept: list[tuple[_Line, Point]] = []
    for line in lines:
        while kept:
            before = kept[-1][0]
            rate = (line.start - before.start) / (before.slope - line.slope)
            since = kept[-2][1].false_positives if len(kept) > 1 else 0.0
            if rate > since:
                kept[-1] = (before, Point(rate, before.slope * rate + before.start))
                break
            kept.pop()
        kept.append((line, Point(1.0, 1.0)))
    return kept


def _polygon(rates: Sequence[float], corners: Sequence[Point]) -> Array:
    """The polygon's height at these rates."""
    across = [corner.false_positives for corner in corners]
    return np.interp(rates, across, [corner.true_positives for corner in corners])


def _closer(value: Callable[[float], float], x: float, width: float) -> float:
    """Where the value is least: at x, at its neighbours, or at the lowest point of the parabola through the three."""
    left, here, right = value(x - width), value(x), value(x + width)
    bend = left - 2.0 * here + right
    tried = [x, x - width, x + width]
    if bend > 0.0:
        tried.append(x + 0.5 * width * (left - right) / bend)
    return min(tried, key=value)


def implied(epsilon: float, delta: float, rates: Sequence[float]) -> list[float]:
    """The true-positive rates that (ε, δ) alone allows at these false-positive rates (Kairouz, Oh, Viswanath 2015)."""
    grown = math.exp(min(epsilon, 700.0))
    return [min(delta + grown * rate, 1.0 - (1.0 - delta - rate) / grown, 1.0) for rate in rates]
