"""From balls around delta(ε) to ends for ε: two evaluations that hold as they stand.

delta falls as ε rises. If the ball delta(e) lies at or above `delta`, then ε(delta) >= e; if it lies at or below,
then ε(delta) <= e. Where e came from does not matter.
"""

from dataclasses import dataclass
from fractions import Fraction

from dpplan.accounting.exact.prove.balls import Ball, arb, ball_of, exact_middle
from dpplan.accounting.exact.prove.closed_form import Curve

STEPS = 40  # of Newton's rule
WIDENINGS = 12
MARGIN = Fraction(1, 32)  # by which the first width tried exceeds what the ball at the middle suggests
WIDEST = 1e300  # written as a fraction, the width that a ball of no use suggests might not fit into memory


@dataclass(frozen=True, slots=True)
class EpsilonBracket:
    """lower <= ε(delta) <= upper, both proven; upper is None where no end was found. terms: half-widths by source."""

    lower: Fraction
    upper: Fraction | None
    middle: Fraction
    terms: tuple[tuple[str, float], ...]


def bracket(curve: Curve, delta: Ball, start: float, bits: int) -> EpsilonBracket:
    """Newton's rule from `start`, then the nearest ends that hold."""
    middle = _newton(curve, delta, arb(start), bits)
    value, slope = curve.delta(middle), curve.slope(middle).mid()
    terms = sizes(curve, middle, value, abs(slope))
    if not middle < WIDEST:
        return EpsilonBracket(Fraction(0), None, Fraction(start), terms)
    at = exact_middle(middle)
    if at == 0 and value <= delta:
        return EpsilonBracket(Fraction(0), Fraction(0), at, terms)
    width = ((arb(value.rad()) + abs(value.mid() - delta)) / abs(slope)).abs_upper() + middle * arb(2) ** (4 - bits)
    if not width < WIDEST:
        return EpsilonBracket(Fraction(0), None, at, terms)
    step = exact_middle(width) * (1 + MARGIN)
    lower, upper = Fraction(0), None
    for _ in range(WIDENINGS):
        if lower == 0 and at > step and curve.delta(ball_of(at - step)) >= delta:
            lower = at - step
        if upper is None and curve.delta(ball_of(at + step)) <= delta:
            upper = at + step
        if upper is not None and (lower > 0 or at <= step):
            break
        step *= 2
    return EpsilonBracket(lower, upper, at, terms)


def sizes(curve: Curve, epsilon: Ball, value: Ball, unit: Ball) -> tuple[tuple[str, float], ...]:
    """What each error source contributes to the radius of value = curve.delta(ε), in the unit given."""
    known = curve.terms(epsilon)
    rounding = (arb(value.rad()) - sum((size for _, size in known), arb(0))).max(arb(0))
    return tuple((name, float((size / unit).upper())) for name, size in (*known, ("rounding", rounding)))


def _newton(curve: Curve, delta: Ball, epsilon: Ball, bits: int) -> Ball:
    """An exact ε near the root of log delta(ε) = log delta; 0 where that lies at or below 0."""
    for _ in range(STEPS):
        value, slope = curve.delta(epsilon), curve.slope(epsilon).mid()
        if not (value.mid() > 0 and slope < 0):
            return epsilon  # lost in the errors: the ends will say how much
        ratio = (value.mid() / delta).log().max(arb(-3)).min(arb(3))
        step = (ratio * value.mid() / slope).mid()
        epsilon = (epsilon - step).max(arb(0)).mid()
        if abs(step) <= epsilon * arb(2) ** (8 - bits) or abs(step * slope) <= arb(value.rad()) / 16:
            break
    return epsilon
