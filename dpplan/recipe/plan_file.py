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
    public:
      - normalisation constants of another data set

Strict as recipes are, and for the same reasons read from YAML's node tree: every problem is told, with its line.
"""

import dataclasses
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, Adjacency, named
from dpplan.checks import did_you_mean
from dpplan.errors import NotApplicable, PlanError, UsageError, file_error
from dpplan.mechanism import MECHANISMS, REFUSED, Gaussian, Mechanism
from dpplan.plan import UNITS, Phase, Plan, Settings, unit_problems
from dpplan.sampling import CHOICES, OPTIONS

ENDINGS = (".yaml", ".yml")
MOST_BYTES = 1_000_000  # far above any plan; keeps a data file given by mistake out of the parser
_KEYS = ("adjacency", "unit", "max_per_user", "n", "phases", "public")
_PHASE = ("name", "mechanism", "sampling", "steps", "epochs", "adjacency", "unit")
_SAMPLING = ("kind", "sample_rate", "batch_size", *(name.replace("-", "_") for name in OPTIONS))
_BEGINS = re.compile(rf"^(?:\{{|(?:{'|'.join(_KEYS)})\s*:)", re.MULTILINE)
_EXAMPLE = "Write - {name: count, mechanism: {kind: laplace, epsilon: 0.2}, steps: 20}."


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a file says. names: of the plan's phases, one each. public: what is released and costs nothing."""

    plan: Plan
    names: tuple[str, ...]
    public: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """The problems so far, each with its line."""

    file: Path
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.problems.append((line, sentence))

    @property
    def told(self) -> list[str]:
        return [f"{self.file}:{line}: {sentence}" for line, sentence in sorted(self.problems)]


def is_plan(file: Path) -> bool:
    """Whether this file has a key of a plan at the margin, which no list of phases and no recipe has."""
    if file.suffix.lower() not in ENDINGS:
        return False
    try:
        with file.open(encoding="utf-8-sig") as stream:
            return _BEGINS.search(stream.read(MOST_BYTES)) is not None
    except (OSError, ValueError):
        return False  # whoever reads it says why it cannot be read


def read(file: Path) -> PlanFile:
    """The plan of a file. Raises PlanError with every problem of it, NotApplicable for what no theorem is known for."""
    found = _Found(file)
    root = _compose(file)
    given = {key: (line, node) for key, line, node in _mapping(root, "", _KEYS, found)}
    shared = _shared(given, found)
    phases = list(_phases(given, root.start_mark.line + 1, shared, found))
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
        )
    except UsageError as error:
        raise PlanError([f"{file}: {problem}" for problem in error.problems]) from None
    return PlanFile(plan, tuple(name for name, _ in phases), public)


def _shared(given: Mapping[str, tuple[int, Any]], found: _Found) -> Settings:
    """What stands once for the whole plan."""
    values: dict[str, Any] = {}
    for key, (line, node) in given.items():
        if key == "adjacency":
            values["adjacency"] = _adjacency(node, line, key, found) or ADD_REMOVE
        elif key == "unit":
            values["unit"] = _word(node, line, key, UNITS, found) or "example"
        elif key in ("n", "max_per_user"):
            values["examples" if key == "n" else key] = _number(node, line, key, int, found)
    if found.problems:
        return Settings(**values)
    if values.get("examples", 1) < 1:
        found.add(given["n"][0], f"n={values.pop('examples')} is not a whole number of at least 1.")
    for problem in unit_problems(values.get("unit", "example"), values.get("max_per_user")):
        found.add(given["max_per_user"][0], problem)
    return Settings(**values)


def _phases(
    given: Mapping[str, tuple[int, Any]], root: int, shared: Settings, found: _Found
) -> Iterator[tuple[str, Phase]]:
    if "phases" not in given:
        found.add(root, f"phases is missing: a plan is a list of phases. {_EXAMPLE}")
        return
    line, listed = given["phases"]
    if listed.id != "sequence" or not listed.value:
        found.add(line, f"phases is not a list of phases. {_EXAMPLE}")
        return
    first: dict[str, int] = {}
    for number, node in enumerate(listed.value):
        name, phase = _phase(node, f"phases[{number}]", shared, found)
        if name and name in first:
            found.add(node.start_mark.line + 1, f"phases[{number}].name={name} is that of line {first[name]} too.")
        first.setdefault(name, node.start_mark.line + 1)
        if phase is not None:
            yield name or f"phase {number + 1}", phase


def _phase(node: Any, path: str, shared: Settings, found: _Found) -> tuple[str, Phase | None]:
    line, before = node.start_mark.line + 1, len(found.problems)
    parts = {key: (at, each) for key, at, each in _mapping(node, f"{path}.", _PHASE, found)}
    name = _text(*parts["name"][::-1], f"{path}.name", found) if "name" in parts else ""
    own: dict[str, Any] = {}
    if "adjacency" in parts:
        at, each = parts["adjacency"]
        own["adjacency"] = _adjacency(each, at, f"{path}.adjacency", found)
    if "unit" in parts:
        at, each = parts["unit"]
        own["privacy_unit"] = _word(each, at, f"{path}.unit", UNITS, found)
    if "mechanism" not in parts:
        if node.id == "mapping":
            found.add(line, f"{path}.mechanism is missing: say what is released. {_EXAMPLE}")
        mechanism = None
    else:
        mechanism = _mechanism(*parts["mechanism"], f"{path}.mechanism", found)
    drawn = _drawn(parts, path, line, shared, found)
    for key, whole in (("adjacency", shared.adjacency), ("privacy_unit", shared.unit)):
        if own.get(key) not in (None, whole):
            word = key.removeprefix("privacy_")
            found.add(
                parts[word][0],
                f"{path}.{word}={own[key]} is not the plan's, {whole}: guarantees for different neighbours do not add "
                f"up. Declare {word} once for the plan, with mechanisms that are private under it.",
            )
    if len(found.problems) > before or mechanism is None or drawn is None:
        return name, None
    return name, Phase(mechanism, drawn.sampling, drawn.steps, **own)


def _mechanism(line: int, node: Any, path: str, found: _Found) -> Mechanism | None:
    kind = _kind(line, node, path, MECHANISMS, Gaussian.kind, found)
    if kind is None:
        return None
    made = MECHANISMS[kind]
    entries = {each.name: each for each in dataclasses.fields(made)}  # type: ignore[arg-type]
    types, values, before = typing.get_type_hints(made), dict[str, Any](), len(found.problems)
    for key, at, child in _mapping(node, f"{path}.", ("kind", *entries), found):
        if key != "kind":
            values[key] = _setting(child, at, f"{path}.{key}", types[key], found)
    for key, entry in entries.items():
        if entry.default is MISSING and not any(_spelled(each) == key for each, _ in node.value):
            found.add(line, f"{path}.{key} is missing: {kind} needs it.")
    if len(found.problems) > before:
        return None
    try:
        return made(**values)
    except UsageError as error:
        for problem in error.problems:
            found.add(line, f"{path}.{re.sub('^sigma=', 'noise_multiplier=', problem)}")
        return None


def _drawn(parts: Mapping[str, tuple[int, Any]], path: str, line: int, shared: Settings, found: _Found) -> Phase | None:
    """A phase of this sampling and length, whatever its mechanism. Without sampling every record is in every step, and
    without a length there is one."""
    before, values, options = len(found.problems), dict[str, Any](), dict[str, Any]()
    kind: str | None = "full-batch"
    if "sampling" in parts:
        line, node = parts["sampling"]
        kind = _kind(line, node, f"{path}.sampling", CHOICES, "poisson", found)
        for key, at, child in _mapping(node, f"{path}.sampling.", _SAMPLING, found) if node.id == "mapping" else ():
            option = OPTIONS.get(key.replace("_", "-"), OPTIONS.get(key))
            if option is not None and option.choices:
                options[option.name] = _word(child, at, f"{path}.sampling.{key}", option.choices, found)
            elif option is not None:
                options[option.name] = _number(child, at, f"{path}.sampling.{key}", int, found)
            elif key != "kind":
                values[key] = _number(child, at, f"{path}.sampling.{key}", Fraction, found)
    for key in ("steps", "epochs"):
        if key in parts:
            at, child = parts[key]
            values[key] = _number(child, at, f"{path}.{key}", int if key == "steps" else float, found)
    if len(found.problems) > before or kind is None:
        return None
    if "sampling" not in parts and "epochs" not in values:
        values.setdefault("steps", 1)
    if "batch_size" in values:
        values["batch_size"] = float(values["batch_size"])
    said = shared.with_(noise_multiplier=1.0, sampling=kind, scheme_options=tuple(options.items()), **values)
    try:
        return said.plan().only_phase
    except NotApplicable as refusal:
        found.add(line, f"{path}.sampling: {refusal}")
    except UsageError as error:
        for problem in error.problems:
            found.add(line, f"{path}: {_in_keys(problem)}")
    return None


def _in_keys(problem: str) -> str:
    """What a problem says about options, said about the keys of a file."""
    keys = {"--q": "sample_rate", "--batch": "batch_size"}
    problem = re.sub(r"\b(q|batch)(?==)", lambda found: keys[f"--{found[0]}"], problem)
    return re.sub(r"--[a-z-]+", lambda found: keys.get(found[0], found[0][2:].replace("-", "_")), problem)


def _kind(line: int, node: Any, path: str, known: Mapping[str, Any], example: str, found: _Found) -> str | None:
    """The kind that a mechanism or a sampling names."""
    if node.id != "mapping":
        found.add(
            line, f"{path} is not a block of keys and values. Write {path.rpartition('.')[2]}: {{kind: {example}}}."
        )
        return None
    for key, child in node.value:
        if _spelled(key) == "kind":
            at, kind = key.start_mark.line + 1, _spelled(child)
            if kind in known:
                return kind
            if known is MECHANISMS and kind in REFUSED:
                found.add(at, f"{path}.kind={kind}: {REFUSED[kind]}")
            else:
                why = f"is not one of: {', '.join(known)}.{did_you_mean(kind, known)}"
                found.add(at, f"{path}.kind={kind} {why}")
            return None
    found.add(line, f"{path}.kind is missing. Known: {', '.join(known)}.")
    return None


def _public(given: Mapping[str, tuple[int, Any]], found: _Found) -> Iterator[str]:
    if "public" not in given:
        return
    line, node = given["public"]
    if node.id != "sequence":
        found.add(line, "public is not a list: name what is released and costs nothing, one line each.")
        return
    for number, each in enumerate(node.value):
        yield _text(each, each.start_mark.line + 1, f"public[{number}]", found)


def _mapping(node: Any, prefix: str, known: tuple[str, ...], found: _Found) -> Iterator[tuple[str, int, Any]]:
    """The known keys of a block, their lines and values; what is unknown or given twice is a problem."""
    if node.id != "mapping":
        what = prefix.removesuffix(".") or "the file"
        found.add(node.start_mark.line + 1, f"{what} is not a block of keys and values. {_EXAMPLE}")
        return
    first: dict[str, int] = {}
    for key_node, child in node.value:
        line, key = key_node.start_mark.line + 1, _spelled(key_node)
        if key in first:
            found.add(line, f"{prefix}{key} is given twice; first on line {first[key]}.")
        elif key not in known:
            found.add(line, f"{prefix}{key} is not one of: {', '.join(known)}.{_meant(key, known)}")
        else:
            yield key, line, child
        first.setdefault(key, line)


def _meant(key: str, known: tuple[str, ...]) -> str:
    """The likeliest remedy for an unknown key: how a plan calls it, where it belongs, or the spelling."""
    called = {"sigma": "noise_multiplier", "eps": "epsilon", "q": "sample_rate", "batch": "batch_size", "examples": "n",
              "privacy_unit": "unit", "neighbours": "adjacency", "rate": "sample_rate"}  # fmt: skip
    if called.get(key) in known:
        return f" Did you mean '{called[key]}'?"
    for part, keys in (("the phase", _PHASE), ("sampling", _SAMPLING), ("the whole plan", _KEYS)):
        if key in keys and keys != known:
            return f" It belongs to {part}."
    return did_you_mean(key, known)


def _adjacency(node: Any, line: int, path: str, found: _Found) -> Adjacency | None:
    word = _word(node, line, path, [name.replace("_", "-") for name in ADJACENCIES], found)
    return named(word) if word else None


def _word(node: Any, line: int, path: str, known: typing.Iterable[str], found: _Found) -> str | None:
    said, known = _spelled(node).replace("_", "-"), list(known)
    if said in known:
        return said
    found.add(line, f"{path}={_spelled(node)} is not one of: {', '.join(known)}.{did_you_mean(said, known)}")
    return None


def _text(node: Any, line: int, path: str, found: _Found) -> str:
    said = _spelled(node).strip()
    if node.id != "scalar" or not said or len(said) > 200 or not said.isprintable():
        found.add(line, f"{path} is not a line of text.")
    return said


def _number(node: Any, line: int, path: str, kind: Callable[..., Any], found: _Found) -> Any:
    """The number, read from how it was written: 1e-5, 60_000 and the fraction 1/79 are numbers here, "yes" is not."""
    said = _spelled(node)
    plain = node.id == "scalar" and getattr(node, "style", None) is None
    try:
        value = Fraction(said.replace("_", "")) if plain and re.fullmatch(r"[-+0-9._eE/]{1,60}", said) else None
        if value is not None and (kind is not int or value.denominator == 1) and ("/" not in said or kind is Fraction):
            # A fraction stays one; a decimal is the float that is nearest, as everywhere.
            return int(value) if kind is int else value if "/" in said else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    what = "a whole number" if kind is int else "a number or a fraction" if kind is Fraction else "a number"
    found.add(line, f"{path}={said} is not {what}.")
    return None


def _setting(node: Any, line: int, path: str, kind: Any, found: _Found) -> Any:
    """What a mechanism was given: a number, a word, or a list of numbers."""
    if kind is str:
        return _text(node, line, path, found)
    if typing.get_origin(kind) is not tuple:
        return _number(node, line, path, kind, found)
    if node.id != "sequence":
        return found.add(line, f"{path}={_spelled(node)} is not a list. Write {path.rpartition('.')[2]}: [1, 2].")
    each = typing.get_args(kind)[0]
    return tuple(
        _number(child, child.start_mark.line + 1, f"{path}[{place}]", each, found)
        for place, child in enumerate(node.value)
    )


def _spelled(node: Any) -> str:
    return str(node.value) if node.id == "scalar" else "a list" if node.id == "sequence" else "a block"


def _compose(file: Path) -> Any:
    import yaml

    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise PlanError(f"{file}: no such file. `dpplan help plans` shows what a plan looks like.") from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    if len(raw) > MOST_BYTES:
        raise PlanError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no plan.")
    try:
        root: Any = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise PlanError(f"{file}: is not text (UTF-8); a plan is a YAML file.") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise PlanError(f"{file}{line}: is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError):
        raise PlanError(f"{file}: is not YAML.") from None
    if root is None or root.id != "mapping":
        raise PlanError(f"{file}: is not a plan: it has no blocks {', '.join(_KEYS)}. See `dpplan help plans`.")
    return root
