"""Frequencies left out: |G(a + iu)| for all u >= U at once, by an integral of the modulus along a path, in balls.

For u > 0 and a path x + iy(x) with 0 <= y < πσ², by Cauchy's theorem and |1 + iy'| <= 1 + y'²/2,

    |G(a + iu)| <= ∫ |r(x + iy)|^a·e^(-u·arg r(x + iy))·e^(-(x² - y²)/2σ²)·(1 + y'²/2) dx / (σ·sqrt(2π)).

In the half-strip 0 <= y < πσ² r has no zero and arg r lies in [0, y/σ²], so the right side falls as u rises: one
evaluation at U bounds every u >= U. The path of steepest descent would make it an equality; a logistic step
y(x) = Y/(1 + e^(-(x - c)/b)) comes within a percent of its logarithm (path_search.py).

The integrand is analytic in x near the real line: with r± = r(x ± iy(x)) its modulus is
r₊^((a + iu)/2)·r₋^((a - iu)/2); acb.integral (Johansson 2018, arXiv:1802.07942) encloses the integral over
[low, high], and `tails` bounds the rest.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpplan.accounting.exact.prove.balls import Ball, ComplexBall, acb, arb, zero
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, span
from dpplan.accounting.exact.prove.path_search import Path, estimate

PIECE = 8.0  # σ or σ², the length of the pieces that acb.integral is given: it bisects from there
EVALUATIONS = 4_000  # for one piece; a piece that needs more comes out wide
SPARE = 20.0  # the range holds all but e^-SPARE of the accuracy asked for


@dataclass(frozen=True, slots=True)
class StepLaw:
    """One step's numbers as balls: Q and r."""

    sigma: Ball
    q: Ball
    variance: Ball

    @classmethod
    def of(cls, phase: ComposedSteps) -> "StepLaw":
        sigma = arb(phase.sigma)
        return cls(sigma, arb(phase.q), sigma * sigma)

    def ratio(self, x: Ball) -> Ball:
        """r(x), for real or complex x."""
        return (1 - self.q) + self.q * ((2 * x - 1) / (2 * self.variance)).exp()

    def density(self, x: Ball) -> Ball:
        """Q's, for real x."""
        return (-x * x / (2 * self.variance)).exp() / (self.sigma * (2 * arb.pi()).sqrt())


@dataclass(frozen=True, slots=True)
class Tail:
    """f at an end of a range, and a rate at which f falls outwards: f(end ± d) <= f(end)·e^(-rate·d)."""

    value: Ball
    rate: Ball

    def integral(self) -> Ball:
        return self.value / self.rate

    def series(self, step: Ball) -> Ball:
        """step·Σ f over nodes beyond the end, the first of which may lie on it."""
        return step * self.value / (1 - (-self.rate * step).exp())


def tails(phase: ComposedSteps, a: Ball, low: float, high: float) -> tuple[Tail, Tail]:
    """The tails of f = r^a·Q, q < 1, left of `low` and right of `high`.

    (log f)' = (a·s(x) - x)/σ² with s in (0, 1) rising. Right of `high` it is at most (max(a, 0) - high)/σ²; left of
    `low` at least -low/σ² for a >= 0 and at least (a·s(low) - low)/σ² for a < 0. A rate that is not positive makes
    the bound infinite.
    """
    law, left, right = StepLaw.of(phase), arb(low), arb(high)
    sampled = law.q * ((2 * left - 1) / (2 * law.variance)).exp() / law.ratio(left)
    rates = (a.min(zero()) * sampled - left) / law.variance, (right - a.max(zero())) / law.variance
    values = (law.ratio(x) ** a * law.density(x) for x in (left, right))
    first, last = (Tail(v, rate if rate > 0 else zero()) for v, rate in zip(values, rates, strict=True))
    return first, last


def bound(phase: ComposedSteps, a: Ball, u: Ball, path: Path, bits: int) -> Ball:
    """The integral above for u >= 0 as a ball, good to about a relative 2^-bits."""
    if phase.q == 1.0:  # r is an exponential, and the integral at a constant height y has a closed form
        y = arb(path.height)
        return ((a * (a - 1) + y * y - 2 * u * y) / (2 * arb(phase.sigma) ** 2)).exp()
    law, still = StepLaw.of(phase), float(a)
    turn = arb(path.height) / law.variance
    if not turn < arb.pi():
        raise ValueError(f"{path.height=} leaves the strip")
    # On the path |r| lies between r·cos(y/2σ²) and r.
    log_lift = turn * arb(path.height) / 2 + a.min(zero()) * (turn / 2).cos().log()
    low, high = span(phase, still, math.sqrt(2.0 * (bits * math.log(2.0) + SPARE + float(log_lift))))
    outside = log_lift.exp() * sum((tail.integral() for tail in tails(phase, a, low, high)), zero())
    if math.isfinite(path.breadth):
        outside *= 1 + (arb(path.height) / (4 * arb(path.breadth))) ** 2 / 2
    integrand, inside = _Integrand(law, a, u, path), acb(0)
    small = arb(float(estimate(phase, still, float(u), [path])[0])).exp() * arb(2) ** -(bits + 4)
    edges = np.linspace(low, high, int((high - low) / piece(phase)) + 2).tolist()
    for left, right in pairwise(edges):
        inside += acb.integral(integrand, left, right, rel_tol=arb(2) ** -bits, abs_tol=small, eval_limit=EVALUATIONS)
    return inside.real + outside


def piece(phase: ComposedSteps) -> float:
    """r turns from constant to exponential on the scale σ²."""
    return PIECE * min(phase.sigma, phase.sigma**2)


class _Integrand:
    """The modulus as an analytic function of x; not finite where it cannot be shown to be analytic."""

    def __init__(self, law: StepLaw, a: Ball, u: Ball, path: Path) -> None:
        self.law, self.path = law, path
        self.up, self.down = acb(a, u) / 2, acb(a, -u) / 2
        self.scale = 1 / (law.sigma * (2 * arb.pi()).sqrt())

    def __call__(self, x: ComplexBall, analytic: bool) -> ComplexBall:
        y, stretch = acb(self.path.height), acb(1)
        if math.isfinite(self.path.breadth):
            step = 1 / (1 + ((self.path.centre - x) / self.path.breadth).exp())
            y = self.path.height * step
            slope = y * (1 - step) / self.path.breadth
            stretch = 1 + slope * slope / 2
        lifted = y * acb(0, 1)
        above = self.law.ratio(x + lifted).log(analytic)
        below = self.law.ratio(x - lifted).log(analytic)
        exponent = self.up * above + self.down * below - (x * x - y * y) / (2 * self.law.variance)
        return exponent.exp() * stretch * self.scale
