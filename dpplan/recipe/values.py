"""From what stands in a recipe file to a typed value, or a sentence saying why not.

A reader takes a `Given` and returns the value; it raises ValueError with the end of a sentence that begins
with the key and what was written ("is not a number.").
"""

import contextlib
import copy
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from dpplan.checks import Problems, did_you_mean
from dpplan.number_spelling import doubtful_batch, doubtful_count, how_to_write
from dpplan.quick_dataclass import dataclass

Kind = Literal["text", "number", "switch", "empty", "list", "block", "other"]
KIND_WORDS: dict[str, str] = {
    "switch": "is true or false to YAML",
    "empty": "has no value",
    "list": "is a list",
    "block": "is a block",
    "other": "has a tag or type that recipes do not use",
}
_READ = (".yaml", ".yml", ".json", ".csv")
_CLOSE = 0.82  # of letters in common: digit and digits, not plan-1 and plans
MOST_BESIDE = 1000  # files that are looked at
_CUT = r"[-+]?\d+(?:,\d+)+(?:[eE][-+]?\d+)?"  # a number with a decimal comma, or with commas between thousands
# Names of other libraries, and what is near in meaning but not in letters -> the key or the word that is meant.
MEANT: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("epsilon", "eps", "target_eps", "budget"), "target_epsilon"),
        **dict.fromkeys(("max_eps", "epsilon_max"), "max_epsilon"),
        **dict.fromkeys(("sigma", "noise_scale", "noise_level", "z"), "noise_multiplier"),
        **dict.fromkeys(("max_grad_norm", "l2_norm_clip", "c", "clip", "max_norm", "clipping_norm"), "clip_norm"),
        **dict.fromkeys(("lr", "eta", "step_size"), "learning_rate"),
        **dict.fromkeys(("batch", "lot_size", "bs", "expected_batch_size"), "batch_size"),
        **dict.fromkeys(("iterations", "max_steps", "num_steps"), "steps"),
        **dict.fromkeys(("num_epochs", "num_train_epochs", "passes"), "epochs"),
        **dict.fromkeys(("file", "folder", "filename", "root", "dir"), "path"),
        **dict.fromkeys(("label", "labels", "y", "class", "label_column"), "target"),
        **dict.fromkeys(("dataset", "name", "kind"), "source"),
        **dict.fromkeys(("test_size", "test_share", "validation", "holdout"), "held_out"),
        **dict.fromkeys(("layers", "widths", "hidden_sizes", "channels"), "hidden"),
        **dict.fromkeys(("n", "num_examples"), "examples"),
        **dict.fromkeys(("canaries", "dirac_canaries"), "gradient_canaries"),
        **dict.fromkeys(("csv", "parquet", "npz", "numpy", "table", "tabular"), "file"),
        **dict.fromkeys(("imagefolder", "image_folder", "png", "jpeg"), "images"),
        **dict.fromkeys(("linear", "softmax", "logreg", "logistic_regression"), "logistic"),
        **dict.fromkeys(("nn", "dense", "feedforward", "fully_connected"), "mlp"),
        **dict.fromkeys(("conv", "convnet"), "cnn"),
    }
)


def meant(wrong: str, known: Collection[str]) -> str:
    """A remedy sentence where one of these is meant, or is close in letters; else nothing."""
    other = MEANT.get(wrong.lower().replace("-", "_"))
    return f" Did you mean '{other}'?" if other in known else did_you_mean(wrong, known)


def pairs(node: Any) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a mapping, as nodes. Between braces a comma ends a value: a number that was written with
    one, {epsilon: 0,2}, is put together again, and whoever reads it says how to write it."""
    found: list[tuple[Any, Any]] = []
    for key, value in node.value:
        if found and node.flow_style and (whole := _put_together(found[-1][1], key, value)):
            found[-1] = found[-1][0], whole
        else:
            found.append((key, value))
    return iter(found)


def _put_together(before: Any, rest: Any, value: Any) -> Any:
    """The number that a comma right behind the value `before` cut in two, as text; None where there is none."""
    if not before.id == rest.id == value.id == "scalar" or value.value:
        return None
    text = f"{before.value},{rest.value}"
    if rest.start_mark.index != before.end_mark.index + 1 or not re.fullmatch(_CUT, text):
        return None
    whole = copy.copy(before)
    whole.tag, whole.value, whole.end_mark = "tag:yaml.org,2002:str", text, rest.end_mark
    return whole


# What PyYAML finds, in its words or in those of libyaml -> what to look for; and whether the line is where the block or
# the quote begins that it was reading, and not where it gave up.
_YAML: tuple[tuple[str, str, bool], ...] = (
    ("could not find expected ':'", "a key has no colon with a space after it. Write key: value", True),
    (r"'\\t' that cannot start", "a tab indents it. Use spaces", False),
    (
        "expected <block end>|expected key|expected '-'",
        "this line fits none above it. Look at how far it is indented (the keys of a block begin in one column), and "
        "for text behind a closing quote",
        False,
    ),
    (
        "mapping values are not allowed",
        "a colon stands where no key can begin. Look for a second colon in the line (quote a text that holds one), a "
        "line indented further than the key above it, or a quote above that is not closed",
        False,
    ),
    ("expected ',' or", "the bracket or brace that begins here is not closed, or a comma is missing in it", True),
    ("unexpected end of stream", "the quote that begins here is not closed", True),
    ("that cannot start", "a value begins with a character that YAML uses itself. Put the value in quotes", False),
    ("sequence entries are not allowed", "a list begins on a line of its own: put the - below its key", False),
    ("node content", "a value is missing, or a bracket is not closed", False),
    (
        "document start",
        "this line fits nothing above it. Look for a bracket too many, and how far lines are indented",
        False,
    ),
    ("another document", "a second document begins with ---. A file holds one", False),
)


def yaml_problem(error: Any) -> tuple[int, str]:
    """Of what PyYAML raises with a mark: the line, 0 where it knows none, and what is wrong there."""
    mark, problem = error.problem_mark, str(error.problem)
    for found, said, at_beginning in _YAML:
        if re.search(found, problem):
            # PyYAML notices later: when the next line begins, or the file ends.
            mark, problem = (at_beginning and error.context_mark) or mark, said
            break
    return (mark.line + 1 if mark else 0), f"is not YAML: {problem}."


def _numbers_alike(stem: str, other: str) -> bool:
    numbers = [re.findall(r"\d+", each) for each in (stem, other)]
    return numbers[0] == numbers[1] or not all(numbers)


def near_file(file: Path) -> str:
    """A remedy sentence where a file of nearly that name, of which a recipe or a plan could be read, lies beside."""
    import difflib  # only a mistake needs it

    try:
        beside = itertools.islice((each for each in file.parent.iterdir() if each.suffix in _READ), MOST_BESIDE)
        # plan-1 is not meant for plan-2, which is as like it as a slip would be.
        stems = {each.stem: each for each in sorted(beside) if _numbers_alike(file.stem, each.stem)}
    except OSError:
        return ""
    close = difflib.get_close_matches(file.stem, stems, n=1, cutoff=_CLOSE)
    return f" Did you mean '{stems[close[0]]}'?" if close else ""


AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Given:
    """One value as written: its text, its line in the file, and what YAML takes it for.

    items: of a list, or of a block, where `keys` are their names. key: what it is the value of.
    """

    kind: Kind
    text: str
    line: int
    items: tuple["Given", ...] = ()
    keys: tuple[str, ...] = ()
    key: str = ""

    def __str__(self) -> str:
        """=text for what fits in a sentence, nothing for what does not."""
        fits = self.kind in {"text", "number", "switch"} and 0 < len(self.text) <= 40
        return f"={self.text}" if fits else ""


Reader = Callable[[Given], Any]


def number(given: Given, counts: bool = False) -> float:
    """A real number. Read from its text, because PyYAML takes 1e-5 for a word (it wants 1.0e-5). counts: a whole one
    belongs here, so that 60.000 may be sixty or sixty thousand and is refused."""
    if given.kind not in {"text", "number"}:
        raise ValueError(f"{KIND_WORDS[given.kind]}; a number belongs here.")
    doubtful = counts and doubtful_count(given.text)
    with contextlib.suppress(ValueError):
        value = float(given.text)
        if not doubtful:
            return value
    what = "a whole number" if doubtful else "a number"
    raise ValueError(f"is not {what}. {how_to_write(given.text, counts, given.key)}".rstrip())


def whole(given: Given) -> int | float:
    """A number that is kept exactly when it is whole; what is not whole is left for the rule to refuse."""
    value = number(given, counts=True)
    return int(value) if value.is_integer() else value


def batch(given: Given) -> float:
    """An expected number of examples, whole or not: 1.024 may be a thousand and is refused, 1.0240 is not."""
    value = number(given)
    if doubt := doubtful_batch(given.text):
        raise ValueError(f"is in doubt. {doubt}")
    return value


def word(given: Given) -> str:
    """A word that YAML also takes for one: on, yes, null and 12 are something else unless quoted."""
    if given.kind == "text":
        return given.text
    said = "is a number to YAML" if given.kind == "number" else KIND_WORDS[given.kind]
    raise ValueError(f"{said}; a word belongs here.")


def underscored(given: Given) -> str:
    """A word in which hyphens count as underscores."""
    return word(given).replace("-", "_")


def word_or_switch(given: Given) -> str:
    """A word, or what YAML takes for a switch, as it was written: for keys where a rule says why not true."""
    return given.text if given.kind == "switch" else word(given)


def words(given: Given) -> str:
    """Free text of any length, also what YAML takes for a number or a date."""
    if given.kind not in {"text", "number", "other"} or not given.text.strip():
        raise ValueError("is not text.")
    return given.text.strip()


def path(given: Given) -> str:
    if given.kind not in {"text", "number"} or not given.text.strip():
        raise ValueError("is not the name of a folder.")
    return given.text


def whole_auto_or_off(given: Given) -> int | float | str | None:
    """A number as `whole` reads it, the word auto, or None for off, which is false to YAML."""
    if given.kind == "switch" and given.text.lower() in {"off", "false", "no"}:
        return None
    return AUTO if given.kind == "text" and given.text == AUTO else whole(given)


def switch(given: Given) -> bool:
    if given.kind == "switch":
        return given.text.lower() in {"true", "yes", "on"}
    raise ValueError("is neither true nor false.")


def whole_numbers(given: Given) -> tuple[int | float, ...]:
    if given.kind != "list":
        raise ValueError("is not a list of whole numbers, as in [64, 32].")
    try:
        return tuple(whole(item) for item in given.items)
    except ValueError as error:
        raise ValueError(f"holds something that {error}") from None


def reasons(given: Given) -> dict[str, str]:
    if given.kind != "block":
        raise ValueError('is not a block of codes and reasons, as in {DP004: "n is published"}.')
    for code, item in zip(given.keys, given.items, strict=True):
        if given.keys.count(code) > 1:
            raise ValueError(f"names {code} twice.")
        if item.kind != "text":
            raise ValueError(f"gives {code} no reason in words.")
    return dict(zip(given.keys, (item.text for item in given.items), strict=True))


def one_of(*choices: str) -> Callable[[Problems, str, str], None]:
    """A rule: the value is one of these words."""

    def rule(problems: Problems, name: str, value: str) -> None:
        if value not in choices:
            problems.add(f"{name}={value} is not one of: {', '.join(choices)}.{meant(value, choices)}")

    return rule


def whole_or_auto(problems: Problems, name: str, value: int | str) -> None:
    """A rule: the value is a whole number, or the word auto."""
    if value != AUTO:
        problems.whole(name, value, try_=f"Or leave it {AUTO}.")  # type: ignore[arg-type]  # told of, whatever it is


def word_or_function(*choices: str) -> Callable[[Problems, str, str], None]:
    """A rule: the value is one of these words, or names a Python function as module:function."""

    def rule(problems: Problems, name: str, value: str) -> None:
        module, colon, function = value.partition(":")
        if not colon and value not in choices:
            own = meant(value, choices) or " Or a Python function of yours, as module:function."
            problems.add(f"{name}={value} is not one of: {', '.join(choices)}.{own}")
        elif colon and not all(part.isidentifier() for part in (*module.split("."), function)):
            problems.add(f"{name}={value} is not a Python function named as module:function.")

    return rule
