"""Membership inference as people run it: attacks on a model by the losses of many models like it.

    runs = ShadowRuns(member, confidence)   # models × examples: who was in, how sure of its label
    scores = pooled(runs, "lira")           # every model attacked in turn, with all others as its shadows

loss          the loss alone, with one threshold for all (Yeom et al. 2018)
lira          likelihood ratio of the example in and out, both normal, online (Carlini et al. 2022, arXiv:2112.03570)
lira-offline  the same from models that the example was not in: how far above them it lies, in their deviations
rmia          its probability over its mean one, against that of all other examples (Zarifzadeh et al. 2024,
              arXiv:2312.03262), with γ = 1 and all other examples as the population

A score of a model's example never looks at whether that example, or any other, was in that model. So, with a fair coin
for every example, the scores of one model are those of canaries in one run, and `assessment.audit` judges them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpplan.audit.scores import Scores

ATTACKS = ("loss", "lira", "lira-offline", "rmia")
# Fewer shadows than this give no deviation for each example: one for all is better (Carlini et al. 2022, VI.C).
OWN_DEVIATION = 64
TINY = 1e-12
FARTHEST = 1e6  # of a confidence: a model that is infinitely sure is as sure as this

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShadowRuns:
    """Rows are models, columns examples. member: whether the example was in. confidence: log(p / (1 - p)) of the
    probability p that the model gives to its label."""

    member: NDArray[np.bool_]
    confidence: Floats

    def without(self, target: int) -> "ShadowRuns":
        """All models but this one."""
        others = np.arange(len(self.member)) != target
        return ShadowRuns(self.member[others], self.confidence[others])


@dataclass(frozen=True, slots=True)
class Roc:
    """Corners of an attack's curve, one for each threshold that tells scores apart, from (0, 0) to (1, 1)."""

    false_positives: Floats
    true_positives: Floats
    members: int
    others: int

    def at(self, rate: float) -> float | None:
        """TPR at the strictest threshold's FPR that does not exceed `rate`; None with too few non-members to tell."""
        if self.others * rate < 1.0:
            return None
        last = int(np.searchsorted(self.false_positives, rate, side="right")) - 1
        return float(self.true_positives[last])

    @property
    def area(self) -> float:
        """Under the curve: how often a member scores higher than a non-member, ties by half."""
        heights = 0.5 * (self.true_positives[1:] + self.true_positives[:-1])
        return float(np.sum(np.diff(self.false_positives) * heights))


def scores_of(runs: ShadowRuns, attack: str, target: int) -> Scores:
    """Of the examples, for one model with all others as its shadows."""
    told = np.clip(np.nan_to_num(runs.confidence, nan=-FARTHEST), -FARTHEST, FARTHEST)
    shadows = ShadowRuns(runs.member, told).without(target)
    return Scores(runs.member[target], _SCORES[attack](told[target], shadows))


def pooled(runs: ShadowRuns, attack: str) -> Scores:
    """Of all models, one after the other."""
    found = [scores_of(runs, attack, target) for target in range(len(runs.member))]
    return Scores(np.concatenate([each.member for each in found]), np.concatenate([each.score for each in found]))


def roc(scores: Scores) -> Roc:
    order = np.argsort(-scores.score, kind="stable")
    member, score = scores.member[order], scores.score[order]
    last = np.append(score[1:] != score[:-1], True)  # of those that no threshold tells apart
    right, wrong = np.cumsum(member)[last], np.cumsum(~member)[last]
    members, others = int(member.sum()), int((~member).sum())
    rates = [np.concatenate([[0.0], counts / max(total, 1)]) for counts, total in ((wrong, others), (right, members))]
    return Roc(rates[0], rates[1], members, others)


def _loss(own: Floats, _: ShadowRuns) -> Floats:
    return -np.logaddexp(0.0, -own)


def _lira(own: Floats, shadows: ShadowRuns) -> Floats:
    inside, outside = _means(shadows.confidence, shadows.member)
    spread = _deviation(shadows, shadows.member, inside), _deviation(shadows, ~shadows.member, outside)
    densities = [
        -0.5 * ((own - mean) / width) ** 2 - np.log(width)
        for mean, width in zip((inside, outside), spread, strict=True)
    ]
    return densities[0] - densities[1]


def _lira_offline(own: Floats, shadows: ShadowRuns) -> Floats:
    _, outside = _means(shadows.confidence, shadows.member)
    return (own - outside) / _deviation(shadows, ~shadows.member, outside)


def _rmia(own: Floats, shadows: ShadowRuns) -> Floats:
    """The share of the other examples whose ratio is no larger: p(x | target) / p(x), p(x) a mean over in and out."""
    inside, outside = _means(_probability(shadows.confidence), shadows.member)
    ratio = _probability(own) / np.maximum(0.5 * (inside + outside), TINY)
    return (np.searchsorted(np.sort(ratio), ratio, side="right") - 1.0) / max(len(ratio) - 1, 1)


_SCORES = {"loss": _loss, "lira": _lira, "lira-offline": _lira_offline, "rmia": _rmia}


def _probability(confidence: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -confidence))


def _means(values: Floats, member: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of each example, over the models that it was in, and over the others.

    Where no model has it in, or none out, the mean that is missing lies as far from the other one as it does for other
    examples in the middle.
    """
    counts = member.sum(0), (~member).sum(0)
    inside = np.where(member, values, 0.0).sum(0) / np.maximum(counts[0], 1)
    outside = np.where(member, 0.0, values).sum(0) / np.maximum(counts[1], 1)
    both = (counts[0] > 0) & (counts[1] > 0)
    shift = float(np.median((inside - outside)[both])) if both.any() else 0.0
    return np.where(counts[0] > 0, inside, outside + shift), np.where(counts[1] > 0, outside, inside - shift)


def _deviation(shadows: ShadowRuns, there: NDArray[np.bool_], mean: Floats) -> Floats:
    """Around the examples' means, for each example or for all together; where nothing spreads, 1."""
    squares = np.where(there, (shadows.confidence - mean) ** 2, 0.0)
    counts = there.sum(0)
    free = max(int(np.maximum(counts - 1, 0).sum()), 1)
    common = max(float(np.sqrt(squares.sum() / free)), 0.0) or 1.0
    if len(there) < OWN_DEVIATION:
        return np.full(len(mean), common)
    own = np.sqrt(squares.sum(0) / np.maximum(counts - 1, 1))
    return np.where((counts > 1) & (own > TINY), own, common)
