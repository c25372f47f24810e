"""Stage 3, invert: from certified delta(ε) to a certified ε(delta), one direction at a time.

If upper(e) <= delta for some e, then delta(e) <= delta and e is an upper end for epsilon; if lower(e) >= delta,
e is a lower end. Where e came from does not matter, so the search needs no guarantee.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dpplan.accounting.exact import gaussian_one_step
from dpplan.accounting.exact.contour import chernoff, many_plans, placement
from dpplan.accounting.exact.contour.delta_interval import Contour, DeltaInterval
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice, small_epsilon
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice import composition, near_zero_epsilon
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.proven_ends import AnyContour, Ends
from dpplan.quick_dataclass import dataclass

# A contour is rebuilt nearer to the answer when e^(log M(t) - ε·t) exceeds delta there by more than e^MISPLACED.
MISPLACED = 1.0
CLOSER = 0.1  # likewise, where a contour is already narrow
REBUILDS = 3
SETTLING = 5
FEW = 30  # steps, up to which rare jumps are looked for before anything else
NEARLY_ONE = 0.5  # a bound on delta above which it may be 1 but for rounding
LEAST = 1e-120  # smaller deltas are not told from 0
FAIR, PLAIN = 1e-4, 1e-5  # relative widths of a contour beyond which a grid is tried as well; of a plain one for a δ
NARROW = 1e-6  # the relative width beyond which another method is tried
# Where a plain contour fails, deltas below DEEP are reached by rare jumps or not at all; with noise above SHARP, their
# losses are too alike for cuts by a Gaussian.
DEEP, SHARP = 1e-15, 0.6
NEAR_ZERO = 0.1  # of what delta is at 0 at most: the share from which it is looked for near there
# Below LARGE epsilons rare jumps are looked for first, in a third of the time, and serve where TIGHT, or ten times that
# up to MIDDLING, or NARROW below SMALL. Others were wider there, and those over jumps below TINY never NARROW.
TINY, SMALL, MIDDLING, LARGE, TIGHT = 0.02, 0.06, 0.5, 1.2, 1e-8


def epsilon_ends(steps: Steps, direction: Direction, delta: float) -> Ends:
    """Certified ends for one direction's epsilon; upper is inf where no method could bound it."""
    if steps.total == 1.0:
        sigma, q = float(steps.sigma[0, 0]), float(steps.q[0, 0])
        return Ends(*gaussian_one_step.epsilon_ends(sigma, q, direction, delta), "closed form")
    if placement.delta_at_zero_above(steps) <= delta:
        return Ends(0.0, 0.0, "total variation")
    if not TwoSteps.serves(steps):
        return _many_epsilon(steps, direction, delta)
    ends = _two_epsilon(steps, direction, delta)
    return ends if ends.relative_width < NARROW else ends.narrowed(_many_epsilon(steps, direction, delta))


def _two_epsilon(steps: Steps, direction: Direction, delta: float) -> Ends:
    two, event = TwoSteps(steps, direction), EventBound(steps).epsilon(delta)
    if event <= 0.0 and two.at(0.0).upper <= delta:  # else δ(0), which both directions share, is more
        return Ends(0.0, 0.0, two.method, two.at(0.0).terms, two)
    two.epsilon = two.near(delta, event)
    return verified(two, delta, two.epsilon, two.at(two.epsilon))


def _many_epsilon(steps: Steps, direction: Direction, delta: float) -> Ends:
    log_delta = math.log(delta)
    saddles = placement.plan_saddles(steps, direction, log_delta)
    saddle = saddles.for_log_delta(log_delta)
    if saddle.epsilon <= 0.0:
        saddle = saddles.for_epsilon(0.0)
        at_zero = placement.plain(steps, direction, saddle, 0.0, min(saddle.log_delta, 0.0))
        if at_zero.reached and at_zero.at(0.0).upper <= delta:
            return Ends(0.0, 0.0, "contour", at_zero.at(0.0).terms, at_zero)
    hard = direction is Direction.REMOVE and placement.hardly_reached(steps, saddle)
    if hard and (ends := _by_grid(steps, direction, delta, max(saddle.epsilon, 0.0))).relative_width <= FAIR:
        return ends
    contour = placement.plain(steps, direction, saddle, max(saddle.epsilon, 0.0), log_delta)
    if direction is Direction.REMOVE and placement.too_long(steps, contour):
        ends = _by_rare(steps, delta, cut_choice.guess_epsilon(steps, log_delta))
        if ends.relative_width <= 10.0 * TIGHT:
            return ends
    for _ in range(REBUILDS):
        if not contour.reached:
            return _by_grid(steps, direction, delta, contour.epsilon)
        epsilon, value = solve(contour, delta)
        if abs(epsilon - contour.epsilon) * contour.tilt < MISPLACED:
            break
        contour = placement.plain(steps, direction, saddles.for_epsilon(epsilon), epsilon, log_delta)
    ends = verified(contour, delta, epsilon, value)
    return ends if ends.relative_width < FAIR else ends.narrowed(_by_grid(steps, direction, delta, epsilon))


def _by_grid(steps: Steps, direction: Direction, delta: float, epsilon: float) -> Ends:
    """Where a plain contour would be too long: the first that is narrow enough of the contours over jumps and of grids,
    a coarse one and a fine one; what each proves holds for all."""
    if not composition.affordable(steps):
        return Ends(0.0, math.inf, "none")
    if (rare := _near_zero_epsilon(steps, direction, delta)).relative_width <= FAIR:
        return rare
    deep = delta < DEEP
    jumps = steps.total > FEW and (not deep or float(np.min(steps.sigma)) <= SHARP)  # worth a contour over them
    asked = direction is not Direction.REMOVE  # whether rare jumps were looked for
    if direction is Direction.REMOVE:
        floor = EventBound(steps).epsilon(delta)  # near the answer where ε is far below what any picture shows
        epsilon, guess = max(epsilon, floor), cut_choice.guess_epsilon(steps, math.log(delta)) or floor
        if deep or 0.0 < guess < LARGE or steps.total <= FEW:
            rare, asked = rare.narrowed(_by_rare(steps, delta, guess)), True
            small = TIGHT if guess > MIDDLING else 10.0 * TIGHT if guess > SMALL else NARROW if guess > TINY else FAIR
            if rare.relative_width <= (FAIR if deep or steps.total <= FEW else small):
                return rare
    for attempt in range(SETTLING):
        points = composition.COARSE if attempt else composition.ROUGH
        coarse = composition.near(steps, direction, epsilon, math.log(delta), points)
        found, value = solve(coarse, delta)
        moved, epsilon = abs(found - epsilon) * coarse.tilt, found
        if attempt and moved < MISPLACED:
            break
        if not asked and epsilon < TINY:
            rare, asked = rare.narrowed(_by_rare(steps, delta, guess)), True
            if rare.relative_width <= FAIR:
                return rare
        if jumps and not attempt:  # a rough place may do for a contour that bounds its own errors
            early = _jump(steps, direction, epsilon, math.log(delta), math.inf)
            if early and (ends := ends_around(early, delta)).relative_width <= NARROW:
                return ends.narrowed(rare)
        if not asked:
            rare, asked = rare.narrowed(_by_rare(steps, delta, guess)), True
            if rare.relative_width <= FAIR:
                return rare
    ends = verified(coarse, delta, epsilon, value).narrowed(rare)
    if ends.relative_width > NARROW:
        ends = ends.narrowed(ends_around(_fine(steps, direction, epsilon, math.log(delta), ends.relative_width), delta))
    return _nothing(steps, delta, ends) if ends.lower <= 0.0 < ends.upper else ends


def _near_zero_epsilon(steps: Steps, direction: Direction, delta: float) -> Ends:
    """Where delta is near what it is at 0: by a contour over jumps that lies farther out, or by bounded losses."""
    known = Ends(0.0, math.inf, "none")
    if delta < NEAR_ZERO * placement.delta_at_zero_above(steps) or not near_zero_epsilon.serves(steps):
        return known
    found = small_epsilon.epsilon_ends(steps, direction, delta, _log_floor(steps), NARROW)
    known = _of_remove(direction, *found) if found else known
    if known.relative_width <= FAIR:
        return known
    lower, upper = near_zero_epsilon.epsilon_ends(steps, direction, delta)
    return known.narrowed(Ends(lower, upper, LatticeComposition.method))


def _log_floor(steps: Steps) -> Callable[[float], float]:
    """log of a lower bound on the remove direction's delta, at an ε."""
    event = EventBound(steps)
    return lambda epsilon: math.log(max(event.delta(epsilon), LEAST))


def _of_remove(direction: Direction, lower: float, upper: float, contour: Contour) -> Ends:
    """Ends by a contour of the remove direction, which is not the contour of what was read from it of the other."""
    return Ends(lower, upper, contour.method, (), contour if direction is Direction.REMOVE else None)


def _nothing(steps: Steps, delta: float, ends: Ends) -> Ends:
    """That ε is 0, where that is proven: both directions have the same delta at 0, and a tilt serves the add direction
    that is too large for the rare jumps of the other."""
    at_zero = delta_ends(steps, Direction.ADD, 0.0, min(placement.delta_at_zero_above(steps), 1.0))
    return replace(at_zero, lower=0.0, upper=0.0) if at_zero.upper <= delta else ends


def _by_rare(steps: Steps, delta: float, epsilon: float) -> Ends:
    """By a contour over rare jumps, remove direction, put at this estimate and again nearer to the answer."""
    ends = Ends(0.0, math.inf, "none")
    for _ in range(REBUILDS):
        contour = cut_choice.contour(steps, epsilon, math.log(delta)) if epsilon > 0.0 else None
        if contour is None:
            break
        found, value = solve(contour, delta)
        if found <= 0.0 and value.upper <= delta:
            return Ends(0.0, 0.0, contour.method, value.terms, contour)
        ends = ends.narrowed(verified(contour, delta, found, value))
        if ends.relative_width <= NARROW or not abs(found - epsilon) * contour.tilt > CLOSER:
            break
        epsilon = found
    return ends


def _jump(steps: Steps, direction: Direction, epsilon: float, log_delta: float, width: float) -> Contour | None:
    rare = direction is Direction.REMOVE and epsilon > 0.0
    return placement.over_jumps(steps, epsilon, log_delta) if rare else None


def _fine(steps: Steps, direction: Direction, epsilon: float, log_delta: float, width: float) -> LatticeComposition:
    return composition.near(steps, direction, epsilon, log_delta, composition.points_for(width, NARROW))


def solve(contour: Contour | LatticeComposition | TwoSteps, delta: float) -> tuple[float, DeltaInterval]:
    """Newton's rule for log delta on the estimate; good to rounding where the contour is well placed."""
    epsilon = max(contour.epsilon, 0.0)
    value = contour.at(epsilon)
    last = math.inf
    for _ in range(40):
        if value.estimate > 0.0 and value.slope < 0.0:
            step = (math.log(value.estimate) - math.log(delta)) * value.estimate / value.slope
        else:
            step = 1.0 / contour.tilt
        limit = 3.0 / contour.tilt
        moved = max(epsilon - max(min(step, limit), -limit), 0.0)
        # Near the root a step is the square of the one before; one that is not is rounding.
        if abs(step) <= 1e-15 * epsilon or 1e-6 * epsilon > abs(step) > 0.1 * last:
            break
        last = abs(step)
        epsilon = moved
        value = contour.at(epsilon)
    return epsilon, value


def ends_around(contour: Contour | LatticeComposition | TwoSteps, delta: float) -> Ends:
    """Certified ends for epsilon from one contour or grid, wherever it was put."""
    return verified(contour, delta, *solve(contour, delta))


def verified(
    contour: Contour | LatticeComposition | TwoSteps, delta: float, epsilon: float, value: DeltaInterval
) -> Ends:
    """Widen around the estimate, where the value is this, until both inequalities hold as computed."""
    if epsilon == 0.0 and value.upper <= delta:
        return Ends(0.0, 0.0, contour.method, value.terms, contour)
    slope = max(-value.slope, 1e-300)
    upper = _widen(lambda e: contour.at(e).upper <= delta, epsilon, (value.upper - delta) / slope, +1.0)
    lower = _widen(lambda e: contour.at(e).lower >= delta, epsilon, (delta - value.lower) / slope, -1.0)
    return Ends(max(lower, 0.0), upper, contour.method, value.terms, contour)


def _widen(holds: Callable[[float], bool], epsilon: float, width: float, sign: float) -> float:
    """The nearest tried value at which the inequality holds: inf above or 0 below when none does."""
    width = max(width * 1.01, 4e-16 * epsilon, 1e-300) if math.isfinite(width) else 1e-9 * (1.0 + epsilon)
    for _ in range(60):
        tried = epsilon + sign * width
        if tried <= 0.0 and sign < 0.0:
            return 0.0
        if holds(tried):
            return tried
        width *= 2.0 if width < 1e-3 * epsilon else 1.2
        if width > 4.0 * (1.0 + epsilon):
            break
    return math.inf if sign > 0.0 else 0.0


def delta_ends(steps: Steps, direction: Direction, epsilon: float, ceiling: float, *, short: bool = False) -> Ends:
    """Certified ends for one direction's delta at this epsilon; ceiling: an upper bound on it, to start from. short:
    whether to end where a plain contour would be too long, knowing little."""
    if steps.total == 1.0:
        lower, upper = gaussian_one_step.delta_ends(float(steps.sigma[0, 0]), float(steps.q[0, 0]), direction, epsilon)
        return Ends(lower, upper, "closed form")
    if TwoSteps.serves(steps) and not short:
        two = TwoSteps(steps, direction, epsilon)
        value = two.at(epsilon)
        ends = Ends(value.lower, min(value.upper, 1.0), two.method, value.terms, two)
        if ends.relative_width < NARROW:
            return ends
        return ends.narrowed(_many_delta(steps, direction, epsilon, ceiling, _delta_by_grid))
    otherwise = _total_variation if short else _delta_by_grid
    return _many_delta(steps, direction, epsilon, ceiling, otherwise)


def _total_variation(steps: Steps, direction: Direction, epsilon: float, log_delta: float) -> Ends:
    return Ends(0.0, placement.total_variation_above(steps), "total variation")


def _many_delta(
    steps: Steps,
    direction: Direction,
    epsilon: float,
    ceiling: float,
    otherwise: Callable[[Steps, Direction, float, float], Ends],
) -> Ends:
    """otherwise: where a plain contour is too long, or wide."""
    if direction is Direction.ADD and epsilon >= placement.largest_added_loss(steps):
        return Ends(0.0, 0.0, "bounded loss")
    if ceiling < LEAST:
        return Ends(0.0, ceiling, "too small to tell from 0")
    if ceiling > NEARLY_ONE and direction is Direction.REMOVE:
        missing = math.exp(min(placement.log_missing(steps, epsilon), 0.0))
        if missing < NARROW:
            return Ends(
                math.nextafter(1.0 - missing, 0.0), 1.0, "Chernoff on the other tail", (("missing from 1", missing),)
            )
    log_delta = math.log(ceiling)
    for _ in range(REBUILDS):
        saddle = placement.plan_saddles(steps, direction, log_delta).for_epsilon(epsilon)
        contour = placement.plain(steps, direction, saddle, epsilon, min(saddle.log_delta, 0.0))
        if contour.log_chernoff(epsilon) < math.log(LEAST):
            return Ends(0.0, chernoff.probability(contour.log_chernoff(epsilon)), "too small to tell from 0")
        if not contour.reached:
            return otherwise(steps, direction, epsilon, log_delta)
        value = contour.at(epsilon)
        if not value.estimate > 0.0 or abs(math.log(value.estimate) - log_delta) < 3.0:
            break
        log_delta = min(math.log(value.estimate), 0.0)
    ends = _delta_at(steps, contour, epsilon)
    return ends if ends.relative_width < PLAIN else ends.narrowed(otherwise(steps, direction, epsilon, log_delta))


def _delta_by_grid(steps: Steps, direction: Direction, epsilon: float, log_delta: float) -> Ends:
    """As `_by_grid`."""
    known = _total_variation(steps, direction, epsilon, log_delta)
    if not composition.affordable(steps):
        return known
    floor = EventBound(steps).delta(epsilon)
    if direction is Direction.REMOVE and epsilon > 0.0 and floor > LEAST:
        rare = cut_choice.contour(steps, epsilon, cut_choice.guess_log_delta(steps, epsilon, math.log(floor)))
        known = known if rare is None else _delta_at(steps, rare, epsilon)
        if known.relative_width <= FAIR:
            return known
    known = known.narrowed(_near_zero(steps, direction, epsilon))
    if known.relative_width <= FAIR:
        return known
    for _ in range(SETTLING):
        coarse = composition.near(steps, direction, epsilon, log_delta, composition.COARSE)
        found = math.log(max(coarse.at(epsilon).estimate, 1e-300))
        moved, log_delta = abs(found - log_delta), min(found, 0.0)
        if moved < 3.0:
            break
    ends = _delta_at(steps, coarse, epsilon).narrowed(known)
    sharp = log_delta > math.log(DEEP) or float(np.min(steps.sigma)) <= SHARP
    for build in (_jump, _fine) if sharp else (_fine,):
        if ends.relative_width <= NARROW:
            break
        contour = build(steps, direction, epsilon, log_delta, ends.relative_width)
        if contour is not None:
            ends = ends.narrowed(_delta_at(steps, contour, epsilon))
    return ends


def _near_zero(steps: Steps, direction: Direction, epsilon: float) -> Ends:
    """By a contour over jumps that lies farther out, where few steps jump."""
    known, found = Ends(0.0, 1.0, "none"), small_epsilon.ends(steps, direction, epsilon, _log_floor(steps), NARROW)
    if found is not None:
        lower, upper, contour = found
        known = _of_remove(direction, lower, min(upper, placement.total_variation_above(steps)), contour)
    losses = near_zero_epsilon.laid(steps, near_zero_epsilon.FINE) if known.relative_width > FAIR else None
    if losses is not None:
        lower, upper = losses.delta(direction, epsilon)
        known = known.narrowed(Ends(lower, upper, LatticeComposition.method))
    return known


def _delta_at(steps: Steps, contour: Contour | LatticeComposition, epsilon: float) -> Ends:
    value = contour.at(epsilon)
    ceiling = min(chernoff.probability(contour.log_chernoff(epsilon)), placement.total_variation_above(steps))
    good = value.upper >= value.lower  # else NaN, or a contradiction: neither end is believed
    ends = (max(value.lower, 0.0), min(value.upper, ceiling)) if good else (0.0, ceiling)
    return Ends(*ends, contour.method, value.terms, contour)


def added_delta_below(steps: Steps, epsilon: float, delta: float, removed: AnyContour | None = None) -> bool:
    """Whether the add direction provably spends at most `delta` at this epsilon; cheap tests first. removed: a contour
    of the remove direction, which may tell."""
    if epsilon >= placement.largest_added_loss(steps) or placement.delta_at_zero_above(steps) <= delta:
        return True
    if steps.total == 1.0:
        return delta_ends(steps, Direction.ADD, epsilon, 1.0).upper <= delta
    if TwoSteps.serves(steps) and TwoSteps(steps, Direction.ADD).at(epsilon).upper <= delta:
        return True
    log_delta = math.log(delta)
    saddle = placement.plan_saddles(steps, Direction.ADD, log_delta).for_epsilon(epsilon, log_floor=log_delta - 0.1)
    if saddle.log_chernoff(epsilon) < log_delta and (
        many_plans.log_chernoff_together(steps, Direction.ADD, saddle.tilt, epsilon) < log_delta
        or placement.log_chernoff(steps, Direction.ADD, saddle, epsilon) < log_delta
        or placement.log_added(steps, saddle.tilt, epsilon) < log_delta
    ):
        return True
    if many_plans.below(steps, Direction.ADD, (saddle.tilt, saddle.spread), epsilon, log_delta):
        return True
    losses = near_zero_epsilon.laid(steps, near_zero_epsilon.COARSE)
    if losses is not None and losses.delta(Direction.ADD, epsilon)[1] <= delta:
        return True
    if isinstance(removed, Contour) and small_epsilon.mirrored(np.array([epsilon]), removed.ends)[1][0] <= delta:
        return True
    contour = placement.plain(steps, Direction.ADD, saddle, epsilon, log_delta)
    if contour.reached:
        return contour.at(epsilon).upper <= delta
    if not composition.affordable(steps):
        return False
    return composition.near(steps, Direction.ADD, epsilon, log_delta, composition.COARSE).at(epsilon).upper <= delta


@dataclass(frozen=True)
class Added:
    """`added_delta_below` for many deltas around one place, by one contour where that is enough."""

    steps: Steps
    contour: Contour

    @classmethod
    def of(cls, steps: Steps, epsilon: float, delta: float) -> "Added":
        log_delta = math.log(delta)
        saddle = placement.plan_saddles(steps, Direction.ADD, log_delta).for_epsilon(epsilon)
        return cls(steps, placement.plain(steps, Direction.ADD, saddle, epsilon, log_delta))

    def below(self, epsilon: float, delta: float) -> bool:
        known = self.contour.reached and self.contour.at(epsilon).upper <= delta
        return known or added_delta_below(self.steps, epsilon, delta)
