"""One unknown: which noise, steps, epochs, batch, sample rate, number of examples or delta meets a target?

candidate_values.py lists the values that an unknown may take, ordered by what they spend. One search (search.py) finds
the last that meets the target and the first that does not; bracket.py says where it begins and what to do where there
is no order; solution.py turns the two neighbours into a Solution. What is asked lies in question.py.

Common to all functions here:

settings: all but the unknown. target_epsilon, delta: the target. by: the figure that is held, epsilon at this delta
or delta at this epsilon; both ask for the same guarantee. spent: phases that ran earlier on the same data; they are
composed with the plan as its first phases, and the target is for all of it. options: keywords of the accountant.

Guarantee: solution.spent is the accountant's answer for exactly solution.plan, after rounding, and within the target.
Raises Unreachable when no value meets the target, PlanError with all that is wrong with the call, and NotCertified
when the accountant refuses.
"""

import math
from collections.abc import Callable, Sequence

from dpplan import accounting, called_modules
from dpplan.checks import show
from dpplan.plan import Phase, Settings
from dpplan.solve import candidate_values
from dpplan.solve.bracket import ordered, unordered
from dpplan.solve.candidate_values import LEAST_NOISE, MOST_STEPS
from dpplan.solve.question import By, Question, check, unknown
from dpplan.solve.search import Candidates, search
from dpplan.solve.solution import Other, Solution, solution, unreachable

__all__ = [
    "Other",
    "Solution",
    "batch_size",
    "delta",
    "epochs",
    "examples",
    "noise",
    "noise_near",
    "sample_rate",
    "solve",
    "steps",
    "unknown",
]

called_modules.when_called(
    __name__,
    "Each unknown has a function of its own there; the noise that meets a target is\n\n"
    "    dpplan.solve.noise(dpplan.plan.Settings(examples=60000, batch_size=256, epochs=60), 3, 1e-6)\n\n",
)
_ANY_DELTA = 0.5  # stands in for a delta that is solved for


def noise(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The least noise multiplier that meets the target, rounded up to seven digits; between 0.01 and 1e10.

    One unit less in the seventh digit was not shown to meet it.
    """
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _ordered("noise_multiplier", settings, question, candidate_values.noise, _NOISELESS)


def noise_near(settings: Settings, target_epsilon: float, delta: float, about: tuple[float, float] | None) -> Solution:
    """noise(), of the exact accountant, where it is known about which: the search begins there.

    about: a noise multiplier, and how fast log ε falls with its logarithm; the answer does not depend on them.
    """
    question = Question(target_epsilon, delta, "epsilon", "exact", {})
    begin = None if about is None else (-math.log(about[0]), about[1])
    return _ordered("noise_multiplier", settings, question, candidate_values.noise, _NOISELESS, begin)


def steps(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The most steps that meet the target, up to 10^12."""
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _ordered("steps", settings, question, candidate_values.steps, _ENDLESS)


def epochs(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The most epochs that meet the target, up to 10^12 steps: a short decimal, rounded down within the last step."""
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _ordered("epochs", settings, question, candidate_values.epochs, _ENDLESS)


def batch_size(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The largest expected batch, a whole number of at most n, that meets the target.

    With the steps fixed a larger batch spends more. With the epochs fixed it usually does, but not always: steps
    are whole, and with little noise two draws of half the data can cost more than one of all of it. So a smaller
    batch than the answer may exceed the target. That every larger one exceeds it is established, or a remark says
    where that took too long.
    """
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _unordered("batch_size", settings, question, candidate_values.batch_size, "the batch cannot grow beyond n")


def sample_rate(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The largest sample rate, rounded down to seven digits, that meets the target. At fixed epochs as for batches."""
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _unordered(
        "sample_rate", settings, question, candidate_values.sample_rate, "every batch may be all of the data"
    )


def examples(
    settings: Settings,
    target_epsilon: float,
    delta: float,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The fewest examples, of at least one batch and at most 10^15, that meet the target at this batch size.

    More examples lower the sample rate. At fixed epochs they also add steps, and the order may break as for batches:
    that all smaller numbers exceed the target is established, or a remark says where that took too long.
    """
    question = Question(target_epsilon, delta, by, accountant, options, tuple(spent))
    return _unordered("examples", settings, question, candidate_values.examples, "n cannot be smaller than one batch")


def delta(
    settings: Settings,
    target_epsilon: float,
    accountant: str = "exact",
    *,
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """The least delta, rounded up to seven digits and at least 1e-300, at which a complete plan meets the target."""
    question = Question(target_epsilon, _ANY_DELTA, "epsilon", accountant, options, tuple(spent))
    check("delta", settings, question)
    plan = question.composed(settings.plan())
    about = accounting.delta(plan, target_epsilon, accountant, **options).value
    largest = 1.0 - 10.0**-candidate_values.DIGITS
    candidates = candidate_values.delta(settings, min(max(about, candidate_values.LEAST_DELTA), largest))
    evaluator = question.evaluator(candidates)
    found = search(evaluator.gap, candidates, candidates.start, candidates.slope)
    if found.low < candidates.first:
        raise unreachable(question, evaluator)
    remark = f"the target is met at every delta tried, down to {show(candidate_values.LEAST_DELTA)}"
    return solution(question, evaluator, found, [remark] if found.low == candidates.last else [])


def solve(
    settings: Settings,
    target_epsilon: float,
    delta: float | None,
    accountant: str = "exact",
    *,
    by: By = "epsilon",
    spent: Sequence[Phase] = (),
    **options: object,
) -> Solution:
    """Solves for `unknown(settings, delta)`."""
    name = unknown(settings, delta)
    if delta is None:
        return _SOLVE_DELTA(settings, target_epsilon, accountant, spent=spent, **options)
    return _SOLVERS[name](settings, target_epsilon, delta, accountant, by=by, spent=spent, **options)


_NOISELESS = f"every noise multiplier tried meets the target, down to σ = {show(LEAST_NOISE)}"
_ENDLESS = f"the budget is not exhausted after {show(MOST_STEPS)} steps, the most that is tried"
_SOLVE_DELTA = delta  # parameters of that name hide the function
_SOLVERS: dict[str, Callable[..., Solution]] = {
    "noise_multiplier": noise,
    "steps": steps,
    "epochs": epochs,
    "batch_size": batch_size,
    "sample_rate": sample_rate,
    "examples": examples,
}


def _ordered(
    name: str,
    settings: Settings,
    question: Question,
    candidates_of: Callable[[Settings], Candidates],
    at_the_end: str,
    begin: tuple[float, float] | None = None,
) -> Solution:
    """at_the_end: what to say when even the last index meets the target. begin: a place and a slope, where known."""
    check(name, settings, question)
    evaluator = question.evaluator(candidates_of(settings))
    found = ordered(question, evaluator, begin)
    if found.low < evaluator.candidates.first:
        raise unreachable(question, evaluator)
    return solution(question, evaluator, found, [at_the_end] if found.low == evaluator.candidates.last else [])


def _unordered(
    name: str, settings: Settings, question: Question, candidates_of: Callable[[Settings], Candidates], at_the_end: str
) -> Solution:
    check(name, settings, question)
    evaluator = question.evaluator(candidates_of(settings))
    found, remarks = unordered(question, evaluator)
    if found.low < evaluator.candidates.first:
        raise unreachable(question, evaluator)
    return solution(question, evaluator, found, [at_the_end] if found.low == evaluator.candidates.last else remarks)
