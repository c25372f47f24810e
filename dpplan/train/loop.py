"""One private step, many times: sample, clip and sum, add noise, divide by a public constant, update."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.train.clipping import BatchFacts, ClippedSum, choose, compiled, rule_for
from dpplan.train.data import Split
from dpplan.train.noise import GaussianNoise
from dpplan.train.optimize import Optimization
from dpplan.train.randomness import Randomness
from dpplan.train.sampler import sampler_for
from dpplan.train.secure import SecureNoise
from dpplan.train.verdict import Measured
from dpplan.train.views import views_for


class Trainer:
    """Takes the steps of `phase` on `model`, and counts them.

    Guarantee: the parameters after k calls of `step` come from k releases of `phase.mechanism`, each on a batch
    drawn by `phase.sampling`, and from nothing else that looked at `data`. An empty batch is a step like any
    other: its sum is zero and noise is added all the same.
    """

    def __init__(self, model: nn.Module, data: Split, phase: Phase, recipe: Recipe, randomness: Randomness) -> None:
        self.data = data
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.model, self.recipe = model, recipe
        self.sampler = sampler_for(phase.sampling, data.examples, randomness.sampling)
        self.views = views_for(recipe.training, data.inputs.shape[1:], randomness.views)
        self.piece = min(recipe.runtime.physical_batch, data.examples)
        count = self.views.count if self.views else 1
        self.clipping = choose(model, recipe.runtime.engine, self.piece, data.inputs[0], count)
        if recipe.runtime.compile:
            self.clipping = compiled(self.clipping)
        self.clipping.engine.watched = recipe.runtime.private_logs
        self.rule = rule_for(recipe.privacy)
        secure, mechanism = recipe.runtime.secure_noise, phase.mechanism
        self.noise = SecureNoise(mechanism) if secure else GaussianNoise(mechanism, randomness.noise)
        self.optimization = Optimization(self.parameters, recipe.training, phase.steps)
        self.steps = 0
        self.empty_batches = 0
        self.measured = Measured(phase, data.examples)

    def step(self) -> BatchFacts:
        """One release. What it returns is private: it was seen without noise."""
        drawn = torch.from_numpy(self.sampler.draw()).to(self.data.targets.device)
        clipped = self._clipped_sum(drawn)
        self.steps += 1
        noisy, expected, size = self.noise.add(clipped), self.sampler.expected_batch, self.clipping.engine.size
        self.empty_batches += len(drawn) == 0
        self.measured.saw(len(drawn), expected, self.rule.sensitivity, noisy - clipped.total)
        self.rule = self.rule.after(noisy[size:], expected)
        self.optimization.step(noisy[:size], expected)
        return clipped.facts

    def _clipped_sum(self, drawn: Tensor) -> ClippedSum:
        engine, inputs, targets = self.clipping.engine, self.data.inputs, self.data.targets
        if self.views is None:
            return engine.clipped_sum(inputs[drawn], targets[drawn], self.rule)
        moves = self.views.draw(len(drawn))
        pieces = zip(torch.split(drawn, self.piece), torch.split(moves, self.piece), strict=True)  # one when none drawn
        views = ((self.views.apply(inputs[part], moved), targets[part]) for part, moved in pieces)
        return functools.reduce(operator.add, (engine.clipped_sum(x, y, self.rule) for x, y in views))

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here. All of it follows from what was released."""
        return {
            "model": self.model.state_dict(),
            "optimization": self.optimization.state(),
            "clip_norm": self.rule.clip_norm,
            "steps": self.steps,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimization.restore(state["optimization"])
        self.rule = rule_for(dataclasses.replace(self.recipe.privacy, clip_norm=state["clip_norm"]))
        self.steps = state["steps"]

    def finite(self) -> bool:
        """Whether every parameter is a number. Parameters are covered by epsilon, so asking costs nothing."""
        return all(bool(p.isfinite().all()) for p in self.parameters)
