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

from dpplan.accounting.exact.proven_deltas import KNOWN, KNOWN_ABOVE, Width
from dpplan.accounting.numerics import Array
from dpplan.risk.convex_minimum import Sample, least
from dpplan.risk.first_look import FirstLook
from dpplan.risk.source import ManyEnds, Source, mirrored

ROUNDING = 1e-14  # relative, of e^x·α + δ: an exponential, a product, a sum
# Where a first look is taken: x from 1e-4 to 40 on either side of 0, each 1.3 times the last. Beyond 40, e^-x is lost
# beside 1; below 1e-4 the trade-off is that of guessing but for as much.
LEAST_X, FLAT, GROWTH = 1e-4, 40.0, 1.3
FARTHEST = 700.0  # of a corner: beyond, e^x is no float, and its line is above 1 at every rate that is one
LOOKS, CLOSER = 8, 4.0  # around the best one, each so many times closer
# The width of δ that will do: as a share of δ, or of e^x times the least false-positive rate, which is part of F. It is
# less for the lower end of a rate, which takes differences of F: a share of that rate.
ENOUGH, CLOSELY = Width(1e-5, 1e-6, 1.0), Width(1e-7, 1e-7)
# How far the lines of a first look may lie above the true ones, as a share of a rate. A curve is a polygon of tangents:
# with 200 of them it lies 1e-4 to 1e-3 above the truth at most. A rate is looked for anew from where its line lies.
TO_DRAW, KNOWN_TO_DRAW = 1e-4, KNOWN_ABOVE._replace(drawn=True)
BRACKETS, LEAST_STEP = (1.0, 3.0, 9.0, 27.0, 81.0), 1e-4  # of the last look: from narrow ones the lower end loses least
# Losses that come in steps give F corners, which a parabola misses: an interval that is wider than LOOSE is narrowed by
# extended chords until it is as narrow as CLOSE, or so many rounds have passed.
LOOSE, CLOSE, ROUNDS = 7e-7, 7e-7, 10
NARROW = 1e-5  # of an interval to which the other direction's lower end would add nothing
_Uppers = tuple[Array, Array]  # places, and upper ends of δ there
ABOUT = 0.8  # of a rate by the lines of a first look, which meet as far above the truth as that
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

    def settles(self, other: float) -> bool:
        """Whether it is the larger of two rates, the other of which is at most that, and known closely."""
        return other <= self.upper and self.upper - self.lower <= NARROW * self.upper


class Point(NamedTuple):
    """A corner of the polygon that bounds every attacker's rates from above."""

    false_positives: float
    true_positives: float


class TradeOff:
    """The rates of any attacker, by the profile of a source. finest: about the least rate that is asked."""

    def __init__(self, source: Source, finest: float = DRAWN[0]) -> None:
        self.source, self.finest = source, finest
        away = {*first_looks(), *(corner for corner in source.corners if 0.0 < corner < FARTHEST)}
        self._ahead = np.array(sorted({0.0, *away}))
        self._first = np.concatenate((-self._ahead[:0:-1], self._ahead))

    @cached_property
    def _looked(self) -> tuple[Array, Array]:
        """Upper ends of δ of either direction at the places of a first look."""
        return FirstLook(self.source, self._ahead, TO_DRAW, self.finest).uppers()

    @cached_property
    def _drawn(self) -> tuple[Array, Array]:
        """Likewise, to draw a curve: what was looked at for rates, which asks for more, where it was."""
        known: tuple[Array, Array] | None = self.__dict__.get("_looked")
        return known or FirstLook(self.source, self._ahead, TO_DRAW, self.finest, drawn=True).uppers()

    def at(self, false_positive_rate: float) -> TruePositiveRate:
        """For a false-positive rate in (0, 1)."""
        return self.rates((false_positive_rate,))[0]

    def rates(self, false_positive_rates: Sequence[float]) -> list[TruePositiveRate]:
        """For each of several."""
        alphas = np.array(false_positive_rates)
        looks = [np.array([self._look(direction, each) for each in alphas]) for direction in (0, 1)]
        first = 0 if looks[0][:, 1].sum() >= looks[1][:, 1].sum() else 1
        found = self._one_way(first, alphas, looks[first])
        # Where the other direction's first look lies below that, it does not matter.
        other = (
            [] if self.source.alike else [k for k, rate in enumerate(found) if not rate.settles(looks[1 - first][k, 1])]
        )
        if other:
            for k, there in zip(other, self._one_way(1 - first, alphas[other], looks[1 - first][other]), strict=True):
                worst = found[k] if found[k].upper >= there.upper else there
                found[k] = TruePositiveRate(max(found[k].lower, there.lower), worst.upper, worst.at)
        return found

    def curve(self, points: int = 200) -> list[Point]:
        """Corners of the least polygon above both directions' trade-offs that so many x prove, from false positives
        near 0 to near 1."""
        looked = self._drawn
        # A line of one direction is one of the other, mirrored, at -x: the same places serve both.
        drawn = [
            _points(_meeting(_lines(*_merged((self._first, seen), asked))))
            for seen, asked in zip(looked, self._spread(_drawn(self._first, looked), points), strict=True)
        ]
        rates = sorted({corner.false_positives for corners in drawn for corner in corners})
        above = np.max([_polygon(rates, corners) for corners in drawn], axis=0)
        raised = (above * (1.0 + ROUNDING)).tolist()  # where lines meet is rounded too
        return [Point(rate, min(each, 1.0)) for rate, each in zip(rates, raised, strict=True)]

    def _values(self, direction: int, xs: Array, alphas: Array, sizes: Array) -> ManyEnds:
        """Ends of F at each e^x, for the rate beside it, [.., rate]. sizes: about the least value that counts at each
        rate, beside which δ is made narrow where it is not known to be."""
        at, size = xs.ravel(), np.broadcast_to(sizes, xs.shape).ravel()
        if self.source.bracketed:  # no interval is narrow: both ends are asked for at once
            low, high = self.source.deltas(direction, at, _scaled(CLOSELY, float(np.min(size))))
        else:
            low, high = self._narrowed(direction, at, size)
        return _raised(xs, alphas, (low.reshape(xs.shape), high.reshape(xs.shape)))

    def _narrowed(self, direction: int, at: Array, sizes: Array) -> ManyEnds:
        """Ends of δ at each x, by what is known where that is narrow beside the size."""
        low, high = self.source.deltas(direction, at, KNOWN)
        for size in np.unique(sizes)[::-1].tolist():
            enough = _scaled(CLOSELY, size)
            wide = (sizes == size) & (high - low > np.maximum(enough.absolute, enough.relative * high))
            if wide.any():
                low[wide], high[wide] = self.source.deltas(direction, at[wide], enough)
        return low, high

    def _one_way(self, direction: int, alphas: Array, looks: Array) -> list[TruePositiveRate]:
        """looks: (x, an upper end, a width) of each rate, as `_look` has them."""
        x, most, width = looks.T.copy()
        size = most
        for _ in range(LOOKS):
            # At its neighbours, and at the lowest point of the parabola through the three.
            sides = np.stack((x - width, x + width))
            left, right = self._values(direction, sides, alphas, size)[1]
            bend = left - 2.0 * most + right
            way = np.divide(0.5 * (left - right), bend, out=np.zeros_like(bend), where=bend > 0.0)
            vertex = x + width * np.clip(way, -CLOSER, CLOSER)
            tried = np.stack((x, *sides, vertex))
            uppers = np.stack((most, left, right, self._values(direction, vertex, alphas, size)[1]))
            best = np.argmin(uppers, axis=0)[None]
            x, most = np.take_along_axis(tried, best, axis=0)[0], np.take_along_axis(uppers, best, axis=0)[0]
            width = width / CLOSER
        lowers, mosts = self._from_below(direction, x, most, alphas, width)
        rows = zip(alphas.tolist(), x.tolist(), mosts, lowers, strict=True)
        return [self._settled(direction, *row) for row in rows]

    def _look(self, direction: int, alpha: float) -> tuple[float, float, float]:
        """Of the places of a first look that where F is least, an upper end of it there, and how far the next is."""
        size = int(np.searchsorted(self._first, math.log(1.0 / alpha), side="right"))  # beyond, e^x·α exceeds 1
        looked, ends = self._first[:size], self._looked[direction][:size]
        uppers = _raised(looked, alpha, (ends, ends))[1]
        best = int(np.argmin(uppers))
        x = float(looked[best])
        return x, float(uppers[best]), float(max(looked[min(best + 1, size - 1)] - x, x - looked[max(best - 1, 0)]))

    def _settled(self, direction: int, alpha: float, x: float, most: float, lower: float) -> TruePositiveRate:
        """Narrowed from both sides, also at a corner, where it is still wide."""
        if most - lower > LOOSE * most:
            top = math.log(1.0 / alpha)
            places = np.unique([*self._first[self._first <= top], x, top])
            # Elsewhere what is known will do: the search asks where that leaves a lesser value possible.
            sizes = np.where(places == x, most, math.inf)
            low, high = self._values(direction, places, np.full(len(places), alpha), sizes)
            rows = zip(np.exp(places).tolist(), low.tolist(), high.tolist(), strict=True)

            def value(a: float) -> Sample:
                low, high = self._values(direction, np.array([math.log(a)]), np.array([alpha]), np.array(most))
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
        lows, highs = self._values(direction, np.concatenate((x[None], x - steps, x + steps)), alphas, most)
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

    def _spread(self, drawn: tuple[float, float], points: int) -> tuple["_Uppers", "_Uppers"]:
        """Upper ends of δ of either direction at so many places, evenly along x where the lines of a curve lie: by what
        a first look has found to be enough."""
        low, high = drawn
        if self.source.alike:
            ahead = np.linspace(0.0, max(high, -low), points)
            first = ahead, self.source.deltas(0, ahead, KNOWN_TO_DRAW)[1]
            both = _merged(_behind(*first), first)
            return both, both
        spread = np.linspace(low, high, points)
        ahead, behind = spread[spread >= 0.0], -spread[spread < 0.0][::-1]
        first = ahead, self.source.deltas(0, ahead, KNOWN_TO_DRAW)[1]
        second = behind, self.source.deltas(1, behind, KNOWN_TO_DRAW)[1]
        return _merged(_behind(*second), first), _merged(_behind(*first), second)


class _Line(NamedTuple):
    """TPR <= slope·FPR + start, proven at x = log slope."""

    x: float
    slope: float
    start: float


def _scaled(width: Width, rate: float) -> Width:
    """The absolute part, which is in units of a rate, for rates of this size."""
    return width._replace(absolute=width.absolute * rate)


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


def _points(meeting: "list[tuple[_Line, Point]]") -> list[Point]:
    """The corners, from a false-positive rate of 0 on."""
    return [Point(0.0, min(meeting[0][0].start, 1.0)), *(corner for _, corner in meeting)]


def _drawn(xs: Array, uppers: tuple[Array, Array]) -> tuple[float, float]:
    """From which x to which the lines lie that bound the larger trade-off of both directions at the rates of a curve,
    those of the second as what they are of the first."""
    found, within = [_meeting(_lines(xs, each)) for each in uppers], [0.0]
    for own, other, sign in zip(found, found[::-1], (1.0, -1.0), strict=True):
        rates = [corner.false_positives for _, corner in own]
        above = _polygon(rates, _points(other)).tolist()
        for (line, corner), (after, _), height in zip(own[:-1], own[1:], above, strict=False):
            if DRAWN[0] <= corner.false_positives <= DRAWN[1] and corner.true_positives >= ABOUT * height:
                within += [sign * each.x for each in (line, after) if each.slope]
    steepest = -math.log(DRAWN[0])  # a steeper line is above 1 at all of these rates
    return max(min(within), -steepest), min(max(within), steepest)


def _behind(xs: Array, uppers: Array) -> "_Uppers":
    """At -x, ascending, from upper ends of δ of the other direction at x."""
    return -xs[::-1], mirrored(xs, uppers)[::-1]


def _merged(one: "_Uppers", two: "_Uppers") -> "_Uppers":
    """At ascending places; where both have it, of the first."""
    xs, at = np.unique(np.concatenate((one[0], two[0])), return_index=True)
    return xs, np.concatenate((one[1], two[1]))[at]


def _polygon(rates: Sequence[float], corners: Sequence[Point]) -> Array:
    """The polygon's height at these rates."""
    across = [corner.false_positives for corner in corners]
    return np.interp(rates, across, [corner.true_positives for corner in corners])


def implied(epsilon: float, delta: float, rates: Sequence[float]) -> list[float]:
    """The true-positive rates that (ε, δ) alone allows at these false-positive rates (Kairouz, Oh, Viswanath 2015)."""
    grown = math.exp(min(epsilon, 700.0))
    return [min(delta + grown * rate, 1.0 - (1.0 - delta - rate) / grown, 1.0) for rate in rates]
