"""What an observer learns who keeps only into which of finitely many slices an output fell: lower bounds.

Whoever forgets learns no more (post-processing), so the laws of a slice under two neighbours are realised by these
neighbours, and what is computed from them bounds the truth from below.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.normal import half_erfc, log_normal_tails
from dpplan.accounting.pairs.dominating import DominatingPair
from dpplan.accounting.pairs.finite import Finite
from dpplan.accounting.pairs.law import Array

OFF = 1e-10  # relative error of a slice's mass, with room: see `_kept`
LEAST_SHARE = 3e-4  # of the tail that a slice is the difference of
LEAST_MASS = 1e-6  # of the slice that takes what is left over
CANDIDATES = 3000
SMALLEST, FARTHEST = 1e-60, 16.0
WORDS = "the largest output of an epoch: Chua et al. 2024 (arXiv:2403.17673)"


def sliced(p: Array, q: Array, off: float) -> Finite:
    """A law that bounds from below that of slices whose masses are p and q, each known to `off` relative.

    Every mass of P is taken for as small, every mass of Q for as large as it may be, except in the slice of the lowest
    ratio, which takes what is left of both. For a above its ratio it adds nothing to H_a = Σ (p - a·q)₊, and the others
    add no more than the truth; for a up to its ratio, the lowest, H_a = 1 - a, which no pair is below.
    """
    order = np.argsort(p / q)
    least_p, most_q = p[order] * (1.0 - off), q[order] * (1.0 + off)
    count = 1 + int(np.searchsorted(np.minimum(np.cumsum(least_p), np.cumsum(most_q)), LEAST_MASS))
    while count < len(p):
        rest_p, rest_q = 1.0 - math.fsum(least_p[count:]), 1.0 - math.fsum(most_q[count:])
        if rest_q > 0.0 and rest_p <= outward.down(rest_q, outward.SERIES) * float(least_p[count] / most_q[count]):
            rows = zip(least_p[count:].tolist(), most_q[count:].tolist(), strict=True)
            return Finite(((rest_p, rest_q), *rows))
        count += 1
    return Finite(((1.0, 1.0),))


def _pair(p: Array, q: Array, theorem: str) -> DominatingPair:
    return DominatingPair(sliced(p, q, OFF), sliced(q, p, OFF), theorem, dominates=False)


@functools.lru_cache(maxsize=64)
def largest_of_epoch(noise_multiplier: float, steps: int, taken: int, shift: float, other: float) -> DominatingPair:
    """The largest of the outputs of an epoch, of which `taken` of `steps` steps are taken and the record joins one
    step, each alike: its output is shifted by `shift` under one neighbour and by `other` under the other.

    P[largest <= C] = w·Φ((C - shift)/σ)·Φ(C/σ)^(taken - 1) + (1 - w)·Φ(C/σ)^taken with w = taken / steps: the cube
    event of Chua et al. 2024 (arXiv:2403.17673), for every C at once.
    """
    sigma, share = noise_multiplier, taken / steps

    def tails(c: Array, mean: float) -> tuple[Array, Array]:
        """P[largest <= c] and P[largest > c], each without cancellation."""
        log_all = taken * log_below(c / sigma)
        log_hit = (taken - 1) * log_below(c / sigma) + log_below((c - mean) / sigma)
        below = share * np.exp(log_hit) + (1.0 - share) * np.exp(log_all)
        return below, share * -np.expm1(log_hit) + (1.0 - share) * -np.expm1(log_all)

    wide = np.linspace(-FARTHEST * sigma, max(shift, other) + FARTHEST * sigma, CANDIDATES)
    inside = (tails(wide, shift)[0] > 1e-9) & (tails(wide, shift)[1] > SMALLEST) & (tails(wide, other)[1] > SMALLEST)
    if not inside.any():  # the noise is so small that no cut leaves both neighbours a mass that floats tell from none
        return _pair(np.ones(1), np.ones(1), WORDS)
    cuts = np.linspace(float(wide[inside][0]), float(wide[inside][-1]), CANDIDATES)
    p, q = _kept(cuts, lambda c: tails(c, shift), lambda c: tails(c, other))
    return _pair(p, q, WORDS)


def log_below(z: Array) -> Array:
    """log Φ(z), near 0 as exact as near -inf."""
    positive = np.maximum(z, 0.0)
    upper = half_erfc(positive * math.sqrt(0.5))
    return np.where(z > 0.0, np.log1p(-upper), log_normal_tails(np.maximum(-z, 0.0)))


def _kept(
    cuts: Array, first: Callable[[Array], tuple[Array, Array]], second: Callable[[Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """The masses of both measures between cuts, of so many cuts that each is LEAST_SHARE of the smaller tail at least:
    then a tail's rounding is below OFF of the slice. It grows like the square of the distance, to 1e-13 of the tail at
    most, but so far out one cut after the other leaves a slice a twentieth of its tail or more."""
    below, above = (np.stack([tails(cuts)[side] for tails in (first, second)]) for side in range(2))
    rows = list(zip(below[0].tolist(), above[0].tolist(), below[1].tolist(), above[1].tolist(), strict=True))

    def apart(low: float, high: float, last_low: float, last_high: float) -> bool:
        return low - last_low >= LEAST_SHARE * low if low < high else last_high - high >= LEAST_SHARE * last_high

    chosen = [0]
    for at, row in enumerate(rows[1:], 1):
        last = rows[chosen[-1]]
        if apart(*row[:2], *last[:2]) and apart(*row[2:], *last[2:]):
            chosen.append(at)
    below, above = below[:, chosen], above[:, chosen]
    inner = np.where(below[:, 1:] < above[:, 1:], np.diff(below), -np.diff(above))
    masses = np.concatenate((below[:, :1], inner, above[:, -1:]), axis=1)
    return masses[0], masses[1]
