"""Delta near ε = 0 by a lattice over the add direction's losses, which are bounded: a step gains -log(1 - q) at most.

With M the most that all steps gain together, a path with one loss below -M - E sums up to less than -E: it adds nothing
to delta(ε) at any ε >= -E, and is cut away for nothing. What is left lies within M + E of what a path gains at most, so
that a lattice over it is fine. It tells of the other direction too (small_epsilon.mirrored), for ε <= E: there no loss
is too large for it.
"""

import math
from functools import cached_property, partial

import numpy as np

from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import small_epsilon
from dpplan.accounting.exact.contour.saddle_point import PlanSaddles
from dpplan.accounting.exact.gaussian_lattice import composition
from dpplan.accounting.exact.gaussian_lattice.composition import ComposedTransform, LatticeComposition, LatticePlacement
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import normal_tail

COARSE, FINE = 2**13, 2**18
FARTHEST = 0.5  # E, in units of M
LEFT_OUT = 1e-12  # of M, which delta is about: the probability of outputs so far left that they are not looked at
PERIOD = 2.2  # in units of M + E
LEAST_TILT = 8.0  # in units of 1/M: it makes aliases fade
MOST_PHASES = 8
MOST_PER_CELL = 1.5  # tilt times a cell's width: of 60 plans, no lattice with 1.9 or more told anything
ROOM = 1e-6  # of E, beyond which losses are cut away: far above the rounding of their places


class BoundedLosses(LatticeComposition):
    """The add direction's losses on a lattice; good for ε >= -beyond. place: where `laid` found them."""

    def __init__(self, steps: Steps, place: LatticePlacement, beyond: float, points: int) -> None:
        self.beyond = beyond
        super().__init__(steps, Direction.ADD, 0.0, place, points)

    @cached_property
    def _lower(self) -> ComposedTransform:
        return self._compose([(law.floor, 0.0) for law in self.laws])

    def delta(self, direction: Direction, epsilon: float) -> tuple[float, float]:
        """Ends of delta in this direction at this ε >= 0; in the remove direction up to `beyond`."""
        if direction is Direction.ADD:
            low, high = self.ends(epsilon)
            return max(low, 0.0), high
        if epsilon > self.beyond:
            return 0.0, 1.0
        low_ends, high_ends = small_epsilon.mirrored(np.array([epsilon]), self._at_each)
        return max(float(low_ends[0]), 0.0), float(high_ends[0])

    def _at_each(self, epsilons: Array) -> tuple[Array, Array]:
        rows = np.array([self.ends(float(each)) for each in epsilons])
        return rows[:, 0], rows[:, 1]


def serves(steps: Steps) -> bool:
    """Whether a record is drawn so rarely that delta is looked for near what it is at 0, in time for few phases."""
    rare = small_epsilon.drawn(steps) <= small_epsilon.MOST_DRAWN
    return rare and len(steps.sigma) <= MOST_PHASES and composition.affordable(steps)


def laid(steps: Steps, points: int) -> BoundedLosses | None:
    """The losses on a lattice of so many points; None where they do not serve, or it would be too coarse for them."""
    if not serves(steps):
        return None
    most = placement.largest_added_loss(steps)
    beyond = FARTHEST * most
    sigma, q = steps.sigma[:, 0], steps.q[:, 0]
    end = 0.5 + sigma**2 * np.log1p(math.expm1(most + (1.0 + ROOM) * beyond) / q)
    tilt = max(PlanSaddles(steps, Direction.ADD, end[:, None]).for_epsilon(0.0).tilt, LEAST_TILT / most)
    period = PERIOD * (most + beyond)
    if tilt * period > MOST_PER_CELL * points:
        return None
    goal = LEFT_OUT * most / steps.total
    furthest = first_true(lambda x: normal_tail(x) <= goal, 0.0, 40.0, most=50).true
    removed = outward.up(steps.total * normal_tail(furthest), outward.SERIES)
    others = np.array([factor * tilt for factor in composition.ALIAS_FACTORS])
    place = LatticePlacement(-furthest * sigma, end, removed, tilt, others, period)
    return BoundedLosses(steps, place, beyond, points)


def epsilon_ends(steps: Steps, direction: Direction, delta: float) -> tuple[float, float]:
    """lower and upper of the ε at this delta; upper is inf where it is too far out for these losses to tell."""
    losses = laid(steps, FINE)
    if losses is None:
        return 0.0, math.inf
    lower, upper = small_epsilon.crossing(partial(losses.delta, direction), delta, losses.beyond)
    return lower, upper if upper < losses.beyond else math.inf
