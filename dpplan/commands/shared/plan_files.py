"""Plan files among the phases that were named: a whole budget in place of a run, or spent before one."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from dpplan.adjacency import conversion, named
from dpplan.commands.shared import foreign_files, phase_parsing, recorded_runs
from dpplan.commands.shared.plan_arguments import ParsedPlan, PlanArguments
from dpplan.errors import UsageError
from dpplan.open_noise import Opening
from dpplan.phase_steps import in_a_row
from dpplan.plan import Phase, Plan, Settings
from dpplan.query_sensitivity import AnswerAccuracy
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import plan_file
from dpplan.recipe.plan_file import PlanFile
from dpplan.sampling import Poisson, Sampling
from dpplan.units import APART, UNITS_CONVERTED


@dataclass(frozen=True, slots=True)
class _Part:
    """A plan, what its phases are called, what it releases at no cost, how near its answers are, and what was said."""

    plan: Plan
    names: tuple[str, ...]
    public: tuple[str, ...] = ()
    accuracies: tuple[AnswerAccuracy | None, ...] = ()
    openings: tuple[Opening | None, ...] = ()
    said: tuple[Settings | None, ...] = ()
    in_trials: tuple[Settings, ...] = ()


def taken(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The plan files among what was typed or named, and all else."""
    texts = tuple(texts)
    plans = tuple(text for text in texts if "=" not in text and text.strip() and _is_plan(Path(text)))
    return plans, tuple(text for text in texts if text not in plans)


def _earlier(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same of what ran before, without the runs that took no step: those count nothing."""
    plans, typed = taken(texts)
    empty = set(map(str, recorded_runs.without_steps(typed)))
    return plans, tuple(text for text in typed if "=" in text or str(Path(text)) not in empty)


def _is_plan(path: Path) -> bool:
    return plan_file.is_plan(path) or foreign_files.is_plan(path) or recorded_runs.is_plan(path)


def is_whole_plan(path: Path) -> bool:
    """Whether a file that is named alone is a plan file, or was written by another library: what --phases takes."""
    return plan_file.is_plan(path) or foreign_files.is_foreign(path)


def spent_alone(texts: Sequence[str], shared: Settings) -> tuple[tuple[Phase, ...], list[str]]:
    """The phases that ran before a run whose own are not known yet, and what is wrong with them. shared: what holds for
    all of them; those that are typed are drawn like the run where they say nothing."""
    if again := list(recorded_runs.counted_again(texts)):
        return (), again
    plans, typed = _earlier(texts)
    problems: list[str] = []
    parts = _read(plans, problems)
    if typed:
        found = phase_parsing.parse(PlanArguments(shared, phases=typed), ran_before=True)
        problems += found.problems
        parts[:0] = [] if found.plan is None else [_named(found.plan, "spent")]
    own = (shared.adjacency.name, shared.unit, shared.max_per_user, shared.examples)
    problems = problems or _differing([own, *(_shared(part.plan) for part in parts)])
    return (() if problems or not parts else in_a_row([part.plan for part in parts])), problems


def parse(arguments: PlanArguments, may_be_open: bool = False) -> ParsedPlan:
    """The plan of all that was described, phase by phase or in plan files, earlier ones first. A plan file is the whole
    run: nothing is said of it beside the file. may_be_open: whether its noise may be left out."""
    if otherwise := foreign_files.drawn_otherwise(arguments.files, arguments.settings.sampling):
        return ParsedPlan(None, otherwise, Settings(examples=0))
    if again := list(recorded_runs.counted_again((*arguments.files, *arguments.spent))):
        return ParsedPlan(None, again, Settings(examples=0))
    if violated := recorded_runs.violated(arguments.files):
        return ParsedPlan(None, violated, Settings(examples=0))
    if otherwise := _drawn_otherwise(arguments):
        return ParsedPlan(None, otherwise, Settings(examples=0))
    arguments = _as_recorded(arguments)
    if not taken((*arguments.files, *arguments.spent))[0]:
        return phase_parsing.parse(arguments)
    files, lists = taken(arguments.files)
    spent, typed = _earlier(arguments.spent)
    problems: list[str] = []
    earlier = _read(spent, problems)
    if not files and not arguments.in_phases and arguments.settings == Settings():
        countable = not problems and all("=" in text or Path(text).exists() for text in typed)
        problems.append(phase_parsing.only_spent(arguments.spent, countable))
    own = _read(files, problems, may_be_open)
    more = _said_again(arguments.settings, own[0].plan if len(own) == 1 else None) != Settings()
    if files and (len(files) > 1 or lists or arguments.phases or more):
        problems.append(
            f"{files[0]} is a whole plan, and more of the run was said beside it. Write all of it into the file; what "
            "ran before goes to --spent."
        )
    elif own:
        problems += _contradicted(dict(arguments.stated), files[0], own[0].plan)
    if problems:
        return ParsedPlan(None, problems, Settings(examples=0))
    shared = _alike([*earlier, *own], arguments.settings)
    if typed:  # written phase by phase, for the same neighbours
        before = replace(arguments, settings=shared, phases=tuple(t for t in typed if "=" in t),
                         files=tuple(t for t in typed if "=" not in t), spent=())  # fmt: skip
        found = phase_parsing.parse(before, ran_before=True)
        if found.plan is None:
            return found
        earlier.insert(0, _named(found.plan, "spent"))
    count = sum(len(part.plan.phases) for part in earlier)
    if not files:
        told = arguments.settings
        fallback = shared if told.examples is None else told
        found = phase_parsing.parse(
            replace(arguments, settings=told.with_(examples=fallback.examples), spent=())
            if not arguments.in_phases
            else replace(arguments, spent=())
        )
        if found.plan is None:
            return found
        own = [replace(_named(found.plan, "this run"), said=found.said)]
    return _joined([*earlier, *own], count)


def _as_recorded(arguments: PlanArguments) -> PlanArguments:
    """The neighbours and the unit of the first run that is named as the plan, where nobody said any: what holds where
    nothing is said is no choice. What was said stays, and is refused where a run is for another."""
    plan = next(filter(None, map(recorded_runs.recorded_plan, arguments.files)), None)
    if plan is None:
        return arguments
    told, unsaid, said = arguments.settings, Settings(), dict(arguments.stated)
    own: dict[str, Any] = {}
    if "adjacency" not in said and told.adjacency == unsaid.adjacency:
        own["adjacency"] = plan.adjacency
    if "unit" not in said and told.unit == unsaid.unit:
        own["unit"] = plan.privacy_unit
    if told.max_per_user is None and own.get("unit", told.unit) == plan.privacy_unit:
        own["max_per_user"] = plan.max_per_user
    return replace(arguments, settings=told.with_(**own))


def _drawn_otherwise(arguments: PlanArguments) -> list[str]:
    """What is wrong where nothing but recorded runs is the plan, and --sampling or an option of a scheme says how it
    draws: what ran says so itself. Beside phases that are typed or listed it is said of those."""
    told, runs = arguments.settings, [recorded_runs.recorded_plan(file) for file in arguments.files]
    if arguments.phases or not runs or None in runs:
        return []
    typed = [f"--{name}" for name, _ in told.scheme_options]
    drawn = {
        "full-batch" if each == Poisson(1.0) else each.kind for run in runs if run is not None for each in _drawn(run)
    }
    said = dict(arguments.stated).get("sampling", "" if told.sampling == Poisson.kind else told.sampling)
    same = {said, "full-batch"} if said == Poisson.kind else {said}  # which takes all at rate 1
    if said and drawn - same:
        typed.insert(0, f"--sampling {said}")
    if not typed:
        return []
    files, kinds = " and ".join(arguments.files), " and ".join(sorted(drawn))
    return [f"{' and '.join(typed)} beside {files}: what ran says how it drew, by {kinds}. Leave it out."]


def _drawn(plan: Plan) -> Iterator[Sampling]:
    """How each phase draws, and each within a search."""
    inside = (each for phase in plan.phases for each in getattr(phase.mechanism, "inside", (phase,)))
    return (each.sampling for each in inside)


def _said_again(told: Settings, plan: Plan | None) -> Settings:
    """The settings without those that say what the plan of the file says: its unit, neighbours and number of examples.

    plan: None where there is none to compare with.
    """
    if plan is None:
        return told
    same: dict[str, Any] = {"unit": Settings().unit} if told.unit == plan.privacy_unit else {}
    same |= {"adjacency": Settings().adjacency} if told.adjacency == plan.adjacency else {}
    same |= {"max_per_user": None} if told.max_per_user == plan.max_per_user else {}
    same |= {"examples": None} if told.examples == plan.examples else {}
    return told.with_(**same)


def _contradicted(stated: Mapping[str, str], file: str, plan: Plan) -> Iterator[str]:
    """What was said in so many words, is what holds where nobody says anything, and is not what the file says."""
    drawn = [each.kind for each in _drawn(plan) if each.kind not in (Poisson.kind, "full-batch")]
    neighbours = plan.adjacency.name.replace("_", "-")
    told = {"unit": plan.privacy_unit, "adjacency": neighbours, "sampling": drawn[0] if drawn else ""}
    for name, value in stated.items():
        if told[name] in ("", value):
            continue
        instead = f", or write {name}: {value} into the file" if plan_file.is_plan(Path(file)) else ""
        if name == "unit" and instead:
            instead += ", where n and batches then count examples"
        elif name == "sampling":
            instead = ": its phases say how each of them draws"
        yield f"{name}={value} contradicts {file}, which says {name}={told[name]}. Leave out --{name}{instead}."


def _read(files: Iterable[str], problems: list[str], may_be_open: bool = False) -> list[_Part]:
    parts: list[_Part] = []
    for file in files:
        try:
            if recorded_runs.is_plan(Path(file)):
                ran = recorded_runs.plan_of(Path(file))
                parts += [] if ran is None else [_named(ran, file)]
                continue
            if plan_file.is_plan(Path(file)):
                read: PlanFile = plan_file.read(Path(file), may_be_open)
            else:
                read = foreign_files.read_plan(Path(file))
        except UsageError as error:
            problems += _left_open(file, error.problems) if not may_be_open else error.problems
        else:
            told = (read.accuracies, read.openings, read.said, read.in_trials)
            parts.append(_Part(read.plan, read.names, read.public, *told))
    return parts


def _left_open(file: str, problems: Sequence[str]) -> Sequence[str]:
    """In one sentence, where all that is wrong with a plan file is that noise of several phases is left open in it."""
    if len(problems) < 2 or not all("`dpplan solve PLAN` is to find it" in each for each in problems):
        return problems
    try:
        read = plan_file.read(Path(file), may_be_open=True)
    except UsageError:
        return problems
    left = [name for name, each in zip(read.names, read.openings, strict=True) if each is not None and not each.given]
    return [
        f"{file}: noise is left open here, of {', '.join(left[:-1])} and {left[-1]}. It is found by "
        f"`dpplan solve {shlex.quote(file)} --target-eps 8`."
    ] if len(left) == len(problems) else problems  # fmt: skip


def _shared(plan: Plan) -> tuple[object, ...]:
    return plan.adjacency.name, plan.privacy_unit, plan.max_per_user, plan.examples


def _differing(plans: Sequence[tuple[object, ...]]) -> list[str]:
    """What these plans do not have in common, so that they do not add up. One that names no n goes with any."""
    found = []
    for name, values in zip(("adjacency", "unit", "max_per_user", "n"), zip(*plans, strict=True), strict=True):
        told = [value for value in dict.fromkeys(values) if name != "n" or value is not None]
        if len(told) > 1:
            said = " and ".join(f"no {name}" if value is None else f"{name}={value}" for value in told)
            rule = _rule(name, told) or (
                f"what is drawn and clipped whole, and runs that draw users' examples one by one, {APART}"
                if name == "max_per_user" and None in told
                else "only guarantees for the same neighbours and data add up. Give one for all of it"
            )
            found.append(f"{said} differ: {rule}.")
    return found


def _rule(name: str, told: Sequence[object]) -> str:
    """Of two neighbours or units, what a figure for one says for the other."""
    apart = "only guarantees for the same neighbours and data add up"
    if name == "adjacency" and len(told) == 2:
        return f"{apart}. {conversion(*(named(str(each)) for each in told))}"
    return f"{apart}. {UNITS_CONVERTED}" if name == "unit" else ""


def _alike(parts: list[_Part], told: Settings) -> Settings:
    """What phases that are typed beside plan files share with them."""
    if not parts:
        return told
    plan = parts[0].plan
    return Settings(
        adjacency=plan.adjacency, unit=plan.privacy_unit, max_per_user=plan.max_per_user, examples=plan.examples
    )


def _named(plan: Plan, name: str) -> _Part:
    several = len(plan.phases) > 1
    return _Part(plan, tuple(f"{name} {number + 1}" if several else name for number in range(len(plan.phases))))


def _joined(parts: list[_Part], earlier: int) -> ParsedPlan:
    """All parts as one plan, or why they do not add up."""
    problems = _differing([_shared(part.plan) for part in parts])
    examples = next((part.plan.examples for part in parts if part.plan.examples is not None), None)
    if problems:
        return ParsedPlan(None, problems, Settings(examples=examples or 0))
    last = parts[-1].plan
    plan = Plan(
        in_a_row([part.plan for part in parts]),
        adjacency=last.adjacency,
        privacy_unit=last.privacy_unit,
        examples=examples,
        batch_size=last.batch_size if len(parts) == 1 else None,
        max_per_user=last.max_per_user,
        derivation=tuple(_derived(parts)),
    )
    names = tuple(name for part in parts for name in part.names)
    public = tuple(line for part in parts for line in part.public)
    accuracies = tuple(each for part in parts for each in part.accuracies or (None,) * len(part.plan.phases))
    left = chain.from_iterable(part.openings or (None,) * len(part.plan.phases) for part in parts)
    openings = tuple(each if place >= earlier else None for place, each in enumerate(left))  # what ran is not open
    told = chain.from_iterable(part.said or (None,) * len(part.plan.phases) for part in parts)
    said = tuple(each if place >= earlier else None for place, each in enumerate(told))
    known = Settings(examples=examples)
    return ParsedPlan(plan, [], known, earlier, names, public, accuracies, openings, said, parts[-1].in_trials)


def _derived(parts: Sequence[_Part]) -> Iterator[tuple[str, str]]:
    """Where settings come from that plan files do not give, each under the place of its phase in all of them."""
    count, before = sum(len(part.plan.phases) for part in parts), 0
    for part in parts:
        for place in range(len(part.plan.phases)):
            own = "" if len(part.plan.phases) == 1 else f"phases[{place}]."
            whole = "" if count == 1 else f"phases[{before + place}]."
            words = part.plan.origin(f"{own}noise_multiplier")
            if words is not None:
                yield f"{whole}noise_multiplier", words
        before += len(part.plan.phases)
