"""Stage 3, invert: from certified delta(ε) to a certified ε(delta), one direction at a time.

If upper(e) <= delta for some e, then delta(e) <= delta and e is an upper end for epsilon; if lower(e) >= delta,
e is a lower end. Where e came from does not matter, so the search needs no guarantee.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dpplan.accounting.exact import route, single
from dpplan.accounting.exact.contour import Contour, DeltaInterval
from dpplan.accounting.exact.event import EventBound
from dpplan.accounting.exact.law import Direction, Steps

# A contour is rebuilt nearer to the answer when e^(log M(t) - ε·t) exceeds delta there by more than e^MISPLACED.
MISPLACED = 1.0
REBUILDS = 3


@dataclass(frozen=True, slots=True)
class Ends:
    """lower <= value <= upper; terms: what the width is made of; contour: None where a closed form was used."""

    lower: float
    upper: float
    method: str
    terms: tuple[tuple[str, float], ...] = ()
    contour: Contour | None = field(default=None, compare=False)

    def joined(self, other: "Ends") -> "Ends":
        """The larger of two quantities, each between its ends; details are those of the one that decides."""
        leading = self if self.upper >= other.upper else other
        return replace(leading, lower=max(self.lower, other.lower), upper=max(self.upper, other.upper))


def epsilon_ends(steps: Steps, direction: Direction, delta: float) -> Ends:
    """Certified ends for one direction's epsilon; upper is inf where the contour could not bound it."""
    if steps.total == 1.0:
        return _single_epsilon(steps, direction, delta)
    if route.total_variation_above(steps) <= delta:
        return Ends(0.0, 0.0, "total variation")
    log_delta = math.log(delta)
    landscape = route.landscape(steps, direction, log_delta)
    saddle = landscape.for_log_delta(log_delta)
    if saddle.epsilon <= 0.0:
        saddle = landscape.for_epsilon(0.0)
        contour = route.contour(steps, direction, saddle, 0.0, min(saddle.log_delta, 0.0))
        at_zero = contour.at(0.0)
        if at_zero.upper <= delta:
            return Ends(0.0, 0.0, "contour", at_zero.terms, contour)
        contour = route.contour(steps, direction, saddle, 0.0, log_delta)
    else:
        guess = EventBound(steps).epsilon(delta) if direction is Direction.REMOVE else 0.0
        contour = route.contour(steps, direction, saddle, saddle.epsilon, log_delta, guess)
    epsilon, value = _solve(contour, delta)
    for _ in range(REBUILDS):
        if abs(epsilon - contour.epsilon) * contour.tilt < MISPLACED:
            break
        start = max(epsilon, EventBound(steps).epsilon(delta)) if direction is Direction.REMOVE else epsilon
        saddle = landscape.for_epsilon(start)
        contour = route.contour(steps, direction, saddle, start, log_delta)
        epsilon, value = _solve(contour, delta)
    return _verified(contour, delta, epsilon, value)


def _solve(contour: Contour, delta: float) -> tuple[float, DeltaInterval]:
    """Newton's rule for log delta on the estimate; good to rounding where the contour is well placed."""
    epsilon = max(contour.epsilon, 0.0)
    value = contour.at(epsilon)
    for _ in range(40):
        if value.estimate > 0.0 and value.slope < 0.0:
            step = (math.log(value.estimate) - math.log(delta)) * value.estimate / value.slope
        else:
            step = 1.0 / contour.tilt
        limit = 3.0 / contour.tilt
        moved = max(epsilon - max(min(step, limit), -limit), 0.0)
        if abs(moved - epsilon) <= 1e-15 * epsilon:
            break
        epsilon = moved
        value = contour.at(epsilon)
    return epsilon, value


def _verified(contour: Contour, delta: float, epsilon: float, value: DeltaInterval) -> Ends:
    """Widen around the estimate until both inequalities hold as computed."""
    slope = max(-value.slope, 1e-300)
    upper = _widen(lambda e: contour.at(e).upper <= delta, epsilon, (value.upper - delta) / slope, +1.0)
    lower = _widen(lambda e: contour.at(e).lower >= delta, epsilon, (delta - value.lower) / slope, -1.0)
    return Ends(max(lower, 0.0), upper, "contour", value.terms, contour)


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


def delta_ends(steps: Steps, direction: Direction, epsilon: float) -> Ends:
    """Certified ends for one direction's delta at this epsilon."""
    if steps.total == 1.0:
        lower, upper = single.delta_ends(float(steps.sigma[0, 0]), float(steps.q[0, 0]), direction, epsilon)
        return Ends(lower, upper, "closed form")
    if direction is Direction.ADD and epsilon >= route.largest_added_loss(steps):
        return Ends(0.0, 0.0, "bounded loss")
    log_delta = -40.0
    for _ in range(REBUILDS):
        saddle = route.landscape(steps, direction, log_delta).for_epsilon(epsilon)
        contour = route.contour(steps, direction, saddle, epsilon, min(saddle.log_delta, 0.0))
        value = contour.at(epsilon)
        if not value.estimate > 0.0 or abs(math.log(value.estimate) - log_delta) < 3.0:
            break
        log_delta = min(math.log(value.estimate), 0.0)
    ceiling = min(math.exp(min(contour.log_chernoff(epsilon), 0.0)), route.total_variation_above(steps))
    upper = min(value.upper, ceiling) if value.upper >= value.lower else ceiling  # NaN takes the ceiling
    return Ends(max(value.lower, 0.0), upper, "contour", value.terms, contour)


def added_delta_below(steps: Steps, epsilon: float, delta: float) -> bool:
    """Whether the add direction provably spends at most `delta` at this epsilon; cheap tests first."""
    if epsilon >= route.largest_added_loss(steps) or route.total_variation_above(steps) <= delta:
        return True
    if steps.total == 1.0:
        return delta_ends(steps, Direction.ADD, epsilon).upper <= delta
    log_delta = math.log(delta)
    saddle = route.landscape(steps, Direction.ADD, log_delta).for_epsilon(epsilon, log_floor=log_delta - 0.1)
    if saddle.log_chernoff(epsilon) < log_delta and route.log_chernoff(steps, saddle, epsilon) < log_delta:
        return True
    return route.contour(steps, Direction.ADD, saddle, epsilon, log_delta).at(epsilon).upper <= delta


def _single_epsilon(steps: Steps, direction: Direction, delta: float) -> Ends:
    """Bisection on the closed form, to the last few bits."""
    sigma, q = float(steps.sigma[0, 0]), float(steps.q[0, 0])

    def ends(epsilon: float) -> tuple[float, float]:
        return single.delta_ends(sigma, q, direction, epsilon)

    lower, _ = _bisect(lambda e: ends(e)[0] >= delta)
    _, upper = _bisect(lambda e: ends(e)[1] > delta)
    return Ends(lower, upper, "closed form")


def _bisect(above: Callable[[float], bool]) -> tuple[float, float]:
    """(last value where `above` holds, first where it does not) for a predicate that turns from true to false."""
    if not above(0.0):
        return 0.0, 0.0
    low, high = 0.0, 1e-12
    while above(high):
        low, high = high, high * 4.0
        if high > 1e15:
            return low, math.inf
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high or high - low <= 1e-16 * high:
            return low, high
        low, high = (middle, high) if above(middle) else (low, middle)
