"""Run a recipe: train a model privately, and account for what was really done. The only part that needs torch.

report = train.run(recipe.load("recipes/digits.yaml"))

planned = train.plan(my_recipe)                     # what it will do and cost; nothing has happened yet
for event in train.events(planned): ...             # Step and Epoch as they come, then the TrainReport
"""

from collections.abc import Iterator
from pathlib import Path

from dpplan.recipe import Recipe
from dpplan.train.data import load
from dpplan.train.folder import RunFolder
from dpplan.train.machine import cpu_threads, device_named, interrupt_asked
from dpplan.train.report import Epoch, Planned, Step, TrainReport
from dpplan.train.session import Session

__all__ = ["Epoch", "Event", "Planned", "Step", "TrainReport", "events", "plan", "run"]

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


def plan(recipe: Recipe, *, seed: int | None = None) -> Planned:
    """What the run will do and what it will cost. Takes no step and makes no folder."""
    device = device_named(recipe.runtime.device)
    dataset = load(recipe.data)
    return Planned(recipe, recipe.claim(dataset.training.examples), dataset, device, seed)


def events(planned: Planned, *, out: Path | None = None) -> Iterator[Event]:
    """The run as it happens, ending with its report. Ctrl-C is honoured between two steps."""
    folder = RunFolder.make(planned.recipe, out)
    with cpu_threads(planned.recipe.runtime.threads), interrupt_asked() as interrupted:
        yield from Session(planned, folder).events(interrupted)
