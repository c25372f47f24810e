"""The recipes that come with dpplan: listed, and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpplan.recipe import bundled, plan_file
from dpplan.render.table import screen_width
from dpplan.render.to_json import Object


def listed() -> Iterator[str]:
    """Every recipe and every plan file with what it is about, and how to get it."""
    yield from _summaries(bundled.names())
    yield ""
    yield "Plan files, whole budgets for dpplan epsilon, solve, risk, report and others:"
    yield ""
    yield from _summaries(bundled.plans())
    yield ""
    yield "dpplan recipes copy NAME writes one; dpplan help recipes and dpplan help plans"
    yield "tell of their keys."


def _summaries(names: Sequence[str]) -> Iterator[str]:
    width, indent = screen_width(), 2 + max(map(len, names))
    beside = 2 * indent < width  # else below the name, where more fits
    for name in names:
        said = f"{name:<{indent}}{bundled.summary(name)}" if beside else bundled.summary(name)
        first, rest = ("", " " * indent) if beside else ("  ", "  ")
        if not beside:
            yield name
        yield from textwrap.wrap(said, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def document() -> Object:
    return {
        "schema": "dpplan.recipes/1",
        "recipes": [{"name": name, "summary": bundled.summary(name)} for name in bundled.names()],
        "plans": [{"name": name, "summary": bundled.summary(name)} for name in bundled.plans()],
    }


def copied(files: Sequence[tuple[Path, bool]]) -> Iterator[str]:
    """What was written, and what lay there already; then what to do with the first."""
    for file, written in files:
        yield f"{file}: written" if written else f"{file}: there already, and the same"
    yield ""
    first = files[0][0]
    yield f"next: dpplan epsilon {first}" if plan_file.is_plan(first) else f"next: dpplan train {first} --dry-run"
