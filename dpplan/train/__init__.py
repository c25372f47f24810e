"""Run a recipe: train a model privately, and account for what was really done. The only part that needs torch.

report = train.run(recipe.load("recipes/digits.yaml"))

planned = train.plan(my_recipe)                     # what it will do and cost; nothing has happened yet
for event in train.events(planned): ...             # Step and Epoch as they come, then the TrainReport

planned = train.plan_resumed(Path("runs/digits-001"))   # what is left of a run that was killed
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from dpplan.errors import BudgetExceeded, RecipeError, UsageError
from dpplan.recipe import Recipe
from dpplan.render.numbers import up
from dpplan.train.checkpoint import Checkpoint
from dpplan.train.data import load
from dpplan.train.folder import RunFolder
from dpplan.train.machine import cpu_threads, device_named, interrupt_asked
from dpplan.train.report import Epoch, Planned, Resumed, Step, TrainReport
from dpplan.train.session import Session

__all__ = ["Epoch", "Event", "Planned", "Step", "TrainReport", "events", "plan", "plan_resumed", "run"]

Event = Step | Epoch | TrainReport


def run(recipe: Recipe, *, seed: int | None = None, out: Path | None = None) -> TrainReport:
    """Trains as the recipe says and returns the report, which also lies in the run's folder.

    seed: for tests; a seeded run protects nobody. out: the run's folder, which must not exist yet.
    Raises RecipeError, PlanError or NotCertified before the first step. A run that ends early, by Ctrl-C or
    because its numbers are no longer finite, returns a report whose status says so.
    """
    *_, last = events(plan(recipe, seed=seed), out=out)
    assert isinstance(last, TrainReport)
    return last


def plan(recipe: Recipe, *, seed: int | None = None, over_budget: bool = False) -> Planned:
    """What the run will do and what it will cost. Takes no step and makes no folder.

    over_budget: consents to a recipe with on_budget: continue, whose steps may cost more than its budget; without it,
    BudgetExceeded is raised for such a recipe.
    """
    _check(recipe, seed, over_budget)
    device = device_named(recipe.runtime.device)
    dataset = load(recipe.data)
    planned = Planned(recipe, recipe.claim(dataset.training.examples), dataset, device, seed, over_budget)
    if planned.over_budget and not over_budget:
        raise BudgetExceeded(
            f"all {planned.claim.phase.steps} steps would spend ε ≤ {up(planned.claim.epsilon.upper)}, more than the "
            f"budget of {up(planned.claim.max_epsilon)}. Set on_budget: stop, or say --over-budget."
        )
    return planned


def plan_resumed(folder: Path, recipe: Recipe | None = None, *, over_budget: bool = False) -> Planned:
    """What is left of the run in this folder, which was killed or interrupted.

    recipe: the one that the run began with, the default, or one that differs from it in its runtime and check blocks
    only. Raises RecipeError with what else differs, UsageError when there is no run to continue.
    """
    begun = RunFolder(folder)
    found = begun.recipe()
    checkpoint = Checkpoint.load(begun.checkpoint)
    recipe = dataclasses.replace(recipe or found, name=checkpoint.name)
    planned = plan(recipe, seed=checkpoint.seed, over_budget=over_budget)
    differences = list(checkpoint.differences(recipe, planned.claim))
    if differences:
        raise RecipeError([*differences, f"{folder}: goes on only as it began. Start a new run for anything else."])
    return dataclasses.replace(planned, resumed=Resumed(folder, checkpoint))


def _check(recipe: Recipe, seed: int | None, over_budget: bool) -> None:
    if seed is not None and recipe.runtime.secure_noise:
        raise UsageError(f"seed={seed} and runtime.secure_noise exclude each other: the system's noise has no seed.")
    if over_budget and recipe.training.on_budget != "continue":
        raise UsageError("--over-budget needs on_budget: continue in the recipe's training block, which says stop.")


def events(planned: Planned, *, out: Path | None = None) -> Iterator[Event]:
    """The run as it happens, ending with its report. Ctrl-C is honoured between two steps.

    out: as for `run`; a run that goes on does so in the folder it has.
    """
    resumed = planned.resumed
    folder = RunFolder.make(planned.recipe, out) if resumed is None else RunFolder(resumed.folder)
    with cpu_threads(planned.recipe.runtime.threads), interrupt_asked() as interrupted:
        yield from Session(planned, folder).events(interrupted)
