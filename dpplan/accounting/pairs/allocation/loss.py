"""The privacy loss of an allocation, log R under P = R·Q, between two laws on a lattice."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, Side, step
from dpplan.accounting.pairs.allocation.lognormal_mean import Mean, mean_law
from dpplan.accounting.pairs.law import EPS, ROUNDING, Array, Atoms, Law, Masses, nothing


@dataclass(frozen=True)
class AllocationLoss(Law):
    """side: whether its deltas lie above or below those of R. direction: of the deltas that it is for; as the values of
    R are known to a relative rounding, the losses of the two differ by that. For adding it is to be reversed.

    halvings: of the lattice's step. reach: e^-reach is the mass that may be cut off.
    """

    mean: Mean
    side: Side
    direction: Literal["remove", "add"]
    halvings: int
    reach: int

    @property
    def _measure(self) -> LatticeMeasure:
        return mean_law(self.mean, self.side, self.halvings, self.reach)

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @functools.cached_property
    def atoms(self) -> Atoms:
        found = self._measure
        filled = found.masses > 0.0
        loss = found.losses[filled]
        largest = float(np.max(np.abs(loss), initial=0.0))
        # log R is off by `moved`, by roundings of losses, and by what log(1 + moved) is less than that.
        off = 1.01 * found.moved + 2.0 * EPS * largest
        raised = (self.side == "above") == (self.direction == "remove")
        loss = loss + (off if raised else -off)
        q = found.masses[filled]
        return Atoms(loss, q * np.exp(loss), q, ROUNDING + 4.0 * EPS * (1.0 + largest))

    @property
    def infinite(self) -> float:
        return self._measure.beyond

    @property
    def vanishing(self) -> float:
        return self._measure.zero

    @property
    def spacing(self) -> float:
        return step(self._measure.level)

    @property
    def bounds(self) -> tuple[float, float]:
        loss = self.atoms.loss
        return (float(loss[0]), float(loss[-1])) if len(loss) else (0.0, 0.0)


@dataclass(frozen=True)
class UnknownLoss(Law):
    """All of P at loss +inf: above every law, of which it says nothing."""

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @property
    def infinite(self) -> float:
        return 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, 0.0
