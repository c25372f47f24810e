"""The pages of `dpplan help` that are prose: what belongs to no single command, in words and commands that run.

A page is paragraphs between empty lines. What begins with two spaces stays as it is: commands, which a test runs, and
small tables. What begins with "- " is an item of a list.
"""

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from types import MappingProxyType

from dpplan.accounting.bound import PROMISES
from dpplan.adjacency import DIFFERENT_N, N_IS_PUBLIC
from dpplan.quantities import QUANTITIES
from dpplan.render.help_mechanisms import MECHANISMS
from dpplan.render.help_noise import NOISE
from dpplan.render.help_texts import (
    COMPLETION,
    GUARANTEES,
    JSON,
    LIMITS,
    PLAN_ALONE,
    PLANS,
    PYTHON,
    RECIPES,
    REPRODUCING,
    TRAINING,
    UNITS,
    UNKNOWNS,
)
from dpplan.render.plain_words import for_screen
from dpplan.render.table import screen_width

# Name -> what it is about, and the text. The order is that of the list.
PAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "limits": ("what ε promises, and what it does not", LIMITS),
        "guarantees": ("certified, upper, lower, estimate: what each promises", GUARANTEES),
        "units": ("σ, q, steps, n, δ, ε: what they count and how to type them", UNITS),
        "plans": ("a whole budget in a file: mechanisms, phases, what each costs", PLANS),
        "mechanisms": ("what a phase of a plan file can release, and its settings", MECHANISMS),
        "noise": ("noise that steps share: DP-BandMF and DP-FTRL in a recipe", NOISE),
        "recipes": ("what may stand in a recipe: every key", RECIPES),
        "training": ("run folders, resuming, several processes", TRAINING),
        "json": ("what --json prints: schema names, and figures", JSON),
        "python": ("the same from Python and in notebooks", PYTHON),
        "reproducing": ("how figures are checked, and how to check them", REPRODUCING),
        "completion": ("completion for bash, zsh and fish", COMPLETION),
    }
)


def text(name: str) -> str:
    """The page, with what is filled in from the code."""
    page = PAGES[name][1]
    fills = {
        "{quantities}": _quantities,
        "{guarantees}": _guarantees,
        "{blocks}": _blocks,
        "{n_is_public}": _n_is_public,
        "{plan_alone}": _plan_alone,
        "{unknowns}": _unknowns,
    }
    for mark, fill in fills.items():
        if mark in page:
            page = page.replace(mark, "\n".join(fill()).strip("\n"))
    return page


def _plan_alone() -> Iterator[str]:
    yield f"{', '.join(PLAN_ALONE[:-1])} and {PLAN_ALONE[-1]}"


def _unknowns() -> Iterator[str]:
    yield UNKNOWNS


def lines(name: str) -> Iterator[str]:
    """The page, wrapped to the width of a screen."""
    for number, block in enumerate(text(name).strip("\n").split("\n\n")):
        if number:
            yield ""
        if block.startswith("  "):
            yield from block.splitlines()
        else:
            yield from _wrapped(" ".join(block.split()), following="  " if block.startswith("- ") else "")


def _wrapped(paragraph: str, following: str = "") -> list[str]:
    return textwrap.wrap(
        for_screen(paragraph),
        screen_width(),
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _quantities() -> Iterator[str]:
    """Each quantity: symbol, option, name, and what it counts."""
    widest = max(len(for_screen(each.symbol)) for each in QUANTITIES.values())
    for each in QUANTITIES.values():
        yield f"  {for_screen(each.symbol):<{widest}}  {each.option:<8}  {each.words:<16}  {each.meaning}"


def _guarantees() -> Iterator[str]:
    for guarantee, promise in PROMISES.items():
        yield f"  {guarantee.name:<10} {promise}"


def _n_is_public() -> Iterator[str]:
    yield from (N_IS_PUBLIC, DIFFERENT_N)


def _blocks() -> Iterator[str]:
    """Each block of a recipe: its keys with their defaults, and its docstring."""
    from dpplan.recipe.reading import BLOCKS

    for title, block in BLOCKS.items():
        keys = [f"{each.name}={_default(each)}" for each in dataclasses.fields(block)]  # type: ignore[arg-type]
        yield from textwrap.wrap(
            f"{title}: {' '.join(keys)}", screen_width() - 2, initial_indent="  ", subsequent_indent="    "
        )
        yield ""
        documented = inspect.getdoc(block) or ""
        yield "\n".join(f"    {line}".rstrip() for line in _refilled(documented))
        yield ""


def _refilled(docstring: str) -> Iterator[str]:
    """The paragraphs of a docstring, narrower. A line that begins a key begins a line."""
    for number, paragraph in enumerate(docstring.split("\n\n")):
        if number:
            yield ""
        entries: list[str] = []
        for line in paragraph.splitlines():
            if entries and (line.startswith(" ") or not _begins_key(line)):
                entries[-1] += f" {line.strip()}"
            else:
                entries.append(line.strip())
        for entry in entries:
            hanging = "  " if _begins_key(entry) else ""
            yield from textwrap.wrap(
                for_screen(entry), screen_width() - 4, subsequent_indent=hanging, break_on_hyphens=False
            )


def _begins_key(line: str) -> bool:
    head, colon, _ = line.partition(":")
    return bool(colon) and head.replace("_", "").replace(", ", "").isalnum() and head.islower()


def _default(entry: "dataclasses.Field[object]") -> str:
    if entry.default is MISSING or entry.default is None:
        return "-"
    if isinstance(entry.default, bool):
        return "on" if entry.default else "off"
    return str(entry.default)
