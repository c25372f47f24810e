"""Runs that the tests of the rules start from: nothing is wrong with them."""

import dataclasses
from typing import Any

from dpplan import lint
from dpplan.plan import Delta, Settings

SETTINGS = Settings(noise_multiplier=1.1, examples=60_000, batch_size=256, epochs=60)
OWN = lint.Data(source="file", kind="own")
PUBLIC = lint.Data(source="mnist", kind="public")
MADE = lint.Data(source="blobs", kind="made")


def of_options(delta: float = 1e-6, run: dict[str, Any] | None = None, **settings: Any) -> lint.Run:
    """A plan made of options; settings replace those of SETTINGS, run the fields of the run."""
    said = dataclasses.replace(SETTINGS, **settings)
    return lint.Run(settings=said, plan=lint.plan_of(said), delta=Delta(delta), **(run or {}))


def of_recipe(**run: Any) -> lint.Run:
    """The same plan from a recipe, on published data and with a model that was looked at."""
    fields = {"recipe": "mine", "sha256": "a", "data": PUBLIC, "model": lint.Model()} | run
    return of_options(run=fields)


def found(run: lint.Run, code: str) -> list[lint.Finding]:
    return [finding for finding in lint.check(run) if finding.code == code]


def only(run: lint.Run, code: str) -> lint.Finding:
    (finding,) = found(run, code)
    return finding
