"""Where examples come from, how they are scaled, and which of them are held out.

dataset = load(recipe.data)             # .training is the accounted set; .held_out is never drawn

    bundled     digits and breast cancer, from scikit-learn
    synthetic   blobs, linear, names: made on the spot
    standard    MNIST and CIFAR-10 from their published files
    files       a user's .npz, .csv, .parquet, folder of images
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dpplan.checks import show
from dpplan.errors import RecipeError
from dpplan.recipe import Data
from dpplan.train.data import bundled, files, standard, synthetic
from dpplan.train.data.examples import Examples, Inputs, Targets
from dpplan.train.entry import call_named


@dataclass(frozen=True, slots=True)
class Split:
    """inputs: (examples, ...), float32, or int64 for words. targets: (examples,), int64, classes counted from 0."""

    inputs: Tensor
    targets: Tensor

    @property
    def examples(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device) -> "Split":
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, slots=True)
class Dataset:
    """training: the accounted set, and all that a run draws from. held_out: never drawn, never accounted.

    words: how many there are, for inputs that are words; else 0.
    """

    training: Split
    held_out: Split
    classes: int
    words: int = 0

    def to(self, device: torch.device) -> "Dataset":
        return Dataset(self.training.to(device), self.held_out.to(device), self.classes, self.words)


SOURCES: dict[str, Callable[[Data], Examples]] = {
    "digits": bundled.digits,
    "breast-cancer": bundled.breast_cancer,
    "blobs": synthetic.blobs,
    "linear": synthetic.linear,
    "names": synthetic.names,
    "mnist": standard.mnist,
    "cifar10": standard.cifar10,
    "file": files.table,
    "images": files.images,
}


def load(data: Data) -> Dataset:
    """The examples of a recipe's data block, scaled as it says.

    A data set without a test set of its own is split by a fixed permutation that looks at no example. Raises
    RecipeError when the block does not fit the examples, UsageError when a file cannot be used.
    """
    found = SOURCES[data.source](data) if data.source in SOURCES else _made_by_user(data.source)
    _check(found, data.source)
    training, held_out = _split(found, data)
    if found.words == 0:
        training, held_out = _scaled(training, held_out, data)
    elif data.standardize is not None or (data.shift, data.scale) != (0.0, 1.0):
        raise RecipeError(f"data.source={data.source} gives words; shift, scale and standardize are for numbers.")
    first, second = (Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in (training, held_out))
    return Dataset(first, second, found.classes, found.words)


Pair = tuple[Inputs, Targets]


def _split(found: Examples, data: Data) -> tuple[Pair, Pair]:
    if found.held_out is not None:
        return (found.inputs, found.targets), found.held_out
    order = np.random.default_rng(data.split_seed).permutation(len(found.targets))
    held_out = math.ceil(data.held_out * len(order))
    if held_out >= len(order):
        raise RecipeError(f"data.held_out={show(data.held_out)} leaves none of the {len(order)} examples to train on.")
    parts = (order[held_out:], order[:held_out])
    training, rest = ((found.inputs[part], found.targets[part]) for part in parts)
    return training, rest


def _scaled(training: Pair, held_out: Pair, data: Data) -> tuple[Pair, Pair]:
    """(x - shift) / scale. The constants are the recipe's, or where it declares them public, the training set's."""
    shift, scale = np.array(data.shift, np.float32), np.array(data.scale, np.float32)
    if data.standardize is not None:
        shift, scale = training[0].mean(0), training[0].std(0)
        scale = np.where(scale > 0, scale, 1)  # a constant column says nothing, whatever it is divided by
    first, second = (((x - shift) / scale).astype(np.float32) for x, _ in (training, held_out))
    return (first, training[1]), (second, held_out[1])


def _made_by_user(source: str) -> Examples:
    """module:function, called without arguments, returns (inputs, targets) or (inputs, targets, classes)."""
    made = call_named(source, "data.source")
    if not isinstance(made, tuple) or len(made) not in {2, 3}:
        raise RecipeError(f"data.source={source} returned {type(made).__name__}, not (inputs, targets[, classes]).")
    return files.examples_from(source, *made)


def _check(found: Examples, source: str) -> None:
    inputs, targets = found.inputs, found.targets
    if len(inputs) != len(targets) or targets.ndim != 1:
        raise RecipeError(f"data.source={source} gives inputs {inputs.shape} and targets {targets.shape}.")
    if len(targets) == 0:
        raise RecipeError(f"data.source={source} gives no examples.")
    if not ((targets >= 0) & (targets < found.classes)).all():
        raise RecipeError(f"data.source={source} has targets outside 0 to {found.classes - 1}.")
