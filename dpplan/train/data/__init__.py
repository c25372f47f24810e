"""Where examples come from, how they are scaled, and which of them are held out.

dataset = load(recipe.data)             # .training is the accounted set; .held_out is never drawn

    examples         what every source gives
    paths            where data.path leads
    labels           classes as numbers from 0
    arrays           a function's result, or an .npz file
    tables           a user's .csv and .parquet
    own_file         a user's own file, told by its ending
    image_folder     a user's folders of images
    scikit_learn     digits and breast cancer
    synthetic        blobs, linear, names: made on the spot
    mnist_and_cifar  MNIST and CIFAR-10 from their published files
    cifar_pickle     the Python version of CIFAR-10, with nothing in it run
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dpplan.checks import show
from dpplan.errors import RecipeError, file_error
from dpplan.recipe import Data
from dpplan.train.data import image_folder, mnist_and_cifar, own_file, scikit_learn, synthetic
from dpplan.train.data.arrays import examples_from
from dpplan.train.data.examples import Examples, Inputs, Targets
from dpplan.train.user_function import call_named


@dataclass(frozen=True, slots=True)
class Split:
    """inputs: (examples, ...), float32, or int64 for words. targets: (examples,), int64, classes counted from 0."""

    inputs: Tensor
    targets: Tensor

    @property
    def examples(self) -> int:
        return len(self.targets)

    def of_type(self, dtype: torch.dtype) -> "Split":
        """With inputs of this type, where they are not words."""
        return Split(self.inputs.to(dtype) if self.inputs.is_floating_point() else self.inputs, self.targets)

    def to(self, device: torch.device) -> "Split":
        return Split(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True, slots=True)
class Dataset:
    """training: the accounted set, and all that a run draws from. held_out: never drawn, never accounted.

    words: how many there are, for inputs that are words; else 0. skipped: names of files that were passed over.
    """

    training: Split
    held_out: Split
    classes: int
    words: int = 0
    skipped: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Dataset":
        return Dataset(self.training.to(device), self.held_out.to(device), self.classes, self.words, self.skipped)

    def in_precision_of(self, model: nn.Module) -> "Dataset":
        """In float64 for a model of float64, and else as it is."""
        if torch.float64 not in {p.dtype for p in model.parameters()}:
            return self
        training, held_out = (part.of_type(torch.float64) for part in (self.training, self.held_out))
        return Dataset(training, held_out, self.classes, self.words, self.skipped)


SOURCES: dict[str, Callable[[Data], Examples]] = {
    "digits": scikit_learn.digits,
    "breast-cancer": scikit_learn.breast_cancer,
    "blobs": synthetic.blobs,
    "linear": synthetic.linear,
    "names": synthetic.names,
    "mnist": mnist_and_cifar.mnist,
    "cifar10": mnist_and_cifar.cifar10,
    "file": own_file.own,
    "images": image_folder.folders,
}


def load(data: Data) -> Dataset:
    """The examples of a recipe's data block, scaled as it says.

    A data set without a test set of its own is split by a fixed permutation that looks at no example. Raises
    RecipeError when the block does not fit the examples, UsageError when a file cannot be used.
    """
    found = _read(data) if data.source in SOURCES else _made_by_user(data.source)
    _check(found, data.source)
    training, held_out = _split(found, data)
    if found.words == 0:
        training, held_out = _scaled(training, held_out, data)
    elif data.standardize is not None or (data.shift, data.scale) != (0.0, 1.0):
        raise RecipeError(f"data.source={data.source} gives words; shift, scale and standardize are for numbers.")
    first, second = (Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in (training, held_out))
    return Dataset(first, second, found.classes, found.words, found.skipped)


def _read(data: Data) -> Examples:
    try:
        return SOURCES[data.source](data)
    except OSError as error:
        raise file_error(f"{error.filename or data.path} cannot be read", error) from None


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
    shift, scale = np.array(data.shift), np.array(data.scale)
    if data.standardize is not None:
        own = training[0]
        shift, scale = own.mean(0, dtype=np.float64), own.std(0, dtype=np.float64)
        scale = np.where(own.max(0) > own.min(0), scale, 1)  # a constant column says nothing, whatever divides it
    shift, scale = shift.astype(np.float32), scale.astype(np.float32)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the next lines say what is wrong
        first, second = (((x - shift) / scale).astype(np.float32) for x, _ in (training, held_out))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise RecipeError(
            f"data.shift={show(data.shift)} and data.scale={show(data.scale)} lead to numbers beyond float32. Inputs "
            "become (x - shift) / scale."
        )
    return (first, training[1]), (second, held_out[1])


def _made_by_user(source: str) -> Examples:
    """module:function, called without arguments, returns (inputs, targets) or (inputs, targets, classes)."""
    made = call_named(source, "data.source")
    if not isinstance(made, tuple) or len(made) not in {2, 3}:
        raise RecipeError(f"data.source={source} returned {type(made).__name__}, not (inputs, targets[, classes]).")
    return examples_from(f"data.source={source}", *made)


def _check(found: Examples, source: str) -> None:
    """What no source may give, whoever wrote it."""
    parts = [(found.inputs, found.targets), *([] if found.held_out is None else [found.held_out])]
    for inputs, targets in parts:
        if len(targets) == 0:
            raise RecipeError(f"data.source={source} gives no examples to train on, or none to test on.")
        if inputs.shape[1:] != found.inputs.shape[1:]:
            raise RecipeError(
                f"data.source={source} has examples of shape {found.inputs.shape[1:]} to train on and of shape "
                f"{inputs.shape[1:]} to test on."
            )
