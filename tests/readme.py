"""The README as data: its sessions, run again; its tables, and the file map of CONTRIBUTING.md, read back.

    python tests/readme.py      brings every printed output, and the tables that are lists of what there is, up to
                                date; read the difference before you keep it

A ```console block is one shell session in an empty folder that has recipes/. A line `...` in it stands for any number
of lines. Durations, and what a private run learned, differ each time and are not compared; ends of certified
intervals may differ in the digits that another processor rounds differently.
"""

import contextlib
import doctest
import io
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click

from dpplan import __main__ as program
from dpplan.commands.shared.lazy_group import LazyGroup

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MAP = ROOT / "CONTRIBUTING.md"
ELISION = "..."
_END = "\x1e"  # printed after every command of a session
_DURATION = re.compile(r"(?<![\w.])\d[\d.]* (ms|s)\b")
_PERCENT = re.compile(r"(?<![\w.])\d+(\.\d+)? %")
_LOSS = re.compile(r"^( +\d+ +\d+ +[\d.]+) +[\d.e+-]+ +P %")
_LONG = re.compile(r"(?<![\w.])(\d+\.\d{7,}(?:e-?\d+)?)")
_CLOSE = 1e-9  # relative; what a session prints of an interval is narrower than this on any machine


@dataclass(frozen=True)
class Entry:
    """One command (or Python statement) of a block and what is printed below it. line: its place in the file."""

    source: str
    printed: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Block:
    """A fenced block. line: of its first line, counted from 0."""

    language: str
    line: int
    lines: tuple[str, ...]

    @property
    def entries(self) -> list[Entry]:
        """Of a console block its commands, of a pycon block its statements."""
        if self.language == "pycon":
            found = doctest.DocTestParser().get_examples("\n".join(self.lines) + "\n")
            return [Entry(e.source, tuple(e.want.splitlines()), self.line + e.lineno) for e in found]
        starts = [at for at, line in enumerate(self.lines) if line.startswith("$ ")]
        return [
            Entry(self.lines[start][2:], self.lines[start + 1 : end], self.line + start)
            for start, end in pairwise([*starts, len(self.lines)])
        ]

    def live(self) -> list[list[str]]:
        """What each entry prints when it is run now, in a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "recipes").symlink_to(ROOT / "recipes")
            sources = [entry.source for entry in self.entries]
            return statements(sources) if self.language == "pycon" else session(sources, Path(folder))


def blocks(*languages: str, file: Path = README) -> list[Block]:
    """The fenced blocks of these languages."""
    found: list[Block] = []
    lines = file.read_text(encoding="utf-8").splitlines()
    start = None
    for at, line in enumerate(lines):
        if line.startswith("```"):
            if start is None:
                start = at
            else:
                found.append(Block(lines[start][3:], start + 1, tuple(lines[start + 1 : at])))
                start = None
    return [block for block in found if block.language in languages]


def session(commands: Sequence[str], folder: Path) -> list[list[str]]:
    """What a shell prints, on both channels, for each command of one session."""
    script = "exec 2>&1\n" + "".join(f"{command}\n_s=$?; printf '\\036'; (exit $_s)\n" for command in commands)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        check=False,
        text=True,
        timeout=300,
        encoding="utf-8",
    )
    return [output.splitlines() for output in done.stdout.split(_END)[: len(commands)]]


def statements(sources: Sequence[str]) -> list[list[str]]:
    """What Python prints for each statement, as at its prompt."""
    space: dict[str, object] = {}
    printed = []
    for source in sources:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(source, str(README), "single"), space)
        printed.append(output.getvalue().splitlines())
    return printed


def same(printed: Sequence[str], live: Sequence[str], close: float = _CLOSE) -> bool:
    """Whether the README still says what is so. close: how far, relative, ends of intervals may lie apart."""
    loose = any(_DURATION.search(line) for line in [*printed, *live])  # a duration moves the columns beside it
    shown, now = ([_normal(line, loose) for line in lines] for lines in (printed, live))
    first, *rest = _pieces(shown)
    if not rest:
        return _alike(first, now, close)
    if len(first) + len(rest[-1]) > len(now) or not _alike(first, now[: len(first)], close):
        return False
    at, end = len(first), len(now) - len(rest[-1])
    for piece in rest[:-1]:
        place = next(
            (i for i in range(at, end - len(piece) + 1) if _alike(piece, now[i : i + len(piece)], close)), None
        )
        if place is None:
            return False
        at = place + len(piece)
    return _alike(rest[-1], now[end:], close)


def elided(printed: Sequence[str], live: Sequence[str]) -> list[str]:
    """The live output, cut where the printed one was: as many lines at both ends, and between two cuts as many from
    the line that the piece began with, whatever its last digits. Raises LookupError where that line is gone: then only
    a person can tell."""
    first, *rest = _pieces(list(printed))
    if not rest:
        return list(live)
    lines = [*live[: len(first)], ELISION]
    for piece in rest[:-1]:
        anchor = _normal(piece[0], True)
        start = next((i for i, line in enumerate(live) if _alike_line(anchor, _normal(line, True), _CLOSE)), None)
        if start is None:
            raise LookupError(f"no longer printed, so choose another line to show: {piece[0]}")
        lines += [*live[start : start + len(piece)], ELISION]
    return lines + list(live[len(live) - len(rest[-1]) :])


def section(heading: str) -> str:
    """What stands between this heading and the next of any level."""
    parts = re.split(r"^#+ (.*)\n", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def table(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of a table below a heading, the first if no other is asked for, without its first two rows."""
    tables = re.findall(r"(?:^\|.*\|\n)+", section(heading), re.MULTILINE)
    if len(tables) <= number:
        raise LookupError(f"no table below {heading!r}")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[number].splitlines()[2:]]


def commands() -> dict[str, click.Command]:
    """Every command that does something, by what is typed."""

    def below(group: LazyGroup, path: str) -> Iterator[tuple[str, click.Command]]:
        for name in group.summaries:
            command = group.load(name)
            if isinstance(command, LazyGroup):
                yield from below(command, f"{path} {name}")
            else:
                yield f"{path} {name}", command

    return dict(below(program.group, "dpplan"))


def lists() -> dict[str, list[list[str]]]:
    """Heading -> the rows that its table must have: what there is, in the order there is."""
    return {
        "Commands": [[f"`{name}`", str(command.short_help)] for name, command in commands().items()],
    }


def file_map() -> dict[str, str]:
    """Path -> description, from the block that begins with dpplan/, in its order. Folders end with a slash.

    Modules have a line each, or are named after a colon on the line of their folder (`exact/  stage by stage: law,
    quadrature`), or on a line of their own kind (`*.py  one run: loop, session`). Those come back without description.
    """
    (block,) = [block for block in blocks("text", file=MAP) if block.lines[0].split()[0] == "dpplan/"]
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    for line in _joined(block.lines):
        indent = len(line) - len(line.lstrip())
        name, _, text = line.strip().partition(" ")
        while parents and parents[-1][0] >= indent:
            parents.pop()
        folder = parents[-1][1] if parents else ""
        if name.endswith("/"):
            folder += name
            parents.append((indent, folder))
            found[folder] = text.strip()
        elif name != "*.py":
            found[folder + name] = text.strip()
            continue
        _, colon, names = text.rpartition(": ")
        found |= {f"{folder}{each.strip()}.py": "" for each in names.split(",") if colon}
    return found


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Lines that go on below their description, as one."""
    whole = ""
    for line in lines:
        if line.startswith(" " * 12):
            whole += " " + line.strip()
            continue
        if whole:
            yield whole
        whole = line
    yield whole


def _pieces(lines: list[str]) -> list[list[str]]:
    cuts = [-1, *(at for at, line in enumerate(lines) if line.strip() == ELISION), len(lines)]
    return [lines[start + 1 : end] for start, end in pairwise(cuts)]


def _normal(line: str, loose: bool) -> str:
    line = _LOSS.sub(r"\1 L P %", _PERCENT.sub("P %", line))
    return re.sub(r"\s+", " ", _DURATION.sub("T", line)) if loose or "P %" in line else line


def _alike(shown: Sequence[str], now: Sequence[str], close: float) -> bool:
    return len(shown) == len(now) and all(_alike_line(a, b, close) for a, b in zip(shown, now, strict=True))


def _alike_line(shown: str, now: str, close: float) -> bool:
    a, b = _LONG.split(shown), _LONG.split(now)
    return a[::2] == b[::2] and all(
        math.isclose(float(x), float(y), rel_tol=close) for x, y in zip(a[1::2], b[1::2], strict=True)
    )


def refresh() -> int:
    """Rewrites what has changed, to the last digit; the number of outputs and tables that had. Writes nothing if a
    command crashes."""
    lines = README.read_text(encoding="utf-8").splitlines()
    changed = 0
    for block in reversed(blocks("console", "pycon")):
        for entry, live in reversed(list(zip(block.entries, block.live(), strict=True))):
            if any(line.startswith(("Traceback", "internal error")) for line in live):
                raise RuntimeError("\n".join([entry.source, *live]))
            if not same(entry.printed, live, 0.0):
                start = entry.line + len(entry.source.strip().splitlines())
                lines[start : start + len(entry.printed)] = elided(entry.printed, live)
                changed += 1
    text = "\n".join(lines) + "\n"
    for heading, rows in lists().items():
        if table(heading) != rows:
            old, new = ("".join(f"| {' | '.join(row)} |\n" for row in each) for each in (table(heading), rows))
            text = text.replace(old, new)
            changed += 1
    README.write_text(text, encoding="utf-8")
    return changed


if __name__ == "__main__":
    print(f"README.md: {refresh()} outputs and tables brought up to date")
