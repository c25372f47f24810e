"""dpplan train: run a recipe, and account for the steps that were really taken."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpplan import recipe as recipes
from dpplan.errors import MissingExtra, TrainingStopped

if TYPE_CHECKING:
    from rich.progress import Progress

    from dpplan.train import Event, TrainReport

HELP = """Train a model as RECIPE says, privately, and account for what was done.

The plan and its certified ε are printed before the first step. At the end the ε that was really spent is
computed from the steps that were really taken and held against the plan. Report, metrics, a copy of the recipe and
the model go into a new folder; no old run is ever overwritten.

\b
  dpplan train recipes/digits.yaml --dry-run
  dpplan train recipes/digits.yaml
  dpplan train recipes/digits.yaml --json | jq .spent.epsilon.upper

Exit status: 0 the run did what was planned; 1 it ended early (Ctrl-C, numbers that are not finite) or
disagrees with its plan; 2 the recipe or the call is wrong; 3 nothing could be certified.
"""


@click.command("train", help=HELP, short_help="Run a recipe and account for it.")
@click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE")
@click.option("--dry-run", is_flag=True, help="Print the plan and what it costs, and stop.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="Where to compute, in place of the recipe's runtime.device.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Make the run reproducible. Such a run protects nobody.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder; must not exist yet.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def command(recipe: Path, dry_run: bool, device: str | None, seed: int | None, out: Path | None, as_json: bool) -> None:
    job = recipes.load(recipe)
    if device is not None:
        job = job.with_runtime(device=device)
    with _needs_torch():
        from dpplan import train
        from dpplan.render.data import dumps
        from dpplan.train import narrate

        planned = train.plan(job, seed=seed)
    if not as_json:
        _say(narrate.plan_lines(planned))
    if dry_run:
        if as_json:
            click.echo(dumps(planned.to_json(), indent=2))
        return
    report = _follow(train.events(planned, out=out), quiet=as_json)
    if as_json:
        click.echo(dumps(report.to_json(), indent=2))
    else:
        _say(["", *narrate.report_lines(report)])
    if not report.agrees:
        raise TrainingStopped(narrate.ending(report))


def _follow(happening: "Iterator[Event]", quiet: bool) -> "TrainReport":
    """Shows the run as it goes: a line per epoch, and a bar below them on a terminal. Returns its report."""
    from dpplan.train import Epoch, Step, TrainReport, narrate

    with _bar(shown=sys.stdout.isatty() and not quiet) as bar:
        for number, event in enumerate(happening):
            if number == 0 and not quiet:
                _say(["", narrate.EPOCH_HEAD], bar)
            if isinstance(event, Step) and bar:
                bar.update(bar.task_ids[0], completed=event.step, total=event.steps)
            elif isinstance(event, Epoch) and not quiet:
                _say([narrate.epoch_line(event)], bar)
            elif isinstance(event, TrainReport):
                return event
    raise AssertionError("a run ends with its report")


@contextlib.contextmanager
def _bar(shown: bool) -> "Iterator[Progress | None]":
    if not shown:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("  step"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        bar.add_task("")
        yield bar


def _say(lines: Iterable[str], bar: "Progress | None" = None) -> None:
    """Prints lines as they are; above the bar while there is one."""
    for line in lines:
        if bar:
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)


@contextlib.contextmanager
def _needs_torch() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in {"torch", "sklearn"}:
            raise MissingExtra("dpplan train", "train") from None
        raise
