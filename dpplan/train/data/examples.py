"""What every source gives: examples as arrays, and what is public about them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Inputs = NDArray[np.float32] | NDArray[np.int64]
Targets = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Examples:
    """inputs: (examples, ...), float32, or int64 from 0 to words - 1. targets: (examples,), classes from 0.

    classes, words and the shape of an example are public, and so is the number of examples. held_out: inputs and
    targets of the test set, where a data set comes with one. skipped: names of files that were passed over. users:
    a number for whose each example is, where the recipe asks for it.
    """

    inputs: Inputs
    targets: Targets
    classes: int
    words: int = 0
    held_out: tuple[Inputs, Targets] | None = None
    skipped: tuple[str, ...] = ()
    users: NDArray[np.int64] | None = None
