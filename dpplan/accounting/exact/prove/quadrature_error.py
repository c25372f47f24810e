"""How the integrand r^(a + iu)·Q grows off the real line: upper sums over cells, each cell at its worst, in balls.

On Im x = y, 0 <= y < πσ², write A = 1 - q, B = q·e^((2x - 1)/2σ²), θ = y/σ²: r = A + B·e^(iθ). As x rises through a
cell from x₀ to x₁ = x₀ + d, B rises and arg r with it. The rest of the modulus:

a > 0  log r is convex in x on the real line, so r^a·Q is at most its larger end value times e^(d²/8σ²). And
       |r(x + iy)|²/r(x)² = 1 - 2s(1 - s)(1 - cos θ), largest at an end since s(1 - s) is concave in s, and s rises.
a < 0  |r|² = A² + B² + 2AB·cos θ is least at an end or, where that lies inside, at B = -A·cos θ; Q is largest at an end
       or at 0.

Crude, and never in doubt: no adaptive rule has to converge.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpplan.accounting.exact.prove.balls import Ball, acb, arb, zero
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, log_ratio, span
from dpplan.accounting.exact.prove.tail_decay import StepLaw, tails

CELLS = (100, 8000)  # least and most
DENSITY = 6.0  # cells per σ
SCAN = 4000  # places from which the cells are laid out
SPARE = 45.0  # all but e^-SPARE of the integral lies between the tails


@dataclass(frozen=True, slots=True)
class _Edge:
    """At one x: B, and r on the line and below it on the real line; Q; e^(u·arg r)."""

    sampled: Ball
    size: Ball
    still: Ball
    density: Ball
    grown: Ball


def integral(phase: ComposedSteps, a: Ball, u: Ball, height: float) -> Ball:
    """A bound on ∫ |r|^a·e^(u·arg r)·|Q| over the line Im x = height, u >= 0; the same below with -u for u."""
    turn = arb(height) / StepLaw.of(phase).variance
    if not turn < arb.pi():
        raise ValueError(f"{height=} leaves the strip")
    # On the line |r| lies between r·cos(θ/2) and r, and arg r between 0 and θ.
    log_lift = turn * arb(height) / 2 + u * turn + a.min(zero()) * (turn / 2).cos().log()
    low, high = span(phase, float(a), math.sqrt(2.0 * (SPARE + float(log_lift))))
    outside = log_lift.exp() * sum((tail.integral() for tail in tails(phase, a, low, high)), zero())
    inside = sum((worst * width for worst, width in cells(phase, a, u, height, low, high)), zero())
    return (inside + outside).abs_upper()


def cells(phase: ComposedSteps, a: Ball, u: Ball, height: float, low: float, high: float) -> list[tuple[Ball, Ball]]:
    """[low, high] in cells: a bound on the modulus in each, and its length."""
    law = StepLaw.of(phase)
    turn = arb(height) / law.variance
    lift = (turn * arb(height) / 2).exp()
    lowest, at_lowest = (1 - law.q) * turn.sin(), -(1 - law.q) * turn.cos()
    edges = _edges(phase, float(a), float(u), height, low, high)
    ends = [_edge(law, x, turn, u) for x in edges]
    result = []
    for k, (left, right) in enumerate(pairwise(ends)):
        width = arb(edges[k + 1]) - arb(edges[k])
        if a > 0:
            still = (left.still**a * left.density).max(right.still**a * right.density)
            squeezed = (left.size / left.still).max(right.size / right.still)
            worst = still * squeezed**a * (width**2 / (8 * law.variance)).exp()
        else:
            outside = left.sampled > at_lowest or right.sampled < at_lowest
            size = left.size.min(right.size) if outside else lowest
            inner = edges[k] < 0.0 < edges[k + 1]
            worst = size**a * (law.density(zero()) if inner else left.density.max(right.density))
        result.append(((worst * right.grown * lift).abs_upper(), width))
    return result


def _edge(law: StepLaw, x: float, turn: Ball, u: Ball) -> _Edge:
    at = arb(x)
    sampled = law.q * ((2 * at - 1) / (2 * law.variance)).exp()
    ratio = (1 - law.q) + acb(sampled * turn.cos(), sampled * turn.sin())
    return _Edge(sampled, abs(ratio), (1 - law.q) + sampled, law.density(at), (u * ratio.arg()).exp())


def _edges(phase: ComposedSteps, a: float, u: float, height: float, low: float, high: float) -> list[float]:
    """So many cells, so placed, that what is taken at its worst changes by little more than a factor e across one."""
    x = np.linspace(low, high, SCAN)
    loss, turn = log_ratio(phase, x), height / phase.sigma**2
    sampled = np.exp(math.log(phase.q) + (2.0 * x - 1.0) / (2.0 * phase.sigma**2) - loss)
    angle = np.arctan2(sampled * math.sin(turn), 1.0 - sampled + sampled * math.cos(turn))
    change = DENSITY * (x - low) / phase.sigma + u * angle - min(a, 0.0) * (loss - loss[0])
    count = int(min(max(change[-1] - change[0], CELLS[0]), CELLS[1]))
    inner = np.interp(np.linspace(change[0], change[-1], count + 1), change, x)[1:-1]
    return [low, *(float(v) for v in inner), high]
