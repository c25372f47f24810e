"""Aliases: what the trapezoid sum counts besides delta(ε), bounded by Chernoff at one tilt on either side.

By Poisson summation the infinite sum with step h is exactly Σ_n e^(nΛt)·delta(ε + nΛ), Λ = 2π/h: every term is
positive. For s >= 0 and all real ε, (1 - e^(-y))₊ <= C(s)·e^(s·y) with C(s) = s^s/(1 + s)^(1 + s), C(0) = 1, hence
delta(ε) <= C(s)·M(s)·e^(-s·ε); the terms with n >= 1 at an s > t, and those with n <= -1 at an s < t, are then
geometric series with the ratio e^(-|s - t|Λ) (Alghamdi et al. 2023, arXiv:2208.09595, for the contour).
"""

import math
from dataclasses import dataclass

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import transform
from dpplan.accounting.exact.prove.balls import Ball, arb, zero
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, total_steps

LOG_MOMENT = -12.0  # a Chernoff bound is asked to be good to e^-12


def chernoff(phases: tuple[ComposedSteps, ...], direction: Direction, tilt: float) -> Ball:
    """C(s)·M(s) at the tilt s: delta(ε)·e^(s·ε) never exceeds it."""
    if tilt == 0.0:
        return arb(1)
    s = arb(tilt)
    top = s**s / (1 + s) ** (1 + s)
    log_goal = _log_goal(phases)
    for phase in phases:
        top *= transform.moment(phase, transform.exponent(direction, s), log_goal) ** phase.count
    return top.abs_upper()


def chernoff_nodes(phases: tuple[ComposedSteps, ...], direction: Direction, tilt: float) -> int:
    """How many nodes `chernoff` would take."""
    a, log_goal = direction.exponent(tilt), _log_goal(phases)
    return sum(transform.choose_nodes(phase, a, 0.0, log_goal).count for phase in phases)


def _log_goal(phases: tuple[ComposedSteps, ...]) -> float:
    return LOG_MOMENT - math.log(total_steps(phases))


@dataclass(frozen=True, slots=True)
class Aliases:
    """Σ over n != 0 of e^(nΛt)·delta(ε + nΛ) <= Σ over sides of top·e^(-s·ε)."""

    sides: tuple[tuple[Ball, Ball], ...]

    @classmethod
    def of(
        cls,
        phases: tuple[ComposedSteps, ...],
        direction: Direction,
        tilt: float,
        period: float,
        at: tuple[float, float],
    ) -> "Aliases":
        """at: a tilt below and one above `tilt`."""
        if not at[0] < tilt < at[1]:
            raise ValueError(f"{at=} does not lie on either side of {tilt=}")
        sides = []
        for s in at:
            ratio = (-abs(arb(s) - arb(tilt)) * arb(period)).exp()
            sides.append((arb(s), chernoff(phases, direction, s) * ratio / (1 - ratio)))
        return cls(tuple(sides))

    def at(self, epsilon: Ball) -> Ball:
        return sum((top * (-s * epsilon).exp() for s, top in self.sides), zero()).abs_upper()
