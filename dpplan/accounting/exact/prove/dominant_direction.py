"""Both directions of the loss: the remove direction's ends, and a proof that the add direction's do not exceed them.

Where they do, both are computed and the larger counts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import aliasing
from dpplan.accounting.exact.prove.balls import Ball, agreed_digits, arb, ball_of, ends, working_precision, zero
from dpplan.accounting.exact.prove.closed_form import Curve, closed_curve, is_closed, working_bits
from dpplan.accounting.exact.prove.contour import BallContour
from dpplan.accounting.exact.prove.contour_plan import Design, design
from dpplan.accounting.exact.prove.errors import NotProved
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, FloatMoments
from dpplan.accounting.exact.prove.invert import bracket, sizes

Progress = Callable[[str], None]
Phases = tuple[ComposedSteps, ...]
ROUNDS = 4  # a curve is made again nearer to the answer, or sharper
SPARE_DIGITS = 0.5  # asked for beyond the digits wanted
CLOSED_BITS = 20  # asked of a closed curve beyond what the digits take
CHECK_BITS = 100  # of working precision for a single inequality
MOST_NODES = 20_000  # of a moment that may save a contour
LOOSE = 0.05  # relative accuracy at which the add direction is looked at first
MOVED = 0.5  # in units of log delta: farther from where a contour was made, it is made again
CLOSEST = 1e-9  # relative accuracy beyond which that is not worth it
LEAST_LOG_DELTA = -1e6  # of an estimate


@dataclass(frozen=True, slots=True)
class Found:
    """lower <= the quantity <= upper, exactly; terms as in Proof; method and bits: of the direction that decides."""

    lower: Fraction
    upper: Fraction
    terms: tuple[tuple[str, float], ...]
    method: str
    bits: int

    def joined(self, other: "Found") -> "Found":
        """The larger of two quantities."""
        leading = self if self.upper >= other.upper else other
        lower, upper = max(self.lower, other.lower), max(self.upper, other.upper)
        return Found(lower, upper, leading.terms, leading.method, leading.bits)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes curves of one direction: closed ones where there are any, contours elsewhere."""

    phases: Phases
    direction: Direction
    progress: Progress

    def plan(self, epsilon: float, log_delta: float, log_goal: float) -> tuple[int, Design | int]:
        """For delta near e^log_delta at this ε to a relative e^log_goal: the working precision; and the contour, or
        for a closed curve the bits wanted."""
        if is_closed(self.phases):
            wanted = int((-log_delta - log_goal) / math.log(2.0)) + CLOSED_BITS
            return working_bits(self.phases, wanted), wanted
        chosen = design(self.phases, self.direction, epsilon, log_delta, log_goal)
        self.progress(
            f"{self.direction.name.lower()} direction: {chosen.count} frequencies, {chosen.total_nodes} nodes, "
            f"{chosen.bits} bits"
        )
        return chosen.bits, chosen

    def curve(self, chosen: Design | int) -> Curve:
        """To be called, and the curve used, at that working precision."""
        if isinstance(chosen, Design):
            return BallContour(self.phases, self.direction, chosen)
        return closed_curve(self.phases, self.direction, chosen)

    @property
    def method(self) -> str:
        return f"{self.direction.name.lower()} direction"


def epsilon(phases: Phases, delta: float, start: float, digits: int, progress: Progress) -> Found:
    """Ends for ε(delta); start: a guess."""
    remove, add = Maker(phases, Direction.REMOVE, progress), Maker(phases, Direction.ADD, progress)
    if _total_variation_below(phases, arb(delta)) or (start == 0.0 and _below(remove, Fraction(0), arb(delta))):
        return Found(Fraction(0), Fraction(0), (), "total variation", CHECK_BITS)
    found = _epsilon_of(remove, delta, start, digits)
    if _added_below(add, found.upper, arb(delta)):
        return found
    return found.joined(_epsilon_of(add, delta, float(found.upper), digits))


def delta(phases: Phases, epsilon: float, start: float, digits: int, progress: Progress) -> Found:
    """Ends for delta(ε); start: a guess."""
    remove, add = Maker(phases, Direction.REMOVE, progress), Maker(phases, Direction.ADD, progress)
    found = _delta_of(remove, epsilon, start, digits)
    with working_precision(CHECK_BITS + 4 * digits):
        lower = ball_of(found.lower).lower()
    if _added_below(add, Fraction(epsilon), lower):
        return found
    return found.joined(_delta_of(add, epsilon, start, digits))


def _epsilon_of(maker: Maker, delta: float, start: float, digits: int) -> Found:
    """One direction's ε."""
    survey, log_delta = FloatMoments(maker.phases, maker.direction), math.log(delta)
    extra, worst = 0.0, ("rounding", 0)
    for _ in range(ROUNDS):
        tilt = survey.saddle(start)
        scale = min(tilt * start, 10.0) if start > 0.0 else 1.0  # dε/ε = d log delta / (t·ε)
        log_goal = math.log(scale) - (digits + SPARE_DIGITS + extra) * math.log(10.0)
        bits, chosen = maker.plan(start, log_delta, log_goal)
        with working_precision(bits):
            near = bracket(maker.curve(chosen), arb(delta), start, bits)
        if near.upper is not None:
            proven = digits if near.upper == near.lower else agreed_digits(near.lower, near.upper)
            if proven >= digits:
                return Found(near.lower, near.upper, near.terms, maker.method, bits)
            worst = (max(near.terms, key=lambda term: term[1])[0], proven)
        if abs(float(near.middle) - start) * tilt < MOVED:
            extra += digits - worst[1]
        start = float(near.middle)
    raise NotProved.short(f"{worst[0]} ({maker.method})", worst[1], digits)


def _delta_of(maker: Maker, epsilon: float, start: float, digits: int) -> Found:
    """One direction's delta."""
    log_delta = math.log(start) if start > 0.0 else _log_estimate(maker, epsilon)
    extra, worst = 0.0, ("rounding", 0)
    for _ in range(ROUNDS):
        bits, chosen = maker.plan(epsilon, log_delta, -(digits + SPARE_DIGITS + extra) * math.log(10.0))
        with working_precision(bits):
            curve, at = maker.curve(chosen), arb(epsilon)
            value = curve.delta(at)
            lower, upper = ends(value)
            terms = sizes(curve, at, value, arb(1))
            if value.mid() > 0:
                log_delta = min(float(value.mid().log()), 0.0)
        if lower > 0:
            proven = digits if upper == lower else agreed_digits(lower, upper)
            if proven >= digits:
                return Found(lower, min(upper, Fraction(1)), terms, maker.method, bits)
            worst = (max(terms, key=lambda term: term[1])[0], proven)
        extra += digits - worst[1]
    raise NotProved.short(f"{worst[0]} ({maker.method})", worst[1], digits)


def _total_variation_below(phases: Phases, delta: Ball) -> bool:
    """Whether Σ count·q·(2Φ(1/2σ) - 1), the sum of the steps' total variations, is at most delta: then ε = 0."""
    with working_precision(CHECK_BITS):
        each = (phase.count * arb(phase.q) * (1 / (arb(8).sqrt() * arb(phase.sigma))).erf() for phase in phases)
        return bool(sum(each, zero()) <= delta)


def _added_below(add: Maker, epsilon: Fraction, delta: Ball) -> bool:
    """Whether the add direction provably spends at most `delta` at this ε; cheap proofs first."""
    if epsilon == 0:
        return True  # both directions' delta(0) is the total variation
    if not any(phase.q == 1.0 for phase in add.phases):
        with working_precision(CHECK_BITS + epsilon.denominator.bit_length()):
            losses = (-phase.count * (1 - arb(phase.q)).log() for phase in add.phases)
            if sum(losses, zero()) <= ball_of(epsilon):
                return True
    return _below(add, epsilon, delta)


def _below(maker: Maker, epsilon: Fraction, delta: Ball) -> bool:
    """Whether the direction's delta(ε) is proven to be at most `delta`: by Chernoff, or by a curve no finer than it
    takes."""
    survey, at, log_delta = FloatMoments(maker.phases, maker.direction), float(epsilon), float(delta.log())
    tilt = survey.saddle(at)
    affordable = aliasing.chernoff_nodes(maker.phases, maker.direction, tilt) <= MOST_NODES
    if affordable and survey.log_chernoff(tilt, at) < log_delta:
        with working_precision(CHECK_BITS):
            if aliasing.chernoff(maker.phases, maker.direction, tilt) * (-tilt * ball_of(epsilon)).exp() <= delta:
                return True
    log_value = _log_estimate(maker, at)
    gap = min(max(0.25 * (log_delta - log_value), CLOSEST), LOOSE)
    bits, chosen = maker.plan(at, log_value, math.log(gap))
    with working_precision(bits):
        return bool(maker.curve(chosen).delta(ball_of(epsilon)) <= delta)


def _log_estimate(maker: Maker, epsilon: float) -> float:
    return max(FloatMoments(maker.phases, maker.direction).log_estimate(epsilon), LEAST_LOG_DELTA)
