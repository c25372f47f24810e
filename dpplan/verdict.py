"""Whether a figure passes a limit, or a claim stands: decided here alone, and never by an estimate.

hold(bound, limit)          is what was proven of a plan within a limit?
judge(claimed, bound)       is a claimed figure true, by what was proven of the plan?
"""

import enum

from dpplan.accounting.bound import Bound, Guarantee


class Passage(enum.StrEnum):
    """How a figure stands to a limit."""

    WITHIN = "within"  # proven to be no larger; an estimate only where the user accepts it
    EXCEEDS = "exceeds"  # the figure is larger
    UNPROVEN = "unproven"  # it looks smaller, and nothing proves it


class Standing(enum.StrEnum):
    """How a claimed figure stands to the proven one."""

    STANDS = "stands"  # claimed >= the proven upper bound
    REFUTED = "refuted"  # claimed < the proven lower bound
    UNCERTAIN = "not certified"  # neither is proven


def hold(bound: Bound, limit: float, accept_estimate: bool = False) -> Passage:
    """Whether `bound` is within `limit`.

    | bound | within | exceeds | unproven |
    |---|---|---|---|
    | certified, upper | upper <= limit | upper > limit | |
    | lower | never | lower > limit | lower <= limit |
    | estimate | estimate <= limit, if accepted | estimate > limit | estimate <= limit, if not accepted |

    A figure that is no number is within nothing.
    """
    if not bound.value <= limit:
        return Passage.EXCEEDS
    if bound.upper is not None or (accept_estimate and bound.guarantee is Guarantee.ESTIMATE):
        return Passage.WITHIN
    return Passage.UNPROVEN


def judge(claimed: float, bound: Bound) -> Standing:
    """Whether a claimed upper bound on what a plan spends is true. An estimate settles nothing."""
    if bound.upper is not None and claimed >= bound.upper:
        return Standing.STANDS
    if bound.lower is not None and claimed < bound.lower:
        return Standing.REFUTED
    return Standing.UNCERTAIN
