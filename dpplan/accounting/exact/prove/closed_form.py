"""delta(ε) without a contour: no sampling, one step, or two steps. By formula in balls, or one integral of one.

Gaussian   every q = 1: μ² = Σ count/σ², delta = Φ(μ/2 - ε/μ) - e^ε·Φ(-μ/2 - ε/μ) (Balle, Wang 2018, Thm 8).
Single     one step: the events {r > e^ε} and {r < e^-ε} are optimal (Neyman, Pearson).
Pair       two steps: delta(ε) = E[delta₂(ε - ℓ(x))] over the first step's loss ℓ, delta₂ the second's closed form.

A curve here and contour.BallContour have the same methods.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove.balls import Ball, ComplexBall, acb, arb, within, zero
from dpplan.accounting.exact.prove.errors import FEWER, NotProved
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, total_steps
from dpplan.accounting.exact.prove.tail_decay import EVALUATIONS, StepLaw, piece

SPARE_BITS = 40  # for rounding
DEEPEST = 200
Terms = tuple[tuple[str, Ball], ...]


class Curve(Protocol):
    """One direction's delta(ε), to be used at the working precision it was made at."""

    def delta(self, epsilon: Ball) -> Ball:
        """A ball that holds delta(ε), ε >= 0."""
        ...

    def slope(self, epsilon: Ball) -> Ball:
        """d delta / dε, roughly."""
        ...

    def terms(self, epsilon: Ball) -> Terms:
        """What each error source but rounding contributes to the ball's radius, at most."""
        ...


def is_closed(phases: tuple[ComposedSteps, ...]) -> bool:
    """Whether the plan needs no contour."""
    return total_steps(phases) <= 2 or all(phase.q == 1.0 for phase in phases)


def working_bits(phases: tuple[ComposedSteps, ...], bits: int) -> int:
    """The precision at which `closed_curve` comes close to an error of 2^-bits in delta. Raises NotProved."""
    if total_steps(phases) != 2 or all(phase.q == 1.0 for phase in phases):
        return bits + SPARE_BITS
    # At its end the pair's integrand is a difference of numbers that agree to so many bits.
    second = _ordered(phases)[1]
    depth = _spread(bits) / second.sigma + 0.5 / second.sigma**2
    if depth > DEEPEST:
        raise NotProved(
            "quadrature in x (two steps)",
            f"the second step's losses end within e^-{depth:.0f} of where the integral must stop, e^-{DEEPEST} allowed",
            FEWER,
        )
    return bits + SPARE_BITS + int((depth - math.log(second.q)) / math.log(2.0))


def closed_curve(phases: tuple[ComposedSteps, ...], direction: Direction, bits: int) -> Curve:
    """The curve of a plan that needs no contour, good to about 2^-bits in delta at that working precision."""
    if all(phase.q == 1.0 for phase in phases):
        return GaussianCurve(phases)
    if total_steps(phases) == 1:
        return Single(StepLaw.of(phases[0]), direction)
    return Pair(*_ordered(phases), direction, bits)


def _ordered(phases: tuple[ComposedSteps, ...]) -> tuple[ComposedSteps, ComposedSteps]:
    """Two steps, the second one sampled: its loss then has an end that the integral is cut at."""
    first, second = sorted((phases[0], phases[-1]), key=lambda phase: -phase.q)
    return first, second


def _spread(bits: int) -> float:
    """m with P[N(0,1) > m] below 2^-bits."""
    return math.sqrt(2.0 * math.log(2.0) * bits)


def _tail(x: Ball) -> Ball:
    """P[N(0,1) > x], for real or complex x."""
    return (x / arb(2).sqrt()).erfc() / 2


class GaussianCurve:
    """Without sampling; both directions alike."""

    def __init__(self, phases: tuple[ComposedSteps, ...]) -> None:
        self.mu = sum((arb(phase.count) / arb(phase.sigma) ** 2 for phase in phases), zero()).sqrt()

    def delta(self, epsilon: Ball) -> Ball:
        return _tail(epsilon / self.mu - self.mu / 2) + self.slope(epsilon)

    def slope(self, epsilon: Ball) -> Ball:
        return -epsilon.exp() * _tail(epsilon / self.mu + self.mu / 2)

    def terms(self, epsilon: Ball) -> Terms:
        return ()


@dataclass(frozen=True, slots=True)
class Single:
    """One step, q < 1."""

    law: StepLaw
    direction: Direction

    def delta(self, epsilon: Ball) -> Ball:
        return self._optimal(epsilon)[0].real

    def slope(self, epsilon: Ball) -> Ball:
        return self._optimal(epsilon)[1].real

    def terms(self, epsilon: Ball) -> Terms:
        return ()

    def _optimal(self, epsilon: Ball) -> tuple[ComplexBall, ComplexBall]:
        odds = acb(epsilon.exp())
        if self.direction is Direction.REMOVE:
            return self.removed(odds, acb(1), False)
        return (acb(0), acb(0)) if (1 - self.law.q) * odds.real >= 1 else self.added(odds, False)

    def removed(self, odds: ComplexBall, scale: ComplexBall, analytic: bool) -> tuple[ComplexBall, ComplexBall]:
        """scale·delta and its slope where e^ε = odds/scale > 1 - q: P[x > x*] - e^ε·Q[x > x*] with r(x*) = e^ε."""
        law = self.law
        kept = odds - (1 - law.q) * scale
        place = arb(0.5) + law.variance * (kept / (law.q * scale)).log(analytic)
        event = _tail(place / law.sigma)
        return scale * law.q * _tail((place - 1) / law.sigma) - kept * event, -odds * event

    def added(self, odds: ComplexBall, analytic: bool) -> tuple[ComplexBall, ComplexBall]:
        """delta and its slope where e^ε = odds < 1/(1 - q): Q[x < x*] - e^ε·P[x < x*] with r(x*) = e^-ε."""
        law = self.law
        kept = 1 - odds * (1 - law.q)
        place = arb(0.5) + law.variance * (kept / (law.q * odds)).log(analytic)
        event, shifted = _tail(-place / law.sigma), _tail((1 - place) / law.sigma)
        return kept * event - law.q * odds * shifted, -odds * ((1 - law.q) * event + law.q * shifted)


class Pair:
    """Two steps, the second sampled. With r₁ of the first step at x and ε' the loss that is left for the second,

    remove: ε' = ε - log r₁, x ~ r₁·Q;  add: ε' = ε + log r₁, x ~ Q.

    As x rises, ε' nears the end of the second's losses and its threshold x* falls without end. From the x where x*
    is m standard deviations below 0 the integral is in closed form: delta₂ is 1 - e^ε' (remove) or 0 (add), and
    more by at most e^ε'·Q[x₂ < x*] or Q[x₂ < x*], both at most P[N(0,1) > m] but for the factor.
    """

    def __init__(self, first: ComposedSteps, second: ComposedSteps, direction: Direction, bits: int) -> None:
        self.first, self.direction = StepLaw.of(first), direction
        self.second = Single(StepLaw.of(second), direction)
        self.small = arb(2) ** -bits
        self.m = arb(_spread(bits))
        self.piece = piece(first)

    def delta(self, epsilon: Ball) -> Ball:
        return self._integral(epsilon, 0) + within(self._left_out(epsilon))

    def slope(self, epsilon: Ball) -> Ball:
        return self._integral(epsilon, 1)

    def terms(self, epsilon: Ball) -> Terms:
        return (("tails in x", self._left_out(epsilon)),)

    @property
    def _low(self) -> Ball:
        """Left of it either law has at most the mass P[N(0,1) > m]."""
        return (-self.m * self.first.sigma).lower()

    def _end(self, epsilon: Ball) -> Ball:
        """An exact x from which on x* is m or more standard deviations below 0; at least `_low`."""
        first, second = self.first, self.second.law
        sign = 1 if self.direction is Direction.REMOVE else -1
        lowest = (-(self.m * second.sigma + arb(0.5)) / second.variance).exp()
        kept = ((sign * epsilon).exp() / (1 - second.q + second.q * lowest) - (1 - first.q)).upper()
        end = arb(0.5) + first.variance * (kept / first.q).log() if kept > 0 else self._low
        return end.upper().max(self._low)

    def _left_out(self, epsilon: Ball) -> Ball:
        factor = epsilon.exp() * _tail(self._end(epsilon) / self.first.sigma)
        return ((1 + (factor if self.direction is Direction.REMOVE else 1)) * _tail(self.m)).abs_upper()

    def _integral(self, epsilon: Ball, which: int) -> Ball:
        """Of delta (which = 0) or of its slope (1), but for what is left out."""
        end, odds, total = self._end(epsilon), epsilon.exp(), acb(0)
        integrand, left = self._integrand(acb(odds), which), self._low
        while left < end:
            right = (left + self.piece).min(end).mid()
            total += acb.integral(
                integrand, left, right, rel_tol=self.small, abs_tol=self.small, eval_limit=EVALUATIONS
            )
            left = right
        return total.real + (self._saturated(end, odds)[which] if self.direction is Direction.REMOVE else 0)

    def _integrand(self, odds: ComplexBall, which: int) -> Callable[[ComplexBall, bool], ComplexBall]:
        def removed(x: ComplexBall, analytic: bool) -> ComplexBall:
            return self.first.density(x) * self.second.removed(odds, self.first.ratio(x), analytic)[which]

        def added(x: ComplexBall, analytic: bool) -> ComplexBall:
            return self.first.density(x) * self.second.added(odds * self.first.ratio(x), analytic)[which]

        return removed if self.direction is Direction.REMOVE else added

    def _saturated(self, start: Ball, odds: Ball) -> tuple[Ball, Ball]:
        """∫ (r₁ - e^ε)·Q right of start, and its slope."""
        law = self.first
        centred, shifted = _tail(start / law.sigma), _tail((start - 1) / law.sigma)
        return law.q * shifted + (1 - law.q - odds) * centred, -odds * centred
