"""Quadrature and tails in x: G(a + iu) = E_Q[r^(a + iu)] in balls at equally spaced u, one trapezoid rule for all.

Quadrature. For f analytic in the closed strip |Im x| <= y and falling fast in it, Poisson summation and a shift of
each Fourier integral to the line on which it fades give

    |h·Σ_j f(x₀ + jh) - ∫f| <= (∫|f(x + iy)| dx + ∫|f(x - iy)| dx) / (e^(2πy/h) - 1)

(Trefethen, Weideman 2014, SIAM Review 56, Thm 5.1). For f = r^(a + iu)·Q and 0 <= u <= U, y < πσ², the modulus on
either line is at most |r|^a·e^(U·arg r)·|Q|, whose integral quadrature_error.py bounds.

Tails. On the real line |f| = r^a·Q at every u. The nodes left out are bounded by cells, each at its worst, as far as
f may rise again, and beyond by a geometric series (tail_decay.tails).
"""

import math
from dataclasses import dataclass

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import quadrature_error, tail_decay
from dpplan.accounting.exact.prove.balls import Ball, ComplexBall, acb, acb_mat, arb, within, zero
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, log_ratio, span
from dpplan.accounting.exact.prove.path_search import Path, estimate
from dpplan.accounting.exact.prove.tail_decay import StepLaw

# Heights that are tried, as fractions of the strip or of what a Gaussian can use.
HEIGHTS = (0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.62, 0.75, 0.87, 0.96)
ROOM = 4.0  # estimates in floating point may be off by e^4
STEP_BITS = 12  # of a step: so few that every node is a float
CHUNK = 400  # nodes whose powers are held at once
SCAN = 2000  # places at which the end of the integrand is looked for


@dataclass(frozen=True, slots=True)
class TrapezoidNodes:
    """x_j = low + j·step for j < count, all exact.

    height: of the strip that bounds the quadrature's error. far: from here on the integrand surely falls.
    """

    low: float
    step: float
    count: int
    height: float
    far: float

    @property
    def high(self) -> float:
        return self.low + self.step * (self.count - 1)


@dataclass(frozen=True, slots=True)
class TransformValues:
    """G(a + iku), k = 0, 1, ..., and how much of each ball's radius the two errors may be."""

    balls: list[ComplexBall]
    quadrature: Ball
    tails: Ball


def exponent(direction: Direction, tilt: Ball) -> Ball:
    """a = Re w as a ball: 1 + t need not be a float."""
    return 1 + tilt if direction is Direction.REMOVE else -tilt


def choose_nodes(phase: ComposedSteps, a: float, u_max: float, log_goal: float) -> TrapezoidNodes:
    """The coarsest nodes that leave e^log_goal of G(a) at every frequency up to u_max, by estimate."""
    if phase.q == 1.0:
        return TrapezoidNodes(0.0, 1.0, 0, 0.0, 0.0)
    reach = math.sqrt(2.0 * (ROOM - log_goal))
    heights = np.array(HEIGHTS) * min(math.pi * phase.sigma**2, 2.0 * reach * phase.sigma)
    grown = estimate(phase, a, -u_max, [Path(float(y)) for y in heights])
    still = float(estimate(phase, a, 0.0, [Path(0.0)])[0])
    steps = 2.0 * math.pi * heights / (ROOM - log_goal + grown - still)
    best = int(np.argmax(steps))
    mantissa, exponent = math.frexp(float(steps[best]))
    step = math.ldexp(math.floor(math.ldexp(mantissa, STEP_BITS)), exponent - STEP_BITS)
    low, far = span(phase, a, reach)
    x = np.linspace(low, far, SCAN)
    matters = a * log_ratio(phase, x) - 0.5 * (x / phase.sigma) ** 2 > still + log_goal - 2.0 * ROOM
    high = float(x[min(int(np.nonzero(matters)[0][-1]) + 1, SCAN - 1)])
    # For a < 0 the integrand falls from its mode on; see tail_decay.tails.
    far = far if a > 0.0 else max(high, phase.sigma)
    return TrapezoidNodes(
        math.floor(low / step) * step, step, max(int((high - low) / step), 0) + 3, float(heights[best]), far
    )


def evaluate(phase: ComposedSteps, a: Ball, u_step: Ball, count: int, nodes: TrapezoidNodes) -> TransformValues:
    """G(a + i·k·u_step) for k < count, whatever the nodes."""
    if phase.q == 1.0:
        return TransformValues([_unsampled(phase, acb(a, k * u_step)) for k in range(count)], zero(), zero())
    quadrature = _quadrature_error(phase, a, u_step * (count - 1), nodes)
    left_out = _tail_error(phase, a, nodes)
    error = within(quadrature + left_out)
    total = None
    for start in range(0, nodes.count, CHUNK):
        part = _products(phase, a, u_step, count, nodes, range(start, min(start + CHUNK, nodes.count)))
        total = part if total is None else total + part
    assert total is not None  # choose_nodes never returns fewer than three for q < 1
    return TransformValues([value + acb(error, error) for value in total.entries()[:count]], quadrature, left_out)


def moment(phase: ComposedSteps, a: Ball, log_goal: float) -> Ball:
    """G(a) for real a, to about a relative e^log_goal."""
    return evaluate(phase, a, zero(), 1, choose_nodes(phase, float(a), 0.0, log_goal)).balls[0].real


def _unsampled(phase: ComposedSteps, w: ComplexBall) -> ComplexBall:
    """q = 1: a Gaussian's moment."""
    return (w * (w - 1) / (2 * arb(phase.sigma) ** 2)).exp()


def _quadrature_error(phase: ComposedSteps, a: Ball, u_max: Ball, nodes: TrapezoidNodes) -> Ball:
    grown = quadrature_error.integral(phase, a, u_max.upper(), nodes.height)
    return (2 * grown / (2 * arb.pi() * arb(nodes.height) / arb(nodes.step)).expm1()).abs_upper()


def _tail_error(phase: ComposedSteps, a: Ball, nodes: TrapezoidNodes) -> Ball:
    """h·Σ f over the nodes left out. A cell of length d holds at most d/h + 1 of them."""
    step, far = arb(nodes.step), max(nodes.far, nodes.high)
    total = sum((tail.series(step) for tail in tail_decay.tails(phase, a, nodes.low, far)), zero())
    if far > nodes.high:
        between = quadrature_error.cells(phase, a, zero(), 0.0, nodes.high, far)
        total += sum((worst * (width + step) for worst, width in between), zero())
    return total.abs_upper()


def _products(
    phase: ComposedSteps, a: Ball, u_step: Ball, count: int, nodes: TrapezoidNodes, chosen: range
) -> ComplexBall:
    """Σ_j h·f(x_j)·e^(i·k·u_step·L_j), k = g·block + b, as one matrix product over j: [g, b]."""
    law, block = StepLaw.of(phase), max(math.isqrt(count), 1)
    near, far = [], []
    for j in chosen:
        x = arb(nodes.low) + j * arb(nodes.step)
        loss = law.ratio(x).log()
        weight = nodes.step * (a * loss).exp() * law.density(x)
        near.append(_powers(acb(0, u_step * loss).exp(), block))
        far.append([weight * power for power in _powers(acb(0, block * u_step * loss).exp(), -(-count // block))])
    return acb_mat(far).transpose() * acb_mat(near)


def _powers(turn: ComplexBall, count: int) -> list[ComplexBall]:
    """turn^k for k < count; few products deep, since each may widen a ball by a factor √2 when it turns it."""
    row = [acb(1), turn]
    for k in range(2, count):
        row.append(row[k // 2] * row[k - k // 2])
    return row[:count]
