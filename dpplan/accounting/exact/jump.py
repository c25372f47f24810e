"""Stage 2, compose: the jump regime, where paths on which nothing happens never decay in frequency.

When a few steps carry all the loss, the composed characteristic function has a floor, the tilted probability
that every step stays in the bulk. With a smooth cut c_bulk(x) = Φ((x_c - x)/w), the measure of those paths has
the transform M_bulk, and M - M_bulk is the transform of a positive measure that does decay:

    M / M_bulk - 1 = Π(1 + G_jump/G_bulk)^T - 1,

computed in that form, so that what the two have in common never has to cancel. |G_jump(a + iu)| is bounded for all
u beyond a point by moving its integral to the line Im x = y, where |e^{iuL}| = e^{-u·arg r} and the difference of
the far and the bulk cut grows at most by e^(y²/2w²); any y in (0, πσ²) will do. What the bulk alone contributes to
delta is bounded by Chernoff at tilts far above t, where a law without jumps is still small.
"""

import math
from dataclasses import dataclass

import numpy as np

from dpplan.accounting.exact.law import Array, Band, Steps, log_ratio

HEIGHTS = (0.03, 0.07, 0.14, 0.24, 0.36, 0.5, 0.65, 0.8, 0.92)
NODES = 256
OUTSIDE = 1e-16  # of the jumps' mass may lie outside their nodes: the quadrature's own share is e^-44
SLACK = 4.0  # the integral of a modulus with at most three peaks against its trapezoid sum


def bulk_end(steps: Steps, loss: float, limit: Array, width: float) -> Array:
    """The x where a step's loss is `loss`, well inside the far limit; [phase, 1]; width: of the cuts, in σ."""
    e = np.log((np.expm1(loss) + steps.q) / steps.q)
    return np.minimum(0.5 + steps.sigma**2 * e, limit - 4.0 * width * steps.sigma)


@dataclass(frozen=True)
class Jumps:
    """The part of a tilted law above the bulk's cut, at the real exponent a.

    log_g: log G of the jumps there; low, high: where their nodes begin and end; band: their weight; [phase, 1].
    """

    steps: Steps
    a: float
    log_g: Array
    low: Array
    high: Array
    band: Band

    def log_decay(self, share: Array, edges: Array) -> Array:
        """log of a bound on |M - M_bulk| / M_bulk(t) for every u >= edge, [edge]; share: G_jump/G_bulk, [phase, 1]."""
        total = np.zeros(len(edges))
        for row, count in enumerate(self.steps.count[:, 0]):
            total += count * np.log1p(float(share[row, 0]) * self._modulus(row, edges))
        return np.log(np.expm1(np.minimum(total, 600.0)) + 1e-300)

    def _modulus(self, row: int, edges: Array) -> Array:
        """|G_jump(a + iu)| / G_jump(a) for every u >= edge, one phase, [edge]."""
        sigma, q = float(self.steps.sigma[row, 0]), float(self.steps.q[row, 0])
        width, low, high = (float(v[row, 0]) for v in (self.band.width, self.low, self.high))
        x = np.linspace(low, high, NODES)
        e = (2.0 * x - 1.0) / (2.0 * sigma * sigma)
        loss = log_ratio(e, np.array(q))
        one = Band(self.band.at[[row]], self.band.width[[row]], self.band.start[[row]])
        log_p = self.a * loss - 0.5 * (x / sigma) ** 2 - math.log(sigma * math.sqrt(2.0 * math.pi))
        log_p = log_p + one.log_weight(x[None, :])[0] - float(self.log_g[row, 0]) + math.log((x[1] - x[0]) * SLACK)
        sampled = np.exp(math.log(q) + e - loss)
        heights = np.array(HEIGHTS)[:, None] * min(math.pi * sigma * sigma, 6.0 * width)
        turn = heights / sigma**2
        angle = np.arctan2(sampled * np.sin(turn), 1.0 - sampled + sampled * np.cos(turn))
        squeeze = np.log(np.maximum(1.0 - 2.0 * sampled * (1.0 - sampled) * (1.0 - np.cos(turn)), 1e-300))
        lift = (0.5 / sigma**2 + 0.5 / width**2) * heights**2
        moved = np.exp(np.minimum(log_p + 0.5 * self.a * squeeze + lift, 600.0))
        outside = OUTSIDE * np.exp(lift)
        fade = np.exp(-edges[:, None, None] * angle)  # [edge, height, node]
        return np.minimum(np.min((fade * moved).sum(axis=2) + outside[:, 0], axis=1), 1.0 + 1e-9)
