"""Stage 2, compose: the jump regime, where paths on which nothing happens never decay in frequency.

When a few steps carry all the loss, the composed characteristic function has a floor, the tilted probability
that every step stays in the bulk. With a smooth cut c_bulk(x) = Φ((x_c - x)/w), the measure of those paths has
the transform M_bulk, and M - M_bulk is the transform of a positive measure that does decay:

    M / M_bulk - 1 = Π(1 + G_jump/G_bulk)^T - 1,

computed in that form, so that what the two have in common never has to cancel. |G_jump(a + iu)| is bounded for all
u beyond a point by moving its integral to the line Im x = y, where |e^{iuL}| = e^{-u·arg r} and the difference of
the far and the bulk cut grows at most by e^(y²/2w²); any y in (0, πσ²) will do. The integral of the modulus is
bounded cell by cell between the nodes, and outside them without the help of e^{-u·arg r} <= 1, as for the
quadrature (quadrature_error.py). What the bulk alone contributes to delta is bounded by Chernoff at tilts far above t,
where a law without jumps is still small.
"""

import math
from dataclasses import fields

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.contour.transform_integrand_bounds import Nodes, Range
from dpplan.accounting.exact.contour.transform_quadrature import Quadrature
from dpplan.accounting.numerics import Array, outward
from dpplan.quick_dataclass import dataclass

HEIGHTS = np.array((0.03, 0.07, 0.14, 0.24, 0.36, 0.5, 0.65, 0.8, 0.92))
NODES = 256
SAFE = outward.MANY  # above the rounding of sums of numbers of one sign, in a logarithm


def bulk_end(steps: Steps, loss: float, limit: Array, width: float) -> Array:
    """The x where a step's loss is `loss`, well inside the far limit; [phase, 1]; width: of the cuts, in σ."""
    e = np.log((np.expm1(loss) + steps.q) / steps.q)
    return np.minimum(0.5 + steps.sigma**2 * e, limit - 4.0 * width * steps.sigma)


@dataclass(frozen=True)
class Jumps:
    """The part of a tilted law above the bulk's cut: the rows of a quadrature over it that belong to one tilt."""

    steps: Steps
    law: Quadrature
    rows: slice

    def log_decay(self, log_share: Array, edges: Array) -> Array:
        """log of a bound on |M - M_bulk| / M_bulk(t) for every u >= edge, [edge]; log_share: log G_jump/G_bulk."""
        moduli = self._log_moduli(edges)
        total = np.zeros(len(edges))
        for row, count in enumerate(self.steps.count[:, 0]):
            total += count * np.logaddexp(0.0, float(log_share[row, 0]) + moduli[row]) * (1.0 + SAFE)
        return np.where(total > 30.0, total, np.log(np.expm1(np.minimum(total, 30.0)) + 1e-300)) + SAFE

    def _log_moduli(self, edges: Array) -> Array:
        """log of a bound on |G_jump(a + iu)| / G_jump(a) for every u >= edge, [phase, edge]."""
        law, chosen = self.law, np.arange(len(self.law.a))[self.rows]
        strip = law.strip.of_rows(chosen)
        within = Range(*(getattr(law.range, field.name)[chosen] for field in fields(Range)))
        span = within.high - within.low
        nodes = Nodes.at(within.low + span * np.linspace(0.0, 1.0, NODES), span / (NODES - 1), self.steps, strip.cut)
        assert strip.cut is not None
        heights = HEIGHTS * np.minimum(math.pi * self.steps.sigma**2, 6.0 * strip.cut.width)
        outside = strip.log_tails(within, heights, np.zeros(len(HEIGHTS)))[2]
        # Every height for every edge: [phase, edge · height].
        all_heights, all_edges = np.tile(heights, (1, len(edges))), np.repeat(edges, len(HEIGHTS))
        inside = strip.log_cells(nodes, all_heights, all_edges, sign=-1.0)[2]
        moduli = np.logaddexp(inside, np.tile(outside, (1, len(edges)))) - law.log_g[chosen]
        least = moduli.reshape(len(chosen), len(edges), len(HEIGHTS)).min(axis=2)
        # It never exceeds the true moment at u = 0, whose logarithm is known to this.
        most = np.log1p(law.relative_error(np.zeros(1))[chosen])
        return np.asarray(np.minimum(np.nan_to_num(least, nan=np.inf), most) + SAFE)
