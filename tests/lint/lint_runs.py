"""Runs that the tests of the rules start from: nothing is wrong with them."""

import dataclasses
import re
from typing import Any

from dpplan import lint
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.mechanism import BestOfTrials, ToeplitzNoise
from dpplan.plan import Delta, Phase, Plan, Settings
from dpplan.sampling import Poisson, Sampling

SETTINGS = Settings(noise_multiplier=1.1, examples=60_000, batch_size=256, epochs=60)
OWN = lint.DataUse(source="file", kind="own")
PUBLIC = lint.DataUse(source="mnist", kind="public")
MADE = lint.DataUse(source="blobs", kind="made")


def of_options(delta: float = 1e-6, run: dict[str, Any] | None = None, **settings: Any) -> lint.LintContext:
    """A plan made of options; settings replace those of SETTINGS, run the fields of the run."""
    said = dataclasses.replace(SETTINGS, **settings)
    return lint.LintContext(settings=said, plan=lint.plan_of(said), delta=Delta(delta), **(run or {}))


def of_recipe(**run: Any) -> lint.LintContext:
    """The same plan from a recipe, on published data and with a model that was looked at."""
    fields = {"recipe": "mine", "sha256": "a", "data": PUBLIC, "model": lint.ModelFindings()} | run
    return of_options(run=fields)


def found(run: lint.LintContext, code: str) -> list[lint.Finding]:
    return [finding for finding in lint.check(run) if finding.code == code]


def only(run: lint.LintContext, code: str) -> lint.Finding:
    (finding,) = found(run, code)
    return finding


def looping(**loop: Any) -> lint.LintContext:
    return of_options(run={"loop": lint.Loop(**loop)})


def of_plan(*phases: Phase, **loop: Any) -> lint.LintContext:
    tied = any(isinstance(phase.mechanism, ToeplitzNoise) for phase in phases)
    plan = Plan(phases, adjacency=ZERO_OUT if tied else ADD_REMOVE, examples=60_000)
    return dataclasses.replace(looping(**loop), plan=plan)


def tied(participations: int, sampling: Sampling) -> Phase:
    return Phase(ToeplitzNoise(20.0, bands=4, participations=participations), sampling, 30)


def searching(trial: Phase) -> Phase:
    return Phase(BestOfTrials("geometric", 3.0, (trial,)), Poisson(1.0), 1)


def figure(pattern: str, text: str) -> float:
    """The number that follows the pattern."""
    stated = re.search(pattern + r" ([\d.e+-]*\d)", text)
    assert stated, text
    return float(stated[1])
