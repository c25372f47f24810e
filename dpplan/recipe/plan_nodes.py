"""What a plan file says, node by node of its YAML: words, numbers and blocks, every problem with its line."""

import contextlib
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import field
from fractions import Fraction
from pathlib import Path
from typing import Any

from dpplan.checks import did_you_mean
from dpplan.errors import FurtherProblems, PlanError, file_error
from dpplan.number_spelling import doubtful_batch, doubtful_count, how_to_write, shortened
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import bundled
from dpplan.recipe.values import pairs, yaml_problem
from dpplan.sampling import OPTIONS

MOST_BYTES = 1_000_000  # far above any plan; keeps a data file given by mistake out of the parser
KEYS = ("adjacency", "unit", "max_per_user", "n", "phases", "public")
PHASE_KEYS = ("name", "mechanism", "query", "sampling", "steps", "epochs", "open", "weight", "adjacency", "unit")
SAMPLING_KEYS = ("kind", "sample_rate", "batch_size", *(name.replace("-", "_") for name in OPTIONS))
GROUP_KEYS = ("name", "n", "phases")
GROUPS = "parallel"
REPEAT = "repeat"
REPEAT_KEYS = ("law", "mean", "score", "eta", "chance")
SEARCH_KEYS = ("name", REPEAT, "phases", "adjacency", "unit")
EXAMPLE = "Write - {name: count, mechanism: {kind: laplace, epsilon: 0.2}, steps: 20}."
MOST_TOLD = 40  # problems of one file
MOST_PHASES = 10_000  # steps say what is repeated; keeps what refers to itself over and over out of memory
# Three digits of an exponent are enough for floats, and a whole number of a billion digits is never made.
_NUMBER = re.compile(r"(?=.{1,60}$)[-+0-9._/]+([eE][-+]?[0-9]{1,3})?")
# How a plan calls what others call so.
_NOISE = ("noise_multiplier", "noise_scale")
_CALLED = {"sigma": _NOISE, "std": _NOISE, "stddev": _NOISE, "scale": _NOISE[1:], "noise_scale": _NOISE[:1],
           "noise_multiplier": _NOISE[1:], "eps": ("epsilon",), "q": ("sample_rate",), "batch": ("batch_size",),
           "examples": ("n",), "privacy_unit": ("unit",), "neighbours": ("adjacency",), "rate": ("sample_rate",),
           "l2": ("l2_sensitivity",), "min_sep": ("separation",), "trials": ("law",), "kind": ("law",),
           "distribution": ("law",), "expected": ("mean",)}  # fmt: skip
# What is said of a plan where it is asked about, and not in its file.
_DELTA = " δ is said where the whole plan is asked about: --delta 1e-5."
_ASKED = {
    **dict.fromkeys(
        ("epsilon", "eps", "target_epsilon", "target_eps"), " A target is for dpplan solve: --target-eps 3."
    ),
    **dict.fromkeys(("max_epsilon", "max_eps"), " A limit is said where the whole plan is asked about: --max-eps 3."),
}
_NOISES = {
    **dict.fromkeys(("epsilon", "eps"), "laplace, epsilon: 0.2"),
    **dict.fromkeys(("sigma", "noise_multiplier"), "gaussian, noise_multiplier: 3"),
    "mu": "gdp, mu: 0.3",
    "rho": "zcdp, rho: 0.1",
}
_EXAMPLES = {"query": "Write query: {kind: count}.", "sampling": "Write sampling: {kind: poisson, sample_rate: 0.01}."}


@dataclass(slots=True)
class PlanProblems:
    """The problems so far, each with its line."""

    file: Path
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, sentence: str) -> None:
        self.problems.append((line, sentence))

    def meant(self, key: str, since: int) -> bool:
        """Whether this key was told as what is meant, by one of the problems from this place on."""
        return any(sentence.endswith(f" Did you mean '{key}'?") for _, sentence in self.problems[since:])

    @property
    def told(self) -> list[str]:
        all_of_them = [f"{self.file}:{line}: {sentence}" for line, sentence in sorted(self.problems)]
        left = len(all_of_them) - MOST_TOLD
        more = [FurtherProblems(f"{self.file}: {left} more like these.", left)] if left > 0 else []
        return [*all_of_them[:MOST_TOLD], *more]


def counted(phases: int, line: int, found: PlanProblems) -> int:
    """So many phases and groups. Raises PlanError where they are more than a plan has."""
    if phases > MOST_PHASES:
        found.add(
            line, f"phases and their groups are more than {MOST_PHASES}. What is repeated alike is steps: of a phase."
        )
        raise PlanError(found.told)
    return phases


def mapping(node: Any, prefix: str, known: tuple[str, ...], found: PlanProblems) -> Iterator[tuple[str, int, Any]]:
    """The known keys of a block, their lines and values; what is unknown or given twice is a problem."""
    if node.id != "mapping":
        what = prefix.removesuffix(".") or "the file"
        example = _EXAMPLES.get(what.rpartition(".")[2], EXAMPLE)
        found.add(node.start_mark.line + 1, f"{what} is not a block of keys and values. {example}")
        return
    first: dict[str, int] = {}
    for key_node, child in pairs(node):
        line, key = key_node.start_mark.line + 1, spelled(key_node)
        if key in first:
            found.add(line, f"{prefix}{key} is given twice; first on line {first[key]}.")
        elif key not in known:
            found.add(line, f"{prefix}{shortened(key)} is not one of: {', '.join(known)}.{_meant(key, known)}")
        else:
            yield key, line, child
        first.setdefault(key, line)


def _meant(key: str, known: tuple[str, ...]) -> str:
    """The likeliest remedy for an unknown key: how a plan calls it, where it belongs, or the spelling."""
    called = next((name for name in _CALLED.get(key, ()) if name in known), None)
    if called is not None:
        return f" Did you mean '{called}'?"
    if key == "delta" and known in (KEYS, PHASE_KEYS, GROUP_KEYS, SEARCH_KEYS):
        return f"{_DELTA} That of a stated guarantee belongs to mechanism." if known == PHASE_KEYS else _DELTA
    if known == KEYS and key in _ASKED:
        return _ASKED[key]
    if known == PHASE_KEYS and key in _NOISES:
        return f" It belongs to mechanism: mechanism: {{kind: {_NOISES[key]}}}."
    if key in ("scale", "b") and "epsilon" in known:
        return " Say epsilon: how far one record moves the answer, divided by that scale."
    if known == KEYS and key in (GROUPS, REPEAT, "mechanism"):
        return f" It belongs into the list under phases: - {key}: ..."
    if known == SEARCH_KEYS and key in PHASE_KEYS:
        return f" A trial lists its phases: phases: [{{{key}: ...}}]."
    if known == PHASE_KEYS and key == "n":
        return " It belongs to the whole plan, or to a group with phases of its own: {name: A, n: 100, phases: [...]}."
    if known == (GROUPS,):
        return " Each group says it of itself: - {name: A, n: 100, phases: [...]}."
    for part, keys in (("the phase", PHASE_KEYS), ("sampling", SAMPLING_KEYS), (REPEAT, REPEAT_KEYS),
                       ("the whole plan", KEYS)):  # fmt: skip
        if key in keys and keys != known:
            return f" It belongs to {part}."
    return did_you_mean(key, (*known, GROUPS, REPEAT) if known == PHASE_KEYS else known)


def word(node: Any, line: int, path: str, known: typing.Iterable[str], found: PlanProblems) -> str | None:
    """One of the words that are known, written with hyphens or underscores."""
    said, known = spelled(node).replace("_", "-"), list(known)
    if said in known:
        return said
    told = f"{path}={shortened(spelled(node))} is not one of: {', '.join(known)}."
    found.add(line, f"{told}{did_you_mean(said, known)}")
    return None


def text(node: Any, line: int, path: str, found: PlanProblems) -> str:
    """A line of text."""
    said = spelled(node).strip()
    if node.id != "scalar" or not said or len(said) > 200 or not said.isprintable():
        found.add(line, f"{path} is not a line of text.")
    return said


def number(node: Any, line: int, path: str, kind: Callable[..., Any], found: PlanProblems) -> Any:
    """The number, read from how it was written: 1e-5, 60_000 and the fraction 1/79 are numbers here, "yes" is not."""
    said = spelled(node)
    quoted = bool(getattr(node, "style", None))
    doubt = doubtful_count(said) if kind is int else doubtful_batch(said) if path.endswith(".batch_size") else ""
    plain = node.id == "scalar" and not quoted and not doubt
    try:
        value = Fraction(said.replace("_", "")) if plain and _NUMBER.fullmatch(said) else None
        if value is not None and (kind is not int or value.denominator == 1) and ("/" not in said or kind is Fraction):
            # A fraction stays one; a decimal is the float that is nearest, as everywhere.
            return int(value) if kind is int else value if "/" in said else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        pass
    what = "a whole number" if kind is int else "a number or a fraction" if kind is Fraction else "a number"
    remedy = (doubt or how_to_write(said, kind is int, path)) if node.id == "scalar" else ""
    if quoted and not remedy and _NUMBER.fullmatch(said):
        remedy = f"Write {said} without quotes."
    rule = "in doubt" if doubt and kind is not int else f"not {what}"
    found.add(line, f"{path}={shortened(said)} is {rule}. {remedy}".rstrip())
    return None


def setting(node: Any, line: int, path: str, kind: Any, found: PlanProblems) -> Any:
    """What a mechanism was given: a number, a word, or a list of numbers."""
    if kind is str:
        return text(node, line, path, found)
    if typing.get_origin(kind) is not tuple:
        return number(node, line, path, kind, found)
    if node.id != "sequence":
        return found.add(line, f"{path}={spelled(node)} is not a list. Write {path.rpartition('.')[2]}: [2, 4].")
    each = typing.get_args(kind)[0]
    return tuple(
        number(child, child.start_mark.line + 1, f"{path}[{place}]", each, found)
        for place, child in enumerate(node.value)
    )


def little_noise(mechanism: Any, other: float) -> float:
    """The noise_multiplier that a mechanism's block says, where it is so little that a rate may have been meant, and
    `other` elsewhere. It is read again, and told what is wrong with it, where the block is."""
    for key, child in mechanism.value if mechanism is not None and mechanism.id == "mapping" else ():
        if spelled(key) == "noise_multiplier" and child.id == "scalar":
            with contextlib.suppress(ValueError):
                return float(child.value) if 0.0 < float(child.value) <= 1.0 else other
    return other


def in_keys(problem: str) -> str:
    """What a problem says about options, said about the keys of a file."""
    keys = {"--q": "sample_rate", "--batch": "batch_size", "--sigma": "noise_multiplier"}
    problem = problem.replace("--sampling ", "kind: ")
    problem = re.sub(r"\b(q|batch)(?==)", lambda found: keys[f"--{found[0]}"], problem)
    return re.sub(r"--[a-z-]+", lambda found: keys.get(found[0], found[0][2:].replace("-", "_")), problem)


def spelled(node: Any) -> str:
    """What stands there, for messages."""
    return str(node.value) if node.id == "scalar" else "a list" if node.id == "sequence" else "a block"


def sequence_of(node: Any) -> Any:
    """The list of this node alone."""
    import yaml

    return yaml.SequenceNode("tag:yaml.org,2002:seq", [node], node.start_mark, node.end_mark)


def compose(file: Path) -> Any:
    """The node of the whole file. Raises PlanError where it cannot be read or is no block."""
    import yaml

    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        shown = " `dpplan help plans` shows what a plan looks like."
        raise PlanError(f"{file}: no such file.{bundled.instead_of(file) or shown}") from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, PlanError) from None
    if len(raw) > MOST_BYTES:
        raise PlanError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no plan.")
    try:
        root: Any = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise PlanError(f"{file}: is not text (UTF-8); a plan is a YAML file.") from None
    except yaml.MarkedYAMLError as error:
        line, said = yaml_problem(error)
        raise PlanError(f"{file}:{line}: {said}" if line else f"{file}: {said}") from None
    except yaml.YAMLError:
        raise PlanError(f"{file}: is not YAML.") from None
    except RecursionError:
        raise PlanError(f"{file}: is nested too deeply to be read: blocks in blocks, more than a hundred.") from None
    if root is None or root.id != "mapping":
        raise PlanError(f"{file}: is not a plan: it has no blocks {', '.join(KEYS)}. See `dpplan help plans`.")
    return root
