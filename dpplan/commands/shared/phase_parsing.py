"""Runs that are described phase by phase: typed, in files, and those that ran before.

Every problem of every phase is found, and names the phase it is in.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from dpplan.checks import did_you_mean, show
from dpplan.commands.shared import foreign_files, recorded_runs
from dpplan.commands.shared.parameter_types import Name, Number
from dpplan.commands.shared.plan_arguments import READ_AS, ParsedPlan, PlanArguments, percentage, scheme_option_type
from dpplan.errors import FurtherProblems, UsageError
from dpplan.plan import Plan, Settings
from dpplan.quantities import DESCRIBING, FIND_IT
from dpplan.recipe import bundled
from dpplan.recipe.phases import Written, read
from dpplan.sampling import CHOICES, OPTIONS, Poisson

MOST_TOLD = 20  # problems of phases; a file of a thousand that all lack the same key is told once by these
_FIELDS = {name.removeprefix("--"): each.name for each in DESCRIBING for name in each.all_options}
_FIELDS |= {each.symbol: each.name for each in DESCRIBING if not each.symbol.isascii()}  # σ, as it is shown
_WORDS = {each.name: each.word for each in DESCRIBING}
# What a phase may say of its own sampling; where it says nothing, it is drawn as --sampling says.
_SCHEME: dict[str, Name | Number] = {
    "sampling": Name(CHOICES),
    **{name: scheme_option_type(option) for name, option in OPTIONS.items()},
}
_GUARANTEES = {"eps", "epsilon", "ε", "delta", "δ", "rho", "ρ", "mu", "μ", "zcdp", "gdp", "dp"}
_TYPED = "sigma=1.1,q=0.01,steps=1000"
_OF_PLANS = ("kind", "mechanism")  # keys that say which mechanism a phase is of
_NOT_TYPED = (
    f"what is typed or listed so is Gaussian noise, {_TYPED}, and a plan file takes every other mechanism: "
    "phases: [{mechanism: {kind: laplace, epsilon: 0.2}, steps: 10}] (dpplan help plans)."
)
_NOT_EXACT = (
    "(ε, δ) or ρ alone says too little to be composed exactly: many runs spend as much, and add up differently. Give "
    "what ran, sigma=1.1,q=0.01,steps=1000, or the folder or report.json of the run. Where no more is known, a plan "
    "file counts the worst with such an (ε, δ): mechanism: {kind: epsilon-delta, epsilon: 1, delta: 1e-6} (dpplan help "
    "mechanisms)."
)


def parse(arguments: PlanArguments, ran_before: bool = False) -> ParsedPlan:
    """The plan of all that was described: earlier runs first, then the run itself. ran_before: whether its phases are
    of earlier runs, beside which options speak of a run that is parsed elsewhere."""
    unread: list[str] = []
    problems: list[str] = []
    shared = arguments.settings
    earlier = list(_settings(_written(arguments.spent, "spent", unread, shared), problems, shared))
    if arguments.in_phases:
        problems += _mixed(arguments)
        typed = (*arguments.files, *arguments.phases)
        written = list(_written(typed, "phase", unread, shared))
        problems += [] if ran_before else _unheard(arguments, written)
        own = list(_settings(written, problems, shared))
        if not (own or unread or problems):  # what was named is empty, and what ran before is no answer in its place
            problems += map(recorded_runs.nothing_to_account, recorded_runs.without_steps(typed))
    elif arguments.settings == Settings():
        own = []
        problems.append(only_spent(arguments.spent, countable=bool(earlier) and not unread))
    else:
        own = [("", arguments.settings)]
    examples = _examples([("--n", arguments.settings), *earlier, *own], problems)
    plans = [_plan(where, settings, examples, problems) for where, settings in (*earlier, *own)]
    if unread and examples is None:
        examples = 0  # n may stand where nothing could be read: that a delta is missing would be a guess
    known = Settings(examples=examples, sample_rate=None if arguments.in_phases else arguments.settings.sample_rate)
    if unread or problems:
        return ParsedPlan(None, _shortened([*unread, *problems]), known)
    said = (*[None] * len(earlier), *(_of_data(settings, examples) for _, settings in own))
    return ParsedPlan(_joined([plan for plan in plans if plan]), [], known, len(earlier), said=said)


def only_spent(spent: Sequence[str], countable: bool) -> str:
    """What is missing where earlier runs alone were named, and, where that can be told, how to ask for what they
    cost. countable: whether all of them could be read, and took a step."""
    missing = "the run itself is missing: give --sigma, --q and --steps, or --phase."
    if not countable:
        return missing
    files = [text for text in spent if "=" not in text and text.strip()]
    if not files:
        alone = "is told when they are given as --phase."
    else:
        place = spent.index(files[0])
        others = [f" --spent {shlex.quote(text)}" for text in (*spent[:place], *spent[place + 1 :])]
        alone = f"is told by `dpplan epsilon {shlex.quote(files[0])}{''.join(others)}`."
    return f"{missing} What earlier runs cost alone {alone}"


def _written(given: Iterable[str], name: str, unread: list[str], shared: Settings) -> Iterator[Written]:
    """The phases that were typed (they have a = in them) or stand in the files that were named, or runs of `train`."""
    number = 0
    for text in given:
        if not text.strip():
            unread.append(f"--{name} is empty: name a file of phases, or type one: sigma=1.1,q=0.01,steps=1000.")
            continue
        if "=" in text:
            number += 1
            pairs = tuple(_pairs(text))
            if {key.lower() for key, _ in pairs} <= _GUARANTEES:
                unread.append(f"{name} {number}: {_NOT_EXACT}")
                continue
            yield Written(f"{name} {number}", pairs)
            continue
        if re.match(r"\s*[A-Za-z][\w-]*\s*:\s*[\d.]", text) and not Path(text).exists():
            unread.append(f"{text.strip()}: what a phase says is written with =, not with a colon: {_TYPED}.")
            continue
        if re.fullmatch(r"[\s()\[\]\d.eE+,;-]+", text) and re.search(r"\d", text) and not Path(text).exists():
            unread.append(f"{text.strip()}: {_as_typed(text, name) or _NOT_EXACT}")
            continue
        try:
            path = Path(text)
            if not path.suffix and not path.exists():
                instead = bundled.instead_of(path) or f" A phase can be typed, too: {_TYPED}."
                raise UsageError(f"{text}: no such file or folder.{instead}")
            foreign_files.of_examples(path, shared)
            if foreign_files.is_state(path):
                yield from foreign_files.phases(path)
            else:
                yield from recorded_runs.phases(path, shared) if recorded_runs.is_record(path) else read(path)
        except UsageError as error:
            unread += error.problems


def _as_typed(text: str, name: str) -> str:
    """How to write a history of Opacus's that was pasted: noise multiplier, rate, steps. "" for what is none."""
    number = r"\s*([\d.eE+-]+)\s*"
    rows = re.findall(rf"[(\[]{number},{number},\s*(\d+)\s*,?\s*[)\]]", text)
    if not rows:
        return ""
    each = [f"--{name} sigma={sigma},q={q},steps={steps}" for sigma, q, steps in rows[:2]]
    more = " and so on" if len(rows) > 2 else ""
    return (
        f"rows of an accountant's history are typed as {' '.join(each)}{more}. Or save them as JSON, and name the file."
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for item in text.split(","):
        key, _, value = item.partition("=")
        yield key.strip(), value.strip()


def _settings(written: Iterable[Written], problems: list[str], shared: Settings) -> Iterator[tuple[str, Settings]]:
    """Where each phase stands, and what it says, read as the options are. shared: what holds for all of them."""
    written, foreign = list(written), set[str]()
    keys = list(dict.fromkeys(key for phase in written for key, _ in phase.values))
    if len(written) > 1 and keys and not any(_field(key) for key in keys):
        told = ", ".join(keys[:8]) + (", ..." if len(keys) > 8 else "")
        problems.append(f"{written[0].where}: {told}: none of it is said of a phase. Name sigma, q and steps of each.")
        return
    for phase in written:
        if told := next((f"{key}={text}" for key, text in phase.values if _name(key) in _OF_PLANS), ""):
            problems.append(f"{phase.where}: {told}: {_NOT_TYPED}")  # which says all: what else it lacks, it need not
            continue
        values: dict[str, Any] = {}
        for key, text in phase.values:
            name, field = _name(key), _field(key)
            if field is None and name not in foreign:  # a column of a table is one mistake, however long it is
                foreign.add(name)
                problems.append(f"{phase.where}: {_unknown(key, name)}")
            elif field is None:
                continue
            elif field in values:
                problems.append(f"{phase.where}: {_WORDS.get(field, field)} is given twice. Leave one out.")
            elif "=" in text:
                problems.append(f"{phase.where}: {key}={text}: commas separate what a phase says. Write {_TYPED}.")
            elif not text:
                problems.append(f"{phase.where}: {key} has no value. Write {key}=... or leave it out.")
            else:
                values[field] = {**READ_AS, **_SCHEME}[field].convert(text, None, None)
        yield phase.where, _drawn(values, shared)


def _name(key: str) -> str:
    return key.lower().replace("_", "-").lstrip("-")


def _field(key: str) -> str | None:
    """What of a phase is meant; None for what belongs to none."""
    name = _name(key)
    return name if name in _SCHEME else _FIELDS.get(name)


def _drawn(values: dict[str, Any], shared: Settings) -> Settings:
    """The settings of a phase. One that names its sampling has options of its own and none of the others."""
    own = {name: values.pop(name) for name in OPTIONS if name in values}
    options = own if "sampling" in values else {**dict(shared.scheme_options), **own}
    whole = {each.name: None for each in DESCRIBING}  # what describes the run is the phase's own, the rest is shared
    return shared.with_(**{**whole, **values, "scheme_options": tuple(options.items())})


def _unknown(key: str, name: str) -> str:
    if name in ("delta", "δ"):  # beside what ran: alone, a guarantee is told before
        return f"'{key}' is no part of a phase: δ is said where the whole plan is asked about, --delta 1e-5."
    if name in _GUARANTEES:
        return f"{key}: {_NOT_EXACT}"
    if not re.search("[a-z]", name):
        return f"'{key}' is no key=value. Write sigma=1.1,q=0.01,steps=1000: numbers without commas."
    meant = did_you_mean(name, (*filter(str.isascii, _FIELDS), *_SCHEME))
    return f"'{key}' is not one of: {', '.join((*_WORDS.values(), 'sampling'))}.{meant}"


def _mixed(arguments: PlanArguments) -> list[str]:
    """What the options said that a phase says itself. --n is about the data, which all phases share."""
    given = {_WORDS[field]: getattr(arguments.settings, field) for field in _WORDS if field != "examples"}
    beside = {name: value for name, value in given.items() if value is not None}
    if not beside:
        return []
    options = " and ".join(f"--{name}" for name in beside)
    if not arguments.phases:
        files = " and ".join(arguments.files)
        return [f"{options} beside {files}: its phases say all of their own. Write them there, or leave {files} out."]
    phase = ",".join(f"{name}={show(value)}" for name, value in beside.items())
    return [f"{options} beside --phase: each phase says all of its own. Write --phase {phase},... or give no --phase."]


def _unheard(arguments: PlanArguments, written: Sequence[Written]) -> list[str]:
    """What is said of how the run draws where each of its phases says that itself, so that none is left to hear it. Of
    nothing but recorded runs plan_files has said it."""
    kinds = [next((text for key, text in each.values if _name(key) == "sampling"), "") for each in written]
    if not all(kinds) or not kinds or (not arguments.phases and all(map(recorded_runs.recorded_plan, arguments.files))):
        return []
    told = arguments.settings
    typed = [f"--{name}" for name, _ in told.scheme_options]
    said = dict(arguments.stated).get("sampling", "" if told.sampling == Poisson.kind else told.sampling)
    if said and said not in kinds:
        typed.insert(0, f"--sampling {said}")
    if not typed:
        return []
    beside = " and ".join((*arguments.files, *(["--phase"] if arguments.phases else [])))
    return [f"{' and '.join(typed)} beside {beside}: each of the phases says how it draws. Leave it out."]


def _examples(described: Iterable[tuple[str, Settings]], problems: list[str]) -> Any:
    """The one n that everything is about, or None."""
    given: dict[Any, str] = {}
    for where, settings in described:
        if settings.examples is not None:
            given.setdefault(settings.examples, where or "the run")
    if len(given) > 1:
        said = " and ".join(f"n={show(n)} ({where})" for n, where in list(given.items())[:2])
        problems.append(f"{said} differ: earlier runs and phases add up on the same data only. Give one n.")
    return next(iter(given), None)


def _of_data(settings: Settings, examples: Any) -> Settings:
    """The settings with the n that all phases share, where they name none."""
    return settings if settings.examples is not None else settings.with_(examples=examples)


def _plan(where: str, settings: Settings, examples: Any, problems: list[str]) -> Plan | None:
    whole = _of_data(settings, examples)
    try:
        found, plan = [], whole.plan()
    except UsageError as error:
        found, plan = list(error.problems), None
    if where:
        found += percentage(whole)
        problems += [f"{where}: {_in_a_phase(problem)}" for problem in found]
    else:
        problems += found
    return plan


def _in_a_phase(problem: str) -> str:
    """What a problem says about options, said about keys."""
    return re.sub(r"--([a-z]+)( (?=[\d.]))?", r"\1=", problem.replace(FIND_IT, ""))


def _joined(plans: list[Plan]) -> Plan:
    """One plan. What was derived is found under the phase's place: phases[3].steps."""
    if len(plans) == 1:
        return plans[0]
    batches = {plan.batch_size for plan in plans}
    derived = (((f"phases[{i}].{name}", words) for name, words in plan.derivation) for i, plan in enumerate(plans))
    return Plan(
        tuple(plan.only_phase for plan in plans),
        adjacency=plans[0].adjacency,
        privacy_unit=plans[0].privacy_unit,
        max_per_user=plans[0].max_per_user,
        examples=plans[0].examples,
        batch_size=batches.pop() if len(batches) == 1 else None,
        derivation=tuple(chain.from_iterable(derived)),
    )


def _shortened(problems: list[str]) -> list[str]:
    left = len(problems) - MOST_TOLD
    return problems if left <= 0 else [*problems[:MOST_TOLD], FurtherProblems(f"... and {left} more.", left)]
