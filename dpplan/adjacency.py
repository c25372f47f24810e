"""Which data sets count as neighbours: what the claim promises cannot be told apart.

Adjacency decides how far the clipped sum may move, hence the sensitivity, and in how many directions the privacy loss
has to be looked at. Every figure is for one of these and says which. Clipping itself is the same under all of them: a
noise multiplier is noise over one clip norm, and what a relation multiplies that norm by is for the pairs to count.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from dpplan.checks import did_you_mean
from dpplan.errors import PlanError
from dpplan.quick_dataclass import dataclass

Direction = Literal["remove", "add", "replace"]
# What every place says of n that says something of it: pages, help, certificate, check.
N_IS_PUBLIC = (
    "n is taken for public: q, the steps and the divisor are made of it, and whoever publishes them publishes n."
)
DIFFERENT_N = (
    "Neighbours under add-remove differ in n, and ε does not cover n: such a figure is for an n that is known anyway "
    "or no secret. To publish an n that was counted from private data, claim zero-out or replace-one."
)
SAME_N = "Neighbours have equally many records, so n may be published."
# Of groups that share no record (`parallel` in a plan file), each with an n of its own.
GROUP_N = (
    "The n of a group under parallel is public in the same way, and so are the q, steps and divisor made of it. "
    "Under replace-one the new record may be in another group, so that neighbours differ in the n of both, and ε does "
    "not cover these; under zero-out a zeroed record stays in the n of its group. Nor does it cover a number of "
    "records where users are replaced: the new one may have more or fewer."
)

# Of which data neighbours are told. Where near duplicates are left out, one record more turns others out.
AFTER_FILTERS = (
    "The data are those that batches are drawn from, after every filter, and whether a record is among them, and "
    "what it says, follows from nothing but itself: one that is left out, or let in, because of others (duplicates, "
    "the balance of classes, a quantile, a cap on their number) is not covered. A row that is made of several "
    "records (texts strung together and cut, features or labels from other rows) protects the row alone: where one "
    "record less moves the cuts of others, all these rows change. Under replace-one and zero-out the other record "
    "passes every filter, too: one that does not is removed, and claimed under add-remove."
)

# What every place says of a record that is zeroed out.
ZEROED = (
    "A zeroed record stays in n, is drawn like others and takes its place in a batch or a cap, adds zero to a sum, "
    "is in no count, bin or partition that is released, and answers a randomized response uniformly at random. One "
    "that is counted or answers as another record would is replaced: claim replace-one."
)


@dataclass(frozen=True, slots=True)
class Adjacency:
    """One relation between data sets.

    name: as JSON writes it. words: in front of the privacy unit, "add/remove one" example. short: the relation alone.
    sensitivity: how far a sum of vectors of norm at most 1 moves between neighbours, when every record is in it.
    directions: the orders of the two data sets that are not covered by one another.
    public_size: whether neighbours have equally many records, so that n may be published.
    """

    name: str
    words: str
    short: str
    sensitivity: float
    directions: tuple[Direction, ...]
    public_size: bool

    def __str__(self) -> str:
        return self.short

    @property
    def symmetric(self) -> bool:
        """Whether one order of the two data sets covers the other, so that both directions have one profile."""
        return len(self.directions) == 1

    @property
    def n_words(self) -> str:
        """Whether n is public under this relation, and what that asks of who publishes it."""
        return f"{N_IS_PUBLIC} {SAME_N if self.public_size else DIFFERENT_N}"


ADD_REMOVE = Adjacency("add_remove", "add/remove one", "add/remove", 1.0, ("remove", "add"), public_size=False)
REPLACE_ONE = Adjacency("replace_one", "replace one", "replace-one", 2.0, ("replace",), public_size=True)
# A record is exchanged for one that adds nothing: the clipped sum moves as if it were removed, and n stays.
ZERO_OUT = Adjacency("zero_out", "zero out one", "zero-out", 1.0, ("remove", "add"), public_size=True)

_ALL = (ADD_REMOVE, REPLACE_ONE, ZERO_OUT)
ADJACENCIES: Mapping[str, Adjacency] = MappingProxyType({each.name: each for each in _ALL})


def named(name: str) -> Adjacency:
    """The adjacency of that name, written with underscores or hyphens. Raises PlanError for another."""
    found = ADJACENCIES.get(name.replace("-", "_"))
    if found is None:
        known = [each.replace("_", "-") for each in ADJACENCIES]
        raise PlanError(f"adjacency={name} is not one of: {', '.join(known)}.{did_you_mean(name, known)}")
    return found


def conversion(one: Adjacency, other: Adjacency) -> str:
    """What a guarantee under one of two relations says under the other, and what to do with it: a replacement is a
    removal, or a zeroing out, and the same backwards, two steps between neighbours."""
    if REPLACE_ONE not in (one, other):
        return f"Neither {one} nor {other} says anything of the other: give all of it under one"
    known = other if one == REPLACE_ONE else one
    return (
        f"(ε, δ) under {known} is (2ε, (1 + e^ε)·δ) under replace-one, and the reverse is not true: run `dpplan "
        "epsilon` on that part alone, and state what follows (kind: epsilon-delta) in a plan under replace-one"
    )
