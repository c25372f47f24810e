"""Rényi divergences of laws of Gaussian noise by the transforms that the exact accountant's contour has of them.

The pair of a step dominates in hockey-stick divergences at every a, so in every f-divergence, which is a mixture of
those (Liese, Vajda 2006, Thm 11), and so in Rényi divergences. That of order a is log M(a - 1) / (a - 1), and M is
known from above, every error bounded (exact.mixed): of a record that is replaced under Poisson sampling; of batches of
a fixed size when a record is replaced, two clip norms apart, where it lies below what Wang, Balle, Kasiviswanathan 2019
(arXiv:1808.00087), Thm 9, proves of them (tests hold it to that); and of users of several examples.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpplan.accounting.exact.mixed.law_as_points import Uncomposable
from dpplan.accounting.exact.mixed.steps_of_law import DecayingLaw, decaying
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.pairs import DominatingPair

BLOCK = 1.6  # orders whose tilts are no more than so many times apart are taken by one rule
MOST_TILT = 400.0  # beyond it rules are dear, and no order that was ever best
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}


@dataclass(frozen=True, slots=True)
class OfTransforms:
    """The larger of the two directions of a pair whose transforms are known; infinite at orders that no rule serves."""

    steps: tuple[DecayingLaw, ...]
    kinks: tuple[float, ...] = ()

    @classmethod
    def of(cls, pair: DominatingPair) -> "OfTransforms | None":
        """None where a transform is not known, or the pair does not dominate."""
        known = [decaying(law, 1) for law in pair.directions] if pair.dominates else []
        found = tuple(each for each in known if each is not None)
        return cls(found) if known and len(found) == len(known) else None

    def __call__(self, orders: Array) -> Array:
        return np.asarray(np.max([_divergences(each, orders) for each in self.steps], axis=0))


def _divergences(step: DecayingLaw, orders: Array) -> Array:
    """At each order, from small to large, as many at once as one rule serves."""
    tilts = orders - 1.0
    found, rest = np.full(len(orders), math.inf), np.argsort(tilts)
    rest = rest[tilts[rest] <= MOST_TILT]
    while len(rest):
        block = rest[tilts[rest] <= BLOCK * tilts[rest[0]]]
        rest = rest[len(block) :]
        try:
            with np.errstate(**_QUIET):
                logs = np.array([each.log_top for each in step.at(tilts[block])])
        except Uncomposable:
            continue
        known = np.isfinite(logs)
        found[block[known]] = outward.up(np.maximum(logs[known], 0.0) / tilts[block[known]], outward.ARITHMETIC)
    return found
