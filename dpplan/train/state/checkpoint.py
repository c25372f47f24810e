"""All that a run needs to go on after it was killed, in one file that is never half written.

Of an unseeded run a checkpoint holds what epsilon covers and nothing besides: parameters, the optimiser's and the
rule's state (computed from released sums) and counts of steps. The state of its generators is not in it: who reads it
could subtract the noise. A run that goes on draws fresh batches and fresh noise, so no noise meets two batches; steps
that were taken after the checkpoint are counted and lost, since their sums were released and cannot be repeated.

Of a seeded run it holds the generators as well, and steps after the checkpoint are repeated bit by bit: the same
batches, noise and sums, which release nothing new. Such a run protects nobody in any case.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from dpplan.checks import show
from dpplan.durable_files import told, write_whole
from dpplan.errors import InputOutputFailed, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan_json import phase_to_json
from dpplan.recipe import Claim, Recipe
from dpplan.sampling import Poisson
from dpplan.train.state.run_identity import Lineage

SCHEMA = "dpplan.checkpoint/3"
MOST_APART = 250  # steps between two checkpoints of a run that says nothing of them
LEAST_OFTEN = 10  # so many checkpoints of a short one: a kill costs a tenth of its steps at most
FREE = ("training.compare_nonprivate",)  # a second model, which no step of this one depends on


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """name: of the recipe. basis: what the run follows, see `basis_of`. steps: updates the model has seen.

    counted: steps begun by then. epochs: how many were closed. trainer: the state of `Trainer`. generators: one state
    for each process of the run, None for an unseeded run. lineage: the run's id and those of its resumes. unaccounted:
    why the run claims nothing, "" of one that claims something.
    """

    name: str
    basis: Mapping[str, Any]
    seed: int | None
    steps: int
    counted: int
    epochs: int
    trainer: Mapping[str, Any]
    generators: tuple[Mapping[str, Any], ...] | None
    lineage: Lineage
    schema: str = SCHEMA
    unaccounted: str = ""

    def save(self, path: Path) -> None:
        """Raises InputOutputFailed when it cannot be written; the one before it stays whole."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content["lineage"] = self.lineage.to_json()
        if not self.unaccounted:
            del content["unaccounted"]  # that an older version reads it
        write_whole(path, lambda stream: torch.save(content, stream))

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Raises UsageError when there is none or one of another version, InputOutputFailed when it is damaged."""
        with told(f"{path}: cannot be read"):
            if not path.exists():
                raise UsageError(f"{path.parent}: holds no checkpoint to go on from. Start the run anew.")
            raw = path.open("rb")
        with raw:
            try:
                _whole(raw)
                content = torch.load(raw, map_location="cpu", weights_only=True)
                if not isinstance(content, dict):
                    raise ValueError("holds something else")
                if content.get("schema") == SCHEMA:
                    return cls(**{**content, "lineage": Lineage.read(content["lineage"])})
            except Exception as error:  # zipfile and torch answer garbage with whatever it leads them to
                if found := re.search(r"Unsupported global: GLOBAL (\S+)", str(error)):
                    raise InputOutputFailed(
                        f"{path}: holds {found[1]}, which torch reads from no file (weights_only). What a "
                        "model's get_extra_state returns is written there: let it be tensors, numbers and text, and "
                        "start the run anew."
                    ) from error
                raise InputOutputFailed(f"{path}: is damaged ({_brief(error)}).") from error
        raise UsageError(f"{path}: is not a checkpoint of this version of dpplan ({SCHEMA}).")

    def differences(self, recipe: Recipe, claim: Claim, processes: int = 1) -> Iterator[str]:
        """What of the recipe, or of the plan that follows from it, is no longer what the run began with.

        processes: how many the run has now. They matter to a seeded run, in which each has batches of its own.
        """
        first = processes if self.generators is None else len(self.generators)
        if processes != first:
            yield f"processes={processes}, and the run, which has a seed, began with {first}."
        now = basis_of(recipe, claim)
        began = _as_now(self.basis)
        for key in sorted(began.keys() | now.keys()):
            before, after = began.get(key), now.get(key)
            if before != after:
                yield f"{key}={_show(after)}, and the run began with {_show(before)}."


def steps_between(checkpoint_every: int | str | None, steps: int) -> int | None:
    """How many steps lie between two checkpoints of a run of so many: as its recipe says, or for auto a tenth of them
    and no more than MOST_APART; None for a run without."""
    if isinstance(checkpoint_every, str):
        return min(MOST_APART, max(steps // LEAST_OFTEN, 1))
    return checkpoint_every


def basis_of(recipe: Recipe, claim: Claim) -> dict[str, Any]:
    """Everything that the model or the claim depends on: the recipe without runtime, check and audit, and the plan.

    Nothing is computed from the examples but their number; a hash of them would tell who knows all but one.
    """
    content = json.loads(json.dumps(recipe.content))
    titles = [title for title in content if title not in {"runtime", "check", "audit"}]
    keys = {f"{title}.{key}": value for title in titles for key, value in content[title].items()}
    phase = claim.phase
    plan = {
        **phase_to_json(phase),
        "examples": claim.plan.examples,
        "delta": claim.delta.value,
    }
    return {key: value for key, value in keys.items() if key not in FREE} | {
        f"plan.{key}": value for key, value in plan.items()
    }


def _as_now(basis: Mapping[str, Any]) -> Mapping[str, Any]:
    """The basis of a checkpoint under today's keys: older ones kept the scheme's settings in an object, unnamed."""
    sampling = basis.get("plan.sampling")
    if not isinstance(sampling, Mapping):
        return basis
    rest = {key: value for key, value in basis.items() if key != "plan.sampling"}
    named = {"plan.mechanism": Gaussian.kind, "plan.sampling": Poisson.kind}
    return rest | named | {f"plan.{key}": value for key, value in sampling.items()}


def _whole(raw: BinaryIO) -> None:
    """Raises unless every byte of every part is what was written: torch reads damaged numbers without a word."""
    with zipfile.ZipFile(raw) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is not what was written")
    raw.seek(0)


def _brief(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0].rstrip(".")
    return first[:80] or type(error).__name__


def _show(value: object) -> str:
    return "nothing" if value is None else show(value)
