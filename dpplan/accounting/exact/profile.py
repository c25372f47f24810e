"""The privacy profile of a plan: δ at any ε, each direction by itself, fast enough to draw a curve of.

    found = Profile.of(plan)
    found.remove(1.5)      # Interval: lower <= δ of the remove direction at ε = 1.5 <= upper

Guarantee: CERTIFIED, as accounting.exact: every interval is proven, widened by the floor of all certified figures and
held against a plain event and Rényi DP where it was made. What the largest of the two directions is, is δ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial

import numpy as np

from dpplan.accounting import gdp, rdp
from dpplan.accounting.bound import widened
from dpplan.accounting.exact import gaussian_one_step, invert, mixed, other_laws, rdp_cross_check
from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.inversion import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import small_epsilon
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.general_lattice import Accuracy, Composition
from dpplan.accounting.exact.proven_deltas import NARROWEST, At, ManyEnds, OneDirection, Place, Width
from dpplan.accounting.exact.proven_ends import AnyContour
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.pairs import Resolution
from dpplan.accounting.parallel_composition import followed
from dpplan.accounting.plan_pairs import SampledGaussian, as_sampled_gaussians, dominating_pairs
from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotCertified
from dpplan.plan import Assumptions, Plan
from dpplan.quick_dataclass import dataclass

NAME = "exact"
FINE = Resolution(halvings=3, reach=60)  # of laws that are known on a lattice
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.005, 1e6, 1e-12  # as accounting.exact: where the transform keeps its digits
Ends2 = tuple[float, float]
# A relative width for which a lattice of few points is tried first, and the most points of one then and later; and the
# least width that is asked of one.
ROUGH, ROUGH_POINTS, LATTICE_WIDTH = 5e-5, (2**15, 2**18), 1e-6


@dataclass(frozen=True)
class Profile:
    """δ at any ε >= 0 of both directions: remove is the world with the record against the one without, add the
    reverse. Each gives (lower, upper), widened by the floor, within [0, 1]."""

    directions: tuple[OneDirection, OneDirection]
    assumptions: Assumptions

    @classmethod
    def of(cls, plan: Plan) -> "Profile":
        """Raises NotApplicable where a step has no dominating pair, NotCertified where nothing can be proven."""
        plans = followed(plan)
        made = [cls._of_one_record(each) for each in plans]
        if len(made) == 1:
            return cls(made[0].directions, plan.assumptions)
        return cls(_most_costly([each.directions for each in made], plan.adjacency == REPLACE_ONE), plan.assumptions)

    @classmethod
    def _of_one_record(cls, plan: Plan) -> "Profile":
        known = dominating_pairs(plan, NAME)
        kinds = as_sampled_gaussians(known)
        if kinds is None:
            return cls(_of_laws(known), plan.assumptions)
        if all(each.sample_rate == 1 for each in kinds):
            one = OneDirection(_gaussian(kinds))
            return cls((one, one), plan.assumptions)
        steps = Steps.of(kinds)
        if not _in_reach(steps):
            one = OneDirection(_coarse(plan, steps))
            return cls((one, one), plan.assumptions)
        runs = other_laws.directions(known)
        removed, added = runs[0], runs[-1]
        remove = OneDirection(_sampled(plan, steps, Direction.REMOVE, _OneLattice(removed, added)))
        add = OneDirection(_sampled(plan, steps, Direction.ADD, _OneLattice(added, None)))
        remove.other, add.other, add.most = add, remove, placement.largest_added_loss(steps)
        return cls((remove, add), plan.assumptions)

    @property
    def alike(self) -> bool:
        """Whether both directions are one."""
        return self.directions[0] is self.directions[1]

    def remove(self, epsilon: float) -> Ends2:
        return self._at(0, epsilon)

    def add(self, epsilon: float) -> Ends2:
        return self._at(1, epsilon)

    def _at(self, direction: int, epsilon: float) -> Ends2:
        lower, upper = self.directions[direction](np.array([epsilon]))
        return widened("delta", float(lower[0]), float(upper[0]))

    def ends(self, direction: int, epsilons: Array, enough: Width = NARROWEST) -> ManyEnds:
        """Of direction 0, which is remove, or 1, at each of these ε."""
        lower, upper = self.directions[direction](epsilons, enough)
        rows = [widened("delta", *row) for row in zip(lower.tolist(), upper.tolist(), strict=True)]
        return np.array([low for low, _ in rows]), np.array([high for _, high in rows])


def _most_costly(ways: Sequence[tuple[OneDirection, OneDirection]], alike: bool) -> tuple[OneDirection, OneDirection]:
    """From above what any way through the groups costs. From below the one that costs most at ε = 0: an attacker faces
    one record at a time.

    alike: neighbours are so in either order, and both directions are the larger of the two.
    """
    zero = np.zeros(1)
    lowest = max(range(len(ways)), key=lambda at: max(float(each(zero)[0][0]) for each in ways[at]))

    def larger(sides: tuple[int, ...]) -> OneDirection:
        def at(epsilons: Array) -> ManyEnds:
            found = {(way, side): ways[way][side](epsilons) for way in range(len(ways)) for side in sides}
            lower = np.max([found[lowest, side][0] for side in sides], axis=0)
            return lower, np.max([upper for _, upper in found.values()], axis=0)

        return OneDirection(_place_of(at))

    if alike:
        both = larger((0, 1))
        return both, both
    return larger((0,)), larger((1,))


def _in_reach(steps: Steps) -> bool:
    noise_fits = np.all((steps.sigma >= LEAST_NOISE) & (steps.sigma <= MOST_NOISE))
    return bool(noise_fits and np.all(steps.q >= LEAST_RATE))


def _exactly(at: Callable[[float], Ends2]) -> Callable[[float, Width], Place]:
    """Where a formula proves the ends at every ε alike."""
    return _place_of(_each(at))


def _each(at: Callable[[float], Ends2]) -> At:
    def ends(epsilons: Array) -> ManyEnds:
        rows = [at(each) for each in epsilons.tolist()]
        return np.array([low for low, _ in rows]), np.array([high for _, high in rows])

    return ends


def _place_of(at: At) -> Callable[[float, Width], Place]:
    """That what `at` proves is as narrow at one ε as at another."""

    def make(epsilon: float, enough: Width) -> Place:
        low, high = at(np.array([epsilon]))
        return Place(epsilon, float(low[0]), float(high[0]), at)

    return make


def _gaussian(kinds: tuple[SampledGaussian, ...]) -> Callable[[float, Width], Place]:
    mu = math.hypot(*(math.sqrt(each.steps) / each.noise_multiplier for each in kinds))
    low, high = outward.down(mu, outward.FEW), outward.up(mu, outward.FEW)
    return _exactly(lambda e: (gdp.delta_interval(low, e).lower, gdp.delta_interval(high, e).upper))


def _coarse(plan: Plan, steps: Steps) -> Callable[[float, Width], Place]:
    """Where only a plain event and Rényi DP say anything."""
    event = EventBound(steps)
    return _exactly(lambda e: (max(event.delta(e), 0.0), min(rdp.delta(plan, e).value, 1.0)))


def _sampled(plan: Plan, steps: Steps, direction: Direction, lattice: "_OneLattice") -> Callable[[float, Width], Place]:
    if steps.total == 1.0:
        sigma, q = float(steps.sigma[0, 0]), float(steps.q[0, 0])
        return _exactly(lambda e: gaussian_one_step.delta_ends(sigma, q, direction, e))
    event = EventBound(steps)

    def make(epsilon: float, enough: Width) -> Place:
        ceiling = min(rdp.delta(plan, epsilon).value, 1.0)
        # Two steps are an integral, as narrow as floats allow, and take no more than many lattices.
        tried = lattice.serves(enough) and (enough.relative >= ROUGH or not TwoSteps.serves(steps))
        wanted = max(enough.relative, LATTICE_WIDTH)
        ends = invert.delta_ends(steps, direction, epsilon, ceiling, short=tried)
        if tried and ends.upper - ends.lower > max(enough.at(epsilon), wanted * ends.upper):
            place = lattice.place(epsilon, enough)
            if place is not None:
                return place
            ends = invert.delta_ends(steps, direction, epsilon, ceiling)
        floor = event.delta(epsilon) if direction is Direction.REMOVE else 0.0
        lower, upper = rdp_cross_check.reconcile("delta", ends, floor, ceiling).proven
        contour = ends.contour
        if contour is None:
            return Place(epsilon, lower, upper)

        return Place(epsilon, lower, upper, _of_contour(contour), not isinstance(contour, TwoSteps))

    return make


@dataclass
class _OneLattice:
    """A lattice for all ε, in place of many contours over rare jumps: where a rough δ will do one of few points before
    the first contour, of many before the second, until one would need more or is not narrow enough; else of many, once.

    run: of this direction. other: of the reverse one, for the remove direction; what its lattice proves near 0 is
    often narrower, since large losses are none there.
    """

    run: Composition
    other: Composition | None
    rough: list[int] = field(default_factory=lambda: list(ROUGH_POINTS))
    fine: list[int] = field(default_factory=lambda: [ROUGH_POINTS[-1]])

    def serves(self, enough: Width) -> bool:
        """Whether one is worth a try for intervals as wide as that."""
        return enough.absolute > 0.0 and bool(self._points(enough))

    def _points(self, enough: Width) -> list[int]:
        return self.rough if enough.relative >= ROUGH else self.fine

    def place(self, epsilon: float, enough: Width) -> Place | None:
        points = self._points(enough)
        accuracy = Accuracy(max(enough.relative, LATTICE_WIDTH), points.pop(0), hurried=True)
        found = self._tried(epsilon, enough, accuracy)
        if found is not None and points is self.rough:
            points.insert(0, accuracy.most)
        return found

    def _tried(self, epsilon: float, enough: Width, accuracy: Accuracy) -> Place | None:
        # Far out, where there is little left of the add direction's δ, a lattice would take long.
        own = self.run.around(epsilon if self.other is not None else 0.0, accuracy)
        found = self._narrow(own, epsilon, enough, accuracy)
        if found is None and self.other is not None and epsilon < self.other.largest:
            mirrored = partial(small_epsilon.mirrored, at=self.other.around(0.0, accuracy))
            found = self._narrow(mirrored, epsilon, enough, accuracy)
        return found

    def _narrow(self, at: At, epsilon: float, enough: Width, accuracy: Accuracy) -> Place | None:
        """If it is."""
        low, high = (float(each[0]) for each in at(np.array([epsilon])))
        if not high - low <= max(enough.at(epsilon), 2.0 * accuracy.width * high):
            return None
        return Place(epsilon, low, high, at, real=True, aim=enough.relative)


def _of_laws(known: other_laws.Known) -> tuple[OneDirection, OneDirection]:
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    above, choices = other_laws.compositions(other_laws.resolved(known, FINE))
    # From below one choice of neighbours for all ε and both directions: an attacker faces one pair at a time, and where
    # its trade-off is looked for at several ε, more than one would promise what none of them allows.
    below = max(
        choices, key=lambda each: max(float(_proven(run, 0.0)(np.zeros(1))[0][0]) for run in each), default=None
    )
    sides = range(max(len(above), len(below or ())))
    made = [OneDirection(_laws(_one_way(above, at), _one_way(below, at) if below else None)) for at in sides]
    return made[0], made[-1]


def _one_way(directions: list[Composition], at: int) -> Composition:
    """Of a direction, where both may be the same."""
    return directions[min(at, len(directions) - 1)]


def _laws(above: Composition, below: Composition | None) -> Callable[[float, Width], Place]:
    def make(epsilon: float, enough: Width) -> Place:
        try:
            upper, lower = _proven(above, epsilon), None if below is None else _proven(below, epsilon)
        except ArithmeticError as error:
            raise NotCertified(other_laws.BEYOND_FLOATS) from error

        def at(others: Array) -> ManyEnds:
            own = upper(others)
            return (own if lower is None else lower(others))[0], own[1]

        return _place_of(at)(epsilon, enough)

    return make


def _proven(run: Composition, epsilon: float) -> At:
    """What a contour put near this ε proves, or a lattice where there is none or it is wide."""
    ends = mixed.delta_ends(run, epsilon)
    if ends is None or ends.contour is None or not ends.relative_width <= other_laws.NARROW:
        return run.around(epsilon, other_laws.worth(run))
    return _of_contour(ends.contour)


def _of_contour(contour: AnyContour) -> At:
    """Its own interval, or where that lost its digits, far from its place, a Chernoff bound."""
    if isinstance(contour, Contour):
        return contour.ends

    def at(epsilon: float) -> Ends2:
        if isinstance(contour, LatticeComposition):
            lower, upper = contour.ends(epsilon)
        else:
            lower, upper = contour.at(epsilon).lower, contour.at(epsilon).upper
        return max(lower, 0.0), upper if upper < 1.0 else 1.0

    return _each(at)
