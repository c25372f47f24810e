"""Where examples come from, how they are scaled, and which of them are held out.

dataset = load_for(recipe)              # .training is the accounted set; .held_out is never drawn

    examples         what every source gives
    paths            where data.path leads
    labels           classes as numbers from 0
    arrays           a function's result, or an .npz file
    tables           a user's .csv and .parquet
    users            whose each example is, and how many of one user count
    own_file         a user's own file, told by its ending
    image_folder     a user's folders of images
    scikit_learn     digits and breast cancer
    synthetic        blobs, linear, names: made on the spot
    mnist_and_cifar  MNIST and CIFAR-10 from their published files
    cifar_pickle     the Python version of CIFAR-10, with nothing in it run
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dpplan.checks import show
from dpplan.errors import RecipeError, file_error
from dpplan.recipe import Data, Recipe
from dpplan.recipe.user_keys import SIMULATED, drawn_whole, most_kept
from dpplan.train.data import image_folder, mnist_and_cifar, own_file, scikit_learn, synthetic
from dpplan.train.data.arrays import examples_from
from dpplan.train.data.examples import Examples, Inputs, Targets
from dpplan.train.data.users import KeptOfUsers, held_out_of, members_of, simulated
from dpplan.train.losses import of_users
from dpplan.train.recipe_function import call_named

Scaling = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Split:
    """inputs: (examples, ...), float32, or int64 for words. targets: (examples,), int64, classes counted from 0.

    members: (users, rows), the places of each user's examples, where users are drawn and clipped whole; else None.
    """

    inputs: Tensor
    targets: Tensor
    members: Tensor | None = None

    @property
    def examples(self) -> int:
        return len(self.targets)

    @property
    def units(self) -> int:
        """What is drawn, clipped and protected: examples, or users where they are drawn whole."""
        return self.examples if self.members is None else len(self.members)

    @property
    def views(self) -> int:
        """Rows that one of them has in a batch."""
        return 1 if self.members is None else self.members.shape[1]

    def part(self, units: slice) -> "Split":
        """Some of the units, with no example besides theirs."""
        if self.members is None:
            return Split(self.inputs[units], self.targets[units])
        members = self.members[units].clone()
        places = members[there := members >= 0]
        members[there] = torch.arange(len(places), device=members.device)
        return Split(self.inputs[places], self.targets[places], members)

    def batch(self, units: Tensor) -> tuple[Tensor, Tensor]:
        """What an engine takes of these units."""
        if self.members is None:
            return self.inputs[units], self.targets[units]
        return of_users(self.inputs, self.targets, self.members[units])

    def of_type(self, dtype: torch.dtype) -> "Split":
        """With inputs of this type, where they are not words."""
        return dataclasses.replace(self, inputs=self.inputs.to(dtype)) if self.inputs.is_floating_point() else self

    def to(self, device: torch.device) -> "Split":
        members = None if self.members is None else self.members.to(device)
        return Split(self.inputs.to(device), self.targets.to(device), members)


@dataclass(frozen=True, slots=True)
class Dataset:
    """training: the accounted set, and all that a run draws from. held_out: never drawn, never accounted.

    words: how many there are, for inputs that are words; else 0. skipped: names of files that were passed over.
    users: how many examples of each count, where the claim is for users. scaling: what was subtracted from the inputs
    that were read, and what they were divided by then; None for words.
    """

    training: Split
    held_out: Split
    classes: int
    words: int = 0
    skipped: tuple[str, ...] = ()
    users: KeptOfUsers | None = None
    scaling: Scaling | None = None

    def to(self, device: torch.device) -> "Dataset":
        return dataclasses.replace(self, training=self.training.to(device), held_out=self.held_out.to(device))

    def in_precision_of(self, model: nn.Module) -> "Dataset":
        """In float64 for a model of float64, and else as it is."""
        if torch.float64 not in {p.dtype for p in model.parameters()}:
            return self
        training, held_out = (part.of_type(torch.float64) for part in (self.training, self.held_out))
        return dataclasses.replace(self, training=training, held_out=held_out)


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


def load_for(recipe: Recipe) -> Dataset:
    """The examples of a recipe: those that count of each user, where its claim is for users."""
    return load(recipe.data, most_kept(recipe.privacy, recipe.data), drawn_whole(recipe.privacy))


def load(data: Data, most: int | None = None, whole: bool = False) -> Dataset:
    """The examples of a recipe's data block, scaled as it says.

    most: examples that count of one user, None where nothing depends on users. whole: whether users are drawn whole.

    A data set without a test set of its own is split by a fixed permutation that looks at no example. Raises
    RecipeError when the block does not fit the examples, UsageError when a file cannot be used.
    """
    found = _with_users(_read(data) if data.source in SOURCES else _made_by_user(data.source), data)
    _check(found, data.source)
    training, held_out, owners = _split(found, data)
    scaling = None
    if found.words == 0:
        training, held_out, scaling = _scaled(training, held_out, data)
    elif data.standardize is not None or (data.shift, data.scale) != (0.0, 1.0):
        raise RecipeError(f"data.source={data.source} gives words; shift, scale and standardize are for numbers.")
    first, second = (Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in (training, held_out))
    made = Dataset(first, second, found.classes, found.words, found.skipped, scaling=scaling)
    return made if owners is None or most is None else _bounded(made, owners, most, data.split_seed, whole)


def _with_users(found: Examples, data: Data) -> Examples:
    """Users that a recipe makes up. Raises RecipeError where the data know none and a recipe names some."""
    if data.user is None or found.users is not None:
        return found
    if data.user != SIMULATED:
        raise RecipeError(
            f"data.user={data.user}: data.source={data.source} does not say whose its examples are. source: file reads "
            f"a column, a function returns users as its fourth item, and user: {SIMULATED} makes users up."
        )
    return dataclasses.replace(found, users=simulated(len(found.targets), data.split_seed))


def _bounded(made: Dataset, owners: NDArray[np.int64], most: int, seed: int, whole: bool) -> Dataset:
    """With what counts of each user: drawn whole, or as examples like any other."""
    members, counts = members_of(owners, most, seed)
    if whole:
        training = dataclasses.replace(made.training, members=torch.from_numpy(members)).part(slice(None))
    else:
        places = torch.from_numpy(np.sort(members[members >= 0]))
        training = Split(made.training.inputs[places], made.training.targets[places])
    return dataclasses.replace(made, training=training, users=counts)


def _read(data: Data) -> Examples:
    try:
        return SOURCES[data.source](data)
    except OSError as error:
        raise file_error(f"{error.filename or data.path} cannot be read", error) from None


Pair = tuple[Inputs, Targets]


def _split(found: Examples, data: Data) -> tuple[Pair, Pair, NDArray[np.int64] | None]:
    """The training examples, those held out, and whose the former are."""
    if found.held_out is not None:
        return (found.inputs, found.targets), found.held_out, found.users
    if found.users is not None:
        parts = held_out_of(found.users, data.held_out, data.split_seed)
        first, second = ((found.inputs[part], found.targets[part]) for part in parts)
        return first, second, found.users[parts[0]]
    order = np.random.default_rng(data.split_seed).permutation(len(found.targets))
    held_out = math.ceil(data.held_out * len(order))
    if held_out >= len(order):
        raise RecipeError(f"data.held_out={show(data.held_out)} leaves none of the {len(order)} examples to train on.")
    parts = (order[held_out:], order[:held_out])
    training, rest = ((found.inputs[part], found.targets[part]) for part in parts)
    return training, rest, None


def _scaled(training: Pair, held_out: Pair, data: Data) -> tuple[Pair, Pair, Scaling]:
    """(x - shift) / scale, and shift and scale: the recipe's, or where it declares them public, the training set's."""
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
    return (first, training[1]), (second, held_out[1]), (shift, scale)


def _made_by_user(source: str) -> Examples:
    """module:function, called without arguments, returns (inputs, targets[, classes[, users]]); classes may be None."""
    made = call_named(source, "data.source")
    if not isinstance(made, tuple) or len(made) not in {2, 3, 4}:
        raise RecipeError(
            f"data.source={source} returned {type(made).__name__}, not (inputs, targets[, classes[, users]])."
        )
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
