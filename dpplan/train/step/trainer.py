"""One private step, many times: sample, clip and sum, add noise, divide by a public constant, update."""

import dataclasses
import functools
import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.train.clipping import Arithmetic, BatchFacts, Chosen, ClippedSum, as_compiled, choose, rule_for, tried
from dpplan.train.clipping.rules import LARGEST_PIECE
from dpplan.train.conformance import StepStatistics
from dpplan.train.data import Split
from dpplan.train.machine.device import memory_of
from dpplan.train.ranks import ALONE, Ranks
from dpplan.train.step.augmentation import augmentation_for
from dpplan.train.step.box_muller import adding_for
from dpplan.train.step.correlated_noise import CorrelatedNoise
from dpplan.train.step.example_done_again import DoneAgain
from dpplan.train.step.model_guard import ModelGuard
from dpplan.train.step.noise import GaussianNoise
from dpplan.train.step.optimizer import Optimization
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.sampler import in_parts, sampler_for
from dpplan.train.step.secure_noise import SYSTEM, SecureNoise, summed
from dpplan.train.strategy_rows import check_memory

# Numbers in the gradients of a piece, had each example's been formed. On a GPU, 256 MiB of float32; a CPU is fastest
# with what its caches nearly hold: with 64 to 320 examples of the transformer, CNN and MLP that were measured.
ON_GPU, ON_CPU = 2**26, 2**23


class Trainer:
    """Takes the steps of `phase` on `model`, and counts them.

    Guarantee: the parameters after k calls of `step` come from k releases of `phase.mechanism` (of correlated noise,
    from the first k steps of one), each on a batch drawn by `phase.sampling`, and from nothing else that looked at
    `data`. An empty batch is a step like any other: its sum is zero and noise is added all the same.

    A user who is drawn whole is clipped whole: what is said of an example here then holds for a user.

    Several processes have a trainer each, of the same data, and step together. Each draws from its own part of the
    data by Poisson sampling; by any other scheme all draw the same batch, and each takes what of it is in its part. The
    first adds up their sums and adds the noise, once; all make the same update from what it releases.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Split,
        phase: Phase,
        recipe: Recipe,
        randomness: Randomness,
        ranks: Ranks = ALONE,
    ) -> None:
        self.ranks = ranks
        for tensor in (*model.parameters(), *model.buffers()):
            ranks.from_first(tensor.data)
        self.part = ranks.part(data.units)
        self.data = data.part(self.part).to(next(model.parameters(), data.targets).device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.model, self.recipe, self.units = model, recipe, data.units
        self.taking_part = ranks.size > 1 and not in_parts(phase.sampling)
        held = self.data.units if in_parts(phase.sampling) else None
        self.sampler = sampler_for(phase.sampling, data.units, randomness.sampling, held, randomness.key)
        self.augmentation = augmentation_for(recipe.training, data.inputs.shape[1:], randomness.views)
        count = self.augmentation.count if self.augmentation else data.views
        room = ON_CPU if self.data.targets.device.type == "cpu" else ON_GPU
        most = room / max(1, count * sum(p.numel() for p in self.parameters))
        expected = recipe.training.batch_size / ranks.size
        self.piece = piece_of(recipe.runtime.physical_batch, expected, most, self.data.units)
        half = recipe.runtime.precision == "bfloat16"
        self.clipping = self._clipping(choose(model, recipe.runtime.engine, self.piece, data.inputs[0], count, half))
        self.guard = self._guard()
        mine = tried(self.clipping.engine, rule_for(recipe.privacy), data.inputs[0])
        self.arithmetic = functools.reduce(Arithmetic.worst, ranks.gathered(mine))
        self.round_off = self.arithmetic.round_off(self._most(phase))
        self.rule = rule_for(recipe.privacy, self.round_off)
        self.again = DoneAgain(self.clipping.engine, self.round_off)
        self.noise = self._noise(phase, randomness)
        self.optimization = Optimization(self.parameters, recipe.training, phase.steps)
        self.steps = self.begun = 0  # updates, and steps that were begun, of which an interruption may have lost some
        self.empty_batches = 0
        self.statistics = StepStatistics(phase, data.units, held, "example" if data.members is None else "user")

    def _most(self, phase: Phase) -> float:
        """Examples that no batch of this run exceeds: a Poisson variable is above 2 m + 64 with probability 1e-34."""
        return min(2 * phase.sampling.expected_batch(self.units) + 64, self.units)

    def _clipping(self, chosen: Chosen) -> Chosen:
        runtime, made = self.recipe.runtime, chosen
        if runtime.compile:
            made = as_compiled(made)
        made.engine.watched = runtime.private_logs
        made.engine.half = runtime.precision == "bfloat16"
        return dataclasses.replace(made, name=f"{made.name}, in bfloat16") if made.engine.half else made

    def _guard(self) -> ModelGuard:
        return ModelGuard(self.model, self.data.inputs[:0], walled=self.clipping.isolation.kind == "structural")

    def _noise(self, phase: Phase, randomness: Randomness) -> GaussianNoise | CorrelatedNoise:
        runtime, mechanism = self.recipe.runtime, phase.mechanism
        where = torch.device("cpu") if runtime.secure_noise else self.data.targets.device  # the system's is on the host
        adding = adding_for(where, runtime.compile)
        if not isinstance(mechanism, Gaussian):
            check_memory(phase, self.clipping.engine.size, memory_of(where))
            system = SYSTEM if runtime.secure_noise else None
            return CorrelatedNoise(phase, randomness.noise_keys, summed(adding) if system else adding, system)
        if runtime.secure_noise:
            return SecureNoise(mechanism, adding)
        return GaussianNoise(mechanism, randomness.noise, adding)

    def step(self) -> BatchFacts:
        """One release. What it returns is private: it was seen without noise. Of several processes, the first gets
        the facts of all of them and each other one its own.
        """
        members = self.sampler.draw()
        self.statistics.drew(self.begun, members)
        self.begun += 1
        if self.taking_part:
            members = members[(members >= self.part.start) & (members < self.part.stop)] - self.part.start
        drawn = torch.from_numpy(members).to(self.data.targets.device, non_blocking=True)
        with self.guard:
            mine = self._clipped_sum(drawn)
        clipped = self.ranks.total(mine)
        noisy = self.ranks.from_first(torch.empty_like(mine.total) if clipped is None else self._released(clipped))
        expected, size = self.sampler.expected_batch, self.clipping.engine.size
        self.rule = self.rule.after(noisy[size:], expected)
        self.optimization.step(noisy[:size], expected)
        self.steps += 1
        return (mine if clipped is None else clipped).facts

    def _released(self, clipped: ClippedSum) -> Tensor:
        """The sum over the whole batch with its noise. Of several processes, only the first comes here."""
        noisy, drawn = self.noise.add(clipped), clipped.facts.drawn
        self.empty_batches += drawn == 0
        self.statistics.saw(drawn, self.sampler.expected_batch, self.rule.sensitivity, noisy - clipped.total)
        return noisy

    def _clipped_sum(self, drawn: Tensor) -> ClippedSum:
        moves = None if self.augmentation is None else self.augmentation.draw(len(drawn))
        portions = functools.partial(self._portions, drawn, moves)
        self.again.start(self.data.targets.device)
        made = functools.reduce(
            operator.add, (self.clipping.engine.clipped_sum(x, y, self.rule) for x, y in portions())
        )
        self.again.check(made, portions, self.rule)
        return made

    def _portions(self, drawn: Tensor, moves: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets of the batch: at once, or augmented as many at a time as are clipped at once."""
        if self.augmentation is None or moves is None:
            yield self.data.batch(drawn)
            return
        inputs, targets = self.data.inputs, self.data.targets
        for part, moved in zip(torch.split(drawn, self.piece), torch.split(moves, self.piece), strict=True):
            yield self.augmentation.apply(inputs[part], moved), targets[part]  # one when none drawn

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here. All of it follows from what was released."""
        return {
            "model": self.guard.state_dict(),
            "optimization": self.optimization.state(),
            "clip_norm": self.rule.clip_norm,
            "steps": self.steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.guard = self._guard()  # what is frozen is as it was when the run began, in another process
        self.optimization.restore(state["optimization"])
        self.rule = rule_for(dataclasses.replace(self.recipe.privacy, clip_norm=state["clip_norm"]), self.round_off)
        self.steps = self.begun = state["steps"]
        self._remember()

    def go_on_at(self, begun: int) -> None:
        """Draws no step anew that was begun before: a step of an epoch whose batch was released stays released."""
        self.begun = begun
        self.sampler.skip_to(begun)
        self._remember()

    def _remember(self) -> None:
        """Noise that steps share is what it was, also that of steps that were begun and lost."""
        if isinstance(self.noise, CorrelatedNoise):
            self.noise.skip_to(self.begun)

    @property
    def looked_at(self) -> int:
        """Rows of a piece: as many go through the model at once in training, with far more memory for each."""
        return self.piece * (self.augmentation.count if self.augmentation else self.data.views)

    def finite(self) -> bool:
        """Whether every parameter is a number. Parameters are covered by epsilon, so asking costs nothing."""
        return self.optimization.finite()


def piece_of(asked: int | None, expected: float, most: float, held: int) -> int:
    """How many of the `held` examples to clip at once, which matters neither to the result nor to what it costs.

    asked: by the recipe. Else enough for all but one draw in fifty of the `expected` ones, and `most` at most.
    """
    size = min(expected + 2 * math.sqrt(expected), most) if asked is None else asked
    return max(1, min(math.ceil(size), held, LARGEST_PIECE))
