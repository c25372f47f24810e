"""What a plan's figures take for granted, in the words that stand beside each of them."""

import dataclasses
from collections.abc import Iterable

from dpplan.adjacency import ADJACENCIES
from dpplan.mechanism import (
    BufferedNoise,
    Gaussian,
    MatrixNoise,
    Mechanism,
    RandomizedResponse,
    ThresholdedCounts,
    ToeplitzNoise,
    TreeAggregation,
)
from dpplan.quick_dataclass import dataclass

AS_GOOD_AS_NONE = "a zeroed record in a batch being as good as none"
ANSWERS_BY_CHANCE = "a zeroed record answering uniformly at random"
IN_NO_PARTITION = "a zeroed record being in no partition"
EVERYBODY = "full batch"  # of a scheme that draws nobody, as all are in
# Of a declared pattern: batches that are cut from a list move where a record is removed from it.
WHOEVER_ELSE = "fixed whoever else is in the data"
# Of these a zeroed record needs no word: it adds zero to a sum, as one that is removed does.
_SHARED = (TreeAggregation, ToeplitzNoise, BufferedNoise, MatrixNoise)
_SUMS = (Gaussian, *_SHARED)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a privacy figure takes for granted. A figure without these says nothing.

    zeroed: what a record does that is zeroed out, where the figure rests on it; "" else.
    """

    sampling: str
    adjacency: str
    privacy_unit: str
    zeroed: str = ""

    def __str__(self) -> str:
        known = ADJACENCIES.get(self.adjacency)
        whose = f"{self.adjacency if known is None else known.words} {self.privacy_unit}"
        return ", ".join(filter(None, (self.sampling, whose, self.zeroed)))

    def to_json(self) -> dict[str, str]:
        """By name, without what nothing rests on."""
        return {name: words for name, words in dataclasses.asdict(self).items() if words or name != "zeroed"}


def of_batches(mechanism: Mechanism, drawn: str, steps: int, unit: str) -> str:
    """Who is in which step, of a phase of so many: what is said of its scheme, or, where steps share noise and every
    record could be in every one, what is declared of a record in its place."""
    if drawn != EVERYBODY or not isinstance(mechanism, _SHARED) or not declares_steps(mechanism, steps):
        return drawn
    times, apart = mechanism.participations, mechanism.separation
    far = f", at least {apart} apart" if times > 1 and apart > 1 else ""
    return f"each {unit} in at most {times} step{'s' * (times > 1)}{far}, {WHOEVER_ELSE}"


def declares_steps(mechanism: object, steps: int) -> bool:
    """Whether noise that steps share is for records that are in fewer than all of so many steps, or some apart. Where
    the sampling says nothing of who is in which step, this is what whatever draws the batches has to keep."""
    return isinstance(mechanism, _SHARED) and (mechanism.participations < steps or mechanism.separation > 1)


def of_zeroed(releases: Iterable[tuple[Mechanism, bool]]) -> str:
    """What a record does that is zeroed out, where a figure rests on it: what answers for itself, or is counted by
    name, does so in some way after it was zeroed, too. releases: each mechanism, and whether its batches are sampled.

    Of all other mechanisms an unsampled release is as private as is stated of it, for the neighbours of the plan.
    """
    told = (
        ANSWERS_BY_CHANCE
        if isinstance(mechanism, RandomizedResponse)
        else IN_NO_PARTITION
        if isinstance(mechanism, ThresholdedCounts)
        else AS_GOOD_AS_NONE
        if sampled and not isinstance(mechanism, _SUMS)
        else ""
        for mechanism, sampled in releases
    )
    return ", ".join(sorted(set(filter(None, told))))
