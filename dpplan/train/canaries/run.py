"""One training run with canaries, each in by a fair coin; what it released of them; and the verdict.

A canary left out is a row whose gradient is zero: sampled like the rest, and no different in any sum from no row at
all. So batches come at the plan's rate, the denominator is public, and in and out are neighbours of the plan's kind.
What this costs the real data: nothing. Every real example is drawn at the plan's rate, clipped to its norm and covered
by its noise in as many steps; scores and verdict follow from what the steps release, so ε covers them too.

White box: what each step releases in the canary's own coordinate, by the likelihood ratio of the planned step (its dot
product with the gradient, where everything is in every batch), and by the spread over steps, which noise that is not
fresh betrays. The noise of all those coordinates is searched for repetitions, too. Noise that steps share is made
independent first (`likelihood`). Black box: the last model's loss on canaries that are whole examples: held-out ones
with a wrong label, numbers and labels by lot, or held-out ones as they are.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dpplan.audit import AuditFinding, AuditSettings, Hypothesis, Scores, audit
from dpplan.audit.assessment import ORDER
from dpplan.audit.order_statistics import EACH_FOR_ITSELF
from dpplan.checks import show
from dpplan.errors import RecipeError, TrainingStopped
from dpplan.mechanism import multiplier_of
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import CyclicPoisson, FixedSize, TruncatedPoisson
from dpplan.train import models
from dpplan.train.canaries.likelihood import independent, likelihood
from dpplan.train.canaries.model_with_canaries import WithCanaries
from dpplan.train.canaries.noise_pattern import repeats
from dpplan.train.clipping import ClippedSum
from dpplan.train.conformance import LEVEL, Measurement
from dpplan.train.data import Dataset, Split
from dpplan.train.machine.device import cpu_threads, repeatable
from dpplan.train.state.report import Planned
from dpplan.train.step.randomness import Randomness, TorchGenerators
from dpplan.train.step.trainer import Trainer

COINS = 0x636F696E  # of a seeded run: another stream than the run's own
KINDS = (
    "gradient, by likelihood",
    "gradient, by spread",
    "mislabelled, by loss",
    "random, by loss",
    "natural, by loss",
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Canaries:
    """How many of each kind. mislabelled and natural ones come from the held-out examples, of which half are left to
    themselves: there are fewer where those are few. random: inputs of the data's shape, and labels, by lot."""

    gradient: int = 5000
    mislabelled: int = 150
    random: int = 0
    natural: int = 0


@dataclass(frozen=True, slots=True)
class Audited:
    """findings: one for each kind of score, each at its share of the level. measured: the run against its plan."""

    planned: Planned
    findings: dict[str, AuditFinding]
    measured: tuple[Measurement, ...]

    @property
    def violation(self) -> bool:
        return any(found.violation for found in self.findings.values()) or not all(
            each.agrees for each in self.measured
        )

    @property
    def white_box(self) -> float:
        """The largest lower bound on ε by gradient canaries."""
        return max(self.findings[kind].epsilon for kind in KINDS[:2])

    @property
    def black_box(self) -> float | None:
        """The same by the last model's losses; None without canaries that are whole examples."""
        return max((self.findings[kind].epsilon for kind in KINDS[2:] if kind in self.findings), default=None)


class Watched(Trainer):
    """The reference trainer, and what it released in the coordinates of the canaries, in clip norms.

    noises: what of it was added, which leaves the process only as a verdict. drawn: which canaries each step drew."""

    def watch(self, model: WithCanaries, first: int) -> None:
        """first: the row of the first canary."""
        self.count, self.first = model.count, first
        self.seen: list[Tensor] = []
        self.noises: list[Tensor] = []
        self.drawn: list[Tensor] = []

    def _clipped_sum(self, drawn: Tensor) -> ClippedSum:
        of_canaries = torch.zeros(self.count, dtype=torch.bool)
        here = drawn.cpu() - self.first
        of_canaries[here[(here >= 0) & (here < self.count)]] = True
        self.drawn.append(of_canaries)
        return super()._clipped_sum(drawn)

    def taking(self) -> NDArray[np.bool_]:
        """[step, canary]: in which steps each takes part, or may, as whoever knows the claim knows too."""
        scheme, steps = self.statistics.phase.sampling, len(self.drawn)
        if isinstance(scheme, CyclicPoisson):
            rows = np.arange(self.first, self.first + self.count) % scheme.groups
            return np.arange(steps)[:, np.newaxis] % scheme.groups == rows
        return torch.stack(self.drawn).numpy()

    def _released(self, clipped: ClippedSum) -> Tensor:
        noisy = super()._released(clipped)
        own = slice(1, self.count + 1)
        self.seen.append(noisy[own].detach().cpu() / clipped.sensitivity)
        self.noises.append((noisy - clipped.total)[own].detach().cpu() / clipped.sensitivity)
        return noisy


class WholeCanaries(NamedTuple):
    """Canaries that are examples, and which of them are in."""

    examples: Split
    members: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows of the data with the canaries. members: of gradient canaries. whole: the others, by the kind of score."""

    rows: Split
    members: NDArray[np.bool_]
    whole: dict[str, WholeCanaries]


def audited(
    planned: Planned,
    canaries: Canaries,
    delta: float | None = None,
    level: float = 0.05,
    progress: Progress | None = None,
) -> Audited:
    """Trains once with canaries and holds what was released against the plan. Writes nothing; the model is discarded.

    delta: the claim's own if not given. Raises RecipeError for what canaries cannot be put into, and
    TrainingStopped when the model diverges, which says nothing of privacy.
    """
    recipe = dataclasses.replace(
        planned.recipe, training=dataclasses.replace(planned.recipe.training, augment=None, views=1)
    )
    if planned.dataset.words:
        raise RecipeError("canaries are rows of numbers, and this recipe trains on words. Audit its scores instead.")
    if planned.dataset.training.members is not None:
        raise RecipeError(
            "canaries are single examples, and this recipe draws users whole (privacy.unit: user). Audit it with "
            "privacy.max_per_user, or audit scores of your own."
        )
    scheme = planned.claim.phase.sampling
    if isinstance(scheme, FixedSize | TruncatedPoisson):
        raise RecipeError(
            f"privacy.sampling={scheme.kind}: its batches are drawn from exactly the examples that are claimed, and "
            "canaries are rows besides. Audit scores of your own, --against this recipe, or audit it with sampling: "
            "poisson."
        )
    generators = TorchGenerators(planned.device)
    with cpu_threads(recipe.runtime.threads), repeatable(), generators.left_alone():
        trainer, placed = _made(planned, recipe, canaries, generators)
        for step in range(planned.claim.phase.steps):
            trainer.step()
            if progress is not None:
                progress(step + 1, planned.claim.phase.steps)
        if not trainer.finite():
            raise TrainingStopped("the audit stopped on a parameter that is not finite. Try a lower learning_rate.")
        return judged(planned, placed, trainer, delta, level)


def _made(
    planned: Planned, recipe: Recipe, canaries: Canaries, generators: TorchGenerators
) -> "tuple[Watched, Placed]":
    """The trainer of the run, and the rows that it draws from."""
    randomness = Randomness.of(planned.seed, 0)
    coins = np.random.default_rng() if planned.seed is None else np.random.default_rng((COINS, planned.seed))
    shape = tuple(planned.dataset.training.inputs.shape[1:])
    classes, words = planned.dataset.classes, planned.dataset.words
    body = models.build(recipe.model, shape, classes, randomness.weights, words)
    placed = place(planned.dataset.in_precision_of(body), canaries, coins)
    model = WithCanaries(body, shape, classes, canaries.gradient, recipe.privacy.clip_norm).to(planned.device)
    trainer = Watched(model, placed.rows.to(planned.device), planned.claim.phase, recipe, randomness)
    trainer.watch(model, planned.dataset.training.examples)
    generators.seed(randomness.model)  # after all that was tried on the model
    return trainer, placed


def place(dataset: Dataset, canaries: Canaries, coins: np.random.Generator) -> Placed:
    """The training examples, and every canary as what its coin makes of it."""
    training = dataset.training
    count, left_out = canaries.gradient, canaries.gradient + 1
    members = coins.integers(0, 2, count).astype(bool)
    numbers = np.where(members, np.arange(1, count + 1), left_out)
    whole = _whole(dataset, canaries, coins) if dataset.classes > 1 else {}
    size = training.inputs[:1].numel()
    kind = training.inputs.dtype
    blank = torch.zeros(count, size, dtype=kind)
    others = [each.examples for each in whole.values()]
    inputs = torch.cat([training.inputs.flatten(1), blank, *(each.inputs.flatten(1) for each in others)])
    own = [np.zeros(training.examples), numbers, *(np.where(each.members, 0, left_out) for each in whole.values())]
    inputs = torch.cat([inputs, torch.from_numpy(np.concatenate(own)).to(kind).unsqueeze(1)], 1)
    targets = torch.cat([training.targets, torch.ones(count, dtype=torch.int64), *(each.targets for each in others)])
    return Placed(Split(inputs, targets), members, whole)


def _whole(dataset: Dataset, canaries: Canaries, coins: np.random.Generator) -> dict[str, WholeCanaries]:
    """Of each kind that there are any of. No held-out example is in two of them."""
    held_out, classes = dataset.held_out, dataset.classes
    wrong = min(canaries.mislabelled, held_out.examples // 2)
    natural = min(canaries.natural, held_out.examples // 2 - wrong)
    places = torch.from_numpy(coins.permutation(held_out.examples)[: wrong + natural])
    inputs, targets = held_out.inputs[places], held_out.targets[places]
    shifts = torch.from_numpy(coins.integers(1, classes, wrong))
    found = {KINDS[2]: Split(inputs[:wrong], (targets[:wrong] + shifts) % classes)}
    members = {KINDS[2]: coins.integers(0, 2, wrong).astype(bool)}
    if canaries.random:
        found[KINDS[3]] = _by_lot(dataset, canaries.random, coins)
    found[KINDS[4]] = Split(inputs[wrong:], targets[wrong:])
    for kind, each in found.items():
        members.setdefault(kind, coins.integers(0, 2, each.examples).astype(bool))
    return {kind: WholeCanaries(each, members[kind]) for kind, each in found.items() if each.examples}


def _by_lot(dataset: Dataset, count: int, coins: np.random.Generator) -> Split:
    """Numbers between the least and the largest of the held-out examples, 0 and 1 without any, and any label."""
    like, seen = dataset.training, dataset.held_out.inputs
    low, high = (float(seen.min()), float(seen.max())) if dataset.held_out.examples else (0.0, 1.0)
    numbers = torch.from_numpy(coins.uniform(low, high, (count, *like.inputs.shape[1:])))
    labels = torch.from_numpy(coins.integers(0, dataset.classes, count))
    return Split(numbers.to(like.inputs.dtype), labels.to(like.targets.dtype))


def judged(planned: Planned, placed: Placed, trainer: Watched, delta: float | None, level: float) -> Audited:
    """Every kind of score against the plan, each with the same share of the level."""
    claim, phase = planned.claim, planned.claim.phase
    at = float(claim.delta.value) if delta is None else delta
    seen = torch.stack(trainer.seen).numpy()
    scores = {KINDS[0]: Scores(placed.members, likelihood(seen, trainer.taking(), phase))}
    if len(seen) > 1:
        scores[KINDS[1]] = Scores(placed.members, independent(seen, phase).var(0))
    for kind, each in placed.whole.items():
        if len(set(each.members.tolist())) == 2:  # coins that all fell alike leave nothing to tell apart
            scores[kind] = Scores(each.members, -losses(trainer.model, each.examples))
    hypothesis = Hypothesis.of_plan(claim.plan, at)
    kinds = len(KINDS[:2] if len(seen) > 1 else KINDS[:1]) + len(placed.whole)  # known before the coins
    settings = AuditSettings(at, max(level - 2 * LEVEL, 0.0) / kinds)  # the rest is that of the measurements
    apart = dataclasses.replace(settings, method=ORDER) if do_not_touch(planned) else settings
    findings = {
        kind: audit(each, hypothesis, apart if kind in KINDS[:2] else settings) for kind, each in scores.items()
    }
    measured = (_released_steps(trainer, phase), *trainer.statistics.measurements(), _pattern(trainer, phase))
    return Audited(planned, findings, measured)


def do_not_touch(planned: Planned) -> bool:
    """Whether, if the run is as planned, what it releases of gradient canaries is independent given their coins.

    Each has a coordinate, and so noise, of its own, and is clipped to the same vector in every step. Its steps are its
    own where the scheme draws each example for itself; and a clip norm that adapts would tell of all at once.
    """
    return isinstance(planned.claim.phase.sampling, EACH_FOR_ITSELF) and planned.recipe.privacy.clipping != "adaptive"


def _released_steps(trainer: Watched, phase: Phase) -> Measurement:
    """Whether as many sums were released as the plan has steps: one more is little to any attack, and untrue."""
    made = max(trainer.statistics.releases, len(trainer.seen), trainer.steps)
    return Measurement("steps", show(phase.steps), show(made), made == phase.steps, covered=True)


def _pattern(trainer: Watched, phase: Phase) -> Measurement:
    """Whether the noise is as good as drawn anew for every coordinate of every step."""
    noise = independent(torch.stack(trainer.noises).numpy(), phase) / multiplier_of(phase.mechanism)
    planned = f"new in every coordinate and step, tested at {show(LEVEL)}"
    return Measurement("noise pattern", planned, None, not repeats(noise, LEVEL), covered=False)


def losses(model: nn.Module, examples: Split) -> NDArray[np.float64]:
    """Of the body of the last model."""
    assert isinstance(model, WithCanaries)
    parameter = next(model.parameters())
    model.eval()
    with torch.no_grad():
        logits = model.body(examples.inputs.to(parameter.device, copy=True))  # it may write into them
        found = cross_entropy(logits.double(), examples.targets.to(parameter.device), reduction="none")
    return np.nan_to_num(found.cpu().numpy())
