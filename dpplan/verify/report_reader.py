"""The claims in what dpplan wrote: the report of a run, its folder, and the JSON of the planning commands.

Of a run the steps that were really taken are accounted: those of the report, or more where the count of steps beside
it, or the metrics, know of more. A file that contradicts itself is refused, since nobody can know what ran.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dpplan.accounting.bound import Quantity
from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import Problems, show
from dpplan.errors import InputOutputFailed, ReportError, file_error
from dpplan.phase_steps import taken as taken_of
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson, TruncatedPoisson
from dpplan.units import UNITS, unit_problems
from dpplan.verify import allowed_report_values, json_fields, unaccounted
from dpplan.verify.early_end import CONDITION, EarlyEnd, early_end
from dpplan.verify.figure_reader import assumed, figure
from dpplan.verify.json_fields import Object
from dpplan.verify.recorded_claim import Document, RecordedClaim
from dpplan.verify.run_outcome import ending as ending_told
from dpplan.verify.run_outcome import outcome, over_budget, why
from dpplan.verify.unfinished_run import CHECKPOINT, METRICS, REPORT, STEPS, last_counted, steps_begun, unfinished

STDIN = Path("-")
BY_SHARE = (Poisson.kind, TruncatedPoisson.kind)  # whose sample_rate is batch_size / examples
MOST_BYTES = 100_000_000  # the report of a million epochs
_KNOWN_VERSION = "1"
_OF_RUNS = ("train", "tune")  # reports that lie beside the recipe that ran


def read(path: Path, also: str = "") -> Document:
    """The claims of a report, of a run's folder or of a command's JSON ("-": from standard input).

    also: what else the caller takes, for the message about a file of another kind: "a recipe (.yaml)".
    Raises ReportError with all that is wrong with it, InputOutputFailed where it cannot be read.
    """
    folder = os.path.isdir(path)  # unlike Path.is_dir, False for a name that no file can have
    file = path / REPORT if folder else path
    if folder and not file.exists():
        raise ReportError(unfinished(path))
    name = "standard input" if path == STDIN else str(file)
    content = json_fields.parse(_text(path, file, also), name, named(also))
    kind = _kind(content, name, also)
    if isinstance(failed := content.get("error"), dict):
        raise ReportError(f"{name}: the call failed and claims nothing: {str(failed.get('message'))[:200]}")
    beside = file.parent if kind in _OF_RUNS and file.name == REPORT and path != STDIN else None
    if kind == "train" and (marked := unaccounted.reason(content)):
        raise unaccounted.refusal(name, marked, _steps_of_marked(content, beside))
    problems = Problems(ReportError)
    remarks: list[str] = []
    warnings: list[str] = []
    early, ending = None, ""
    with problems:
        if kind == "train":
            claims, remarks, warnings, early, ending = _of_run(problems, content, beside)
        else:
            assumed(problems, content)
            claims = list(_READERS[kind](problems, content))
        if not problems.found and not claims:
            problems.add(f"{name}: holds no figure that claims anything.")
    software = content.get("software")
    version = software.get("dpplan", "") if isinstance(software, dict) else ""
    recorded = content.get("recipe") if kind in _OF_RUNS else None
    return Document(
        name,
        str(content["schema"]),
        str(version),
        tuple(claims),
        tuple(remarks),
        tuple(warnings),
        beside,
        recorded if isinstance(recorded, dict) else {},
        early=early,
        ending=ending,
        over_budget=over_budget(content) if kind == "train" else "",
    )


def named(also: str = "") -> str:
    """What may be named where a file of another kind was."""
    what = "the folder of a run, its report.json, or what dpplan epsilon, delta, solve, compare or check printed with"
    return f"Name {what} --json{f'; or {also}' if also else ''}."


def _text(path: Path, file: Path, also: str) -> str:
    try:
        if path == STDIN:
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with file.open("rb") as stream:
                raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        if file.name == REPORT and (file.parent / STEPS).exists():
            raise ReportError(unfinished(file.parent)) from None
        raise ReportError(f"{file}: no such file. Name a report.json, or the folder of a run.") from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, ReportError) from None
    if len(raw) > MOST_BYTES:
        raise ReportError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no report.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ReportError(f"{file}: is not text (UTF-8); a report is JSON. {named(also)}") from None


def _kind(content: Object, name: str, also: str) -> str:
    schema = content.get("schema")
    found = re.fullmatch(r"dpplan\.([a-z-]+)/(\d+)", schema) if isinstance(schema, str) else None
    if found is None:
        raise ReportError(f"{name}: is no report of dpplan: schema={json_fields.shown(schema)}. {named(also)}")
    kind, number = found.groups()
    if kind != "train" and kind not in _READERS:
        known = ", ".join(("train", *_READERS))
        raise ReportError(f"{name}: {schema} has no plan beside each figure. What can be verified: {known}.")
    if number != _KNOWN_VERSION:
        raise ReportError(f"{name}: {schema} is not known to this version of dpplan. Verify it with a newer one.")
    return kind


# The report of a run


def _of_run(
    problems: Problems, content: Object, folder: Path | None
) -> tuple[list[RecordedClaim], list[str], list[str], EarlyEnd | None, str]:
    """The claims, what is worth knowing, what beside the report contradicts it, whether the run ended early, and how it
    did by the report."""
    assumed(problems, content)
    allowed_report_values.check(problems, content, allowed_report_values.RUN)
    planned = json_fields.block(problems, content, "planned")
    delta = json_fields.delta_of(problems, planned, "planned.delta")
    length = json_fields.count(problems, planned, "planned.steps")
    one = json_fields.phase(problems, planned, "planned", steps=length or 1)
    neighbours = json_fields.adjacency(problems, planned, "planned")
    unit = planned.get("privacy_unit", "example")
    problems.require(unit in UNITS, f"planned.privacy_unit={json_fields.shown(unit)} is not what runs protect.")
    most = planned.get("max_per_user")
    problems.found += [f"planned.{sentence}" for sentence in unit_problems(str(unit), most)]
    _agreeing(problems, content, planned)
    spent = json_fields.block(problems, content, "spent") if "spent" in content or "status" in content else None
    taken = 0 if spent is None else json_fields.count(problems, spent, "spent.steps", least=0)
    lost = None if spent is None else json_fields.optional(problems, spent, "spent.lost_steps")
    if lost is not None and taken is not None and lost > taken:
        problems.add(f"spent.lost_steps={show(lost)} is more than spent.steps={taken}.")
    counted, warnings = _counted(folder, taken or 0)
    reported = None if spent is None else taken
    broken, doubts, told = outcome(problems, content, length, reported)
    # A report that has fewer steps than its own folder was altered, or belongs to another run.
    doubts += tuple(warnings)
    how = ending_told(content, length, reported)
    examples = json_fields.finite(planned.get("examples"))
    early = early_end(counted, length, content.get("status"), why(content)) if spent is not None else None

    def claim(name: str, holder: Object, steps: int) -> Iterator[RecordedClaim]:
        phases = (taken_of(one, steps),) if one is not None and steps else ()
        n = int(examples) if examples else None
        good = phases and neighbours is not None and not problems.found
        plan = Plan(phases, neighbours or ADD_REMOVE, str(unit), n, max_per_user=most) if good else None
        for found in figure(problems, holder, f"{name}.epsilon", "epsilon", delta, plan):
            condition = CONDITION if early is not None and name == "spent" else ""
            yield dataclasses.replace(found, name=name, broken=broken, doubts=doubts, condition=condition)

    claims = [] if spent is None else list(claim("spent", spent, counted))
    # Of a run that went on beyond its plan the planned figure claims too little, whatever it was of the plan.
    return [*claims, *claim("planned", planned, max(length or 0, counted))], told, warnings, early, how


def _agreeing(problems: Problems, content: Object, planned: Object) -> None:
    """That the plan is the one of the recipe beside it."""
    rate, batch, n = (planned.get(key) for key in ("sample_rate", "batch_size", "examples"))
    told, expected, examples = (json_fields.finite(value) for value in (rate, batch, n))
    if expected is not None and examples and expected > examples:
        problems.add(f"planned.batch_size={show(expected)} is more than planned.examples={show(examples)}.")
    elif expected is not None and examples and planned.get("sampling", Poisson.kind) in BY_SHARE:
        json_fields.same(
            problems, "planned.sample_rate", told, expected / examples, "planned.batch_size / planned.examples"
        )
    recipe = content.get("recipe")
    stated = [("privacy", "noise_multiplier"), ("privacy", "delta"), ("training", "steps")]
    if planned.get("sampling", Poisson.kind) in BY_SHARE:  # else the bins decide, and the share follows from them
        stated.append(("training", "batch_size"))
    for title, key in stated:
        block = recipe.get(title) if isinstance(recipe, dict) else None
        given = json_fields.finite(block.get(key)) if isinstance(block, dict) else None
        json_fields.same(
            problems, f"planned.{key}", json_fields.finite(planned.get(key)), given, f"recipe.{title}.{key}"
        )


def _counted(folder: Path | None, reported: int) -> tuple[int, list[str]]:
    """The steps that were taken, by whatever lies beside the report, and a warning where that is more than it says.

    A run that cannot go on has no count, and removes its checkpoint before it.
    """
    if folder is None:
        return reported, []
    count = _beside(folder / STEPS)
    if count is None and (folder / CHECKPOINT).exists():
        raise ReportError(f"{folder / STEPS}: is gone, so nobody knows how many steps were taken.")
    known = {
        STEPS: 0 if count is None else _count(folder / STEPS, count),
        METRICS: last_counted(_beside(folder / METRICS) or b""),
    }
    source = max(known, key=lambda name: known[name])
    if known[source] <= reported:
        return reported, []
    return known[source], [f"{folder / source} counts {known[source]} steps, and the report only {reported}."]


def _steps_of_marked(content: Object, folder: Path | None) -> int | None:
    """How many steps a run took that claims nothing; None where nobody can tell, and of a plan that has not run."""
    spent = content.get("spent")
    taken = json_fields.finite(spent.get("steps")) if isinstance(spent, dict) else None
    if taken is None or taken < 0 or not taken.is_integer():
        return None
    try:
        return _counted(folder, int(taken))[0]
    except (ReportError, InputOutputFailed):
        return None


def _count(file: Path, said: bytes) -> int:
    count = steps_begun(said) if said else None  # who wrote a report had a count
    if count is None:
        raise ReportError(f"{file}: does not hold a count of steps, so nobody knows how many were taken.")
    return count


def _beside(file: Path) -> bytes | None:
    """What it holds; None where there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputOutputFailed(f"{file}: cannot be read: {error.strerror or error}.") from None


# What the planning commands print


def _of_results(problems: Problems, content: Object) -> Iterator[RecordedClaim]:
    plan = _plan(problems, content, "plan")
    results = content.get("results")
    if not isinstance(results, list):
        problems.add("results is missing." if results is None else "results is not a list.")
        return
    for number, result in enumerate(results):
        yield from _result(problems, result, f"results[{number}]", plan)
    before = content.get("spent_before")
    if before is not None:
        yield from _before(problems, json_fields.block(problems, content, "spent_before"), plan)


def _before(problems: Problems, before: Object, plan: Plan | None) -> Iterator[RecordedClaim]:
    """What earlier runs spent alone: the plan's first phases."""
    first = json_fields.count(problems, before, "spent_before.phases")
    results = before.get("results")
    if first is None or plan is None or not isinstance(results, list) or first > len(plan.phases):
        problems.add("spent_before does not say what the first phases of the plan spent.")
        return
    alone = dataclasses.replace(plan, phases=plan.phases[:first], derivation=())
    for number, result in enumerate(results):
        for found in _result(problems, result, f"spent_before.results[{number}]", alone):
            yield dataclasses.replace(found, earlier=True)


def _of_search(problems: Problems, content: Object) -> Iterator[RecordedClaim]:
    """A search that released its winner; with a seed it protects nobody."""
    broken = "the search had a seed: whoever knows it can subtract the noise" if content.get("seeded") else ""
    for found in _of_results(problems, content):
        yield dataclasses.replace(found, broken=broken)


def _of_check(problems: Problems, content: Object) -> Iterator[RecordedClaim]:
    if content.get("plan") is not None and content.get("epsilon") is not None:
        yield from _result(problems, content, "", _plan(problems, content, "plan"))


def _of_compared_plans(problems: Problems, content: Object) -> Iterator[RecordedClaim]:
    plans = content.get("plans")
    for number, entry in enumerate(plans if isinstance(plans, list) else []):
        if not isinstance(entry, dict):
            problems.add(f"plans[{number}] is not an object.")
            continue
        yield from _result(problems, entry, f"plans[{number}]", _plan(problems, entry, f"plans[{number}].plan"))


def _result(problems: Problems, result: object, path: str, plan: Plan | None) -> Iterator[RecordedClaim]:
    """The figure of one result: an epsilon at a delta, or the reverse; none where the accountant refused."""
    if not isinstance(result, dict):
        problems.add(f"{path} is not an object.")
        return
    prefix = f"{path}." if path else ""
    epsilon, delta = result.get("epsilon"), result.get("delta")
    allowed_report_values.check(problems, result, allowed_report_values.RESULT, prefix)
    if result.get("refusal") and (epsilon is None or delta is None):
        return
    if isinstance(epsilon, dict):
        at = json_fields.delta_of(problems, result, f"{prefix}delta")
        quantity: Quantity = "epsilon"
    elif isinstance(delta, dict):
        at = json_fields.number(problems, result, f"{prefix}epsilon")
        quantity = "delta"
    else:
        problems.add(f"{path or 'the file'} holds neither an epsilon at a delta nor a delta at an epsilon.")
        return
    for found in figure(problems, result, f"{prefix}{quantity}", quantity, at, plan):
        yield dataclasses.replace(found, name=path or quantity)


def _plan(problems: Problems, holder: Object, path: str) -> Plan | None:
    """The plan of a command's JSON. A quantity that stands both at its top and in its phases has to be the same."""
    told = json_fields.block(problems, holder, path)
    listed = told.get("phases")
    allowed_report_values.check(problems, told, allowed_report_values.PLAN, f"{path}.")
    if not told or not isinstance(listed, list) or not listed:
        if told:
            problems.add(f"{path}.phases is missing.")
        return None
    found = [
        json_fields.phase(problems, each if isinstance(each, dict) else {}, f"{path}.phases[{number}]")
        for number, each in enumerate(listed)
    ]
    phases: tuple[Phase, ...] = tuple(phase for phase in found if phase is not None)
    if len(phases) < len(listed):
        return None
    json_fields.same(
        problems, f"{path}.steps", json_fields.finite(told.get("steps")), sum(p.steps for p in phases), "its phases"
    )
    for key in ("noise_multiplier", "sample_rate"):
        for phase in phases:
            given = json_fields.finite(phase.settings.get(key))
            json_fields.same(problems, f"{path}.{key}", json_fields.finite(told.get(key)), given, "a phase")
    examples, batch = told.get("examples"), json_fields.finite(told.get("batch_size"))
    n = examples if isinstance(examples, int) and not isinstance(examples, bool) and examples > 0 else None
    by_share = len(phases) == 1 and type(phases[0].sampling) in (Poisson, TruncatedPoisson)
    if n is not None and batch is not None and by_share:
        json_fields.same(
            problems,
            f"{path}.sample_rate",
            json_fields.finite(phases[0].settings.get("sample_rate")),
            batch / n,
            "batch_size / examples",
        )
    neighbours = json_fields.adjacency(problems, told, path)
    if neighbours is None:
        return None
    unit, most = told.get("privacy_unit", "example"), told.get("max_per_user")
    problems.require(unit in UNITS, f"{path}.privacy_unit={json_fields.shown(unit)} is not one of: {', '.join(UNITS)}.")
    wrong = [*problems.found]
    problems.found += [f"{path}.{sentence}" for sentence in unit_problems(str(unit), most)]
    if problems.found != wrong or unit not in UNITS:
        return None
    return Plan(phases, neighbours, str(unit), examples=n, max_per_user=most)


_READERS: Mapping[str, Callable[[Problems, Any], Iterator[RecordedClaim]]] = MappingProxyType(
    {
        "epsilon": _of_results,
        "delta": _of_results,
        "solve": _of_results,
        "compare": _of_results,
        "compare-plans": _of_compared_plans,
        "check": _of_check,
        "tune": _of_search,
    }
)
