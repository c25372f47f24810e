"""dpplan train: run a recipe, and account for the steps that were really taken."""

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpplan import recipe as recipes
from dpplan.commands.shared import output, waiting
from dpplan.commands.shared.parameter_types import Device, FileName, Whole
from dpplan.commands.shared.recipe_data import needs_torch
from dpplan.commands.shared.run_check import TRYING, checked
from dpplan.errors import EXIT_DONE, DpplanError, NotCertified, TrainingStopped, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from dpplan.train import Event, Planned, Ranks, TrainReport

HELP = """Train a model as RECIPE says, privately, and account for what was done.

What `dpplan check` says of the recipe comes first, warnings and notes; a run with errors is refused. The plan and its
certified ε are printed before the first step. At the end the ε that was really spent is
computed from the steps that were really taken and held against the plan, and so are batch sizes and noise. Report,
metrics, a copy of the recipe and the model go into a new folder; no old run is ever overwritten.

A run that was killed or interrupted goes on from its last checkpoint with --resume. Steps that it had taken since are
counted: they are paid for and not in the model. How many is said before it goes on, and at its end. dpplan verify with
the folder says what was spent so far, and takes no step; dpplan epsilon counts all that was planned.

Started by torchrun, several processes share the run. Each draws from its own part of the examples; one adds the noise,
prints, and writes the folder.

\b
  dpplan train recipes/digits.yaml --dry-run
  dpplan train recipes/digits.yaml
  dpplan train recipes/digits.yaml --json | jq .spent.epsilon.upper
  dpplan train recipes/digits.yaml --watch 500
  dpplan train --resume runs/digits-001
  torchrun --nproc-per-node 2 -m dpplan train recipes/digits.yaml

It needs the extra 'train'; dpplan help training tells how torch comes without a GPU's gigabytes.

A run of which no accountant can prove anything, shuffled batches under add-remove for one, is refused. As a last resort
--unaccounted trains it with the noise that the recipe states: screen, report and folder then say that no ε is known,
none is claimed, and every command that adds up what is spent on the same data says that it is unknown. --resume keeps
the mark.

A folder that was copied, moved to another disk or put back goes on with --moved, once no other copy does: whoever
resumes two copies spends twice, and what the copies are known to have spent is counted.

Exit status: 0 the run did what was planned; 1 it ended early (Ctrl-C or SIGTERM, numbers that are not finite),
disagrees with its plan or could not be evaluated; 2 the recipe or the call is wrong; 3 nothing could be certified; 5
input or output failed; 130 Ctrl-C or SIGTERM before the first step, or twice.
"""
CLOSED = (
    "whoever read this is gone, and the run stopped there. dpplan verify of its folder says what it spent, and "
    "dpplan train --resume goes on with it."
)
LATE = "Ctrl-C, or a request to end, came after the last step: the run is whole, and its report says what it spent."


@click.command("train", help=HELP)
@click.argument("recipe", type=FileName(path_type=Path), metavar="[RECIPE]", required=False)
@click.option(
    "--resume",
    type=FileName(path_type=Path),
    metavar="RUN_FOLDER",
    help="Go on with the run in this folder. RECIPE may be left out; if given, only its runtime block may differ.",
)
@click.option(
    "--moved",
    is_flag=True,
    help="With --resume: this folder was moved or put back, and no other copy goes on. Counts what copies spent.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and what it costs, and stop.")
@click.option(
    "--device",
    type=Device(["auto", "cpu", "cuda", "mps"]),
    help="Where to compute, in place of the recipe's runtime.device.",
)
@click.option("--seed", type=Whole(0), help="Make the run reproducible. Such a run protects nobody.")
@click.option("--compile/--no-compile", "compile_", default=None, help="Set the recipe's runtime.compile.")
@click.option(
    "--over-budget",
    is_flag=True,
    help="Consent to a recipe's on_budget: continue. Such a run says so everywhere.",
)
@click.option(
    "--unaccounted",
    is_flag=True,
    help="Consent to a run of which nothing can be proven. It claims nothing, and says so everywhere.",
)
@click.option(
    "--twin/--no-twin",
    default=None,
    help="Train the same model once more without privacy, or do not, whatever compare_nonprivate says.",
)
@click.option(
    "--watch",
    type=Whole(0),
    help="Follow the losses of so many training examples, and rank who is at risk, in a private file of the run's.",
)
@click.option("--out", type=FileName(path_type=Path), help="The run's folder; must not exist yet.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def command(
    recipe: Path | None,
    resume: Path | None,
    moved: bool,
    dry_run: bool,
    device: str | None,
    seed: int | None,
    compile_: bool | None,
    over_budget: bool,
    unaccounted: bool,
    twin: bool | None,
    watch: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    with _processes() as ranks:
        with ranks.as_one() if ranks else contextlib.nullcontext():
            job = _job(recipe, resume, seed, out, moved, unaccounted)
            if resume is None and out is None:
                _check_folder(Path(job.runtime.folder))
            elif out is not None and not dry_run and out.exists():  # before torch and the plan; made by train.events
                raise UsageError(f"out={out} exists already; a run never overwrites another. Name a new folder.")
            if device is not None:
                job = job.with_runtime(device=device)
            if compile_ is not None:
                job = job.with_runtime(compile=compile_)
            if twin is not None:
                job = job.with_twin(twin)
            if watch is not None:
                job = job.with_watch(watch)
            with waiting.status("loading torch and the data"):
                resumed = None if resume is None else (resume, moved)
                planned = _planned(job, resumed, seed, (over_budget, unaccounted), ranks)
            if planned.ranks.first:
                checked(planned, followed=not dry_run)
                if out is not None and not dry_run:
                    output.note(_unseen(planned, out))
        if planned.ranks.first:
            _run(planned, out, dry_run, as_json)
        elif not dry_run:
            _take_part(planned)


@contextlib.contextmanager
def _processes() -> "Iterator[Ranks | None]":
    """The processes that torchrun started together, of which this is one; None for one alone.

    The first of them tells what is wrong, and its exit status is that of the run. What the others know as well they
    keep to themselves, and end with 0: torchrun ends all as soon as one fails, perhaps before the first has told. What
    only another one knows stands in torchrun's report.
    """
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE") == "1":
        yield None
        return
    try:
        with needs_torch("dpplan train"):
            from dpplan.train.ranks import PeerLost, ReportedByFirst, joined
        with joined() as ranks:
            try:
                yield ranks
            except (PeerLost, ReportedByFirst) as error:
                if ranks.first:
                    raise
                raise click.exceptions.Exit(EXIT_DONE) from error
    except DpplanError as error:
        if not _left_for_torchrun(str(error)) or os.environ["RANK"] == "0":
            raise
        raise click.exceptions.Exit(error.exit_code) from error


def _left_for_torchrun(message: str) -> bool:
    """Puts it where torchrun looks: its own report, which ends what the user sees, then says what went wrong."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path is None:
        return False
    content = {"message": message, "extraInfo": {"timestamp": str(int(time.time()))}}
    Path(path).write_text(json.dumps({"message": content}), encoding="utf-8")
    return True


def _planned(
    job: "recipes.Recipe",
    resumed: tuple[Path, bool] | None,
    seed: int | None,
    consents: tuple[bool, bool],
    ranks: "Ranks | None",
) -> "Planned":
    """consents: to steps over the budget, and to a run that claims nothing."""
    over_budget, unaccounted = consents
    with needs_torch("dpplan train"):
        from dpplan import train
        from dpplan.train.ranks import ALONE

        if resumed is None:
            with _last_resort(job):
                return train.plan(
                    job, seed=seed, over_budget=over_budget, unaccounted=unaccounted, ranks=ranks or ALONE
                )
        folder, moved = resumed
        return train.plan_resumed(folder, job, over_budget=over_budget, moved=moved, ranks=ranks or ALONE)


@contextlib.contextmanager
def _last_resort(job: "recipes.Recipe") -> Iterator[None]:
    """Names, where nothing can be proven of a run, the way to train all the same. Nobody could hold a budget then."""
    try:
        yield
    except NotCertified as error:
        limits = {"target_epsilon": job.privacy.target_epsilon, "max_epsilon": job.privacy.max_epsilon}
        given = " and ".join(name for name, value in limits.items() if value is not None)
        without = f" without {given}" if given else ""
        raise type(error)(
            f"{error} As a last resort, --unaccounted trains it{without} and claims nothing: then no ε is known "
            "of this run, nor of all that is spent on these data."
        ) from error


def _run(planned: "Planned", out: Path | None, dry_run: bool, as_json: bool) -> None:
    """The plan, the run and its report, all of it shown. Raises TrainingStopped when they do not agree."""
    from dpplan import train
    from dpplan.train.execution import terminal_text
    from dpplan.train.machine.signals import ENDING, interrupt_remembered

    if not as_json:
        _say(terminal_text.plan_lines(planned, output.paint))
        sys.stdout.flush()  # a disk that is full is to be known before the first step
    if dry_run:
        if as_json:
            output.as_json(planned.to_json())
        return
    if planned.recipe.runtime.compile and not as_json:
        _say(["", "compiling; the first step takes up to a minute"])
    with interrupt_remembered(ENDING) as pressed:
        report = _followed(train.events(planned, out=out), quiet=as_json)
    if as_json:
        output.as_json(report.to_json())
    else:
        _say(["", *terminal_text.report_lines(report, output.paint)])
    output.warn([LATE] if pressed() and report.status == "finished" else [])
    if not report.agrees or report.evaluation:
        told = (terminal_text.ending(report), terminal_text.going_on(report))
        raise TrainingStopped("\n  ".join(filter(None, told)))


def _unseen(planned: "Planned", out: Path) -> Iterator[str]:
    """That the run is put where nobody looks for runs on the same examples; of made-up ones none spends anything."""
    from dpplan.recipe.schema import MADE

    data, folder = planned.recipe.data, Path(planned.recipe.runtime.folder)
    if data.source in MADE or out.resolve().parent == folder.resolve():
        return
    spent = "that no ε of it is known" if planned.claim.unaccounted else "what it spends"
    yield (
        f"--out {out} is not in runtime.folder={folder}, where `dpplan train` and `check` look for runs on the same "
        f"data: later ones will not see this run, nor {spent}. `dpplan check RECIPE --runs {out.parent}` does."
    )


def _take_part(planned: "Planned") -> None:
    """In a run that another process shows."""
    from dpplan import train

    for _ in train.events(planned):
        raise AssertionError("only the first process has events")


def _job(
    recipe: Path | None, resume: Path | None, seed: int | None, out: Path | None, moved: bool, unaccounted: bool
) -> "recipes.Recipe":
    """The recipe to run. Raises UsageError for options that exclude each other."""
    if recipe is None and resume is None:
        raise UsageError("RECIPE is missing: name a recipe file, or a run to go on with (--resume RUN_FOLDER).")
    given = [name for name, value in (("--seed", seed), ("--out", out)) if value is not None]
    given += ["--unaccounted"] if unaccounted else []
    if moved and resume is None:
        raise UsageError("--moved is about the folder of a run that goes on. Name it with --resume, or leave it out.")
    if resume is not None and given:
        raise UsageError(f"--resume goes on with what the run began with; leave out {' and '.join(given)}.")
    if recipe is None and resume is not None:
        recipe = resume / "recipe.yaml"
        if not resume.exists():
            raise UsageError(f"{resume}: no such folder. Name one that `dpplan train` made.")
        if not recipe.exists():
            raise UsageError(f"{resume}: is not the folder of a run. Name one that `dpplan train` made.")
    assert recipe is not None
    return recipes.load(recipe)


def _check_folder(folder: Path) -> None:
    """Raises UsageError where runs are to be put in what is no folder."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"runtime.folder={folder} is a file, and runs are put in folders. Name another one, or --out.")


def _followed(happening: "Generator[Event, None, None]", quiet: bool) -> "TrainReport":
    """As `_follow`. A second Ctrl-C that comes while something is shown breaks the run off as one within a step does:
    the run itself says what is spent."""
    try:
        return _follow(happening, quiet)
    except KeyboardInterrupt as error:
        happening.throw(error)
        raise
    except BrokenPipeError:  # whoever read it has gone, and whoever started it has still spent something
        happening.close()
        output.warn([CLOSED])
        raise


def _follow(happening: "Iterator[Event]", quiet: bool) -> "TrainReport":
    """Shows the run as it goes: a line per epoch, and a bar below them on a terminal. Returns its report."""
    from dpplan.train import Epoch, Step, TrainReport
    from dpplan.train.execution import terminal_text

    with waiting.status(TRYING):  # until the first step is done
        first = next(happening)
    with _bar(shown=sys.stdout.isatty() and not quiet) as bar:
        for number, event in enumerate(itertools.chain([first], happening)):
            if number == 0 and not quiet:
                _say(["", terminal_text.EPOCH_HEAD], bar)
            if isinstance(event, Step) and bar:
                bar.update(bar.task_ids[0], completed=event.step, total=event.steps)
            elif isinstance(event, Epoch) and not quiet:
                _say([terminal_text.epoch_line(event)], bar)
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
    """Prints lines, folded to the terminal; above the bar while there is one."""
    for line in output.as_shown(lines):
        if bar:
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)
