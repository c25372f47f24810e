"""How much a μ overstates: the regret of reporting a plan by it, as GDP reporting names it.

Gomez, Kulynych, Kaissis, Calmon, Hayes, Balle, Honkela (arXiv:2503.10945): of a trade-off f that is told as μ, the
least Δ >= 0 with f(α + Δ) - Δ <= f_μ(α) at every α. Moving f by Δ in both rates adds (1 + e^x)·Δ to its profile, and
one trade-off lies below another where its profile lies above. So Δ is the largest of (δ_μ(x) - δ(x)) / (1 + e^x) over
all real x; of the worse of both directions x >= 0 is enough, since there δ(-x) = 1 - e^-x·(1 - δ(x)) leaves the
quotient as it is.

From above: both are convex in a = e^x. δ_μ lies below its chord and δ above its neighbours' chords, extended; a
quotient of linear functions is largest at an end of where it is one.
"""

import math

import numpy as np

from dpplan.accounting.bound import Guarantee
from dpplan.accounting.exact.proven_deltas import Width
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.risk.source import Source
from dpplan.risk.trade_off import first_looks

ENOUGH = Width(1e-6, 1e-4)  # a regret is read to two digits, and one below 1e-5 not at all
CLOSE, ROUNDS = 0.02, 7  # relative: how near the largest quotient at a place the bound has to come, and in how many
SMALL = 1e-5  # absolute, likewise
ABSOLUTE = 1e-13  # of normal tails, and of chords between numbers of size 1


def regret_above(source: Source, mu: float) -> float | None:
    """An upper bound on the regret of telling this source by μ >= 0; None of a source that nothing is known of from
    below, where any regret may be true."""
    if source.guarantee is not Guarantee.CERTIFIED:
        return None
    if mu == 0.0:
        return 0.0
    x = np.array((0.0, *first_looks()))
    low, high = source.larger(x, ENOUGH)
    for _ in range(ROUNDS):
        at_places, between = _quotients(x, low, high, mu)
        least = max(float(np.max(at_places)), 0.0)
        wide = between > max(least * (1.0 + CLOSE), least + SMALL)
        if not wide.any():
            break
        middles = 0.5 * (x[:-1] + x[1:])[wide]
        at = np.flatnonzero(wide) + 1
        more_low, more_high = source.larger(middles, ENOUGH)
        x, low, high = np.insert(x, at, middles), np.insert(low, at, more_low), np.insert(high, at, more_high)
    at_places, between = _quotients(x, low, high, mu)
    beyond = float(_of_gaussian(x[-1:], mu)[0]) / (1.0 + math.exp(x[-1]))  # δ is not negative, and δ_μ falls
    return outward.up(float(max(np.max(at_places), np.max(between), beyond, 0.0)), outward.MANY) + ABSOLUTE


def _of_gaussian(x: Array, mu: float) -> Array:
    first, second = (np.exp(log_normal_tails(x / mu + sign * 0.5 * mu)) for sign in (-1.0, 1.0))
    return np.asarray(first - outward.down(np.exp(x) * second, outward.SERIES) + ABSOLUTE)


def _quotients(x: Array, low: Array, high: Array, mu: float) -> tuple[Array, Array]:
    """Upper ends of the quotient at the places, and from each to the next, [stretch]."""
    a, told = np.exp(x), _of_gaussian(x, mu)
    at_places = (told - low) / (1.0 + a)
    # A place on the far side of 0 has what its mirror image says, so that the first stretch has a neighbour, too.
    before = np.concatenate(([1.0 / a[1]], a)), np.concatenate(([1.0 - (1.0 - high[1]) / a[1]], high))
    width = np.diff(a)
    # δ at the stretch's far end, by the chord from before it; at its near end, by the chord from behind it.
    rise = (low[:-1] - before[1][:-2]) / (a[:-1] - before[0][:-2])
    by_left = low[:-1] + rise * width
    fall = (high[2:] - low[1:-1]) / (a[2:] - a[1:-1])
    by_right = np.append(low[1:-1] - fall * width[:-1], -math.inf)
    share = np.divide(  # of the way, where the two lines meet
        low[:-1] - by_right, (low[:-1] - by_right) + (low[1:] - by_left),
        out=np.ones_like(width), where=np.isfinite(by_right) & (low[:-1] + low[1:] != by_left + by_right),
    )  # fmt: skip
    share = np.clip(share, 0.0, 1.0)
    return at_places, _largest(a, told, low, (by_left, by_right), share)


def _largest(a: Array, told: Array, low: Array, lines: tuple[Array, Array], share: Array) -> Array:
    """Of the chord of δ_μ less the larger of two lines below δ, over 1 + a: at both ends and where the lines meet."""
    by_left, by_right = lines
    kink_a = a[:-1] + share * np.diff(a)
    chord = told[:-1] + share * np.diff(told)
    line = low[:-1] + share * (by_left - low[:-1])
    return np.asarray(
        np.max(
            (
                (told[:-1] - np.maximum(low[:-1], by_right)) / (1.0 + a[:-1]),
                (told[1:] - np.maximum(low[1:], by_left)) / (1.0 + a[1:]),
                (chord - np.minimum(line, 1.0)) / (1.0 + kink_a),
            ),
            axis=0,
        )
    )
