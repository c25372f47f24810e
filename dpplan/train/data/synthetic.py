"""Examples made on the spot, the same in every run: for trying things out, since nobody's data are in them."""

import numpy as np

from dpplan.recipe import Data
from dpplan.recipe.schema import MADE_EXAMPLES
from dpplan.train.data.examples import Examples

LETTERS = 26  # words are letters; 0 fills up short names
LONGEST = 10
ENDINGS = ("o", "ski", "sen", "ez")  # one for each kind of name


def blobs(data: Data) -> Examples:
    """Four Gaussian clouds in 10 dimensions, one for each class; their centres are some 6 deviations apart."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(4, 10))
    targets = rng.integers(4, size=_count(data))
    inputs = centres[targets] + rng.normal(size=(len(targets), 10))
    return Examples(inputs.astype(np.float32), targets.astype(np.int64), 4)


def linear(data: Data) -> Examples:
    """20 normal features; class 1 where a fixed weighted sum of them plus noise is positive, else class 0."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=20)
    inputs = rng.normal(size=(_count(data), 20))
    targets = inputs @ weights + rng.normal(size=len(inputs)) > 0
    return Examples(inputs.astype(np.float32), targets.astype(np.int64), 2)


def names(data: Data) -> Examples:
    """Made-up names of up to 10 letters in four kinds, told apart by their endings and their taste in vowels."""
    rng = np.random.default_rng(0)
    targets = rng.integers(len(ENDINGS), size=_count(data))
    inputs = np.zeros((len(targets), LONGEST), np.int64)
    vowels = ("aeo", "aio", "eiu", "aeu")
    for row, kind in zip(inputs, targets, strict=True):
        pairs = int(rng.integers(1, 4))
        letters = "".join(rng.choice(list("bdfgklmnprstvz")) + rng.choice(list(vowels[kind])) for _ in range(pairs))
        name = letters[: LONGEST - 3] + ENDINGS[kind]
        row[: len(name)] = [ord(letter) - ord("a") + 1 for letter in name]
    return Examples(inputs, targets.astype(np.int64), len(ENDINGS), words=LETTERS + 1)


def _count(data: Data) -> int:
    return MADE_EXAMPLES if data.examples is None else data.examples
