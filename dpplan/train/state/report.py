"""What a run says about itself while it goes and when it is over.

Figures come in two kinds that are never mixed. What follows from the plan, the number of steps and the noisy
parameters is covered by epsilon. What was seen without noise (losses, accuracies, counts) is not, and stands
under `not_covered_by_epsilon` wherever it is written.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import dpplan
from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.plan_json import phase_to_json
from dpplan.recipe import Claim, Recipe
from dpplan.render.to_json import figure
from dpplan.rounding import up_apart
from dpplan.train.clipping import Arithmetic, Isolation
from dpplan.train.conformance import LEVEL, Measurement
from dpplan.train.data import Dataset
from dpplan.train.data.users import RULE
from dpplan.train.machine.reproducible_mkl import VARIABLE
from dpplan.train.ranks import ALONE, Ranks
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.step.randomness import SEEDED
from dpplan.verify.early_end import CONDITION
from dpplan.verify.unaccounted import KEY, UNKNOWN

SCHEMA = "dpplan.train/1"
NETWORK = "nobody reads what passes between the processes: sums without noise, not encrypted"
CLAIMS_NOTHING = f"begun with --unaccounted: {UNKNOWN}"
EARLY_STOP = f"holds if {CONDITION}; otherwise the planned epsilon holds"
SEEN = ("drawn", "dropped", "loss", "accuracy", "clipped")  # of an epoch: what epsilon does not cover
LOST = "stopped by the loss of a process"
Status = Literal["finished", "interrupted", "stopped"]


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run that was broken off: its folder, and the checkpoint it goes on from.

    moved: whether the user vouches for a folder that was copied or set back: no other copy goes on. begun: steps that
    are known to have been begun.
    """

    folder: Path
    checkpoint: Checkpoint = field(repr=False)
    moved: bool = False
    begun: int = 0

    @property
    def lost(self) -> int:
        """Steps that are spent and not in the model; none of a seeded run, which takes them once more."""
        return 0 if self.checkpoint.generators is not None else max(self.begun - self.checkpoint.steps, 0)

    def to_json(self) -> dict[str, int]:
        return {"step": self.checkpoint.steps, "spent_steps": self.begun, "lost_steps": self.lost}


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that is settled and has not begun: what it will do, what it will cost, on which examples.

    past_budget: whether it may take steps that the budget does not pay for. resumed: None for a run from its start.
    ranks: the processes that share the run.
    """

    recipe: Recipe
    claim: Claim
    dataset: Dataset = field(repr=False)
    device: torch.device
    seed: int | None = None
    past_budget: bool = False
    resumed: Resumed | None = None
    ranks: Ranks = ALONE

    @property
    def over_budget(self) -> bool:
        return self.claim.exceeded_by(self.claim.epsilon)

    @property
    def drawn(self) -> str:
        """What is drawn and clipped: example, or user where users are drawn whole."""
        return "example" if self.dataset.training.members is None else "user"

    @property
    def _protected(self) -> str:
        return "examples" if self.dataset.users is None else "users"

    def to_json(self) -> dict[str, Any]:
        claim, phase, users = self.claim, self.claim.phase, self.dataset.users
        return {
            "schema": SCHEMA,
            "recipe": {"name": self.recipe.name, "sha256": self.recipe.sha256, **self.recipe.content},
            "seeded": self.seed is not None,
            "seed": self.seed,
            "seed_note": SEEDED if self.seed is not None else None,
            "assumptions": {
                **claim.plan.assumptions.to_json(),
                "unit_is_one_of": f"the training {self._protected}; held-out {self._protected} are not protected",
                "public": f"the number of training {self.drawn}s, the shape of an example, which classes and which "
                "words there are",
                "randomness": _randomness(self.recipe),
                "network": NETWORK if self.ranks.size > 1 else None,
            },
            "planned": {
                **phase_to_json(phase),
                "adjacency": claim.plan.adjacency.name,
                "privacy_unit": claim.plan.privacy_unit,
                **({} if claim.plan.max_per_user is None else {"max_per_user": claim.plan.max_per_user}),
                **({} if users is None else {"examples_kept_per_user": users.most, "examples_kept": RULE}),
                "clip_norm": claim.clip_norm,
                "examples": claim.plan.examples,
                "held_out_examples": self.dataset.held_out.examples,
                "batch_size": claim.plan.batch_size,
                "derivation": dict(claim.plan.derivation),
                "delta": claim.delta.value,
                "delta_reason": claim.delta.reason,
                "target_epsilon": claim.target_epsilon,
                "max_epsilon": claim.max_epsilon,
                "over_budget": _over(claim, self.over_budget),
                "epsilon": _figure(claim.epsilon),
            },
            **({KEY: claim.unaccounted} if claim.unaccounted else {}),
            **({} if self.resumed is None else {"goes_on_from": self.resumed.to_json()}),
            "device": str(self.device),
            "processes": self.ranks.size,
            "software": {
                "dpplan": dpplan.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
        }


def _figure(bound: Bound | None) -> dict[str, Any] | None:
    """null where nothing is claimed, and never a 0."""
    return None if bound is None else figure(bound)


def _over(claim: Claim, over_budget: bool) -> bool | None:
    """null where nobody can tell."""
    return None if claim.unaccounted else over_budget


def _randomness(recipe: Recipe) -> str:
    if recipe.runtime.secure_noise:
        return "the system's generator is taken for cryptographic, and that of the batches for ideal"
    ideal = "generators are taken for ideal, and floating point for real numbers"
    if recipe.privacy.noise is not None and recipe.runtime.checkpoint_every is not None:
        return (
            f"{ideal}; nobody but the owner of the run's folder read noise.key, from which its noise is drawn once more"
        )
    return ideal


@dataclass(frozen=True, slots=True)
class Step:
    """One step is done. `step` of `steps`."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """One expected pass over the data is done. loss, accuracy, dropped and clipped are not covered by epsilon.

    step: updates of the model so far. counted: steps taken, with those that an interruption lost. over_budget: whether
    they cost more than may be spent. epsilon: None where nothing is claimed. What was not looked at, because
    private_logs is off, is None.

    loss, accuracy: means over the examples drawn in this epoch, None when there were none with a finite gradient.
    dropped: examples left out because their gradient was not finite. clipped: fraction that was shortened.
    """

    epoch: int
    step: int
    counted: int
    epsilon: Bound | None
    over_budget: bool
    drawn: int | None
    dropped: int | None
    loss: float | None
    accuracy: float | None
    clipped: float | None

    def to_json(self) -> dict[str, Any]:
        seen = {name: getattr(self, name) for name in ("loss", "accuracy", "drawn", "dropped", "clipped")}
        return {
            "epoch": self.epoch,
            "step": self.step,
            "counted": self.counted,
            "epsilon": _figure(self.epsilon),
            "over_budget": None if self.epsilon is None else self.over_budget,
            "not_covered_by_epsilon": seen,
        }


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What was planned, what was done, what it cost, and what came of it.

    message: why it ended early, "" when it did not. engine: what clipped, and why. isolation: how examples were
    kept from each other. steps: the steps really taken.
    arithmetic: what the machine was found to do to an example's gradient. round_off: the margin, a fraction of C.
    lost: how many of them an interruption lost: released and counted, and not in the model. spent: the epsilon of all,
    None of a run that claims nothing.
    run: its id, those of its resumes, and what cannot be known of copies of its folder.
    measured: what was planned and could be measured. evaluation: why there are no accuracies, although there should be.
    The accuracies are fractions; None where there was nothing to
    measure, and likewise for empty_batches.
    """

    planned: Planned
    status: Status
    message: str
    engine: str
    isolation: Isolation
    arithmetic: Arithmetic
    round_off: float
    steps: int
    lost: int
    spent: Bound | None
    folder: Path
    run: Mapping[str, Any]
    epochs: tuple[Epoch, ...]
    measured: tuple[Measurement, ...]
    empty_batches: int | None
    held_out_accuracy: float | None
    nonprivate_accuracy: float | None
    seconds: float
    evaluation: str = ""
    threads: int = field(default_factory=torch.get_num_threads)  # while it runs; afterwards there may be others

    @property
    def agrees(self) -> bool:
        """Whether the run did and spent what was planned; an unfinished run did not."""
        return self.status == "finished" and all(check.agrees for check in self.verdict)

    @property
    def verdict(self) -> tuple[Measurement, ...]:
        """Everything that was planned against what was realised; of a run that claims nothing without an epsilon."""
        planned, phase = self.planned.claim.epsilon, self.planned.claim.phase
        steps = Measurement("steps", show(phase.steps), show(self.steps), self.steps == phase.steps, covered=True)
        found = [steps, *self.measured]
        users = self.planned.dataset.users
        if users is not None:
            most = f"at most {users.most} count"
            found.append(Measurement("examples per user", most, None, users.kept <= users.most, covered=False))
        if planned is not None and self.spent is not None:
            same = (self.spent.lower, self.spent.upper) == (planned.lower, planned.upper)
            spent = up_apart(planned.upper, self.spent.upper)
            found.append(Measurement("epsilon", *spent, same, covered=True))
        return tuple(found)

    @property
    def over_budget(self) -> bool:
        return self.planned.claim.exceeded_by(self.spent)

    @property
    def spent_note(self) -> str | None:
        """What stands between the spent figure and a claim; None when nothing does."""
        if self.planned.claim.unaccounted:
            return CLAIMS_NOTHING if self.planned.seed is None else f"{CLAIMS_NOTHING}; {SEEDED}"
        if self.planned.seed is not None:
            return SEEDED
        return None if self.status == "finished" else EARLY_STOP

    @property
    def dropped(self) -> int:
        return sum(epoch.dropped or 0 for epoch in self.epochs)

    @property
    def clipped(self) -> float | None:
        """The fraction of the example gradients that were shortened; None when nobody looked."""
        used = [(epoch.clipped, (epoch.drawn or 0) - (epoch.dropped or 0)) for epoch in self.epochs]
        weights = [(fraction, count) for fraction, count in used if fraction is not None]
        total = sum(count for _, count in weights)
        return sum(fraction * count for fraction, count in weights) / total if total else None

    def _of_users(self) -> dict[str, Any]:
        """How many examples users had before some were left out: a histogram of private data."""
        users = self.planned.dataset.users
        if users is None or not self.planned.recipe.runtime.private_logs:
            return {}
        histogram = {str(size): count for size, count in users.histogram}
        return {"examples_left_out": users.left_out, "users_by_number_of_examples": histogram}

    def to_json(self) -> dict[str, Any]:
        return {
            **self.planned.to_json(),
            "status": self.status,
            "message": self.message,
            "spent": {
                "steps": self.steps,
                "lost_steps": self.lost,
                "epsilon": _figure(self.spent),
                "over_budget": _over(self.planned.claim, self.over_budget),
                "holds": self.planned.seed is None and self.spent is not None,
                "note": self.spent_note,
            },
            "agrees_with_plan": self.agrees,
            "verdict": [check.to_json() for check in self.verdict if check.covered],
            "not_covered_by_epsilon": {
                "why": "computed from examples without noise",
                "verdict": [check.to_json() for check in self.verdict if not check.covered],
                "verdict_level": LEVEL,
                "held_out_accuracy": self.held_out_accuracy,
                "nonprivate_accuracy": self.nonprivate_accuracy,
                "evaluation": self.evaluation or None,
                "empty_batches": self.empty_batches,
                "dropped": self.dropped if self.planned.recipe.runtime.private_logs else None,
                "clipped": self.clipped,
                **self._of_users(),
                "epochs": [epoch.to_json()["not_covered_by_epsilon"] for epoch in self.epochs],
            },
            "engine": self.engine,
            "isolation": self.isolation.kind,
            "isolation_why": self.isolation.why,
            "arithmetic": {
                **self.arithmetic.to_json(),
                "round_off": self.round_off,
                "mkl_cbwr": os.environ.get(VARIABLE),  # as asked for; MKL hears it until its first product
                "threads": self.threads,
            },
            "folder": str(self.folder),
            "run": dict(self.run),
            "seconds": round(self.seconds, 3),
        }
