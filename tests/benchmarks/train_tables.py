"""Rows of the training benchmark as text, at most 80 columns wide."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from train_loops import HOOKS_LOADER, PLAIN_LOADER, PLAIN_SELECT
from train_steps import HOOKS, PLAIN

NAMES = 28  # columns for the names of contenders
Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]


def step_table(rows: Sequence[Row]) -> str:
    columns: list[Column] = [
        ("examples/s", _speed),
        ("of plain", _against(PLAIN)),
        ("of hooks", _against(HOOKS)),
        ("peak MB", _peak),
        ("of plain", lambda row: f"{row['peak_of_plain']:.2f}" if "peak_of_plain" in row else "-"),
    ]
    return "\n".join(_lines("steps", columns, rows)) if rows else "no steps"


def loop_table(rows: Sequence[Row]) -> str:
    columns: list[Column] = [
        ("examples/s", _speed),
        ("of loader", _against(PLAIN_LOADER)),
        ("of select", _against(PLAIN_SELECT)),
        ("of hooks", _against(HOOKS_LOADER)),
    ]
    return "\n".join(_lines("loops", columns, rows)) if rows else "no loops"


def _lines(title: str, columns: list[Column], rows: Sequence[Row]) -> Iterator[str]:
    yield f"{title:<{NAMES}}" + "".join(f"{name:>{_width(name)}}" for name, _ in columns)
    for (model, batch), group in groupby(rows, key=lambda row: (row["model"], row["batch"])):
        cases = list(group)
        size = f", {cases[0]['rows']} examples" if "rows" in cases[0] else ""
        yield f"\n{model}, batch {batch}{size}"
        for row in cases:
            start = f"  {row['contender']:<{NAMES - 2}}"
            if "failed" in row:
                yield from textwrap.wrap(f"{start} {row['failed']}", 80, subsequent_indent=" " * (NAMES + 1))
            else:
                yield (start + "".join(f"{cell(row):>{_width(name)}}" for name, cell in columns)).rstrip()
        for row in cases:
            if "note" in row:
                yield from textwrap.wrap(row["note"], 80, initial_indent="  ", subsequent_indent="    ")


def _width(name: str) -> int:
    return max(len(name) + 2, 9)


def _speed(row: Row) -> str:
    return f"{row['examples_per_second']:,.0f}"


def _peak(row: Row) -> str:
    return f"{row['peak_bytes'] / 1e6:.3g}" if "peak_bytes" in row else "-"


def _against(baseline: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row["times_as_fast_as"].get(baseline)
        return "-" if value is None else f"{value:.2f}"

    return cell


@dataclass(frozen=True)
class Aim:
    """contender is to be at least so many times as fast as the baseline on these models, or to take at most as much."""

    contender: str
    models: tuple[str, ...]
    baseline: str
    limit: float
    memory: bool = False

    def missed(self, row: Row) -> str | None:
        value = row.get("peak_of_plain") if self.memory else row.get("times_as_fast_as", {}).get(self.baseline)
        if row["contender"] != self.contender or row["model"] not in self.models or value is None:
            return None
        what, sign = ("peak memory", "<=") if self.memory else ("speed", ">=")
        if value <= self.limit if self.memory else value >= self.limit:
            return None
        where = f"{row['model']}, batch {row['batch']}: {self.contender}"
        return f"{where}: {what} {value:.2f} of {self.baseline}, aim {sign} {self.limit:g}"


EVERY, DEEP = ("logistic", "mlp", "cnn", "transformer"), ("mlp", "transformer")
AIMS = {
    "cpu": (
        Aim("dpplan", DEEP, PLAIN, 0.6),
        Aim("dpplan, compiled", DEEP, PLAIN, 0.9),
        Aim("dpplan", ("mlp",), HOOKS, 5.0),
        Aim("dpplan", ("cnn", "transformer"), HOOKS, 1.4),
        Aim("dpplan", EVERY, PLAIN, 1.2, memory=True),
    ),
    "cuda": (
        Aim("dpplan", EVERY, PLAIN, 0.8),
        Aim("dpplan", EVERY, HOOKS, 2.0),
        Aim("dpplan", EVERY, PLAIN, 1.2, memory=True),
    ),
}


def missed(rows: Sequence[Row], device: str) -> list[str]:
    """A line for every aim that these steps miss."""
    return [line for row in rows for aim in AIMS[device] if (line := aim.missed(row))]
