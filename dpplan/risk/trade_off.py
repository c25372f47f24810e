"""True positives at a false-positive rate: the most that any attacker reaches who must tell two neighbours apart.

For every event S and every real x, P(S) <= e^x·Q(S) + δ(x): so TPR(α) = min over x of e^x·α + δ(x), which is attained
(Dong, Roth, Su 2022, Prop 2.12, arXiv:1905.02383; the two are convex conjugates). Every x that is tried proves an upper
end, wherever it came from. From below: F(a) = a·α + δ(log a) is convex in a = e^x (δ is a maximum of functions linear
in a), so that three values around its least one bound it from below everywhere.

An attacker may look for members, or for those who are not: the worse of both directions counts.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dpplan.accounting.exact.profile import Width
from dpplan.accounting.numerics import Array
from dpplan.risk.convex_minimum import Sample, least
from dpplan.risk.source import ManyEnds, Source

ROUNDING = 1e-14  # relative, of e^x·α + δ: an exponential, a product, a sum
# Where a first look is taken: x from 1e-4 to 40 on either side of 0, each 1.3 times the last. Beyond 40, e^-x is lost
# beside 1; below 1e-4 the trade-off is that of guessing but for as much.
LEAST_X, FLAT, GROWTH = 1e-4, 40.0, 1.3
LOOKS, CLOSER = 8, 4.0  # around the best one, each so many times closer
# The width of δ that will do: as a share of e^x times the false-positive rate, which is part of F, or of δ. It is less
# for the lower end of a rate, which takes differences of F.
ENOUGH, CLOSELY = Width(1e-5, 1e-6, 1.0), Width(3e-7, 1e-7, 1.0)
BRACKETS, LEAST_STEP = (1.0, 3.0, 9.0, 27.0, 81.0), 1e-4  # of the last look: from narrow ones the lower end loses least
# Losses that come in steps give F corners, which a parabola misses: an interval that is wider than LOOSE is narrowed by
# extended chords until it is as narrow as CLOSE, or so many rounds have passed.
LOOSE, CLOSE, ROUNDS = 7e-7, 7e-7, 10
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
    """The rates of any attacker, by the profile of a source. finest: about the least rate that is asked."""

    def __init__(self, source: Source, finest: float = DRAWN[0]) -> None:
        self.source, self.enough = source, ENOUGH._replace(absolute=ENOUGH.absolute * finest)
        away = {*first_looks(), *(corner for corner in source.corners if corner > 0.0)}
        self._first = np.array(sorted({0.0, *away, *(-each for each in away)}))

    @cached_property
    def _looked(self) -> tuple[ManyEnds, ManyEnds]:
        """δ of either direction at the places of a first look."""
        here, there = (self.source.deltas(direction, self._first, self.enough) for direction in (0, 1))
        return here, there

    def at(self, false_positive_rate: float) -> TruePositiveRate:
        """For a false-positive rate in (0, 1)."""
        return self.rates((false_positive_rate,))[0]

    def rates(self, false_positive_rates: Sequence[float]) -> list[TruePositiveRate]:
        """For each of several."""
        alphas = np.array(false_positive_rates)
        found = []
        for here, there in zip(self._one_way(0, alphas), self._one_way(1, alphas), strict=True):
            worst = here if here.upper >= there.upper else there
            found.append(TruePositiveRate(max(here.lower, there.lower), worst.upper, worst.at))
        return found

    def curve(self, points: int = 200) -> list[Point]:
        """Corners of the least polygon above both directions' trade-offs that so many x of each prove, from false
        positives near 0 to near 1."""
        (low, high), (other_low, other_high) = (self._drawn(direction) for direction in (0, 1))
        # A line of one direction is one of the other, mirrored, at -x: the same places serve both.
        spread = np.linspace(min(low, -other_high), max(high, -other_low), points)
        drawn = [self._corners(0, spread), self._corners(1, -spread)]
        rates = sorted({corner.false_positives for corners in drawn for corner in corners})
        above = np.max([_polygon(rates, corners) for corners in drawn], axis=0)
        return [Point(rate, min(float(each), 1.0)) for rate, each in zip(rates, above, strict=True)]

    def _values(self, direction: int, xs: Array, alphas: Array) -> ManyEnds:
        """Ends of F at each e^x, for the rate beside it."""
        enough = CLOSELY._replace(absolute=CLOSELY.absolute * float(np.min(alphas)))
        ends = self.source.deltas(direction, xs.ravel(), enough)
        return _raised(xs, alphas, (ends[0].reshape(xs.shape), ends[1].reshape(xs.shape)))

    def _one_way(self, direction: int, alphas: Array) -> list[TruePositiveRate]:
        x, most, width = (np.array(row) for row in zip(*(self._look(direction, each) for each in alphas), strict=True))
        for _ in range(LOOKS):
            # At its neighbours, and at the lowest point of the parabola through the three.
            sides = np.stack((x - width, x + width))
            left, right = self._values(direction, sides, alphas)[1]
            bend = left - 2.0 * most + right
            way = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend > 0.0)
            vertex = x + width * np.clip(way, -CLOSER, CLOSER)
            tried = np.stack((x, *sides, vertex))
            uppers = np.stack((most, left, right, self._values(direction, vertex, alphas)[1]))
            best = np.argmin(uppers, axis=0)[None]
            x, most = np.take_along_axis(tried, best, axis=0)[0], np.take_along_axis(uppers, best, axis=0)[0]
            width = width / CLOSER
        lowers, mosts = self._from_below(direction, x, most, alphas, width)
        rows = zip(alphas.tolist(), x.tolist(), mosts, lowers, strict=True)
        return [self._settled(direction, *row) for row in rows]

    def _look(self, direction: int, alpha: float) -> tuple[float, float, float]:
        """Of the places of a first look that where F is least, an upper end of it there, and how far the next is."""
        size = int(np.searchsorted(self._first, math.log(1.0 / alpha), side="right"))  # beyond, e^x·α exceeds 1
        looked, ends = self._first[:size], self._looked[direction]
        uppers = _raised(looked, alpha, (ends[0][:size], ends[1][:size]))[1]
        best = int(np.argmin(uppers))
        x = float(looked[best])
        return x, float(uppers[best]), float(max(looked[min(best + 1, size - 1)] - x, x - looked[max(best - 1, 0)]))

    def _settled(self, direction: int, alpha: float, x: float, most: float, lower: float) -> TruePositiveRate:
        """Narrowed from both sides, also at a corner, where it is still wide."""
        if most - lower > LOOSE * most:
            top = math.log(1.0 / alpha)
            places = np.unique([*self._first[self._first <= top], x, top])
            low, high = self._values(direction, places, np.full(len(places), alpha))
            rows = zip(np.exp(places).tolist(), low.tolist(), high.tolist(), strict=True)

            def value(a: float) -> Sample:
                low, high = self._values(direction, np.array([math.log(a)]), np.array([alpha]))
                return Sample(a, float(low[0]), float(high[0]))

            found = least([Sample(*row) for row in rows], value, CLOSE, ROUNDS)
            lower = max(lower, found.lower)
            if found.upper <= most:
                most, x = found.upper, math.log(found.at)
        most = min(most, 1.0)
        return TruePositiveRate(min(lower, most), most, x)

    def _from_below(
        self, direction: int, x: Array, most: Array, alphas: Array, width: Array
    ) -> tuple[list[float], list[float]]:
        """Lower bounds on F everywhere, by three of its values around each x; an attacker who guesses reaches α. And
        upper ends of F at x."""
        steps = np.array(BRACKETS)[:, None] * np.maximum(width, LEAST_STEP)
        lows, highs = self._values(direction, np.concatenate((x[None], x - steps, x + steps)), alphas)
        sides = len(BRACKETS)
        mosts, bounds = np.minimum(most, highs[0]), []
        for k, alpha in enumerate(alphas.tolist()):
            low, high = float(lows[0, k]), float(highs[0, k])
            bound = alpha
            for at, step in enumerate(steps[:, k].tolist(), 1):
                if lows[at, k] < high or lows[at + sides, k] < high:
                    continue  # the least value may lie outside
                # By the chord from either side, as far as the other: on e^x·(1 - left, 1, 1 + right).
                left, right = -math.expm1(-step), math.expm1(step)
                ahead, behind = float(highs[at + sides, k]), float(highs[at, k])
                falls = max(ahead - low, 0.0) * left / right, max(behind - low, 0.0) * right / left
                bound = max(low - max(falls) * (1.0 + ROUNDING), alpha)
                break
            bounds.append(bound)
        return bounds, mosts.tolist()

    def _drawn(self, direction: int) -> tuple[float, float]:
        """From which x to which the rates of a curve lie."""
        coarse = _meeting(_lines(self._first, self._looked[direction][1]))
        within = [line.x for line, rate in coarse if DRAWN[0] <= rate.false_positives <= DRAWN[1] and line.slope]
        return (min(within), max(within)) if within else (-1.0, 1.0)

    def _corners(self, direction: int, spread: Array) -> list[Point]:
        """Where the lines that so many x prove meet, one with the next: between two corners the upper bound is a line.

        Lines that are nowhere the least are left out: what remains is still a bound.
        """
        xs, at = np.unique(np.concatenate((spread, self._first)), return_index=True)
        uppers = np.concatenate((self.source.deltas(direction, spread, self.enough)[1], self._looked[direction][1]))
        fine = _meeting(_lines(xs, uppers[at]))
        return [Point(0.0, min(fine[0][0].start, 1.0)), *(corner for _, corner in fine)]


class _Line(NamedTuple):
    """TPR <= slope·FPR + start, proven at x = log slope."""

    x: float
    slope: float
    start: float


def _raised(xs: Array, alpha: Array | float, ends: ManyEnds) -> ManyEnds:
    """Ends of e^x·α + δ(x), from those of δ."""
    rise = np.exp(xs) * alpha
    return (rise + ends[0]) * (1.0 - ROUNDING), (rise + ends[1]) * (1.0 + ROUNDING)


def _lines(xs: Array, uppers: Array) -> "list[_Line]":
    """From steep to flat, of upper ends of δ at ascending x; the flat one says that no rate exceeds 1."""
    rows = zip(xs[::-1].tolist(), np.exp(xs[::-1]).tolist(), uppers[::-1].tolist(), strict=True)
    return [*(_Line(*row) for row in rows), _Line(-math.inf, 0.0, 1.0)]


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


def implied(epsilon: float, delta: float, rates: Sequence[float]) -> list[float]:
    """The true-positive rates that (ε, δ) alone allows at these false-positive rates (Kairouz, Oh, Viswanath 2015)."""
    grown = math.exp(min(epsilon, 700.0))
    return [min(delta + grown * rate, 1.0 - (1.0 - delta - rate) / grown, 1.0) for rate in rates]
