"""The privacy profile of a plan: δ at any ε, each direction by itself, fast enough to draw a curve of.

    found = Profile.of(plan)
    found.remove(1.5)      # Interval: lower <= δ of the remove direction at ε = 1.5 <= upper

A contour or a lattice that was put near one ε proves an interval at every other (inversion, composed), if a wide one
far away. So one is made only where those at hand are wide, and all later questions are answered from what is there.

Guarantee: CERTIFIED, as accounting.exact: every interval is proven, widened by the floor of all certified figures and
held against a plain event and Rényi DP where it was made. What the largest of the two directions is, is δ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpplan.accounting import gdp, rdp
from dpplan.accounting.bound import widened
from dpplan.accounting.exact import cross_check, gaussian_one_step, invert, mixed, other_laws
from dpplan.accounting.exact.contour.inversion import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.numerics import outward
from dpplan.accounting.one_record import followed
from dpplan.accounting.pairs import Resolution
from dpplan.accounting.plan_pairs import SampledGaussian, as_sampled_gaussians, dominating_pairs
from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotCertified
from dpplan.plan import Assumptions, Plan

NAME = "exact"
FINE = Resolution(halvings=3, reach=60)  # of laws that are known on a lattice
# An interval this narrow, relative or absolute, is taken as it is, or one that is at most LOST times as wide as where
# its contour was put; another contour is made where it is wider, until MOST.
NARROW, LEAST_WIDTH, LOST, MOST = 1e-7, 1e-15, 10.0, 24
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.005, 1e6, 1e-12  # as accounting.exact: where the transform keeps its digits
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}
Ends2 = tuple[float, float]
At = Callable[[float], Ends2]


@dataclass(frozen=True)
class Place:
    """What was proven at one ε, and what the contour or lattice that did it proves elsewhere: None without one."""

    epsilon: float
    lower: float
    upper: float
    at: At | None = None

    @property
    def width(self) -> float:
        return (self.upper - self.lower) / self.upper if self.upper > 0.0 else 0.0


@dataclass
class OneDirection:
    """δ of one direction. make: what can be proven at an ε. least_width: of an interval that is taken as it is."""

    make: Callable[[float], Place]
    least_width: float = LEAST_WIDTH
    _places: list[Place] = field(default_factory=list)
    _asked: dict[float, Ends2] = field(default_factory=dict)

    def __call__(self, epsilon: float) -> Ends2:
        """lower <= δ(ε) <= upper, before the floor, for ε >= 0."""
        if epsilon not in self._asked:
            with np.errstate(**_QUIET):
                self._asked[epsilon] = self._at(epsilon)
        return self._asked[epsilon]

    def _at(self, epsilon: float) -> Ends2:
        # δ never rises with ε: what holds at one place says something on either side of it.
        lower = max((place.lower for place in self._places if place.epsilon >= epsilon), default=0.0)
        upper = min((place.upper for place in self._places if place.epsilon <= epsilon), default=1.0)
        reaching = [place for place in self._places if place.at is not None]
        for place in sorted(reaching, key=lambda each: abs(each.epsilon - epsilon))[:2]:
            assert place.at is not None
            low, high = place.at(epsilon)
            if low <= high:  # not where either is NaN
                lower, upper = max(lower, low), min(upper, high)
            if upper - lower <= max(self.least_width, max(NARROW, LOST * place.width) * upper):
                return lower, upper
        if upper - lower > max(self.least_width, NARROW * upper) and len(reaching) < MOST:
            place = self.make(epsilon)
            self._places.append(place)
            lower, upper = max(lower, place.lower), min(upper, place.upper)
        return lower, upper


@dataclass(frozen=True)
class Profile:
    """δ at any ε >= 0 of both directions: remove is the world with the record against the one without, add the
    reverse. Each gives (lower, upper), widened by the floor, within [0, 1]."""

    directions: tuple[OneDirection, OneDirection]
    assumptions: Assumptions

    @classmethod
    def of(cls, plan: Plan, least_width: float = LEAST_WIDTH) -> "Profile":
        """Raises NotApplicable where a step has no dominating pair, NotCertified where nothing can be proven.

        least_width: of δ, absolute; a smaller one for whoever wants the digits of a δ that is smaller yet."""
        plans = followed(plan)
        made = [cls._of_one_record(each) for each in plans]
        for each in made:
            for direction in each.directions:
                direction.least_width = least_width
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
        remove, add = (OneDirection(_sampled(plan, steps, each)) for each in (Direction.REMOVE, Direction.ADD))
        return cls((remove, add), plan.assumptions)

    def remove(self, epsilon: float) -> Ends2:
        return widened("delta", *self.directions[0](epsilon))

    def add(self, epsilon: float) -> Ends2:
        return widened("delta", *self.directions[1](epsilon))


def _most_costly(ways: Sequence[tuple[OneDirection, OneDirection]], alike: bool) -> tuple[OneDirection, OneDirection]:
    """From above what any way through the groups costs. From below the one that costs most at ε = 0: an attacker faces
    one record at a time.

    alike: neighbours are so in either order, and both directions are the larger of the two.
    """
    lowest = max(range(len(ways)), key=lambda at: max(each(0.0)[0] for each in ways[at]))

    def larger(sides: tuple[int, ...]) -> OneDirection:
        def at(epsilon: float) -> Ends2:
            uppers = (way[side](epsilon)[1] for way in ways for side in sides)
            return max(ways[lowest][side](epsilon)[0] for side in sides), max(uppers)

        return OneDirection(_exactly(at))

    if alike:
        both = larger((0, 1))
        return both, both
    return larger((0,)), larger((1,))


def _in_reach(steps: Steps) -> bool:
    noise_fits = np.all((steps.sigma >= LEAST_NOISE) & (steps.sigma <= MOST_NOISE))
    return bool(noise_fits and np.all(steps.q >= LEAST_RATE))


def _exactly(at: At) -> Callable[[float], Place]:
    """Where a formula proves the ends at every ε alike."""
    return lambda epsilon: Place(epsilon, *at(epsilon), at)


def _gaussian(kinds: tuple[SampledGaussian, ...]) -> Callable[[float], Place]:
    mu = math.hypot(*(math.sqrt(each.steps) / each.noise_multiplier for each in kinds))
    low, high = outward.down(mu, outward.FEW), outward.up(mu, outward.FEW)
    return _exactly(lambda e: (gdp.delta_interval(low, e).lower, gdp.delta_interval(high, e).upper))


def _coarse(plan: Plan, steps: Steps) -> Callable[[float], Place]:
    """Where only a plain event and Rényi DP say anything."""
    event = EventBound(steps)
    return _exactly(lambda e: (max(event.delta(e), 0.0), min(rdp.delta(plan, e).value, 1.0)))


def _sampled(plan: Plan, steps: Steps, direction: Direction) -> Callable[[float], Place]:
    if steps.total == 1.0:
        sigma, q = float(steps.sigma[0, 0]), float(steps.q[0, 0])
        return _exactly(lambda e: gaussian_one_step.delta_ends(sigma, q, direction, e))
    event = EventBound(steps)

    def make(epsilon: float) -> Place:
        ceiling = min(rdp.delta(plan, epsilon).value, 1.0)
        ends = invert.delta_ends(steps, direction, epsilon, ceiling)
        floor = event.delta(epsilon) if direction is Direction.REMOVE else 0.0
        lower, upper = cross_check.reconcile("delta", ends, floor, ceiling).proven
        contour = ends.contour
        if contour is None:
            return Place(epsilon, lower, upper)

        return Place(epsilon, lower, upper, _of_contour(contour))

    return make


def _of_laws(known: other_laws.Known) -> tuple[OneDirection, OneDirection]:
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    above, choices = other_laws.compositions(other_laws.resolved(known, FINE))
    # From below one choice of neighbours for all ε and both directions: an attacker faces one pair at a time, and where
    # its trade-off is looked for at several ε, more than one would promise what none of them allows.
    below = max(choices, key=lambda each: max(_proven(run, 0.0)(0.0)[0] for run in each), default=None)
    sides = range(max(len(above), len(below or ())))
    made = [OneDirection(_laws(_one_way(above, at), _one_way(below, at) if below else None)) for at in sides]
    return made[0], made[-1]


def _one_way(directions: list[Composition], at: int) -> Composition:
    """Of a direction, where both may be the same."""
    return directions[min(at, len(directions) - 1)]


def _laws(above: Composition, below: Composition | None) -> Callable[[float], Place]:
    def make(epsilon: float) -> Place:
        try:
            upper, lower = _proven(above, epsilon), None if below is None else _proven(below, epsilon)
        except ArithmeticError as error:
            raise NotCertified(other_laws.BEYOND_FLOATS) from error

        def at(other: float) -> Ends2:
            own = upper(other)
            return (own if lower is None else lower(other))[0], own[1]

        return Place(epsilon, *at(epsilon), at)

    return make


def _proven(run: Composition, epsilon: float) -> At:
    """What a contour put near this ε proves, or a lattice where there is none or it is wide."""
    ends = mixed.delta_ends(run, epsilon)
    if ends is None or ends.contour is None or not ends.relative_width <= other_laws.NARROW:
        lattice = run.around(epsilon, other_laws.worth(run))
        return lambda other: (lattice(other).lower, lattice(other).upper)
    return _of_contour(ends.contour)


def _of_contour(contour: invert.AnyContour) -> At:
    """Its own interval, or where that lost its digits, far from its place, a Chernoff bound."""

    def at(epsilon: float) -> Ends2:
        if isinstance(contour, LatticeComposition):
            lower, upper = contour.ends(epsilon)
            return max(lower, 0.0), upper if upper < 1.0 else 1.0
        value = contour.at(epsilon)
        log_ceiling = contour.log_chernoff(epsilon) if isinstance(contour, Contour) else 0.0
        ceiling = math.exp(min(log_ceiling, 0.0))
        return max(value.lower, 0.0), value.upper if value.upper < ceiling else ceiling

    return at
