"""The privacy profile of a plan: δ at any ε, each direction by itself, fast enough to draw a curve of.

    found = Profile.of(plan)
    found.remove(1.5)      # Interval: lower <= δ of the remove direction at ε = 1.5 <= upper

Guarantee: CERTIFIED, as accounting.exact: every interval is proven, widened by the floor of all certified figures and
held against a plain event and Rényi DP where it was made. What the largest of the two directions is, is δ.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from dpplan.accounting import rdp
from dpplan.accounting.bound import widened
from dpplan.accounting.exact import (
    gaussian_one_step,
    general_one_step,
    invert,
    mixed,
    other_laws,
    places_by_formula,
    rare_jumps_lattice,
    rdp_cross_check,
    reverse_lattice,
)
from dpplan.accounting.exact.contour import placement, reverse_direction
from dpplan.accounting.exact.contour.delta_interval import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice
from dpplan.accounting.exact.contour.reverse_direction import ReverseSum
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.general_lattice import Accuracy, Composition
from dpplan.accounting.exact.proven_deltas import (
    KNOWN_ABOVE,
    NARROWEST,
    NEARLY_ONE,
    At,
    ManyEnds,
    OneDirection,
    Place,
    Width,
)
from dpplan.accounting.exact.proven_ends import AnyContour, Ends
from dpplan.accounting.exact.rare_jumps_lattice import RareJumpsSum
from dpplan.accounting.exact.shared_lattice import LATTICE_WIDTH, ROUGH, SharedLattice
from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs import Resolution
from dpplan.accounting.parallel_composition import followed
from dpplan.accounting.plan_pairs import as_sampled_gaussians, dominating_pairs
from dpplan.errors import NotCertified
from dpplan.plan import Plan
from dpplan.plan_assumptions import Assumptions
from dpplan.quick_dataclass import dataclass

NAME = "exact"
FINE = Resolution(halvings=3, reach=60)  # of laws that are known on a lattice
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.005, 1e6, 1e-12  # as accounting.exact: where the transform keeps its digits
Ends2 = tuple[float, float]
# Of laws that are known on a lattice, where an upper end will do; and of a rough width, what a lattice is laid for.
TO_DRAW, ROUGHLY = Resolution(halvings=1, reach=40), 0.5
# Where no contour at ε = 0 ends at a price: about δ where one is put that tells of 0 too. Where δ is 1e-6, it is as
# quick, and at some ε wider by a few 1e-10 of δ.
FAR_DELTA, NOTHING = 1e-4, Ends(0.0, 1.0, "none")
Side = Callable[[Array, Width], ManyEnds]


@dataclass(frozen=True)
class Profile:
    """δ at any ε >= 0 of both directions: remove is the world with the record against the one without, add the
    reverse. Each gives (lower, upper), widened by the floor, within [0, 1].

    made: both directions. above: those of what dominates the plan, where that is not the same. one: whether both
    directions are one, where that is known before they are made. parts: of what dominates and of what is realised.
    """

    made: Callable[[], tuple[OneDirection, OneDirection]]
    assumptions: Assumptions
    above: Callable[[], tuple[Side, Side]] | None = None
    one: Callable[[], bool] | None = None
    parts: Callable[[], tuple[tuple[Side, Side], tuple[Side, Side]]] | None = None

    @classmethod
    def of(cls, plan: Plan) -> "Profile":
        """Raises NotApplicable where a step has no dominating pair, NotCertified where nothing can be proven."""
        plans = followed(plan)
        made = [cls._of_one_record(each) for each in plans]
        if len(made) == 1:
            return replace(made[0], assumptions=plan.assumptions)
        alike = plan.adjacency.symmetric
        return cls(
            lambda: _most_costly([each.directions for each in made], alike),
            plan.assumptions,
            lambda: _most_costly_above([each.dominating for each in made], alike),
            lambda: alike,
        )

    @classmethod
    def _of_one_record(cls, plan: Plan) -> "Profile":
        known = dominating_pairs(plan, NAME)
        kinds = as_sampled_gaussians(known)
        if kinds is None:
            return _of_laws(known, plan.assumptions)
        if all(each.sample_rate == 1 for each in kinds):
            one = OneDirection(places_by_formula.gaussian(kinds))
            return cls(lambda: (one, one), plan.assumptions)
        steps = Steps.of(kinds)
        if not _in_reach(steps):
            one = OneDirection(places_by_formula.coarse(plan, steps))
            return cls(lambda: (one, one), plan.assumptions)
        runs = other_laws.directions(known)
        removed, added = runs[0], runs[-1]
        lattice = SharedLattice(removed, added)
        remove = OneDirection(_sampled(plan, steps, Direction.REMOVE, lattice))
        add = OneDirection(_sampled(plan, steps, Direction.ADD, SharedLattice(added, None, beside=lattice)))
        remove.other, add.other, add.most = add, remove, placement.largest_added_loss(steps)
        remove.floor = EventBound(steps).deltas
        return cls(lambda: (remove, add), plan.assumptions)

    @cached_property
    def directions(self) -> tuple[OneDirection, OneDirection]:
        return self.made()

    @cached_property
    def dominating(self) -> tuple[Side, Side]:
        return self.directions if self.above is None else self.above()

    @cached_property
    def alike(self) -> bool:
        """Whether both directions are one."""
        if self.one is not None:
            return self.one()
        return self.dominating[0] is self.dominating[1] and self.directions[0] is self.directions[1]

    def remove(self, epsilon: float) -> Ends2:
        return self._at(0, epsilon)

    def add(self, epsilon: float) -> Ends2:
        return self._at(1, epsilon)

    def _at(self, direction: int, epsilon: float) -> Ends2:
        lower, upper = self.directions[direction](np.array([epsilon]))
        return widened("delta", float(lower[0]), float(upper[0]))

    def ends(self, direction: int, epsilons: Array, enough: Width = NARROWEST) -> ManyEnds:
        """Of direction 0, which is remove, or 1, at each of these ε."""
        sides: tuple[Side, Side] = self.dominating if enough.dominating else self.directions
        return _widened(sides[direction](epsilons, enough))

    @cached_property
    def _parted(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        return self.parts() if self.parts is not None else (self.directions, self.directions)

    def bracket(self, direction: int, epsilons: Array, enough: Width = NARROWEST) -> ManyEnds:
        """As `ends`. Where the two are of different laws each is as narrow as that by itself: what lies between them no
        more places close."""
        if enough.dominating or self.parts is None:
            return self.ends(direction, epsilons, enough)
        dominating, realised = self._parted
        upper = dominating[direction](epsilons, enough)[1]
        return _widened((np.minimum(realised[direction](epsilons, enough)[0], upper), upper))


def _widened(ends: ManyEnds) -> ManyEnds:
    rows = [widened("delta", *row) for row in zip(*(each.tolist() for each in ends), strict=True)]
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

        return OneDirection(places_by_formula.place_of(at))

    if alike:
        both = larger((0, 1))
        return both, both
    return larger((0,)), larger((1,))


def _most_costly_above(ways: Sequence[tuple[Side, Side]], alike: bool) -> tuple[Side, Side]:
    """The larger of all ways, each from above; alike: as `_most_costly`."""

    def larger(sides: tuple[int, ...]) -> Side:
        each = list({id(way[side]): way[side] for way in ways for side in sides}.values())

        def ends(epsilons: Array, enough: Width) -> ManyEnds:
            found = [side(epsilons, KNOWN_ABOVE._replace(drawn=enough.drawn)) for side in each]
            if math.isfinite(enough.absolute):
                # The largest first: most others are then known to be smaller.
                for at in sorted(range(len(each)), key=lambda at: -float(found[at][1].sum())):
                    if np.any(found[at][1] > np.max([low for low, _ in found], axis=0)):
                        found[at] = each[at](epsilons, enough)
            return np.max([low for low, _ in found], axis=0), np.max([high for _, high in found], axis=0)

        return ends

    if alike:
        both = larger((0, 1))
        return both, both
    return larger((0,)), larger((1,))


def _in_reach(steps: Steps) -> bool:
    noise_fits = np.all((steps.sigma >= LEAST_NOISE) & (steps.sigma <= MOST_NOISE))
    return bool(noise_fits and np.all(steps.q >= LEAST_RATE))


def _sampled(plan: Plan, steps: Steps, direction: Direction, lattice: SharedLattice) -> Callable[[float, Width], Place]:
    if steps.total == 1.0:
        sigma, q = float(steps.sigma[0, 0]), float(steps.q[0, 0])
        return places_by_formula.exactly(lambda e: gaussian_one_step.delta_ends(sigma, q, direction, e))
    event = EventBound(steps)

    def make(epsilon: float, enough: Width) -> Place:
        ceiling = min(rdp.delta(plan, epsilon).value, 1.0)
        # Two steps are an integral, as narrow as floats allow, and take no more than many lattices.
        tried = lattice.serves(enough) and (enough.relative >= ROUGH or not TwoSteps.serves(steps))
        wanted = max(enough.relative, LATTICE_WIDTH)
        first = tried and lattice.comes_first(enough)
        ends = NOTHING if first else invert.delta_ends(steps, direction, epsilon, ceiling, short=tried)
        at_zero = tried and enough.dominating and epsilon == 0.0 and direction is Direction.REMOVE
        if at_zero and not first and ends.contour is None and ends.lower < NEARLY_ONE:
            ends = ends.narrowed(_from_afar(steps))
            if (
                ends.contour is None
                and (whole := _of_all(steps, event, (lattice.run, lattice.other), enough, ceiling)) is not None
            ):
                return whole
        if tried and ends.upper - ends.lower > max(enough.at(epsilon), wanted * ends.upper):
            known = event.delta(epsilon) if direction is Direction.REMOVE and enough.dominating else 0.0
            if (place := lattice.place(epsilon, enough, known)) is not None:
                return place
            ends = _over_jumps_from_afar(steps) if at_zero else NOTHING
            if ends.upper - ends.lower > max(enough.at(epsilon), wanted * ends.upper):
                ends = invert.delta_ends(steps, direction, epsilon, ceiling)
        floor = event.delta(epsilon) if direction is Direction.REMOVE else 0.0
        lower, upper = rdp_cross_check.reconcile("delta", ends, floor, ceiling).proven
        contour = ends.contour
        if contour is None:
            return Place(epsilon, lower, upper)
        return Place(epsilon, lower, upper, _of_contour(contour), not isinstance(contour, TwoSteps))

    return make


def _of_all(
    steps: Steps, event: EventBound, runs: tuple[Composition, Composition | None], enough: Width, ceiling: float
) -> Place | None:
    """At 0, and at all ε that a curve asks for, by one sum, over the add direction or beside rare jumps; None where it
    would be long."""
    found: ReverseSum | RareJumpsSum | None = reverse_direction.over(steps, event.deltas)
    if found is None and enough.drawn:
        found = rare_jumps_lattice.over(runs[0])
    if found is None and runs[1] is not None:
        found = reverse_lattice.over(runs[1], steps, event.deltas)
    low, high = (float(each[0]) for each in found.ends(np.zeros(1))) if found else (0.0, 1.0)
    if found is None or not high - low <= max(enough.absolute, enough.relative * high):
        return None
    ends = Ends(low, high, found.method)
    lower, upper = rdp_cross_check.reconcile("delta", ends, event.delta(0.0), ceiling).proven
    return Place(0.0, lower, upper, found.ends, True, enough.relative, isinstance(found, RareJumpsSum))


def _from_afar(steps: Steps) -> Ends:
    """Of δ(0) in the remove direction, by a plain contour that is put where δ is FAR_DELTA: its tilt is steeper, so
    that it ends sooner, and its error there, grown by e^(tilt·ε), is little of what δ is at 0."""
    log_delta = math.log(FAR_DELTA)
    saddle = placement.plan_saddles(steps, Direction.REMOVE, log_delta).for_log_delta(log_delta)
    if not saddle.epsilon > 0.0 or placement.hardly_reached(steps, saddle):
        return NOTHING
    contour = placement.plain(steps, Direction.REMOVE, saddle, saddle.epsilon, log_delta)
    return _at_zero(contour if contour.reached and not placement.too_long(steps, contour) else None)


def _over_jumps_from_afar(steps: Steps) -> Ends:
    """Likewise, over rare jumps, where no lattice serves either: a grid at 0 takes longer, and tells of less."""
    epsilon = cut_choice.guess_epsilon(steps, math.log(FAR_DELTA))
    return _at_zero(cut_choice.contour(steps, epsilon, math.log(FAR_DELTA)) if epsilon > 0.0 else None)


def _at_zero(contour: Contour | None) -> Ends:
    """Of δ(0), by a contour that lies elsewhere."""
    if contour is None:
        return NOTHING
    low, high = (float(each[0]) for each in contour.ends(np.zeros(1)))
    return Ends(low, min(high, 1.0), contour.method, (), contour) if low <= high else NOTHING


def _of_laws(known: other_laws.Known, assumptions: Assumptions) -> Profile:
    if not all(pair.dominates for pair, _ in known):
        raise NotCertified("a pair of this plan is not known to dominate: it would bound the truth from below only.")
    made, above = partial(_bracketed, known), partial(_alone, known, TO_DRAW)
    if any(pair.resolved for pair, _ in known):
        return Profile(made, assumptions, above, parts=partial(_parts, known))
    dominating, choices = other_laws.compositions(known)
    alone = len(dominating) == 1 and all(len(each) == 1 for each in choices)
    if not choices:
        return Profile(made, assumptions, one=lambda: alone)
    return Profile(made, assumptions, above, lambda: alone, partial(_parts, known))


def _bracketed(known: other_laws.Known) -> tuple[OneDirection, OneDirection]:
    """From above by what dominates, from below by what is realised."""
    above, choices = other_laws.compositions(other_laws.resolved(known, FINE))
    below = _told_most(choices)
    sides = range(max(len(above), len(below or ())))
    made = [OneDirection(_laws(_one_way(above, at), _one_way(below, at) if below else None)) for at in sides]
    return made[0], made[-1]


def _told_most(choices: list[list[Composition]]) -> list[Composition] | None:
    """From below one choice of neighbours for all ε and both directions: an attacker faces one pair at a time, and
    where its trade-off is looked for at several ε, more than one would promise what none of them allows. None where
    there is none to choose."""
    return max(choices, key=lambda each: max(float(_proven(run, 0.0)(np.zeros(1))[0][0]) for run in each), default=None)


def _alone(known: other_laws.Known, resolution: Resolution) -> tuple[OneDirection, OneDirection]:
    """Of what dominates alone."""
    return _each_alone(other_laws.directions(other_laws.resolved(known, resolution)))


def _each_alone(runs: list[Composition]) -> tuple[OneDirection, OneDirection]:
    made = [OneDirection(_laws(run, None)) for run in runs]
    return made[0], made[-1]


def _parts(known: other_laws.Known) -> tuple[tuple[OneDirection, OneDirection], tuple[OneDirection, OneDirection]]:
    """Of what dominates alone, and of what is realised; of what dominates twice, where that is realised itself."""
    above, choices = other_laws.compositions(other_laws.resolved(known, FINE))
    below, dominating = _told_most(choices), _each_alone(above)
    return dominating, _each_alone(below) if below else dominating


def _one_way(directions: list[Composition], at: int) -> Composition:
    """Of a direction, where both may be the same."""
    return directions[min(at, len(directions) - 1)]


def _laws(above: Composition, below: Composition | None) -> Callable[[float, Width], Place]:
    def make(epsilon: float, enough: Width) -> Place:
        rough = enough.relative if enough.dominating and enough.relative >= ROUGH else 0.0
        try:
            upper, lower = _proven(above, epsilon, rough), None if below is None else _proven(below, epsilon)
        except ArithmeticError as error:
            raise NotCertified(other_laws.BEYOND_FLOATS) from error

        def at(others: Array) -> ManyEnds:
            own = upper(others)
            return (own if lower is None else lower(others))[0], own[1]

        return replace(places_by_formula.place_of(at)(epsilon, enough), aim=rough)

    return make


def _proven(run: Composition, epsilon: float, rough: float = 0.0) -> At:
    """What a contour put near this ε proves, or a lattice where there is none or it is wide. rough: a relative width
    for which a coarse one will do."""
    if rough and run.steps == 1:
        return partial(general_one_step.delta_ends_of_many, run.terms[0][0])
    ends = mixed.delta_ends(run, epsilon)
    if rough and epsilon == 0.0 and (ends is None or ends.contour is None):
        ends = _at_zero(mixed.contour_for(run, FAR_DELTA))
    if ends is None or ends.contour is None or not ends.relative_width <= other_laws.NARROW:
        accuracy = other_laws.worth(run) or (Accuracy(ROUGHLY * rough) if rough else None)
        return run.around(epsilon, accuracy)
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

    return places_by_formula.each(at)
