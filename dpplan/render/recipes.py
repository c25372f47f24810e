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
    yield from _summaries((bundled.SCORES,))
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
        "scores": [{"name": bundled.SCORES, "summary": bundled.summary(bundled.SCORES)}],
    }


def copied(files: Sequence[tuple[Path, bool]]) -> Iterator[str]:
    """What was written, and what lay there already; then what to do with the first."""
    for file, written in files:
        yield f"{file}: written" if written else f"{file}: there already, and the same"
    yield ""
    yield f"next: dpplan {_next(files[0][0])}"


def _next(file: Path) -> str:
    """What can be asked of it as it is."""
    if file.suffix == ".csv":
        return f"audit {file} --sigma 10 --q 1 --steps 100 --delta 1e-5"
    if not plan_file.is_plan(file):
        return f"train {file} --dry-run"
    read = plan_file.read(file, may_be_open=True)
    asked = "epsilon" if not any(read.openings) else "solve"
    target = "" if asked == "epsilon" else " --target-eps 8"
    return f"{asked} {file}{target}{'' if read.plan.examples else ' --delta 1e-6'}"
