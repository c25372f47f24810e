"""A plan in a file: a whole budget, phase by phase, with the mechanism and the sampling of each.

    adjacency: add-remove        # or replace-one, zero-out; once for the whole plan
    unit: example                # or user, with max_per_user
    n: 60000
    phases:
      - {name: vocabulary, mechanism: {kind: laplace, epsilon: 0.2}, steps: 20}
      - name: train
        mechanism: {kind: gaussian, noise_multiplier: 3}
        sampling: {kind: poisson, sample_rate: 0.02}
        steps: 500
      - parallel:                # groups that share no record; each a phase or a list of phases
          - {mechanism: {kind: laplace, epsilon: 0.2}}
          - {name: women, n: 30000, phases: [{mechanism: {kind: laplace, epsilon: 0.25}}]}
      - name: search             # a random number of trials, of which the best is released
        repeat: {law: geometric, mean: 10, score: public}
        phases: [{mechanism: {kind: gaussian, noise_multiplier: 8}}]
    public:
      - normalisation constants of another data set

Strict as recipes are, and for the same reasons read from YAML's node tree: every problem is told, with its line.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, REPLACE_ONE, Adjacency, conversion, named
from dpplan.errors import NotApplicable, PlanError, UsageError
from dpplan.groups import MOST_DEPTH, GroupPath, PhaseName, words
from dpplan.mechanism.trials import RELEASED
from dpplan.open_noise import Opening
from dpplan.plan import Phase, Plan, Settings
from dpplan.query_sensitivity import AnswerAccuracy, accuracy
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import mechanism_block, plan_nodes, query_block, repeat_block
from dpplan.sampling import CHOICES, OPTIONS, Poisson
from dpplan.units import UNITS, UNITS_CONVERTED, unit_problems

ENDINGS = (".yaml", ".yml")
_GROUPS_EXAMPLE = "Write - parallel: [{mechanism: ...}, {mechanism: ...}], a phase or a list of phases for each group."
# And with what belongs below phases, so that whoever forgot that line is told so.
_BEGINS = re.compile(rf"^(?:\{{|(?:{'|'.join((*plan_nodes.KEYS, plan_nodes.GROUPS, 'mechanism'))})\s*:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a file says. names: of the plan's phases, one each. public: what is released and costs nothing. accuracies:
    of each phase that answers a query, how near the answer is. openings: of each whose noise is open, what is. said: of
    its sampling and length; in_trials: the same of what searches repeat."""

    plan: Plan
    names: tuple[str, ...]
    public: tuple[str, ...]
    accuracies: tuple[AnswerAccuracy | None, ...]
    openings: tuple[Opening | None, ...]
    said: tuple[Settings | None, ...] = ()
    in_trials: tuple[Settings, ...] = ()


def is_plan(file: Path) -> bool:
    """Whether this file has a key of a plan at the margin, which no list of phases and no recipe has."""
    if file.suffix.lower() not in ENDINGS:
        return False
    try:
        with file.open(encoding="utf-8-sig") as stream:
            return _BEGINS.search(stream.read(plan_nodes.MOST_BYTES)) is not None
    except (OSError, ValueError):
        return False  # whoever reads it says why it cannot be read


def read(file: Path, may_be_open: bool = False) -> PlanFile:
    """The plan of a file. may_be_open: whether noise may be left out, which then is 1 of whatever it is counted in.

    Raises PlanError with every problem of it, NotApplicable for what no theorem is known for."""
    found = plan_nodes.PlanProblems(file)
    root = plan_nodes.compose(file)
    given = {key: (line, node) for key, line, node in plan_nodes.mapping(root, "", plan_nodes.KEYS, found)}
    shared = _shared(given, found)
    seen = _Seen(may_be_open=may_be_open)
    phases = list(_phases(given, root.start_mark.line + 1, shared, found, seen))
    public = tuple(_public(given, found))
    if found.problems:
        raise PlanError(found.told)
    try:
        plan = Plan(
            tuple(phase for _, phase in phases),
            adjacency=shared.adjacency,
            privacy_unit=shared.unit,
            examples=shared.examples,
            max_per_user=shared.max_per_user,
            derivation=_derived(seen.origins, len(phases)),
        )
    except UsageError as error:
        raise PlanError([f"{file}: {problem}" for problem in error.problems]) from None
    accuracies = tuple(seen.accuracies.get(number) for number in range(len(phases)))
    openings = tuple(seen.openings.get(number) for number in range(len(phases)))
    said = tuple(seen.said.get(number) for number in range(len(phases)))
    return PlanFile(plan, tuple(name for name, _ in phases), public, accuracies, openings, said, tuple(seen.in_trials))


def _derived(origins: Mapping[int, str], count: int) -> tuple[tuple[str, str], ...]:
    """Where noise comes from that is not given, under the place of its phase."""
    places = {place: "" if count == 1 else f"phases[{place}]." for place in range(count)}
    return tuple((f"{places[at]}noise_multiplier", words) for at, words in origins.items() if words)


def _shared(given: Mapping[str, tuple[int, Any]], found: plan_nodes.PlanProblems) -> Settings:
    """What stands once for the whole plan."""
    values: dict[str, Any] = {}
    for key, (line, node) in given.items():
        if key == "adjacency":
            values["adjacency"] = _adjacency(node, line, key, found) or ADD_REMOVE
        elif key == "unit":
            values["unit"] = plan_nodes.word(node, line, key, UNITS, found) or "example"
        elif key in ("n", "max_per_user"):
            values["examples" if key == "n" else key] = plan_nodes.number(node, line, key, int, found)
    if found.problems:
        return Settings(**values)
    if values.get("examples", 1) < 1:
        found.add(given["n"][0], f"n={values.pop('examples')} is not a whole number of at least 1.")
    for problem in unit_problems(values.get("unit", "example"), values.get("max_per_user"), values.get("examples")):
        found.add(given["max_per_user"][0], problem)
        values.pop("max_per_user", None)  # said once, and not of each phase
    return Settings(**values)


@dataclass(slots=True)
class _Seen:
    """What the phases so far are called, by line, how many there are, how many blocks of groups, of queries how
    near their answers are, what of the noise is open, what was said of the sampling, and what noise was found from.
    may_be_open: whether noise can be open, None of a trial. in_trials: what was said of what searches repeat. walked:
    the phases and blocks that were looked at: few lines may refer to themselves over and over."""

    names: dict[str, int] = dataclasses.field(default_factory=dict)
    phases: int = 0
    blocks: int = 0
    accuracies: dict[int, AnswerAccuracy] = dataclasses.field(default_factory=dict)
    openings: dict[int, Opening | None] = dataclasses.field(default_factory=dict)
    said: dict[int, Settings] = dataclasses.field(default_factory=dict)
    origins: dict[int, str] = dataclasses.field(default_factory=dict)
    in_trials: list[Settings] = dataclasses.field(default_factory=list)
    may_be_open: bool | None = False
    walked: int = 0


def _phases(
    given: Mapping[str, tuple[int, Any]], root: int, shared: Settings, found: plan_nodes.PlanProblems, seen: _Seen
) -> Iterator[tuple[str, Phase]]:
    if "phases" not in given:
        found.add(root, f"phases is missing: a plan is a list of phases. {plan_nodes.EXAMPLE}")
        return
    yield from _listed(*given["phases"], _Place("phases", shared), found, seen)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list of phases stands. path: in words. shared: what stands once for all of it. group: whose it is. name:
    of the innermost group that has one. called: the group as tables show it, "" where no group around it has a name.
    in_trial: whether it is what a search repeats."""

    path: str
    shared: Settings
    group: GroupPath = ()
    name: str = ""
    called: str = ""
    in_trial: bool = False


def _listed(
    line: int, node: Any, place: _Place, found: plan_nodes.PlanProblems, seen: _Seen
) -> Iterator[tuple[str, Phase]]:
    if node.id != "sequence" or not node.value:
        found.add(line, f"{place.path} is not a list of phases. {plan_nodes.EXAMPLE}")
        return
    for number, each in enumerate(node.value):
        at, line = dataclasses.replace(place, path=f"{place.path}[{number}]"), each.start_mark.line + 1
        if _has(each, plan_nodes.GROUPS):
            yield from _block(each, at, found, seen)
            continue
        if _has(each, plan_nodes.REPEAT):
            name, phase = _search(each, at, found, seen)
        else:
            name, phase = _phase(each, at.path, place.shared, found, seen)
        if place.group and seen.phases in seen.accuracies and place.shared.adjacency == REPLACE_ONE:
            found.add(
                line,
                f"{at.path}.query is asked of a group, which a record that is replaced may leave: how far that moves "
                "the answer does not follow from what a replacement does. Choose zero-out or add-remove for the plan.",
            )
        seen.walked, seen.phases = plan_nodes.counted(seen.walked + 1, line, found), seen.phases + 1
        if name and name in seen.names:
            found.add(line, f"{at.path}.name={name} is that of line {seen.names[name]} too.")
        seen.names.setdefault(name, line)
        if phase is not None:
            default = place.name if place.name and len(node.value) == 1 else f"{place.name} phase {seen.phases}".strip()
            yield PhaseName(name or default, place.called), dataclasses.replace(phase, groups=place.group)


def _block(node: Any, place: _Place, found: plan_nodes.PlanProblems, seen: _Seen) -> Iterator[tuple[str, Phase]]:
    """Groups that share no record, each a phase, a list of phases, or such a list with a name and an n of its own."""
    path = f"{place.path}.{plan_nodes.GROUPS}"
    if len(place.group) >= MOST_DEPTH:
        found.add(node.start_mark.line + 1, f"{plan_nodes.GROUPS}: groups are nested more than {MOST_DEPTH} deep.")
        return
    seen.walked = plan_nodes.counted(seen.walked + 1, node.start_mark.line + 1, found)
    seen.blocks += 1
    block, total = seen.blocks, 0
    for _, line, groups in plan_nodes.mapping(node, f"{place.path}.", (plan_nodes.GROUPS,), found):
        if groups.id != "sequence" or len(groups.value) < 2:
            found.add(line, f"{path} is not a list of two groups or more. {_GROUPS_EXAMPLE}")
            return
        for number, each in enumerate(groups.value):
            inside = (*place.group, (block, number))
            called = f"{place.called}/{block}.{number + 1}" if place.called else ""
            group = dataclasses.replace(place, path=f"{path}[{number}]", group=inside, called=called)
            at, listed = each.start_mark.line + 1, each
            if _has(each, "phases") and not _has(each, plan_nodes.REPEAT):
                group, at, listed, own = _told_group(each, group, found)
                total += own or 0
            elif each.id != "sequence":
                listed = plan_nodes.sequence_of(each)
            if listed is not None:
                yield from _listed(at, listed, group, found, seen)
        most = place.shared.examples
        if most is not None and total > most:
            found.add(line, f"{path}: the groups have n={total} together, and share no record of n={most}.")


def _search(node: Any, place: _Place, found: plan_nodes.PlanProblems, seen: _Seen) -> tuple[str, Phase | None]:
    """A block of phases that is repeated, of which the best trial is released."""
    line, path, before = node.start_mark.line + 1, place.path, len(found.problems)
    parts = {key: (at, each) for key, at, each in plan_nodes.mapping(node, f"{path}.", plan_nodes.SEARCH_KEYS, found)}
    name = plan_nodes.text(*parts["name"][::-1], f"{path}.name", found) if "name" in parts else ""
    own = _own(parts, path, place.shared, found)
    if place.in_trial:
        found.add(line, f"{path}.repeat stands in a trial: a search within a search is not known here.")
        return name, None
    made = repeat_block.read(*parts["repeat"], f"{path}.repeat", found) if "repeat" in parts else None
    trial = dataclasses.replace(place, path=f"{path}.phases", group=(), in_trial=True)
    inside = _Seen(seen.names, may_be_open=None, walked=seen.walked)
    if "phases" not in parts:
        found.add(line, f"{path}.phases is missing: a trial is a list of phases, all of which are repeated.")
    phases = [phase for _, phase in _listed(*parts["phases"], trial, found, inside)] if "phases" in parts else []
    seen.in_trials += inside.said.values()
    seen.walked = inside.walked
    if any(inside.openings.values()):
        found.add(line, f"{path}: noise is open in a trial, and the search repeats what is known. Write a number.")
    if inside.accuracies and place.group and place.shared.adjacency == REPLACE_ONE:
        found.add(line, f"{path}: a query in a trial on a group that a record may leave. Choose zero-out for the plan.")
    if made is None or len(found.problems) > before:
        return name, None
    search = made(tuple(phases))
    if search.score == RELEASED and len(phases) < 2:
        found.add(line, f"{path}.repeat.score=released, by no phase of a trial that has one. Add the phase that does.")
        return name, None
    return name, Phase(search, Poisson(1.0), 1, **own)


def _told_group(node: Any, place: _Place, found: plan_nodes.PlanProblems) -> tuple[_Place, int, Any, int | None]:
    """A group with its name and its n: where it stands, the line and the list of its phases, and the n of its own."""
    line = node.start_mark.line + 1
    given = {key: each for key, *each in plan_nodes.mapping(node, f"{place.path}.", plan_nodes.GROUP_KEYS, found)}
    name, called, n = place.name, place.called, None
    if "name" in given:
        name = plan_nodes.text(given["name"][1], given["name"][0], f"{place.path}.name", found)
        called = "/".join((*(called or words(place.group)).split("/")[:-1], name))
    if "n" in given:
        at, each = given["n"]
        n = plan_nodes.number(each, at, f"{place.path}.n", int, found)
        if n is not None and n < 1:
            found.add(at, f"{place.path}.n={n} is not a whole number of at least 1.")
            n = None
    at, listed = given.get("phases", (line, None))
    shared = place.shared if n is None else place.shared.with_(examples=n)
    where = dataclasses.replace(place, path=f"{place.path}.phases", shared=shared, name=name, called=called)
    return where, at, listed, n


def _has(node: Any, key: str) -> bool:
    return node.id == "mapping" and any(plan_nodes.spelled(each) == key for each, _ in node.value)


def _phase(
    node: Any, path: str, shared: Settings, found: plan_nodes.PlanProblems, seen: _Seen
) -> tuple[str, Phase | None]:
    line, before = node.start_mark.line + 1, len(found.problems)
    parts = {key: (at, each) for key, at, each in plan_nodes.mapping(node, f"{path}.", plan_nodes.PHASE_KEYS, found)}
    name = plan_nodes.text(*parts["name"][::-1], f"{path}.name", found) if "name" in parts else ""
    own = _own(parts, path, shared, found)
    drawn = _drawn(parts, (path, line), shared, found, seen)
    if "mechanism" not in parts:
        if node.id == "mapping":
            found.add(line, f"{path}.mechanism is missing: say what is released. {plan_nodes.EXAMPLE}")
        mechanism = None
    else:
        query = query_block.read(*parts["query"], f"{path}.query", shared, found) if "query" in parts else None
        steps = None if drawn is None else drawn.steps
        opening = mechanism_block.opening(parts, path, found)
        context = mechanism_block.PhaseContext(query, shared, opening, seen.may_be_open, steps, "sampling" in parts)
        released = mechanism_block.read(*parts["mechanism"], f"{path}.mechanism", context, found)
        mechanism, seen.openings[seen.phases] = released.mechanism, released.opening
        seen.origins[seen.phases] = released.origin
        if query is not None and mechanism is not None:
            seen.accuracies[seen.phases] = accuracy(query, mechanism, shared.adjacency, shared.unit)
        if "query" in parts and "sampling" in parts:
            found.add(parts["query"][0], f"{path}.query is asked of all records. Leave out sampling.")
    if len(found.problems) > before or mechanism is None or drawn is None:
        return name, None
    return name, Phase(mechanism, drawn.sampling, drawn.steps, **own)


def _own(
    parts: Mapping[str, tuple[int, Any]], path: str, shared: Settings, found: plan_nodes.PlanProblems
) -> dict[str, Any]:
    """The neighbours and the unit, where a phase repeats them."""
    own: dict[str, Any] = {}
    if "adjacency" in parts:
        at, each = parts["adjacency"]
        own["adjacency"] = _adjacency(each, at, f"{path}.adjacency", found)
    if "unit" in parts:
        at, each = parts["unit"]
        own["privacy_unit"] = plan_nodes.word(each, at, f"{path}.unit", UNITS, found)
    for key, whole in (("adjacency", shared.adjacency), ("privacy_unit", shared.unit)):
        if own.get(key) not in (None, whole):
            word = key.removeprefix("privacy_")
            found.add(
                parts[word][0],
                f"{path}.{word}={own[key]} is not the plan's, {whole}: guarantees for different neighbours do not add "
                f"up. {UNITS_CONVERTED if word == 'unit' else conversion(own[key], shared.adjacency)}.",
            )
    return own


def _drawn(
    parts: Mapping[str, tuple[int, Any]], where: tuple[str, int], shared: Settings, found: plan_nodes.PlanProblems,
    seen: _Seen,
) -> Phase | None:  # fmt: skip
    """A phase of this sampling and length, whatever its mechanism. Without sampling every record is in every step, and
    without a length there is one."""
    before, values, options = len(found.problems), dict[str, Any](), dict[str, Any]()
    path, line = where
    kind: str | None = "full-batch"
    if "sampling" in parts:
        line, node = parts["sampling"]
        kind = mechanism_block.kind_of(line, node, f"{path}.sampling", CHOICES, "poisson", found)
        for key, at, child in (
            plan_nodes.mapping(node, f"{path}.sampling.", plan_nodes.SAMPLING_KEYS, found)
            if node.id == "mapping"
            else ()
        ):
            option = OPTIONS.get(key.replace("_", "-"), OPTIONS.get(key))
            if option is not None and option.choices:
                options[option.name] = plan_nodes.word(child, at, f"{path}.sampling.{key}", option.choices, found)
            elif option is not None:
                options[option.name] = plan_nodes.number(child, at, f"{path}.sampling.{key}", int, found)
            elif key != "kind":
                values[key] = plan_nodes.number(child, at, f"{path}.sampling.{key}", Fraction, found)
    for key in ("steps", "epochs"):
        if key in parts:
            at, child = parts[key]
            values[key] = plan_nodes.number(child, at, f"{path}.{key}", int if key == "steps" else float, found)
    if len(found.problems) > before or kind is None:
        return None
    if "sampling" not in parts and "epochs" not in values:
        values.setdefault("steps", 1)
    if "batch_size" in values:
        values["batch_size"] = float(values["batch_size"])
    # Any noise serves; one above 1 is never taken for a sample rate.
    noise = plan_nodes.little_noise(parts.get("mechanism", (line, None))[1], 2.0)
    said = shared.with_(noise_multiplier=noise, sampling=kind, scheme_options=tuple(options.items()), **values)
    seen.said[seen.phases] = said
    try:
        return said.plan().only_phase
    except NotApplicable as refusal:
        found.add(line, f"{path}.sampling: {refusal}")
    except UsageError as error:
        for problem in error.problems:
            found.add(line, f"{path}: {plan_nodes.in_keys(problem)}")
    return None


def _public(given: Mapping[str, tuple[int, Any]], found: plan_nodes.PlanProblems) -> Iterator[str]:
    if "public" not in given:
        return
    line, node = given["public"]
    if node.id != "sequence":
        found.add(line, "public is not a list: name what is released and costs nothing, one line each.")
        return
    for number, each in enumerate(node.value):
        yield plan_nodes.text(each, each.start_mark.line + 1, f"public[{number}]", found)


def _adjacency(node: Any, line: int, path: str, found: plan_nodes.PlanProblems) -> Adjacency | None:
    word = plan_nodes.word(node, line, path, [name.replace("_", "-") for name in ADJACENCIES], found)
    return named(word) if word else None
