"""The models a recipe can name. None of them lets one example see another."""

import itertools

import numpy as np
import torch
from torch import nn

from dpplan.recipe import Model

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def build(model: Model, features: int, classes: int, rng: np.random.Generator) -> nn.Module:
    """A model from (n, features) to (n, classes) logits, with torch's usual first weights drawn from `rng`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**32)))  # first weights are public; 32 bits do
        if model.kind == "logistic":
            return nn.Linear(features, classes)
        assert model.hidden is not None and model.activation is not None  # the block has made sure
        widths = (features, *model.hidden)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), ACTIVATIONS[model.activation]()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], classes))
