"""One safe-side search for every unknown: two neighbouring values, one that meets a target and one that does not.

The Candidates for an unknown are numbered so that a higher index spends more, and an Evaluator finds what each spends.
`search` climbs by secants, which take five or six looks where log epsilon is smooth, and by halving where it is not.
Nothing is returned that was not evaluated as it is returned, so rounding cannot carry it over the target.
"""

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.errors import NotCertified
from dpplan.plan import Plan, Settings
from dpplan.quick_dataclass import dataclass

_SECANTS = 8  # after so many looks every other one is at the middle: secants that work are done by then
_LONGEST = 3.0  # nats: no secant is followed further, a factor of 20
_WIDE = 1e-6  # a relative width above this makes a search look beyond the interval


@dataclass(frozen=True, slots=True)
class Candidates:
    """The values that one unknown may take, by index from first to last; a higher index spends at least as much.

    place: where an index lies on a scale on which log epsilon is nearly a straight line, rising with the index.
    below: the highest index at or below a place. slope: of log epsilon on that scale; with start, a first guess.
    """

    settings: Settings
    name: str
    first: int
    last: int
    start: int
    slope: float
    value: Callable[[int], float | Fraction]
    place: Callable[[int], float]
    below: Callable[[float], int]

    def plan(self, index: int) -> Plan:
        """The plan with the value at an index. Delta is no part of a plan: for all of its values there is one plan."""
        changes = {} if self.name == "delta" else {self.name: self.value(index)}
        return self.settings.with_(**changes).plan()

    def above(self, index: int) -> "Candidates":
        """Those from `index` on."""
        return dataclasses.replace(self, first=index)


class Evaluator:
    """What candidates spend, and by how much that exceeds the target. Each is asked about once.

    flat: the share of the target below which figures count as about equally far from it.
    """

    def __init__(self, candidates: Candidates, ask: Callable[[int], Bound], target: float, flat: float = 1e-2) -> None:
        self.candidates, self.target = candidates, target
        self._ask, self._scale = ask, (1.0 + flat) * target
        self.spent: dict[int, Bound] = {}
        self.refused: dict[int, NotCertified] = {}

    def gap(self, index: int) -> float:
        """At most 0 where the candidate was shown to meet the target; inf where nothing could be shown.

        Of an ESTIMATE the value itself is taken: whoever asks says that it proves nothing. A LOWER bound shows nothing.
        """
        spent = self._look(index)
        if spent is None or spent.guarantee is Guarantee.LOWER:
            return math.inf
        return self._above_target(spent.value)

    def least_gap(self, index: int) -> float:
        """Above 0 where the candidate was shown to exceed the target."""
        spent = self._look(index)
        return -1.0 if spent is None or spent.lower is None else self._above_target(spent.lower)

    def _look(self, index: int) -> Bound | None:
        if index not in self.spent and index not in self.refused:
            try:
                self.spent[index] = self._ask(index)
            except NotCertified as refusal:
                self.refused[index] = refusal
        return self.spent.get(index)

    def _above_target(self, figure: float) -> float:
        """About log(figure / target), nearly a straight line in the candidate's place, but finite at figure = 0."""
        # The difference comes first: a figure one rounding above the target must not pass for the target.
        return math.log1p((figure - self.target) / self._scale)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where a search ended: low met the target, high did not, and they are neighbours.

    Both are indices; low lies one before the first where none met it, high one after the last where none failed.
    seen: the index looked at last. slope: of the gap around there, for a search nearby.
    """

    low: int
    high: int
    seen: int
    slope: float


def search(
    gap: Callable[[int], float],
    candidates: Candidates,
    start: int,
    slope: float,
    near: float = 0.0,
    settle: float | None = None,
) -> Bracket:
    """Neighbouring candidates between which `gap` turns positive.

    near: a gap as small as this ends the search at once, with `seen` close to the answer and low and high apart.
    settle: one that meets the target is enough where it does by no more than this gap, or where, by the slope, the next
    would not meet it; `high` was not looked at.
    """
    low, high = candidates.first - 1, candidates.last + 1
    seen, looks = min(max(start, candidates.first), candidates.last), 0
    before: tuple[float, float] | None = None
    while True:
        place, excess = candidates.place(seen), gap(seen)
        low, high = (seen, high) if excess <= 0 else (low, seen)
        if before is not None and before[0] != place:
            rise = (excess - before[1]) / (place - before[0])
            slope = rise if 0 < rise < math.inf else slope
        if high - low == 1 or abs(excess) <= near:
            return Bracket(low, high, seen, slope)
        if settle is not None and excess <= 0:
            following = excess + slope * (candidates.place(min(seen + 1, candidates.last)) - place)
            if excess >= -settle or following > 0:
                return Bracket(seen, seen + 1, seen, slope)
        before, looks = (place, excess), looks + 1
        aim = place - min(max(excess / slope, -_LONGEST), _LONGEST)
        if looks > _SECANTS and looks % 2:
            aim = (candidates.place(max(low, candidates.first)) + candidates.place(min(high, candidates.last))) / 2
        seen = min(max(candidates.below(aim), low + 1), high - 1)


def past_wide_intervals(evaluator: Evaluator, found: Bracket) -> Bracket:
    """A higher candidate that meets the target, where intervals too wide to tell stopped the search below it.

    The true epsilon keeps their order; an upper bound need not, it falls again where a sharper method
    takes over. The last one whose lower bound is within the target is where to look.
    """
    spent = evaluator.spent.get(found.high)
    if spent is None or (spent.relative_width or 0.0) < _WIDE or evaluator.least_gap(found.high) > 0:
        return found
    above = evaluator.candidates.above(found.high)
    edge = search(evaluator.least_gap, above, found.high, found.slope)
    further = search(evaluator.gap, above, edge.low, edge.slope)
    return further if further.low >= above.first else found
