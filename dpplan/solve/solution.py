"""What a search found: the value, the plan it completes, what that spends, and what to know beside it."""

from collections.abc import Callable, Iterable
from dataclasses import field, replace
from fractions import Fraction

from dpplan import notebook
from dpplan.accounting.bound import FLOOR, Bound, Guarantee
from dpplan.checks import show
from dpplan.errors import NotCertified, Unreachable
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.quantities import quantity
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import near_above
from dpplan.solve import candidate_values
from dpplan.solve.bracket import start
from dpplan.solve.question import Question, word
from dpplan.solve.search import Bracket, Evaluator, search

_ADVICE_DIGITS = 5  # of a noise multiplier that is only mentioned
_BARELY_WIDE = 4 * FLOOR  # an interval no wider than the floor that every one is given needs no remark


@dataclass(frozen=True, slots=True)
class Other:
    """The next value the other way, and what it spends. It was not shown to meet the target."""

    value: float | Fraction
    spent: Bound


@dataclass(frozen=True, slots=True)
class Solution:
    """The value of the unknown, the plan it completes, and what that plan spends.

    plan: the whole plan, with what ran earlier as its first phases.
    spent: the accountant's Bound of exactly this plan, epsilon at `delta` or delta at `target`, whichever was to be
        held; spent.value is within it. That is a guarantee where spent.upper is not None: with every accountant but
        one that only estimates.
    target, delta: what was asked for, as epsilon and delta.
    other_way: None at an end of what was searched, and where the accountant refuses the next value.
    remarks: sentences worth saying beside the answer.
    advice: when called, sentences on what a longer run or more noise would give. It takes several evaluations.
    """

    unknown: str
    value: float | Fraction
    plan: Plan
    spent: Bound
    target: float
    delta: float
    other_way: Other | None
    remarks: tuple[str, ...]
    advice: Callable[[], tuple[str, ...]] = field(default=tuple, compare=False, repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: the value, what it spends with which guarantee, and what to know beside it."""
        rows = [
            ("spends", self.spent.headline, str(self.spent.guarantee)),
            ("assumes", self.spent.assumptions, ""),
            *(("note", remark, "") for remark in self.remarks),
        ]
        return notebook.table(f"{quantity(self.unknown).words} = {self.value!r}", rows)


def solution(question: Question, evaluator: Evaluator, found: Bracket, remarks: Iterable[str] = ()) -> Solution:
    candidates, spent = evaluator.candidates, evaluator.spent[found.low]
    value = candidates.value(found.low)
    return Solution(
        unknown=candidates.name,
        value=value,
        plan=question.plan(candidates, found.low),
        spent=spent,
        target=question.epsilon,
        delta=float(value) if candidates.name == "delta" else question.delta,
        other_way=Other(candidates.value(found.high), evaluator.spent[found.high])
        if found.high in evaluator.spent
        else None,
        remarks=(*_caveats(question, evaluator, found), *remarks),
        advice=lambda: _advice(question, evaluator, found),
    )


def _caveats(question: Question, evaluator: Evaluator, found: Bracket) -> Iterable[str]:
    """What limits the answer."""
    figure, candidates = question.by, evaluator.candidates
    if evaluator.spent[found.low].guarantee is Guarantee.ESTIMATE:
        yield (
            f"{question.accountant} only estimates this {figure}, and the run may spend more; "
            "the exact accountant gives a guarantee"
        )
    if found.high > candidates.last:  # there is none: what follows a rate of 1 is none
        return
    following = f"{word(candidates.name)} = {show(candidates.value(found.high))}"
    if found.high in evaluator.refused:
        yield f"{following} is refused: {evaluator.refused[found.high]}"
    elif (
        (wide := _width(evaluator.spent.get(found.high)))
        and evaluator.least_gap(found.high) <= 0
        and wide > _BARELY_WIDE
    ):
        yield f"{following} may meet the target too: what is proven there is too wide to tell"


def _width(spent: Bound | None) -> float | None:
    return None if spent is None else spent.relative_width


# Advice: what else the same budget would buy


def _advice(question: Question, evaluator: Evaluator, found: Bracket) -> tuple[str, ...]:
    advisers = {"noise_multiplier": _longer, "steps": _noisier, "epochs": _noisier}
    adviser = advisers.get(evaluator.candidates.name)
    return () if adviser is None else tuple(adviser(question, evaluator, found))


def _longer(question: Question, evaluator: Evaluator, found: Bracket) -> Iterable[str]:
    """The noise that a somewhat longer run would need."""
    settings, value = evaluator.candidates.settings, evaluator.candidates.value(found.low)
    if found.low == evaluator.candidates.last:
        return
    if settings.epochs is not None and settings.steps is None:
        what, longer = "one epoch more", settings.with_(epochs=settings.epochs + 1)
    else:
        count = evaluator.candidates.plan(found.low).steps
        what, longer = "a tenth more steps", settings.with_(steps=count - -count // 10, epochs=None)
    # Fast estimates of both runs differ by about as much as the answers do.
    estimates = [
        fine.value(start(question, fine)[0])
        for fine in (candidate_values.noise(settings), candidate_values.noise(longer))
    ]
    candidates = candidate_values.noise(longer, _ADVICE_DIGITS)
    guess = -candidate_values.decimal_above(float(value * estimates[1] / estimates[0]), _ADVICE_DIGITS)
    more = search(question.evaluator(candidates).gap, candidates, guess, found.slope, settle=0.0)
    if more.low >= candidates.first:
        yield f"{what} would need σ = {show(candidates.value(more.low))}"


def _noisier(question: Question, evaluator: Evaluator, found: Bracket) -> Iterable[str]:
    """How much longer the run may be with a tenth more noise."""
    candidates = evaluator.candidates
    if found.low == candidates.last:
        return
    least = Gaussian.of(candidates.plan(found.low).only_phase.mechanism).noise_multiplier
    noise_multiplier = float(f"{1.1 * least:.4g}")
    noisier = replace(candidates, settings=candidates.settings.with_(noise_multiplier=noise_multiplier))
    more = search(question.evaluator(noisier).gap, noisier, found.low, found.slope)
    if found.low < more.low < candidates.last:
        lasting = f"{show(candidates.value(more.low))} {candidates.name}"
        yield f"with σ = {show(noise_multiplier)} the budget would last {lasting}"


# No answer


def unreachable(question: Question, evaluator: Evaluator) -> Unreachable | NotCertified:
    """Why no candidate meets the target and what would; or the refusal, where nothing was answered at the first."""
    candidates = evaluator.candidates
    if candidates.first in evaluator.refused:
        return evaluator.refused[candidates.first]
    best = min(evaluator.spent, key=lambda index: evaluator.spent[index].value)
    least, value = evaluator.spent[best].value, candidates.value(best)
    asked = (("target_epsilon", question.epsilon, "delta", question.delta),)
    if question.by == "delta":
        asked = (("target_delta", question.delta, "epsilon", question.epsilon),)
    ((name, target, at_name, at),) = asked
    sentence = (
        f"{name}={show(target)} is out of reach at {at_name}={show(at)}: the least that the "
        f"{evaluator.spent[best].accountant} accountant gives is {near_above(least, target)}, at "
        f"{word(candidates.name)}={show(value)}."
    )
    if question.earlier and (before := question.spends(candidates.settings.before(question.earlier)).value) > target:
        return Unreachable(
            f"{sentence} What was spent before is {near_above(before, target)} on its own. Raise the target."
        )
    if candidates.name == "noise_multiplier":
        return Unreachable(f"{sentence} Raise the target, or take fewer steps or a smaller batch.")
    return Unreachable(f"{sentence} {_enough_noise(question, candidates.settings.with_(**{candidates.name: value}))}")


def _enough_noise(question: Question, settings: Settings) -> str:
    """The noise that would meet the target at the best value of the unknown."""
    noisier = candidate_values.noise(settings.with_(noise_multiplier=None), _ADVICE_DIGITS)
    found = search(question.evaluator(noisier).gap, noisier, *start(question, noisier))
    if found.low < noisier.first:
        return "No noise multiplier would bring that down to the target either."
    return f"There, sigma={show(noisier.value(found.low))} would meet the target."
