"""Where a trade-off lies, from δ at few x: what counts at no rate of false positives is not asked for.

A line e^x·α + δ(x) counts at a rate α only where it is the least of all, and a direction only where its trade-off is
the larger. So δ is made narrow where a line may count by what is known of it, and no narrower than the rates need; one
contour or lattice that was put there tells of most others.
"""

import math

import numpy as np

from dpplan.accounting.exact.proven_deltas import KNOWN_ABOVE, Width
from dpplan.accounting.numerics import Array
from dpplan.risk.source import ManyEnds, Source, mirrored

# Rates at which lines are compared: so many from the finest up, and so many from there to where TPR is all but 1.
RISING, FLAT = 40, 20
MOST_ROUNDS = 48  # the places that both directions make at most
STEEP = 1.0  # an x from which on a place further is another slope: e^x grows by a third and more
SPARE = 0.5  # of the width that will do: lines of two x meet


class FirstLook:
    """Upper ends of δ of both directions at ascending x >= 0, so narrow that the least of the lines is `share` of
    itself, or less, above that of the true ones. finest: about the least false-positive rate. drawn: whether a curve
    is all that is drawn of it.

    Of a plan that is bracketed, what dominates it is looked at, and not how far the truth may lie below.
    """

    def __init__(self, source: Source, ahead: Array, share: float, finest: float, *, drawn: bool = False) -> None:
        self.source, self.ahead, self.share, self.drawn = source, ahead, share, drawn
        self.steepest = math.log(1.0 / finest)  # beyond, a line is above 1 at every rate
        alphas = np.concatenate((np.geomspace(finest, 0.5, RISING), 1.0 - np.geomspace(0.4, share, FLAT)))
        self._rise = np.exp(np.concatenate((-ahead[:0:-1], ahead))) * alphas[:, None]  # e^x·α, [rate, place]
        self._asked = np.zeros((2, len(ahead)), bool)
        self._ends = self._known()
        for _ in range(MOST_ROUNDS):
            asked = self._next()
            if asked is None:
                break
            direction, at, width = asked
            self._asked[direction, at] = True
            source.deltas(direction, ahead[at : at + 1], width)
            self._ends = self._known()

    def uppers(self) -> tuple[Array, Array]:
        """Of either direction, at -x and x."""
        return self._everywhere(0)[1], self._everywhere(1)[1]

    def _known(self) -> tuple[ManyEnds, ManyEnds]:
        known = KNOWN_ABOVE._replace(drawn=self.drawn)
        first = self.source.deltas(0, self.ahead, known)
        return first, first if self.source.alike else self.source.deltas(1, self.ahead, known)

    def _everywhere(self, direction: int) -> ManyEnds:
        """Ends at -x and x."""
        own, other = self._ends[direction], self._ends[1 - direction]
        low, high = (mirrored(self.ahead, each)[:0:-1] for each in other)
        return np.concatenate((low, own[0])), np.concatenate((high, own[1]))

    def _next(self) -> tuple[int, int, Width] | None:
        """The direction and the number of the place where δ is to be asked for, and how narrow; None where no line that
        counts is wide. At 0 first, where a contour tells of all x beyond where losses are many and small; then the
        farthest, since one over rare jumps tells of what lies before it; and where slopes differ much from one place to
        the next, the place beyond that, whose line mostly counts too once this one is known."""
        open_ = self._open()
        if not open_:
            return None
        if not self._asked.any():
            return 0, 0, Width(open_.get((0, 0), self.share), self.share, dominating=True, drawn=self.drawn)
        direction, at = max(open_, key=lambda each: each[1])
        width = Width(open_[direction, at], self.share, dominating=True, drawn=self.drawn)
        if STEEP < self.ahead[at] < self.ahead[-1] and self.ahead[at + 1] <= self.steepest:
            at += int(not self._asked[direction, at + 1])
        return direction, at, width

    def _open(self) -> dict[tuple[int, int], float]:
        """The directions and places that were not asked yet where a line that may count is wide, and the width of δ
        that would do there."""
        sides = [self._everywhere(direction) for direction in range(1 if self.source.alike else 2)]
        lows = [self._rise + low for low, _ in sides]
        reached = np.max([np.min(low, axis=1) for low in lows], axis=0)
        zero, found = len(self.ahead) - 1, dict[tuple[int, int], float]()
        for direction, (low, high) in enumerate(sides):
            least = np.argmin(lows[direction], axis=1)
            counts = np.min(self._rise + high, axis=1) > reached * (1.0 + self.share)
            wide = (high - low)[least] > self.share * reached
            for rate in np.flatnonzero(counts & wide).tolist():
                at, width = int(least[rate]) - zero, SPARE * self.share * float(reached[rate])
                if at < 0:  # δ at -x is 1 less e^-x times 1 less the other direction's at x
                    width *= float(np.exp(self.ahead[-at]))
                key = direction if at >= 0 or self.source.alike else 1 - direction, abs(at)
                if not self._asked[key]:
                    found[key] = min(found.get(key, 1.0), width)
        return found
