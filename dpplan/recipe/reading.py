"""A recipe file to blocks: strict, and with every problem of the file in one error.

Works on YAML's node tree instead of on loaded values, because only the tree knows lines, sees a key that is
given twice, and keeps `1e-5` as it was written.
"""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpplan.checks import did_you_mean
from dpplan.errors import RecipeError, file_error
from dpplan.recipe import bundled
from dpplan.recipe.deployment_statement_block import StatementBlock
from dpplan.recipe.schema import Audit, Block, Check, Data, Model, Privacy, Runtime, Training, violations
from dpplan.recipe.values import Given, Kind, meant, pairs, yaml_problem

_ALL: tuple[type[Block], ...] = (Privacy, Data, Model, Training, Runtime, Check, Audit, StatementBlock)
_BESIDE = {Runtime.title, Check.title, Audit.title, StatementBlock.title}
BLOCKS: dict[str, type[Block]] = {block.title: block for block in _ALL}
FEW = 8  # keys of a block that are listed where none of them is like the one that is unknown
MOST_BYTES = 1_000_000  # far above any recipe; keeps a data file given by mistake out of the parser
_NONE = " Name one that is there; `dpplan recipes` lists those that can be copied."
Problem = tuple[int, str]  # line (0: the whole file) and sentence
_KINDS: dict[str, Kind] = {"str": "text", "int": "number", "float": "number", "bool": "switch", "null": "empty"}


def read_text(file: Path) -> str:
    """The text of a recipe file. Raises RecipeError when there is none."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{file}: no such file.{bundled.instead_of(file) or _NONE}") from None
    except IsADirectoryError:
        copy = file / "recipe.yaml"
        instead = (
            f"is a run's folder. Name the recipe in it: {copy}." if copy.is_file() else "is a folder, and no recipe."
        )
        raise RecipeError(f"{file}: {instead}") from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, RecipeError) from None
    if len(raw) > MOST_BYTES:
        raise RecipeError(f"{file}: is larger than {MOST_BYTES:,} bytes; this is no recipe.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(f"{file}: is not text (UTF-8); a recipe is a YAML file.") from None


def read_blocks(text: str, name: str) -> dict[str, Any]:
    """Block name -> block, from the text of the recipe called `name`.

    Raises RecipeError with file, line and key of every problem at once.
    """
    root = _compose(text, name)
    if schema := _schema(root):
        raise RecipeError(f"{name}: {_of_answer(name, schema)}")
    if _is_plan(root):
        raise RecipeError(
            f"{name}: is a plan file, and this takes recipes. What the plan spends: dpplan epsilon {name}."
        )
    found: list[Problem] = []
    blocks: dict[str, Any] = {}
    for title, line, node in _keys(root, "", BLOCKS, found):
        blocks[title] = _read_block(node, line, BLOCKS[title], found)
    for title in BLOCKS.keys() - blocks.keys() - _BESIDE:
        found.append((0, f"the block '{title}:' is missing."))
    if found:
        raise RecipeError([_located(name, line, sentence) for line, sentence in sorted(found)])
    return blocks


def _schema(root: Any) -> str:
    """What a report.json, or another document of dpplan, says that it is; "" of anything else."""
    said = (value.value for key, value in root.value if key.value == "schema" and value.id == "scalar")
    return next((each for each in said if each.startswith("dpplan.")), "")


def _of_answer(name: str, schema: str) -> str:
    """What a document of dpplan is, and which commands take it."""
    copy, typed = Path(name).with_name("recipe.yaml"), shlex.quote(name)
    if not schema.startswith("dpplan.train/") or Path(name).suffix != ".json":
        return f"is an answer of dpplan ({schema}), and this takes recipes."
    verified = f"`dpplan verify {typed}` holds it against its plan"
    beside = f" The recipe of the run is {copy}." if copy.is_file() else ""
    return (
        f"is the report of a run, and this takes recipes. {verified}, and `dpplan report {typed}` makes a page of "
        f"it.{beside}"
    )


def _is_plan(root: Any) -> bool:
    """Whether it has the phases of a plan file, and no block of a recipe."""
    keys = {key.value for key, _ in root.value if key.id == "scalar"}
    return "phases" in keys and keys.isdisjoint(BLOCKS)


def read_statement(file: Path) -> dict[str, str]:
    """What a file of its own states: the keys of a recipe's statement block, at the top. Errors as for a recipe."""
    found: list[Problem] = []
    block = _read_block(_compose(read_text(file), str(file)), 1, StatementBlock, found)
    if found or block is None:
        raise RecipeError([_located(str(file), line, sentence) for line, sentence in sorted(found)])
    return {key: text for key, text in dataclasses.asdict(block).items() if text}  # type: ignore[call-overload]


def _read_block(node: Any, line: int, block: type[Block], found: list[Problem]) -> Block | None:
    if node.id != "mapping":
        found.append((line, f"{block.title}: is not a block of keys and values."))
        return None
    entries = {entry.name: entry for entry in dataclasses.fields(block)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    before = len(found)
    for key, key_line, child in _keys(node, f"{block.title}.", entries, found):
        lines[key], given = key_line, _given(child, key=key)
        try:
            values[key] = entries[key].metadata["read"](given)
        except ValueError as error:
            found.append((key_line, f"{block.title}.{key}{given} {error}"))
    for key, entry in entries.items():
        if key not in lines and entry.default is dataclasses.MISSING:
            found.append((line, f"{block.title}.{key} is missing."))
    unreadable = lines.keys() - values.keys()
    for keys, sentence in violations(block, values):
        if not unreadable.intersection(keys):  # one sentence about a value is enough
            at = max((lines[key] for key in keys if key in lines), default=line)
            found.append((at, f"{block.title}.{sentence}"))
    return block(**values) if len(found) == before else None


def _keys(node: Any, prefix: str, known: Mapping[str, Any], found: list[Problem]) -> Iterator[tuple[str, int, Any]]:
    """The known keys of a mapping, their lines and nodes; what is unknown or given twice goes to `found`."""
    first_line: dict[str, int] = {}
    for key_node, child in pairs(node):
        line = key_node.start_mark.line + 1
        key = key_node.value if key_node.id == "scalar" else "?"
        if key in first_line:
            found.append((line, f"{prefix}{key} is given twice; first on line {first_line[key]}."))
        elif key not in known:
            found.append((line, f"{prefix}{key} is not a known key.{_elsewhere(key, known)}"))
        else:
            yield key, line, child
        first_line.setdefault(key, line)


def _elsewhere(key: str, known: Mapping[str, Any]) -> str:
    """The likeliest remedy for an unknown key: the block it belongs to, or the spelling that was meant."""
    homes = [title for title, block in BLOCKS.items() if key in block.__dataclass_fields__]  # type: ignore[attr-defined]
    if homes:
        return f" It belongs under '{homes[0]}:'."
    if "publication_date" in known:  # the statement block
        return did_you_mean(key, known) or " `dpplan report --fields` lists them."
    return meant(key, known) or (f" Known: {', '.join(known)}." if len(known) <= FEW else "")


def _given(node: Any, nested: bool = True, key: str = "") -> Given:
    """What stands here, of this key. Lists and blocks go one level deep: no key wants more, and an alias may point at
    itself."""
    line = node.start_mark.line + 1
    if node.id == "sequence":
        return Given("list", "", line, tuple(_given(item, False) for item in node.value) if nested else ())
    if node.id == "mapping":
        pairs = node.value if nested else ()
        keys = tuple(key.value if key.id == "scalar" else "?" for key, _ in pairs)
        return Given("block", "", line, tuple(_given(item, False) for _, item in pairs), keys)
    return Given(_KINDS.get(node.tag.removeprefix("tag:yaml.org,2002:"), "other"), node.value, line, key=key)


def _compose(text: str, name: str) -> Any:
    import yaml

    root: Any
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise RecipeError(_located(name, *yaml_problem(error))) from None
    except yaml.YAMLError:
        raise RecipeError(f"{name}: holds characters that no YAML file may hold; is it a recipe?") from None
    except RecursionError:
        raise RecipeError(f"{name}: is nested too deeply to be a recipe.") from None
    if root is None:
        raise RecipeError(f"{name}: is empty. A recipe has the blocks {', '.join(BLOCKS)}; a plan file has phases.")
    if root.id != "mapping":
        raise RecipeError(f"{name}: is not a recipe: it has no blocks {', '.join(BLOCKS)}.")
    return root


def _located(name: str, line: int, sentence: str) -> str:
    return f"{name}:{line}: {sentence}" if line else f"{name}: {sentence}"
