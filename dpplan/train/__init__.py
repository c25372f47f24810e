"""Run a recipe: train a model privately, and account for what was really done. The only part that needs torch.

report = train.run(recipe.load("recipes/digits.yaml"))

planned = train.plan(my_recipe)                     # what it will do and cost; nothing has happened yet
for event in train.events(planned): ...             # Step and Epoch as they come, then the TrainReport

planned = train.plan_resumed(Path("runs/digits-001"))   # what is left of a run that was killed

with train.joined() as ranks:                       # several processes, as torchrun starts them, share one run
    planned = train.plan(my_recipe, ranks=ranks)
    for event in train.events(planned): ...         # in the first of them; the others work, and have no events
"""

# ruff: isort: off
import dpplan.train.machine.reproducible_mkl  # noqa: F401  (before anything that loads torch)

# ruff: isort: on
import dataclasses
import secrets
import shlex
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from dpplan import called_modules
from dpplan.checks import show
from dpplan.errors import BudgetExceeded, InputOutputFailed, NotCertified, RecipeError, UsageError
from dpplan.recipe import Recipe
from dpplan.render.number_format import up
from dpplan.train import strategy_rows
from dpplan.train.data import load_for
from dpplan.train.execution.rank_consistency import shared_facts
from dpplan.train.execution.session import Session
from dpplan.train.execution.worker import follow
from dpplan.train.machine.device import cpu_threads, device_named, repeatable
from dpplan.train.machine.signals import ENDING, interrupt_asked
from dpplan.train.ranks import ALONE, Ranks, joined
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.state.report import Epoch, Planned, Resumed, Step, TrainReport
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.run_keys import NoiseKeys, tied
from dpplan.train.state.spent_steps import open_spent_steps
from dpplan.train.step.randomness import TorchGenerators
from dpplan.train.step.sampler import begins_anew
from dpplan.verify.known_steps import steps_on_record
from dpplan.verify.unfinished_run import cost

__all__ = [
    "Epoch",
    "Event",
    "Planned",
    "Ranks",
    "Step",
    "TrainReport",
    "events",
    "joined",
    "plan",
    "plan_resumed",
    "run",
]

Event = Step | Epoch | TrainReport

called_modules.when_called(
    __name__,
    "A recipe is trained, and its report returned, by\n\n"
    "    dpplan.train.run(dpplan.recipe.load('recipes/digits.yaml'))\n\n",
)


def run(recipe: Recipe, *, seed: int | None = None, out: Path | None = None) -> TrainReport:
    """Trains as the recipe says, in this process, and returns the report, which also lies in the run's folder.

    seed: for tests; a seeded run protects nobody. out: the run's folder, which must not exist yet.
    Raises RecipeError, PlanError or NotCertified before the first step. A run that ends early, by Ctrl-C, by SIGTERM or
    because its numbers are no longer finite, returns a report whose status says so, to be looked at before another run.
    """
    *_, last = events(plan(recipe, seed=seed), out=out)
    assert isinstance(last, TrainReport)
    return last


def plan(
    recipe: Recipe,
    *,
    seed: int | None = None,
    over_budget: bool = False,
    unaccounted: bool | str = False,
    ranks: Ranks = ALONE,
) -> Planned:
    """What the run will do and what it will cost. Takes no step and makes no folder.

    over_budget: consents to a recipe with on_budget: continue, whose steps may cost more than its budget; without it,
    BudgetExceeded is raised for such a recipe. unaccounted: consents to a run of which nothing can be proven and
    nothing is claimed; without it, NotCertified is raised for such a recipe, and with it UsageError for all others. A
    text is why, of a run that began so and goes on. ranks: the processes that share the run, each of which plans it;
    each loads the whole data set and draws from its part.
    """
    _check(recipe, seed, over_budget)
    device = device_named(recipe.runtime.device, ranks.local_rank, ranks.local_size)
    dataset = load_for(recipe)
    units = dataset.training.units
    if unaccounted:
        claim = recipe.unaccounted_claim(units, unaccounted if isinstance(unaccounted, str) else "")
    else:
        try:
            claim = recipe.claim(units)
        except NotCertified:  # what cannot run either is refused for that: --unaccounted would be no way out
            strategy_rows.check(recipe.settings(units).with_(noise_multiplier=1.0).plan().only_phase)
            raise
    strategy_rows.check(claim.phase)
    planned = Planned(recipe, claim, dataset, device, seed, over_budget, ranks=ranks)
    if claim.epsilon is not None and planned.over_budget and not over_budget:
        raise BudgetExceeded(
            f"all {claim.phase.steps} steps would spend ε ≤ {up(claim.epsilon.upper)}, more than the budget of "
            f"{show(claim.max_epsilon)}. Set on_budget: stop, or say --over-budget."
        )
    return planned


def plan_resumed(
    folder: Path,
    recipe: Recipe | None = None,
    *,
    over_budget: bool = False,
    moved: bool = False,
    ranks: Ranks = ALONE,
) -> Planned:
    """What is left of the run in this folder, which was killed or interrupted.

    recipe: the one that the run began with, the default, or one that differs from it in its runtime and check blocks
    only. moved: vouches that a folder which was copied or set back is the only one that goes on; all steps that are
    known to have been taken elsewhere are counted. ranks: as for `plan`; each reads the folder. Without a seed there
    may be more or fewer than before. Raises RecipeError with what else differs, UsageError when there is no run to
    continue, InputOutputFailed when its files are damaged.
    """
    begun = RunFolder(folder)
    found = begun.recipe()
    if not begun.checkpoint.exists():
        raise UsageError(
            f"{folder}: holds no checkpoint to go on from. {cost(folder, begun.counted())} Start the run anew."
        )
    if not begun.steps.exists():
        how = f"How to count all that was planned, `dpplan epsilon {shlex.quote(str(folder))}` says."
        gone = f"{begun.steps}: the count of steps cannot be opened: it is gone."
        raise UsageError(f"{gone} {cost(folder, None)} The run cannot go on: start a new one. {how}")
    try:
        checkpoint = Checkpoint.load(begun.checkpoint)
    except InputOutputFailed as error:
        raise InputOutputFailed(
            f"{error} The run cannot go on: start a new one, and count the {begun.begun()} steps or more that this one "
            "has spent."
        ) from error
    recipe = dataclasses.replace(recipe or found, name=checkpoint.name)
    marked = checkpoint.unaccounted or False  # stays so, whatever can be proven by now
    planned = plan(recipe, seed=checkpoint.seed, over_budget=over_budget, unaccounted=marked, ranks=ranks)
    differences = list(checkpoint.differences(recipe, planned.claim, ranks.size))
    if differences:
        raise RecipeError([*differences, f"{folder}: goes on only as it began. Start a new run for anything else."])
    if checkpoint.seed is None and (lost := begun.keys.missing(planned.claim.phase)):
        raise UsageError(f"{folder}: {lost} {cost(folder, begun.counted())}")
    known = max(checkpoint.counted, begun.begun(), steps_on_record(checkpoint.lineage.run))
    return dataclasses.replace(planned, resumed=Resumed(folder, checkpoint, moved, known))


def _check(recipe: Recipe, seed: int | None, over_budget: bool) -> None:
    if seed is not None and recipe.runtime.secure_noise:
        raise UsageError(f"seed={seed} and runtime.secure_noise exclude each other: the system's noise has no seed.")
    if over_budget and recipe.training.on_budget != "continue":
        raise UsageError("--over-budget needs on_budget: continue in the recipe's training block, which says stop.")


def _keys(planned: Planned, folder: RunFolder, begun: int) -> tuple[str, NoiseKeys]:
    """What the steps of an unseeded run share, kept for a resume where there can be one; "" and () for nothing.

    begun: steps of the run so far, whose noise is drawn once more where steps share it.
    """
    if planned.seed is not None:
        return "", ()
    phase, resumed = planned.claim.phase, planned.resumed is not None
    kept, key = planned.recipe.runtime.checkpoint_every is not None, ""
    if not begins_anew(phase.sampling):
        key = (folder.keys.draws or "") if resumed else secrets.token_hex(16)
        if kept and not resumed:
            folder.keys.keep_draws(key)
    return key, folder.keys.noise_from(begun, resumed, kept) if tied(phase) else ()


def events(planned: Planned, *, out: Path | None = None) -> Generator[Event, None, None]:
    """The run as it happens, ending with its report. Ctrl-C and SIGTERM are honoured between two steps.

    out: as for `run`; a run that goes on does so in the folder it has. Of several processes, the first has all events
    and does all the writing; the others take part until it is done, and have none. Raises UsageError in all of them
    when their recipes, data or versions are not the same.
    """
    resumed, ranks = planned.resumed, planned.ranks
    key, counted, noise_keys = "", 0, NoiseKeys()
    with ranks.as_one():
        if ranks.size > 1:
            ranks.agree(shared_facts(planned))
        if ranks.first:
            folder = RunFolder.make(planned.recipe, out) if resumed is None else RunFolder(resumed.folder)
            spent_steps = open_spent_steps(planned, folder)
            counted = spent_steps.counted
            key, noise_keys = _keys(planned, folder, counted)
    key, counted = ranks.gathered((key, counted))[0]
    generators = TorchGenerators(planned.device)
    with cpu_threads(planned.recipe.runtime.threads), repeatable(), generators.left_alone():
        if not ranks.first:
            follow(planned, key, counted)
            return
        with closing(spent_steps), interrupt_asked(ENDING) as interrupted:
            yield from Session(planned, folder, spent_steps, key, noise_keys).events(interrupted)
