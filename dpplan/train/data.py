"""Where examples come from, and which of them are held out."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpplan.checks import show
from dpplan.errors import MissingExtra, RecipeError
from dpplan.recipe import Data

Arrays = tuple[NDArray[np.float32], NDArray[np.int64], int]  # inputs, targets, number of classes


@dataclass(frozen=True, slots=True)
class Split:
    """inputs: (examples, features), float32. targets: (examples,), int64, classes counted from 0."""

    inputs: Tensor
    targets: Tensor

    @property
    def examples(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Split":
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, slots=True)
class Dataset:
    """training: the accounted set, and all that a run draws from. held_out: never drawn, never accounted."""

    training: Split
    held_out: Split
    classes: int

    def to(self, device: torch.device) -> "Dataset":
        return Dataset(self.training.to(device), self.held_out.to(device), self.classes)


def load(data: Data) -> Dataset:
    """The examples of a recipe's data block, split by a fixed permutation that looks at no example."""
    inputs, targets, classes = SOURCES[data.source]()
    order = np.random.default_rng(data.split_seed).permutation(len(targets))
    held_out = math.ceil(data.held_out * len(targets))
    if held_out >= len(targets):
        raise RecipeError(
            f"data.held_out={show(data.held_out)} leaves none of the {len(targets)} examples to train on."
        )
    parts = (order[held_out:], order[:held_out])
    training, rest = (Split(torch.from_numpy(inputs[p]), torch.from_numpy(targets[p])) for p in parts)
    return Dataset(training, rest, classes)


def _digits() -> Arrays:
    """1797 images of 8 x 8 pixels, bundled with scikit-learn. Pixels count from 0 to 16 by the way the set was
    made, so dividing by 16 is public knowledge; a mean or variance of the data would not be."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise MissingExtra("data.source: digits", "train") from None
    digits = load_digits()
    return (digits.data / 16).astype(np.float32), digits.target.astype(np.int64), 10


# The number of classes and the shape of an example are public; so is the number of examples.
SOURCES: dict[str, Callable[[], Arrays]] = {"digits": _digits}
