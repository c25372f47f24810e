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
from dataclasses import field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpplan.accounting import gdp, rdp
from dpplan.accounting.bound import widened
from dpplan.accounting.exact import cross_check, gaussian_one_step, invert, mixed, other_laws
from dpplan.accounting.exact.contour import placement
from dpplan.accounting.exact.contour.inversion import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import near_zero
from dpplan.accounting.exact.ends import AnyContour
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.one_record import followed
from dpplan.accounting.pairs import Resolution
from dpplan.accounting.plan_pairs import SampledGaussian, as_sampled_gaussians, dominating_pairs
from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotCertified
from dpplan.plan import Assumptions, Plan
from dpplan.quick_dataclass import dataclass

NAME = "exact"
FINE = Resolution(halvings=3, reach=60)  # of laws that are known on a lattice
# An interval this narrow, relative or absolute, is taken as it is, or one that is at most LOST times as wide as where
# its contour was put, or LOST_OF_WIDE times if that is WIDE; another is made where it is wider, until there are MOST or
# one is not narrower than GAINED times what was known there.
NARROW, LEAST_WIDTH, MOST = 1e-7, 1e-15, 24
LOST, LOST_OF_WIDE, WIDE, POOR, GAINED = 10.0, 2.0, 2e-4, 1e-5, 0.5
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.005, 1e6, 1e-12  # as accounting.exact: where the transform keeps its digits
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}
Ends2 = tuple[float, float]
ManyEnds = tuple[Array, Array]
Flags = npt.NDArray[np.bool_]
At = Callable[[Array], ManyEnds]


class Width(NamedTuple):
    """Of an interval of δ that need not be narrower: as such, e^(growth·ε) times as wide at ε, or as a share of δ."""

    absolute: float = LEAST_WIDTH
    relative: float = NARROW
    growth: float = 0.0


NARROWEST = Width()
TO_THE_LAST = Width(absolute=0.0)  # for whoever wants digits of a δ that is smaller than any width


@dataclass(frozen=True)
class Place:
    """What was proven at one ε, and what the contour or lattice that did it proves elsewhere: None without one.

    real: whether that holds at negative ε too, where it is told what the other direction's δ is: 1 - e^ε·(1 - δ(-ε)).
    """

    epsilon: float
    lower: float
    upper: float
    at: At | None = None
    real: bool = False

    @property
    def width(self) -> float:
        return (self.upper - self.lower) / self.upper if self.upper > 0.0 else 0.0

    def mirrored(self) -> "Place | None":
        """What it says of the other direction."""
        at = self.at
        if at is None or not self.real:
            return None

        return Place(math.inf, 0.0, 1.0, partial(near_zero.mirrored, at=at))


@dataclass
class OneDirection:
    """δ of one direction. make: what can be proven at an ε. other: the reverse direction, where its places say
    something of this one. most: from this ε on δ is 0."""

    make: Callable[[float], Place]
    other: "OneDirection | None" = field(default=None, repr=False)
    most: float = math.inf
    _places: list[Place] = field(default_factory=list)
    _hopeless: float = math.inf  # an ε from which on another place is no narrower than what is known

    def __call__(self, epsilons: Array, enough: Width = NARROWEST) -> ManyEnds:
        """lower <= δ(ε) <= upper, before the floor, at each of these ε >= 0. enough: where no more places are made."""
        with np.errstate(**_QUIET):
            found = _Found(epsilons, np.zeros(len(epsilons)), np.where(epsilons < self.most, 1.0, 0.0), enough)
            middle = float(np.mean(epsilons))
            for place in sorted(self._places, key=lambda each: abs(each.epsilon - middle)):
                found.take(place)
            for mirrored in (place.mirrored() for place in (self.other._places if self.other else ())):
                found.take(mirrored)
            # Beyond its place a contour's interval becomes wide for δ, if narrower ever: the least ε comes first.
            while (at := found.next(self._hopeless)) is not None and len(self._places) < MOST:
                known = found.width(at)
                place = self._made(float(epsilons[at]), found)
                if len(self._places) > 1 and place.width > GAINED * known:
                    self._hopeless = place.epsilon
        return found.lower, found.upper

    def _made(self, epsilon: float, found: "_Found") -> Place:
        """Another place; where it is poor or says nothing elsewhere, with one of the other direction, as both have the
        same δ at 0."""
        place = self.make(epsilon)
        self._places.append(place)
        lone = place.at is None and place.upper > 0.0
        if self.other is not None and not self.other._places and (lone or place.width > POOR):
            self.other._places.append(self.other.make(0.0))
            found.take(self.other._places[0].mirrored())
        found.take(place)
        return place


class _Found:
    """What is known of δ at some ε, and where that is not yet narrow."""

    def __init__(self, epsilons: Array, lower: Array, upper: Array, enough: Width) -> None:
        self.epsilons, self.lower, self.upper, self.enough = epsilons, lower, upper, enough
        self.absolute = enough.absolute * np.exp(enough.growth * epsilons)
        self.good, self.tried = self.narrow(enough.relative), np.zeros(len(epsilons), bool)

    def next(self, most: float) -> int | None:
        """The number of the least ε, less than `most`, at which another place may help."""
        left = np.flatnonzero(~self.good & ~self.tried & (self.epsilons < most))
        return int(left[np.argmin(self.epsilons[left])]) if len(left) else None

    def narrow(self, share: float) -> Flags:
        """Whether an interval is as narrow as it has to be, or as this share of δ."""
        return np.asarray(self.upper - self.lower <= np.maximum(self.absolute, share * self.upper))

    def width(self, at: int) -> float:
        """Of number `at`, relative."""
        return float((self.upper[at] - self.lower[at]) / self.upper[at]) if self.upper[at] > 0.0 else 0.0

    def take(self, place: Place | None) -> None:
        """With what is proven there."""
        asked = ~self.good
        if place is None or not asked.any():
            return
        # δ never rises with ε: what holds at one place says something on either side of it.
        np.maximum(self.lower, place.lower, out=self.lower, where=self.epsilons <= place.epsilon)
        np.minimum(self.upper, place.upper, out=self.upper, where=self.epsilons >= place.epsilon)
        if place.at is not None:
            low, high = place.at(self.epsilons[asked])
            sound = low <= high  # not where either is NaN
            self.lower[asked] = np.maximum(self.lower[asked], np.where(sound, low, 0.0))
            self.upper[asked] = np.minimum(self.upper[asked], np.where(sound, high, 1.0))
        lost = 0.0 if place.at is None else LOST if place.width < WIDE else LOST_OF_WIDE
        share = max(self.enough.relative, lost * place.width if place.width < 1.0 else 0.0)
        self.good |= self.narrow(share)
        self.tried |= self.epsilons == place.epsilon


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
        remove, add = (OneDirection(_sampled(plan, steps, each)) for each in (Direction.REMOVE, Direction.ADD))
        remove.other, add.other, add.most = add, remove, placement.largest_added_loss(steps)
        return cls((remove, add), plan.assumptions)

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


def _exactly(at: Callable[[float], Ends2]) -> Callable[[float], Place]:
    """Where a formula proves the ends at every ε alike."""
    return _place_of(_each(at))


def _each(at: Callable[[float], Ends2]) -> At:
    def ends(epsilons: Array) -> ManyEnds:
        rows = [at(each) for each in epsilons.tolist()]
        return np.array([low for low, _ in rows]), np.array([high for _, high in rows])

    return ends


def _place_of(at: At) -> Callable[[float], Place]:
    """That what `at` proves is as narrow at one ε as at another."""

    def make(epsilon: float) -> Place:
        low, high = at(np.array([epsilon]))
        return Place(epsilon, float(low[0]), float(high[0]), at)

    return make


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

        return Place(epsilon, lower, upper, _of_contour(contour), not isinstance(contour, TwoSteps))

    return make


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


def _laws(above: Composition, below: Composition | None) -> Callable[[float], Place]:
    def make(epsilon: float) -> Place:
        try:
            upper, lower = _proven(above, epsilon), None if below is None else _proven(below, epsilon)
        except ArithmeticError as error:
            raise NotCertified(other_laws.BEYOND_FLOATS) from error

        def at(others: Array) -> ManyEnds:
            own = upper(others)
            return (own if lower is None else lower(others))[0], own[1]

        return _place_of(at)(epsilon)

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
