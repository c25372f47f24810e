"""Settings to choose from: KEY=V1,V2,... of a recipe, and the recipe with one choice of them written into its text."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpplan.checks import did_you_mean
from dpplan.errors import RecipeError, UsageError
from dpplan.recipe import Recipe, parse
from dpplan.recipe.reading import BLOCKS
from dpplan.recipe.schema import Model, Privacy, Training
from dpplan.recipe.values import MEANT

CHOSEN = (Training, Model, Privacy)  # the blocks whose keys can be chosen
MOST_SETTINGS = 1000
Key = tuple[str, str]
Setting = Mapping[Key, str]
PROMISED = (("privacy", "delta"), ("privacy", "max_epsilon"))


@dataclass(frozen=True, slots=True)
class SettingGrid:
    """values: of each key (block, key), as they are written in a recipe."""

    values: tuple[tuple[Key, tuple[str, ...]], ...]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Every combination."""
        keys = [key for key, _ in self.values]
        combinations = itertools.product(*(values for _, values in self.values))
        return tuple(dict(zip(keys, chosen, strict=True)) for chosen in combinations)


def read(texts: Sequence[str]) -> SettingGrid:
    """The grid of what was typed: KEY=V1,V2, ..., each KEY once. Raises UsageError with all that is wrong."""
    problems: list[str] = []
    found: dict[Key, tuple[str, ...]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        key = _key(name.strip(), problems) if equals else None
        if not equals:
            problems.append(f"grid={text} says no values. Write --grid learning_rate=0.25,0.5,1.")
        values = tuple(_values(listed))
        if equals and not (values and all(values)):
            problems.append(f"grid={text} has no value, or an empty one. Write {name}=0.25,0.5,1.")
        if len(set(values)) < len(values):
            problems.append(f"grid={text} has a value twice: each setting is drawn with the same chance.")
        if key is not None and key in found:
            problems.append(f"grid={name} is given twice. List all of its values at once.")
        if key is not None:
            found[key] = values
    if not texts:
        problems.append("grid is missing: what is chosen from? Give --grid learning_rate=0.25,0.5,1.")
    count = 1
    for values in found.values():
        count *= max(len(values), 1)
    if count > MOST_SETTINGS:
        problems.append(f"grid has {count} settings, more than {MOST_SETTINGS}. Leave values out.")
    if problems:
        raise UsageError(problems)
    return SettingGrid(tuple(found.items()))


def recipe_of(recipe: Recipe, setting: Setting) -> Recipe:
    """The recipe with this setting in its text. Raises UsageError with what is wrong of a recipe that is written so."""
    try:
        return parse(_written(recipe.text, setting), name=recipe.file or recipe.name)
    except RecipeError as error:
        parse(recipe.text, name=recipe.file or recipe.name)  # what is wrong without the setting is the recipe's
        said = ", ".join(f"{key}={value}" for (_, key), value in setting.items())
        listed = any(value.startswith("[") for value in setting.values())
        hint = " Values to choose from stand without brackets: learning_rate=0.25,0.5,1." if listed else ""
        told = [re.sub(rf"^{re.escape(recipe.file or recipe.name)}:(\d+:)? ", "", each) for each in error.problems]
        raise UsageError([f"grid: {said}: {each}{hint}" for each in told]) from None


def _key(name: str, problems: list[str]) -> Key | None:
    """The block and the key that a name means: training.learning_rate, or learning_rate where one block has it."""
    block, dot, key = name.rpartition(".")
    homes = [title for title, made in BLOCKS.items() if key in made.__dataclass_fields__]  # type: ignore[attr-defined]
    chosen = [made.title for made in CHOSEN]
    if dot and block in homes:
        homes = [block]
    if not homes or (dot and block not in homes):
        known = [f"{made.title}.{each}" for made in CHOSEN for each in made.__dataclass_fields__]
        here = [f"{made.title}.{MEANT.get(key)}" for made in CHOSEN if MEANT.get(key) in made.__dataclass_fields__]
        close = f" Did you mean '{here[0]}'?" if here else did_you_mean(name, known)
        problems.append(f"grid: {name} is no key of a recipe.{close}")
        return None
    within = [home for home in homes if home in chosen]
    if not within:
        problems.append(
            f"grid: {homes[0]}.{key} is no setting of the training. Trials choose from {', '.join(chosen)}."
        )
        return None
    if len(within) > 1:
        said = " or ".join(f"{home}.{key}" for home in within)
        problems.append(f"grid: {name} is a key of several blocks. Write {said}.")
        return None
    if (within[0], key) in PROMISED:
        problems.append(
            f"grid: {within[0]}.{key} is part of what is promised of the search, and no setting of a trial."
        )
        return None
    return within[0], key


def _values(text: str) -> Iterator[str]:
    """What stands between commas that are in no brackets."""
    part, depth = "", 0
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += letter
    if text:
        yield part.strip()


def _written(text: str, setting: Setting) -> str:
    """The text with these values in the place of those that stand there, or before the first key of their block."""
    import yaml

    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    edits: list[tuple[int, int, str]] = []
    blocks = {str(key.value): node for key, node in root.value}
    for (block, key), value in setting.items():
        node = blocks[block]
        there = next((child for name, child in node.value if str(name.value) == key), None)
        if there is not None:
            edits.append((there.start_mark.index, there.end_mark.index, value))
        elif node.flow_style:
            edits.append((node.start_mark.index + 1, node.start_mark.index + 1, f"{key}: {value}, "))
        else:
            at = node.start_mark
            edits.append((at.index, at.index, f"{key}: {value}\n{' ' * at.column}"))
    for start, end, value in sorted(edits, reverse=True):
        kept = text[start:end]
        tail = kept[len(kept.rstrip()) :] if re.search(r"\n\s*$", kept) else ""
        text = f"{text[:start]}{value}{tail}{text[end:]}"
    return text
