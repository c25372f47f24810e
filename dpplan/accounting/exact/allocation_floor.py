"""Stage 4, certify: a lower bound for plans with allocations, from one plain event and with no lattice at all."""

import math
from collections.abc import Iterator

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.adjacency import REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, RandomAllocation
from dpplan.sampling.balls_in_bins import SAME

ALLOCATIONS = (BallsInBins, RandomAllocation)


def event_bound(plan: Plan) -> EventBound | None:
    """That any output exceeds a threshold, gradients of a record staying as they are; None where no phase allocates.

    Whichever k of the t steps of a round are a record's, its outputs are N(1, σ²) in these and N(0, σ²) in the others,
    so that the event's probability is that of k steps with the record and t - k without. What is not looked at (a round
    that is cut short, other schemes) can only lower the bound.
    """
    if plan.adjacency == REPLACE_ONE or not any(isinstance(each.sampling, ALLOCATIONS) for each in plan.phases):
        return None
    rows = [row for phase in plan.phases if type(phase.mechanism) is Gaussian for row in _rows(phase)]
    return EventBound(Steps.of(rows)) if rows else None


def _rows(phase: Phase) -> Iterator[tuple[float, float, int]]:
    """Noise, the chance to be in the batch, and how many such steps."""
    noise, scheme = Gaussian.of(phase.mechanism).noise_multiplier, phase.sampling
    if not isinstance(scheme, ALLOCATIONS):
        return
    times, length = (
        (1, scheme.steps_per_epoch) if isinstance(scheme, BallsInBins) else (scheme.times, scheme.steps_per_round)
    )
    rounds = phase.steps // length
    if isinstance(scheme, BallsInBins) and scheme.bins == SAME and rounds:
        noise, rounds = noise / math.sqrt(rounds), 1  # the sum of a bin's outputs
    if rounds:
        yield noise, 1.0, times * rounds
    if rounds and length > times:
        yield noise, 0.0, (length - times) * rounds
