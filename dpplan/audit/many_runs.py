"""Scores of independent runs, each with one canary in or out: Clopper-Pearson bounds on both rates.

A threshold is chosen on one half of the scores (the order of the file is shuffled by a fixed seed, which knows neither
scores nor members), or is given; the rates are bounded on the rest: each with half of the level, so both hold with
confidence 1 - level, and ε >= log((TPR - δ) / FPR) (Jagielski, Ullman, Oprea 2020; Nasr et al. 2021, arXiv:2101.04535).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.audit.claimed_trade_off import HypothesisCurve
from dpplan.audit.scores import Scores

SEED, CANDIDATES = 0, 200
BISECTIONS = 60
QUANTILE_OFF = 1e-9  # relative, of a quantile by scipy's inverse of the incomplete beta function (1e-13), with room


@dataclass(frozen=True, slots=True)
class Rates:
    """true_positives: a lower bound; false_positives: an upper one. guesses, right: of those that were named."""

    true_positives: float
    false_positives: float
    guesses: int
    right: int
    epsilon: float


def bound(scores: Scores, delta: float, level: float, threshold: float | None = None) -> Rates:
    """What both rates are at least and at most, and the ε that follows."""
    judged = scores
    if threshold is None:
        order = np.random.default_rng(SEED).permutation(scores.canaries)
        first, rest = order[: len(order) // 2], order[len(order) // 2 :]
        chosen, judged = _part(scores, first), _part(scores, rest)
        threshold = _best(chosen, delta, level)
    return _rates(judged, threshold, delta, level)


def _part(scores: Scores, rows: NDArray[np.int64]) -> Scores:
    return Scores(scores.member[rows], scores.score[rows])


def _best(scores: Scores, delta: float, level: float) -> float:
    """The threshold that bounds ε best here; any would be valid elsewhere."""
    ranks = np.linspace(0, scores.canaries - 1, min(CANDIDATES, scores.canaries)).astype(int)
    candidates = np.unique(np.sort(scores.score)[ranks]).tolist()
    return float(max(candidates, key=lambda cut: (_rates(scores, cut, delta, level).epsilon, cut)))


def _rates(scores: Scores, threshold: float, delta: float, level: float) -> Rates:
    named = scores.score >= threshold
    hits, misses = int((named & scores.member).sum()), int((named & ~scores.member).sum())
    members = int(scores.member.sum())
    low = 1.0 - _upper(members - hits, members, level / 2)
    high = _upper(misses, scores.canaries - members, level / 2)
    epsilon = math.log((low - delta) / high) if low > delta else 0.0
    return Rates(low, high, hits + misses, hits, max(epsilon, 0.0))


def _upper(seen: int, trials: int, level: float) -> float:
    """A chance that is above the true one with confidence 1 - level (Clopper, Pearson 1934)."""
    from scipy import special

    if seen >= trials:
        return 1.0
    return min(outward.up(float(special.betaincinv(seen + 1.0, float(trials - seen), 1.0 - level)), QUANTILE_OFF), 1.0)


def most(curve: HypothesisCurve, false_positives: float) -> float:
    """The largest probability that the curve allows an event which has at most this one in the other world."""
    if curve.inverse(1.0) <= false_positives:
        return 1.0
    return first_true(lambda chance: curve.inverse(chance) > false_positives, 0.0, 1.0, most=BISECTIONS).true
