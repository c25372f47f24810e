"""The recipes that come with dpplan: listed, and as JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from dpplan.recipe import bundled
from dpplan.render.table import WIDTH
from dpplan.render.to_json import Object


def listed() -> Iterator[str]:
    """Every recipe with what it is about, and how to get it."""
    names = bundled.names()
    indent = 2 + max(map(len, names))
    for name in names:
        yield from textwrap.wrap(
            f"{name:<{indent}}{bundled.summary(name)}", WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False
        )
    yield ""
    yield "dpplan recipes copy NAME writes one; dpplan help recipes tells of their keys."


def document() -> Object:
    return {
        "schema": "dpplan.recipes/1",
        "recipes": [{"name": name, "summary": bundled.summary(name)} for name in bundled.names()],
    }


def copied(files: Sequence[tuple[Path, bool]]) -> Iterator[str]:
    """What was written, and what lay there already; then what to do with the first."""
    for file, written in files:
        yield f"{file}: written" if written else f"{file}: there already, and the same"
    yield ""
    yield f"next: dpplan train {files[0][0]} --dry-run"
