"""dpplan compare: one plan, several answers, side by side."""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import accounting
from dpplan.checks import show
from dpplan.commands import options, screen
from dpplan.commands.group import Entry, LazyGroup
from dpplan.commands.options import Asked, Choice
from dpplan.errors import MissingExtra
from dpplan.plan import Settings
from dpplan.render import text

if TYPE_CHECKING:
    from dpplan.compare import Curves

HELP = """One plan, several answers, side by side."""
ACCOUNTANTS_HELP = """What every accountant says that a plan spends, what that promises, and what it took.

The exact accountant is the reference. An estimate below its certified lower bound claims privacy that is not there,
and is marked as under-reporting.

\b
  dpplan compare accountants --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan compare accountants --sigma 4 --q .01 --steps 1e4 --delta 1e-5 --json
  dpplan compare accountants --sigma 4 --q .01 --n 1e4 --epochs 9 --plot a.svg

Exit status: 0 done; 2 the call makes no sense as put.
"""


@click.command("accountants", help=ACCOUNTANTS_HELP, short_help="Every accountant: ε, guarantee, ratio, time.")
@options.plan
@options.deltas(several=False)
@options.told
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw ε against epochs for each accountant, as .svg or .png.",
)
@options.explain
@options.as_json
def accountants(
    settings: Settings, delta: Any, choice: Choice, plot: Path | None, explain: bool, as_json: bool
) -> None:
    from dpplan import compare
    from dpplan.render import data, tables

    asked = options.settle(settings, (delta,), choice, *_plot_problems(plot))
    (at,) = asked.deltas
    answer = compare.accountants(asked.plan, at.value, _given(choice))
    curves = None if plot is None else _draw(asked, choice, plot)
    if as_json:
        drawn = {} if plot is None or curves is None else {"plot": str(plot), "curves": data.curves(curves)}
        screen.as_json(data.document("compare", asked.plan, data.comparison(answer, at), asked.warnings, **drawn))
        return
    screen.say([f"at δ = {show(at.value)}"])
    screen.show(tables.accountants(answer.rows, timed=True))
    screen.say(["", *text.plan_rows(asked.plan, asked.deltas)])
    for row in answer.rows if explain else ():
        if row.bound is not None:
            screen.say(["", *text.explanation(row.bound, at.value, named=True)])
    if plot is not None:
        screen.say(["", f"drawn to {plot}"])
    screen.warn(asked.warnings)


command = LazyGroup(
    "compare",
    {"accountants": Entry("dpplan.commands.compare:accountants", str(accountants.short_help))},
    help=HELP,
)
command.short_help = "One plan through every accountant."


def _given(choice: Choice) -> dict[str, dict[str, object]]:
    return {name: choice.options(name) for name in accounting.ACCOUNTANTS}


def _plot_problems(plot: Path | None) -> tuple[str, ...]:
    """What can be known to be wrong before minutes are spent on the curves."""
    from dpplan.plot import FORMATS

    if plot is None:
        return ()
    if plot.suffix.lower() not in FORMATS:
        return (f"plot={plot} does not end in {' or '.join(FORMATS)}. Rename it.",)
    return () if plot.parent.is_dir() else (f"plot={plot}: the folder {plot.parent} does not exist. Make it first.",)


def _draw(asked: Asked, choice: Choice, plot: Path) -> "Curves":
    from dpplan import compare
    from dpplan import plot as plots

    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("--plot", "plot")
    with _bar() as progress:
        curves = compare.curves(asked.plan, asked.deltas[0].value, options=_given(choice), progress=progress)
    plots.curves(curves, plot)
    return curves


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr while the curves are computed; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("  curves"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.console(err=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)
