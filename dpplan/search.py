"""One safe-side search for every unknown: two neighbouring values, one that meets a target and one that does not.

An unknown is a Ladder of the values it may take, ordered so that a higher rung spends more. A Meter finds what a rung
spends. `search` climbs by secants, which take five or six looks where log epsilon is smooth, and by halving where it
is not. Nothing is returned that was not evaluated as it is returned, so rounding cannot carry it over the target.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.errors import NotCertified
from dpplan.plan import Plan, Settings

_SECANTS = 8  # after so many looks every other one is at the middle: secants that work are done by then
_LONGEST = 3.0  # nats: no secant is followed further, a factor of 20
_WIDE = 1e-6  # a relative width above this makes a search look beyond the interval


@dataclass(frozen=True, slots=True)
class Ladder:
    """The values of one unknown, as rungs from first to last; a higher rung spends at least as much.

    place: where a rung lies on a scale on which log epsilon is nearly a straight line, rising with the rung.
    below: the highest rung at or below a place. slope: of log epsilon on that scale; with start, a first guess.
    """

    settings: Settings
    name: str
    first: int
    last: int
    start: int
    slope: float
    value: Callable[[int], float]
    place: Callable[[int], float]
    below: Callable[[float], int]

    def plan(self, rung: int) -> Plan:
        """The plan at a rung. Delta is no part of a plan: on its ladder there is one plan."""
        changes = {} if self.name == "delta" else {self.name: self.value(rung)}
        return self.settings.with_(**changes).plan()

    def above(self, rung: int) -> "Ladder":
        """The part of the ladder that begins with `rung`."""
        return dataclasses.replace(self, first=rung)


class Meter:
    """What the rungs of a ladder spend, and by how much that exceeds the target. Each rung is asked about once.

    flat: the share of the target below which figures count as about equally far from it.
    """

    def __init__(self, ladder: Ladder, ask: Callable[[int], Bound], target: float, flat: float = 1e-2) -> None:
        self.ladder, self.target = ladder, target
        self._ask, self._scale = ask, (1.0 + flat) * target
        self.spent: dict[int, Bound] = {}
        self.refused: dict[int, NotCertified] = {}

    def gap(self, rung: int) -> float:
        """At most 0 where the rung was shown to meet the target; inf where nothing could be shown.

        Of an ESTIMATE the value itself is taken: whoever asks says that it proves nothing. A LOWER bound shows nothing.
        """
        spent = self._look(rung)
        if spent is None or spent.guarantee is Guarantee.LOWER:
            return math.inf
        return self._above_target(spent.value)

    def least_gap(self, rung: int) -> float:
        """Above 0 where the rung was shown to exceed the target."""
        spent = self._look(rung)
        return -1.0 if spent is None or spent.lower is None else self._above_target(spent.lower)

    def _look(self, rung: int) -> Bound | None:
        if rung not in self.spent and rung not in self.refused:
            try:
                self.spent[rung] = self._ask(rung)
            except NotCertified as refusal:
                self.refused[rung] = refusal
        return self.spent.get(rung)

    def _above_target(self, figure: float) -> float:
        """About log(figure / target), nearly a straight line in the place of the rung, but finite at figure = 0."""
        # The difference comes first: a figure one rounding above the target must not pass for the target.
        return math.log1p((figure - self.target) / self._scale)


@dataclass(frozen=True, slots=True)
class Found:
    """Where a search ended: low met the target, high did not, and they are neighbours.

    low lies one before the first rung where none met it, high one after the last where none failed.
    seen: the rung looked at last. slope: of the gap around there, for a search nearby.
    """

    low: int
    high: int
    seen: int
    slope: float


def search(
    gap: Callable[[int], float],
    ladder: Ladder,
    start: int,
    slope: float,
    near: float = 0.0,
    settle: float | None = None,
) -> Found:
    """Neighbouring rungs between which `gap` turns positive.

    near: a gap as small as this ends the search at once, with `seen` close to the answer and low and high apart.
    settle: a rung that meets the target is enough where it does by no more than this gap, or where, by the slope, the
    next would not meet it; `high` was not looked at.
    """
    low, high = ladder.first - 1, ladder.last + 1
    seen, looks = min(max(start, ladder.first), ladder.last), 0
    before: tuple[float, float] | None = None
    while True:
        place, excess = ladder.place(seen), gap(seen)
        low, high = (seen, high) if excess <= 0 else (low, seen)
        if before is not None and before[0] != place:
            rise = (excess - before[1]) / (place - before[0])
            slope = rise if 0 < rise < math.inf else slope
        if high - low == 1 or abs(excess) <= near:
            return Found(low, high, seen, slope)
        if settle is not None and excess <= 0:
            following = excess + slope * (ladder.place(min(seen + 1, ladder.last)) - place)
            if excess >= -settle or following > 0:
                return Found(seen, seen + 1, seen, slope)
        before, looks = (place, excess), looks + 1
        aim = place - min(max(excess / slope, -_LONGEST), _LONGEST)
        if looks > _SECANTS and looks % 2:
            aim = (ladder.place(max(low, ladder.first)) + ladder.place(min(high, ladder.last))) / 2
        seen = min(max(ladder.below(aim), low + 1), high - 1)


def past_wide_intervals(meter: Meter, found: Found) -> Found:
    """A higher rung that meets the target, where intervals too wide to tell stopped the search below it.

    The true epsilon keeps the order of the rungs; an upper bound need not, it falls again where a sharper method
    takes over. The last rung whose lower bound is within the target is where to look.
    """
    spent = meter.spent.get(found.high)
    if spent is None or (spent.relative_width or 0.0) < _WIDE or meter.least_gap(found.high) > 0:
        return found
    above = meter.ladder.above(found.high)
    edge = search(meter.least_gap, above, found.high, found.slope)
    further = search(meter.gap, above, edge.low, edge.slope)
    return further if further.low >= above.first else found
