"""Stage 2, compose: steps that move one record's Gaussian, cut where a step is too unlikely to matter."""

import math
from dataclasses import replace
from typing import Self

import numpy as np

from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.composed_loss import cut_at, far_limit
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.mixed.replaced_rule import Replacement
from dpplan.quick_dataclass import dataclass


@dataclass(frozen=True)
class CutSteps:
    """`count` steps of one law. limit: the x beyond which they are too unlikely to matter, for the picture."""

    step: Replacement
    count: float
    limit: float = math.inf

    @property
    def steps(self) -> Steps:
        """The same for the contour's kernels."""
        return Steps(*(np.array([[value]]) for value in (self.step.sigma, self.step.q, self.count)))

    def seen_at(self, log_delta: float) -> Self:
        """With losses that are absurd at this delta left out of the picture."""
        limit = float(far_limit(self.steps, log_delta + placement.LOG_REMOVED, placement.FAR_WIDTH)[0, 0])
        return replace(self, limit=limit)

    def cut_for(self, tilt: float, largest_tilt: float) -> Self:
        """With those cut away, where the tilt would reach for them."""
        if 1.0 + tilt + 3.0 * self.step.sigma <= self.limit:
            return self
        cut = cut_at(self.steps, np.array([[self.limit]]), largest_tilt, placement.FAR_WIDTH)
        return replace(self, step=replace(self.step, cut=cut))
