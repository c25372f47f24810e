"""Whole runs that are interrupted after a step, and what is left of them."""

import signal
from pathlib import Path
from typing import Any

from dpplan import train
from dpplan.recipe import Recipe
from dpplan.train import Step, TrainReport
from dpplan.train.execution import terminal_text
from dpplan.train.ranks import joined


def interrupted(folder: Path, recipe: Recipe, at: int, seed: int | None = None) -> TrainReport:
    """Ctrl-C after step `at`."""
    report = None
    for event in train.events(train.plan(recipe, seed=seed), out=folder):
        if isinstance(event, Step) and event.step == at:
            signal.raise_signal(signal.SIGINT)
        report = event
    assert isinstance(report, TrainReport)
    return report


def resumed(folder: Path, recipe: Recipe | None = None) -> TrainReport:
    *_, last = train.events(train.plan_resumed(folder, recipe))
    assert isinstance(last, TrainReport)
    return last


def running(recipe: Recipe, seed: int | None, out: Path, stop: int | None = None, resume: bool = False) -> Any:
    """A run, or what is left of it, and what came of it; interrupted after step `stop`, on all ranks at once."""
    with joined() as ranks:
        if resume:
            planned, out_or_none = train.plan_resumed(out, ranks=ranks), None
        else:
            planned, out_or_none = train.plan(recipe, seed=seed, ranks=ranks), out
        if not ranks.first and stop is not None:
            signal.raise_signal(signal.SIGINT)  # which a follower does not listen to
        events = []
        for event in train.events(planned, out=out_or_none):
            if isinstance(event, train.Step) and event.step == stop:
                signal.raise_signal(signal.SIGINT)
            events.append(event)
        if not ranks.first:
            return len(events)
        report = events[-1]
        lines = [*terminal_text.plan_lines(planned), *terminal_text.report_lines(report)]
        return report.status, report.steps, report.lost, report.agrees, lines
