"""From a question and a ladder to the two rungs around the answer.

Most unknowns have an order: a higher rung never spends less, and one search is enough. At fixed epochs a batch, a
sample rate or a number of examples has none, since steps are whole and round up; there, all higher rungs are ruled out.
"""

from dataclasses import replace

from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.search import Found, Ladder, Meter, past_wide_intervals, search
from dpplan.solve.question import Question, word

_PROOFS = 400  # ranges tried at most, when higher rungs are ruled out
_PILOT = "gdp"  # quick, and near the truth where steps are many


def start(question: Question, ladder: Ladder) -> tuple[int, float]:
    """Where to begin, and the slope there: the answer by a fast estimate, which is no part of the result."""
    if question.accountant == _PILOT or ladder.name == "delta":
        return ladder.start, ladder.slope
    pilot = question.estimated(_PILOT).meter(ladder)
    found = search(pilot.gap, ladder, ladder.start, ladder.slope, near=1e-3)
    return found.seen, found.slope


def ordered(question: Question, meter: Meter) -> Found:
    """The last rung that meets the target and the first that does not, on a ladder whose order holds."""
    return past_wide_intervals(meter, search(meter.gap, meter.ladder, *start(question, meter.ladder)))


def unordered(question: Question, meter: Meter) -> tuple[Found, list[str]]:
    """The last rung that meets the target, with a remark where higher ones could not all be ruled out.

    With the steps fixed the order holds. Among rungs that need the same number of steps it holds too.
    """
    ladder = meter.ladder
    if meter.gap(ladder.last) <= 0:
        return Found(ladder.last, ladder.last + 1, ladder.last, ladder.slope), []
    if ladder.settings.steps is not None:
        return ordered(question, meter), []
    return _last_of_all(question, meter, search(meter.gap, ladder, *start(question, ladder)))


def _last_of_all(question: Question, meter: Meter, found: Found) -> tuple[Found, list[str]]:
    """Rules out every rung above `found`, or moves up to those that meet the target after all.

    Ranges of several groups of equal steps are as long as they are far from `found`, or shorter where that failed:
    epsilon leaves the target behind as rungs rise.
    """
    ladder, begin, stretch = meter.ladder, found.high, 1.0
    for _ in range(_PROOFS):
        if begin > ladder.last:
            return found, []
        group = _same_steps(ladder, begin)
        stop = min(ladder.below(ladder.place(begin) + _reach(ladder, begin, found.low, stretch)), ladder.last)
        if stop > group and not _ruled_out(question, ladder, begin, stop):
            stretch /= 1.5
        elif stop <= group and meter.gap(begin) <= 0:
            found = search(meter.gap, ladder.above(begin), begin, found.slope)
            begin = found.high
        else:
            begin, stretch = max(stop, group) + 1, min(1.1 * stretch, 1.0)
    name, value = word(ladder.name), ladder.value(begin)
    side = "less" if ladder.name == "examples" else "more"
    return found, [f"{name} = {value:g} and {side} was not ruled out, and may also meet the target in places"]


def _reach(ladder: Ladder, begin: int, low: int, stretch: float) -> float:
    """How far above `begin` the next range may end: as far, in place, as `begin` is from the answer."""
    if low < ladder.first:
        return stretch
    return stretch * (ladder.place(begin) - ladder.place(low))


def _same_steps(ladder: Ladder, rung: int) -> int:
    """The highest rung that needs as many steps as this one; steps never rise with the rung."""
    needed, low, high = ladder.plan(rung).steps, rung, ladder.last + 1
    stride = 1
    while low + stride < high:
        if ladder.plan(low + stride).steps < needed:
            high = low + stride
        else:
            low, stride = low + stride, 2 * stride
    return first_true_whole(lambda other: ladder.plan(other).steps != needed, low, high) - 1


def _ruled_out(question: Question, ladder: Ladder, first: int, last: int) -> bool:
    """Whether every rung of the range exceeds the target: even the first does in the fewest steps of the range."""
    fewest = ladder.plan(last).steps
    corner = replace(ladder, settings=ladder.settings.with_(epochs=None, steps=fewest))
    meter = question.meter(corner)
    meter.gap(first)
    spent = meter.spent.get(first)
    return spent is not None and (spent.value if spent.lower is None else spent.lower) > question.target
