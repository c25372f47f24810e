"""Runs that the tests of the rules start from: nothing is wrong with them."""

import dataclasses
from typing import Any

from dpplan import lint
from dpplan.plan import Delta, Settings

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
