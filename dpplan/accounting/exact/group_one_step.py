"""One step of a user's examples at any ε, by formula: what masses lose where they leave the range of floats.

P = Σ_j b_j·N(j, σ²) against Q = N(0, σ²). The loss rises with x: the optimal events are half-lines (Neyman, Pearson),

    delta(ε) = P[x > x*] - e^ε·Q[x > x*],  loss(x*) = ε,

and both terms are worked out as logarithms. Any half-line bounds delta from below. From above, where x <= x* has a loss
of at least ε - η, all between them is part of {> x} and tells no more than e^η - 1 of its mass.
"""

import math

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss

EPS = 2.0**-52
LEFT_OUT = 1e-300  # more than all weights that are no floats, and what a float loses of a figure
FARTHEST = 60.0  # of x, in σ beyond the largest mean: such a tail is e^-1800
FIRST_NUDGE, NUDGES = 1e-15, 60  # of ε, relative; doubled until an end is proven
LOG_LEAST = -690.0
# Of what a loss falls short of ε, of logarithms and of how far these are off: beyond, half-lines are not subtracted.
FARTHEST_SHORT, MOST_LOG, MOST_SLACK = 30.0, 600.0, 0.1


def delta_ends(law: GroupLoss, epsilon: float) -> tuple[float, float, float]:
    """(lower, upper) around delta(ε), ε >= 0; and -d/dε of it, about."""
    place, short = _place(law, epsilon)
    gain, loss, slack = _logs(law, place, epsilon)
    if max(gain, loss) + slack < LOG_LEAST:
        return 0.0, LEFT_OUT + math.exp(LOG_LEAST), 0.0
    if not (short <= FARTHEST_SHORT and loss <= MOST_LOG and slack <= MOST_SLACK):
        # Any half-line that begins before x* holds what delta counts, and more.
        return 0.0, min(outward.up(math.exp(min(gain + slack, 0.0)), outward.SERIES) + LEFT_OUT, 1.0), 0.0
    top, bottom = math.exp(min(gain, 0.0)), math.exp(loss)
    error = math.expm1(slack) * (top + bottom) + LEFT_OUT
    upper = max(top - bottom, 0.0) + error + math.expm1(short) * (top + error)
    return max(top - bottom - error, 0.0), min(upper, 1.0), bottom


def _epsilon_about(law: GroupLoss, delta: float) -> float:
    """Near the ε at which delta(ε) is this."""
    means, sigma = law.components[0], law.noise_multiplier

    def beyond(x: float) -> bool:
        gain, loss, _ = _logs(law, x, _loss(law, x)[0])
        return gain + math.log(max(-math.expm1(min(loss - gain, 0.0)), 1e-300)) <= math.log(delta)

    return _loss(law, first_true(beyond, -FARTHEST * sigma, float(means[-1]) + FARTHEST * sigma).true)[0]


def epsilon_ends(law: GroupLoss, delta: float) -> tuple[float, float]:
    """(lower, upper) around the least ε >= 0 with delta(ε) <= delta, each proven by its own inequality."""
    near, lower, upper, nudge = _epsilon_about(law, delta), 0.0, math.inf, FIRST_NUDGE
    for _ in range(NUDGES):
        low, high = max(near * (1.0 - nudge), 0.0), near * (1.0 + nudge)
        if lower == 0.0 and low > 0.0 and delta_ends(law, low)[0] > delta:
            lower = low
        if upper == math.inf and delta_ends(law, high)[1] <= delta:
            upper = high
        if (lower > 0.0 or low == 0.0) and upper < math.inf:
            break
        nudge *= 2.0
    return lower, upper


def _loss(law: GroupLoss, x: float) -> tuple[float, float]:
    """And how far it may be off."""
    value, _, off = law.loss(np.array([x]))
    return float(value[0]), float(off[0])


def _place(law: GroupLoss, epsilon: float) -> tuple[float, float]:
    """An x that is surely no larger than x*, and how much less than ε its loss is at most."""
    low, high = -FARTHEST * law.noise_multiplier, law.noise_multiplier**2 * epsilon + float(law.components[0][-1]) + 1.0
    while _loss(law, high)[0] < epsilon:
        high *= 2.0

    def reached(x: float) -> bool:
        value, off = _loss(law, x)
        return value + off >= epsilon

    x = first_true(reached, low, high).false
    value, off = _loss(law, x)
    return x, epsilon - value + off


def _logs(law: GroupLoss, x: float, epsilon: float) -> tuple[float, float, float]:
    """log of P's and of e^ε times Q's mass beyond x, and how far either may be off."""
    sigma, rows = law.noise_multiplier, [row for row in zip(*law.components, strict=True) if row[1] > 0.0]
    gains = [math.log(weight) + log_normal_tail(max((x - mean) / sigma, -37.0)) for mean, weight, _ in rows]
    most = max(gains)
    gain = most + math.log(math.fsum(math.exp(each - most) for each in gains))
    loss, far = epsilon + log_normal_tail(max(x / sigma, -37.0)), max(abs(x), abs(x - float(rows[-1][0]))) / sigma
    parts = 4.0 * (max(map(abs, gains)) + abs(loss) + abs(epsilon)) + 8.0 * far * (1.0 + far)
    return gain, loss, EPS * (32.0 + len(rows) + parts) + law.weight_off
