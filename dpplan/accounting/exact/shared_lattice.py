"""A lattice for δ at all ε of a sampled Gaussian, in place of many contours over rare jumps.

What a lattice of any law proves near one ε holds at every other, and at many for the price of one.
"""

from dataclasses import field
from functools import partial

import numpy as np

from dpplan.accounting.exact.contour.rare_jumps import small_epsilon
from dpplan.accounting.exact.general_lattice import Accuracy, Composition
from dpplan.accounting.exact.proven_deltas import At, Place, Width
from dpplan.quick_dataclass import dataclass

# A relative width for which a lattice of few points is tried first, and the most points of one then and later; and the
# least width that is asked of one.
ROUGH, ROUGH_POINTS, LATTICE_WIDTH = 5e-5, (2**15, 2**18), 1e-6
# Where an upper end will do, of so many points, until that is not enough: more would cost what two contours over jumps
# do. SPARED: of a width that is told beside something larger than δ, up to MOST_SPARED of δ.
QUICK_POINTS, SPARED, MOST_SPARED = (2**15,), 0.25, 1e-3
# So many times wider than asked at an ε, the last lattice of the reverse direction says that another is in vain there.
IN_VAIN = 30.0
# More steps than so many have a lattice of the reverse direction first: of few, their own is short and tells of all ε.
MANY_STEPS = 30


@dataclass
class SharedLattice:
    """A lattice for all ε, in place of many contours over rare jumps: where a rough δ will do one of few points before
    the first contour, of many before the second, until one would need more or is not narrow enough; else of many, once.

    run: of this direction. other: of the reverse one, for the remove direction; what its lattice proves near 0 is
    often narrower, since large losses are none there. beside: that of the reverse direction.
    """

    run: Composition
    other: Composition | None
    rough: list[int] = field(default_factory=lambda: list(ROUGH_POINTS))
    fine: list[int] = field(default_factory=lambda: [ROUGH_POINTS[-1]])
    quick: list[int] = field(default_factory=lambda: list(QUICK_POINTS))
    beside: "SharedLattice | None" = field(default=None, repr=False)
    served: bool = False
    _reverse: tuple[At, Accuracy] | None = field(default=None, repr=False)

    def comes_first(self, enough: Width) -> bool:
        """Whether it is tried before a plain contour, which was too long already where a lattice served."""
        return enough.dominating and (self.served or (self.beside is not None and self.beside.served))

    def serves(self, enough: Width) -> bool:
        """Whether one is worth a try for intervals as wide as that."""
        return enough.absolute > 0.0 and bool(self._points(enough))

    def _points(self, enough: Width) -> list[int]:
        if enough.relative < ROUGH:
            return self.fine
        return self.quick if enough.dominating else self.rough

    def place(self, epsilon: float, enough: Width, least: float) -> Place | None:
        """least: a lower bound on δ there, beside which the width that will do may be larger than its relative one."""
        points = self._points(enough)
        width = max(enough.relative, LATTICE_WIDTH)
        if enough.dominating and least > 0.0:
            width = min(max(width, SPARED * enough.at(epsilon) / least), MOST_SPARED)
        accuracy = Accuracy(width, points.pop(0), hurried=True)
        found = self._tried(epsilon, enough, accuracy)
        self.served |= found is not None
        if found is not None and points is not self.fine:
            points.insert(0, accuracy.most)
        return found

    def _tried(self, epsilon: float, enough: Width, accuracy: Accuracy) -> Place | None:
        if epsilon == 0.0 and enough.dominating and self.run.steps > MANY_STEPS:
            found = self._mirrored(epsilon, enough, accuracy)
            if found is not None:
                return found
        # Far out, where there is little left of the add direction's δ, a lattice would take long.
        own = self.run.around(epsilon if self.other is not None else 0.0, accuracy)
        return self._narrow(own, epsilon, enough, accuracy) or self._mirrored(epsilon, enough, accuracy)

    def _mirrored(self, epsilon: float, enough: Width, accuracy: Accuracy) -> Place | None:
        """By one of the reverse direction, which has fewer points: large losses are none there."""
        if self.other is None or not epsilon < self.other.largest:
            return None
        if self._in_vain(epsilon, enough, accuracy):
            return None
        mirrored = partial(small_epsilon.mirrored, at=self.other.around(0.0, accuracy))
        self._reverse = mirrored, accuracy
        return self._narrow(mirrored, epsilon, enough, accuracy)

    def _in_vain(self, epsilon: float, enough: Width, accuracy: Accuracy) -> bool:
        """Whether one of as many points was much too wide at this ε, also if it had been laid as finely as that."""
        if self._reverse is None or self._reverse[1].most < accuracy.most:
            return False
        at, before = self._reverse
        low, high = (float(each[0]) for each in at(np.array([epsilon])))
        coarser = max(before.width / accuracy.width, 1.0)
        return high - low > IN_VAIN * coarser * max(enough.at(epsilon), 2.0 * accuracy.width * high)

    def _narrow(self, at: At, epsilon: float, enough: Width, accuracy: Accuracy) -> Place | None:
        """If it is."""
        low, high = (float(each[0]) for each in at(np.array([epsilon])))
        if not high - low <= max(enough.at(epsilon), 2.0 * accuracy.width * high):
            return None
        return Place(epsilon, low, high, at, real=True, aim=enough.relative)
