"""Stage 4, certify: a lower bound from one plain event, independent of everything else here."""

import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.normal import log_normal_tail, log_normal_tails

# Places of the threshold event, in standard deviations of the noise above the shifted mean.
MANY = 48  # phases, above which they are taken together and not one by one
LEAST = 1e-290  # of a delta: below, floats lose their digits
ROUNDING = 1e-14  # of each logarithm, relative: of the squares in it, and of their difference
FEWER = 3  # every third place serves where many plans are looked at
PLACES = np.concatenate((np.linspace(-4.0, 12.0, 65), np.linspace(12.5, 38.0, 52)))


class EventBound:
    """Lower bounds on delta from one plain event: that any step's output exceeds 1 + σ·z.

    delta(ε) >= P(event) - e^ε·Q(event) for every event. Under either neighbour the steps are independent given
    the outputs so far, so the event's probability is 1 - Π(1 - p)^T. Rounded down: tails are good to a few units of
    their logarithm (log_normal_tail), all else to 1e-9.
    """

    def __init__(self, steps: Steps) -> None:
        own = np.array([math.exp(log_normal_tail(z)) for z in PLACES])
        shifted = PLACES + 1.0 / steps.sigma
        if len(shifted) > MANY:  # to the same few units, where it is not next to 0
            log_other = log_normal_tails(shifted)
        else:
            log_other = np.array([[log_normal_tail(place) for place in row] for row in shifted])
        other = np.exp(log_other)
        mixed = (1.0 - steps.q) * other + steps.q * own
        self.numerator = -np.expm1((steps.count * np.log1p(-np.minimum(mixed, 0.5))).sum(axis=0))
        capped = np.minimum(other, 1.0 - 1e-16)
        denominator = -np.expm1((steps.count * np.log1p(-capped)).sum(axis=0))
        # The sum over steps bounds it too, and its logarithm knows no smallest number.
        summed = np.logaddexp.reduce(log_other + np.log(steps.count), axis=0)
        with np.errstate(divide="ignore"):
            self.log_denominator = (
                np.where(denominator > 1e-290, np.minimum(np.log(denominator), summed), summed) + outward.MANY
            )

    def delta(self, epsilon: float) -> float:
        """A lower bound on delta at this ε (add/remove, the remove direction)."""
        rounding = ROUNDING * (epsilon + np.abs(self.log_denominator))
        with np.errstate(over="ignore", invalid="ignore"):
            gap = outward.down(self.numerator, outward.MANY) - np.exp(epsilon + self.log_denominator + rounding)
        return max(float(np.nan_to_num(np.max(gap), nan=0.0)), 0.0)

    def deltas(self, epsilons: Array) -> Array:
        """As `delta`, at each of these ε."""
        at = epsilons[:, None]
        with np.errstate(over="ignore", invalid="ignore"):
            taken = np.exp(at + self.log_denominator + ROUNDING * (at + np.abs(self.log_denominator)))
            gap = np.max(outward.down(self.numerator, outward.MANY) - taken, axis=1)
        return np.maximum(np.nan_to_num(gap, nan=0.0), 0.0)

    def epsilon(self, delta: float) -> float:
        """A lower bound on the epsilon at this delta."""
        if delta < LEAST:
            return 0.0
        room = outward.down(self.numerator, outward.MANY) - delta
        good = room > 0.0
        if not np.any(good):
            return 0.0
        best = float(np.max(np.log(room[good]) - self.log_denominator[good]))
        return max(best - outward.SERIES * (1.0 + abs(best)), 0.0) if math.isfinite(best) else 0.0


def epsilons_of_each(steps: Steps, delta: float) -> Array:
    """As EventBound.epsilon, for the steps of each row by themselves, [row]; by fewer events."""
    if delta < LEAST:
        return np.zeros(len(steps.sigma))
    places = PLACES[::FEWER]
    own, log_other = np.exp(log_normal_tails(places)), log_normal_tails(places + 1.0 / steps.sigma)
    mixed = (1.0 - steps.q) * np.exp(log_other) + steps.q * own
    numerator = -np.expm1(steps.count * np.log1p(-np.minimum(mixed, 0.5)))
    log_denominator = log_other + np.log(steps.count) + outward.MANY
    room = outward.down(numerator, outward.MANY) - delta
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.max(np.where(room > 0.0, np.log(room) - log_denominator, 0.0), axis=1)
    return np.maximum(best - outward.SERIES * (1.0 + np.abs(best)), 0.0)
