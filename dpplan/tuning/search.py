"""The trials of a search, and what is released of them: the best, or 'none'. Nothing else leaves this module.

How many trials there were, their settings, scores and times, the losers and the seed of all that are private. They lie
in a folder of their own that only its owner may enter, and that is removed when the search ends, however it ends but by
SIGKILL. Nothing that runs in a trial reaches the screen, and what is released is made anew at the end: a folder that
was there from the beginning would keep for how long the search ran.

A trial that diverges, or disagrees with its plan, is a trial with the worst score, of which no model is released: to
stop for it would tell that there was one. What ε does not cover cannot be an answer: where a model fails on what it
sees, or keeps it, the search ends. So it does for what is no trial's own doing (Ctrl-C, a full disk). Then nothing is
released.
"""

import math
import os
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import joblib

from dpplan import train
from dpplan.durable_files import told
from dpplan.errors import InputOutputFailed, TrainingStopped
from dpplan.recipe import Recipe
from dpplan.recipe.grid import Setting
from dpplan.rounding import up
from dpplan.train.data import load_for
from dpplan.train.machine.signals import every_end, interrupt_deferred, interrupt_remembered, nothing_kept
from dpplan.tuning.search_plan import SearchPlan
from dpplan.tuning.trial_count import drawn

# Where runs are counted for this user, and where torch keeps what it compiled, which tells the settings and times of
# trials: for them folders within the private one.
PLACES = {"XDG_STATE_HOME": "state", "TORCHINDUCTOR_CACHE_DIR": "compiled", "TRITON_CACHE_DIR": "compiled/triton"}
KEPT = ("model.pt", "recipe.yaml")  # of the best trial


@dataclass(frozen=True, slots=True)
class TrialTask:
    """What a process needs for one trial. folder: its run's, which does not exist yet."""

    recipe: Recipe
    folder: Path
    seed: int | None
    threads: int | None


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """right: the fraction of held-out examples; None where there is no model to release. stopped: because of what the
    model did with what it saw, which ε does not cover."""

    right: float | None
    interrupted: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Winner:
    """setting: None for 'none', of no trial. score: with its noise, where it has some; None of a trial that failed.
    files: of the model, in a private folder. kept: what lies beside its recipe, which names it. pressed: whether Ctrl-C
    came when it was being released, and was too late."""

    setting: Setting | None
    score: float | None = None
    files: Path | None = None
    kept: tuple[str, ...] = ()
    pressed: bool = False


def searched(plan: SearchPlan, out: Path, jobs: int = 1, seed: int | None = None,
             release: Callable[[Winner, Path], None] | None = None) -> Winner:  # fmt: skip
    """Makes the trials, and moves the best of them to `out`, a new folder. release: writes what else goes there.

    Raises TrainingStopped where it was interrupted, and whatever else ended it; then nothing is released.
    """
    ends = every_end()
    made = _made(out)
    with interrupt_remembered(ends) as pressed:
        try:
            with _private(out) as private:
                with _untold(out), _unheard():
                    won = _best(plan, private, jobs, seed, pressed)
                with interrupt_deferred(ends) as late:  # half a release would be one as well
                    kept = _kept(won, private)
                    if release is not None:
                        release(won, kept)
                    _moved(kept, made)
        except BaseException as error:
            with interrupt_deferred(ends):
                shutil.rmtree(made, ignore_errors=True)
            if isinstance(error, KeyboardInterrupt):
                raise TrainingStopped(interrupted(plan)) from None
            raise
    return replace(won, pressed=late())


def interrupted(plan: SearchPlan) -> str:
    """What an interrupted search has told and spent, and what to do next."""
    whole = "" if plan.spent.upper is None else f", ε ≤ {up(plan.spent.upper)}"
    return (
        "the search was interrupted: nothing is released, and nothing was shown. So it spends nothing, as long as "
        "nobody stopped it for how long it ran, which is private; where that is not sure, count it as a whole search"
        f"{whole}. It cannot go on. The same call begins another search, which spends its own ε."
    )


def stopped(plan: SearchPlan) -> str:
    """What a search has told that ended because of a trial's model."""
    whole = "" if plan.spent.upper is None else f", ε ≤ {up(plan.spent.upper)}"
    return (
        "the search stopped: in a trial the model failed on what it saw, or kept it, as it never did before. Nothing "
        "is released. That the search ended, and when, may tell of one example, which ε does not cover: keep it to "
        f"yourself, count it as a whole search{whole}, and make the model accept every input."
    )


def _best(plan: SearchPlan, private: Path, jobs: int, seed: int | None, pressed: Callable[[], bool]) -> Winner:
    """pressed: whether Ctrl-C came, also where a trial that was over did not hear it."""
    generator: random.Random = random.SystemRandom() if seed is None else random.Random(seed)
    count = drawn(plan.trials, secrets.randbits if seed is None else generator.getrandbits)
    chosen = [generator.randrange(len(plan.settings)) for _ in range(count)]
    tasks = [_task(plan, number, which, private, generator if seed is not None else None, jobs)
             for number, which in enumerate(chosen)]  # fmt: skip
    best, place = (-math.inf, -1.0), -1
    scores: list[float | None] = []
    for number, outcome in enumerate(_outcomes(tasks, jobs)):
        if outcome.interrupted or pressed():
            raise TrainingStopped(interrupted(plan))
        if outcome.stopped:
            raise TrainingStopped(stopped(plan))
        scores.append(None if outcome.right is None else _scored(plan, outcome.right, generator))
        ranked = (-math.inf if scores[-1] is None else scores[-1], generator.random())  # ties: by an independent draw
        if place < 0 or ranked > best:
            best, place = ranked, number
    if pressed():  # before any trial, or where none was made
        raise TrainingStopped(interrupted(plan))
    if place < 0:
        return Winner(None)
    files = tasks[place].folder if scores[place] is not None else None
    noise = tasks[place].recipe.privacy.noise
    beside = () if noise is None or noise.strategy is None or Path(noise.strategy).is_absolute() else (noise.strategy,)
    return Winner(plan.settings[chosen[place]], scores[place], files, beside)


def _task(
    plan: SearchPlan, number: int, which: int, private: Path, seeds: random.Random | None, jobs: int
) -> TrialTask:
    # A trial shows nothing of its examples, and is not resumed.
    recipe = plan.recipes[which].with_twin(False).with_watch(0).with_runtime(private_logs=False, checkpoint_every=None)
    seed = None if seeds is None else seeds.randrange(2**63)
    return TrialTask(recipe, private / f"{number:06}", seed, 1 if jobs > 1 else None)


def _outcomes(tasks: list[TrialTask], jobs: int) -> Iterator[TrialOutcome]:
    """In the order of the tasks. Ctrl-C waits for no step of a trial: an interrupted search keeps none of it."""
    if jobs == 1:
        with nothing_kept():
            yield from map(trial, tasks)
        return
    yield from joblib.Parallel(n_jobs=jobs, return_as="generator")(joblib.delayed(trial)(task) for task in tasks)


def trial(task: TrialTask) -> TrialOutcome:
    """One trial, from its first step to its score."""
    recipe = task.recipe if task.threads is None else task.recipe.with_runtime(threads=task.threads)
    with _own_places(task.folder.parent):
        try:
            report = train.run(recipe, seed=task.seed, out=task.folder)
        except TrainingStopped:  # divergence is a status of the report; this was the model, or its batches
            return TrialOutcome(None, stopped=True)
    if report.status == "interrupted":
        return TrialOutcome(None, interrupted=True)
    # Only what ε covers may decide: how many were drawn does not, and its tests against the plan are left aside.
    as_planned = all(check.agrees for check in report.verdict if check.covered)
    if report.status != "finished" or not as_planned or report.held_out_accuracy is None:
        return TrialOutcome(None)
    return TrialOutcome(report.held_out_accuracy)


@contextmanager
def _own_places(folder: Path) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in PLACES}
    os.environ.update({name: str(folder.resolve() / place) for name, place in PLACES.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _unheard() -> Iterator[None]:
    """What a model of the user's or a library prints in trials, and warns of, tells how many there are: it goes
    nowhere, and neither does what processes print that are started inside."""
    with ExitStack() as open_files:
        nowhere = open_files.enter_context(open(os.devnull, "w", encoding="utf-8"))
        for number, stream in enumerate((sys.stdout, sys.stderr), 1):
            _flush(stream)
            with suppress(OSError):  # it may be closed
                screen = os.dup(number)
                open_files.callback(os.close, screen)
                os.dup2(nowhere.fileno(), number)
                open_files.callback(os.dup2, screen, number)
                open_files.callback(_flush, stream)  # of who had the stream before
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            yield


def _flush(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):  # it may be closed, or none
        stream.flush()  # type: ignore[union-attr]


def _scored(plan: SearchPlan, right: float, generator: random.Random) -> float:
    """The score: the fraction itself, or the number with two-sided geometric noise, as the plan says."""
    if plan.score.epsilon is None:
        return right
    held_out = load_for(plan.recipe).held_out.examples
    return (round(right * held_out) + noise(plan.score.epsilon, generator)) / held_out


def noise(epsilon: float, generator: random.Random) -> int:
    """k with probability proportional to e^(-ε|k|): the difference of two geometric numbers of failures.

    Each is the sum of 2^j over those binary digits j that are 1, which they are independently, with the odds e^(-ε·2^j)
    to 1; far digits, of chance below e^-40, are left out.
    """
    return _geometric(epsilon, generator) - _geometric(epsilon, generator)


def _geometric(epsilon: float, generator: random.Random) -> int:
    digits = max(math.ceil(math.log2(40.0 / epsilon)), 1)
    return sum(2**j for j in range(digits) if generator.random() < 1.0 / (1.0 + math.exp(min(epsilon * 2**j, 700.0))))


def _made(out: Path) -> Path:
    with told(f"{out}: cannot be made"):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.mkdir()
    return out


@contextmanager
def _untold(out: Path) -> Iterator[None]:
    """What fails in a trial is told without its name and its steps: they tell how many trials there were by then."""
    try:
        yield
    except InputOutputFailed as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__
        said = f": {cause.strerror}" if cause is not None and cause.strerror else ""
        raise InputOutputFailed(
            f"{out}: the files of the search could not be used{said}. Nothing is released."
        ) from None


@contextmanager
def _private(out: Path) -> Iterator[Path]:
    """A folder that only its owner may enter, on the disk of the released one; removed with all that is in it."""
    with told(f"{out.parent}: cannot be used"):
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-private-", dir=out.parent))
        text = "The trials of a search that goes on, or was killed: private, and to be removed.\n"
        (folder / "PRIVATE").write_text(text, encoding="utf-8")
    try:
        yield folder
    finally:
        with interrupt_deferred(every_end()):
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise InputOutputFailed(f"{folder}: cannot be removed, and what is in it is private. Remove it.")


def _kept(won: Winner, private: Path) -> Path:
    """A new folder with what is released of the best trial."""
    folder = private / "released"
    with told(f"{folder}: cannot be written"):
        folder.mkdir()
        if won.files is None:
            return folder
        for name in (*KEPT, *won.kept):
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(won.files / name, folder / name)
    return folder


def _moved(kept: Path, out: Path) -> None:
    """Puts it in the place of the empty folder that the search began with, whose age tells for how long it ran."""
    with told(f"{out}: cannot be written"):
        out.rmdir()
        kept.rename(out)
