"""Whose each example is: how many of one user count, and which, decided before training.

What is kept of a user depends on nothing but how many examples that user has and on their order in the data: no other
user changes it, and neither does a label or an input. So it comes before the neighbours that a claim compares: a user
more or less is that user's kept examples more or less.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpplan.errors import RecipeError, UsageError
from dpplan.units import names_nobody, user_name

Places = NDArray[np.int64]
MEAN_EXAMPLES = 8  # of a simulated user, geometrically distributed
KEY = 0x75736572  # of the shuffle that says which places are kept: another stream than that of the held-out part
RULE = (
    "of a user who has more, those are kept whose places among the user's examples come first in a fixed shuffle; "
    "neither labels nor inputs nor other users decide"
)


@dataclass(frozen=True, slots=True)
class KeptOfUsers:
    """users: of the training set. most: examples that may count of one. kept: the most that do. left_out: the surplus.

    histogram: examples -> users who had so many before; private, as is all but users and most.
    """

    users: int
    most: int
    kept: int
    left_out: int
    histogram: tuple[tuple[int, int], ...]


def numbered_users(where: str, names: Any, examples: int) -> Places:
    """A number for each user, from 0 in order of names. Raises UsageError for what names nobody."""
    try:
        found = np.asarray(names)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{where}: numpy makes no array of the users: {error}.") from None
    if found.shape != (examples,) or found.dtype.kind not in "iubUS":
        raise UsageError(
            f"{where}: users of shape {found.shape} and type {found.dtype} are not one name or whole number for each "
            f"of the {examples} examples."
        )
    if found.dtype.kind == "S":  # one letter in two forms is two texts there, too
        found = np.char.decode(found, "utf-8", "surrogateescape")
    if found.dtype.kind == "U":
        found = np.array([user_name(str(name)) for name in found], str)
        nobody = [name for name in np.unique(found).tolist() if names_nobody(name)]
        if nobody:
            first = int(np.flatnonzero(np.isin(found, nobody))[0])
            raise UsageError(
                f"{where}: example {first} has no user ({str(found[first])!r}). Name one, or drop the example."
            )
    return np.unique(found, return_inverse=True)[1].astype(np.int64).reshape(-1)


def simulated(examples: int, seed: int) -> Places:
    """Users that are made up: examples in random order, dealt to users with a geometric number of them each."""
    rng = np.random.default_rng((KEY, seed))
    ends = np.cumsum(rng.geometric(1 / MEAN_EXAMPLES, examples))
    owners = np.searchsorted(ends, np.arange(examples), side="right")
    return owners[rng.permutation(examples)].astype(np.int64)


def held_out_of(users: Places, share: float, seed: int) -> tuple[Places, Places]:
    """The places of the training examples and of the others. Users are on one side as a whole."""
    count = int(users.max()) + 1
    order = np.random.default_rng(seed).permutation(count)
    out = int(np.ceil(share * count - 1e-9))
    if out >= count:
        raise RecipeError(f"data.held_out={share:g} leaves none of the {count} users to train on.")
    chosen = np.zeros(count, bool)
    chosen[order[:out]] = True
    return np.flatnonzero(~chosen[users]), np.flatnonzero(chosen[users])


def members_of(users: Places, most: int, seed: int) -> tuple[Places, KeptOfUsers]:
    """(users, rows): the places of the examples that count of each user, -1 where there are fewer.

    `most` rows, so that no user's number of examples shows in the shape of a step.
    """
    counts = np.unique(users, return_counts=True)[1]
    by_user = np.argsort(users, kind="stable")
    place = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)  # among the user's own examples
    owner = np.repeat(np.arange(len(counts)), counts)
    turn = np.random.default_rng((KEY, seed, 1)).random(int(counts.max()))[place]  # a prefix of one public sequence
    order = np.lexsort((turn, owner))
    rank = np.empty(len(users), np.int64)
    rank[order] = place  # `place` counts up within each user, in either order
    members = np.full((len(counts), most), -1, np.int64)
    kept = rank < most
    members[owner[kept], rank[kept]] = by_user[kept]
    sizes, many = np.unique(counts, return_counts=True)
    histogram = tuple((int(size), int(each)) for size, each in zip(sizes, many, strict=True))
    left_out = int((counts - np.minimum(counts, most)).sum())
    largest = int(np.bincount(users[members[members >= 0]]).max())
    return members, KeptOfUsers(len(counts), most, largest, left_out, histogram)
