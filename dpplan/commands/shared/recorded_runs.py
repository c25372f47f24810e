"""Runs that are given by what they left: the folder of a run, its report.json, or what a command printed with --json.

What is counted is what was taken, by whatever knows of most steps, as `dpplan verify` counts it; of a run that ended
early what is safe, by verify.early_end: all that was planned.
"""

import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from dpplan import verify
from dpplan.adjacency import conversion
from dpplan.errors import DpplanError, ReportError, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Delta, Phase, Plan, Settings
from dpplan.plan_json import plan_from_json
from dpplan.recipe import recorded
from dpplan.recipe.phases import Written
from dpplan.recipe.recorded import FILE as RECIPE
from dpplan.sampling import (
    BallsInBins,
    CyclicPoisson,
    FixedSize,
    Poisson,
    RandomAllocation,
    Sampling,
    Shuffle,
    TruncatedPoisson,
)
from dpplan.units import APART, UNITS_CONVERTED, unit_words
from dpplan.verify import run_outcome, unaccounted
from dpplan.verify.early_end import EarlyEnd, early_end
from dpplan.verify.report_reader import STDIN
from dpplan.verify.unfinished_run import AUDITS, REPORT, RUN, begun_in, known_ends, planned_delta, steps_known

_SEEDED = "{}: the run had a seed: whoever knows it can subtract the noise."
_VIOLATION = (
    "{}: VIOLATION on file: an audit of its recipe found what the plan does not allow, so {}. `dpplan verify {}` tells "
    "what was found."
)
_SAY_IT = "Say what ran: sigma=1.1,q=0.01,steps=1000."


def is_record(path: Path) -> bool:
    """Whether it is a folder, or a JSON object that names a schema of dpplan."""
    if path.is_dir():
        return True
    if path.suffix.lower() != ".json":
        return False
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and str(content.get("schema", "")).startswith("dpplan.")


def is_run(path: Path) -> bool:
    """Whether it is a folder, or the report of a run or of a search: of something that was released."""
    if path.is_dir() or not is_record(path):
        return path.is_dir()
    return str(json.loads(path.read_bytes())["schema"]).startswith(("dpplan.train/", "dpplan.tune/"))


def plan_of(path: Path) -> Plan | None:
    """What was taken, as a plan; None where no step was. Raises UsageError where it cannot be counted."""
    return _unfinished(path) if path.is_dir() and not (path / REPORT).exists() else _reported(path)


def early_ends(names: Sequence[str]) -> Iterator[str]:
    """A sentence for each of these runs that ended before its plan did: what is counted of it. Nothing of records that
    cannot be counted: whoever counts them says why."""
    for name in names:
        if "=" in name or not name.strip() or not is_record(path := Path(name)):
            continue
        try:
            found = _begun(path)[1] if path.is_dir() and not (path / REPORT).exists() else verify.read(path).early
        except DpplanError:
            continue
        if found is not None:
            yield f"{name}: {found.advice}"


def doubted(names: Sequence[str], refused: Sequence[str] = ()) -> Iterator[str]:
    """What speaks against each of these runs, in sentences: an audit on file that found it not as planned, what else
    dpplan verify certifies no claim of it for, and a budget that it is over. Its figure is counted all the same, where
    nobody refuses it. Nothing of records that cannot be counted. refused: those of which `violated`
    is asked, too, and says it."""
    for name in names:
        if (document := _checked(name)) is None:
            continue
        if document.violations and name not in refused:
            yield _VIOLATION.format(name, "the figure used here may be too low", shlex.quote(name))
        for doubt in document.unsure:
            yield f"{name}: no claim of it is certified: {doubt}"
        if document.over_budget:
            yield f"{name}: {document.over_budget}"


def violated(names: Sequence[str]) -> list[str]:
    """A refusal for each of these runs of which an audit on file found a violation: no figure of it can be claimed."""
    found = [(name, _checked(name)) for name in names]
    return [
        f"{_VIOLATION.format(name, 'no figure of it can be claimed', shlex.quote(name))} By --spent its plan is "
        "counted, with a warning."
        for name, document in found
        if document is not None and document.violations
    ]


def checked(path: Path, also: str = "") -> verify.Document:
    """`report.checked_run.read`, which takes longer to load than to run: where no audit lies beside, nothing of it is
    asked but the recipe. Errors are the same."""
    folder = path if path.is_dir() else path.parent
    if path == STDIN or (path.exists() and not any((folder / each).exists() for each in AUDITS)):
        return recorded.checked(verify.read(path, also))
    from dpplan.report import checked_run

    return checked_run.read(path, also)


def _checked(name: str) -> verify.Document | None:
    """The claims of a run that is named, held against what lies beside its report; none, and what lies beside it, of
    one that left no report. None of all else, and of what cannot be read as a report: whoever counts it says why.

    Raises InputOutputFailed where what lies beside it cannot be read.
    """
    if "=" in name or not name.strip() or not is_record(path := Path(name)):
        return None
    if path.is_dir() and not (path / REPORT).exists():
        from dpplan.report import checked_run  # only such a run needs it

        begun = _begun_report(path)
        recipe = begun.get("recipe")
        document = verify.Document(name, "", "", (), folder=path, recipe=recipe if isinstance(recipe, dict) else {})
        found = checked_run.judged(*checked_run.beside(document))
        return dataclasses.replace(found, over_budget=run_outcome.over_budget(begun))
    try:
        return checked(path)
    except UsageError:
        return None


def _begun_report(folder: Path) -> Mapping[str, Any]:
    """What a run writes before its first step; {} where that cannot be read."""
    try:
        content = json.loads((folder / RUN).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def counted_again(names: Sequence[str]) -> Iterator[str]:
    """A sentence for each of these runs that is an unchanged copy of one that was named before it: counted twice, no
    lower end would be true."""
    if len(names) < 2:
        return
    seen: list[tuple[str, Path]] = []
    for name in names:
        if "=" in name or not name.strip() or not is_record(path := Path(name)):
            continue
        folder = path if path.is_dir() else path.parent
        if not path.is_dir() and path.name != REPORT:
            continue
        first = next((said for said, other in seen if _unchanged_copy(folder, other)), None)
        if first is not None:
            yield f"{name}: has the run id and report of {first}: it is the same run. Leave it out."
        seen.append((name, folder))


def _unchanged_copy(folder: Path, other: Path) -> bool:
    from dpplan import lint  # only where two runs are named

    return lint.unchanged_copy(folder, other)


def own_delta(names: Sequence[str]) -> Delta | None:
    """The δ that all of these runs state of themselves; None where one of them is no record of a run, or states another
    one, or several."""
    stated = {_stated(Path(name)) if "=" not in name and is_record(Path(name)) else None for name in names}
    value = stated.pop() if len(stated) == 1 else None
    return None if value is None else Delta(value, "the run's own" if len(names) == 1 else "the runs' own")


def _stated(path: Path) -> float | None:
    if path.is_dir() and not (path / REPORT).exists():
        return planned_delta(path)
    try:
        found = {claim.at for claim in verify.read(path).claims if claim.quantity == "epsilon"}
    except DpplanError:
        return None  # whoever counts it says why
    return found.pop() if len(found) == 1 else None


def is_plan(path: Path) -> bool:
    """Whether such a record is of what no phase that is typed can say: it is then counted as a plan file is."""
    try:
        plan = plan_of(path) if is_record(path) else None
    except UsageError:
        return False  # whoever reads it says why
    return plan is not None and not all(type(phase.mechanism) is Gaussian and not phase.groups for phase in plan.phases)


def recorded_plan(name: str) -> Plan | None:
    """What was taken, of a run that is named; None of what is typed, of another file, and of what cannot be counted:
    whoever counts it says why."""
    if "=" in name or not name.strip():
        return None
    try:
        return plan_of(Path(name)) if is_record(Path(name)) else None
    except DpplanError:
        return None


def without_steps(names: Sequence[str]) -> list[Path]:
    """Those of these runs that took no step: nothing was spent on them, and no plan can be made of them."""
    return [Path(name) for name in names if "=" not in name and name.strip() and _took_none(Path(name))]


def _took_none(path: Path) -> bool:
    try:
        return is_record(path) and plan_of(path) is None
    except DpplanError:
        return False  # whoever reads it says why


def nothing_to_account(path: Path) -> str:
    """What is wrong with asking what a run costs that took no step, and how to ask what its recipe plans."""
    recipe = (path if path.is_dir() else path.parent) / RECIPE
    said = f"{path}: no step of this run was begun, so nothing was spent, and there is no plan of steps to account."
    if recipe.exists():
        return f"{said} What its recipe plans is told by `dpplan check {shlex.quote(str(recipe))}`."
    return f"{said} What is planned can be typed: --phase sigma=1.1,q=0.01,steps=1000."


def phases(path: Path, shared: Settings) -> Iterator[Written]:
    """The phases that were taken, written as they would be typed. Raises UsageError where they cannot be counted.

    shared: what holds for all phases of the plan that they are counted in.
    """
    plan = plan_of(path)
    if plan is None:
        return
    if plan.adjacency != shared.adjacency:
        raise ReportError(
            f"{path}: its figures are for {plan.adjacency.name}, and the plan for {shared.adjacency.name}: guarantees "
            f"for different neighbours do not add up. {conversion(plan.adjacency, shared.adjacency)}."
        )
    theirs = unit_words(plan.privacy_unit, plan.max_per_user)
    if theirs != (ours := unit_words(shared.unit, shared.max_per_user)):
        whole = plan.privacy_unit == shared.unit and None in (plan.max_per_user, shared.max_per_user)
        rule = f"the two {APART}" if whole else f"guarantees for different units do not add up. {UNITS_CONVERTED}"
        raise ReportError(f"{path}: its figures protect one {theirs}, and the plan one {ours}: {rule}.")
    for number, phase in enumerate(plan.phases, 1):
        where = str(path) if len(plan.phases) == 1 else f"{path}, phase {number}"
        yield Written(where, tuple(_pairs(phase, plan.examples, where)))


def _pairs(phase: Phase, examples: int | None, where: str) -> Iterator[tuple[str, str]]:
    """What would be typed for a phase. It always names its sampling: without it, it would be drawn as the run is."""
    yield "sigma", repr(Gaussian.of(phase.mechanism).noise_multiplier)  # of others: `is_plan`
    yield "steps", str(phase.steps)
    yield "sampling", phase.sampling.kind
    said = _drawn(phase.sampling, where)
    if examples is not None:
        said.setdefault("n", examples)
    for name, value in said.items():
        yield name, repr(value) if isinstance(value, float) else str(value)


def _drawn(sampling: Sampling, where: str) -> dict[str, object]:
    """The rate and the options of a scheme. A later phase composes with it as another draw of the same scheme, or as
    one that keeps its places, whichever costs more (accounting.pairs.kept_assignment)."""
    match sampling:
        case Poisson():
            return {"q": sampling.sample_rate}
        case TruncatedPoisson():
            return {"q": sampling.sample_rate, "cap": sampling.cap, "n": sampling.examples}
        case CyclicPoisson():
            return {"q": sampling.sample_rate, "groups": sampling.groups, "assignment": sampling.assignment}
        case FixedSize():
            return {"batch": sampling.batch_size, "n": sampling.examples}
        case Shuffle():
            return {"q": Fraction(1, sampling.steps_per_epoch), "order": sampling.order}
        case BallsInBins():
            return {"q": Fraction(1, sampling.steps_per_epoch), "bins": sampling.bins}
        case RandomAllocation():
            return {"q": Fraction(sampling.times, sampling.steps_per_round), "times": sampling.times}
    raise ReportError(f"{where}: batches by {sampling.kind} cannot be said as a phase. {_SAY_IT}")


def _reported(path: Path) -> Plan | None:
    """The plan that a report says was taken; None where no step was."""
    document = verify.read(path)
    claims = document.safe
    wrong = dict.fromkeys(chain.from_iterable((claim.broken, *claim.doubts) for claim in claims))
    for (
        warning
    ) in document.warnings:  # more steps were counted than reported: those are spent, whoever wrote the report
        wrong.pop(warning, None)
    if any(wrong):
        raise ReportError(f"{path}: what it spent cannot be counted: {'; '.join(each for each in wrong if each)}.")
    plans = {claim.plan for claim in claims}
    if len(plans) != 1:
        raise ReportError(f"{path}: holds several plans, and nobody knows which of them ran. {_SAY_IT}")
    return plans.pop()


def _unfinished(folder: Path) -> Plan | None:
    """The plan of a run that left no report, with the steps that are counted of it; None where it began none."""
    return _begun(folder)[0]


def _begun(folder: Path) -> tuple[Plan | None, EarlyEnd | None]:
    """The same, and how it ended where it began fewer steps than were planned."""
    try:
        content = json.loads((folder / RUN).read_bytes())
        steps, planned = begun_in(folder), content["planned"]
        examples = planned.get("examples")
        if steps is None:
            if marked := unaccounted.reason(content):
                raise unaccounted.refusal(str(folder), marked, None)
            if content.get("seeded"):
                raise ReportError(_SEEDED.format(folder))
            most = steps_known(folder)[1]
            whole = plan_from_json({**planned, "examples": examples, "phases": [planned]})
            raise ReportError(_uncounted(folder, whole if most is not None else None))
        plan, early = None, early_end(steps, planned["steps"], None)
        if steps:
            steps = steps if early is None else early.counted
            plan = plan_from_json({**planned, "examples": examples, "phases": [{**planned, "steps": steps}]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if not (folder / RUN).exists():
            raise ReportError(f"{folder}: is not the folder of a run. Name one that `dpplan train` made.") from None
        raise ReportError(_uncounted(folder, None)) from None
    if steps and (marked := unaccounted.reason(content)):
        raise unaccounted.refusal(str(folder), marked, steps if early is None else early.taken)
    if content.get("seeded"):
        raise ReportError(_SEEDED.format(folder))
    return plan, early


def _uncounted(folder: Path, whole: Plan | None) -> str:
    """That a run's count cannot be read, and what to say in its place. whole: all that it can have begun."""
    say_it = _SAY_IT
    if whole is not None and type(whole.only_phase.mechanism) is Gaussian:
        typed = ",".join("=".join(pair) for pair in _pairs(whole.only_phase, whole.examples, str(folder)))
        say_it = f"To count all of them, say {typed} in its place, by --phase or --spent."
    return f"{folder}: how many of its steps are spent, nobody can tell{known_ends(folder)}. {say_it}"
