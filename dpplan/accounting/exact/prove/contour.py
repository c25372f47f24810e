"""delta(ε) of one direction as a ball.

    delta(ε) = Re Σ_{k <= K} W_k·e^(-ε·z_k) + (frequencies left out) - (aliases),
    z_k = t + ikh,  W_k = (h/π)·M(z_k)/(z_k(z_k + 1)), half of it at k = 0.

The W_k do not depend on ε: they are computed once and serve every ε nearby.
"""

import math
from functools import cached_property

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import tail_decay, transform
from dpplan.accounting.exact.prove.aliasing import Aliases
from dpplan.accounting.exact.prove.balls import Ball, ComplexBall, acb, arb, within, zero
from dpplan.accounting.exact.prove.contour_plan import Design
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, total_steps

DECAY_BITS = 24  # of the bound on one step's transform, beyond those that the number of steps takes


class BallContour:
    """To be built and used at one working precision, design.bits or more."""

    def __init__(self, phases: tuple[ComposedSteps, ...], direction: Direction, design: Design) -> None:
        self.phases, self.direction, self.design = phases, direction, design
        place = design.placement
        self.tilt = arb(place.tilt)
        self.h = 2 * arb.pi() / arb(place.period)
        self.z = [acb(self.tilt, k * self.h) for k in range(design.count)]
        a = transform.exponent(direction, self.tilt)
        self.parts = [
            transform.evaluate(phase, a, self.h, design.count, nodes)
            for phase, nodes in zip(phases, design.nodes, strict=True)
        ]
        self.weights = self._weights()
        self.rest = self._frequencies_left_out(a)
        self.aliases = Aliases.of(phases, direction, place.tilt, place.period, place.alias_tilts)

    def _weights(self) -> list[ComplexBall]:
        m = [acb(1)] * len(self.z)
        for phase, part in zip(self.phases, self.parts, strict=True):
            m = [product * value**phase.count for product, value in zip(m, part.balls, strict=True)]
        if self.direction is Direction.ADD:  # w = -z, and G(conj w) = conj G(w)
            m = [value.conjugate() for value in m]
        unit = self.h / arb.pi()
        weights = [unit * value / (z * (z + 1)) for value, z in zip(m, self.z, strict=True)]
        weights[0] /= 2
        return weights

    def _frequencies_left_out(self, a: Ball) -> Ball:
        """(h/π)·Σ_{k > K} |M(z_k)|/|z_k(z_k + 1)| <= sup|M|/(πKh), from |z(z + 1)| >= u² and Σ_{k > K} 1/k² <= 1/K."""
        last = len(self.z) - 1
        u = ((last + 1) * self.h).lower()
        bits = DECAY_BITS + int(math.log2(total_steps(self.phases)))
        largest = arb(1)
        for phase, path in zip(self.phases, self.design.paths, strict=True):
            largest *= tail_decay.bound(phase, a, u, path, bits) ** phase.count
        return (largest / (arb.pi() * last * self.h)).abs_upper()

    def _sum(self, epsilon: Ball, factors: list[ComplexBall]) -> Ball:
        return sum((f * (-epsilon * z).exp()).real for f, z in zip(factors, self.z, strict=True))

    def delta(self, epsilon: Ball) -> Ball:
        """A ball that holds delta(ε), ε >= 0."""
        half = self.aliases.at(epsilon) / 2
        return self._sum(epsilon, self.weights) - half + within(half + self._faded(self.rest, epsilon))

    def slope(self, epsilon: Ball) -> Ball:
        """d/dε of the sum. For choosing where to look, not for claiming."""
        return self._sum(epsilon, self._sloped)

    @cached_property
    def _sloped(self) -> list[ComplexBall]:
        return [-weight * z for weight, z in zip(self.weights, self.z, strict=True)]

    def _faded(self, size: Ball, epsilon: Ball) -> Ball:
        return (size * (-self.tilt * epsilon).exp()).abs_upper()

    def terms(self, epsilon: Ball) -> tuple[tuple[str, Ball], ...]:
        """What each error source but rounding contributes to the radius. Errors of G are carried to first order."""
        carried = [
            phase.count * sum((abs(w) / abs(g) for w, g in zip(self.weights, part.balls, strict=True)), zero())
            for phase, part in zip(self.phases, self.parts, strict=True)
        ]
        quadrature = sum((c * part.quadrature for c, part in zip(carried, self.parts, strict=True)), zero())
        tails = sum((c * part.tails for c, part in zip(carried, self.parts, strict=True)), zero())
        return (
            ("aliases", self.aliases.at(epsilon) / 2),
            ("frequencies left out", self._faded(self.rest, epsilon)),
            ("quadrature in x", self._faded(quadrature, epsilon)),
            ("tails in x", self._faded(tails, epsilon)),
        )
