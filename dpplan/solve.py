"""One unknown: how much noise, how many steps or epochs, or how large a batch meets a target epsilon?

Every unknown is a ladder of the values it may take: decimals of seven digits going down for the noise, whole numbers
going up for steps and batches. One search (search.py) finds the last rung that meets the target and the first that
does not. The batch at fixed epochs has no such order, since steps round up; there, all larger batches are ruled out.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import Problems, show
from dpplan.errors import NotCertified, PlanError, Unreachable
from dpplan.plan import Plan, Settings
from dpplan.search import Found, Ladder, Meter, past_wide_intervals, search

LEAST_NOISE, MOST_NOISE = 0.01, 1e10
MOST_STEPS = 10**12
DIGITS = 7  # of the noise multiplier: the last one moves epsilon by about one part in a million
_REMARK_DIGITS = 5  # of a noise multiplier that is only mentioned
_PROOFS = 400  # ranges tried at most, when larger batches are ruled out
_PILOT = "gdp"  # quick, and near the truth where steps are many
_WORDS = {"noise_multiplier": "sigma", "batch_size": "batch"}  # as on the command line


@dataclass(frozen=True, slots=True)
class Other:
    """The next value the other way, and its epsilon. It was not shown to meet the target."""

    value: float
    spent: Bound


@dataclass(frozen=True, slots=True)
class Solution:
    """The value of the unknown, the plan it completes, and what that plan spends.

    spent: the accountant's Bound of exactly this plan, with spent.value <= target. That is a guarantee where
        spent.upper is not None: with every accountant but one that only estimates.
    target, delta: what was asked for.
    other_way: None at an end of what was searched, and where the accountant refuses the next value.
    remarks: sentences worth saying beside the answer.
    """

    unknown: str
    value: float
    plan: Plan
    spent: Bound
    target: float
    delta: float
    other_way: Other | None
    remarks: tuple[str, ...]


def noise(
    settings: Settings, target_epsilon: float, delta: float, accountant: str = "exact", **options: object
) -> Solution:
    """The least noise multiplier that meets the target, rounded up to seven digits; between 0.01 and 1e10.

    settings: all but the noise multiplier. options: keywords of the accountant.
    Guarantee: spent.value <= target_epsilon, re-evaluated after rounding; one unit less in the seventh digit was not
    shown to meet it. Raises Unreachable when the largest noise does not meet the target, PlanError with all that is
    wrong with the call, and NotCertified when the accountant refuses.
    """
    question = _ask("noise_multiplier", settings, target_epsilon, delta, accountant, options)
    meter, found = _solved(question, _noise_ladder(settings))
    ladder = meter.ladder
    if found.low == ladder.last:
        remark = f"every noise multiplier tried meets the target, down to σ = {show(LEAST_NOISE)}"
        return _solution(question, meter, found, [remark])
    if settings.epochs is not None and settings.steps is None:
        what, longer = "one epoch more", settings.with_(epochs=settings.epochs + 1)
    else:
        count = ladder.plan(found.low).steps
        what, longer = "a tenth more steps", settings.with_(steps=count - -count // 10, epochs=None)
    coarse = _noise_ladder(longer, _REMARK_DIGITS)
    more = search(question.meter(coarse).gap, coarse, coarse.below(ladder.place(found.low)), found.slope)
    remarks = [f"{what} would need σ = {show(coarse.value(more.low))}"] if more.low >= coarse.first else []
    return _solution(question, meter, found, remarks)


def steps(
    settings: Settings, target_epsilon: float, delta: float, accountant: str = "exact", **options: object
) -> Solution:
    """The most steps that meet the target, up to 10^12. Guarantee and errors as for `noise()`."""
    question = _ask("steps", settings, target_epsilon, delta, accountant, options)
    meter, found = _solved(question, _steps_ladder(settings))
    phase = meter.ladder.plan(found.low).only_phase
    remarks = [f"that is {phase.steps * phase.sample_rate:.4g} epochs", *_more_noise(question, meter, found)]
    return _solution(question, meter, found, remarks)


def epochs(
    settings: Settings, target_epsilon: float, delta: float, accountant: str = "exact", **options: object
) -> Solution:
    """The most epochs that meet the target, up to 10^12 steps: a short decimal, rounded down within the last step.

    Guarantee and errors as for `noise()`.
    """
    question = _ask("epochs", settings, target_epsilon, delta, accountant, options)
    meter, found = _solved(question, _epochs_ladder(settings))
    return _solution(question, meter, found, _more_noise(question, meter, found))


def batch_size(
    settings: Settings, target_epsilon: float, delta: float, accountant: str = "exact", **options: object
) -> Solution:
    """The largest expected batch, a whole number of at most n, that meets the target.

    With the steps fixed a larger batch spends more. With the epochs fixed it usually does, but not always: steps
    are whole, and with little noise two draws of half the data can cost more than one of all of it. So a smaller
    batch than the answer may exceed the target. That every larger one exceeds it is established, or a remark says
    where that took too long. Guarantee and errors as for `noise()`.
    """
    question = _ask("batch_size", settings, target_epsilon, delta, accountant, options)
    ladder = _batch_ladder(settings)
    meter, remarks = question.meter(ladder), []
    if meter.gap(ladder.last) <= 0:
        found = Found(ladder.last, ladder.last + 1, ladder.last, ladder.slope)
        remarks = ["the batch cannot grow beyond n"]
    elif settings.steps is None:
        found, remarks = _largest_batch(question, meter, search(meter.gap, ladder, *_start(question, ladder)))
    else:
        found = past_wide_intervals(meter, search(meter.gap, ladder, *_start(question, ladder)))
    if found.low < ladder.first:
        raise _unreachable(question, meter)
    return _solution(question, meter, found, remarks)


def unknown(settings: Settings) -> str:
    """The one quantity left open: "noise_multiplier", "steps", "epochs" or "batch_size".

    A missing length is solved in epochs where n and the batch are known, else in steps.
    Raises PlanError, saying what to give, when none or several are open.
    """
    found = []
    if settings.noise_multiplier is None:
        found.append("noise_multiplier")
    if settings.sample_rate is None and settings.batch_size is None:
        found.append("batch_size")
    if settings.steps is None and settings.epochs is None:
        found.append("epochs" if settings.examples is not None and settings.batch_size is not None else "steps")
    if not found:
        raise PlanError("nothing is left to solve for. Leave out --sigma, --steps (or --epochs), or --batch (or --q).")
    if len(found) > 1:
        names = " and ".join(_word(name) for name in found)
        raise PlanError(f"{names} are all open; one unknown at a time is solved for. Give all but one of them.")
    return found[0]


def solve(
    settings: Settings, target_epsilon: float, delta: float, accountant: str = "exact", **options: object
) -> Solution:
    """Solves for `unknown(settings)`. Guarantee and errors as for the function of that unknown."""
    solver = {"noise_multiplier": noise, "steps": steps, "epochs": epochs, "batch_size": batch_size}
    return solver[unknown(settings)](settings, target_epsilon, delta, accountant, **options)


# The question


@dataclass(frozen=True, slots=True)
class _Question:
    """A target, and whom to ask what a plan spends."""

    target: float
    delta: float
    accountant: str
    options: Mapping[str, object]

    def meter(self, ladder: Ladder) -> Meter:
        def ask(rung: int) -> Bound:
            return accounting.epsilon(ladder.plan(rung), self.delta, self.accountant, **self.options)

        return Meter(ladder, ask, self.target)


# What stands in for an unknown while the other settings are checked, and which of them would fix it.
_STAND_INS: dict[str, float] = {"noise_multiplier": 1.0, "steps": 1, "epochs": 1.0, "batch_size": 1}
_FIXED_BY = {
    "noise_multiplier": ("noise_multiplier",),
    "steps": ("steps", "epochs"),
    "epochs": ("epochs", "steps"),
    "batch_size": ("batch_size", "sample_rate"),
}


def _ask(
    name: str, settings: Settings, target_epsilon: float, delta: float, accountant: str, options: Mapping[str, object]
) -> _Question:
    """The question, where all of it makes sense. Raises PlanError with every problem, UsageError for the accountant."""
    accounting.accountant(accountant)
    with Problems() as problems:
        problems.positive("target_epsilon", target_epsilon, try_="Values between 0.1 and 10 are common.")
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
        for other in _FIXED_BY[name]:
            given = getattr(settings, other)
            if given is not None:
                problems.add(f"{_word(other)}={show(given)} is given, so {_word(name)} is not open. Leave it out.")
        filled = settings.with_(**dict.fromkeys(_FIXED_BY[name])).with_(**{name: _STAND_INS[name]})
        if name == "batch_size" and settings.examples is None:
            problems.add("n is missing: a batch is a part of the examples. Give --n.")
            filled = filled.with_(sample_rate=1.0)
        if name == "batch_size" and settings.steps is not None and settings.epochs is not None:
            problems.add("steps and epochs together fix the batch. Leave out --steps or --epochs.")
            filled = filled.with_(epochs=None)
        try:
            filled.plan()
        except PlanError as error:
            problems.found.extend(error.problems)
    return _Question(float(target_epsilon), float(delta), accountant, options)


def _word(name: str) -> str:
    return _WORDS.get(name, name)


# The ladders


def _noise_ladder(settings: Settings, digits: int = DIGITS) -> Ladder:
    """Decimals of that many digits, from the largest down: rung −k is the k-th above 1."""
    least_mantissa = 10 ** (digits - 1)

    def value(rung: int) -> float:
        exponent, further = divmod(-rung, 9 * least_mantissa)
        return float(f"{least_mantissa + further}e{exponent - digits + 1}")

    def at_least(noise_multiplier: float) -> int:
        """The rung of the least such decimal that is no smaller."""
        exponent = math.floor(math.log10(noise_multiplier))
        mantissa = math.ceil(Fraction(repr(noise_multiplier)) * Fraction(10) ** (digits - 1 - exponent))
        return -(exponent * 9 * least_mantissa + mantissa - least_mantissa)

    return Ladder(
        settings,
        "noise_multiplier",
        first=at_least(MOST_NOISE),
        last=at_least(LEAST_NOISE),
        start=at_least(1.0),
        slope=1.3,
        value=value,
        place=lambda rung: -math.log(value(rung)),
        below=lambda place: at_least(math.exp(-place)),
    )


def _steps_ladder(settings: Settings) -> Ladder:
    return _whole_ladder(settings, "steps", MOST_STEPS, start=1000, slope=0.6)


def _epochs_ladder(settings: Settings) -> Ladder:
    """One rung for each number of steps: a number of epochs of few digits that rounds up to that many."""
    rate = settings.exact_rate

    def value(rung: int) -> float:
        scale = 1
        while (epochs := Fraction(math.floor(rung * rate * scale), scale)) <= (rung - 1) * rate:
            scale *= 10
        return float(epochs)

    return _whole_ladder(settings, "epochs", MOST_STEPS, start=1000, slope=0.6, value=value)


def _batch_ladder(settings: Settings) -> Ladder:
    examples = int(settings.examples or 1)
    return _whole_ladder(settings, "batch_size", examples, start=math.isqrt(examples), slope=1.0)


def _whole_ladder(
    settings: Settings, name: str, last: int, start: int, slope: float, value: Callable[[int], float] = int
) -> Ladder:
    return Ladder(settings, name, 1, last, start, slope, value, math.log, lambda place: math.floor(math.exp(place)))


# The search of a ladder


def _start(question: _Question, ladder: Ladder) -> tuple[int, float]:
    """Where to begin, and the slope there: the answer by a fast estimate, which is no part of the result."""
    if question.accountant == _PILOT:
        return ladder.start, ladder.slope
    pilot = dataclasses.replace(question, accountant=_PILOT, options={}).meter(ladder)
    found = search(pilot.gap, ladder, ladder.start, ladder.slope, near=1e-3)
    return found.seen, found.slope


def _solved(question: _Question, ladder: Ladder) -> tuple[Meter, Found]:
    """The search of a ladder whose order holds. Raises Unreachable, or the refusal where every rung is refused."""
    meter = question.meter(ladder)
    found = search(meter.gap, ladder, *_start(question, ladder))
    if found.low < ladder.first:
        raise _unreachable(question, meter)
    return meter, past_wide_intervals(meter, found)


def _largest_batch(question: _Question, meter: Meter, found: Found) -> tuple[Found, list[str]]:
    """Rules out every batch above `found`, or moves up to those that meet the target after all.

    Among batches that need the same number of steps the smallest spends least. Ranges of several such groups are as
    long as they are far from `found`, or shorter where that failed: epsilon leaves the target behind as batches grow.
    """
    ladder, start, stretch = meter.ladder, found.high, 1.0
    for _ in range(_PROOFS):
        if start > ladder.last:
            return found, []
        group = _same_steps(ladder, start)
        stop = min(start + math.floor(stretch * (start - found.low)), ladder.last)
        if stop > group and not _ruled_out(question, ladder, start, stop):
            stretch /= 1.5
        elif stop <= group and meter.gap(start) <= 0:
            found = search(meter.gap, ladder.above(start), start, found.slope)
            start = found.high
        else:
            start, stretch = max(stop, group) + 1, min(1.1 * stretch, 1.0)
    return found, [f"batches of {start} and more were not ruled out; one of them may also meet the target"]


def _same_steps(ladder: Ladder, batch: int) -> int:
    """The largest batch that needs as many steps as this one: ⌈total / batch⌉ is constant up to it."""
    needed, total = ladder.plan(batch).steps, ladder.plan(1).steps
    return ladder.last if needed == 1 else -(-total // (needed - 1)) - 1


def _ruled_out(question: _Question, ladder: Ladder, smallest: int, largest: int) -> bool:
    """Whether every batch of the range exceeds the target: even the smallest does in the fewest steps of the range."""
    fewest = ladder.plan(largest).steps
    corner = dataclasses.replace(ladder, settings=ladder.settings.with_(epochs=None, steps=fewest))
    meter = question.meter(corner)
    meter.gap(smallest)
    spent = meter.spent.get(smallest)
    return spent is not None and (spent.value if spent.lower is None else spent.lower) > question.target


# What is said


def _solution(question: _Question, meter: Meter, found: Found, remarks: Iterable[str]) -> Solution:
    ladder, spent = meter.ladder, meter.spent[found.low]
    caveats = []
    if spent.guarantee is Guarantee.ESTIMATE:
        caveats.append(
            f"{question.accountant} only estimates this epsilon, and the run may spend more; "
            "the exact accountant gives a guarantee"
        )
    other = Other(ladder.value(found.high), meter.spent[found.high]) if found.high in meter.spent else None
    following = f"{_word(ladder.name)} = {show(ladder.value(found.high))}"
    if found.high in meter.refused:
        caveats.append(f"{following} is refused: {meter.refused[found.high]}")
    elif other is not None and other.spent.lower is not None and other.spent.lower <= question.target:
        caveats.append(f"{following} may meet the target too: what is proven there is too wide to tell")
    return Solution(
        unknown=ladder.name,
        value=ladder.value(found.low),
        plan=ladder.plan(found.low),
        spent=spent,
        target=question.target,
        delta=question.delta,
        other_way=other,
        remarks=(*caveats, *remarks),
    )


def _more_noise(question: _Question, meter: Meter, found: Found) -> list[str]:
    """How much longer the run may be with a tenth more noise, or that it need not end."""
    ladder = meter.ladder
    if found.low == ladder.last:
        return [f"the budget is not exhausted after {show(MOST_STEPS)} steps, the most that is tried"]
    noise_multiplier = float(f"{1.1 * ladder.plan(found.low).only_phase.noise_multiplier:.4g}")
    noisier = dataclasses.replace(ladder, settings=ladder.settings.with_(noise_multiplier=noise_multiplier))
    more = search(question.meter(noisier).gap, noisier, found.low, found.slope)
    if not found.low < more.low < ladder.last:
        return []
    return [f"with σ = {show(noise_multiplier)} the budget would last {show(ladder.value(more.low))} {ladder.name}"]


def _unreachable(question: _Question, meter: Meter) -> Unreachable | NotCertified:
    """Why no rung meets the target and what would; or the refusal, where nothing was answered at the first."""
    ladder = meter.ladder
    if ladder.first in meter.refused:
        return meter.refused[ladder.first]
    best = min(meter.spent, key=lambda rung: meter.spent[rung].value)
    least, value = meter.spent[best].value, ladder.value(best)
    sentence = (
        f"target_epsilon={show(question.target)} is out of reach at delta={show(question.delta)}: the least that the "
        f"{question.accountant} accountant gives is {least:.6g}, at {_word(ladder.name)}={show(value)}."
    )
    if ladder.name == "noise_multiplier":
        return Unreachable(f"{sentence} Raise the target, or take fewer steps or a smaller batch.")
    noisier = _noise_ladder(ladder.settings.with_(**{"noise_multiplier": None, ladder.name: value}), _REMARK_DIGITS)
    found = search(question.meter(noisier).gap, noisier, *_start(question, noisier))
    if found.low < noisier.first:
        return Unreachable(f"{sentence} No noise multiplier would bring that down to the target either.")
    return Unreachable(f"{sentence} There, sigma={show(noisier.value(found.low))} would meet the target.")
