"""The trials of a search, and what is released of them: the best, or 'none'. Nothing else leaves this module.

How many trials there were, their settings, scores and times, the losers and the seed of all that are private. They lie
in a folder of their own that only its owner may enter, and that is removed when the search ends, however it ends.

A trial that diverges, or disagrees with its plan, is a trial with the worst score, of which no model is released: to
stop for it would tell that there was one. What is no trial's own doing (Ctrl-C, a full disk) ends the search, and then
nothing is released.
"""

import math
import os
import random
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import joblib

from dpplan import train
from dpplan.durable_files import told
from dpplan.errors import InputOutputFailed, TrainingStopped
from dpplan.recipe import Recipe
from dpplan.recipe.grid import Setting
from dpplan.rounding import up
from dpplan.train.data import load_for
from dpplan.train.machine.signals import interrupt_deferred, interrupt_remembered, nothing_kept
from dpplan.tuning.search_plan import SearchPlan
from dpplan.tuning.trial_count import drawn

STATE = "XDG_STATE_HOME"  # where runs are counted for this user: for trials a private folder, as they are private
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
    """right: the fraction of held-out examples; None where there is no model to release."""

    right: float | None
    interrupted: bool = False


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
    made = _made(out)
    with interrupt_remembered() as pressed:
        try:
            with _private(out) as private:
                with _untold(out):
                    won = _best(plan, private, jobs, seed, pressed)
                with interrupt_deferred() as late:  # half a release would be one as well
                    _keep(won, made)
                    if release is not None:
                        release(won, made)
        except BaseException as error:
            with interrupt_deferred():
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
    with _own_state(task.folder.parent):
        try:
            report = train.run(recipe, seed=task.seed, out=task.folder)
        except TrainingStopped:
            return TrialOutcome(None)
    if report.status == "interrupted":
        return TrialOutcome(None, interrupted=True)
    # Only what ε covers may decide: how many were drawn does not, and its tests against the plan are left aside.
    as_planned = all(check.agrees for check in report.verdict if check.covered)
    if report.status != "finished" or not as_planned or report.held_out_accuracy is None:
        return TrialOutcome(None)
    return TrialOutcome(report.held_out_accuracy)


@contextmanager
def _own_state(folder: Path) -> Iterator[None]:
    before = os.environ.get(STATE)
    os.environ[STATE] = str(folder.resolve() / "state")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(STATE, None)
        else:
            os.environ[STATE] = before


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
        with interrupt_deferred():
            shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            raise InputOutputFailed(f"{folder}: cannot be removed, and what is in it is private. Remove it.")


def _keep(won: Winner, out: Path) -> None:
    if won.files is None:
        return
    with told(f"{out}: cannot be written"):
        for name in (*KEPT, *won.kept):
            (out / name).parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(won.files / name, out / name)
