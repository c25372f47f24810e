"""Models of a recipe, each on its own coin-flipped half of the examples; attacks on them; and the verdict.

Every example, held-out ones too, is in each model by a fair coin of its own. All models are attacked, each with the
others as its shadows: that gives the rates. The verdict and the bound rest on the first model alone, whose coins no
other model knows: an audit in one run, with the examples as its canaries and the plan's own trade-off as the claim.

What is found rests on members: it is private, whatever it says.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from dpplan.audit import AuditFinding, AuditSettings, Hypothesis, audit
from dpplan.audit.membership_attacks import ATTACKS, Roc, ShadowRuns, pooled, roc, scores_of
from dpplan.errors import RecipeError, TrainingStopped
from dpplan.recipe import Recipe
from dpplan.risk import TradeOff, source_of_plan
from dpplan.sampling import Poisson
from dpplan.train.shadows.cache import ShadowFolder, default_folder, key_of
from dpplan.train.shadows.one_model import ShadowTask, trained
from dpplan.train.state.report import Planned

RATES = (1e-1, 1e-2, 1e-3)  # false-positive rates that are told
STREAM = 0x73686477  # of a seeded attack: another one than those of runs and of canaries
LEAST_EXAMPLES = 20
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ShadowAttack:
    """shadows: models besides the one of the verdict. jobs: processes. folder: what was trained is kept there, and not
    trained again; None: a name of its own for recipe, data and seed, in the folder of the runs."""

    attacks: tuple[str, ...] = ATTACKS
    shadows: int = 16
    jobs: int = 1
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """By attack: its curve over all models, and its audit of the first. ceilings: the most that the plan allows at each
    of the rates."""

    planned: Planned
    runs: ShadowRuns = field(repr=False)
    folder: Path
    curves: dict[str, Roc]
    findings: dict[str, AuditFinding]
    ceilings: dict[float, float]
    trade_off: TradeOff = field(repr=False)

    @property
    def violation(self) -> bool:
        return any(found.violation for found in self.findings.values())


def attacked(
    planned: Planned,
    wanted: ShadowAttack,
    delta: float | None = None,
    level: float = 0.05,
    progress: Progress | None = None,
) -> Membership:
    """Trains what is not in the folder yet, and attacks. Writes to that folder and nowhere else.

    delta: the claim's own if not given. Raises RecipeError for schemes that know who is in, or for too few examples;
    TrainingStopped when a model diverges, which says nothing of privacy.
    """
    claim = planned.claim
    if type(claim.phase.sampling) is not Poisson:
        raise RecipeError(
            f"privacy.sampling={planned.recipe.privacy.sampling}: models with coins for members need sampling: poisson "
            "where an example that is left out changes nobody else's batch. Audit scores of your own models instead."
        )
    parts = planned.dataset.training, planned.dataset.held_out
    inputs = np.concatenate([part.inputs.cpu().numpy() for part in parts])
    targets = np.concatenate([part.targets.cpu().numpy() for part in parts])
    if len(targets) < LEAST_EXAMPLES:
        raise RecipeError(f"{len(targets)} examples are too few to attack. There have to be {LEAST_EXAMPLES} or more.")
    recipe = planned.recipe.with_runtime(
        compile=False, threads=1 if wanted.jobs > 1 else planned.recipe.runtime.threads
    )
    key = key_of(recipe.sha256, planned.seed, inputs, targets)
    where = wanted.folder or default_folder(Path(recipe.runtime.folder), recipe.name, key)
    folder = ShadowFolder.opened(where, key)
    models = list(_models(planned, replace(wanted, folder=where), folder, (recipe, inputs, targets), progress))
    runs = ShadowRuns(np.stack([member for member, _ in models]), np.stack([told for _, told in models]))
    at = float(claim.delta.value) if delta is None else delta
    hypothesis, trade_off = Hypothesis.of_plan(claim.plan, at), TradeOff(source_of_plan(claim.plan))
    settings = AuditSettings(at, level / len(wanted.attacks))
    return Membership(
        planned,
        runs,
        where,
        {name: roc(pooled(runs, name)) for name in wanted.attacks},
        {name: audit(scores_of(runs, name, 0), hypothesis, settings) for name in wanted.attacks},
        {rate: trade_off.at(rate).upper for rate in RATES},
        trade_off,
    )


Model = tuple[NDArray[np.bool_], NDArray[np.float64]]


def _models(
    planned: Planned,
    wanted: ShadowAttack,
    folder: ShadowFolder,
    rows: tuple[Recipe, NDArray[Any], NDArray[np.int64]],
    progress: Progress | None,
) -> Iterator[Model]:
    """All models in the order of their numbers, from the folder or trained now."""
    count, examples = wanted.shadows + 1, len(rows[2])
    found = {number: folder.load(number, examples) for number in range(count)}
    missing = [number for number, model in found.items() if model is None]
    tasks = [(number, _task(planned, number, *rows)) for number in missing]
    for done, (number, model) in enumerate(_trained(tasks, wanted.jobs), count - len(missing) + 1):
        folder.save(number, *model)
        found[number] = model
        if progress is not None:
            progress(done, count)
    yield from (model for model in found.values() if model is not None)


def _task(
    planned: Planned, number: int, recipe: Recipe, inputs: NDArray[Any], targets: NDArray[np.int64]
) -> ShadowTask:
    """The coins of a model, and the seed of its run."""
    seed = None
    coins = np.random.default_rng()
    if planned.seed is not None:
        stream = np.random.SeedSequence((STREAM, planned.seed, number))
        seed = int.from_bytes(stream.generate_state(4).tobytes(), "little")
        coins = np.random.default_rng((STREAM, planned.seed, number, 1))
    member = coins.integers(0, 2, len(targets)).astype(bool)
    dataset, device = planned.dataset, str(planned.device)
    phase = planned.claim.phase
    return ShadowTask(recipe, phase, inputs, targets, dataset.classes, dataset.words, device, member, seed)


def _trained(tasks: list[tuple[int, ShadowTask]], jobs: int) -> Iterator[tuple[int, Model]]:
    """As many at a time as the back end works on at once: every one of joblib's can do that, and each is kept at once.

    Raises TrainingStopped when a model's answers are no numbers.
    """
    at_once = max(1, joblib.effective_n_jobs(jobs)) if tasks else 1
    with joblib.Parallel(n_jobs=jobs) as pool:
        if at_once > 1:
            with _deaf():
                pool(joblib.delayed(int)() for _ in range(at_once))
        for piece in _pieces(tasks, at_once):
            answers = pool(joblib.delayed(trained)(task) for _, task in piece)
            for (number, task), confidence in zip(piece, answers, strict=True):
                if np.isnan(confidence).any():
                    raise TrainingStopped("the attack stopped on a model that diverged. Try a lower learning_rate.")
                yield number, (task.member, confidence)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start in here hear no Ctrl-C: it is for this one, which ends them; each would tell of it."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if here else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _pieces(tasks: list[tuple[int, ShadowTask]], size: int) -> Iterator[list[tuple[int, ShadowTask]]]:
    yield from (tasks[start : start + size] for start in range(0, len(tasks), size))
