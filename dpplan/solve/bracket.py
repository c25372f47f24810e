"""From a question and its candidates to the two neighbours around the answer.

Most unknowns have an order: a higher candidate never spends less, and one search is enough. At fixed epochs a
batch, a sample rate or a number of examples has none, since steps are whole and round up; there, all higher ones are
ruled out.
"""

import time
from dataclasses import replace

from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.solve.candidate_values import IN_WHOLE_EPOCHS
from dpplan.solve.question import Question, closed_above, word
from dpplan.solve.search import Bracket, Candidates, Evaluator, past_wide_intervals, search

_PROOFS = 400  # ranges tried at most, when higher candidates are ruled out
PATIENCE = 20.0  # seconds for that, where each look takes one: the remark says what was not looked at
_PILOT = "gdp"  # quick, and near the truth where steps are many


def start(question: Question, candidates: Candidates) -> tuple[int, float]:
    """Where to begin, and the slope there: the answer by a fast estimate, which is no part of the result."""
    if question.accountant == _PILOT or candidates.name == "delta":
        return candidates.start, candidates.slope
    pilot = question.estimated(_PILOT).evaluator(candidates)
    near = 1e-12 if _closed(question, candidates) else 1e-3  # of a formula to its last digits
    found = search(pilot.gap, candidates, candidates.start, candidates.slope, near=near)
    return found.seen, found.slope


def ordered(question: Question, evaluator: Evaluator, begin: tuple[float, float] | None = None) -> Bracket:
    """The last candidate that meets the target and the first that does not, where their order holds.

    begin: a place near them and the slope there; where nothing is said an estimate finds them.
    """
    candidates = evaluator.candidates
    at, slope = start(question, candidates) if begin is None else (candidates.below(begin[0]), begin[1])
    found = search(evaluator.gap, candidates, at, slope)
    # Upper ends by formula keep the order of the truth, however wide the intervals are below them.
    return found if _closed(question, candidates) else past_wide_intervals(evaluator, found)


def _closed(question: Question, candidates: Candidates) -> bool:
    """Whether all candidates are bounded from above by a formula."""
    at = min(max(candidates.start, candidates.first), candidates.last)
    return question.accountant == "exact" and closed_above(question.plan(candidates, at))


def unordered(question: Question, evaluator: Evaluator) -> tuple[Bracket, list[str]]:
    """The last candidate that meets the target, with a remark where higher ones could not all be ruled out.

    With the steps fixed the order holds. Among those that need the same number of steps it holds too, and with more
    bins in whole epochs: a mean of more lognormals is below one of fewer in convex order. Of shuffled data what is
    proven from above goes by the epochs that are begun.
    """
    candidates = evaluator.candidates
    if evaluator.gap(candidates.last) <= 0:
        return Bracket(candidates.last, candidates.last + 1, candidates.last, candidates.slope), []
    if candidates.settings.steps is not None or candidates.settings.sampling in IN_WHOLE_EPOCHS:
        return ordered(question, evaluator), []
    return _last_of_all(question, evaluator, search(evaluator.gap, candidates, *start(question, candidates)))


def _last_of_all(question: Question, evaluator: Evaluator, found: Bracket) -> tuple[Bracket, list[str]]:
    """Rules out every candidate above `found`, or moves up to those that meet the target after all.

    Ranges of several groups of equal steps are as long as they are far from `found`, or shorter where that failed:
    epsilon leaves the target behind as the index rises.
    """
    candidates, begin, stretch = evaluator.candidates, found.high, 1.0
    until = time.monotonic() + PATIENCE
    for _ in range(_PROOFS):
        if time.monotonic() > until:
            break
        if begin > candidates.last:
            return found, []
        group = _same_steps(candidates, begin)
        stop = min(
            candidates.below(candidates.place(begin) + _reach(candidates, begin, found.low, stretch)), candidates.last
        )
        if stop > group and not _ruled_out(question, candidates, begin, stop):
            stretch /= 1.5
        elif stop <= group and evaluator.gap(begin) <= 0:
            found = search(evaluator.gap, candidates.above(begin), begin, found.slope)
            begin = found.high
        else:
            begin, stretch = max(stop, group) + 1, min(1.1 * stretch, 1.0)
    name, value = word(candidates.name), candidates.value(begin)
    side = "less" if candidates.name == "examples" else "more"
    return found, [f"{name} = {value:g} and {side} was not ruled out, and may also meet the target in places"]


def _reach(candidates: Candidates, begin: int, low: int, stretch: float) -> float:
    """How far above `begin` the next range may end: as far, in place, as `begin` is from the answer."""
    if low < candidates.first:
        return stretch
    return stretch * (candidates.place(begin) - candidates.place(low))


def _same_steps(candidates: Candidates, index: int) -> int:
    """The highest index that needs as many steps as this one; steps never rise with the index."""
    needed, low, high = candidates.plan(index).steps, index, candidates.last + 1
    stride = 1
    while low + stride < high:
        if candidates.plan(low + stride).steps < needed:
            high = low + stride
        else:
            low, stride = low + stride, 2 * stride
    return first_true_whole(lambda other: candidates.plan(other).steps != needed, low, high) - 1


def _ruled_out(question: Question, candidates: Candidates, first: int, last: int) -> bool:
    """Whether every candidate of the range exceeds the target: even the first does in the fewest steps of the range."""
    fewest = candidates.plan(last).steps
    corner = replace(candidates, settings=candidates.settings.with_(epochs=None, steps=fewest))
    evaluator = question.evaluator(corner)
    evaluator.gap(first)
    spent = evaluator.spent.get(first)
    return spent is not None and (spent.value if spent.lower is None else spent.lower) > question.target
