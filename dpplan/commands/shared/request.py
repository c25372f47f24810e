"""From what was typed to a request: a plan, deltas and an accountant that make sense, or all that is wrong at once."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from dpplan.checks import is_number, show
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.plan_arguments import ParsedPlan, PlanArguments, percentage
from dpplan.errors import PlanError, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Delta, Plan, Settings, delta_warning, resolve_delta
from dpplan.quantities import DESCRIBING, FEW, FEWEST, MOST_BATCH, noise_for_batch
from dpplan.query_sensitivity import AnswerAccuracy
from dpplan.quick_dataclass import dataclass

# Up to such noise and from such a rate on, both are rarer than that somebody wrote one for the other.
LITTLE_NOISE, LARGE_RATE = 0.1, 0.3
_KEYS_OF_FILES = (("sigma", "noise_multiplier"), ("q", "sample_rate"), ("batch", "batch_size"))
LEAST_USUAL, MOST_USUAL = 0.3, 20.0  # of the noise of a sum
# Of noise that is as large as lengths are: beside a length below FEW that is no whole number, and beside one that is.
LONG_BESIDE_A_FRACTION, LONG = 10.0, 30.0
MOST_RECORDS = 1e15  # what can be divided as a float
HARDLY_SPENT = 0.01  # √(q · epochs) / σ, about the μ of the run: an ε of some hundredths, which is no ordinary plan


@dataclass(frozen=True, slots=True)
class Request:
    """A call that makes sense: the plan, where it is to be judged, and what is worth a warning.

    earlier: how many of the plan's first phases ran before. names, public, accuracies: of a plan file, what its
    phases are called, what it releases at no cost, and how near the answers to its queries are.
    """

    plan: Plan
    deltas: tuple[Delta, ...]
    warnings: tuple[str, ...]
    earlier: int = 0
    names: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    accuracies: tuple[AnswerAccuracy | None, ...] = ()


def requested(arguments: PlanArguments, deltas: Sequence[Any] | None, choice: AccountantChoice, *more: str) -> Request:
    """The plan and the deltas, one derived from n where none was given; None where the question has no delta.

    more: problems found by the command itself.

    Raises PlanError holding everything that is wrong with the call. A delta that is too large for the data is
    among it where there are other problems, and a warning where there are none.
    """
    parsed = parse(arguments)
    resolved, others = resolve(parsed.known, or_own(deltas, arguments), choice, *more)
    warnings = (*cautions_of(parsed, resolved), *told_of_runs((*arguments.files, *arguments.spent), arguments.files))
    if parsed.plan is None or others:
        raise PlanError([*parsed.problems, *others, *warnings])
    return Request(parsed.plan, resolved, warnings, parsed.earlier, parsed.names, parsed.public, parsed.accuracies)


def told_of_runs(names: Sequence[str], refused: Sequence[str] = ()) -> tuple[str, ...]:
    """Of each run among what was named: what is counted where it took fewer steps than planned, and whether an audit
    or its budget speaks against it. refused: those of which a VIOLATION is told where the plan is parsed."""
    if not names:
        return ()
    from dpplan.commands.shared import recorded_runs  # only such a call needs it

    return (*recorded_runs.early_ends(names), *recorded_runs.doubted(names, refused))


def or_own(deltas: Sequence[Any] | None, arguments: PlanArguments) -> Sequence[Any] | None:
    """The deltas that were given; where none was, the one that the runs state which are all that is asked about."""
    run = any(getattr(arguments.settings, each.name) is not None for each in DESCRIBING if each.name != "examples")
    if deltas is None or any(delta is not None for delta in deltas) or arguments.phases or run:
        return deltas
    if not (names := (*arguments.files, *arguments.spent)):
        return deltas
    from dpplan.commands.shared import recorded_runs  # only such a call needs it

    own = recorded_runs.own_delta(names)
    return deltas if own is None else (own,)


def parse(arguments: PlanArguments) -> ParsedPlan:
    """The plan that was described, or all that is wrong with the description."""
    if arguments.in_phases or arguments.spent:
        from dpplan.commands.shared import plan_files  # only such a call needs it

        return plan_files.parse(arguments)
    try:
        return ParsedPlan(arguments.settings.plan(), [], arguments.settings)
    except UsageError as error:
        return ParsedPlan(None, list(error.problems), arguments.settings)


def resolve(
    settings: Settings, deltas: Sequence[Any] | None, choice: AccountantChoice, *more: str
) -> tuple[tuple[Delta, ...], list[str]]:
    """The deltas, and what is wrong with the call apart from the plan."""
    resolved, found = [], percentage(settings)
    for delta in () if deltas is None else deltas or (None,):
        if delta is None and settings.examples is not None and not _is_count(settings.examples):
            continue  # the plan reports n, and without it there is nothing to say about delta
        try:
            resolved.append(delta if isinstance(delta, Delta) else resolve_delta(delta, settings.examples))
        except UsageError as error:
            found += error.problems
    return tuple(resolved), [*found, *choice.problems(), *more]


def cautions_of(parsed: ParsedPlan, deltas: Sequence[Delta]) -> tuple[str, ...]:
    """`cautions` of a plan, with those of what was said of each phase."""
    rates = (told for phase in parsed.said if phase for told in _perhaps_a_rate(phase, "the rate "))
    return tuple(dict.fromkeys((*cautions(parsed.known, deltas), *rates, *_of_phases(parsed))))


def _of_phases(parsed: ParsedPlan) -> Iterator[str]:
    """What is asked of the noise of options, asked of each phase with Gaussian noise, in the words of its keys."""
    phases = () if parsed.plan is None else parsed.plan.phases
    if len(phases) != len(parsed.said):
        return
    for number, (phase, said) in enumerate(zip(phases, parsed.said, strict=True)):
        if said is None or not isinstance(phase.mechanism, Gaussian):
            continue
        name = parsed.names[number] if parsed.names else f"phase {number - parsed.earlier + 1}"
        for told in _of_noise(said.with_(noise_multiplier=phase.mechanism.noise_multiplier)):
            in_keys = re.sub(r"--([a-z]+) (?=[\d.])", r"\1=", told)
            for word, key in _KEYS_OF_FILES if parsed.names else ():
                in_keys = re.sub(rf"\b{word}=", f"{key}=", in_keys)
            yield f"{name}: {in_keys}"


def cautions(settings: Settings, deltas: Sequence[Delta]) -> tuple[str, ...]:
    """A sentence for every delta that is too large for the data."""
    told = [*_of_noise(settings), *_perhaps_a_rate(settings, "--q ")]
    if _is_count(settings.examples):
        told += [sentence for delta in deltas if (sentence := delta_warning(delta.value, settings.examples))]
    return tuple(told)


def _of_noise(settings: Settings) -> Iterator[str]:
    """Questions about noise that is unusually little or much beside how batches are drawn."""
    yield from _perhaps_swapped(settings)
    yield from _perhaps_of_the_mean(settings)
    if sentence := noise_for_batch(settings.noise_multiplier, settings.batch_size, settings.examples):
        yield sentence
    else:
        yield from _perhaps_for_the_length(settings)


def _perhaps_swapped(settings: Settings) -> Iterator[str]:
    """A sentence for noise that is as small as rates are, beside a rate that is as large as noise is."""
    sigma, rate = settings.noise_multiplier, settings.sample_rate
    if not (is_number(sigma) and is_number(rate)) or sigma is None or rate is None:
        return
    if 0 < sigma <= LITTLE_NOISE and LARGE_RATE <= rate <= 1:
        yield (
            f"sigma={show(sigma)} is little noise and q={show(rate)} a large sample rate. If the two are swapped: "
            f"--sigma {show(rate)} --q {show(sigma)}."
        )


def _perhaps_of_the_mean(settings: Settings) -> Iterator[str]:
    """A sentence for noise that is what a mean gradient has, where the sum would have an ordinary one."""
    sigma, batch = settings.noise_multiplier, settings.batch_size
    if not (is_number(sigma) and is_number(batch)) or sigma is None or batch is None or not 0 < sigma <= LITTLE_NOISE:
        return
    if LEAST_USUAL <= sigma * batch <= MOST_USUAL:
        yield (
            f"sigma={show(sigma)} is little noise for the sum of a batch. If it is the noise of the mean gradient, "
            f"over the clip norm, that of the sum is {batch:g} times as much: --sigma {show(sigma * batch)}."
        )


def _perhaps_for_the_length(settings: Settings) -> Iterator[str]:
    """A sentence for noise that is as large as epochs and steps are, beside a length that is as small as noise is, in
    a run of batches that spends hardly anything."""
    sigma, rate = settings.noise_multiplier, _rate(settings)
    if not is_number(sigma) or not LONG_BESIDE_A_FRACTION <= sigma <= MOST_BATCH or not 0 < rate < LARGE_RATE:
        return
    for word, length, share in (("epochs", settings.epochs, rate), ("steps", settings.steps, rate * rate)):
        if not is_number(length) or not FEWEST <= length < FEW or not float(sigma).is_integer():
            continue
        least = LONG if float(length).is_integer() else LONG_BESIDE_A_FRACTION
        if sigma >= least and math.sqrt(share * length) <= HARDLY_SPENT * sigma:
            yield (
                f"sigma={show(sigma)} is much noise and {word}={show(length)} a short run. If the two are swapped: "
                f"--sigma {show(length)} --{word} {show(sigma)}."
            )


def _rate(settings: Settings) -> float:
    """The sample rate, as given or that of the batch; 0 where there is none."""
    rate, batch, n = settings.sample_rate, settings.batch_size, settings.examples
    if is_number(batch) and is_number(n) and 1 <= n <= MOST_RECORDS and batch <= n:
        return float(batch / n)
    return float(rate) if is_number(rate) and rate <= 1 else 0.0


def _perhaps_a_rate(settings: Settings, q: str) -> Iterator[str]:
    """A sentence for a batch of less than one example, as tiny as rates are. q: how a rate is written there."""
    batch = settings.batch_size
    if is_number(batch) and 0 < batch < 1:
        yield (
            f"batch={show(batch)} is less than one example per step on average, so that many steps draw nobody. If it "
            f"is the sample rate, write {q}{show(batch)} in its place."
        )


def _is_count(value: Any) -> bool:
    return is_number(value) and value >= 1
